"""Samples of the activations in pieces."""

import numpy as np

from .grid import add, uniform

_X = uniform(5, 3, low=-3.0, high=3.0)
_CUBE = uniform(2, 3, 5, low=-3.0, high=3.0)


def _below(x, low):
    return np.where(x > 0, x, low)


for _type, _function, _attrs in (
    ("leaky_relu", lambda X, alpha=0.02: _below(X, alpha * X), {"alpha": 0.25}),
    ("elu", lambda X, alpha=1.0: _below(X, alpha * (np.exp(X) - 1)), {"alpha": 0.5}),
    (
        "selu",
        lambda X, scale=1.0507009873554805, alpha=1.6732632423543772: scale * _below(X, alpha * (np.exp(X) - 1)),
        {"scale": 1.5, "alpha": 0.5},
    ),
    ("thresholded_relu", lambda X, threshold=1.0: np.where(X > threshold, X, 0), {"threshold": 0.25}),
    ("brelu", lambda X, t_min=0.0, t_max=24.0: np.clip(X, t_min, t_max), {"t_min": -1.0, "t_max": 2.0}),
    ("hard_shrink", lambda X, threshold=0.5: np.where(abs(X) > threshold, X, 0), {"threshold": 1.25}),
    ("softshrink", lambda X, width=0.5: np.sign(X) * np.maximum(abs(X) - width, 0), {"lambda": 1.25}),
    (
        "hard_sigmoid",
        lambda X, slope=0.2, offset=0.5: np.clip(slope * X + offset, 0, 1),
        {"slope": 0.5, "offset": 0.25},
    ),
    (
        "hard_swish",
        lambda X, threshold=6.0, scale=6.0, offset=3.0: X * np.clip(X + offset, 0, threshold) / scale,
        {"threshold": 2.0, "scale": 5.0, "offset": 1.0},
    ),
):
    for _x in (_X, _CUBE):
        add(_type, {"X": _x}, _function, batch=("X",))
    _given = {"width" if name == "lambda" else name: value for name, value in _attrs.items()}
    add(_type, {"X": _CUBE}, lambda X, f=_function, g=_given: f(X, **g), attrs=_attrs, batch=("X",))
# What is multiplied with zero must not overflow.
for _type, _scale, _alpha in (("elu", 1.0, 1.0), ("selu", 1.0507009873554805, 1.6732632423543772)):
    add(
        _type,
        {"X": np.array([-1e4, -50.0, 0.0, 1e4])},
        lambda X, s=_scale, a=_alpha: s * np.where(X > 0, X, a * np.expm1(np.minimum(X, 0))),
        gradient=False,
    )
