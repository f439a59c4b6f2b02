"""Ordinary tables in files (FLAGS_table_mmap_dir) whose rows get their first values when they are first read.

A startup program over a table larger than memory would write all of it to the disk, and the first steps would wait for
that. The values do not depend on when they are made: each is a function of seed, variable and element.
"""

import threading

import numpy as np

from .mapped import Reserve

_BLOCK_ROWS = 65536


class LazyRows:
    """A (V, D) array in a file; row r has its initial values from its first use on.

    Args:
        shape, dtype: of the array.
        initializer: a `RowInitializer`, whose rows are those that the op it comes from would fill.
        what: the variable, for messages.

    >>> from fluidlite.row_initializer import RowInitializer
    >>> table = LazyRows((5, 3), np.float32, RowInitializer('constant', 0.5), 'w')
    >>> table.made_rows(np.array([4, 1])).sum(axis=1).tolist()
    [0.0, 1.5, 0.0, 0.0, 1.5]
    >>> float(table.whole().sum())
    7.5
    """

    __slots__ = ("shape", "dtype", "initializer", "array", "made", "_lock", "__weakref__")

    def __init__(self, shape, dtype, initializer, what):
        self.shape, self.dtype, self.initializer = tuple(shape), np.dtype(dtype), initializer
        reserve = Reserve(self.shape, self.dtype, what)
        reserve.commit(self.shape[0], what)
        self.array, self.made = reserve.array, np.zeros(self.shape[0], np.bool_)
        self._lock = threading.Lock()

    def made_rows(self, ids):
        """The array, in which the rows of `ids` have been made. Ids outside the table are left to the reader."""
        ids = ids.reshape(-1)
        with self._lock:
            if len(ids) and not 0 <= ids.min() <= ids.max() < self.shape[0]:
                ids = ids[(ids >= 0) & (ids < self.shape[0])]
            fresh = ids[~self.made[ids]]
            if len(fresh):
                self._make(np.unique(fresh))
        return self.array

    def _make(self, rows):
        values = np.empty((len(rows), self.shape[1]), self.dtype)
        self.initializer.fill(values, rows, elements=True)
        self.array[rows] = values
        self.made[rows] = True

    def whole(self):
        """The array with all of its rows: what everything gets that does not read by row."""
        with self._lock:
            for begin in range(0, self.shape[0], _BLOCK_ROWS):
                rows = np.flatnonzero(~self.made[begin : begin + _BLOCK_ROWS]) + begin
                if len(rows):
                    self._make(rows)
        return self.array

    def copy(self):
        """A copy of the whole array."""
        return self.whole().copy()

    def live_rows(self):
        """The array for an update of rows that a look-up has read."""
        return self.array

    def updated(self):
        """For the interface of `HashTable`."""
