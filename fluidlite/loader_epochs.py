"""Epochs of a loader: each loop over it is one, made ahead on a thread, and can begin where another process stopped."""

import itertools

from .prefetch import Prefetch, skipping, wait_for
from .reader_position import Position


class Epochs:
    """An epoch in every loop over it."""

    def __init__(self):
        self._own = self._last = None
        self._position = Position()

    def _epoch(self, skipped):
        """A `Prefetch` of what one epoch yields, without the first `skipped` items."""
        raise NotImplementedError

    def state_dict(self):
        """Where the loader is, for `fluid.io.save_checkpoint`: a dict of numbers, texts, arrays and dicts of them.

        ``epoch`` counts the epochs before this one, ``batch`` the batches that were taken in it; ``random`` is the
        state of Python's and NumPy's global generators at its beginning, since shuffles draw from them.
        """
        return self._position.state_dict()

    def set_state_dict(self, state):
        """Let the next loop go on where another loader with this source was: its first batches are passed over.

        The global generators are set when that loop begins. What is yielded is then the same if the source is, and
        if nobody else draws from the generators while batches are made.
        """
        self._position.set_state_dict(state, f"the {type(self).__name__}")

    def __iter__(self):
        if self._last is not None and self._last.stopped:
            # The loop before this one was left early: its generator is to be at rest before it is called again.
            wait_for(self._last)
        epoch = self._epoch(self._position.begin())
        self._last = epoch.pipe
        self._position.follow(epoch.pipe)
        return epoch

    def __call__(self):
        return self

    def __next__(self):
        """The next item of an epoch of the loader's own, for programs that call ``next(loader)``."""
        if self._own is None:
            self._own = iter(self)
        try:
            return next(self._own)
        except StopIteration:
            self._own = None
            raise

    next = __next__


def by_places(items, count, drop_last):
    """Lists of one item for each of `count` places."""
    items = iter(items)
    while group := list(itertools.islice(items, count)):
        if len(group) == count or not drop_last:
            yield group


def epoch_of(source, variables, n_places, drop_last, capacity, taken, left_out=0):
    """The batches of ``source()`` in lists for all places: as feed dicts, or as lists where `variables` is None.

    The first `taken` lists are passed over; the source has left out `left_out` of them itself.
    """

    def items():
        batches = source()
        if variables is not None:
            names = [v.name for v in variables]
            batches = (dict(zip(names, batch, strict=True)) for batch in batches)
        yield from by_places(batches, n_places, drop_last)

    return Prefetch(skipping(items, taken - left_out), max(1, capacity), taken)
