"""Samples of extremes by index, of sorting, and of running sums."""

import numpy as np

from .grid import add, uniform

_X = uniform(5, 3)
_CUBE = uniform(2, 3, 5)
_TIES = np.array([[1.0, 3.0, 3.0, 0.0, 2.0], [2.0, 2.0, 2.0, 2.0, 2.0], [-1.0, -5.0, 0.0, -5.0, 0.0]])

for _type, _sign in (("arg_max", 1), ("arg_min", -1)):
    for _x in (_CUBE, (10 * _CUBE).astype(np.int64)):
        for _axis in (0, 1, -1):
            add(
                _type,
                {"X": _x},
                lambda X, a=_axis, s=_sign: np.argsort(-s * X, axis=a, kind="stable").take(0, axis=a),
                attrs={"axis": _axis},
                batch=("X",) if _axis else (),
            )
    add(
        _type,
        {"X": _TIES},
        lambda X, s=_sign: np.argsort(-s * X, axis=1, kind="stable")[:, 0],
        attrs={"axis": 1},
        batch=("X",),
    )
    add(_type, {"X": _X[:, 0]}, lambda X, s=_sign: np.array(np.argsort(-s * X)[0]))


def _sorted(x, axis, descending):
    order = np.argsort(-x if descending else x, axis=axis, kind="stable")
    return {"Out": np.take_along_axis(x, order, axis), "Indices": order}


for _x in (_CUBE, _TIES, _TIES.astype(np.int64)):
    for _axis, _descending in ((-1, False), (-1, True), (1, True)):
        _attrs = {**({} if _axis == -1 else {"axis": _axis}), **({"descending": True} if _descending else {})}
        add(
            "argsort",
            {"X": _x},
            lambda X, a=_axis, d=_descending: _sorted(X, a, d),
            attrs=_attrs,
            batch=("X",),
        )
    add("argsort", {"X": _x}, lambda X: _sorted(X, 0, False), attrs={"axis": 0})


def _running(x, axis, exclusive, reverse):
    n = x.shape[axis]
    kept = np.tril(np.ones((n, n)), -1 if exclusive else 0)
    return np.moveaxis(np.tensordot(kept.T if reverse else kept, x, (1, axis)), 0, axis)


for _axis in (-1, 0, 1):
    for _exclusive in (False, True):
        for _reverse in (False, True):
            _attrs = {**({} if _axis == -1 else {"axis": _axis})}
            _attrs |= {**({"exclusive": True} if _exclusive else {}), **({"reverse": True} if _reverse else {})}
            add(
                "cumsum",
                {"X": _CUBE},
                lambda X, a=_axis, e=_exclusive, r=_reverse: _running(X, a, e, r),
                attrs=_attrs,
                batch=("X",),
            )
add("cumsum", {"X": np.array([[3, -1, 5], [2, -7, 4]])}, lambda X: _running(X, 1, False, False), batch=("X",))
