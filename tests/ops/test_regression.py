"""The losses of numbers against numbers, on the grid; what they refuse."""

import numpy as np
import pytest

from fluidlite.errors import InvalidArgumentError

from .checks import OpGrid
from .running import run_op


class TestRegression(OpGrid):
    family = "regression"


@pytest.mark.parametrize("type", ["huber_loss", "smooth_l1_loss"])
def test_shapes_that_differ_are_refused(type):
    with pytest.raises(InvalidArgumentError, match="input Y does not have the shape"):
        run_op(type, {}, {"X": np.ones((2, 3)), "Y": np.ones((2, 1))})


@pytest.mark.parametrize("slot", ["InsideWeight", "OutsideWeight"])
def test_weights_that_do_not_fit_are_refused(slot):
    with pytest.raises(InvalidArgumentError, match=f"input {slot} does not have the shape"):
        run_op("smooth_l1_loss", {}, {"X": np.ones((2, 3)), "Y": np.ones((2, 3)), slot: np.ones((2, 1))})
