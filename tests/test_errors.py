"""Bad input: one clear sentence with variable, op and place; nothing changed; and the Executor goes on working."""

import math
import pickle
from typing import NamedTuple

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite import errors
from fluidlite.buffers import memory_limit
from fluidlite.optimizer import SGD, Adam, SparseAdam

layers = fluid.layers
V, D, C = 7, 3, 5


class Model(NamedTuple):
    loss: fluid.Variable
    score: fluid.Variable


def word_model(optimizer=None):
    """Word ids and labels -> a softmax over C classes; a sparse table and dense weights, trained together."""
    word = fluid.data("word", [None, 2], "int64")
    label = fluid.data("label", [None, 1], "int64")
    rows = fluid.embedding(word, [V, D], is_sparse=True, param_attr="table")
    score = layers.fc(layers.reshape(rows, [0, 2 * D]), C, act="softmax", param_attr="w")
    loss = layers.mean(layers.cross_entropy(score, label))
    (optimizer or Adam(0.1, lazy_mode=True)).minimize(loss)
    return Model(loss, score)


def batch(**changed):
    good = {"word": np.array([[0, 1], [V - 1, 1], [3, 3]]), "label": np.array([[0], [C - 1], [2]])}
    return good | changed


def check(error, builtin, *named, where=True):
    """An error is ours and a built-in one, its first sentence says what is wrong, and it leads to the user's code."""
    assert isinstance(error, fluid.EnforceNotMet)
    assert isinstance(error, builtin)
    first = str(error).splitlines()[0]
    assert first == error.summary
    for name in named:
        assert name in first, first
    if where:
        assert error.where is not None, first
        assert __file__ in error.where


def refused(fresh, model, builtin, *named, feed=None, fetch=None, where=True):
    """A run of a trained model is refused, changes nothing, and the same Executor trains on as if it had not been."""
    before = fresh.snapshot()
    with pytest.raises(fluid.EnforceNotMet) as caught:
        fresh.run(batch() if feed is None else feed, [model.loss] if fetch is None else fetch)
    check(caught.value, builtin, *named, where=where)
    assert fresh.snapshot() == before
    (loss,) = fresh.run(batch(), [model.loss])
    assert np.isfinite(loss).all()
    assert fresh.snapshot() != before
    return caught.value


@pytest.fixture
def model(fresh):
    """A model whose Executor has trained two steps."""
    made = word_model()
    fresh.start()
    for _ in range(2):
        fresh.run(batch(), [made.loss])
    return made


# What is fed


@pytest.mark.parametrize(("bad", "position"), [(V, 3), (-1, 3), (2**40, 3), (-(2**63), 0)])
def test_an_id_outside_the_table_is_named_with_its_position_and_the_height(fresh, model, bad, position):
    word = batch()["word"]
    word.reshape(-1)[position] = bad
    named = f"Id {bad} ", f"position {position} ", "'word'", "'table'"
    error = refused(fresh, model, IndexError, *named, feed=batch(word=word))
    assert str(V) in error.expected
    assert error.actual == str(bad)


def test_the_first_of_several_bad_ids_is_the_one_named(fresh, model):
    refused(fresh, model, IndexError, "Id -3 at position 1", feed=batch(word=np.array([[0, -3], [9, 1], [3, 8]])))


def test_float_ids_are_refused_at_feed(fresh, model):
    refused(fresh, model, TypeError, "'word'", "int64", feed=batch(word=batch()["word"].astype(np.float32)))


@pytest.mark.parametrize("shape", [(6,), (3, 4), (3, 2, 1)])
def test_a_wrong_rank_or_dimension_is_refused_at_feed(fresh, model, shape):
    refused(fresh, model, ValueError, "'word'", feed=batch(word=np.zeros(shape, np.int64)))


def test_feeds_that_do_not_fit_each_other_are_refused_by_the_op_that_cannot_run(fresh, model):
    error = refused(fresh, model, ValueError, "cross_entropy", feed=batch(label=np.array([[0], [1]])))
    assert "'label'" in str(error) or "label (2, 1)" in str(error)


