"""Models saved for prediction: what is kept, what is named, what damaged files do."""

import os

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.errors import EnforceNotMet, InvalidArgumentError, InvalidTypeError, NotFoundError


@pytest.fixture
def model(fresh):
    """Two inputs, two heads, a label, an optimizer."""
    fresh.x, fresh.z = fluid.data("x", [None, 3]), fluid.data("z", [None, 2])
    label = fluid.data("label", [None, 1])
    fresh.hidden = fluid.layers.dropout(fluid.layers.fc([fresh.x, fresh.z], 4, act="relu"), 0.5)
    fresh.y, fresh.side = fluid.layers.fc(fresh.hidden, 1), fluid.layers.fc(fresh.x, 2)
    fluid.optimizer.Adam(0.1).minimize(fluid.layers.mean(fluid.layers.square_error_cost(fresh.y, label)))
    fresh.start()
    rng = np.random.default_rng(5)
    fresh.feed = {"x": rng.normal(size=(5, 3)).astype("float32"), "z": rng.normal(size=(5, 2)).astype("float32")}
    return fresh


def expected(model, *targets):
    test = model.main.clone(for_test=True)
    feed = model.feed | {"label": np.zeros((5, 1), "float32")}
    return model.exe.run(test, feed=feed, fetch_list=list(targets))


def test_there_and_back(model, tmp_path):
    program_before = model.main.serialize_to_string()
    found = fluid.io.save_inference_model(tmp_path, ["z", "x"], [model.y, model.hidden], model.exe)
    assert found == ["save_infer_model/scale_0.tmp_0", "save_infer_model/scale_1.tmp_0"]
    assert model.main.serialize_to_string() == program_before
    assert sorted(os.listdir(tmp_path)) == ["__model__", "fc_0.b_0", "fc_0.w_0", "fc_0.w_1", "fc_1.b_0", "fc_1.w_0"]
    with fluid.scope_guard(fluid.Scope()):
        program, feeds, fetches = fluid.io.load_inference_model(tmp_path, model.exe)
        results = model.exe.run(program, feed=model.feed, fetch_list=fetches)
        again = model.exe.run(program, feed=model.feed, fetch_list=found)
    assert feeds == ["z", "x"] and [v.name for v in fetches] == found
    for result, same, want in zip(results, again, expected(model, model.y, model.hidden), strict=True):
        assert result.tobytes() == same.tobytes() == want.tobytes()
    types = [op.type for op in program.global_block().ops]
    assert types == [
        "mul",
        "mul",
        "sum",
        "elementwise_add",
        "relu",
        "dropout",
        "mul",
        "elementwise_add",
        "scale",
        "scale",
    ]
    assert all(op.attr("is_test") for op in program.global_block().ops if op.type == "dropout")


def test_one_file_for_all_parameters(model, tmp_path):
    fluid.io.save_inference_model(tmp_path, "x", model.side, model.exe, model.main, "inner/program", "inner/params")
    assert sorted(os.listdir(tmp_path)) == ["params", "program"]
    with fluid.scope_guard(fluid.Scope()):
        program, feeds, fetches = fluid.io.load_inference_model(tmp_path, model.exe, "program", "params")
        (result,) = model.exe.run(program, feed={"x": model.feed["x"]}, fetch_list=fetches)
    assert feeds == ["x"] and result.tobytes() == expected(model, model.side)[0].tobytes()
    model_bytes, params = ((tmp_path / name).read_bytes() for name in ("program", "params"))
    with fluid.scope_guard(fluid.Scope()):
        program, _, fetches = fluid.io.load_inference_model(None, model.exe, model_bytes, params)
        (again,) = model.exe.run(program, feed={"x": model.feed["x"]}, fetch_list=fetches)
    assert again.tobytes() == result.tobytes()


def test_a_loaded_model_is_saved_again(model, tmp_path):
    fluid.io.save_inference_model(tmp_path / "one", ["x"], [model.side], model.exe)
    with fluid.scope_guard(fluid.Scope()):
        program, feeds, fetches = fluid.io.load_inference_model(tmp_path / "one", model.exe)
        found = fluid.io.save_inference_model(tmp_path / "two", feeds, fetches, model.exe, program)
        assert found == ["save_infer_model/scale_0.tmp_1"]
        program, feeds, fetches = fluid.io.load_inference_model(tmp_path / "two", model.exe)
        (result,) = model.exe.run(program, feed={"x": model.feed["x"]}, fetch_list=fetches)
    assert result.tobytes() == expected(model, model.side)[0].tobytes()


def test_the_whole_program(model, tmp_path):
    fluid.io.save_inference_model(tmp_path, ["x"], [model.side], model.exe, export_for_deployment=False)
    data = (tmp_path / "__model__.main_program").read_bytes()
    types = [op.type for op in fluid.Program.parse_from_string(data).global_block().ops]
    assert types == [op.type for op in model.main.global_block().ops] + ["scale"]
    assert "fc_0.w_0_moment1_0" in os.listdir(tmp_path)


def test_the_program_alone(model, tmp_path):
    with pytest.warns(UserWarning, match="program_only"):
        fluid.io.save_inference_model(tmp_path, ["x"], [model.side], model.exe, program_only=True)
    assert os.listdir(tmp_path) == ["__model__"]


def test_an_input_that_is_not_among_the_feeds(model, tmp_path):
    with pytest.warns(UserWarning, match="depend on 'z'"):
        fluid.io.save_inference_model(tmp_path, ["x"], [model.y], model.exe)
    fluid.io.save_inference_model(tmp_path, [], [model.y], model.exe)
    with fluid.scope_guard(fluid.Scope()):
        program, feeds, fetches = fluid.io.load_inference_model(tmp_path, model.exe)
        (result,) = model.exe.run(program, feed=model.feed, fetch_list=fetches)
    assert feeds == [] and result.tobytes() == expected(model, model.y)[0].tobytes()


