"""`fluid.save`, `fluid.load` and program states."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fluidlite as fluid
from fluidlite.errors import EnforceNotMet, InvalidArgumentError, NotFoundError, UnavailableError
from fluidlite.scope import RANDOM_STEP


@pytest.fixture
def model(fresh):
    x = fluid.data("x", [None, 3])
    loss = fluid.layers.mean(fluid.layers.square(fluid.layers.fc(x, 2)))
    fluid.optimizer.Adam(0.1).minimize(loss)
    fresh.start()
    fresh.feed = {"x": np.ones((5, 3), np.float32)}
    fresh.run(fresh.feed)
    return fresh


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "folder" / "model")


def test_there_and_back(model, path):
    fluid.save(model.main, path)
    saved = model.snapshot()
    for suffix in ("", ".pdparams", ".pdopt", ".pdmodel"):
        model.run(model.feed)
        fluid.load(model.main, path + suffix)
        assert model.snapshot() == saved
    assert sorted(os.listdir(os.path.dirname(path))) == ["model.pdmodel", "model.pdopt", "model.pdparams"]
    with fluid.scope_guard(fluid.Scope()) as _:
        fluid.load(model.main, path, model.exe)
        assert model.exe.run(model.main, feed=model.feed, fetch_list=["fc_0.w_0"])[0].shape == (3, 2)


def test_the_files_are_pickles_and_a_program(model, path):
    fluid.save(model.main, path)
    contents = {}
    for suffix in (".pdparams", ".pdopt"):
        with open(path + suffix, "rb") as file:
            contents[suffix] = pickle.load(file)
    assert list(contents[".pdparams"]) == ["fc_0.w_0", "fc_0.b_0"]
    assert contents[".pdparams"]["fc_0.w_0"].tobytes() == model.value("fc_0.w_0").tobytes()
    others = [v.name for v in model.main.list_vars() if v.persistable and not fluid.io.is_parameter(v)]
    assert list(contents[".pdopt"]) == others and "learning_rate_0" in others
    with open(path + ".pdmodel", "rb") as file:
        read = fluid.Program.parse_from_string(file.read())
    assert [op.type for op in read.global_block().ops] == [op.type for op in model.main.global_block().ops]


def test_a_program_without_optimizer_needs_no_optimizer_file(fresh, path):
    fluid.layers.fc(fluid.data("x", [None, 3]), 2)
    fresh.start()
    fluid.save(fresh.main, path)
    os.remove(path + ".pdopt")
    fluid.load(fresh.main, path)
    assert set(fluid.load_program_state(path)) == {"fc_0.w_0", "fc_0.b_0"}


def test_files_of_save_persistables(model, tmp_path):
    folder = str(tmp_path / "files")
    fluid.io.save_persistables(model.exe, folder)
    fluid.io.save_params(model.exe, str(tmp_path), filename="all")
    saved = model.snapshot()
    model.run(model.feed)
    fluid.load(model.main, folder, model.exe)
    assert model.snapshot() == saved
    model.run(model.feed)
    fluid.load(model.main, str(tmp_path / "all"), model.exe, model.main.all_parameters())
    assert model.snapshot()["fc_0.w_0"] == saved["fc_0.w_0"]
    # What a process that was killed while it saved has left.
    (tmp_path / "files" / ".saving-0123").write_bytes(b"")
    fluid.load(model.main, folder, model.exe)
    (tmp_path / "files" / "other").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"\[ other \] not used"):
        fluid.load(model.main, folder, model.exe)


def test_states(model, path, tmp_path):
    fluid.save(model.main, path)
    saved = model.snapshot()
    folder = str(tmp_path / "files")
    fluid.io.save_persistables(model.exe, folder)
    fluid.io.save_params(model.exe, str(tmp_path), filename="all")
    state = fluid.load_program_state(path)
    assert {name: value.tobytes() for name, value in state.items()} == saved
    from_files = fluid.load_program_state(folder)
    assert {name: value.tobytes() for name, value in from_files.items()} == saved
    parameters = model.main.all_parameters()
    assert set(fluid.load_program_state(str(tmp_path / "all"), parameters)) == {"fc_0.w_0", "fc_0.b_0"}
    assert set(fluid.load_program_state(folder, parameters)) == {"fc_0.w_0", "fc_0.b_0"}
    model.run(model.feed)
    fluid.set_program_state(model.main, state)
    assert model.snapshot() == saved
    state["fc_0.w_0"][:] = 0
    assert model.snapshot() == saved
    with pytest.warns(UserWarning, match="There are: nobody"):
        fluid.set_program_state(model.main, {"nobody": np.zeros(1)})


def test_a_state_that_does_not_fit(model):
    before = model.snapshot()
    good = {"fc_0.w_0": np.zeros((3, 2), np.float32)}
    for bad in (np.zeros(3, np.float32), np.zeros(2, np.float64), "text", None):
        with pytest.raises(InvalidArgumentError, match="(?s)'fc_0.b_0' does not match.*expected: shape"):
            fluid.set_program_state(model.main, {**good, "fc_0.b_0": bad})
        assert model.snapshot() == before
    with fluid.scope_guard(fluid.Scope()), pytest.raises(UnavailableError, match="run startup program"):
        fluid.set_program_state(model.main, good)


def test_names_of_dygraph_are_no_variables(model, path):
    """Dicts of other programs hold more than arrays."""
    fluid.save(model.main, path)
    with open(path + ".pdparams", "rb") as file:
        state = pickle.load(file)
    with open(path + ".pdparams", "wb") as file:
        pickle.dump({**state, "StructuredToParameterName@@": {"weight": "fc_0.w_0"}}, file, protocol=2)
    fluid.load(model.main, path)
    assert fluid.load_program_state(path)["StructuredToParameterName@@"] == {"weight": "fc_0.w_0"}


def _other_shape(model, path):
    with open(path + ".pdparams", "wb") as file:
        pickle.dump({"fc_0.w_0": np.zeros((2, 3), np.float32), "fc_0.b_0": np.zeros(2, np.float32)}, file, 2)


def _without_bias(model, path):
    with open(path + ".pdparams", "wb") as file:
        pickle.dump({"fc_0.w_0": np.zeros((3, 2), np.float32), "fc_0.b_1": np.zeros(2, np.float32)}, file, 2)


def _a_dict_for_a_parameter(model, path):
    with open(path + ".pdparams", "wb") as file:
        pickle.dump({"fc_0.w_0": {}, "fc_0.b_0": np.zeros(2, np.float32)}, file, 2)


def _cut_optimizer(model, path):
    os.truncate(path + ".pdopt", os.path.getsize(path + ".pdopt") - 1)


@pytest.mark.parametrize(
    ("damage", "error", "why"),
    [
        (_other_shape, InvalidArgumentError, r"(?s)'fc_0.w_0' does not match.*\(3, 2\).*\(2, 3\)"),
        (_without_bias, NotFoundError, r"(?s)Can not find \[fc_0.b_0\] in model file.*did you mean .*'fc_0.b_1'"),
        (_a_dict_for_a_parameter, InvalidArgumentError, "does not match"),
        (_cut_optimizer, InvalidArgumentError, r"model.pdopt' cannot be read"),
        (lambda m, p: os.remove(p + ".pdopt"), NotFoundError, r"model.pdopt' does not exist"),
    ],
)
def test_damage_changes_nothing(model, path, damage, error, why):
    fluid.save(model.main, path)
    model.run(model.feed)
    damage(model, path)
    before = model.snapshot()
    with pytest.raises(error, match=why):
        fluid.load(model.main, path)
    assert model.snapshot() == before


@pytest.mark.parametrize(
    ("call", "error", "why"),
    [
        (lambda m, d: fluid.load(m.main, d + "/model"), NotFoundError, "(?s)no model .*executor is required"),
        (lambda m, d: fluid.load(m.main, d + "/f"), InvalidArgumentError, "executor is required"),
        (lambda m, d: fluid.load(m.main, d + "/f", m.exe), InvalidArgumentError, "var_list is required"),
        (lambda m, d: fluid.load_program_state(d + "/f"), InvalidArgumentError, "var_list can not be None"),
        (lambda m, d: fluid.load_program_state(d + "/no"), NotFoundError, "no model"),
        (lambda m, d: fluid.load_program_state(d), InvalidArgumentError, "Variable 'f': file .*ends inside"),
        (lambda m, d: fluid.save(m.main, d + "/"), InvalidArgumentError, "dirname/filename"),
    ],
)
def test_errors(model, tmp_path, call, error, why):
    (tmp_path / "f").write_bytes(b"x")
    before = model.snapshot()
    with pytest.raises(error, match=why):
        call(model, str(tmp_path))
    assert model.snapshot() == before and os.listdir(tmp_path) == ["f"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    suffix=st.sampled_from([".pdparams", ".pdopt"]), changes=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)))
)
def test_flipped_bytes(model, path, suffix, changes):
    fluid.save(model.main, path)
    with open(path + suffix, "rb") as file:
        data = bytearray(file.read())
    for place, change in changes:
        data[int(place * (len(data) - 1))] ^= change
    with open(path + suffix, "wb") as file:
        file.write(data)
    before = model.snapshot()
    try:
        fluid.load(model.main, path)
    except EnforceNotMet:
        assert model.snapshot() == before


def test_a_program_with_an_op_that_fluid_lacks_is_saved_without_its_optimizer_part(fresh, tmp_path):
    ids = fluid.data("ids", [None], "int64")
    rows = fluid.layers.dropout(fluid.embedding(ids, size=[7, 3], is_sparse=True, param_attr="table"), 0.5)
    loss = fluid.layers.mean(rows)
    fluid.optimizer.SparseAdam(0.1).minimize(loss)
    fresh.start()
    fresh.run(feed={"ids": [3, 5]})
    values, program = fresh.snapshot(), fresh.main.serialize_to_string()
    with pytest.warns(UserWarning, match="without its backward and optimizer part: Fluid has no op sparse_adam"):
        fluid.save(fresh.main, tmp_path / "m")
    saved = fluid.Program.parse_from_string((tmp_path / "m.pdmodel").read_bytes())
    assert [op.type for op in saved.global_block().ops] == ["lookup_table_v2", "dropout", "mean"]
    assert fresh.main.serialize_to_string() == program
    fresh.start()
    fluid.load(fresh.main, tmp_path / "m")
    assert {n: v for n, v in fresh.snapshot().items() if n != RANDOM_STEP} == {
        n: v for n, v in values.items() if n != RANDOM_STEP
    }
    with pytest.warns(UserWarning, match="__model__.main_program.*without its backward"):
        fluid.io.save_inference_model(tmp_path, ["ids"], [loss], fresh.exe, export_for_deployment=False)
    data = (tmp_path / "__model__.main_program").read_bytes()
    assert {op.type for op in fluid.Program.parse_from_string(data).global_block().ops} == {
        "lookup_table_v2",
        "dropout",
        "mean",
        "scale",
    }