@pytest.mark.parametrize("bad", [C, -1, 2**40])
def test_a_label_that_is_no_class_is_named_with_its_position(fresh, model, bad):
    refused(fresh, model, IndexError, str(bad), "position 1", "'label'", feed=batch(label=np.array([[0], [bad], [2]])))


def test_a_missing_feed_is_named(fresh, model):
    error = refused(fresh, model, LookupError, "'label'", feed={"word": batch()["word"]})
    assert "int64" in error.expected


def test_a_misspelt_feed_is_missed_under_its_right_name(fresh, model):
    feed = {"word": batch()["word"], "labels": batch()["label"]}
    with pytest.warns(UserWarning, match="'labels'; did you mean 'label'"):
        error = refused(fresh, model, LookupError, "'label'", feed=feed)
    assert "'labels'" in error.hint


def test_no_feed_at_all(fresh, model):
    refused(fresh, model, LookupError, "'word'", feed={})


@pytest.mark.parametrize("layer", [layers.cross_entropy, layers.softmax_with_cross_entropy])
def test_a_float_label_is_a_type_error_that_names_it(fresh, layer):
    scores, label = fluid.data("scores", [None, C]), fluid.data("float_label", [None, 1])
    with pytest.raises(fluid.EnforceNotMet) as caught:
        loss = layer(scores, label)
        fresh.run({"scores": np.full((2, C), 0.2, np.float32), "float_label": np.ones((2, 1), np.float32)}, [loss])
    assert isinstance(caught.value, TypeError)
    assert "'float_label'" in caught.value.summary


# What is fetched


def test_an_unknown_fetch_names_the_nearest(fresh, model):
    error = refused(fresh, model, LookupError, "'mean_0.tmp_1'", fetch=["mean_0.tmp_1"], where=False)
    assert f"'{model.loss.name}'" in error.hint


def test_a_variable_that_no_op_computes_cannot_be_fetched(fresh, model):
    orphan = layers.create_tensor("float32", name="orphan")
    refused(fresh, model, LookupError, "'orphan'", fetch=[orphan])


@pytest.mark.parametrize("bad", [[5], [None], [["a"]], [np.ones(2)], 5])
def test_a_bad_fetch_type_is_refused(fresh, model, bad):
    refused(fresh, model, TypeError, "fetch_list", fetch=bad, where=False)


# What is in the scope


def test_main_before_startup_names_the_parameter(fresh):
    model = word_model()
    with pytest.raises(fluid.EnforceNotMet) as caught:
        fresh.run(batch(), [model.loss])
    check(caught.value, RuntimeError, "table", "not initialized")
    assert "startup" in caught.value.hint
    fresh.start()
    fresh.run(batch(), [model.loss])


def test_fetching_a_parameter_before_startup_names_it(fresh):
    word_model()
    with pytest.raises(RuntimeError, match="'w'"):
        fresh.exe.run(fresh.main.clone(for_test=True), fetch_list=["w"], scope=fresh.scope)


@pytest.mark.parametrize("optimizer", [SGD, Adam, SparseAdam])
@pytest.mark.parametrize("rate", [math.nan, math.inf, -math.inf])
def test_a_learning_rate_that_is_not_finite_is_refused_by_the_constructor(optimizer, rate):
    with pytest.raises(fluid.EnforceNotMet) as caught:
        optimizer(rate)
    check(caught.value, ValueError, "learning rate", optimizer.__name__.removesuffix("Optimizer"), where=False)


@pytest.mark.parametrize("rate", ["0.1", None, True, [0.1]])
def test_a_learning_rate_of_another_type_is_refused(rate):
    with pytest.raises(fluid.EnforceNotMet) as caught:
        SGD(rate)
    check(caught.value, TypeError, "learning rate should be float or Variable", where=False)


@pytest.mark.parametrize("rate", [math.nan, math.inf])
@pytest.mark.parametrize("make", [SGD, Adam, lambda r: Adam(r, lazy_mode=True)], ids=["SGD", "Adam", "lazy Adam"])
def test_a_learning_rate_set_to_nan_in_the_scope_updates_nothing(fresh, make, rate):
    model = word_model(make(0.1))
    fresh.start()
    fresh.run(batch(), [model.loss])
    fresh.set("learning_rate_0", np.array([rate], np.float32))
    before = fresh.snapshot()
    with pytest.raises(fluid.EnforceNotMet) as caught:
        fresh.run(batch(), [model.loss])
    check(caught.value, ArithmeticError, "'learning_rate_0'")
    assert fresh.snapshot() == before
    fresh.set("learning_rate_0", np.array([0.1], np.float32))
    fresh.run(batch(), [model.loss])
    assert fresh.snapshot()["table"] != before["table"]


