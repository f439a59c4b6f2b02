"""What may be fed: exact conversions are made, inexact ones refused, and what the user fed is never written to."""

import warnings

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.errors import InvalidArgumentError, InvalidTypeError

layers = fluid.layers


def feed(fresh, value, dtype="float32", shape=(None,)):
    """What the program sees when `value` is fed to a variable."""
    x = fluid.data("x", list(shape), dtype)
    (seen,) = fresh.run({"x": value}, [x])
    return seen


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.array([1, -2], np.int32), "int64"),
        (np.array([1, 2], np.uint8), "int64"),
        (np.array([1, 2**63 - 1], np.uint64), "int64"),
        (np.array([2**31 - 1, -(2**31)], np.int64), "int32"),
        (np.array([True, False]), "int64"),
        (np.array([True, False]), "float32"),
        (np.array([1, 0]), "bool"),
        (np.array([2**24, -5]), "float32"),
        (np.array([2**53, -5]), "float64"),
        (np.array([1.5, -2.0], np.float16), "float32"),
        (np.array([1.5, -2.0], np.float32), "float64"),
        (np.array([1.5, -2.0], ">f4"), "float32"),
        (np.array([1, 2], ">i8"), "int64"),
        ([1, 2], "int64"),
        ((1, 2), "int64"),
        ([1, 2.5], "float32"),
        ([True, False], "bool"),
        ([], "int64"),
        ([], "float32"),
    ],
)
def test_exact_values_are_accepted(fresh, value, dtype):
    seen = feed(fresh, value, dtype)
    assert seen.dtype == dtype
    np.testing.assert_array_equal(seen, np.asarray(value, dtype))


@pytest.mark.parametrize(
    ("value", "dtype", "named"),
    [
        (np.array([1, 2**63], np.uint64), "int64", "9223372036854775808"),
        (np.array([2**64 - 1], np.uint64), "int64", "18446744073709551615"),
        ([2**63], "int64", "9223372036854775808"),
        (np.array([7, 2**31]), "int32", "2147483648"),
        (np.array([-1]), "uint8", "-1"),
        (np.array([0, 2]), "bool", "2"),
        (np.array([2**24 + 1]), "float32", "16777217"),
        (np.array([2**53 + 1]), "float64", "9007199254740993"),
        (np.array([2**63 - 1]), "float32", "9223372036854775807"),
        (np.array([1.0, 1e39]), "float32", "1e+39"),
        (np.array([-1e300]), "float32", "-1e+300"),
    ],
)
def test_inexact_integers_and_overflows_are_refused_and_named(fresh, value, dtype, named):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InvalidArgumentError, match="fed Variable 'x'") as caught:
            feed(fresh, value, dtype)
    assert named in str(caught.value)
    assert __file__ in caught.value.where


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.array([1.0, 2.0], np.float32), "int64"),
        (np.array([1.0, 2.0]), "int32"),
        ([1.0, 2.0], "int64"),
        (np.array([1.0]), "bool"),
        (np.array(["1", "2"]), "int64"),
        (np.array([1 + 2j]), "float32"),
        (np.array([None]), "float32"),
        ([2**64], "int64"),
        (np.array(["2020-01-01"], "datetime64[D]"), "int64"),
    ],
)
def test_other_kinds_of_values_are_refused(fresh, value, dtype):
    with pytest.raises(InvalidTypeError, match="fed Variable 'x'") as caught:
        feed(fresh, value, dtype)
    assert caught.value.expected == dtype
    assert __file__ in caught.value.where


def test_float64_is_rounded_to_float32(fresh):
    seen = feed(fresh, np.array([0.1, 1 / 3, 1e-50, np.inf, -np.inf, np.nan]))
    np.testing.assert_array_equal(seen, np.array([0.1, 1 / 3, 0, np.inf, -np.inf, np.nan], np.float32))


def test_a_ragged_list_is_refused_and_told_about_lod(fresh):
    with pytest.raises(InvalidArgumentError, match="'x'") as caught:
        feed(fresh, [[1.0, 2.0], [3.0]])
    assert "create_lod_tensor" in caught.value.hint


def test_a_variable_fed_is_refused(fresh):
    y = fluid.data("y", [None])
    with pytest.raises(InvalidTypeError, match="'x'"):
        feed(fresh, y)


