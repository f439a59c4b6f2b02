"""The ops on sparse gradients, on the grid."""

import numpy as np
import pytest

from fluidlite.errors import InvalidArgumentError
from fluidlite.selected_rows import SelectedRows

from .checks import OpGrid
from .grid import rows
from .running import run_op


class TestSelectedRows(OpGrid):
    family = "selected_rows"


@pytest.mark.parametrize("type", ["merge_selected_rows", "get_tensor_from_selected_rows"])
def test_a_dense_gradient_is_refused(type):
    with pytest.raises(InvalidArgumentError, match="is not a sparse gradient"):
        run_op(type, {}, {"X": np.zeros((2, 3))})


def test_clipping_by_value_sums_duplicates_first():
    grad = SelectedRows(np.array([2, 0, 2]), np.array([[0.6, -0.6], [3.0, -3.0], [0.6, 0.0]]), 5)
    (clipped,) = run_op("clip", {"min": -1.0, "max": 1.0}, {"X": grad}).values()
    np.testing.assert_array_equal(clipped.rows, [0, 2])
    np.testing.assert_array_equal(clipped.value, [[1.0, -1.0], [1.0, -0.6]])


def test_rows_times_a_number_are_the_same_rows_scaled():
    grad = rows([4, 0, 4], 3, 7)
    (scaled,) = run_op("elementwise_mul", {}, {"X": grad, "Y": np.array([0.5])}).values()
    np.testing.assert_array_equal(scaled.rows, grad.rows)
    np.testing.assert_array_equal(scaled.value, 0.5 * grad.value)
    assert not np.shares_memory(scaled.rows, grad.rows), "the ids' memory may be used again"


def test_rows_times_an_array_are_refused():
    with pytest.raises(InvalidArgumentError, match="one number only"):
        run_op("elementwise_mul", {}, {"X": rows([4], 3, 7), "Y": np.zeros(3)})