def test_a_computed_learning_rate_that_becomes_nan_updates_nothing(fresh):
    base = fluid.data("base", [1])
    model = word_model(SGD(layers.sqrt(base)))
    fresh.start()
    before = fresh.snapshot()
    with pytest.raises(fluid.EnforceNotMet) as caught, np.errstate(invalid="ignore"):
        fresh.run(batch(base=np.array([-1], np.float32)), [model.loss])
    check(caught.value, ArithmeticError, "learning rate", "sqrt_0.tmp_0")
    assert fresh.snapshot() == before


def test_a_factor_of_one_parameter_that_is_nan_updates_no_other_parameter(fresh):
    x = fluid.data("x", [None, 3])
    hidden = layers.fc(x, 2, param_attr="first", bias_attr=False)
    try:
        out = layers.fc(hidden, 1, param_attr=fluid.ParamAttr("second", learning_rate=math.nan), bias_attr=False)
    except ValueError as error:
        check(error, ValueError, "learning_rate", where=False)
        return
    SGD(0.1).minimize(layers.mean(out))
    fresh.start()
    before = fresh.snapshot()
    with pytest.raises(fluid.EnforceNotMet):
        fresh.run({"x": np.ones((2, 3), np.float32)})
    assert fresh.snapshot() == before


def test_a_table_larger_than_memory_says_how_much_it_needs(fresh):
    fluid.embedding(fluid.data("ids", [None], "int64"), [10**9, 1000], param_attr="huge")
    with pytest.raises(fluid.EnforceNotMet) as caught:
        fresh.start()
    check(caught.value, MemoryError, "'huge'", "(1000000000, 1000)", "4,000 GB")
    assert fresh.snapshot() == {}


def test_a_zero_table_larger_than_memory_is_refused_too(fresh):
    attr = fluid.ParamAttr("huge", initializer=fluid.initializer.Constant(0.0))
    fluid.embedding(fluid.data("ids", [None], "int64"), [10**9, 1000], param_attr=attr)
    with pytest.raises(fluid.EnforceNotMet) as caught:
        fresh.start()
    check(caught.value, MemoryError, "'huge'", "4,000 GB")


def test_many_tables_that_do_not_fit_together_are_refused_before_the_first_is_made(fresh):
    rows = int(memory_limit() * 0.7) // 4000
    ids = fluid.data("ids", [None], "int64")
    for name in ("one", "two"):
        fluid.embedding(ids, [rows, 1000], param_attr=name)
    with pytest.raises(MemoryError, match="2 persistable variables"):
        fresh.start()
    assert fresh.snapshot() == {}


# How a program is built


def nothing_built(fresh, build, builtin, *named, where=True):
    """Building is refused and leaves both programs as they were."""
    before = [describe(p) for p in (fresh.main, fresh.startup)]
    with pytest.raises(fluid.EnforceNotMet) as caught:
        build()
    assert [describe(p) for p in (fresh.main, fresh.startup)] == before
    check(caught.value, builtin, *named, where=where)
    return caught.value


def describe(program):
    """Everything that is written in a program."""
    block = program.global_block()
    ops = [(op.type, op.inputs, op.outputs, {k: str(v) for k, v in op.attrs.items()}) for op in block.ops]
    return ops, [str(v) for v in block.vars.values()]


@pytest.mark.parametrize(
    "size", [[V], [V, D, 2], V, [0, D], [V, 0], [-1, D], None, "ab", [V, 2.5], [V, "3"], [None, D]]
)
@pytest.mark.parametrize("layer", [layers.embedding, fluid.embedding], ids=["layers", "fluid"])
def test_a_size_that_is_not_rows_and_width_is_refused(fresh, layer, size):
    ids = layers.data("ids", [1], dtype="int64")
    nothing_built(fresh, lambda: layer(ids, size), ValueError, "embedding", "size", where=False)


