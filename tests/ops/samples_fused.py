"""Samples of the ops that only plans contain."""

import numpy as np

from .grid import add, uniform

_FUNCTIONS = {
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda y: y * (1 - y)),
    "tanh": (np.tanh, lambda y: 1 - y * y),
    "relu": (lambda x: np.maximum(x, 0), lambda y: np.where(y > 0, 1.0, 0.0)),
    "exp": (np.exp, lambda y: y),
}


def _softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _rows_sum(grad):
    return grad.reshape(-1, grad.shape[-1]).sum(axis=0)


def _attrs(kind):
    return {} if kind == "sigmoid" else {"kind": kind}


for _x in (uniform(5, 3), uniform(5, 2, 3)):
    for _kind, (_f, _slope) in (*_FUNCTIONS.items(), ("softmax", (_softmax, None))):
        add(
            "fused_bias_activation",
            {"X": _x, "Bias": uniform(3, seed=1)},
            lambda X, Bias, f=_f: f(X + Bias),
            attrs=_attrs(_kind),
            batch=("X",),
            contiguous=("Bias",),
        )
        if _slope is not None:
            add(
                "fused_bias_activation_grad",
                {"Out": _f(_x), "Out@GRAD": uniform(*_x.shape, seed=2)},
                lambda Out, slope=_slope, **grads: {
                    "X@GRAD": grads["Out@GRAD"] * slope(Out),
                    "Bias@GRAD": _rows_sum(grads["Out@GRAD"] * slope(Out)),
                },
                attrs=_attrs(_kind),
                batch=("Out", "Out@GRAD"),
            )

_LABELS = np.array([[0], [2], [1], [1], [2]])


def _kept(label, ignored):
    return np.where(label == ignored, 0.0, 1.0)


def _cost(x, label, ignored):
    picked = np.take_along_axis(x, np.where(label == ignored, 0, label), axis=-1)
    return _kept(label, ignored) * (np.log(np.exp(x).sum(axis=-1, keepdims=True)) - picked)


def _cost_grad(softmax, label, loss_grad, ignored):
    one_hot = np.arange(softmax.shape[-1]) == label
    grad = _kept(label, ignored) * loss_grad * (softmax - one_hot)
    return {"X@GRAD": grad, "Bias@GRAD": _rows_sum(grad)}


for _ignored in (-100, 1):
    _ignore = {} if _ignored == -100 else {"ignore_index": _ignored}
    add(
        "fused_bias_softmax_cross_entropy",
        {"X": uniform(5, 3), "Bias": uniform(3, seed=1), "Label": _LABELS},
        lambda X, Bias, Label, i=_ignored: {"Softmax": _softmax(X + Bias), "Loss": _cost(X + Bias, Label, i)},
        attrs=_ignore,
        batch=("X", "Label"),
        contiguous=("Bias",),
    )
    add(
        "fused_softmax_cross_entropy_grad",
        {"Softmax": _softmax(uniform(5, 3)), "Label": _LABELS, "Loss@GRAD": uniform(5, 1, seed=2)},
        lambda Softmax, Label, i=_ignored, **grads: _cost_grad(Softmax, Label, grads["Loss@GRAD"], i),
        attrs=_ignore,
        batch=("Softmax", "Label", "Loss@GRAD"),
    )

for _mean in (False, True):
    _option = {"mean": True} if _mean else {}
    add(
        "fused_sum_of_squares",
        {"X": uniform(5, 3)},
        lambda X, mean=_mean: np.reshape((X * X).mean() if mean else (X * X).sum(), (1,)),
        attrs=_option,
    )
    add(
        "fused_sum_of_squares_grad",
        {"X": uniform(5, 3), "Out@GRAD": np.array([0.75])},
        lambda X, mean=_mean, **grads: 2 * X * grads["Out@GRAD"] / (X.size if mean else 1),
        attrs=_option,
        batch=("X",),
    )
