"""Variables to files and back: what is chosen, what is checked first, what never changes half."""

import os
import struct

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite import tables
from fluidlite.dtypes import VarType
from fluidlite.errors import EnforceNotMet, InvalidArgumentError, InvalidTypeError, NotFoundError, UnavailableError
from fluidlite.tables import RowState


@pytest.fixture
def model(fresh):
    """A small model that has been trained for a step."""
    x = fluid.data("x", [None, 3])
    label = fluid.data("label", [None, 1])
    loss = fluid.layers.mean(fluid.layers.square_error_cost(fluid.layers.fc(x, 1), label))
    fluid.optimizer.Adam(0.1).minimize(loss)
    fresh.start()
    fresh.loss = loss
    fresh.feed = {"x": np.ones((5, 3), np.float32), "label": np.zeros((5, 1), np.float32)}
    fresh.run(fresh.feed)
    return fresh


def names(program, predicate):
    return sorted(v.name for v in program.list_vars() if predicate(v))


def test_a_file_for_each(model, tmp_path):
    assert fluid.io.save_persistables(model.exe, str(tmp_path), model.main) is None
    assert sorted(os.listdir(tmp_path)) == names(model.main, fluid.io.is_persistable)
    fluid.io.save_params(model.exe, str(tmp_path / "params"))
    assert sorted(os.listdir(tmp_path / "params")) == ["fc_0.b_0", "fc_0.w_0"]
    saved = model.snapshot()
    model.run(model.feed)
    assert model.snapshot() != saved
    fluid.io.load_persistables(model.exe, str(tmp_path), model.main)
    assert model.snapshot() == saved


def test_the_bytes_of_a_file(model, tmp_path):
    model.set("fc_0.w_0", np.array([[1.0], [2.0], [3.0]], np.float32))
    fluid.io.save_vars(model.exe, tmp_path, vars=["fc_0.w_0"])
    head = struct.pack("<IQIi", 0, 0, 0, 6) + bytes.fromhex("080510031001")
    assert (tmp_path / "fc_0.w_0").read_bytes() == head + struct.pack("<3f", 1, 2, 3)


def test_one_file_in_order_of_names(model, tmp_path):
    block = model.main.global_block()
    chosen = [block.var("fc_0.w_0"), "fc_0.b_0", block.var("fc_0.w_0")]
    fluid.io.save_vars(model.exe, tmp_path / "one", vars=chosen, filename="all")
    fluid.io.save_vars(model.exe, tmp_path / "each", vars=chosen)
    each = [(tmp_path / "each" / name).read_bytes() for name in ("fc_0.b_0", "fc_0.w_0")]
    assert (tmp_path / "one" / "all").read_bytes() == b"".join(each)
    assert fluid.io.save_vars(model.exe, None, vars=chosen) == b"".join(each)


def test_to_memory_and_back(model):
    saved, data = model.snapshot(), fluid.io.save_persistables(model.exe, None, model.main)
    model.run(model.feed)
    fluid.io.load_persistables(model.exe, None, model.main, data)
    assert model.snapshot() == saved


def test_predicate(model, tmp_path):
    fluid.io.save_vars(model.exe, tmp_path, predicate=lambda v: v.persistable and "moment" in v.name)
    assert sorted(os.listdir(tmp_path)) == names(model.main, lambda v: "moment" in v.name)
    saved = model.snapshot()
    model.run(model.feed)
    changed = model.snapshot()
    fluid.io.load_vars(model.exe, tmp_path, predicate=lambda v: v.persistable and "moment" in v.name)
    for name, value in model.snapshot().items():
        assert value == (saved if "moment" in name else changed)[name]


