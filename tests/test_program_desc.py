"""Programs as bytes: everything that a program says comes back, and damaged bytes are an error."""

import numpy as np
import pytest
from golden.models import MODELS
from golden.record_models import Built, unpack

import fluidlite as fluid
from fluidlite.dtypes import VarType
from fluidlite.errors import EnforceNotMet, InvalidArgumentError, InvalidTypeError, NotFoundError
from fluidlite.formats.program_messages import PROGRAM
from fluidlite.formats.protobuf import decode, encode


def described(program):
    """All that bytes keep of a program."""
    blocks = []
    for block in program.blocks:
        variables = {
            v.name: (v.type, v.shape, v.dtype, v.lod_level, v.persistable, v.need_check_feed)
            for v in block.vars.values()
        }
        ops = [(op.type, op.inputs, op.outputs, {k: op.attrs[k] for k in op.attrs}) for op in block.ops]
        blocks.append((block.idx, block.parent_idx, variables, ops))
    return blocks


def kept(value):
    """Fluid's attributes are float32."""
    return float(np.float32(value)) if isinstance(value, float) else value


@pytest.mark.parametrize("name", MODELS)
def test_there_and_back(name):
    for program in (Built(fluid, name).main, Built(fluid, name).startup):
        data = program.serialize_to_string()
        again = fluid.Program.parse_from_string(data)
        assert again.serialize_to_string() == data == program.desc.serialize_to_string()
        for ours, read in zip(described(program), described(again), strict=True):
            assert ours[:3] == read[:3]
            for before, after in zip(ours[3], read[3], strict=True):
                assert before[:3] == after[:3]
                assert {k: kept(after[3][k]) for k in before[3]} == {k: kept(v) for k, v in before[3].items()}


@pytest.mark.parametrize("name", MODELS)
def test_a_program_of_fluid_is_the_one_we_build(name, tmp_path):
    unpack(name, tmp_path)
    read = fluid.Program.parse_from_string((tmp_path / "state/model.pdmodel").read_bytes())
    built = Built(fluid, name).main
    assert [(o.type, o.inputs, o.outputs) for o in read.global_block().ops] == [
        (o.type, o.inputs, o.outputs) for o in built.global_block().ops
    ]
    for op, ours in zip(read.global_block().ops, built.global_block().ops, strict=True):
        for attr in ours.definition.attrs:
            assert op.attr(attr) == ours.attr(attr) or op.attr(attr) == pytest.approx(ours.attr(attr)), (op.type, attr)
        if op.attr("op_role") == 0:
            assert op.site == ("model.py", 1, "build")
    ours, theirs = built.global_block().vars, read.global_block().vars
    for name in set(ours) & set(theirs):
        assert (ours[name].shape, ours[name].dtype, ours[name].persistable) == (
            theirs[name].shape,
            theirs[name].dtype,
            theirs[name].persistable,
        ), name
    assert set(ours) <= set(theirs) | {n for n in ours if n.endswith("XShape")}
    assert read.all_parameters() == []


def test_a_program_without_version(fresh):
    """As Fluid 1.5 wrote them: no version, no map of compatible ops."""
    y = fluid.layers.fc(fluid.data("x", [None, 3]), 2)
    message = decode(PROGRAM, fresh.main.serialize_to_string())
    del message["version"], message["op_compatible_map"]
    fresh.start()
    read = fluid.Program.parse_from_string(encode(PROGRAM, message))
    x = np.ones((5, 3), np.float32)
    ours, theirs = (fresh.exe.run(p, feed={"x": x}, fetch_list=[y.name])[0] for p in (fresh.main, read))
    assert ours.tobytes() == theirs.tobytes()


def test_variables_of_every_kind(fresh):
    block = fresh.main.global_block()
    block.create_var(name="rows", type=VarType.SELECTED_ROWS, shape=[5, 3], dtype="float32", persistable=True)
    block.create_var(name="list", type=VarType.LOD_TENSOR_ARRAY, shape=[-1, 3], dtype="int64", lod_level=1)
    block.create_var(name="raw", type=VarType.RAW)
    block.create_var(name="unknown")
    fluid.data("nested", [None, 3], lod_level=2)
    read = fluid.Program.parse_from_string(fresh.main.serialize_to_string())
    assert described(read) == described(fresh.main)


def test_blocks_inside_blocks(fresh):
    inner = fresh.main._create_block()
    x = inner.create_var(name="x", shape=[2], dtype="float32")
    inner.append_op("scale", {"X": x}, {"Out": x}, {"scale": 2.0})
    fresh.main._rollback()
    fresh.main.global_block().append_op(
        "fill_constant",
        outputs={"Out": fresh.main.global_block().create_var(name="y", dtype="float32")},
        attrs={"shape": [2], "dtype": VarType.FP32, "value": 1.0, "sub_block": inner},
    )
    read = fluid.Program.parse_from_string(fresh.main.serialize_to_string())
    assert read.num_blocks == 2 and read.block(1).parent_idx == 0
    assert read.global_block().ops[0].attr("sub_block") is read.block(1)
    assert read.block(1).ops[0].type == "scale"


