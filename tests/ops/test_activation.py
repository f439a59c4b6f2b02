"""The activations, on the grid; errors, and memory."""

import numpy as np
import pytest

from fluidlite.errors import InvalidArgumentError

from .checks import OpGrid
from .grid import uniform
from .running import run_op
from .steady import ALLOWANCE, batch, peak_of_second_run


class TestActivation(OpGrid):
    family = "activation"


@pytest.mark.parametrize("type", ["sigmoid", "tanh", "relu", "relu6"])
def test_nothing_is_allocated(type):
    x = batch(1000, 200)
    assert peak_of_second_run(type, {"X": x}) < ALLOWANCE


@pytest.mark.parametrize("type", ["sigmoid_grad", "tanh_grad", "relu_grad", "softmax_grad"])
def test_gradients_allocate_nothing(type):
    y = batch(1000, 200)
    assert peak_of_second_run(type, {"Out": y, "Out@GRAD": y[:]}) < ALLOWANCE


def test_softmax_allocates_no_more_than_its_sums():
    assert peak_of_second_run("softmax", {"X": batch(1000, 200)}) < ALLOWANCE


def test_softmax_never_gives_zero():
    out = run_op("softmax", {}, {"X": np.array([[0.0, -1e4]])})["Out"]
    np.testing.assert_allclose(out, [[1.0, np.exp(-64.0)]], rtol=1e-12)


@pytest.mark.parametrize("axis", [2, -3])
def test_softmax_refuses_an_axis_that_is_not_there(axis):
    with pytest.raises(InvalidArgumentError, match="no such axis"):
        run_op("softmax", {"axis": axis}, {"X": uniform(2, 3)})


@pytest.mark.parametrize("type", ["sigmoid", "tanh", "relu", "relu6", "softmax"])
def test_nan_stays_nan(type):
    out = run_op(type, {}, {"X": np.array([np.nan, 1.0])})["Out"]
    assert np.isnan(out[0])
