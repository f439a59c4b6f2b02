"""Layers that change shapes, take by index and count, in whole programs: views, memory, and what they refuse."""

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.errors import InvalidArgumentError, InvalidTypeError, OutOfRangeError


def run(fetch, feed=None, runs=1):
    """The fetched values of the last of several runs."""
    exe = fluid.Executor(fluid.CPUPlace())
    exe.run(fluid.default_startup_program())
    for _ in range(runs):
        values = exe.run(feed=feed or {}, fetch_list=fetch)
    return values


def test_a_view_of_a_parameter_shows_the_value_before_the_update(fresh):
    table = fluid.layers.create_parameter([2, 3], "float32", default_initializer=fluid.initializer.Constant(1.0))
    views = [fluid.layers.transpose(table, [1, 0]), fluid.layers.unsqueeze(table, [0])]
    views += [fluid.layers.flatten(table, axis=0), *fluid.layers.split(table, 3, dim=1)]
    views += fluid.layers.unstack(table, axis=0)
    loss = fluid.layers.reduce_sum(fluid.layers.square(views[0]))
    fluid.optimizer.SGD(0.25).minimize(loss)
    *shown, after = run([*views, table])
    assert all((value == 1).all() for value in shown)
    assert (after == 0.5).all()


def test_what_a_view_shows_is_not_overwritten_while_it_is_read(fresh):
    x = fluid.data("x", [None, 4])
    doubled = fluid.layers.scale(x, 2.0)
    left, right = fluid.layers.split(doubled, 2, dim=1)
    turned = fluid.layers.transpose(doubled, [1, 0])
    # These could take over the memory of what they read, if nobody else read it.
    activated = fluid.layers.relu(left)
    moved = fluid.layers.scale(right, 1.0, bias=-100.0)
    value = np.arange(12, dtype=np.float32).reshape(3, 4) - 5
    results = run([activated, moved, turned, doubled], {"x": value}, runs=2)
    np.testing.assert_array_equal(results[0], np.maximum(2 * value[:, :2], 0))
    np.testing.assert_array_equal(results[1], 2 * value[:, 2:] - 100)
    np.testing.assert_array_equal(results[2], 2 * value.T)
    np.testing.assert_array_equal(results[3], 2 * value)


def test_a_constant_that_is_counted_up_starts_anew_in_each_run(fresh):
    i = fluid.layers.fill_constant([1], "int64", 3)
    fluid.layers.increment(i, 2)
    assert run([i], runs=3)[0].tolist() == [5]


def test_a_persistable_counter_goes_on(fresh):
    counter = fluid.layers.create_global_var([1], 3, "int64", persistable=True)
    fluid.layers.increment(counter)
    assert run([counter], runs=3)[0].tolist() == [6]


def test_random_layers_draw_anew_in_each_run(fresh):
    x = fluid.data("x", [None, 2])
    outs = [
        fluid.layers.uniform_random([5]),
        fluid.layers.gaussian_random([5]),
        fluid.layers.uniform_random_batch_size_like(x, [-1, 5]),
        fluid.layers.gaussian_random_batch_size_like(x, [-1, 5]),
    ]
    exe, feed = fluid.Executor(fluid.CPUPlace()), {"x": np.zeros((3, 2), np.float32)}
    first, second = exe.run(feed=feed, fetch_list=outs), exe.run(feed=feed, fetch_list=outs)
    assert [value.shape for value in first] == [(5,), (5,), (3, 5), (3, 5)]
    assert all((a != b).any() for a, b in zip(first, second, strict=True))


def test_swish_takes_its_beta(fresh):
    x = fluid.data("x", [None])
    (out,) = run([fluid.layers.swish(x, beta=2.0)], {"x": np.array([1.0, -1.0], np.float32)})
    np.testing.assert_allclose(out, [1 / (1 + np.exp(-2)), -1 / (1 + np.exp(2))], rtol=1e-6)


def test_nothing_true_has_no_indices(fresh):
    x = fluid.data("x", [None, 2], "bool")
    (found,) = run([fluid.layers.where(x)], {"x": np.zeros((3, 2), bool)})
    assert found.shape == (0, 2) and found.dtype == np.int64


def test_a_bad_index_names_the_variable(fresh):
    x, index = fluid.data("x", [5, 3]), fluid.data("index", [None], "int64")
    out = fluid.layers.gather(x, index)
    with pytest.raises(OutOfRangeError, match="Index 5 at position 1 of 'index' is not in the first dimension of 'x'"):
        run([out], {"x": np.zeros((5, 3), np.float32), "index": np.array([0, 5])})


def test_a_batch_that_cannot_be_split_is_refused_when_it_comes(fresh):
    parts = fluid.layers.split(fluid.data("x", [None, 3]), 2, dim=0)
    with pytest.raises(InvalidArgumentError, match="'x' cannot be split into 2 equal parts"):
        run(parts, {"x": np.zeros((5, 3), np.float32)})
    assert [value.shape for value in run(parts, {"x": np.zeros((4, 3), np.float32)})] == [(2, 3), (2, 3)]


