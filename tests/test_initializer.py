"""Initializers: their distributions, and what a seed decides."""

import math
import tracemalloc

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.core import VarDesc
from fluidlite.errors import InvalidArgumentError, InvalidTypeError
from fluidlite.initializer import MSRA, Constant, Normal, NumpyArrayInitializer, TruncatedNormal, Uniform, Xavier

layers = fluid.layers
ROWS, COLUMNS = 300, 200


def drawn(fresh, initializer, shape=(ROWS, COLUMNS), dtype="float32", seed=1):
    fresh.startup.random_seed = seed
    layers.create_parameter(list(shape), dtype, name="w", default_initializer=initializer)
    fresh.start()
    return fresh.value("w")


def test_constant(fresh):
    np.testing.assert_array_equal(drawn(fresh, Constant(2.5), (3, 2)), np.full((3, 2), 2.5))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("initializer", "low", "high"),
    [
        (Uniform(), -1, 1),
        (Uniform(2, 5), 2, 5),
        (Xavier(), -math.sqrt(6 / 500), math.sqrt(6 / 500)),
        (Xavier(fan_in=10, fan_out=14), -0.5, 0.5),
        (MSRA(), -math.sqrt(6 / 300), math.sqrt(6 / 300)),
        (MSRA(fan_in=24), -0.5, 0.5),
    ],
)
def test_uniform_ones_fill_their_interval_evenly(fresh, initializer, low, high, dtype):
    values = drawn(fresh, initializer, dtype=dtype)
    assert values.dtype == dtype
    assert low <= values.min() < low + 0.001 * (high - low)
    assert high - 0.001 * (high - low) < values.max() <= high
    counts, _ = np.histogram(values, 10, (low, high))
    np.testing.assert_allclose(counts, values.size / 10, rtol=0.06)


@pytest.mark.parametrize(
    ("initializer", "mean", "std"),
    [
        (Normal(), 0, 1),
        (Normal(3.0, 0.5), 3, 0.5),
        (Xavier(uniform=False), 0, math.sqrt(2 / 500)),
        (MSRA(uniform=False), 0, math.sqrt(2 / 300)),
        # The deviation of a normal that is cut at two deviations.
        (TruncatedNormal(1.0, 2.0), 1, 2 * 0.8796),
    ],
)
def test_normal_ones_have_their_mean_and_deviation(fresh, initializer, mean, std):
    values = drawn(fresh, initializer)
    np.testing.assert_allclose(values.mean(), mean, atol=0.02 * std)
    np.testing.assert_allclose(values.std(), std, rtol=0.02)


def test_a_truncated_normal_ends_at_two_deviations(fresh):
    values = drawn(fresh, TruncatedNormal(1.0, 2.0))
    assert values.min() >= -3
    assert values.max() <= 5


def test_the_default_of_embedding_and_fc_is_xavier_and_of_a_bias_zero(fresh):
    fresh.startup.random_seed = 1
    fluid.embedding(fluid.data("ids", [None], "int64"), [100, 20], param_attr="table")
    layers.fc(fluid.data("x", [None, 30]), 50, param_attr="w", bias_attr="b")
    fresh.start()
    for name, limit in (("table", math.sqrt(6 / 120)), ("w", math.sqrt(6 / 80))):
        assert 0.97 * limit < np.abs(fresh.value(name)).max() <= limit
    assert not fresh.value("b").any()


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32"])
def test_a_given_array_arrives_unchanged(fresh, dtype):
    array = np.arange(6).reshape(3, 2).astype(dtype)
    values = drawn(fresh, NumpyArrayInitializer(array), (3, 2), dtype)
    np.testing.assert_array_equal(values, array)
    assert values.dtype == dtype


def test_a_given_array_of_another_dtype_is_cast(fresh):
    array = np.array([[0.1], [2.5]])
    np.testing.assert_array_equal(drawn(fresh, NumpyArrayInitializer(array), (2, 1)), array.astype(np.float32))


def test_a_given_array_is_taken_as_it_is_at_that_moment(fresh):
    array = np.ones((3, 2), np.float32)
    layers.create_parameter([3, 2], "float32", name="w", default_initializer=NumpyArrayInitializer(array))
    array[:] = 7
    fresh.start()
    np.testing.assert_array_equal(fresh.value("w"), np.ones((3, 2)))


def test_a_given_array_costs_a_few_times_its_own_memory_and_does_not_fill_the_printed_program(fresh):
    array = np.ones((2000, 50), np.float32)
    tracemalloc.start()
    try:
        drawn(fresh, NumpyArrayInitializer(array), array.shape)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * array.nbytes
    assert len(fresh.startup.to_string()) < 10_000


def test_a_given_array_of_another_shape_is_refused_by_name(fresh):
    with pytest.raises(InvalidArgumentError, match="'w'"):
        drawn(fresh, NumpyArrayInitializer(np.ones((2, 3))), (3, 2))
    with pytest.raises(InvalidTypeError):
        NumpyArrayInitializer([[1.0]])


