"""Samples of the recurrent ops: sequence by sequence and step by step, in float64."""

import numpy as np

from .grid import add, lod_of, sequences, uniform

_FUNCTIONS = {
    "identity": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
}
_NUMBERS = list(_FUNCTIONS)
# Sequences of 3, 0, 1, 4 and 3 steps: an empty one inside, ties, and the longest neither first nor last.
_OFFSETS = [0, 3, 3, 4, 8, 11]


def _steps(offsets, is_reverse):
    for k, (begin, end) in enumerate(zip(offsets[:-1], offsets[1:], strict=True)):
        yield k, range(end - 1, begin - 1, -1) if is_reverse else range(begin, end)


def _gru_step(x, h, weight, act, gate, origin):
    width = len(weight)
    flat = weight.reshape(-1)
    w_gates, w_c = flat[: 2 * width**2].reshape(width, -1), flat[2 * width**2 :].reshape(width, width)
    u, r = np.split(_FUNCTIONS[gate](x[..., : 2 * width] + h @ w_gates), 2, axis=-1)
    c = _FUNCTIONS[act](x[..., 2 * width :] + (r * h) @ w_c)
    return (u * h + (1 - u) * c if origin else (1 - u) * h + u * c), r * h, np.concatenate((u, r, c), axis=-1)


def _gru(x, h0, weight, bias, attrs):
    hidden = np.zeros((len(x), len(weight)))
    offsets = lod_of(x)[-1]
    for k, rows in _steps(offsets, attrs.get("is_reverse")):
        h = np.zeros(len(weight)) if h0 is None else h0[k]
        for row in rows:
            h = hidden[row] = _gru_step(
                np.asarray(x)[row] + (0 if bias is None else bias[0]),
                h,
                weight,
                attrs.get("activation", "tanh"),
                attrs.get("gate_activation", "sigmoid"),
                attrs.get("origin_mode", False),
            )[0]
    return {"Hidden": hidden}


_WEIGHT, _BIAS, _H0 = uniform(2, 6), uniform(1, 6, seed=1), uniform(5, 2, seed=2)
_X = sequences(uniform(11, 6), _OFFSETS)
_LEVELS = sequences(uniform(11, 6), [0, 2, 5], _OFFSETS)
_ONE = sequences(uniform(4, 6), [0, 4])
_NONE = sequences(uniform(0, 6), [0, 0, 0, 0])
for _inputs in (
    {"Input": _X, "Weight": _WEIGHT},
    {"Input": _X, "Weight": _WEIGHT, "Bias": _BIAS},
    {"Input": _X, "H0": _H0, "Weight": _WEIGHT, "Bias": _BIAS},
    {"Input": _LEVELS, "Weight": _WEIGHT, "Bias": _BIAS},
    {"Input": _ONE, "H0": _H0[:1], "Weight": _WEIGHT, "Bias": _BIAS},
    {"Input": _NONE, "H0": _H0[:3], "Weight": _WEIGHT, "Bias": _BIAS},
):
    for _attrs in (
        {},
        {"is_reverse": True},
        {"origin_mode": True},
        {"activation": "identity", "gate_activation": "tanh", "origin_mode": True, "is_reverse": True},
    ):
        add(
            "gru",
            _inputs,
            lambda Input, Weight, H0=None, Bias=None, a=_attrs: _gru(Input, H0, Weight, Bias, a),
            attrs=_attrs,
        )
add(
    "gru",
    {"Input": _X, "H0": _H0, "Weight": _WEIGHT},
    lambda Input, Weight, H0: _gru(Input, H0, Weight, None, {"activation": "relu", "gate_activation": "relu"}),
    attrs={"activation": "relu", "gate_activation": "relu"},
    gradient=False,
)


def _gru_unit(x, h, weight, bias, attrs):
    hidden, reset, gate = _gru_step(
        x + (0 if bias is None else bias),
        h,
        weight,
        _NUMBERS[attrs.get("activation", 2)],
        _NUMBERS[attrs.get("gate_activation", 1)],
        attrs.get("origin_mode", False),
    )
    return {"Gate": gate, "ResetHiddenPrev": reset, "Hidden": hidden}


for _attrs in (
    {},
    {"origin_mode": True},
    {"activation": 0, "gate_activation": 2},
    {"activation": 1, "gate_activation": 0, "origin_mode": True},
):
    for _given in ({}, {"Bias": _BIAS}):
        add(
            "gru_unit",
            {"Input": uniform(5, 6), "HiddenPrev": uniform(5, 2), "Weight": _WEIGHT, **_given},
            lambda Input, HiddenPrev, Weight, Bias=None, a=_attrs: _gru_unit(Input, HiddenPrev, Weight, Bias, a),
            attrs=_attrs,
            batch=("Input", "HiddenPrev"),
        )
