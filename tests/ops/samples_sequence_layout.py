"""Samples of padding, repeating and reshaping sequences, with empty sequences and without any rows."""

import numpy as np

from .grid import add, sequences, uniform

_OFFSETS = ([0, 2, 2, 5, 6], [0, 0, 6], [0, 6, 6])
_INTEGERS = sequences(np.arange(12).reshape(6, 2), [0, 2, 2, 6])


def _parts(x):
    offsets = x.lod_offsets[-1]
    return [np.asarray(x)[b:e] for b, e in zip(offsets[:-1], offsets[1:], strict=True)]


def _stack(parts, like):
    return np.concatenate(parts) if parts else np.zeros((0, *like.shape[1:]), like.dtype)


def _offsets(parts):
    return np.cumsum([0, *map(len, parts)])


def _pad(x, pad, length):
    parts = _parts(x)
    length = max(map(len, parts), default=0) if length < 0 else length
    out = np.empty((len(parts), length, *x.shape[1:]), x.dtype)
    out[...] = pad if pad.size > 1 else pad.item()
    for n, part in enumerate(parts):
        out[n, : len(part)] = part
    return {"Out": out, "Length": np.array([len(part) for part in parts], np.int64)}


def _add_pad(x, pad, length=-1):
    add(
        "sequence_pad",
        {"X": x, "PadValue": pad},
        lambda X, PadValue: _pad(X, PadValue, length),
        attrs={"padded_length": length},
        constants=("PadValue",),
        value_shapes=True,
    )


for _lod in _OFFSETS:
    _add_pad(sequences(uniform(6, 3), _lod), np.array([0.5]))
    _add_pad(sequences(uniform(6, 3), _lod), np.array([0.5, 0.25, -1.0]), 8)
_add_pad(sequences(uniform(6, 3, 2), [0, 4, 6]), uniform(3, 2), 4)
_add_pad(sequences(np.zeros((0, 3)), [0, 0]), np.array([2.0]))
_add_pad(sequences(np.zeros((0, 3)), [0, 0]), np.array([2.0]), 4)
_add_pad(sequences(np.zeros((0, 3)), [0]), np.array([2.0]), 4)
_add_pad(_INTEGERS, np.array([9]))


def _unpad(x, length):
    flat = x[..., None] if x.ndim == 2 else x
    parts = [row[:n] for row, n in zip(flat, length.reshape(-1), strict=True)]
    return sequences(_stack(parts, flat[:, :, 0] if not parts else parts[0]), _offsets(parts))


for _x in (uniform(4, 3, 2), uniform(4, 3)):
    for _lengths in ([3, 0, 1, 2], [0, 0, 0, 0], [3, 3, 3, 3]):
        add(
            "sequence_unpad",
            {"X": _x, "Length": np.array(_lengths)},
            lambda X, Length: _unpad(X, Length),
            value_shapes=True,
        )
add(
    "sequence_unpad",
    {"X": np.zeros((0, 3, 2)), "Length": np.zeros(0, np.int64)},
    lambda X, Length: sequences(np.zeros((0, 2)), [0]),
    value_shapes=True,
)
add(
    "sequence_unpad",
    {"X": np.zeros((2, 0, 3)), "Length": np.zeros((2, 1), np.int64)},
    lambda X, Length: sequences(np.zeros((0, 3)), [0, 0, 0]),
    value_shapes=True,
)


def _reshaped(x, width):
    return sequences(np.asarray(x).reshape(-1, width), x.lod_offsets[0] * x.shape[1] // width)


for _x, _width in (
    (sequences(uniform(6, 2), [0, 2, 2, 6]), 4),
    (sequences(uniform(6, 2), [0, 2, 2, 5, 6]), 1),
    (sequences(uniform(6, 2), [0, 3, 6, 6]), 3),
    (sequences(np.zeros((0, 2)), [0, 0]), 4),
    (_INTEGERS, 4),
):
    add(
        "sequence_reshape",
        {"X": _x},
        lambda X, w=_width: _reshaped(X, w),
        attrs={"new_dim": _width},
        value_shapes=True,
    )


def _expand(x, y, level):
    times = np.diff(y.lod_offsets[level])
    lod = getattr(x, "lod_offsets", ())
    given = _parts(x) if lod else [np.asarray(x)[n : n + 1] for n in range(len(x))]
    parts = [part for part, count in zip(given, times, strict=True) for _ in range(count)]
    out = _stack(parts, x)
    return sequences(out, _offsets(parts)) if lod else out


_TWO = sequences(uniform(5, 1, seed=1), [0, 1, 3], [0, 2, 2, 5])
for _x, _y, _level in (
    (uniform(3, 2), _TWO, -1),
    (uniform(3, 2), _TWO, 1),
    (uniform(2, 3), _TWO, 0),
    (uniform(3, 2, 4), _TWO, -1),
    (uniform(3), _TWO, -1),
    (sequences(uniform(6, 2), [0, 2, 3, 6]), _TWO, -1),
    (sequences(uniform(6, 2), [0, 2, 2, 6]), sequences(uniform(4, 1), [0, 1, 3, 4]), 0),
    (sequences(uniform(6, 2), [0, 6]), sequences(np.zeros((0, 1)), [0, 0]), 0),
    (np.zeros((0, 2)), sequences(np.zeros((0, 1)), [0]), 0),
    (np.arange(3).reshape(3, 1), _TWO, -1),
):
    add(
        "sequence_expand",
        {"X": _x, "Y": _y},
        lambda X, Y, k=_level: _expand(X, Y, k),
        attrs={"ref_level": _level},
        constants=("Y",),
        value_shapes=True,
    )


def _expand_as(x, y):
    return sequences(np.repeat(np.asarray(x), np.diff(y.lod_offsets[0]), axis=0), y.lod_offsets[0])


for _x, _y in (
    (uniform(3, 2), sequences(uniform(5, 1), [0, 2, 2, 5])),
    (uniform(3, 2, 4), sequences(np.zeros((5, 1), np.int64), [0, 0, 4, 5])),
    (uniform(3), sequences(uniform(5, 1), [0, 2, 4, 5])),
    (np.zeros((2, 3)), sequences(np.zeros((0, 1)), [0, 0, 0])),
    (np.zeros((0, 3)), sequences(np.zeros((0, 1)), [0])),
    (np.arange(3).reshape(3, 1), sequences(uniform(5, 1), [0, 2, 2, 5])),
):
    add(
        "sequence_expand_as",
        {"X": _x, "Y": _y},
        lambda X, Y: _expand_as(X, Y),
        constants=("Y",),
        value_shapes=True,
    )
