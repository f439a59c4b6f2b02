"""Rows fetched one batch ahead, in train_from_dataset: a step uses rows as they were before the last update."""

import json

import numpy as np
import pytest

from .launching import run_alone, run_ranks

SCRIPT = """
import sys
import numpy as np
import fluidlite as fluid
from fluidlite import distributed
from tests_values import keep

PREFETCH, FILES = sys.argv[1] == "prefetch", sys.argv[2:]
job = distributed.start()
main, startup = fluid.default_main_program(), fluid.default_startup_program()
main.random_seed = startup.random_seed = 7
ids = fluid.data("ids", [None, 1], "int64", lod_level=1)
label = fluid.data("label", [None, 1], "float32")
tables = [fluid.embedding(ids, [1 << 40, d], is_sparse=True, is_distributed=True, param_attr="w%d" % d) for d in (3, 1)]
pools = [fluid.layers.sequence_pool(fluid.layers.squeeze(rows, [1]), "sum") for rows in tables]
out = fluid.layers.reduce_sum(fluid.layers.concat(pools, axis=1), dim=1, keep_dim=True)
loss = fluid.layers.mean(fluid.layers.square_error_cost(out, label))
test = main.clone(for_test=True)
fluid.optimizer.SGD(0.05).minimize(loss)
job.distribute(main, prefetch=PREFETCH)
exe = fluid.Executor()
exe.run(startup)
data = fluid.DatasetFactory().create_dataset("QueueDataset")
data.set_use_var([ids, label])
data.set_batch_size(4)
data.set_filelist(FILES[job.rank :: job.size])
losses = []

class Watch(fluid.executor.FetchHandler):
    "Between two batches, looks at rows of its own: what was fetched ahead stays."
    def handler(self, values):
        losses.append(float(values["loss"][0]))
        exe.run(test, feed={"ids": fluid.create_lod_tensor(np.array([[3], [999]]), [[2]]), "label": [[0.0]]})

for _ in range(2):
    exe.train_from_dataset(main, data, fetch_handler=Watch({"loss": loss}, period_secs=0))
job.finish()
table = fluid.global_scope().find_var("w3").get_table()
keep({"losses": losses, "ids": table.ids.tolist(), "rows": table.lookup(table.ids).tolist()})
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two files, of 5 and of 3 batches: one rank runs out before the other."""
    folder, rng, names = tmp_path_factory.mktemp("data"), np.random.default_rng(0), []
    for k, n in enumerate((20, 12)):
        lines = []
        for _ in range(n):
            ids = rng.integers(0, 30, rng.integers(1, 4))
            lines.append(f"{len(ids)} {' '.join(map(str, ids))} 1 {float((ids % 2).sum())}")
        names.append(folder / f"part{k}")
        names[-1].write_text("\n".join(lines) + "\n")
    return names


def batches(path):
    lines = [line.split() for line in path.read_text().splitlines()]
    samples = [([int(i) for i in line[1:-2]], float(line[-1])) for line in lines]
    return [samples[k : k + 4] for k in range(0, len(samples), 4)]


def simulate(files, first_rows, *, ahead):
    """The losses, {id: row} at the end. Rows of a batch are read before the update of the step before, if `ahead`."""
    rows = {width: {i: np.array(r, np.float64) for i, r in table.items()} for width, table in first_rows.items()}
    losses = []
    for _ in range(2):
        data = [batches(path) for path in files]
        seen = None
        for step in range(max(map(len, data))):
            now = {w: {i: r.copy() for i, r in t.items()} for w, t in rows.items()}
            used = seen if ahead and step else now
            seen = now
            active = [d[step] for d in data if step < len(d)]
            grads, total = {}, 0.0
            for batch in active:
                for ids, label in batch:
                    error = sum(used[w][i].sum() for w in used for i in ids) - label
                    total += error**2 / len(batch) / len(active)
                    for i in ids:
                        grads[i] = grads.get(i, 0.0) + 2 * error / len(batch) / len(active)
            losses.append(total)
            for w in rows:
                for i, grad in grads.items():
                    rows[w][i] -= 0.05 * grad
    return losses, rows[3]


def first_rows():
    """The first values of the tables, which depend on seed, name and id alone."""
    script = """
    import numpy as np
    import fluidlite as fluid
    from tests_values import keep

    main, startup = fluid.default_main_program(), fluid.default_startup_program()
    main.random_seed = startup.random_seed = 7
    ids = fluid.data("ids", [None], "int64")
    any_ids = {"is_sparse": True, "is_distributed": True}
    rows = [fluid.embedding(ids, [1 << 40, d], param_attr="w%d" % d, **any_ids) for d in (3, 1)]
    fluid.optimizer.SGD(0.0).minimize(fluid.layers.reduce_sum(fluid.layers.concat(rows, axis=1)))
    exe = fluid.Executor()
    exe.run(startup)
    keep([value.tolist() for value in exe.run(feed={"ids": np.arange(30)}, fetch_list=rows)])
    """
    (values,) = run_alone(script).checked().values
    return {width: dict(enumerate(table)) for width, table in zip((3, 1), values, strict=True)}


@pytest.mark.parametrize("mode", ["prefetch", "plain"])
def test_two_ranks_compute_what_a_simulation_says_and_the_same_again(files, mode):
    runs = [run_ranks(2, SCRIPT, mode, *files).checked().values for _ in range(2 if mode == "prefetch" else 1)]
    assert json.dumps(runs[0]) == json.dumps(runs[-1])
    losses, rows = simulate(files, first_rows(), ahead=mode == "prefetch")
    long, short = sorted((values["losses"] for values in runs[0]), key=len)[::-1]
    np.testing.assert_allclose(long, losses, rtol=1e-4)
    assert len(short) == 6
    found = {i: row for values in runs[0] for i, row in zip(values["ids"], values["rows"], strict=True)}
    for i, row in found.items():
        np.testing.assert_allclose(row, rows[i], rtol=1e-4, atol=1e-6)
    stale = simulate(files, first_rows(), ahead=mode != "prefetch")[0]
    assert np.abs(np.array(stale) - losses).max() > 1e-3
