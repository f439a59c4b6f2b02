"""Samples of the ops that take and put by index."""

import numpy as np

from .grid import add, uniform

_X = uniform(5, 3)
_CUBE = uniform(2, 3, 5)
_FLAT = uniform(7)
_WHOLE = np.arange(15).reshape(5, 3)
_TWICE = np.array([4, 0, 4, 2])
_ONCE = np.array([3, 0, 4])

# With `overwrite` the gradient of a row that is taken twice is that of its last place, as in Fluid.
for _x in (_X, _FLAT, _WHOLE, uniform(5, 3, 2)):
    for _index in (_TWICE, _TWICE.astype(np.int32), _TWICE[:, None]):
        add(
            "gather",
            {"X": _x, "Index": _index},
            lambda X, Index: np.stack([X[i] for i in Index.reshape(-1)]) if len(Index) else X[:0],
            attrs={"overwrite": False},
            batch=("Index",),
        )
add("gather", {"X": _X, "Index": _ONCE}, lambda X, Index: X[Index], batch=("Index",))
add("gather", {"X": _CUBE, "Index": np.array([1])}, lambda X, Index: X[Index])
add("gather", {"X": np.zeros((0, 3)), "Index": np.zeros((0, 1), np.int64)}, lambda X, Index: X)

for _index in (
    np.array([[0, 2, 4], [1, 0, 0], [0, 2, 4], [0, 0, 1], [1, 2, 2]]),
    np.array([[0, 2], [1, 0], [0, 2]], np.int32),
    np.array([[1], [1], [0]]),
    np.array([[[0, 2], [1, 1], [0, 2]]]),
):
    add(
        "gather_nd",
        {"X": _CUBE, "Index": _index},
        lambda X, Index: X[tuple(np.moveaxis(Index, -1, 0))],
        batch=("Index",),
    )
add("gather_nd", {"X": _WHOLE, "Index": np.array([[1], [4]])}, lambda X, Index: X[Index[:, 0]], batch=("Index",))


def _scatter(x, ids, updates, adds):
    x = x.copy()
    if adds:
        x[ids.reshape(-1)] = 0
    for i, update in zip(ids.reshape(-1), updates, strict=True):
        x[i] = x[i] + update if adds else update
    return x


for _ids in (_ONCE, _ONCE[:, None], _ONCE.astype(np.int32)):
    add(
        "scatter",
        {"X": uniform(5, 2), "Ids": _ids, "Updates": uniform(3, 2, seed=1)},
        lambda X, Ids, Updates: _scatter(X, Ids, Updates, False),
        batch=("Ids", "Updates"),
    )
add(
    "scatter",
    {"X": _X, "Ids": _TWICE, "Updates": uniform(4, 3, seed=1)},
    lambda X, Ids, Updates: _scatter(X, Ids, Updates, True),
    attrs={"overwrite": False},
    batch=("Ids", "Updates"),
)
add(
    "scatter",
    {"X": _FLAT, "Ids": _TWICE, "Updates": uniform(4, seed=1)},
    lambda X, Ids, Updates: _scatter(X, Ids, Updates, True),
    attrs={"overwrite": False},
    batch=("Ids", "Updates"),
)


def _scatter_nd(x, index, updates):
    x = x.copy()
    np.add.at(x, tuple(np.moveaxis(index, -1, 0)), updates)
    return x


for _index, _shape in (
    (np.array([[3], [0], [3], [1]]), (4, 3)),
    (np.array([[3, 2], [0, 0], [3, 2], [1, 2]], np.int32), (4,)),
    (np.array([[[3, 2], [3, 2], [0, 1]]]), (1, 3)),
):
    add(
        "scatter_nd_add",
        {"X": _X, "Index": _index, "Updates": uniform(*_shape, seed=1)},
        lambda X, Index, Updates: _scatter_nd(X, Index, Updates),
        batch=("Index", "Updates"),
    )


def _one_hot(ids, depth):
    return 1.0 * (ids[..., None] == np.arange(depth))


_IDS = np.array([[3], [0], [4], [3], [1]])
for _dtype in (np.int64, np.int32):
    _ids = _IDS.astype(_dtype)
    add("one_hot", {"X": _ids}, lambda X: _one_hot(X[..., 0], 7), attrs={"depth": 7}, batch=("X",))
    add("one_hot_v2", {"X": _ids}, lambda X: _one_hot(X, 7), attrs={"depth": 7}, batch=("X",))
    add("one_hot_v2", {"X": _ids[:, 0]}, lambda X: _one_hot(X, 5), attrs={"depth": 5}, batch=("X",))
add("one_hot", {"X": _IDS[:2, None]}, lambda X: _one_hot(X[..., 0], 4), attrs={"depth": 4}, batch=("X",))
_OUTSIDE = np.array([[5], [-1], [2]])
for _type, _function in (
    ("one_hot", lambda X: _one_hot(X[..., 0], 5)),
    ("one_hot_v2", lambda X: _one_hot(X, 5)),
):
    add(_type, {"X": _OUTSIDE}, _function, attrs={"depth": 5, "allow_out_of_range": True}, batch=("X",))
    add(
        _type,
        {"X": _IDS, "depth_tensor": np.array([5], np.int32)},
        lambda X, depth_tensor, f=_function: f(X),
        value_shapes=True,
    )

for _condition in (
    np.array([True, False, True]),
    np.array([[True, False, True], [False, True, False]]),
    np.array([[False, False]]),
    np.array([0.0, 2.0, -1.0]),
    np.array([[3], [0], [0], [1]]),
):
    add(
        "where_index",
        {"Condition": _condition},
        lambda Condition: np.array([i for i in np.ndindex(Condition.shape) if Condition[i]], np.int64).reshape(
            -1, Condition.ndim
        ),
        batch=("Condition",),
        value_shapes=True,
    )