def test_an_intermediate_can_be_fed(model, tmp_path):
    fluid.io.save_inference_model(tmp_path, [model.hidden.name], [model.y], model.exe)
    assert sorted(os.listdir(tmp_path)) == ["__model__", "fc_1.b_0", "fc_1.w_0"]
    (hidden, want) = expected(model, model.hidden, model.y)
    with fluid.scope_guard(fluid.Scope()):
        program, feeds, fetches = fluid.io.load_inference_model(tmp_path, model.exe)
        (result,) = model.exe.run(program, feed={feeds[0]: hidden}, fetch_list=fetches)
    assert result.tobytes() == want.tobytes()


@pytest.mark.parametrize(
    ("feeds", "targets", "error", "why"),
    [
        (["label"], lambda m: [m.side], InvalidArgumentError, "'label' cannot be saved: no target depends"),
        (["xx"], lambda m: [m.side], InvalidArgumentError, "'xx' cannot be saved: the program has no such variable"),
        ([3], lambda m: [m.side], InvalidArgumentError, "list of str"),
        (["x"], lambda m: [], InvalidArgumentError, "list of Variable"),
        (["x"], lambda m: ["y"], InvalidArgumentError, "list of Variable"),
    ],
)
def test_what_cannot_be_saved(model, tmp_path, feeds, targets, error, why):
    with pytest.raises(error, match=why):
        fluid.io.save_inference_model(tmp_path, feeds, targets(model), model.exe)
    assert not os.listdir(tmp_path)


def test_what_cannot_be_loaded(model, tmp_path):
    for args, error, why in (
        ((tmp_path / "no",), NotFoundError, "no directory"),
        ((tmp_path,), NotFoundError, "__model__' does not exist"),
        ((None,), InvalidTypeError, "cannot be None"),
    ):
        folder, files = args[0], args[1:]
        with pytest.raises(error, match=why):
            fluid.io.load_inference_model(folder, model.exe, *files)
    fluid.io.save_inference_model(tmp_path, ["x"], [model.side], model.exe)
    with pytest.raises(InvalidTypeError, match="(?s)not an Executor"):
        fluid.io.load_inference_model(tmp_path, None)
    os.remove(tmp_path / "fc_2.b_0")
    with pytest.raises(NotFoundError, match="'fc_2.b_0': file .* does not exist"):
        fluid.io.load_inference_model(tmp_path, model.exe)


def test_every_truncation_and_every_flipped_byte(fresh, tmp_path):
    """Nothing but errors of ours, and a scope that has not changed."""
    x = fluid.data("x", [None, 2])
    y = fluid.layers.fc(x, 1, param_attr="w", bias_attr=False)
    fresh.start()
    fluid.io.save_inference_model(tmp_path, ["x"], [y], fresh.exe, None, "m", "p")
    fresh.set("w", np.full((2, 1), 7, np.float32))
    files = {name: (tmp_path / name).read_bytes() for name in "mp"}
    # The map of compatible ops is not looked at.
    end = files["m"].index(b"bilinear_interp")
    before, rng, loaded = fresh.snapshot(), np.random.default_rng(1), 0
    for name, data in files.items():
        for n in range(len(data)) if name == "p" else range(end):
            flipped = data[:n] + bytes([data[n] ^ int(rng.integers(1, 256))]) + data[n + 1 :]
            for damaged in (data[:n], flipped):
                (tmp_path / name).write_bytes(damaged)
                try:
                    fluid.io.load_inference_model(tmp_path, fresh.exe, "m", "p")
                except EnforceNotMet:
                    assert fresh.snapshot() == before
                else:
                    loaded += 1
                    fresh.set("w", np.full((2, 1), 7, np.float32))
                    for extra in set(fresh.scope.local_var_names()) - set(before):
                        del fresh.scope._vars[extra]
        (tmp_path / name).write_bytes(data)
    assert loaded < end


def test_blocks_inside_ops(fresh, tmp_path):
    """Those that the targets need are kept, all others are dropped and the rest numbered anew."""
    from fluidlite.layers.control_flow import Switch

    x = fluid.data("x", [1])
    limit = fluid.layers.fill_constant([1], "float32", 2.0)
    results = []
    for name in ("unused", "used"):
        out = fluid.layers.create_global_var([1], 0.0, "float32", persistable=True, name=name)
        with Switch() as switch:
            with switch.case(x < limit):
                fluid.layers.assign(fluid.layers.fill_constant([1], "float32", 5.0), out)
            with switch.default():
                fluid.layers.assign(x, out)
        results.append(out)
    fresh.start()
    data = fresh.main.serialize_to_string()
    assert fluid.Program.parse_from_string(data).serialize_to_string() == data
    fluid.io.save_inference_model(tmp_path, ["x"], [results[1]], fresh.exe)
    assert sorted(os.listdir(tmp_path)) == ["__model__", "used"]
    with fluid.scope_guard(fluid.Scope()):
        program, _, fetches = fluid.io.load_inference_model(tmp_path, fresh.exe)
        assert [block.idx for block in program.blocks] == [0, 1, 2] and fresh.main.num_blocks == 5
        for value, want in ((1.0, 5.0), (3.0, 3.0)):
            feed = {"x": np.array([value], np.float32)}
            assert fresh.exe.run(program, feed=feed, fetch_list=fetches)[0] == [want]
