"""Record cases on real Fluid 1.8.5: ``python tests/golden/record.py [case ...]``.

With names, the other recordings stay as they are. Without names, all cases are recorded, and recordings that have no
case are removed. A case that fails keeps the recording it has.

Needs Python 3.7 with ``paddlepaddle==1.8.5``, ``protobuf<3.21`` and ``numpy<1.20``; the tests that read the recordings
need none of these. Every case is run twice, and the two runs must agree to the last bit.
"""

import io
import json
import os
import sys
import zipfile

import numpy

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from golden import replay  # noqa: E402


class OracleFlavour:
    """Fluid cannot fetch a SelectedRows: its variable is made persistable and read from the scope."""

    @staticmethod
    def after_startup(fluid, run, main):
        scope, block = fluid.global_scope(), main.global_block()
        for name, value in run.oracle_values.items():
            tensor = scope.find_var(name).get_tensor()
            tensor.set(numpy.full(tensor.shape(), value, numpy.array(tensor).dtype), fluid.CPUPlace())
        for name in run.fetch + run.last:
            if replay.is_sparse(main, name):
                block.var(name).persistable = True

    @staticmethod
    def step(fluid, exe, main, feed, names):
        dense = [name for name in names if not replay.is_sparse(main, name)]
        entries = {}
        values = exe.run(main, feed=feed, fetch_list=dense, return_numpy=False)
        for name, value in zip(dense, values):  # noqa: B905
            entries.update(replay.dense_entries(name, value))
        for name in names:
            if name not in dense:
                grad = fluid.global_scope().find_var(name).get_selected_rows()
                value = numpy.array(grad.get_tensor())
                entries.update(replay.sparse_entries(name, list(grad.rows()), value, grad.height()))
        return entries


def description_text(description):
    """The description of one case as JSON, with one op or variable in a line."""

    def text(value):
        return json.dumps(value, separators=(",", ":"))

    lines = []
    for name, blocks in description.items():
        if name == "results":
            lines.append('"results":' + text(blocks))
            continue
        parts = []
        for block in blocks:
            ops = "".join("\n" + text(op) + "," for op in block["ops"])[:-1]
            variables = "".join("\n" + text(key) + ":" + text(value) + "," for key, value in block["vars"].items())[:-1]
            parts.append('{"ops":[' + ops + '],\n"vars":{' + variables + "}}")
        lines.append('"{}":[{}]'.format(name, ",".join(parts)))
    return "{\n" + ",\n".join(lines) + "\n}"


def write_arrays(path, arrays):
    """What numpy.savez_compressed writes, without the time and the extra fields of each entry."""
    with zipfile.ZipFile(path, "w") as file:
        for key, array in arrays.items():
            buffer = io.BytesIO()
            numpy.lib.format.write_array(buffer, numpy.ascontiguousarray(array).reshape(array.shape))
            file.writestr(zipfile.ZipInfo(key + ".npy"), buffer.getvalue(), zipfile.ZIP_DEFLATED)


def write_family(family, results):
    """Write the recordings of a family, sorted by case; without any, it has no files."""
    path = os.path.join(replay.DATA, family)
    replay.recordings.cache_clear()
    if not results:
        os.remove(path + ".json")
        os.remove(path + ".npz")
        return
    names = sorted(results)
    texts = [json.dumps(name) + ":" + description_text(results[name].description) for name in names]
    with open(path + ".json", "w", encoding="utf-8", newline="\n") as file:
        file.write("{\n" + ",\n".join(texts) + "\n}\n")
    write_arrays(
        path + ".npz", {name + "/" + key: array for name in names for key, array in results[name].arrays.items()}
    )


def same(one, other):
    return one.description == other.description and all(
        one.arrays[key].dtype == other.arrays[key].dtype
        and one.arrays[key].shape == other.arrays[key].shape
        and one.arrays[key].tobytes() == other.arrays[key].tobytes()
        for key in set(one.arrays) | set(other.arrays)
    )


def record(fluid, name):
    case = replay.CASES[name]
    result = replay.run_case(fluid, case, OracleFlavour)
    if not same(result, replay.run_case(fluid, case, OracleFlavour)):
        raise RuntimeError(f"two runs of {name} differ")
    return result


def record_family(fluid, family, names):
    """Record the named cases of a family, or all for no names; what was recorded and what failed.

    Drops the recordings of those that the family does not have, such as a case that has moved to another one.
    """
    mine = [name for name, case in replay.CASES.items() if case.family == family]
    before = replay.read_family(family) if family in replay.recorded_families() else {}
    results = {name: result for name, result in before.items() if name in mine or (names and name not in names)}
    recorded, failed = [], []
    for name in mine:
        if names and name not in names:
            continue
        try:
            results[name] = record(fluid, name)
            recorded.append(name)
        except Exception as error:
            failed.append(name)
            sys.stderr.write(f"{name}: {str(error)[-600:]}\n")
    if recorded or len(results) < len(before):
        write_family(family, results)
    return recorded, failed


def main(names):
    import paddle.fluid as fluid

    unknown = sorted(set(names) - set(replay.CASES))
    if unknown:
        sys.stderr.write("no such case: {}\n".format(", ".join(unknown)))
        return 1
    os.makedirs(replay.DATA, exist_ok=True)
    families = {case.family for case in replay.CASES.values()} | set(replay.recorded_families())
    recorded, failed = 0, 0
    for family in sorted(families):
        done, not_done = record_family(fluid, family, names)
        recorded, failed = recorded + len(done), failed + len(not_done)
    sys.stderr.write(f"recorded {recorded}, failed {failed}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
