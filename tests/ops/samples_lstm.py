"""Samples of the LSTM: sequence by sequence and step by step, in float64."""

import numpy as np

from .grid import add, lod_of, sequences, uniform

_FUNCTIONS = {
    "identity": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
}
_OFFSETS = [0, 3, 3, 4, 8, 11]


def _lstm(x, h0, c0, weight, bias, attrs):
    width = len(weight)
    gate = _FUNCTIONS[attrs.get("gate_activation", "sigmoid")]
    act = _FUNCTIONS[attrs.get("cell_activation", "tanh")]
    candidate = _FUNCTIONS[attrs.get("candidate_activation", "tanh")]
    b, rest = bias[0, : 4 * width], bias[0, 4 * width :]
    w_i, w_f, w_o = rest.reshape(3, width) if attrs.get("use_peepholes", True) else np.zeros((3, width))
    hidden, cell = np.zeros((len(x), width)), np.zeros((len(x), width))
    offsets = lod_of(x)[-1]
    for k, (begin, end) in enumerate(zip(offsets[:-1], offsets[1:], strict=True)):
        h = np.zeros(width) if h0 is None else h0[k]
        c = np.zeros(width) if c0 is None else c0[k]
        rows = range(begin, end)
        for row in reversed(rows) if attrs.get("is_reverse") else rows:
            a, i, f, o = np.split(np.asarray(x)[row] + h @ weight + b, 4)
            c = cell[row] = gate(i + w_i * c) * candidate(a) + gate(f + w_f * c) * c
            h = hidden[row] = gate(o + w_o * c) * act(c)
    return {"Hidden": hidden, "Cell": cell}


_WEIGHT, _PEEPHOLES, _BIAS = uniform(2, 8), uniform(1, 14, seed=1), uniform(1, 8, seed=1)
_H0, _C0 = uniform(5, 2, seed=2), uniform(5, 2, seed=3)
for _inputs in (
    {"Input": sequences(uniform(11, 8), _OFFSETS)},
    {"Input": sequences(uniform(11, 8), _OFFSETS), "H0": _H0, "C0": _C0},
    {"Input": sequences(uniform(11, 8), [0, 2, 5], _OFFSETS), "C0": _C0},
    {"Input": sequences(uniform(4, 8), [0, 4]), "H0": _H0[:1], "C0": _C0[:1]},
    {"Input": sequences(uniform(0, 8), [0, 0, 0, 0]), "H0": _H0[:3]},
):
    for _attrs in (
        {},
        {"use_peepholes": False},
        {"is_reverse": True},
        {"gate_activation": "tanh", "cell_activation": "identity", "candidate_activation": "sigmoid"},
    ):
        add(
            "lstm",
            {**_inputs, "Weight": _WEIGHT, "Bias": _PEEPHOLES if _attrs.get("use_peepholes", True) else _BIAS},
            lambda Input, Weight, Bias, H0=None, C0=None, a=_attrs: _lstm(Input, H0, C0, Weight, Bias, a),
            attrs=_attrs,
        )