def test_lod_and_rows_and_raw(fresh, tmp_path):
    block = fresh.main.global_block()
    rows = block.create_var(name="rows", type=VarType.SELECTED_ROWS, shape=[7, 3], dtype="float32", persistable=True)
    sequence = block.create_var(name="deep/sequence", shape=[-1, 2], dtype="int64", lod_level=1, persistable=True)
    raw = block.create_var(name="raw", type=VarType.RAW, persistable=True)
    value = fluid.SelectedRows([2, 0, 2], np.arange(9, dtype=np.float32).reshape(3, 3), 7)
    fresh.scope.var("rows").cell.value = value
    tensor = fresh.scope.var("deep/sequence").get_tensor()
    tensor.set(np.arange(6, dtype=np.int64).reshape(3, 2))
    tensor.set_lod([[0, 1, 3]])
    fluid.io.save_vars(fresh.exe, tmp_path, vars=[rows, sequence, raw])
    assert sorted(os.listdir(tmp_path)) == ["deep", "rows"]
    other = fluid.Scope()
    with fluid.scope_guard(other):
        fluid.io.load_vars(fresh.exe, tmp_path, vars=[rows, sequence, raw])
    found = other.find_var("rows").get_selected_rows()
    assert found.rows() == [2, 0, 2] and found.height() == 7
    assert other.find_var("deep/sequence").get_tensor().lod() == [[0, 1, 3]]
    with pytest.raises(InvalidTypeError, match="'rows' is a SelectedRows"):
        fluid.io.save_vars(fresh.exe, tmp_path, vars=[rows], filename="all")


def test_accumulators_that_follow_the_rows_touched(fresh, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "SMALLEST_STATE", 0)
    ids = fluid.data("ids", [None], dtype="int64")
    loss = fluid.layers.mean(fluid.layers.square(fluid.embedding(ids, [1003, 4], is_sparse=True, param_attr="table")))
    fluid.optimizer.SparseAdam(0.1).minimize(loss)
    fresh.start()
    moment = fresh.scope.find_var("table_moment1_0").get_tensor()
    assert isinstance(moment.value, RowState)
    fluid.io.save_persistables(fresh.exe, tmp_path / "empty")
    feed = {"ids": np.array([1002, 5, 5, 0])}
    fresh.run(feed)
    assert isinstance(moment.value, RowState)
    fluid.io.save_persistables(fresh.exe, tmp_path / "touched")
    after = fresh.snapshot()
    dense = np.frombuffer((tmp_path / "touched" / "table_moment1_0").read_bytes()[-1003 * 4 * 4 :], np.float32)
    np.testing.assert_array_equal(dense.reshape(1003, 4), np.array(moment))
    fresh.run(feed)
    further = fresh.snapshot()
    fluid.io.load_persistables(fresh.exe, tmp_path / "touched")
    assert fresh.snapshot() == after
    fresh.run(feed)
    assert fresh.snapshot() == further
    fluid.io.load_persistables(fresh.exe, tmp_path / "empty")
    assert isinstance(moment.value, RowState) and moment.value.is_empty
    fresh.run(feed)
    assert fresh.snapshot() == after


def test_values_of_parameters(model):
    w = model.main.global_block().var("fc_0.w_0")
    value = fluid.io.get_parameter_value(w, model.exe)
    np.testing.assert_array_equal(value, model.value("fc_0.w_0"))
    value[:] = 0
    assert model.value("fc_0.w_0").any()
    assert fluid.io.get_parameter_value_by_name("fc_0.b_0", model.exe, model.main).shape == (1,)
    with pytest.raises(InvalidTypeError, match="not parameter"):
        fluid.io.get_parameter_value(model.main.global_block().var("x"), model.exe)
    parameters = fluid.io.get_program_parameter(model.main)
    assert [p.name for p in parameters] == ["fc_0.w_0", "fc_0.b_0"] and all(map(fluid.io.is_parameter, parameters))
    assert set(parameters) < set(fluid.io.get_program_persistable_vars(model.main))


def test_compiled_programs_are_taken_apart(model, tmp_path):
    fluid.io.save_params(model.exe, tmp_path, fluid.CompiledProgram(model.main))
    fluid.io.load_params(model.exe, tmp_path, fluid.CompiledProgram(model.main))


def test_nothing_to_save(fresh, tmp_path):
    with pytest.warns(UserWarning, match="no variable in your model"):
        assert fluid.io.save_params(fresh.exe, tmp_path) is None


