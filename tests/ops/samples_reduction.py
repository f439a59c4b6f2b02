"""Samples of the reductions."""

import numpy as np

from .grid import add, rows, uniform

_X = uniform(5, 3)
_CUBE = uniform(2, 3, 5)
_FOUR = uniform(2, 3, 5, 7)
_INTEGERS = np.array([[3, -1, 5], [2, -7, 4]])

add("mean", {"X": _X}, lambda X: np.divide(X.sum(), X.size).reshape(1), batch=("X",))
add("mean", {"X": _FOUR}, lambda X: np.divide(X.sum(), X.size).reshape(1), batch=("X",))

# (attrs, axes, keeps dimensions); the batch is whether an empty one leaves something to choose from.
_DIMS = (
    ({}, (0,), False, False),
    ({"dim": [1]}, (1,), False, True),
    ({"dim": [-1]}, (2,), False, True),
    ({"dim": [-2], "keep_dim": True}, (1,), True, True),
    ({"dim": [0, 2]}, (0, 2), False, False),
    ({"dim": [2, 1], "keep_dim": True}, (1, 2), True, True),
    ({"dim": [0, 1, 2]}, (0, 1, 2), False, False),
    ({"dim": [1], "reduce_all": True}, (0, 1, 2), False, False),
    ({"dim": [0], "reduce_all": True, "keep_dim": True}, (0, 1, 2), True, False),
    ({"dim": []}, (0, 1, 2), False, False),
)


def _reduced(reduce, axes, keep):
    def expected(X):
        result = reduce(X, axes, keep)
        return result.reshape(1) if result.ndim == 0 else result

    return expected


def _mean(x, axes, keep):
    count = np.prod([x.shape[a] for a in axes])
    return np.true_divide(x.sum(axis=axes, keepdims=keep), count)


for _type, _reduce in {
    "reduce_sum": lambda x, axes, keep: x.sum(axis=axes, keepdims=keep),
    "reduce_mean": _mean,
    "reduce_max": lambda x, axes, keep: (
        np.sort(x, axis=None)[-1].reshape((1,) * (x.ndim if keep else 0))
        if len(axes) == x.ndim
        else x.max(axis=axes, keepdims=keep)
    ),
    "reduce_min": lambda x, axes, keep: -(-x).max(axis=axes, keepdims=keep),
    "reduce_prod": lambda x, axes, keep: np.prod(x, axis=axes, keepdims=keep),
}.items():
    for _attrs, _axes, _keep, _chooses in _DIMS:
        _batch = ("X",) if _chooses or _type in ("reduce_sum", "reduce_mean", "reduce_prod") else ()
        add(_type, {"X": _CUBE}, _reduced(_reduce, _axes, _keep), attrs=_attrs, batch=_batch)
    add(_type, {"X": _FOUR}, _reduced(_reduce, (1, 3), False), attrs={"dim": [3, 1]}, batch=("X",))
    add(_type, {"X": _INTEGERS}, lambda X, f=_reduce: np.trunc(f(X, (1,), False)), attrs={"dim": [1]}, batch=("X",))

# All places that hold the extreme have its gradient.
_TIES = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
add("reduce_max", {"X": _TIES}, lambda X: np.array([3.0, 2.0]), attrs={"dim": [1]}, gradient=False)
add("reduce_min", {"X": _TIES}, lambda X: np.array([1.0, 2.0]), attrs={"dim": [1]}, gradient=False)

# One zero in a row leaves a gradient in its place alone, two leave none.
_ZEROS = np.array([[0.5, 0.0, 3.0, 2.0], [0.0, 0.0, 1.5, 4.0], [2.0, 1.0, -1.0, 0.5]])
add("reduce_prod", {"X": _ZEROS}, lambda X: np.array([0.0, 0.0, -1.0]), attrs={"dim": [1]}, batch=())
add("reduce_prod", {"X": _ZEROS[:2]}, lambda X: np.zeros(1), attrs={"reduce_all": True})

_BITS = np.array([[[1, 1, 0, 1, 1], [1, 1, 1, 1, 1], [0, 1, 0, 1, 0]], [[0] * 5, [1, 0, 0, 0, 0], [1, 1, 1, 1, 0]]]) > 0
for _attrs, _axes, _keep, _ in _DIMS:
    for _type, _reduce in {
        "reduce_all": lambda x, axes, keep: ~(~x).any(axis=axes, keepdims=keep),
        "reduce_any": lambda x, axes, keep: x.any(axis=axes, keepdims=keep),
    }.items():
        add(_type, {"X": _BITS}, _reduced(_reduce, _axes, _keep), attrs=_attrs, batch=("X",))

add("sum", {"X": (_X,)}, lambda X: X[0], batch=("X",))
add("sum", {"X": (_X, uniform(5, 3, seed=1))}, lambda X: X[0] + X[1], batch=("X",))
add("sum", {"X": tuple(uniform(2, 3, 5, seed=s) for s in range(4))}, lambda X: X[0] + X[1] + X[2] + X[3], batch=("X",))
add("sum", {"X": (_INTEGERS, 2 * _INTEGERS)}, lambda X: 3 * X[0], batch=("X",))
_ROWS = rows([4, 0, 4], 3, 5)
_OTHER_ROWS = rows([2, 0], 3, 5, seed=1)
add("sum", {"X": (_ROWS, _OTHER_ROWS)}, lambda X: X[0].to_dense() + X[1].to_dense(), gradient=False)
add("sum", {"X": (_ROWS,)}, lambda X: X[0].to_dense(), gradient=False)
add("sum", {"X": (_ROWS, _X, _OTHER_ROWS)}, lambda X: X[0].to_dense() + X[1] + X[2].to_dense(), gradient=False)
add("sum", {"X": (_X, _ROWS, 2 * _X)}, lambda X: X[0] + X[1].to_dense() + X[2], gradient=False)
