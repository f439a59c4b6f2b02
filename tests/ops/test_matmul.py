"""The products of matrices, on the grid; errors and memory."""

import numpy as np
import pytest

from fluidlite.errors import InvalidArgumentError

from .checks import OpGrid
from .grid import uniform
from .running import run_op
from .steady import ALLOWANCE, batch, peak_of_second_run


class TestMatmul(OpGrid):
    family = "matmul"


@pytest.mark.parametrize(
    "x, y, attrs, words",
    [
        ((2, 3), (5, 2), {}, r"X1's width = 3; Y's shape = \[5, 2\], Y1's height = 5"),
        ((2, 3, 5), (3, 7), {}, "X1's width = 15"),
        ((3,), (3, 5), {}, "too few dimensions"),
        ((2, 3), (3, 5), {"x_num_col_dims": 2}, "too few dimensions"),
        ((2, 3), (3, 5), {"y_num_col_dims": 0}, "too few dimensions"),
    ],
)
def test_mul_refuses_shapes_that_do_not_fit(x, y, attrs, words):
    with pytest.raises(InvalidArgumentError, match=words):
        run_op("mul", attrs, {"X": np.zeros(x), "Y": np.zeros(y)})


@pytest.mark.parametrize(
    "x, y, attrs, words",
    [
        ((2, 3), (5, 2), {}, r"Input X's width .* X's shape: \[2, 3\], Y's shape: \[5, 2\]"),
        ((2, 3), (2, 5), {"transpose_Y": True}, "Input X's width"),
        ((3,), (5,), {}, r"X's shape: \[1, 3\], Y's shape: \[5, 1\]"),
        ((2, 3, 5), (3, 5, 2), {}, "higher dimensional values"),
        ((2, 3, 5, 7), (6, 7, 2), {}, "higher dimensional values"),
        ((1, 3, 5), (2, 5, 7), {}, "higher dimensional values"),
        ((), (3,), {}, "scalar"),
    ],
)
def test_matmul_refuses_shapes_that_do_not_fit(x, y, attrs, words):
    with pytest.raises(InvalidArgumentError, match=words):
        run_op("matmul", attrs, {"X": np.zeros(x), "Y": np.zeros(y)})


def test_more_dimensions_than_declared_are_flattened():
    x, y = uniform(3, 2, 5), uniform(10, 7)
    out = run_op("mul", {}, {"X": x, "Y": y})["Out"]
    np.testing.assert_allclose(out, x.reshape(3, 10) @ y, rtol=1e-12)


@pytest.mark.parametrize("inner", [0, 1])
def test_an_empty_inner_dimension_gives_zeros(inner):
    inputs = {"X": np.ones((2, inner)), "Y": np.ones((inner, 3))}
    for type in ("mul", "matmul"):
        np.testing.assert_array_equal(run_op(type, {}, inputs)["Out"], np.full((2, 3), inner))


@pytest.mark.parametrize("type", ["mul", "matmul"])
def test_nothing_is_allocated(type):
    x, y = batch(1000, 200), batch(200, 100)
    assert peak_of_second_run(type, {"X": x, "Y": y}) < ALLOWANCE
    assert peak_of_second_run(type + "_grad", {"X": x, "Y": y, "Out@GRAD": batch(1000, 100)}) < ALLOWANCE


@pytest.mark.parametrize("attrs", [{"transpose_Y": True}, {"alpha": 0.5}, {"transpose_Y": True, "alpha": 0.5}])
def test_transposed_products_allocate_nothing(attrs):
    x = batch(1000, 200)
    y = batch(100, 200) if "transpose_Y" in attrs else batch(200, 100)
    assert peak_of_second_run("matmul", {"X": x, "Y": y}, attrs) < ALLOWANCE
    inputs = {"X": x, "Y": y, "Out@GRAD": batch(1000, 100)}
    assert peak_of_second_run("matmul_grad", inputs, attrs) < ALLOWANCE