@pytest.mark.parametrize(
    ("call", "error", "why"),
    [
        (lambda m, d: fluid.io.save_params(d, m.exe), InvalidTypeError, "(?s)not an Executor.*comes first"),
        (lambda m, d: fluid.io.load_params(m.exe, d, "main"), InvalidTypeError, "expected type is fluid.Program"),
        (lambda m, d: fluid.io.save_vars(m.exe, d, vars=[3]), InvalidTypeError, "neither a Variable nor a name"),
        (lambda m, d: fluid.io.save_vars(m.exe, d, vars=["fc_0.w_1"]), NotFoundError, "(?s)fc_0.w_1.*did you mean"),
        (lambda m, d: fluid.io.save_vars(m.exe, None, vars=["fc_0.w_0"], filename="f"), InvalidArgumentError, "folder"),
        (lambda m, d: fluid.io.save_vars(m.exe, d, vars=["x"]), UnavailableError, "(?s)'x' .*only persistable"),
        (lambda m, d: fluid.io.load_params(m.exe, d + "/nowhere"), NotFoundError, "no directory named"),
        (lambda m, d: fluid.io.load_params(m.exe, d), NotFoundError, "'fc_0.w_0': file .* does not exist"),
        (lambda m, d: fluid.io.load_params(m.exe, d, filename="all"), NotFoundError, "all' does not exist"),
        (lambda m, d: fluid.io.load_params(m.exe, None), InvalidArgumentError, "cannot be None"),
    ],
)
def test_errors(model, tmp_path, call, error, why):
    before = model.snapshot()
    with pytest.raises(error, match=why):
        call(model, str(tmp_path))
    assert model.snapshot() == before and not os.listdir(tmp_path)


def test_values_that_are_not_there(model, tmp_path):
    with fluid.scope_guard(fluid.Scope()), pytest.raises(UnavailableError, match="(?s)has no value.*startup program"):
        fluid.io.save_persistables(model.exe, tmp_path)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("filename", [None, "all"])
@pytest.mark.parametrize("kind", ["shape", "dtype", "short", "long", "missing"])
def test_damage_changes_nothing(model, tmp_path, filename, kind):
    """The last variable in order is the one that is wrong, so that all others have been read."""
    last = "learning_rate_0"
    fluid.io.save_persistables(model.exe, tmp_path, filename=filename)
    path = tmp_path / (filename or last)
    data = path.read_bytes()
    if kind == "missing":
        path.unlink()
    elif kind in ("short", "long"):
        path.write_bytes(data[:-1] if kind == "short" else data + b"\0")
    else:
        wrong = np.zeros((2,), np.float32) if kind == "shape" else np.zeros((1,), np.float64)
        model.run(model.feed)
        rate = model.value(last)
        model.set(last, wrong)
        fluid.io.save_persistables(model.exe, tmp_path, filename=filename)
        model.set(last, rate)
    before = model.snapshot()
    with pytest.raises(EnforceNotMet, match=filename or last):
        fluid.io.load_persistables(model.exe, tmp_path, filename=filename)
    assert model.snapshot() == before


def test_a_variable_whose_name_leads_out(fresh, tmp_path):
    w = fluid.layers.create_parameter([2], "float32", name="../w")
    fresh.start()
    for call in (fluid.io.save_vars, fluid.io.load_vars):
        with pytest.raises(InvalidArgumentError, match=r"'\.\./w' is not the name of a file inside"):
            call(fresh.exe, tmp_path, vars=[w])
    fluid.io.save_vars(fresh.exe, tmp_path, vars=[w], filename="all")
    fluid.io.load_vars(fresh.exe, tmp_path, vars=[w], filename="all")
    assert os.listdir(tmp_path) == ["all"]


def test_a_folder_that_cannot_be_written(model, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnavailableError, match="could not be saved"):
        fluid.io.save_params(model.exe, tmp_path / "file")


def test_loading_keeps_plans_alive(model, tmp_path):
    """A plan holds the cells of the scope, so loaded values are what it reads next."""
    (before,) = model.run(model.feed, [model.loss])
    fluid.io.save_persistables(model.exe, tmp_path)
    (first,) = model.run(model.feed, [model.loss])
    fluid.io.load_persistables(model.exe, tmp_path)
    (again,) = model.run(model.feed, [model.loss])
    assert first == again != before
