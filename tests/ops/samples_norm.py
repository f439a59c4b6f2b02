"""Samples of the norms, of what is divided by them, and of cosines."""

import numpy as np

from .grid import add, rows, uniform

_X = uniform(5, 3)
_CUBE = uniform(2, 3, 5)

for _x in (_X, _CUBE):
    add("l1_norm", {"X": _x}, lambda X: np.array([np.abs(X).sum()]), batch=("X",))
add("l1_norm", {"X": np.array([0.0, -1.0, 0.5])}, lambda X: np.array([1.5]), gradient=False)
add("squared_l2_norm", {"X": _CUBE}, lambda X: np.array([np.sum(X * X)]), batch=("X",))
# More than one block, and a rest.
add("squared_l2_norm", {"X": uniform(7, 5003)}, lambda X: np.array([np.sum(X * X)]), gradient=False)


def _norm(x, axis, epsilon):
    norm = np.sqrt((x * x).sum(axis=axis, keepdims=True) + epsilon)
    return {"Out": x / norm, "Norm": norm}


add("norm", {"X": _CUBE}, lambda X: _norm(X, 2, 1e-10), batch=("X",))
add("norm", {"X": _CUBE}, lambda X: _norm(X, 1, 0.5), attrs={"axis": 1, "epsilon": 0.5}, batch=("X",))
add("norm", {"X": _CUBE}, lambda X: _norm(X, 0, 1e-10), attrs={"axis": 0})
add("norm", {"X": np.zeros((2, 3))}, lambda X: _norm(X, 1, 1e-10), attrs={"axis": 1}, gradient=False)


def _clipped(x, largest):
    norm = np.sqrt(np.sum(x * x))
    return x * (largest / norm if norm > largest else 1)


for _largest in (1.0, 0.25, 50.0):
    add("clip_by_norm", {"X": _CUBE}, lambda X, m=_largest: _clipped(X, m), attrs={"max_norm": _largest}, batch=("X",))
add("clip_by_norm", {"X": 0 * _CUBE}, lambda X: X)
add(
    "clip_by_norm",
    {"X": rows([4, 0, 4], 3, 5)},
    lambda X: _clipped(X.to_dense(), 0.5),
    attrs={"max_norm": 0.5},
)


def _cosine(x, y):
    x, y = x.reshape(len(x), int(np.prod(x.shape[1:]))), y.reshape(len(y), int(np.prod(y.shape[1:])))
    x_norm, y_norm = np.linalg.norm(x, axis=1)[:, None], np.linalg.norm(y, axis=1)[:, None]
    lengths = x_norm * y_norm
    cosine = (x * y).sum(axis=1)[:, None]
    cosine = np.where(lengths > 0, cosine / np.where(lengths > 0, lengths, 1), 0)
    return {"Out": cosine, "XNorm": x_norm, "YNorm": y_norm}


add("cos_sim", {"X": _X, "Y": uniform(5, 3, seed=1)}, lambda X, Y: _cosine(X, Y), batch=("X", "Y"))
add("cos_sim", {"X": _X, "Y": uniform(1, 3, seed=1)}, lambda X, Y: _cosine(X, Y), batch=("X",))
add("cos_sim", {"X": _CUBE, "Y": uniform(2, 3, 5, seed=1)}, lambda X, Y: _cosine(X, Y), batch=("X", "Y"))
add(
    "cos_sim",
    {"X": np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 2.0]]), "Y": np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])},
    lambda X, Y: _cosine(X, Y),
    gradient=False,
)
