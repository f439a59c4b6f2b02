"""The comparisons and logic, on the grid; errors."""

import numpy as np
import pytest

from fluidlite.errors import InvalidArgumentError

from .checks import OpGrid
from .running import run_op


class TestCompare(OpGrid):
    family = "compare"


@pytest.mark.parametrize("type", ["logical_and", "logical_or", "logical_xor"])
def test_logic_does_not_broadcast(type):
    with pytest.raises(InvalidArgumentError, match="different shapes"):
        run_op(type, {}, {"X": np.ones((2, 3), bool), "Y": np.ones(3, bool)})


@pytest.mark.parametrize("type", ["equal", "less_than", "less_equal", "greater_than", "greater_equal"])
def test_nan_compares_as_false(type):
    out = run_op(type, {}, {"X": np.array([np.nan, 1.0]), "Y": np.array([np.nan, np.nan])})["Out"]
    assert not out.any()
