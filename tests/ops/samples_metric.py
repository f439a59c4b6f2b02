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


def _auc(predict, label, stat_pos, stat_neg, n_thresholds, n_steps):
    """By counting pairs of a positive and a negative, ties as a half."""
    bins, label = np.floor(predict[:, -1] * n_thresholds).astype(int), label.reshape(-1)
    n_bins, result, totals = n_thresholds + 1, {}, []
    for slot, stat, of_class in (("StatPosOut", stat_pos, label > 0), ("StatNegOut", stat_neg, label == 0)):
        stat, shape = stat.reshape(-1).copy(), stat.shape
        counts = np.array([(bins[of_class] == b).sum() for b in range(n_bins)])
        if n_steps:
            oldest = stat[-1] % n_steps
            stat[oldest * n_bins : (oldest + 1) * n_bins] = counts
            stat[n_steps * n_bins : -1] = stat[: n_steps * n_bins].reshape(n_steps, n_bins).sum(axis=0)
            stat[-1] += 1
        else:
            stat += counts
        totals.append(stat[n_steps * n_bins : (n_steps + 1) * n_bins])
        result[slot] = stat.reshape(shape)
    pos, neg = totals
    pairs = sum(int(neg[b]) * (2 * int(pos[b + 1 :].sum()) + int(pos[b])) / 2 for b in range(n_bins))
    return {"AUC": np.array([pairs / max(pos.sum(), 1) / max(neg.sum(), 1)]), **result}


def _counts(n_bins, n_steps, n_batches, seed):
    """A state as `n_batches` batches leave it."""
    ring = np.random.RandomState(seed).randint(0, 4, (n_steps, n_bins)) * (np.arange(n_steps) < n_batches)[:, None]
    return np.concatenate((ring.reshape(-1), ring.sum(axis=0), [n_batches]))


# On the borders of bins (k / 8 is exact in both dtypes), and at both ends.
_SCORES = np.array([[0.9, 0.0], [0.1, 1.0], [0.4, 0.375], [0.3, 0.375], [0.2, 0.8]])
for _labels in ([1, 0, 1, 0, 1], [0, 1, 1, -1, 7], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]):
    for _thresholds, _steps, _batches in ((8, 1, 1), (8, 2, 5), (8, 3, 2), (8, 0, 0), (4095, 1, 0)):
        _bins = _thresholds + 1
        _pos, _neg = (
            np.random.RandomState(seed).randint(0, 5, (1, _bins))
            if _steps == 0
            else _counts(_bins, _steps, _batches, seed)
            for seed in (3, 5)
        )
        add(
            "auc",
            {"Predict": _SCORES, "Label": np.array(_labels)[:, None], "StatPos": _pos, "StatNeg": _neg},
            lambda Predict, Label, StatPos, StatNeg, t=_thresholds, s=_steps: _auc(
                Predict, Label, StatPos, StatNeg, t, s
            ),
            attrs={
                **({} if _thresholds == 4095 else {"num_thresholds": _thresholds}),
                **({} if _steps == 1 else {"slide_steps": _steps}),
                **({"curve": "PR"} if _batches == 5 else {}),
            },
            batch=("Predict", "Label"),
        )
