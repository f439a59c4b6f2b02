"""The ops that join and take apart, on the grid."""

import numpy as np

from .checks import OpGrid
from .running import run_op


class TestAssembly(OpGrid):
    family = "assembly"


def test_the_places_of_a_vector_are_arrays():
    parts = run_op("unstack", {"num": 3}, {"X": np.arange(3.0)})["Y"]
    assert [type(part) for part in parts] == [np.ndarray] * 3 and [part.shape for part in parts] == [()] * 3
    (grad,) = run_op("unstack_grad", {"num": 3}, {"Y@GRAD": parts}).values()
    assert grad.tolist() == [0.0, 1.0, 2.0]
