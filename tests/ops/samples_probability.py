"""Samples of the losses of probabilities, and of smoothed labels."""

import numpy as np

from .grid import add, uniform

_P = uniform(5, 3, low=0.0)
_CLICKS = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.25, 1.0]])
for _epsilon in (1e-4, 0.05):
    add(
        "log_loss",
        {"Predicted": _P, "Labels": _CLICKS},
        lambda Predicted, Labels, e=_epsilon: (
            -(Labels * np.log(Predicted + e) + (1 - Labels) * np.log(1 - Predicted + e))
        ),
        attrs={} if _epsilon == 1e-4 else {"epsilon": _epsilon},
        batch=("Predicted", "Labels"),
        constants=("Labels",),
    )
add(
    "log_loss",
    {"Predicted": np.array([0.0, 1.0]), "Labels": np.array([1.0, 0.0])},
    lambda Predicted, Labels: np.full(2, -np.log(1e-4)),
    gradient=False,
)

_LOGS = uniform(5, 3, low=-3.0, high=-0.1)
_TARGET = np.array([[0.2, 0.3, 0.5], [0.0, 1.0, 0.0], [0.6, 0.4, -0.1], [0.7, 0.1, 0.2], [0.25, 0.5, 0.25]])


def _divergence(x, target):
    return np.where(target > 0, target * (np.log(np.where(target > 0, target, 1)) - x), 0)


for _reduction, _reduce in (
    ("none", lambda cost: cost),
    ("sum", lambda cost: cost.sum().reshape(1)),
    ("mean", lambda cost: (cost.sum() / max(cost.size, 1)).reshape(1)),
    ("batchmean", lambda cost: (cost.sum() / max(len(cost), 1)).reshape(1)),
):
    add(
        "kldiv_loss",
        {"X": _LOGS, "Target": _TARGET},
        lambda X, Target, r=_reduce: r(_divergence(X, Target)),
        attrs={} if _reduction == "mean" else {"reduction": _reduction},
        batch=("X", "Target"),
        constants=("Target",),
    )

_PRIOR = np.array([[0.5, 0.2, 0.3]])
add("label_smooth", {"X": _P}, lambda X: X, batch=("X",))
add("label_smooth", {"X": _P}, lambda X: 0.75 * X + 0.25 / 3, attrs={"epsilon": 0.25}, batch=("X",))
add(
    "label_smooth",
    {"X": _P, "PriorDist": _PRIOR},
    lambda X, PriorDist: 0.75 * X + 0.25 * PriorDist,
    attrs={"epsilon": 0.25},
    batch=("X",),
)