def test_numpy_integers_make_a_size(fresh):
    assert fluid.embedding(fluid.data("ids", [None], "int64"), [np.int64(V), np.int32(D)]).shape == (-1, D)


def test_float_ids_are_refused_when_the_layer_is_made(fresh):
    ids = fluid.data("ids", [None])
    build = lambda: fluid.embedding(ids, [V, D])  # noqa: E731
    nothing_built(fresh, build, TypeError, "'input'", "fluid.embedding", "'ids'", where=False)


def test_an_array_given_to_a_layer_is_refused_and_told_to_be_fed(fresh):
    error = nothing_built(fresh, lambda: layers.fc(np.ones((2, 3)), 1), TypeError, "'input'", "fc", where=False)
    assert "feed" in error.hint


@pytest.mark.parametrize("padding", [V, -V - 1])
def test_a_padding_idx_outside_the_table_is_refused(fresh, padding):
    ids = fluid.data("ids", [None], "int64")
    build = lambda: fluid.embedding(ids, [V, D], padding_idx=padding)  # noqa: E731
    nothing_built(fresh, build, ValueError, "padding_idx", where=False)


def test_ids_without_a_last_dimension_of_one_are_refused_by_the_older_layer(fresh):
    ids = fluid.data("ids", [None, 2], "int64")
    with pytest.raises(fluid.EnforceNotMet) as caught:
        layers.embedding(ids, [V, D])
    check(caught.value, ValueError, "lookup_table", "'ids'")


def test_two_shapes_under_one_parameter_name_are_refused(fresh):
    ids = fluid.data("ids", [None], "int64")
    fluid.embedding(ids, [V, D], param_attr="table")
    build = lambda: fluid.embedding(ids, [V + 1, D], param_attr="table")  # noqa: E731
    nothing_built(fresh, build, ValueError, "table", "(7, 3)", "(8, 3)")


def test_two_dtypes_under_one_parameter_name_are_refused_and_both_are_named(fresh):
    ids = fluid.data("ids", [None], "int64")
    fluid.embedding(ids, [V, D], param_attr="table")
    build = lambda: fluid.embedding(ids, [V, D], param_attr="table", dtype="float64")  # noqa: E731
    nothing_built(fresh, build, ValueError, "table", "float32", "float64")


@pytest.mark.parametrize("name", ["minimize", "append_backward"])
def test_a_loss_that_is_no_scalar_is_refused(fresh, name):
    model = layers.fc(fluid.data("x", [None, 3]), 2)
    build = {"minimize": lambda: SGD(0.1).minimize(model), "append_backward": lambda: fluid.append_backward(model)}
    nothing_built(fresh, build[name], ValueError, f"'{model.name}'", "(-1, 2)")


@pytest.mark.parametrize("loss", [3.0, None, "mean_0.tmp_0", np.ones(1)])
def test_a_loss_that_is_no_variable_is_refused(fresh, loss):
    for takes_loss in (SGD(0.1).minimize, SGD(0.1).backward, fluid.append_backward):
        nothing_built(fresh, lambda f=takes_loss: f(loss), TypeError, "loss", where=False)


def test_a_loss_without_parameters_is_refused(fresh):
    loss = layers.mean(fluid.data("x", [None, 3]))
    nothing_built(fresh, lambda: SGD(0.1).minimize(loss), ValueError, "SGD", where=False)


@pytest.mark.parametrize("inputs", [("loss", "x"), (None, None), (3.0, 2)])
def test_gradients_of_what_is_no_variable_are_refused(fresh, inputs):
    nothing_built(fresh, lambda: fluid.gradients(*inputs), TypeError, where=False)


def test_a_dense_gradient_given_to_sparse_adam_is_refused_with_two_ways_out(fresh):
    ids = fluid.data("ids", [None], "int64")
    rows = fluid.embedding(ids, [V, D], is_sparse=True, param_attr="sparse")
    loss = layers.mean(layers.fc(rows, 2, param_attr="dense", bias_attr=False))
    error = nothing_built(fresh, lambda: SparseAdam(0.1).minimize(loss), ValueError, "SparseAdam", "'dense'", "dense")
    assert "is_sparse=True" in error.hint
    assert "another optimizer" in error.hint
    Adam(0.1, lazy_mode=True).minimize(loss)
    fresh.start()
    fresh.run({"ids": np.array([1, 2])}, [loss])


