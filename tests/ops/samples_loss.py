"""Samples of the losses."""

import numpy as np

from .grid import add, uniform

_P = uniform(5, 3, low=0.1)
_P_CUBE = uniform(2, 3, 5, low=0.1)
_LABELS = np.array([[0], [2], [1], [1], [2]])
_LABELS_CUBE = np.array([[[4], [0], [2]], [[1], [1], [3]]])
_SOFT = uniform(5, 3, seed=1, low=0.0)
_SOFT_CUBE = uniform(2, 3, 5, seed=1, low=0.0)


def _picked(x, label, axis=-1):
    return np.take_along_axis(x, label, axis=axis)


def _hard_cost(x, label, ignored):
    return np.where(label == ignored, 0, -np.log(_picked(x, np.where(label == ignored, 0, label))))


for _x, _label in ((_P, _LABELS), (_P_CUBE, _LABELS_CUBE)):
    for _ignored in (-100, 1):
        _attrs = {} if _ignored == -100 else {"ignore_index": _ignored}
        add(
            "cross_entropy2",
            {"X": _x, "Label": _label},
            lambda X, Label, i=_ignored: {"Y": _hard_cost(X, Label, i)},
            attrs=_attrs,
            batch=("X", "Label"),
        )
        add(
            "cross_entropy",
            {"X": _x, "Label": _label},
            lambda X, Label, i=_ignored: _hard_cost(X, Label, i),
            attrs=_attrs,
            batch=("X", "Label"),
        )
for _x, _label in ((_P, _SOFT), (_P_CUBE, _SOFT_CUBE)):
    add(
        "cross_entropy",
        {"X": _x, "Label": _label},
        lambda X, Label: -(Label * np.log(X)).sum(axis=-1, keepdims=True),
        attrs={"soft_label": True},
        batch=("X", "Label"),
        constants=("Label",),
    )
_ZERO = np.array([[0.0, 1.0], [0.25, 0.75], [0.5, 0.5]])
_ZERO_COST = np.array([[1e20], [-np.log(0.25)], [-np.log(0.5)]])
for _type in ("cross_entropy", "cross_entropy2"):
    add(
        _type,
        {"X": _ZERO, "Label": np.array([[0], [0], [1]])},
        lambda X, Label: {"Y": _ZERO_COST},
        gradient=False,
    )


def _softmax_cost(logits, target, axis, kept=1.0):
    shifted = logits - logits.max(axis=axis, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return {"Softmax": np.exp(log_softmax), "Loss": -(target * log_softmax).sum(axis=axis, keepdims=True) * kept}


def _one_hot(label, n_classes, axis):
    classes = np.arange(n_classes).reshape([-1 if i == axis % label.ndim else 1 for i in range(label.ndim)])
    return (label == classes) * 1.0


_LOGITS = uniform(5, 3, low=-2.0, high=2.0)
_LOGITS_CUBE = uniform(2, 3, 5, low=-2.0, high=2.0)
for _x, _label, _axis in (
    (_LOGITS, _LABELS, -1),
    (_LOGITS_CUBE, _LABELS_CUBE, -1),
    (_LOGITS_CUBE, np.array([[[0, 2, 1, 1, 0]], [[2, 2, 0, 1, 1]]]), 1),
    (_LOGITS_CUBE, np.array([[[0, 2, 1, 1, 0]], [[2, 2, 0, 1, 1]]]), -2),
):
    for _ignored in (-100, 1):
        add(
            "softmax_with_cross_entropy",
            {"Logits": _x, "Label": _label},
            lambda Logits, Label, a=_axis, i=_ignored: _softmax_cost(
                Logits, _one_hot(Label, Logits.shape[a], a), a, Label != i
            ),
            attrs={**({} if _axis == -1 else {"axis": _axis}), **({} if _ignored == -100 else {"ignore_index": 1})},
            batch=("Logits", "Label"),
        )
_RAW = np.exp(uniform(2, 3, 5, seed=3))
for _x, _raw, _axis in ((_LOGITS, np.exp(_SOFT), -1), (_LOGITS_CUBE, _RAW, 1)):
    add(
        "softmax_with_cross_entropy",
        {"Logits": _x, "Label": _raw / _raw.sum(axis=_axis, keepdims=True)},
        lambda Logits, Label, a=_axis: _softmax_cost(Logits, Label, a),
        attrs={"soft_label": True, **({} if _axis == -1 else {"axis": _axis})},
        batch=("Logits", "Label"),
        constants=("Label",),
    )
add(
    "softmax_with_cross_entropy",
    {"Logits": np.array([[1e4, 0.0, -1e4], [0.0, 50.0, -50.0]]), "Label": np.array([[2], [1]])},
    lambda Logits, Label: {"Loss": np.array([[2e4], [0.0]])},
    gradient=False,
)


def _sigmoid_cost(x, label, ignored, normalize):
    kept = label != ignored
    cost = np.where(kept, np.logaddexp(0, x) - x * label, 0)
    return cost / max(kept.sum(), 1) if normalize else cost


_BINARY = np.array([[1.0, 0.0, -1.0], [0.0, 1.0, 1.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, -1.0, -1.0]])
for _attrs in ({}, {"ignore_index": -1}, {"normalize": True}, {"ignore_index": -1, "normalize": True}):
    add(
        "sigmoid_cross_entropy_with_logits",
        {"X": _LOGITS, "Label": _BINARY},
        lambda X, Label, a=_attrs: _sigmoid_cost(X, Label, a.get("ignore_index", -100), a.get("normalize")),
        attrs=_attrs,
        batch=("X", "Label"),
        constants=("Label",),
    )
add(
    "sigmoid_cross_entropy_with_logits",
    {"X": np.array([-1e4, -50.0, 0.0, 50.0, 1e4]), "Label": np.array([0.0, 0.25, 0.5, 1.0, 0.0])},
    lambda X, Label: np.array([0.0, 12.5, np.log(2), 0.0, 1e4]),
    constants=("Label",),
    gradient=False,
)
