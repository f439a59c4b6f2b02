"""Samples of the ops on two variables."""

import numpy as np

from .grid import add, uniform

# (X's shape, Y's shape, axis, ones to append to X's and to Y's shape for NumPy to broadcast alike, batch)
_SHAPES = (
    ((5, 3), (5, 3), -1, 0, 0, ("X", "Y")),
    ((2, 3, 5), (5,), -1, 0, 0, ("X",)),
    ((2, 3, 5), (3, 5), -1, 0, 0, ("X",)),
    ((2, 3, 5), (2, 3), 0, 0, 1, ("X", "Y")),
    ((2, 3, 5), (3,), 1, 0, 1, ("X",)),
    ((2, 3, 5), (2,), 0, 0, 2, ("X", "Y")),
    ((2, 3, 5), (1,), -1, 0, 0, ("X",)),
    ((2, 3, 5), (3, 1), 1, 0, 0, ("X",)),
    ((2, 3), (2, 1), -1, 0, 0, ("X", "Y")),
    ((2, 3), (3, 1), 1, 0, -1, ("X",)),
    ((2, 1), (1, 3), -1, 0, 0, ("X",)),
    ((3,), (2, 3), -1, 0, 0, ("Y",)),
    ((2,), (2, 3), 0, 1, 0, ("X", "Y")),
)


def _operands(x_shape, y_shape, low, high):
    return {"X": uniform(*x_shape, low=low, high=high), "Y": uniform(*y_shape, seed=1, low=low, high=high)}


def _with_ones(a, count):
    return a[..., 0] if count < 0 else a[(..., *[None] * count)]


def _broadcasting(function, x_ones, y_ones):
    return lambda X, Y: function(_with_ones(X, x_ones), _with_ones(Y, y_ones))


for _type, _function, _low in (
    ("elementwise_add", lambda x, y: x + y, -1.0),
    ("elementwise_sub", lambda x, y: x - y, -1.0),
    ("elementwise_mul", lambda x, y: x * y, -1.0),
    ("elementwise_div", lambda x, y: x / y, 0.5),
    ("elementwise_max", lambda x, y: np.where(x > y, x, y), -1.0),
    ("elementwise_min", lambda x, y: np.where(x < y, x, y), -1.0),
    ("elementwise_pow", lambda x, y: np.exp(y * np.log(x)), 0.5),
):
    for _x, _y, _axis, _x_ones, _y_ones, _batch in _SHAPES:
        add(
            _type,
            _operands(_x, _y, _low, 2.0),
            _broadcasting(_function, _x_ones, _y_ones),
            attrs={} if _axis == -1 else {"axis": _axis},
            batch=_batch,
        )

_A = np.array([[7, -7, 7], [-7, 9, 0]])
_B = np.array([[3, 3, -3], [-3, -3, 4]])
_COLUMN = np.array([3, -4])
for _type, _function in (
    ("elementwise_add", lambda x, y: x + y),
    ("elementwise_sub", lambda x, y: x - y),
    ("elementwise_mul", lambda x, y: x * y),
    ("elementwise_div", lambda x, y: np.trunc(x / y)),
    ("elementwise_max", np.maximum),
    ("elementwise_min", np.minimum),
    ("elementwise_pow", lambda x, y: np.rint(x.astype(float) ** np.abs(y))),
    ("elementwise_floordiv", lambda x, y: np.trunc(x / y)),
    ("elementwise_mod", lambda x, y: x - y * np.trunc(x / y)),
):
    for _dtype in (np.int64, np.int32):
        _b = np.abs(_B) if _type == "elementwise_pow" else _B
        add(
            _type,
            {"X": _A.astype(_dtype), "Y": _b.astype(_dtype)},
            lambda X, Y, f=_function: f(X, Y),
            batch=("X", "Y"),
        )
        _c = np.abs(_COLUMN) if _type == "elementwise_pow" else _COLUMN
        add(
            _type,
            {"X": _A.astype(_dtype), "Y": _c.astype(_dtype)},
            lambda X, Y, f=_function: f(X, Y[:, None]),
            attrs={"axis": 0},
            batch=("X", "Y"),
        )
# The sign is the divisor's for floats.
add("elementwise_mod", _operands((5, 3), (3,), -5.0, 5.0), lambda X, Y: X - Y * np.floor(X / Y), batch=("X",))

# Where both are equal, Y has the gradient.
_TIES = {"X": np.array([1.0, 2.0, 3.0]), "Y": np.array([1.0, 3.0, 2.0])}
add("elementwise_max", _TIES, lambda X, Y: np.array([1.0, 3.0, 3.0]), gradient=False)
add("elementwise_min", _TIES, lambda X, Y: np.array([1.0, 2.0, 2.0]), gradient=False)
