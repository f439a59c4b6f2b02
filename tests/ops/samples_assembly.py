"""Samples of the ops that join tensors and take them apart."""

import numpy as np

from .grid import add, uniform

_X = uniform(5, 3)
_CUBE = uniform(2, 3, 5)
_WIDE = uniform(5, 6)
_INTEGERS = np.array([[3, -1, 0], [2, -7, 5]])

add("concat", {"X": (_X, uniform(2, 3))}, lambda X: np.vstack(X))
add("concat", {"X": (_X, uniform(5, 2))}, lambda X: np.hstack(X), attrs={"axis": 1}, batch=("X",))
add("concat", {"X": (_X, uniform(5, 2), uniform(5, 7))}, lambda X: np.hstack(X), attrs={"axis": -1}, batch=("X",))
add("concat", {"X": (_X,)}, lambda X: X[0], attrs={"axis": 1}, batch=("X",))
add("concat", {"X": (_INTEGERS, 2 * _INTEGERS)}, lambda X: np.vstack(X), batch=("X",))
add("concat", {"X": (_CUBE, uniform(2, 7, 5))}, lambda X: np.hstack(X), attrs={"axis": 1}, batch=("X",))

for _axis, _shape in ((0, (3, 5, 6)), (1, (5, 3, 6)), (-1, (5, 6, 3))):
    add(
        "stack",
        {"X": tuple([uniform(5, 6, seed=k) for k in range(3)])},
        lambda X, a=_axis, s=_shape: np.concatenate([np.expand_dims(x, a) for x in X], axis=a).reshape(s),
        attrs={"axis": _axis},
    )
add(
    "stack",
    {"X": (_X, uniform(5, 3, seed=1))},
    lambda X: np.concatenate([x[:, None] for x in X], axis=1),
    attrs={"axis": 1},
    batch=("X",),
)
add("stack", {"X": (_INTEGERS, 2 * _INTEGERS)}, lambda X: np.array(X))

add("unstack", {"X": _CUBE}, lambda X: {"Y": (X[0], X[1])}, attrs={"num": 2})
add(
    "unstack",
    {"X": _CUBE},
    lambda X: {"Y": (X[:, 0], X[:, 1], X[:, 2])},
    attrs={"axis": 1, "num": 3},
    batch=("X",),
)
add("unstack", {"X": _INTEGERS}, lambda X: {"Y": tuple(X.T)}, attrs={"axis": -1, "num": 3}, batch=("X",))

for _attrs, _cuts in (
    ({"axis": 1, "num": 2}, [3]),
    ({"axis": 1, "num": 3}, [2, 4]),
    ({"axis": -1, "sections": [1, 5]}, [1]),
    ({"axis": 1, "sections": [2, -1, 1]}, [2, 5]),
    ({"axis": 1, "sections": [6, 0]}, [6]),
):
    add("split", {"X": _WIDE}, lambda X, c=_cuts: {"Out": tuple(np.hsplit(X, c))}, attrs=_attrs, batch=("X",))
add("split", {"X": _WIDE}, lambda X: {"Out": (X[:4], X[4:])}, attrs={"sections": [4, 1]})
add("split", {"X": _INTEGERS}, lambda X: {"Out": (X[:1], X[1:])}, attrs={"num": 2})