@pytest.mark.parametrize("shape", [(4,), (4, 2, 1), (4, 5), ()])
def test_fluid_data_checks_rank_and_dimensions(fresh, shape):
    with pytest.raises(InvalidArgumentError, match="fed Variable 'x'") as caught:
        feed(fresh, np.zeros(shape, np.float32), shape=(None, 2))
    assert caught.value.expected == "(-1, 2)"
    assert caught.value.actual == str(shape)
    assert __file__ in caught.value.where


@pytest.mark.parametrize("n", [0, 1, 7])
def test_an_unknown_dimension_takes_any_length(fresh, n):
    assert feed(fresh, np.zeros((n, 2), np.float32), shape=(None, 2)).shape == (n, 2)


@pytest.mark.parametrize("shape", [(3, 7), (3, 2, 2), (5,)])
def test_layers_data_lets_other_shapes_pass(fresh, shape):
    x = layers.data("x", [4])
    value = np.full(shape, 2, np.float32)
    (squared,) = fresh.run({"x": value}, [layers.square(x)])
    np.testing.assert_array_equal(squared, value**2)


def test_layers_data_is_refused_by_the_op_that_cannot_run(fresh):
    y = layers.fc(layers.data("x", [4]), 2)
    fresh.start()
    assert fresh.run({"x": np.ones((3, 2, 2), np.float32)}, [y])[0].shape == (3, 2)
    with pytest.raises(InvalidArgumentError, match="mul") as caught:
        fresh.run({"x": np.ones((3, 5), np.float32)}, [y])
    assert "'x'" in str(caught.value) or "x (3, 5)" in str(caught.value)
    assert __file__ in caught.value.where


