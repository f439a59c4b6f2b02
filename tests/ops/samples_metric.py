"""Samples of the metrics and of the top-k selection."""

import numpy as np

from .grid import add, uniform

_X = uniform(5, 7)
_CUBE = uniform(2, 3, 5)
_TIES = np.array([[1.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
_INTEGERS = np.array([[3, 7, -(2**63)], [7, 7, 2**63 - 1]])


def _top(x, k):
    order = np.lexsort((np.broadcast_to(np.arange(x.shape[-1]), x.shape), -x.astype(float)), axis=-1)[..., :k]
    return {"Out": np.take_along_axis(x, order, axis=-1), "Indices": order}


for _x in (_X, _CUBE):
    add("top_k", {"X": _x}, lambda X: _top(X, 1), batch=("X",))
    add("top_k", {"X": _x}, lambda X: _top(X, 3), attrs={"k": 3}, batch=("X",))
    add("top_k", {"X": _x}, lambda X: _top(X, X.shape[-1]), attrs={"k": _x.shape[-1]}, batch=("X",))
add("top_k", {"X": _TIES}, lambda X: _top(X, 1), gradient=False)
add("top_k", {"X": _TIES}, lambda X: _top(X, 2), attrs={"k": 2}, gradient=False)
add("top_k", {"X": _INTEGERS}, lambda X: _top(X, 2), attrs={"k": 2})
add(
    "top_k",
    {"X": _X, "K": np.array([2])},
    lambda X, K: _top(X, 2),
    attrs={"k": 5},
    batch=("X",),
    value_shapes=True,
)


def _accuracy(indices, label):
    correct, total = int((indices == label.reshape(-1, 1)).any(axis=1).sum()), len(indices)
    return {
        "Accuracy": np.array([correct / max(total, 1)], np.float32),
        "Correct": np.array([correct]),
        "Total": np.array([total]),
    }


_INDICES = np.array([[0, 2], [1, 0], [4, 3], [2, 2], [0, 1]])
for _labels in ([2, 3, 3, 2, 0], [0, 0, 0, 0, 4], [9, 9, 9, 9, 9]):
    add(
        "accuracy",
        {"Out": uniform(5, 2), "Indices": _INDICES, "Label": np.array(_labels)[:, None]},
        lambda Out, Indices, Label: _accuracy(Indices, Label),
        batch=("Out", "Indices", "Label"),
    )
