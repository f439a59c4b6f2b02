"""Samples of rounding and of reciprocals."""

import numpy as np

from .grid import add, uniform

_X = uniform(5, 3, low=-3.0, high=3.0)
_POSITIVE = uniform(2, 3, 5, low=0.5, high=2.0)
# Halves, and the largest number below a half, which plus a half is 1 in float32.
_EDGES = np.array([-2.5, -1.5, -0.5, -0.0, 0.0, 0.5, 1.5, 2.5, np.nextafter(np.float32(0.5), np.float32(0)), 7.0])
_ROUNDED = np.array([-3.0, -2.0, -1.0, 0.0, 0.0, 1.0, 2.0, 3.0, 0.0, 7.0])

add("ceil", {"X": _X}, lambda X: -(-X // 1), batch=("X",))
add("floor", {"X": _X}, lambda X: X // 1, batch=("X",))
add("round", {"X": _X}, lambda X: (X + 0.5) // 1, batch=("X",))
add("round", {"X": _EDGES}, lambda X: _ROUNDED, gradient=False)
add("reciprocal", {"X": _POSITIVE}, lambda X: 1 / X, batch=("X",))
add("reciprocal", {"X": -_POSITIVE}, lambda X: X**-1, batch=("X",))
add("rsqrt", {"X": _POSITIVE}, lambda X: X**-0.5, batch=("X",))
