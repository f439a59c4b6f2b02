"""The ops that take and put by index, on the grid; what they refuse, and that nothing is written then."""

import numpy as np
import pytest

from fluidlite.errors import InvalidArgumentError, OutOfRangeError

from .checks import OpGrid
from .grid import uniform
from .running import AliasBuffer, run_op
from .steady import batch, peak_of_second_run


class TestIndexing(OpGrid):
    family = "indexing"


def refused(type, inputs, attrs=None, shape=None):
    """The message of the error of an op, which has not written to its output."""
    out = np.full(shape, 7.0, np.float32)
    with pytest.raises(OutOfRangeError) as caught:
        run_op(type, attrs or {}, inputs, buffers={"Out": AliasBuffer(out)})
    assert (out == 7).all()
    return str(caught.value)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("bad", [-1, 5])
def test_an_index_outside_is_named(bad, dtype):
    x = np.ones((5, 3), dtype)
    message = refused("gather", {"X": x, "Index": np.array([4, 0, bad, -7])}, shape=(4, 3))
    assert f"Index {bad} at position 2 of input Index" in message and "0 <= index < 5" in message


@pytest.mark.parametrize("bad, axis", [([0, 3], 1), ([0, -1], 1), ([2, 0], 0), ([-1, 2], 0)])
def test_a_place_outside_is_named(bad, axis):
    inputs = {"X": np.ones((2, 3, 5), np.float32), "Index": np.array([[0, 2], bad])}
    message = refused("gather_nd", inputs, shape=(2, 5))
    assert f"Index {bad[axis]} at position 1 of input Index is not in dimension {axis} of input X" in message


@pytest.mark.parametrize("bad", [-1, 5])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_row_to_write_to_outside_is_named(bad, overwrite):
    inputs = {"X": np.ones((5, 3), np.float32), "Ids": np.array([0, bad]), "Updates": np.ones((2, 3), np.float32)}
    assert f"Index {bad} at position 1" in refused("scatter", inputs, {"overwrite": overwrite}, (5, 3))


def test_a_place_to_write_to_outside_is_named():
    inputs = {"X": np.ones((5, 3), np.float32), "Index": np.array([[0], [5]]), "Updates": np.ones((2, 3), np.float32)}
    assert "Index 5 at position 1" in refused("scatter_nd_add", inputs, shape=(5, 3))


@pytest.mark.parametrize("bad", [-1, 4])
@pytest.mark.parametrize("type, shape", [("one_hot", (3, 4)), ("one_hot_v2", (3, 1, 4))])
def test_an_id_beyond_the_depth_is_named(type, shape, bad):
    message = refused(type, {"X": np.array([[0], [3], [bad]])}, {"depth": 4}, shape)
    assert f"Index {bad} at position 2 of input X is not in the depth of 4" in message


def test_one_hot_needs_a_last_dimension_of_one():
    with pytest.raises(InvalidArgumentError, match="last dimension"):
        run_op("one_hot", {"depth": 4}, {"X": np.array([[1, 2]])})


@pytest.mark.parametrize("shape", [(2, 3), (), (2, 1, 1)])
def test_an_index_that_is_no_list_is_refused(shape):
    with pytest.raises(InvalidArgumentError, match="no list of rows"):
        run_op("gather", {}, {"X": uniform(5, 3), "Index": np.zeros(shape, np.int64)})


@pytest.mark.parametrize("shape", [(2, 4), (3,), (2, 0)])
def test_an_index_that_names_no_places_is_refused(shape):
    with pytest.raises(InvalidArgumentError, match="names no places"):
        run_op("gather_nd", {}, {"X": uniform(2, 3, 5), "Index": np.zeros(shape, np.int64)})


@pytest.mark.parametrize("updates", [(3, 3), (2, 5), (2,)])
def test_updates_that_do_not_fit_are_refused(updates):
    with pytest.raises(InvalidArgumentError, match="updates"):
        run_op("scatter", {}, {"X": uniform(5, 3), "Ids": np.array([0, 1]), "Updates": np.ones(updates)})
    inputs = {"X": uniform(5, 3), "Index": np.array([[0], [1]]), "Updates": np.ones(updates)}
    with pytest.raises(InvalidArgumentError, match="updates"):
        run_op("scatter_nd_add", {}, inputs)


@pytest.mark.parametrize("overwrite, expected", [(True, 3.0), (False, 4.0)])
def test_the_gradient_of_a_row_taken_twice(overwrite, expected):
    inputs = {"X": np.zeros((2, 1)), "Index": np.array([1, 1]), "Out@GRAD": np.array([[1.0], [3.0]])}
    grad = run_op("gather_grad", {"overwrite": overwrite}, inputs)["X@GRAD"]
    assert grad.tolist() == [[0.0], [expected]]


def test_gather_allocates_next_to_nothing():
    inputs = {"X": batch(1000, 64), "Index": np.arange(900)}
    assert peak_of_second_run("gather", inputs) < 10_000