LAYOUTS = {
    "non-contiguous columns": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "non-contiguous rows": lambda a: np.repeat(a, 2, axis=0)[::2],
    "Fortran order": np.asfortranarray,
    "reversed": lambda a: a[::-1].copy()[::-1],
    "one row broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_any_memory_layout_is_accepted(fresh, layout):
    array = layout(np.arange(15, dtype=np.float32).reshape(5, 3))
    seen = feed(fresh, array, shape=(None, 3))
    np.testing.assert_array_equal(seen, array)
    assert seen.flags.c_contiguous
    assert seen.flags.writeable


MODELS = {
    "relu": layers.relu,
    "scale": lambda x: x * 2.0 + 1.0,
    "reshape then relu": lambda x: layers.relu(layers.reshape(x, [0, 3, 1])),
    "slice then sigmoid": lambda x: layers.sigmoid(x[:, 1:]),
    "reverse then tanh": lambda x: layers.tanh(x[::-1]),
    "x + x": lambda x: layers.elementwise_add(x, x),
    "softmax": layers.softmax,
    "square, sqrt": lambda x: layers.sqrt(layers.square(x) + 0.5),
    "clip": lambda x: layers.clip(x, 0.0, 1.0),
    "l2_normalize": lambda x: layers.l2_normalize(x, axis=1),
    "fc": lambda x: layers.fc(x, 3, act="relu"),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_fed_arrays_are_never_written_to(fresh, model):
    x = fluid.data("x", [None, 3])
    x.stop_gradient = False
    y = model(x)
    fluid.append_backward(layers.mean(y))
    fresh.start()
    array = np.linspace(-2, 2, 15, dtype=np.float32).reshape(5, 3)
    before = array.copy()
    writable = fresh.run({"x": array}, [y, "x@GRAD"])
    np.testing.assert_array_equal(array, before)
    array.flags.writeable = False
    read_only = fresh.run({"x": array}, [y, "x@GRAD"])
    for a, b in zip(writable, read_only, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("fetch", ["the fed variable", "a reshape of it"])
def test_what_is_fetched_is_not_the_fed_array(fresh, fetch):
    x = fluid.data("x", [None, 3])
    y = x if fetch == "the fed variable" else layers.reshape(x, [-1])
    array = np.ones((2, 3), np.float32)
    (seen,) = fresh.run({"x": array}, [y])
    seen[...] = 7
    np.testing.assert_array_equal(array, np.ones((2, 3)))


def test_a_fed_parameter_is_not_written_to(fresh):
    loss = layers.mean(layers.fc(fluid.data("x", [None, 3]), 1, param_attr="w", bias_attr=False))
    fluid.optimizer.SGD(0.1).minimize(loss)
    fresh.start()
    w = np.ones((3, 1), np.float32)
    fresh.run({"x": np.ones((2, 3), np.float32), "w": w}, [loss])
    np.testing.assert_array_equal(w, np.ones((3, 1)))


def test_a_learning_rate_can_be_fed(fresh):
    loss = layers.mean(layers.fc(fluid.data("x", [None, 3]), 1, param_attr="w", bias_attr=False))
    fluid.optimizer.SGD(0.1).minimize(loss)
    fresh.start()
    before = fresh.value("w")
    fresh.run({"x": np.ones((2, 3), np.float32), "learning_rate_0": np.array([0.5], np.float32)})
    np.testing.assert_allclose(fresh.value("w"), before - 0.5, rtol=1e-6)
    assert fresh.value("learning_rate_0") == np.float32(0.1)


def test_a_fed_temporary_cuts_off_what_made_it(fresh):
    x = fluid.data("x", [None, 2])
    y = x * 3.0
    z = y + 1.0
    (result,) = fresh.run({y.name: np.zeros((1, 2), np.float32)}, [z])
    np.testing.assert_array_equal(result, [[1, 1]])


def test_a_fed_temporary_can_be_fetched_as_it_was_fed(fresh):
    y = fluid.data("x", [None, 2]) * 3.0
    value = np.ones((1, 2), np.float32)
    for feed in ({y.name: value}, {y.name: value, "x": value}):
        np.testing.assert_array_equal(fresh.run(feed, [y])[0], value)


def test_feed_may_be_a_list_with_one_dict(fresh):
    x = fluid.data("x", [None])
    (result,) = fresh.run([{"x": np.ones(2, np.float32)}], [x * 2.0])
    np.testing.assert_array_equal(result, [2, 2])


@pytest.mark.parametrize("bad", [[{}, 3], [1], "x", 5, np.ones(3)])
def test_a_feed_that_is_no_dict_is_refused(fresh, bad):
    x = fluid.data("x", [None])
    with pytest.raises(InvalidTypeError, match="feed is not a dict"):
        fresh.run(bad, [x * 2.0])


def test_a_variable_as_key_is_refused_and_told_to_use_its_name(fresh):
    x = fluid.data("x", [None])
    with pytest.raises(InvalidTypeError, match="feed") as caught:
        fresh.run({x: np.ones(2, np.float32)}, [x * 2.0])
    assert "name" in str(caught.value)


@pytest.mark.parametrize("kind", ["array", "LoDTensor", "list"])
def test_kinds_of_values_may_change_from_run_to_run(fresh, kind):
    x = fluid.data("x", [None, 2])
    y = x * 2.0
    values = {
        "array": np.ones((3, 2), np.float32),
        "LoDTensor": fluid.create_lod_tensor(np.ones((3, 2), np.float32), [[2, 1]]),
        "list": [[1.0, 1.0]] * 3,
    }
    for other in ("array", kind, "LoDTensor", kind):
        (result,) = fresh.run({"x": values[other]}, [y], return_numpy=False)
        np.testing.assert_array_equal(np.array(result), np.full((3, 2), 2))
        assert result.lod() == ([[0, 2, 3]] if other == "LoDTensor" else [])


def test_a_lod_tensor_is_checked_like_an_array(fresh):
    with pytest.raises(InvalidArgumentError, match="fed Variable 'x'"):
        feed(fresh, fluid.create_lod_tensor(np.ones((3, 2), np.float32), [[2, 1]]), shape=(None, 5))


def test_an_empty_lod_tensor_is_refused_by_name(fresh):
    with pytest.raises(fluid.EnforceNotMet, match="'x'"):
        feed(fresh, fluid.LoDTensor())


def test_a_misspelt_name_warns_and_names_the_nearest(fresh):
    word, other = fluid.data("word", [None]), fluid.data("other", [None])
    feeds = {"wrod": np.ones(2, np.float32), "other": np.ones(2, np.float32)}
    with pytest.warns(UserWarning, match="no variable 'wrod'; did you mean 'word'") as caught:
        fresh.exe.run(fresh.main, feed=feeds, fetch_list=[other * 2.0])
    assert caught[0].filename == __file__
    assert word.name == "word"


def test_a_name_unlike_any_warns_too(fresh):
    x = fluid.data("x", [None])
    with pytest.warns(UserWarning, match="no variable 'something'"):
        fresh.run({"x": np.ones(2, np.float32), "something": np.ones(2)}, [x * 2.0])


def test_a_feed_that_nobody_needs_is_silently_left_alone(fresh):
    x, y = fluid.data("x", [None]), fluid.data("y", [None])
    (result,) = fresh.run({"x": [1.0], "y": [5.0]}, [x * 2.0])
    assert (result, y.name) == (2, "y")
