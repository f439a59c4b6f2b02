"""DataFeeder: shapes, dtypes and LoD of what is fed, and which sample is wrong when one is."""

import numpy as np
import pytest

import fluidlite as fluid

PLACE = fluid.CPUPlace()


def feed(samples, shape, dtype="float32", lod_level=0, **options):
    """What becomes of one field."""
    x = fluid.layers.data("x", shape, dtype=dtype, lod_level=lod_level, **options)
    (tensor,) = fluid.DataFeeder([x], PLACE).feed([(s,) for s in samples]).values()
    assert isinstance(tensor, fluid.LoDTensor)
    assert tensor.value.dtype == dtype
    return tensor


@pytest.mark.parametrize(
    ("samples", "shape", "dtype", "expected"),
    [
        ([1, 2, 3], [1], "int64", [[1], [2], [3]]),
        ([1, 2, 3], [-1], "int64", [1, 2, 3]),
        ([[1.0, 2.5]], [2], "float32", [[1.0, 2.5]]),
        ([(1, 2), (3, 4), (5, 6)], [2], "float64", [[1, 2], [3, 4], [5, 6]]),
        ([1.0, 2], [1], "int64", [[1], [2]]),
        (["1", "-2"], [1], "int64", [[1], [-2]]),
        (["1.5"], [1], "float32", [[1.5]]),
        ([True, False], [1], "bool", [[True], [False]]),
        ([[], []], [0], "float32", np.zeros((2, 0))),
    ],
)
def test_fields_without_lod(fresh, samples, shape, dtype, expected):
    tensor = feed(samples, shape, dtype)
    assert tensor.lod() == []
    np.testing.assert_array_equal(tensor.value, np.array(expected, dtype), strict=True)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_arrays_are_stacked_flat_ones_are_shaped(fresh, dtype):
    flat = [np.arange(6) + i for i in range(4)]
    expected = np.array(flat, "float32").reshape(4, 2, 3)
    np.testing.assert_array_equal(feed([a.astype(dtype) for a in flat], [2, 3]).value, expected)
    strided = [np.stack([a, a], axis=1)[:, 0] for a in flat]
    np.testing.assert_array_equal(feed(strided, [2, 3]).value, expected)
    read_only = [a.reshape(2, 3) for a in flat]
    read_only[0].flags.writeable = False
    np.testing.assert_array_equal(feed(read_only, [2, 3]).value, expected)


@pytest.mark.parametrize(
    ("size", "shape", "expected"),
    [
        (5, [-1, -1], [3, 5]),
        (10, [-1, -1, 5], [3, 2, 5]),
        (10, [-1, 2, -1], [3, 2, 5]),
        ((2, 5), [-1, -1, -1], [3, 2, 5]),
        ((2, 5), [-1, -1, -1, -1], [3, 2, 5]),
    ],
)
def test_open_dimensions_take_what_comes(fresh, size, shape, expected):
    assert feed([np.zeros(size)] * 3, shape).shape() == expected


@pytest.mark.parametrize(("shape", "lod_level"), [([3], 0), ([2, 3], 0), ([1], 1), ([2], 2), ([-1, -1, 3], 0)])
def test_no_samples(fresh, shape, lod_level):
    tensor = feed([], shape, lod_level=lod_level)
    assert len(tensor) == 0
    assert tensor.lod() == [[0]] * lod_level
    assert tensor.value.ndim == (3 if len(shape) == 3 else len(shape) + 1)


@pytest.mark.parametrize(
    ("samples", "shape", "lod_level", "expected", "lod"),
    [
        ([[1, 2], [], [3]], [1], 1, [[1], [2], [3]], [[0, 2, 2, 3]]),
        ([[1, 2], [3]], [-1], 1, [1, 2, 3], [[0, 2, 3]]),
        ([[[1, 2], [3, 4]], [[5, 6]]], [2], 1, [[1, 2], [3, 4], [5, 6]], [[0, 2, 3]]),
        ([[], []], [1], 1, np.zeros((0, 1)), [[0, 0, 0]]),
        ([[[1, 2], [3]], [], [[], [4]]], [1], 2, [[1], [2], [3], [4]], [[0, 2, 2, 4], [0, 2, 3, 3, 4]]),
    ],
)
def test_fields_with_lod(fresh, samples, shape, lod_level, expected, lod):
    for given in (samples, as_arrays(samples, lod_level)):
        tensor = feed(given, shape, "int64", lod_level)
        np.testing.assert_array_equal(tensor.value, np.array(expected, "int64"), strict=True)
        assert tensor.lod() == lod


def as_arrays(samples, lod_level):
    """The innermost sequences as arrays; empty ones are of another dtype, as np.array([]) is."""
    return [np.array(s) if lod_level == 1 else as_arrays(s, lod_level - 1) for s in samples]


def test_arrays_of_a_trailing_dimension_of_one(fresh):
    tensor = feed([np.array([[1], [2]]), np.array([[3]])], [1], "int64", 1)
    assert (tensor.value.tolist(), tensor.lod()) == ([[1], [2], [3]], [[0, 2, 3]])


def test_names_and_generators_and_a_run(fresh):
    ids = fluid.data("ids", [None, 1], "int64", lod_level=1)
    y = fluid.data("y", [None, 2])
    feeder = fluid.data_feeder.DataFeeder(["ids", y], PLACE)
    assert feeder.feed_names == ["ids", "y"]
    assert feeder.feed_shapes == [(-1, 1), (-1, 2)]
    assert feeder.feed_lod_level == [1, 0]
    assert feeder.feed_dtypes == [ids.dtype, y.dtype]
    given = feeder.feed(([i] * i, (i, -i)) for i in range(3))
    fetched = fresh.run(given, [ids, y], return_numpy=False)
    assert fetched[0].lod() == [[0, 0, 1, 3]]
    assert fetched[1].value.tolist() == [[0, 0], [1, -1], [2, -2]]


