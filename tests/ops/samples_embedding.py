"""Samples of the look-ups: ids 0 and V - 1, duplicates, the padding id, ids of every rank."""

import numpy as np

from .grid import add, uniform

_V, _D = 7, 3
_TABLE = uniform(_V, _D)
_IDS = np.array([0, _V - 1, 4, 4, 0])
_IDS_2D = np.array([[0, _V - 1, 4], [4, 2, 0]])


def _rows(W, ids, padding):
    out = W[ids]
    out[ids == padding] = 0
    return out


for _sparse in (False, True):
    for _padding in (-1, 0, 4, _V - 1):
        _attrs = {"is_sparse": _sparse, "padding_idx": _padding}
        for _ids in (_IDS, _IDS_2D):
            add(
                "lookup_table",
                {"W": _TABLE, "Ids": _ids[..., None]},
                lambda W, Ids, p=_padding: _rows(W, Ids[..., 0], p),
                attrs=_attrs,
                batch=("Ids",),
                contiguous=("W",),
            )
            add(
                "lookup_table_v2",
                {"W": _TABLE, "Ids": _ids},
                lambda W, Ids, p=_padding: _rows(W, Ids, p),
                attrs=_attrs,
                batch=("Ids",),
                contiguous=("W",),
            )
    add(
        "lookup_table_v2",
        {"W": uniform(5, 1), "Ids": np.array([[[3, 0, 4]]])},
        lambda W, Ids: W[Ids],
        attrs={"is_sparse": _sparse},
        batch=("Ids",),
        contiguous=("W",),
    )
