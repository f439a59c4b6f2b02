"""The norms, on the grid; errors, memory, and sparse gradients that are clipped."""

import numpy as np
import pytest

from fluidlite.errors import InvalidArgumentError

from .checks import OpGrid
from .grid import rows, uniform
from .running import run_op
from .steady import batch, peak_of_second_run


class TestNorm(OpGrid):
    family = "norm"


def test_norms_are_summed_in_blocks():
    assert peak_of_second_run("squared_l2_norm", {"X": batch(1000, 200)}) < 100_000


def test_norm_refuses_an_axis_that_is_not_there():
    with pytest.raises(InvalidArgumentError, match="no such axis"):
        run_op("norm", {"axis": 2}, {"X": uniform(2, 3)})


def test_long_sums_of_squares_keep_their_digits():
    x = np.full((3, 700_001), 0.1, np.float32)
    exact = float(np.float32(0.1))
    np.testing.assert_allclose(run_op("squared_l2_norm", {}, {"X": x})["Out"], [x.size * exact**2], rtol=1e-6)


def test_the_norm_of_selected_rows_is_that_of_the_merged_rows():
    grad = rows([2, 0, 2], 3, 5)
    before = grad.to_dense()
    clipped = run_op("clip_by_norm", {"max_norm": 0.25}, {"X": grad})["Out"]
    assert clipped.rows.tolist() == [0, 2] and np.isclose(np.linalg.norm(clipped.value), 0.25)
    np.testing.assert_array_equal(grad.to_dense(), before)


@pytest.mark.parametrize("norm", [0.0, -1.0, float("nan")])
def test_a_largest_norm_that_is_not_positive_is_refused(norm):
    with pytest.raises(InvalidArgumentError, match="largest norm"):
        run_op("clip_by_norm", {"max_norm": norm}, {"X": uniform(2, 3)})


@pytest.mark.parametrize("shapes", [((2, 3), (5, 3)), ((2, 3), (2, 5)), ((3,), (3,)), ((2, 3, 5), (2, 15))])
def test_rows_that_do_not_fit_have_no_cosine(shapes):
    with pytest.raises(InvalidArgumentError, match="do not fit"):
        run_op("cos_sim", {}, {"X": np.ones(shapes[0]), "Y": np.ones(shapes[1])})


def test_rows_of_zeros_have_no_gradient():
    x, y = np.array([[0.0, 0.0], [1.0, 2.0]]), np.array([[1.0, 1.0], [0.0, 0.0]])
    outputs = run_op("cos_sim", {}, {"X": x, "Y": y})
    grads = run_op("cos_sim_grad", {}, {"X": x, "Y": y, **outputs, "Out@GRAD": np.ones((2, 1))})
    assert not grads["X@GRAD"].any() and not grads["Y@GRAD"].any()
