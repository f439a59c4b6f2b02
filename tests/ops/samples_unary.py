"""Samples of the functions of one variable."""

import numpy as np

from .grid import add, rows, uniform

_X = uniform(5, 3, low=-2.0, high=2.0)
_CUBE = uniform(2, 3, 5, low=-2.0, high=2.0)
_POSITIVE = uniform(5, 3, low=0.5, high=2.0)
_INTEGERS = np.array([[3, -1, 0], [2, -7, 5]])

for _type, _function in {
    "square": lambda X: X * X,
    "abs": lambda X: np.where(X < 0, -X, X),
    "exp": np.exp,
    "sign": lambda X: (X > 0) * 1.0 - (X < 0) * 1.0,
}.items():
    for _x in (_X, _CUBE):
        add(_type, {"X": _x}, lambda X, f=_function: f(X), batch=("X",))
for _type, _function in {"sqrt": lambda X: X**0.5, "log": np.log}.items():
    add(_type, {"X": _POSITIVE}, lambda X, f=_function: f(X), batch=("X",))
add("square", {"X": _INTEGERS}, lambda X: X * X, batch=("X",))
add("abs", {"X": _INTEGERS}, lambda X: np.where(X < 0, -X, X), batch=("X",))

add("abs", {"X": np.array([-1.0, 0.0, 2.0])}, lambda X: np.sqrt(X * X), gradient=False)
add("sign", {"X": np.array([-1.0, 0.0, 2.0])}, lambda X: np.array([-1.0, 0.0, 1.0]), gradient=False)

add("pow", {"X": _X}, lambda X: X)
add("pow", {"X": _X}, lambda X: X * X * X, attrs={"factor": 3.0}, batch=("X",))
add("pow", {"X": _POSITIVE}, lambda X: 1 / np.sqrt(X), attrs={"factor": -0.5}, batch=("X",))
add(
    "pow",
    {"X": _X, "FactorTensor": np.array([2.0])},
    lambda X, FactorTensor: X * X,
    attrs={"factor": 7.0},
    batch=("X",),
    constants=("FactorTensor",),
)

for _attrs, _function in (
    ({}, lambda X: X),
    ({"scale": 2.5}, lambda X: 2.5 * X),
    ({"scale": 0.0}, lambda X: 0 * X),
    ({"bias": -1.5}, lambda X: X - 1.5),
    ({"scale": 2.5, "bias": -1.5}, lambda X: 2.5 * X - 1.5),
    ({"scale": 2.5, "bias": -1.5, "bias_after_scale": False}, lambda X: 2.5 * (X - 1.5)),
    ({"bias": -1.5, "bias_after_scale": False}, lambda X: X - 1.5),
):
    add("scale", {"X": _CUBE}, _function, attrs=_attrs, batch=("X",))
add(
    "scale",
    {"X": _X, "ScaleTensor": np.array([3.0])},
    lambda X, ScaleTensor: 3 * X + 1,
    attrs={"scale": 7.0, "bias": 1.0},
    batch=("X",),
    constants=("ScaleTensor",),
)
# Fluid truncates both numbers before it computes with integers.
add("scale", {"X": _INTEGERS}, lambda X: 2 * X + 1, attrs={"scale": 2.7, "bias": 1.5}, batch=("X",))
add("scale", {"X": rows([3, 0, 3], 2, 5)}, lambda X: X.to_dense() * -0.5, attrs={"scale": -0.5}, gradient=False)

add(
    "clip",
    {"X": _CUBE},
    lambda X: np.minimum(np.maximum(X, -0.5), 1.25),
    attrs={"min": -0.5, "max": 1.25},
    batch=("X",),
)
add("clip", {"X": _X}, lambda X: 0 * X, batch=("X",))
# On the bounds the gradient is zero.
add("clip", {"X": np.array([-1.0, 2.0])}, lambda X: X, attrs={"min": -1.0, "max": 2.0}, gradient=False)
