"""Samples of joining, reversing, cutting and scattering sequences, of masks, and of LoD that is set anew."""

import numpy as np

from fluidlite.dtypes import VarType

from .grid import add, sequences, uniform

_INTEGERS = np.arange(5, 11).reshape(6, 1)


def _parts(x):
    offsets = x.lod_offsets[0]
    return [np.asarray(x)[b:e] for b, e in zip(offsets[:-1], offsets[1:], strict=True)]


def _join(parts, like):
    rows = np.concatenate(parts) if parts else np.zeros((0, *like.shape[1:]), like.dtype)
    return sequences(rows, np.cumsum([0, *map(len, parts)]))


def _concat(xs):
    return _join([np.concatenate(same) for same in zip(*map(_parts, xs), strict=True)], xs[0])


for _xs in (
    (sequences(uniform(6, 2), [0, 2, 2, 6]), sequences(uniform(3, 2, seed=1), [0, 0, 1, 3])),
    (
        sequences(uniform(6, 2, 3), [0, 2, 6]),
        sequences(uniform(5, 2, 3), [0, 5, 5]),
        sequences(uniform(1, 2, 3), [0, 0, 1]),
    ),
    (sequences(uniform(6, 2), [0, 2, 6]),),
    (sequences(np.zeros((0, 2)), [0, 0]), sequences(np.zeros((0, 2)), [0, 0])),
    (sequences(_INTEGERS, [0, 2, 6]), sequences(np.array([[1], [2]]), [0, 1, 2])),
):
    add("sequence_concat", {"X": _xs}, lambda X: _concat(X), value_shapes=True)


def _reverse(x):
    return np.asarray(_join([part[::-1] for part in _parts(x)], x))


for _x in (
    sequences(uniform(6, 2), [0, 2, 2, 5, 6]),
    sequences(uniform(6, 2, 3), [0, 6, 6]),
    sequences(uniform(6), [0, 0, 3, 6]),
    sequences(np.zeros((0, 2)), [0, 0]),
    sequences(_INTEGERS, [0, 2, 6]),
):
    add("sequence_reverse", {"X": _x}, lambda X: _reverse(X))


def _enumerate(x, size, pad):
    windows = []
    for part in _parts(x):
        numbers = [*part.reshape(-1), *([pad] * size)]
        windows += [numbers[t : t + size] for t in range(len(part))]
    return np.array(windows, x.dtype).reshape(len(x), size)


for _x, _size, _pad in (
    (sequences(_INTEGERS, [0, 2, 2, 6]), 3, 9),
    (sequences(_INTEGERS.astype(np.int32), [0, 0, 6]), 2, 0),
    (sequences(_INTEGERS, [0, 2, 6]), 1, 9),
    (sequences(_INTEGERS, [0, 2, 6]), 8, -1),
    (sequences(_INTEGERS[:0], [0, 0]), 3, 9),
):
    add(
        "sequence_enumerate",
        {"X": _x},
        lambda X, n=_size, p=_pad: _enumerate(X, n, p),
        attrs={"win_size": _size, "pad_value": _pad},
    )


def _slice(x, offset, length):
    cuts = zip(_parts(x), offset.reshape(-1), length.reshape(-1), strict=True)
    return _join([part[first : first + count] for part, first, count in cuts], x)


for _x, _first, _count in (
    (sequences(uniform(6, 2), [0, 2, 2, 6]), [1, 0, 0], [1, 0, 3]),
    (sequences(uniform(6, 2, 3), [0, 2, 6]), [0, 4], [2, 0]),
    (sequences(uniform(6), [0, 6]), [2], [3]),
    (sequences(np.zeros((0, 2)), [0, 0]), [0], [0]),
    (sequences(_INTEGERS, [0, 2, 6]), [1, 1], [1, 2]),
):
    for _ids in (np.int64, np.int32):
        add(
            "sequence_slice",
            {"X": _x, "Offset": np.array(_first, _ids)[:, None], "Length": np.array(_count, _ids)[:, None]},
            lambda X, Offset, Length: _slice(X, Offset, Length),
            value_shapes=True,
        )


def _scatter(x, ids, updates):
    out = np.array(x)
    for n, (columns, numbers) in enumerate(zip(_parts(ids), _parts(updates), strict=True)):
        for column, number in zip(columns.reshape(-1), numbers.reshape(-1), strict=True):
            out[n, column] += number
    return out


_IDS = np.array([[0], [6], [2], [5], [5]])
for _x, _ids, _updates, _lod in (
    (uniform(3, 7), _IDS, uniform(5, 1), [0, 2, 2, 5]),
    (uniform(3, 7), _IDS.astype(np.int32), uniform(5, 1), [0, 0, 4, 5]),
    (uniform(2, 7), _IDS[:0], np.zeros((0, 1)), [0, 0, 0]),
    (np.arange(14).reshape(2, 7), _IDS, np.arange(5)[:, None], [0, 3, 5]),
):
    add(
        "sequence_scatter",
        {"X": _x, "Ids": sequences(_ids, _lod), "Updates": sequences(_updates, _lod)},
        lambda X, Ids, Updates: _scatter(X, Ids, Updates),
    )

for _x in (
    np.array([3, 0, 1]),
    np.array([[3, 0, 1], [1, 2, 5]], np.int32),
    np.array([2.5, 1.0]),
    np.zeros(0, np.int64),
):
    add(
        "sequence_mask",
        {"X": _x},
        lambda X: (np.arange(int(max(X.max(initial=0), 0))) < X[..., None]).astype(np.int64),
        value_shapes=True,
    )
    for _dtype, _name in ((VarType.FP32, "float32"), (VarType.BOOL, "bool"), (VarType.INT32, "int32")):
        add(
            "sequence_mask",
            {"X": _x},
            lambda X, d=_name: (np.arange(4) < X[..., None]).astype(d),
            attrs={"maxlen": 4, "out_dtype": _dtype},
        )
add(
    "sequence_mask",
    {"X": np.array([3, 0, 1]), "MaxLenTensor": np.array([5], np.int32)},
    lambda X, MaxLenTensor: (np.arange(5) < X[..., None]).astype(np.int64),
    attrs={"maxlen": 2},
    value_shapes=True,
)

_X = uniform(6, 2)
for _inputs, _attrs, _lod in (
    ({"X": _X}, {"target_lod": [0, 4, 4, 6]}, ([0, 4, 4, 6],)),
    ({"X": sequences(_X, [0, 1, 6])}, {"target_lod": [0, 6]}, ([0, 6],)),
    ({"X": sequences(_X, [0, 1, 3])}, {"target_lod": [0, 4, 4, 6], "append": True}, ([0, 1, 3], [0, 4, 4, 6])),
    ({"X": _X, "Y": sequences(uniform(6, 1), [0, 2, 2, 6])}, {}, ([0, 2, 2, 6],)),
    ({"X": _X, "Y": sequences(uniform(6, 1), [0, 1, 2], [0, 2, 6])}, {}, ([0, 1, 2], [0, 2, 6])),
    ({"X": sequences(_X, [0, 6]), "Y": np.array([0, 5, 6], np.int32)}, {"target_lod": [0, 6]}, ([0, 5, 6],)),
    ({"X": sequences(_X, [0, 2]), "Y": np.array([0, 5, 6])}, {"append": True}, ([0, 2], [0, 5, 6])),
):
    add(
        "lod_reset",
        _inputs,
        lambda X, Y=None, lod=_lod: sequences(X, *lod),
        attrs=_attrs,
        constants=("Y",),
    )
