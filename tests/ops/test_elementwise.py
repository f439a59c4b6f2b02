"""The elementwise ops, on the grid; errors and memory."""

import numpy as np
import pytest

from fluidlite.errors import InvalidArgumentError, InvalidTypeError

from .checks import OpGrid
from .grid import uniform
from .running import infer, make_op, run_op
from .steady import ALLOWANCE, batch, peak_of_second_run

ARITHMETIC = ("add", "sub", "mul", "div", "max", "min", "pow")


class TestElementwise(OpGrid):
    family = "elementwise"


@pytest.mark.parametrize(
    "x, y, axis, words",
    [
        ((2, 3), (2,), -1, r"X = \[2, 3\] and the shape of Y = \[2\]\. Received \[3\] in X .* \[2\] in Y at i:1"),
        ((2, 3, 5), (2, 3), -1, r"X = \[2, 3, 5\] and the shape of Y = \[2, 3\]\."),
        ((2, 3, 5), (3, 5), 2, r"X = \[2, 3, 5\] and the shape of Y = \[3, 5\]\."),
        ((2, 3), (3,), 0, r"Received \[2\] in X is not equal to \[3\] in Y at i:0"),
        ((0, 3), (2, 3), -1, r"X = \[0, 3\]"),
    ],
)
@pytest.mark.parametrize("type", ["elementwise_add", "elementwise_sub_grad", "less_than"])
def test_shapes_that_do_not_fit_are_refused(type, x, y, axis, words):
    inputs = {"X": np.zeros(x), "Y": np.zeros(y)}
    if type.endswith("_grad"):
        inputs["Out@GRAD"] = np.zeros(x)
    with pytest.raises(InvalidArgumentError, match="Broadcast dimension mismatch.*" + words):
        run_op(type, {"axis": axis}, inputs)


def test_a_negative_axis_is_refused():
    with pytest.raises(InvalidArgumentError, match="axis"):
        run_op("elementwise_add", {"axis": -2}, {"X": np.zeros((2, 3)), "Y": np.zeros(3)})


@pytest.mark.parametrize("type", ["elementwise_add", "equal"])
def test_different_dtypes_are_refused(type):
    with pytest.raises(InvalidTypeError, match="float32 and int64"):
        infer(make_op(type, {}), {"X": np.zeros(3, np.float32), "Y": np.zeros(3, np.int64)})


@pytest.mark.parametrize("type", ["elementwise_div", "elementwise_mod", "elementwise_floordiv"])
def test_integers_are_not_divided_by_zero(type):
    inputs = {"X": np.array([1, 2, 3]), "Y": np.array([1, 0, 2])}
    with pytest.raises(InvalidArgumentError, match="zero"):
        run_op(type, {}, inputs)


def test_integer_division_at_the_ends_of_the_range():
    x = np.array([-(2**63), 2**63 - 1, -(2**63) + 1])
    y = np.array([3, -5, -7])
    quotient = run_op("elementwise_floordiv", {}, {"X": x, "Y": y})["Out"]
    assert quotient.tolist() == [-(2**63 // 3), -((2**63 - 1) // 5), (2**63 - 1) // 7]


@pytest.mark.parametrize("name", ARITHMETIC)
@pytest.mark.parametrize("y_shape", [(1000, 200), (200,)])
def test_nothing_is_allocated(name, y_shape):
    assert peak_of_second_run("elementwise_" + name, {"X": batch(1000, 200), "Y": batch(*y_shape)}) < ALLOWANCE


@pytest.mark.parametrize("name", ["add", "sub", "mul"])
@pytest.mark.parametrize("y_shape", [(1000, 200), (200,), (1,)])
def test_gradients_allocate_nothing(name, y_shape):
    inputs = {"X": batch(1000, 200), "Y": batch(*y_shape), "Out@GRAD": batch(1000, 200)}
    # A product that is summed to one number is read through buffers of float64.
    allowance = 4 * ALLOWANCE if y_shape == (1,) else ALLOWANCE
    assert peak_of_second_run(f"elementwise_{name}_grad", inputs) < allowance


def test_the_gradient_of_a_sum_is_a_view():
    grad = uniform(5, 3)
    results = run_op("elementwise_add_grad", {}, {"X": uniform(5, 3), "Y": uniform(5, 3), "Out@GRAD": grad})
    assert np.shares_memory(results["X@GRAD"], grad) and np.shares_memory(results["Y@GRAD"], grad)


def test_a_long_sum_to_one_number_keeps_its_digits():
    n = 1_000_003
    grad = np.full((n, 1), 0.1, np.float32)
    results = run_op("elementwise_mul_grad", {}, {"X": grad, "Y": np.ones((1, 1), np.float32), "Out@GRAD": grad})
    exact = n * float(np.float32(0.1)) ** 2
    np.testing.assert_allclose(results["Y@GRAD"], [[exact]], rtol=1e-6)
