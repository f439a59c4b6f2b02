"""Samples of the trigonometric functions."""

import numpy as np

from .grid import add, uniform

_X = uniform(5, 3, low=-3.0, high=3.0)
_SMALL = uniform(2, 3, 5, low=-0.9, high=0.9)

for _type, _function, _x in (
    ("sin", lambda X: np.exp(1j * X).imag, _X),
    ("cos", lambda X: np.exp(1j * X).real, _X),
    ("asin", lambda X: np.arctan2(X, np.sqrt(1 - X * X)), _SMALL),
    ("acos", lambda X: np.arctan2(np.sqrt(1 - X * X), X), _SMALL),
    ("atan", lambda X: np.arctan2(X, 1.0), _X),
):
    add(_type, {"X": _x}, _function, batch=("X",))
for _type in ("asin", "acos"):
    add(_type, {"X": np.array([2.0, -1.5])}, lambda X: np.full(2, np.nan), gradient=False)