@pytest.mark.parametrize(
    "build, words",
    [
        (lambda x: fluid.layers.squeeze(x, [1]), "Dimension 1 of 'x' cannot be squeezed"),
        (lambda x: fluid.layers.squeeze(x, [2]), "'x' has no axis 2"),
        (lambda x: fluid.layers.unsqueeze(x, [4]), "'x' has no axis 4"),
        (lambda x: fluid.layers.transpose(x, [0, 0]), "perm is no order"),
        (lambda x: fluid.layers.flatten(x, 3), "'x' cannot be flattened there"),
        (lambda x: fluid.layers.expand(x, [2]), "expand_times does not say"),
        (lambda x: fluid.layers.expand(x, [1, -2]), "expand_times does not say"),
        (lambda x: fluid.layers.expand_as(x, fluid.data("y", [None, 5])), "cannot be repeated to the shape of 'y'"),
        (lambda x: fluid.layers.pad(x, [1, 1]), "the paddings do not fit 'x'"),
        (lambda x: fluid.layers.stack([x, fluid.data("y", [None, 5])]), "the inputs"),
        (lambda x: fluid.layers.stack([]), "stack has no inputs"),
        (lambda x: fluid.layers.unstack(x, 0), "Into how many parts unstack takes 'x' is unknown"),
        (lambda x: fluid.layers.unstack(x, 1, num=2), "'x' does not consist of 2 parts"),
        (lambda x: fluid.layers.split(x, 2), "'x' cannot be split into 2 equal parts"),
        (lambda x: fluid.layers.split(x, 0), "split cannot take 'x' into these parts"),
        (lambda x: fluid.layers.split(x, [1, 1], dim=1), "The sections do not make up dimension 1 of 'x'"),
        (lambda x: fluid.layers.split(x, [-1, -1], dim=1), "The sections do not make up"),
        (lambda x: fluid.layers.split(x, []), "split cannot take 'x' into these parts"),
        (lambda x: fluid.layers.split(x, [1, x]), "split cannot take 'x' into these parts"),
        (lambda x: fluid.layers.split(x, 3, dim=2), "split cannot take 'x' apart along dim"),
        (lambda x: fluid.layers.increment(x), "The number of elements"),
        (lambda x: fluid.layers.label_smooth(x, epsilon=1.5), "epsilon of label_smooth"),
        (lambda x: fluid.layers.diag(x), "no list of numbers"),
    ],
)
def test_what_does_not_fit_is_refused_when_it_is_built(fresh, build, words):
    with pytest.raises(InvalidArgumentError, match=words):
        build(fluid.data("x", [None, 3]))


@pytest.mark.parametrize(
    "build",
    [
        lambda x: fluid.layers.gather(x, x),
        lambda x: fluid.layers.gather_nd(x, x),
        lambda x: fluid.layers.one_hot(x, 3),
        lambda x: fluid.one_hot(x, 3),
        lambda x: fluid.layers.logical_and(x, x),
        lambda x: fluid.layers.logical_not(x),
        lambda x: fluid.layers.bpr_loss(x, x),
        lambda x: fluid.layers.squeeze(np.zeros((2, 1)), [1]),
        lambda x: fluid.layers.reduce_all(x),
    ],
)
def test_other_types_are_refused_when_it_is_built(fresh, build):
    with pytest.raises(InvalidTypeError):
        build(fluid.data("x", [None, 3]))


def test_the_last_place_by_a_variable_index(fresh):
    x, i = fluid.data("x", [3, 2]), fluid.data("i", [1], "int32")
    value = np.arange(6, dtype=np.float32).reshape(3, 2)
    for at in (0, 2, -1, -3):
        assert run([x[i]], {"x": value, "i": np.array([at], np.int32)})[0].tolist() == value[at].tolist()
    with pytest.raises(InvalidArgumentError, match="index 3 is out of range for dimension 0 of 'x'"):
        run([x[i]], {"x": value, "i": np.array([3], np.int32)})


def test_bounds_by_variables_of_either_integer_type(fresh):
    x, i = fluid.data("x", [None, 5]), fluid.data("i", [1], "int64")
    value = np.arange(10, dtype=np.float32).reshape(2, 5)
    part = x[:, 1:i]
    assert part.shape == (-1, -1)
    np.testing.assert_array_equal(run([part], {"x": value, "i": np.array([4])})[0], value[:, 1:4])


@pytest.mark.parametrize("index", [lambda i: slice(None, None, i), lambda i: slice(0, i, 2), lambda i: None])
def test_other_indices_with_variables_are_refused(fresh, index):
    x, i = fluid.data("x", [None, 5]), fluid.data("i", [1], "int32")
    with pytest.raises((InvalidArgumentError, InvalidTypeError), match="Variable 'x' is"):
        x[index(i)]
