"""Samples of the losses of numbers against numbers."""

import numpy as np

from .grid import add, uniform

_X = uniform(5, 3, low=-3.0, high=3.0)
_Y = uniform(5, 3, seed=1)
_CUBE = uniform(2, 3, 5, low=-3.0, high=3.0)


def _huber(residual, delta):
    far = np.abs(residual)
    loss = np.where(far <= delta, residual**2 / 2, delta * (far - delta / 2))
    return {"Out": loss, "Residual": residual}


for _delta in (1.0, 0.4, 10.0):
    add(
        "huber_loss",
        {"X": _X, "Y": _Y},
        lambda X, Y, d=_delta: _huber(Y - X, d),
        attrs={} if _delta == 1 else {"delta": _delta},
        batch=("X", "Y"),
    )


def _smooth_l1(diff, outside, sigma):
    far = np.abs(diff)
    cost = np.where(far < 1 / sigma**2, (sigma * diff) ** 2 / 2, far - 0.5 / sigma**2) * outside
    return {"Diff": diff, "Out": cost.sum(axis=tuple(range(1, diff.ndim)))[:, None]}


for _x, _y in ((_X, _Y), (_CUBE, uniform(2, 3, 5, seed=1))):
    for _sigma in (1.0, 2.0):
        add(
            "smooth_l1_loss",
            {"X": _x, "Y": _y},
            lambda X, Y, s=_sigma: _smooth_l1(X - Y, 1, s),
            attrs={} if _sigma == 1 else {"sigma": _sigma},
            batch=("X", "Y"),
        )
    _weights = {
        "InsideWeight": uniform(*_x.shape, seed=2, low=0.5, high=2.0),
        "OutsideWeight": uniform(*_x.shape, seed=3, low=0.5, high=2.0),
    }
    add(
        "smooth_l1_loss",
        {"X": _x, "Y": _y, **_weights},
        lambda X, Y, InsideWeight, OutsideWeight: _smooth_l1((X - Y) * InsideWeight, OutsideWeight, 1),
        batch=("X", "Y", "InsideWeight", "OutsideWeight"),
        constants=("InsideWeight", "OutsideWeight"),
    )