def changed(program, change):
    message = decode(PROGRAM, program.serialize_to_string())
    change(message, message["blocks"][0])
    return encode(PROGRAM, message)


def _rename_op(message, block):
    block["ops"][0]["type"] = "sigmoit"


def _attr(name, **parts):
    def change(message, block):
        (found,) = (a for op in block["ops"] for a in op["attrs"] if a["name"] == name)
        for part in ("i", "f", "s", "b", "ints"):
            found.pop(part, None)
        found.update(parts)

    return change


def _set(path, value):
    def change(message, block):
        *parents, last = path
        for key in parents:
            block = block[key]
        block[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "error", "why"),
    [
        (_rename_op, NotFoundError, "no op of type 'sigmoit'.*did you mean 'sigmoid'"),
        (_set(("ops", 0, "inputs", 0, "arguments"), ["nowhere"]), NotFoundError, "no variable 'nowhere'"),
        (_set(("ops", 0, "inputs", 0, "parameter"), "Y"), InvalidArgumentError, "has no input 'Y'"),
        (_set(("ops", 0, "inputs"), []), InvalidArgumentError, "needs the input 'X'"),
        (_set(("vars", 0, "type", "lod_tensor", "tensor", "data_type"), 55), InvalidArgumentError, "makes no sense"),
        (_set(("vars", 0, "type", "lod_tensor", "tensor", "dims"), [-7]), InvalidArgumentError, "makes no sense"),
        (_set(("vars", 0, "type", "type"), 77), InvalidArgumentError, "makes no sense"),
        (_set(("vars", 0, "name"), ""), InvalidArgumentError, "without a name"),
        (_set(("idx",), 3), InvalidArgumentError, "says that it is block 3"),
        (_set(("parent_idx",), 0), InvalidArgumentError, "inside block 0"),
        (_attr("scale", type=2, s="text"), InvalidArgumentError, "'scale' of op scale has the wrong type"),
        (_attr("scale", type=8, block_idx=4), InvalidArgumentError, "no block 4"),
        (_attr("scale", type=1), InvalidArgumentError, "has no value"),
        (lambda m, b: m["version"].update(version=2_000_000), InvalidArgumentError, "unknown version 2000000"),
        (lambda m, b: m["version"].update(version=-1), InvalidArgumentError, "unknown version -1"),
        (lambda m, b: m.pop("blocks"), InvalidArgumentError, "no blocks"),
        (lambda m, b: b["vars"].append(b["vars"][0]), InvalidArgumentError, "two variables"),
        (lambda m, b: b["ops"][0]["inputs"].append(b["ops"][0]["inputs"][0]), InvalidArgumentError, "two slots"),
    ],
)
def test_damage_is_named(fresh, change, error, why):
    fluid.layers.scale(fluid.layers.sigmoid(fluid.data("x", [None, 3])), 2.0)
    with pytest.raises(error, match=r"(?s)The string given to Program.parse_from_string cannot be read: .*" + why):
        fluid.Program.parse_from_string(changed(fresh.main, change))


def test_feeds_and_fetches_are_ops_in_the_file_alone(fresh):
    x = fluid.data("x", [None, 3])
    fluid.layers.scale(x, 2.0)
    fresh.main._feed_names, fresh.main._fetch_names = ["x"], ["scale_0.tmp_0"]
    data = fresh.main.serialize_to_string()
    types = [op["type"] for op in decode(PROGRAM, data)["blocks"][0]["ops"]]
    assert types == ["feed", "scale", "fetch"]
    read = fluid.Program.parse_from_string(data)
    assert [op.type for op in read.global_block().ops] == ["scale"] and not read.global_block().has_var("feed")
    assert read.desc.get_feed_target_names() == ["x"] and read.desc.get_fetch_target_names() == ["scale_0.tmp_0"]
    assert read.global_block().var("x").is_data
    assert read.clone().serialize_to_string() == data


def test_truncated_and_flipped(fresh):
    fluid.layers.mean(fluid.layers.sigmoid(fluid.data("x", [None, 3])))
    message = decode(PROGRAM, fresh.main.serialize_to_string())
    del message["op_compatible_map"]
    data = encode(PROGRAM, message)
    read, refused = 0, 0
    rng = np.random.default_rng(0)
    for n in range(len(data)):
        flipped = data[:n] + bytes([data[n] ^ int(rng.integers(1, 256))]) + data[n + 1 :]
        for damaged in (data[:n], flipped):
            try:
                fluid.Program.parse_from_string(damaged)
                read += 1
            except EnforceNotMet as error:
                assert "cannot be read" in str(error)
                refused += 1
    assert refused > read


def test_what_is_no_bytes():
    with pytest.raises(InvalidTypeError, match="it is not bytes"):
        fluid.Program.parse_from_string("text")
