"""Samples of pooling, convolution and softmax of sequences: empty sequences first, last and inside, two levels."""

import numpy as np

from .grid import add, sequences, uniform

_LENGTHS = {"usual": [0, 2, 2, 5, 6], "bordered": [0, 0, 3, 6, 6], "one": [0, 6]}


def _pool(x, kind, pad):
    offsets = x.lod_offsets[-1]
    out = np.full((len(offsets) - 1, *x.shape[1:]), pad, float)
    for n, (begin, end) in enumerate(zip(offsets[:-1], offsets[1:], strict=True)):
        rows = np.asarray(x)[begin:end]
        if len(rows):
            out[n] = {
                "SUM": lambda r: r.sum(0),
                "AVERAGE": lambda r: r.mean(0),
                "SQRT": lambda r: r.sum(0) / np.sqrt(len(r)),
                "MAX": lambda r: r.max(0),
                "FIRST": lambda r: r[0],
                "LAST": lambda r: r[-1],
            }[kind](rows)
    return sequences(out, *x.lod_offsets[:-1]) if len(x.lod_offsets) > 1 else out


def _add_pool(x, kind, *, pad=0.0):
    attrs = {"pooltype": kind, "pad_value": pad}
    add("sequence_pool", {"X": x}, lambda X: _pool(X, kind, pad), attrs=attrs, value_shapes=True)


for _kind in ("SUM", "AVERAGE", "SQRT", "MAX", "FIRST", "LAST"):
    for _offsets in _LENGTHS.values():
        _add_pool(sequences(uniform(6, 3), _offsets), _kind, pad=0.5)
    _add_pool(sequences(uniform(6, 8), [0, 1, 6]), _kind)
    _add_pool(sequences(uniform(6, 2), [0, 2, 4], [0, 2, 2, 5, 6]), _kind)
    _add_pool(sequences(uniform(6, 2, 3), [0, 4, 4, 6]), _kind)
    _add_pool(sequences(uniform(6), [0, 4, 4, 6]), _kind)
    _add_pool(sequences(np.zeros((0, 3)), [0, 0, 0]), _kind, pad=-1.0)
    _add_pool(sequences(np.zeros((0, 3)), [0]), _kind)
add(
    "sequence_pool",
    {"X": sequences(np.array([[1.0, 5.0, 2.0], [4.0, 5.0, 1.0], [4.0, 3.0, 2.0], [0.0, 9.0, 9.0]]), [0, 3, 3, 4])},
    lambda X: {"Out": _pool(X, "MAX", 0.0), "MaxIndex": np.array([[1, 0, 0], [-1, -1, -1], [3, 3, 3]])},
    attrs={"pooltype": "MAX"},
    value_shapes=True,
    gradient=False,
)


def _windows(x, length, start, padding):
    offsets = x.lod_offsets[0]
    out = np.zeros((len(x), length, x.shape[1]))
    for begin, end in zip(offsets[:-1], offsets[1:], strict=True):
        for t in range(begin, end):
            for k in range(length):
                step = t + start + k
                if begin <= step < end:
                    out[t, k] = x[step]
                elif padding is not None:
                    out[t, k] = padding[max(-start, 0) + (step - begin if step < begin else step - end)]
    return out.reshape(len(x), length * x.shape[1])


def _add_conv(x, length, start, *, padded=False):
    rows = max(-start, 0) + max(start + length - 1, 0)
    inputs = {"X": x, "Filter": uniform(length * x.shape[1], 7, seed=1)}
    if padded:
        inputs["PaddingData"] = uniform(rows, x.shape[1], seed=2)
    add(
        "sequence_conv",
        inputs,
        lambda X, Filter, PaddingData=None: _windows(X, length, start, PaddingData) @ Filter,
        attrs={"contextLength": length, "contextStart": start, "paddingTrainable": padded},
        contiguous=("Filter",),
        value_shapes=True,
    )


for _length, _start in ((3, -1), (3, 0), (2, 1), (1, 0), (5, -4), (2, -3), (3, 7), (2, 10**12), (2, -(10**12))):
    for _offsets in _LENGTHS.values():
        _add_conv(sequences(uniform(6, 2), _offsets), _length, _start)
for _length, _start in ((3, -1), (3, 0), (4, -2), (5, -4)):
    _add_conv(sequences(uniform(6, 5), [0, 2, 2, 5, 6]), _length, _start, padded=True)
_add_conv(sequences(np.zeros((0, 2)), [0, 0]), 3, -1)


def _softmax(x):
    out = np.array(x)
    for begin, end in zip(x.lod_offsets[-1][:-1], x.lod_offsets[-1][1:], strict=True):
        if begin < end:
            powers = np.exp(out[begin:end] - out[begin:end].max())
            out[begin:end] = powers / powers.sum()
    return out


for _x in (uniform(6, 1), uniform(6)):
    for _offsets in _LENGTHS.values():
        add("sequence_softmax", {"X": sequences(_x, _offsets)}, lambda X: _softmax(X))
    add("sequence_softmax", {"X": sequences(_x, [0, 1, 3], [0, 2, 2, 6])}, lambda X: _softmax(X))
add("sequence_softmax", {"X": sequences(np.zeros((0, 1)), [0, 0])}, lambda X: _softmax(X))
add(
    "sequence_softmax",
    {"X": sequences(np.array([[0.0], [1000.0], [999.0], [-1000.0]]), [0, 3, 4])},
    lambda X: _softmax(X),
)
