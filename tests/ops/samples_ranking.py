"""Samples of the losses of scores in pairs."""

import numpy as np

from .grid import add, uniform

_LEFT, _RIGHT = uniform(5, 1, low=-2.0, high=2.0), uniform(5, 1, seed=1, low=-2.0, high=2.0)
_FIRST = np.array([[1.0], [0.0], [0.5], [1.0], [0.0]])
_PAIR = ("Label", "Left", "Right")
add(
    "rank_loss",
    {"Label": _FIRST, "Left": _LEFT, "Right": _RIGHT},
    lambda Label, Left, Right: np.log1p(np.exp(Left - Right)) - Label * (Left - Right),
    batch=_PAIR,
    constants=("Label",),
)
add(
    "rank_loss",
    {"Label": np.array([[1.0], [0.0]]), "Left": np.array([[1e4], [1e4]]), "Right": np.array([[-1e4], [-1e4]])},
    lambda Label, Left, Right: np.array([[0.0], [2e4]]),
    gradient=False,
)


def _margin_rank(x1, x2, label, margin):
    cost = margin - label * (x1 - x2)
    return {"Out": np.maximum(cost, 0), "Activated": 1.0 * (cost > 0)}


for _margin in (0.0, 0.75):
    add(
        "margin_rank_loss",
        {"X1": _LEFT, "X2": _RIGHT, "Label": 1.0 - 2.0 * (_FIRST > 0.25)},
        lambda X1, X2, Label, m=_margin: _margin_rank(X1, X2, Label, m),
        attrs={} if _margin == 0 else {"margin": _margin},
        batch=("X1", "X2", "Label"),
        constants=("Label",),
    )


def _bpr(x, label):
    n, n_classes = x.shape
    own = x[np.arange(n), label.reshape(-1)][:, None]
    return (np.logaddexp(0, x - own).sum(axis=1, keepdims=True) - np.log(2)) / (n_classes - 1)


_SCORES = uniform(5, 3, low=-3.0, high=3.0)
for _dtype in (np.int64, np.int32):
    add(
        "bpr_loss",
        {"X": _SCORES, "Label": np.array([[0], [2], [1], [1], [2]], _dtype)},
        lambda X, Label: _bpr(X, Label),
        batch=("X", "Label"),
    )
add(
    "bpr_loss",
    {"X": np.array([[1e4, -1e4], [0.0, 0.0], [-1e4, 1e4]]), "Label": np.array([[1], [0], [1]])},
    lambda X, Label: np.array([[2e4], [np.log(2)], [0.0]]),
    gradient=False,
)


def _distilled(x, z):
    plain = np.logaddexp(0, x)
    return np.where(z < -1, plain, np.where(z < 0, plain - x, 2 * plain - x * z))


_LOGITS = np.array([[-3.0], [-1.25], [0.5], [2.0], [-0.25], [0.75], [3.0]])
_TAUGHT = np.array([[-2.0], [-1.0], [-1.5], [0.25], [1.5], [0.75], [1.0]])
add(
    "teacher_student_sigmoid_loss",
    {"X": _LOGITS, "Label": _TAUGHT},
    lambda X, Label: _distilled(X, Label),
    batch=("X", "Label"),
    constants=("Label",),
)
# The bounds concern the gradient alone.
add(
    "teacher_student_sigmoid_loss",
    {"X": _LOGITS, "Label": _TAUGHT},
    lambda X, Label: _distilled(X, Label),
    attrs={"soft_max_up_bound": 1.0, "soft_max_lower_bound": -0.5},
    batch=("X", "Label"),
    constants=("Label",),
    gradient=False,
)
