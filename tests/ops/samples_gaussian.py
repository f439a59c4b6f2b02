"""Samples of the error function and of gelu."""

import math

import numpy as np

from .grid import add, uniform

_X = uniform(5, 3, low=-3.0, high=3.0)
_CUBE = uniform(2, 3, 5, low=-3.0, high=3.0)
_FAR = np.array([-1e4, -9.0, -0.0, 0.0, 9.0, 1e4])
_erf = np.vectorize(math.erf, otypes=[np.float64])


def _tanh_gate(x):
    return (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


for _x in (_X, _CUBE):
    add("erf", {"X": _x}, lambda X: _erf(X), batch=("X",))
    add("gelu", {"X": _x}, lambda X: X * (1 + _erf(X / math.sqrt(2))) / 2, batch=("X",))
    add("gelu", {"X": _x}, lambda X: X * _tanh_gate(X), attrs={"approximate": True}, batch=("X",))
add("erf", {"X": _FAR}, lambda X: np.sign(X))
for _approximate in (False, True):
    add("gelu", {"X": _FAR}, lambda X: np.maximum(X, 0), attrs={"approximate": _approximate}, gradient=False)
