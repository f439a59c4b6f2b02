"""Samples of the activations."""

import numpy as np

from .grid import add, uniform

_X = uniform(5, 3, low=-2.0, high=2.0)
_CUBE = uniform(2, 3, 5, low=-2.0, high=2.0)


def _softmax(x, axis):
    e = np.exp(np.maximum(x - x.max(axis=axis, keepdims=True), -64))
    return e / e.sum(axis=axis, keepdims=True)


for _type, _function in {
    "sigmoid": lambda X: 1 / (1 + np.exp(-X)),
    "tanh": lambda X: 1 - 2 / (np.exp(2 * X) + 1),
    "relu": lambda X: np.where(X > 0, X, 0),
}.items():
    for _x in (_X, _CUBE):
        add(_type, {"X": _x}, _function, batch=("X",))

# Far outside, at the kinks, and where a naive formula overflows.
add("sigmoid", {"X": np.array([-1e4, -100.0, -30.0, 0.0, 30.0, 1e4])}, lambda X: np.exp(-np.logaddexp(0, -X)))
add("tanh", {"X": np.array([-1e4, -20.0, 0.0, 1e-3, 1e4])}, lambda X: np.tanh(X))
add("relu", {"X": np.array([-1e4, -1.0, 0.0, 1e4])}, lambda X: np.maximum(X, 0), gradient=False)

add("relu6", {"X": 4 * _CUBE}, lambda X: np.clip(X, 0, 6), batch=("X",))
add("relu6", {"X": _X}, lambda X: np.clip(X, 0, 1.5), attrs={"threshold": 1.5}, batch=("X",))
add("relu6", {"X": np.array([0.0, 6.0, 7.0])}, lambda X: np.array([0.0, 6.0, 6.0]), gradient=False)

add("softmax", {"X": _X}, lambda X: _softmax(X, -1), batch=("X",))
add("softmax", {"X": _CUBE}, lambda X: _softmax(X, 1), attrs={"axis": 1}, batch=("X",))
add("softmax", {"X": _CUBE}, lambda X: _softmax(X, 0), attrs={"axis": 0})
add("softmax", {"X": _CUBE}, lambda X: _softmax(X, 1), attrs={"axis": -2}, batch=("X",))
add("softmax", {"X": np.array([[1e4, 0.0, -1e4], [-50.0, 0.0, 3.0]])}, lambda X: _softmax(X, -1), batch=("X",))

for _type, _function, _attrs in (
    ("softplus", lambda X: np.log1p(np.exp(X)), {}),
    ("logsigmoid", lambda X: -np.log1p(np.exp(-X)), {}),
    ("softsign", lambda X: X / (1 + np.abs(X)), {}),
    ("tanh_shrink", lambda X: X - np.tanh(X), {}),
    ("swish", lambda X, beta=1.0: X / (1 + np.exp(-beta * X)), {"beta": -1.5}),
    (
        "stanh",
        lambda X, scale_a=0.67, scale_b=1.7159: scale_b * np.tanh(scale_a * X),
        {"scale_a": 1.5, "scale_b": -2.0},
    ),
    (
        "soft_relu",
        lambda X, threshold=40.0: np.log1p(np.exp(np.clip(X, -threshold, threshold))),
        {"threshold": 1.25},
    ),
):
    add(_type, {"X": _X}, _function, batch=("X",))
    add(_type, {"X": _CUBE}, lambda X, f=_function, a=_attrs: f(X, **a), attrs=_attrs, batch=("X",))
_FAR = np.array([-1e4, -100.0, -30.0, 0.0, 30.0, 1e4])
add("softplus", {"X": _FAR}, lambda X: np.logaddexp(0, X), gradient=False)
add("logsigmoid", {"X": _FAR}, lambda X: -np.logaddexp(0, -X), gradient=False)
add("swish", {"X": _FAR}, lambda X: X * np.exp(-np.logaddexp(0, -X)), gradient=False)
