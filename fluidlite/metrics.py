"""Metrics over batches, in Python: they take fetched arrays and keep sums.

`update` adds a batch, `eval` gives the value so far, `reset` starts again.
"""

import copy

import numpy as np

from .errors import InvalidArgumentError, UnavailableError


class NoDataError(UnavailableError, ValueError):
    """A metric is asked for before its first batch. (Fluid raises ValueError.)"""


def _require_arrays(metric, **arrays):
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise InvalidArgumentError(
                f"The '{name}' of {metric} must be a numpy ndarray.", actual=type(array).__name__
            )


def _require_numbers(metric, **numbers):
    for name, number in numbers.items():
        if not isinstance(number, int | float | np.ndarray | np.generic):
            raise InvalidArgumentError(
                f"The '{name}' of {metric} must be a number or a numpy ndarray.", actual=type(number).__name__
            )


def _count(number):
    """An int from an int or an array of one."""
    return int(np.asarray(number).reshape(-1)[0])


class MetricBase:
    """Base of the metrics; own ones define `update` and `eval`.

    Args:
        name: for people; default the class's name. Attributes whose names do not begin with ``_`` are the state.
    """

    def __init__(self, name):
        self._name = str(name) if name is not None else type(self).__name__

    def __str__(self):
        return self._name

    def _states(self):
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def reset(self):
        """Set the state to zeros: numbers to 0, arrays to arrays of zeros, anything else to None."""
        for name, value in self._states().items():
            number = isinstance(value, int | float)
            array = isinstance(value, np.ndarray | np.generic)
            setattr(self, name, type(value)(0) if number else np.zeros_like(value) if array else None)

    def get_config(self):
        """``{"name": ..., "states": ...}``, copied."""
        return {"name": self._name, "states": copy.deepcopy(self._states())}

    def update(self, preds, labels):
        """Add a batch."""
        raise NotImplementedError(f"{type(self).__name__} does not say how a batch is added: define update().")

    def eval(self):
        """The value of all batches since the last `reset`."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its value is: define eval().")


class CompositeMetric(MetricBase):
    """Several metrics of the same predictions and labels.

    >>> both = CompositeMetric()
    >>> both.add_metric(Precision()); both.add_metric(Recall())
    >>> both.update(np.array([[0.9], [0.2], [0.6]]), np.array([[1], [1], [0]]))
    >>> both.eval()
    [0.5, 0.5]
    """

    def __init__(self, name=None):
        super().__init__(name)
        self._metrics = []

    def add_metric(self, metric):
        """Add a metric."""
        if not isinstance(metric, MetricBase):
            raise InvalidArgumentError(
                "A part of a CompositeMetric must be a metric.", expected="MetricBase", actual=type(metric).__name__
            )
        self._metrics.append(metric)

    def reset(self):
        """Reset every part."""
        for metric in self._metrics:
            metric.reset()

    def update(self, preds, labels):
        """Add a batch to every part."""
        for metric in self._metrics:
            metric.update(preds, labels)

    def eval(self):
        """The values of the parts, in order."""
        return [metric.eval() for metric in self._metrics]


class Precision(MetricBase):
    """True positives / predicted positives, of two classes; 0 without any.

    `update` takes preds (N, 1), probabilities that are rounded, and labels (N, 1), 0 or 1.
    """

    def __init__(self, name=None):
        super().__init__(name)
        self.tp = 0
        self.fp = 0

    def update(self, preds, labels):
        """Add a batch."""
        _require_arrays("Precision", preds=preds, labels=labels)
        positive = np.rint(preds).reshape(-1) == 1
        true = labels.reshape(-1) == 1
        self.tp += int(np.count_nonzero(positive & true))
        self.fp += int(np.count_nonzero(positive & ~true))

    def eval(self):
        """The precision so far."""
        found = self.tp + self.fp
        return self.tp / found if found else 0.0


class Recall(MetricBase):
    """True positives / positives, of two classes; 0 without any. Arguments as for `Precision`."""

    def __init__(self, name=None):
        super().__init__(name)
        self.tp = 0
        self.fn = 0

    def update(self, preds, labels):
        """Add a batch."""
        _require_arrays("Recall", preds=preds, labels=labels)
        positive = np.rint(preds).reshape(-1) == 1
        true = labels.reshape(-1) == 1
        self.tp += int(np.count_nonzero(positive & true))
        self.fn += int(np.count_nonzero(~positive & true))

    def eval(self):
        """The recall so far."""
        total = self.tp + self.fn
        return self.tp / total if total else 0.0


class Accuracy(MetricBase):
    """The mean of batch accuracies (fetched from layers.accuracy), weighted by the sizes of the batches.

    >>> accuracy = Accuracy()
    >>> accuracy.update(value=0.5, weight=3); accuracy.update(value=1.0, weight=1)
    >>> accuracy.eval()
    0.625
    """

    def __init__(self, name=None):
        super().__init__(name)
        self.value = 0.0
        self.weight = 0.0

    def update(self, value, weight):
        """Add a batch of size `weight` whose accuracy is `value`."""
        _require_numbers("Accuracy", value=value, weight=weight)
        if np.any(np.asarray(weight) < 0):
            raise InvalidArgumentError("The 'weight' of Accuracy can not be negative.", actual=str(weight))
        self.value += value * weight
        self.weight += weight

    def eval(self):
        """The accuracy so far."""
        if not self.weight:
            raise NoDataError(
                "There is no data in Accuracy: no batch was added.", hint="call update(value, weight) with each batch."
            )
        return self.value / self.weight


class ChunkEvaluator(MetricBase):
    """Precision, recall and F1 of chunks, from the counts that layers.chunk_eval gives.

    >>> chunks = ChunkEvaluator()
    >>> chunks.update(num_infer_chunks=10, num_label_chunks=8, num_correct_chunks=4)
    >>> chunks.eval()
    (0.4, 0.5, 0.4444444444444445)
    """

    def __init__(self, name=None):
        super().__init__(name)
        self.num_infer_chunks = 0
        self.num_label_chunks = 0
        self.num_correct_chunks = 0

    def update(self, num_infer_chunks, num_label_chunks, num_correct_chunks):
        """Add the counts of a batch: chunks predicted, labelled, and both."""
        counts = {
            "num_infer_chunks": num_infer_chunks,
            "num_label_chunks": num_label_chunks,
            "num_correct_chunks": num_correct_chunks,
        }
        _require_numbers("ChunkEvaluator", **counts)
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + _count(count))

    def eval(self):
        """(precision, recall, F1); each 0 where there is nothing to count."""
        correct = self.num_correct_chunks
        precision = correct / self.num_infer_chunks if self.num_infer_chunks else 0
        recall = correct / self.num_label_chunks if self.num_label_chunks else 0
        return precision, recall, 2 * precision * recall / (precision + recall) if correct else 0


class EditDistance(MetricBase):
    """The mean edit distance of sequences, and the share of sequences with any error.

    `update` takes the distances (N, 1) and the number of sequences, as layers.edit_distance gives them.
    """

    def __init__(self, name):
        super().__init__(name)
        self.total_distance = 0.0
        self.seq_num = 0
        self.instance_error = 0

    def update(self, distances, seq_num):
        """Add a batch."""
        _require_arrays("EditDistance", distances=distances)
        _require_numbers("EditDistance", seq_num=seq_num)
        count = _count(seq_num)
        self.total_distance += float(np.sum(distances))
        self.seq_num += count
        self.instance_error += count - int(np.count_nonzero(distances == 0))

    def eval(self):
        """(mean distance, share of wrong sequences)."""
        if not self.seq_num:
            raise NoDataError(
                "There is no data in EditDistance: no batch was added.",
                hint="call update(distances, seq_num) with each batch.",
            )
        return self.total_distance / self.seq_num, self.instance_error / self.seq_num


class Auc(MetricBase):
    """The area under the ROC curve; agrees with layers.auc.

    Args:
        name: for people.
        curve: accepted; it is the ROC curve always, as in Fluid.
        num_thresholds: scores are counted in num_thresholds + 1 bins.

    `update` takes preds (N, 2), of which the second column is the score in [0, 1], and labels (N, 1), 0 or not.

    Differs from Fluid: `reset` forgets the batches, which Fluid's does not.

    >>> auc = Auc('auc')
    >>> auc.update(np.array([[0.2, 0.8], [0.7, 0.3], [0.5, 0.5]]), np.array([[1], [0], [1]]))
    >>> auc.eval()
    1.0
    """

    def __init__(self, name, curve="ROC", num_thresholds=4095):
        super().__init__(name)
        self._curve = curve
        self._num_thresholds = num_thresholds
        self.reset()

    def reset(self):
        """Forget all batches."""
        self._stat_pos = np.zeros(self._num_thresholds + 1)
        self._stat_neg = np.zeros(self._num_thresholds + 1)

    def update(self, preds, labels):
        """Add a batch."""
        _require_arrays("Auc", labels=labels, preds=preds)
        scores, positive = preds[:, 1], labels.reshape(-1) != 0
        if scores.size and not (scores.min() >= 0 and scores.max() <= 1):
            raise InvalidArgumentError(
                "The scores of Auc must be probabilities.",
                expected="0 <= preds[:, 1] <= 1",
                actual=f"from {scores.min()} to {scores.max()}",
            )
        bins = (scores * self._num_thresholds).astype(np.int64)
        self._stat_pos += np.bincount(bins[positive], minlength=len(self._stat_pos))
        self._stat_neg += np.bincount(bins[~positive], minlength=len(self._stat_neg))

    def eval(self):
        """The area so far; 0 while one of the classes is missing."""
        above = np.cumsum(self._stat_pos[::-1])[::-1]
        n_pos, n_neg = above[0], self._stat_neg.sum()
        pairs = float((self._stat_neg * (above - 0.5 * self._stat_pos)).sum())
        return float(pairs / n_pos / n_neg) if n_pos and n_neg else 0.0