def test_names_are_looked_up_in_a_program(fresh):
    other = fluid.Program()
    with fluid.program_guard(other):
        fluid.data("x", [None, 1])
    assert list(fluid.DataFeeder(["x"], PLACE, other).feed([(1,)])) == ["x"]
    with pytest.raises(ValueError, match="'x'"):
        fluid.DataFeeder(["x"], PLACE)
    with pytest.raises(TypeError, match="Feed list should contain a list of variable"):
        fluid.DataFeeder([3], PLACE)


def test_the_array_is_not_the_users(fresh):
    given = np.zeros((2, 3), "float32")
    tensor = feed(given, [3])
    tensor.value[...] = 1
    assert not given.any()


# What is wrong, and where


def test_the_number_of_fields_is_an_assertion_as_in_fluid(fresh):
    x, y, z = (fluid.data(name, [None, 1]) for name in "xyz")
    feeder = fluid.DataFeeder([x, y, z], PLACE)
    with pytest.raises(AssertionError, match=r"in data \(2\) does not match len\(feed_list\) \(3\)") as caught:
        feeder.feed([(1, 2, 3), (1, 2)])
    assert isinstance(caught.value, fluid.EnforceNotMet)
    assert caught.value.actual == "sample 1 of the batch"
    with pytest.raises(TypeError, match="Sample 1 of the batch is no tuple"):
        feeder.feed([(1, 2, 3), 4])


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (np.zeros(4), ValueError),
        (np.zeros((3, 2)), ValueError),
        (np.zeros(0), ValueError),
        (1.0, ValueError),
        ([1, [2], 3], ValueError),
        ([None, 1, 2], TypeError),
        ([1, 2, 1e300], ValueError),
        (["a", "b", "c"], ValueError),
    ],
)
def test_the_sample_that_does_not_fit_is_named(fresh, bad, error):
    good = np.zeros(3, "float32")
    y, x = fluid.data("y", [None, 1]), fluid.data("x", [None, 3])
    with pytest.raises(error, match=r"Sample 2 of the batch does not fit field 1 of feed_list, 'x'") as caught:
        fluid.DataFeeder([y, x], PLACE).feed([(0, good), (0, good), (0, bad), (0, good), (0, bad)])
    assert isinstance(caught.value, fluid.EnforceNotMet)
    assert __file__ in caught.value.where


def test_a_wrong_size_in_all_samples_is_that_of_the_first(fresh):
    with pytest.raises(ValueError, match="Sample 0 .*'x'") as caught:
        feed([np.zeros(4)] * 2, [3])
    assert (caught.value.expected, caught.value.actual) == ("(3,)", "(4,)")


def test_samples_that_differ_where_the_variable_is_open(fresh):
    with pytest.raises(ValueError, match="Sample 1 .*'x'"):
        feed([np.zeros(4), np.zeros(5)], [-1, -1])


@pytest.mark.parametrize("bad", [0.5, np.nan, np.inf, 2.0**63])
def test_a_float_for_an_integer_variable_must_be_whole(fresh, bad):
    with pytest.raises(TypeError, match="Sample 1 .*'x'.* is no int64"):
        feed([1, bad], [1], "int64")


def test_an_integer_that_does_not_fit(fresh):
    with pytest.raises(ValueError, match=f"Sample 1 .*{2**40}"):
        feed([1, 2**40], [1], "int32")


@pytest.mark.parametrize(("bad", "error"), [(3, TypeError), ([[1, 2]], ValueError), ([1, [2]], ValueError)])
def test_a_field_with_lod_that_does_not_fit(fresh, bad, error):
    with pytest.raises(error, match="Sample 1 .*'x'"):
        feed([[1, 2], bad], [1], "int64", 1)


# Several places


def test_feed_parallel(fresh):
    fluid.data("x", [None, 1], "int64")
    feeder = fluid.DataFeeder(["x"], PLACE)
    feeds = list(feeder.feed_parallel([[(1,), (2,)], [(3,)]], 2))
    assert [f["x"].value.tolist() for f in feeds] == [[[1], [2]], [[3]]]
    with pytest.raises(ValueError, match="The number of devices and number of mini-batches must be same"):
        list(feeder.feed_parallel([[(1,)]], 2))


def test_decorate_reader(fresh, monkeypatch):
    fluid.data("x", [None, 1], "int64")
    feeder = fluid.DataFeeder(["x"], PLACE)
    batches = [[(1,)], [(2,)], [(3,)]]

    def read(*args, **options):
        reader = feeder.decorate_reader(lambda: iter(batches), *args, **options)
        assert list(map(str, reader())) == list(map(str, reader())), "a reader can be called again"
        return list(reader())

    assert [f["x"].value.tolist() for f in read(multi_devices=False)] == [[[1]], [[2]], [[3]]]
    (group,) = read(True, num_places=2)
    assert [f["x"].value.tolist() for f in group] == [[[1]], [[2]]]
    monkeypatch.setenv("CPU_NUM", "3")
    assert [len(group) for group in read(True)] == [3]
    with pytest.raises(ValueError, match="do not suffice for 2 places"):
        read(True, num_places=2, drop_last=False)
