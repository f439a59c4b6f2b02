"""The losses of probabilities, on the grid; what they refuse."""

import numpy as np
import pytest

from fluidlite.errors import InvalidArgumentError

from .checks import OpGrid
from .running import run_op


class TestProbability(OpGrid):
    family = "probability"


def test_shapes_that_differ_are_refused():
    with pytest.raises(InvalidArgumentError, match="input Labels does not have the shape"):
        run_op("log_loss", {}, {"Predicted": np.ones((2, 1)), "Labels": np.ones((2,))})
    with pytest.raises(InvalidArgumentError, match="input Target does not have the shape"):
        run_op("kldiv_loss", {}, {"X": np.ones((2, 3)), "Target": np.ones((3, 2))})
    with pytest.raises(InvalidArgumentError, match="distribution input PriorDist"):
        run_op("label_smooth", {}, {"X": np.ones((2, 3)), "PriorDist": np.ones((1, 2))})


def test_a_reduction_that_is_not_there_is_refused():
    with pytest.raises(InvalidArgumentError, match="no such reduction"):
        run_op("kldiv_loss", {"reduction": "median"}, {"X": np.ones((2, 3)), "Target": np.ones((2, 3))})