def test_bad_bounds_are_refused():
    with pytest.raises(InvalidArgumentError, match="low <= high"):
        Uniform(1.0, -1.0)
    with pytest.raises(InvalidArgumentError, match="low <= high"):
        Uniform(math.nan, 1.0)


@pytest.mark.parametrize("settings", [{"scale": -1.0}, {"scale": math.nan}, {"loc": math.inf}])
def test_a_normal_that_does_not_exist_is_refused(fresh, settings):
    with pytest.raises(ValueError, match="finite"):
        drawn(fresh, Normal(**settings), (3, 2))


RANDOM = [Uniform, Normal, TruncatedNormal, Xavier, MSRA]


@pytest.mark.parametrize("make", RANDOM)
def test_equal_seeds_give_equal_values_and_others_others(make_fresh, make):
    found = []
    for seed in (1, 1, 2):
        with make_fresh() as fresh:
            found.append(drawn(fresh, make(), (7, 5), seed=seed))
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.isin(found[0], found[2]).any()


@pytest.mark.parametrize("make", RANDOM)
def test_variables_of_equal_shape_get_different_values(fresh, make):
    fresh.startup.random_seed = 1
    for name in ("one", "two"):
        layers.create_parameter([7, 5], "float32", name=name, default_initializer=make())
    fresh.start()
    assert not np.isin(fresh.value("one"), fresh.value("two")).any()


def test_a_seed_of_its_own_wins_over_the_programs(make_fresh):
    found = []
    for seed in (1, 2):
        with make_fresh() as fresh:
            found.append(drawn(fresh, Uniform(seed=9), (7, 5), seed=seed))
    np.testing.assert_array_equal(*found)


def test_values_do_not_depend_on_what_was_built_before(make_fresh):
    found = []
    for others in (0, 3):
        with make_fresh() as fresh:
            for k in range(others):
                layers.create_parameter([7, 5], "float32", name=f"other{k}")
            found.append(drawn(fresh, Uniform(), (7, 5)))
    np.testing.assert_array_equal(*found)


def test_values_do_not_depend_on_threads(make_fresh, with_threads):
    found = []
    for threads in (1, 2):
        with_threads(threads)
        with make_fresh() as fresh:
            found.append(drawn(fresh, Normal()).tobytes())
    assert found[0] == found[1]


def test_a_taller_table_begins_with_the_rows_of_the_shorter_one(make_fresh):
    found = []
    for rows in (7, 19):
        with make_fresh() as fresh:
            found.append(drawn(fresh, Uniform(), (rows, 5)))
    np.testing.assert_array_equal(found[0], found[1][:7])


def test_without_a_seed_each_program_draws_one_that_reproduces_its_values(make_fresh):
    with make_fresh() as fresh:
        first = drawn(fresh, Uniform(), (7, 5), seed=0)
        again = drawn(fresh, Uniform(), (7, 5), seed=0)
        np.testing.assert_array_equal(first, again)
        seed = fresh.startup.drawn_seed
    with make_fresh() as fresh:
        assert not np.isin(drawn(fresh, Uniform(), (7, 5), seed=0), first).any()
    with make_fresh() as fresh:
        np.testing.assert_array_equal(drawn(fresh, Uniform(), (7, 5), seed=seed), first)


def test_an_initializer_writes_one_op_into_the_startup_program_alone(fresh):
    layers.create_parameter([3, 2], "float32", name="w", default_initializer=Normal(1.0, 2.0, seed=3))
    (op,) = fresh.startup.global_block().ops
    assert (op.type, op.attr("mean"), op.attr("std"), op.attr("seed")) == ("gaussian_random", 1.0, 2.0, 3)
    assert op.attr("shape") == [3, 2]
    assert op.attr("dtype") == VarDesc.VarType.FP32
    assert fresh.main.global_block().ops == []


def test_uniform_with_a_diagonal(fresh):
    """Fluid 1.8.5 writes the elements 0, 6 and 12 here."""
    initializer = fluid.initializer.Uniform(0.0, 0.5, diag_num=3, diag_step=5, diag_val=2.5)
    fluid.layers.create_parameter([3, 5], "float32", attr=fluid.ParamAttr("w", initializer=initializer))
    fresh.start()
    assert np.flatnonzero(fresh.value("w") > 0.5).tolist() == [0, 6, 12]
    assert fresh.value("w").flat[6] == 2.5


def test_a_diagonal_that_does_not_fit(fresh):
    initializer = fluid.initializer.Uniform(diag_num=4, diag_step=5)
    fluid.layers.create_parameter([3, 5], "float32", attr=fluid.ParamAttr("w", initializer=initializer))
    with pytest.raises(ValueError, match="diag_num elements"):
        fresh.start()