def test_sparse_adam_refuses_a_table_made_dense_by_one_of_its_look_ups(fresh):
    ids = fluid.data("ids", [None], "int64")
    rows = [fluid.embedding(ids, [V, D], is_sparse=s, param_attr="table") for s in (True, False)]
    loss = layers.mean(layers.concat(rows, axis=1))
    nothing_built(fresh, lambda: SparseAdam(0.1).minimize(loss), ValueError, "'table'", "dense")


@pytest.mark.parametrize("whose", ["the optimizer's", "the parameter's"])
def test_sparse_adam_refuses_weight_decay(fresh, whose):
    decay = fluid.regularizer.L2Decay(0.01)
    mine, its = (decay, None) if whose == "the optimizer's" else (None, decay)
    ids = fluid.data("ids", [None], "int64")
    rows = fluid.embedding(ids, [V, D], is_sparse=True, param_attr=fluid.ParamAttr("table", regularizer=its))
    loss = layers.mean(rows)
    nothing_built(
        fresh, lambda: SparseAdam(0.1, regularization=mine).minimize(loss), ValueError, "SparseAdam", "'table'", "decay"
    )


def test_after_a_refused_minimize_another_optimizer_uses_the_usual_names(fresh):
    ids = fluid.data("ids", [None], "int64")
    loss = layers.mean(layers.fc(fluid.embedding(ids, [V, D], is_sparse=True), 2))
    with pytest.raises(ValueError, match="SparseAdam"):
        SparseAdam(0.1).minimize(loss)
    Adam(0.1).minimize(loss)
    assert "embedding_0.w_0_moment1_0" in fresh.main.global_block().vars
    assert "embedding_0.w_0@GRAD" in fresh.main.global_block().vars


@pytest.mark.parametrize("setting", [{"beta1": 1.0}, {"beta1": -0.1}, {"beta2": math.nan}, {"epsilon": -1.0}])
@pytest.mark.parametrize("optimizer", [Adam, SparseAdam])
def test_adam_settings_out_of_range_are_refused(optimizer, setting):
    with pytest.raises(fluid.EnforceNotMet) as caught:
        optimizer(0.1, **setting)
    check(caught.value, ValueError, next(iter(setting)), where=False)


@pytest.mark.parametrize("setting", [{"beta1": "0.9"}, {"epsilon": None}])
@pytest.mark.parametrize("optimizer", [Adam, SparseAdam])
def test_adam_settings_of_another_type_are_refused(optimizer, setting):
    with pytest.raises(fluid.EnforceNotMet) as caught:
        optimizer(0.1, **setting)
    check(caught.value, TypeError, next(iter(setting)), where=False)


def test_sparse_adam_says_that_it_takes_no_variable_as_beta(fresh):
    beta = layers.fill_constant([1], "float32", 0.9)
    with pytest.raises(fluid.EnforceNotMet) as caught:
        SparseAdam(0.1, beta1=beta)
    check(caught.value, TypeError, "beta1", "SparseAdam", where=False)


def test_mixed_dtypes_in_fc_and_elementwise_are_refused(fresh):
    x, y = fluid.data("x", [None, 3]), fluid.data("y", [None, 3], "float64")
    with pytest.raises(fluid.EnforceNotMet) as caught:
        layers.fc([x, y], 2)
    check(caught.value, TypeError, "fc_0", where=False)
    with pytest.raises(fluid.EnforceNotMet) as caught:
        layers.elementwise_add(x, y)
    check(caught.value, (TypeError, ValueError), "elementwise_add")


# The Executor itself


@pytest.mark.parametrize("program", ["main", 5, fluid.Program])
def test_what_is_no_program_is_refused(fresh, program):
    with pytest.raises(fluid.EnforceNotMet) as caught:
        fresh.exe.run(program)
    check(caught.value, TypeError, "Executor requires Program", where=False)


