"""Extremes by index, sorting and running sums, on the grid; what they refuse."""

import numpy as np
import pytest

from fluidlite.errors import InvalidArgumentError

from .checks import OpGrid
from .grid import uniform
from .running import run_op


class TestOrdering(OpGrid):
    family = "ordering"


@pytest.mark.parametrize("type", ["arg_max", "arg_min", "argsort", "cumsum"])
@pytest.mark.parametrize("axis", [2, -3])
def test_an_axis_that_is_not_there_is_refused(type, axis):
    with pytest.raises(InvalidArgumentError, match="no such axis"):
        run_op(type, {"axis": axis}, {"X": uniform(2, 3)})


@pytest.mark.parametrize("type", ["arg_max", "arg_min"])
def test_no_elements_have_no_extreme(type):
    with pytest.raises(InvalidArgumentError, match="no elements"):
        run_op(type, {"axis": 1}, {"X": np.zeros((2, 0))})


def test_equal_elements_keep_their_order_also_backwards():
    x = np.array([1.0, 2.0, 1.0, 2.0, 1.0])
    assert run_op("argsort", {}, {"X": x})["Indices"].tolist() == [0, 2, 4, 1, 3]
    assert run_op("argsort", {"descending": True}, {"X": x})["Indices"].tolist() == [1, 3, 0, 2, 4]
