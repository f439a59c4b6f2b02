"""Samples of the comparisons and of logic."""

import numpy as np

from .grid import add

_X = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, -1.0]])
_Y = np.array([1.0, 2.5, 3.0])
_COLUMN = np.array([2.0, 3.0])

for _type, _compare in {
    "equal": lambda x, y: abs(x - y) < 0.5 - 0.5 * (x != y),
    "not_equal": lambda x, y: (x < y) | (x > y),
    "less_than": lambda x, y: y - x > 0,
    "less_equal": lambda x, y: y - x >= 0,
    "greater_than": lambda x, y: x - y > 0,
    "greater_equal": lambda x, y: x - y >= 0,
}.items():
    add(_type, {"X": _X, "Y": _Y}, lambda X, Y, f=_compare: f(X, Y), batch=("X",))
    add(_type, {"X": _Y, "Y": _X}, lambda X, Y, f=_compare: f(X, Y), batch=("Y",))
    add(_type, {"X": _X, "Y": _COLUMN}, lambda X, Y, f=_compare: f(X, Y[:, None]), attrs={"axis": 0}, batch=("X", "Y"))
    for _dtype in (np.int64, np.int32):
        add(
            _type,
            {"X": _X.astype(_dtype), "Y": _X[::-1].astype(_dtype)},
            lambda X, Y, f=_compare: f(X, Y),
            batch=("X", "Y"),
        )

_P = np.array([[True, False, True], [False, True, False]])
_Q = np.array([[True, True, False], [False, True, True]])
add("logical_and", {"X": _P, "Y": _Q}, lambda X, Y: X & Y, batch=("X", "Y"))
add("logical_or", {"X": _P, "Y": _Q}, lambda X, Y: X | Y, batch=("X", "Y"))
add("logical_xor", {"X": _P, "Y": _Q}, lambda X, Y: X ^ Y, batch=("X", "Y"))
add("logical_not", {"X": _P}, lambda X: ~X, batch=("X",))

for _type in ("isfinite", "isnan", "isinf"):
    for _value in (0.5, np.nan, np.inf, -np.inf):
        _answer = {"isfinite": np.abs(_value) < np.inf, "isnan": _value != _value, "isinf": np.abs(_value) == np.inf}
        add(
            _type,
            {"X": np.array([[1.0, _value, -2.0], [0.0, 3.0, 4.0]])},
            lambda X, a=_answer[_type]: np.array([a]),
        )
    add(_type, {"X": _X}, lambda X, t=_type: np.array([t == "isfinite"]), batch=("X",))
    add(_type, {"X": _X.astype(np.int64)}, lambda X, t=_type: np.array([t == "isfinite"]), batch=("X",))
add("is_empty", {"X": _X}, lambda X: np.array([len(X) == 0]), batch=("X",))
add("is_empty", {"X": np.zeros((0, 3), np.int64)}, lambda X: np.array([True]))