def test_what_is_no_scope_is_refused(fresh):
    fluid.data("x", [None])
    with pytest.raises(fluid.EnforceNotMet) as caught:
        fresh.exe.run(fresh.main, scope={})
    check(caught.value, TypeError, "scope", where=False)


def test_a_closed_executor_is_refused(fresh, model):
    fresh.exe.close()
    with pytest.raises(fluid.EnforceNotMet) as caught:
        fresh.run(batch(), [model.loss])
    check(caught.value, RuntimeError, "closed Executor", where=False)


# The flag that looks for NaN: see test_flags.py for its values


@pytest.fixture
def check_nan_inf():
    fluid.set_flags({"FLAGS_check_nan_inf": True})
    yield
    fluid.set_flags({"FLAGS_check_nan_inf": False})


def test_check_nan_inf_names_the_first_op_that_made_a_nan_and_nothing_is_updated(fresh, check_nan_inf):
    x = fluid.data("x", [None, 3])
    hidden = layers.fc(x, 2, param_attr="w")
    bad = layers.log(layers.scale(layers.square(hidden), -1.0))
    loss = layers.mean(layers.relu(bad))
    Adam(0.1).minimize(loss)
    fresh.start()
    before = fresh.snapshot()
    with pytest.raises(fluid.EnforceNotMet) as caught, np.errstate(invalid="ignore"):
        fresh.run({"x": np.ones((2, 3), np.float32)}, [loss])
    check(caught.value, ArithmeticError, "Op log ", f"'{bad.name}'")
    assert fresh.snapshot() == before


def test_check_nan_inf_finds_an_infinite_gradient_before_the_update(fresh, check_nan_inf):
    ids = fluid.data("ids", [None], "int64")
    factor = fluid.data("factor", [1])
    rows = fluid.embedding(ids, [V, D], is_sparse=True, param_attr="table")
    loss = layers.mean(layers.sqrt(layers.elementwise_mul(layers.square(rows), factor)))
    SparseAdam(0.1).minimize(loss)
    fresh.start()
    fresh.run({"ids": np.array([1, 2]), "factor": np.ones(1, np.float32)}, [loss])
    before = fresh.snapshot()
    with pytest.raises(fluid.EnforceNotMet) as caught, np.errstate(all="ignore"):
        fresh.run({"ids": np.array([1, 2]), "factor": np.zeros(1, np.float32)}, [loss])
    check(caught.value, ArithmeticError, "Op sqrt_grad ")
    assert fresh.snapshot() == before


def test_check_nan_inf_lets_finite_runs_pass_unchanged(fresh, model, check_nan_inf):
    with_check = fresh.run(batch(), [model.score])
    assert np.isfinite(with_check[0]).all()


def test_nan_is_carried_along_without_the_flag(fresh):
    y = layers.log(fluid.data("x", [None]))
    with np.errstate(invalid="ignore"):
        assert np.isnan(fresh.run({"x": [-1.0]}, [y])[0]).all()


# The error classes


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.InvalidArgumentError, ValueError),
        (errors.InvalidTypeError, TypeError),
        (errors.OutOfRangeError, IndexError),
        (errors.NotFoundError, LookupError),
        (errors.UnavailableError, RuntimeError),
        (errors.ResourceExhaustedError, MemoryError),
        (errors.NonFiniteError, ArithmeticError),
        (errors.PreconditionNotMetError, AssertionError),
    ],
)
def test_every_error_is_fluids_and_a_built_in_one(error, builtin):
    assert issubclass(error, fluid.core.EnforceNotMet)
    assert issubclass(error, builtin)


def test_an_error_reads_one_thing_a_line():
    error = errors.InvalidArgumentError("It is wrong.", expected="a", actual="b", where="c", hint="d")
    assert str(error).splitlines() == ["It is wrong.", "  expected: a", "  actual: b", "  where: c", "  hint: d"]
    assert str(errors.InvalidArgumentError("It is wrong.")) == "It is wrong."


def test_errors_survive_pickling():
    error = errors.OutOfRangeError("It is wrong.", expected="a", where="c")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert type(again) is type(error)


def test_nearest_names_close_names_alone():
    assert errors.nearest("wrod", ["word", "label"]) == "did you mean 'word'?"
    assert errors.nearest("wrod", ["something"]) is None
