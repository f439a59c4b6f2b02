"""Which ids get a row in a table of any ids (``is_distributed=True``): policies of entry, under Paddle's later names.

An id that has not been admitted reads as zeros, and its gradient is dropped.
"""

from operator import index

import numpy as np

from ._kernels.hash_index import HashIndex
from .errors import InvalidArgumentError

__all__ = ["CountFilterEntry", "EntryAttr", "ProbabilityEntry"]


class EntryAttr:
    """Base of the policies."""

    def to_attr(self):
        """The policy as the look-up op keeps it."""
        raise NotImplementedError

    def __repr__(self):
        return f"<{self.to_attr()}>"


class CountFilterEntry(EntryAttr):
    """Admits an id when a training batch brings it for the `count_filter`-th time, counting every occurrence.

    >>> CountFilterEntry(10).to_attr()
    'count_filter_entry:10'
    """

    def __init__(self, count_filter):
        try:
            count = index(count_filter)
        except TypeError:
            count = 0
        if count < 1:
            raise InvalidArgumentError(
                "The count_filter of a CountFilterEntry is no count.", expected="an int >= 1", actual=repr(count_filter)
            )
        self.count_filter = count

    def to_attr(self):
        return f"count_filter_entry:{self.count_filter}"


class ProbabilityEntry(EntryAttr):
    """Admits an id with the given probability, each time a training step brings it.

    The draw depends on the table's seed, the id and the step alone.

    >>> ProbabilityEntry(0.1).to_attr()
    'probability_entry:0.1'
    """

    def __init__(self, probability):
        try:
            value = float(probability)
        except (TypeError, ValueError):
            value = -1.0
        if isinstance(probability, bool | str) or not 0 < value <= 1:
            raise InvalidArgumentError(
                "The probability of a ProbabilityEntry is none.",
                expected="0 < probability <= 1",
                actual=repr(probability),
            )
        self.probability = value

    def to_attr(self):
        return f"probability_entry:{self.probability!r}"


def parse_entry(text):
    """The policy that an op keeps as text; None for 'none'."""
    kind, _, value = text.partition(":")
    try:
        if kind == "none" and not value:
            return None
        if kind == "count_filter_entry":
            return CountFilterEntry(int(value))
        if kind == "probability_entry":
            return ProbabilityEntry(float(value))
    except ValueError:
        pass
    raise InvalidArgumentError(
        f"The entry {text!r} of a look-up is unknown.", expected="none, count_filter_entry:k or probability_entry:p"
    )


class WaitingIds:
    """Ids that were seen but have no row yet, and how often they were seen."""

    def __init__(self, seed):
        self.index = HashIndex(seed)
        self.names, self.seen = np.zeros(1024, np.int64), np.zeros(1024, np.int32)
        self.counts = np.zeros(1024, np.int64)

    @property
    def nbytes(self):
        return self.index.nbytes + self.names.nbytes + self.seen.nbytes + self.counts.nbytes

    def count(self, ids, step):
        """How often each id was seen by now, this batch included."""
        size = len(self.index) + len(ids) + 1
        if size > len(self.names):
            for name in ("names", "seen", "counts"):
                before = getattr(self, name)
                grown = np.zeros(size + size // 2, before.dtype)
                grown[: len(before)] = before
                setattr(self, name, grown)
        numbers = np.empty(len(ids), np.int64)
        self.index.insert(ids, numbers, self.names, limit=len(self.names) - 1, seen=self.seen, step=step)
        np.add.at(self.counts, numbers, 1)
        return self.counts[numbers]

    def take_back(self, ids):
        numbers = np.empty(len(ids), np.int64)
        self.index.find(ids, numbers)
        np.subtract.at(self.counts, numbers, 1)

    def drop_before(self, oldest, live):
        """Forget the ids not seen since that step, and those that have rows by now."""
        kept = slice(1, len(self.index) + 1)
        numbers = np.empty(len(self.index), np.int64)
        live.find(self.names[kept], numbers)
        keep = np.flatnonzero((self.seen[kept] >= oldest) & (numbers == 0)) + 1
        index = HashIndex(self.index.seed)
        for name in ("names", "seen", "counts"):
            array = getattr(self, name)
            setattr(self, name, np.concatenate([np.zeros(1, array.dtype), array[keep]]))
        fill_index(index, self.names)
        self.index = index


def fill_index(index, names):
    """Give an empty index the ids names[1:], which differ; names[k] gets the number k."""
    numbers = np.empty(len(names) - 1, np.int64)
    ids = names[1:].copy()
    index.insert(ids, numbers, names, limit=len(ids))
