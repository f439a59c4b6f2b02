"""Where rows live. The state of a large table (moments and the like) has memory only for the rows that were touched.

A `RowStore` numbers rows in the order in which updates meet them: ``slots[r]`` is 0 for a row never touched, else its
number. Row ``slots[r] - 1`` of ``data`` holds the row's state, all columns of all accumulators side by side. `data` has
a line for every row of the table, but its pages are zero and cost no memory until they are written, and numbering makes
the written ones adjoin: memory follows the rows touched, and nothing is ever copied to grow.
"""

import numpy as np

from . import flags
from .buffers import FreshBuffer, aligned_array
from .errors import InvalidTypeError
from .mapped import SMALLEST_FILE, file_array

# Tables smaller than this keep plain arrays: what could be saved is not worth an indirection.
SMALLEST_STATE = 1 << 24
# Slots are int32.
TALLEST_STATE = (1 << 31) - 2


def _zeros(shape, dtype, what):
    return aligned_array(shape, dtype, np.zeros)


class RowStore:
    """Rows of `width` columns for a table of `height` rows, made when they are first written."""

    __slots__ = ("slots", "data", "count")

    def __init__(self, height, width, dtype):
        self.slots = aligned_array((height,), np.dtype(np.int32), np.zeros)
        in_file = flags.table_mmap_dir() and height * width * np.dtype(dtype).itemsize >= SMALLEST_FILE
        make = file_array if in_file else _zeros
        self.data = make((height, width), np.dtype(dtype), "The state of a table")
        self.count = np.zeros(1, np.int64)


class RowState:
    """One accumulator of a table: a (V, D) array that is zero but for the rows touched. Starts empty.

    Reads as the array that it stands for: ``to_dense()``, ``np.array(tensor)``. Optimizers that work on rows use its
    store; all others turn it into an array once.

    >>> RowState((1000, 4), np.float32).to_dense().shape
    (1000, 4)
    """

    __slots__ = ("shape", "dtype", "store", "column")

    def __init__(self, shape, dtype):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.store, self.column = None, 0

    @property
    def is_empty(self):
        """Whether no row was touched yet."""
        return self.store is None or not self.store.count[0]

    def touched_rows(self):
        """The numbers of the rows that have state, ascending."""
        return np.flatnonzero(self.store.slots) if self.store is not None else np.empty(0, np.int64)

    def touched_values(self):
        """The state of `touched_rows`, (n, D)."""
        rows = self.touched_rows()
        if not rows.size:
            return np.empty((0, self.shape[1]), self.dtype)
        columns = slice(self.column * self.shape[1], (self.column + 1) * self.shape[1])
        return self.store.data[self.store.slots[rows] - 1, columns]

    def to_dense(self):
        """The (V, D) array, a copy."""
        dense = aligned_array(self.shape, self.dtype, np.zeros)
        dense[self.touched_rows()] = self.touched_values()
        return dense

    def copy(self):
        """The (V, D) array: what a copy of an accumulator is used for."""
        return self.to_dense()


def joint_store(states):
    """The store in which several accumulators of one table live side by side, or None if they do not.

    States that are still empty are put together at their first use.
    """
    first = states[0]
    if not all(isinstance(state, RowState) and state.shape == first.shape for state in states):
        return None
    if all(state.is_empty for state in states):
        height, width = first.shape
        store = RowStore(height, width * len(states), first.dtype)
        for column, state in enumerate(states):
            state.store, state.column = store, column
        return store
    together = all(state.store is first.store and state.column == k for k, state in enumerate(states))
    return first.store if together else None


def as_array(value):
    """A (V, D) array from an array or a RowState."""
    return value.to_dense() if isinstance(value, RowState) else value


class StateBuffer(FreshBuffer):
    """Where the zeros of a large accumulator come from: an empty RowState."""

    __slots__ = ()

    def zeros(self, shape):
        return RowState(self._checked(shape), self.dtype)


def wants_row_state(shape, dtype):
    """Whether an accumulator of this shape is kept by row."""
    if len(shape) != 2 or np.dtype(dtype).kind != "f" or shape[0] > TALLEST_STATE:
        return False
    return shape[0] * shape[1] * np.dtype(dtype).itemsize >= SMALLEST_STATE


class DenseTable:
    """An ordinary table, a (V, D) array, with the verbs of a `HashTable`: ids are the numbers of its rows.

    >>> table = DenseTable(np.eye(3, dtype=np.float32), 'w')
    >>> table.lookup([2, 0])[:, 2].tolist()
    [1.0, 0.0]
    """

    __slots__ = ("value", "name")

    def __init__(self, value, name="table"):
        if value is None or getattr(value, "ndim", len(getattr(value, "shape", ()))) != 2:
            raise InvalidTypeError(
                f"Variable {name!r} holds no table.",
                expected="a matrix",
                actual=f"shape {value.shape}" if hasattr(value, "shape") else type(value).__name__,
            )
        self.value, self.name = value, name

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)

    def __len__(self):
        return self.value.shape[0]

    @property
    def ids(self):
        """All row numbers, ascending."""
        return np.arange(len(self))

    def lookup(self, ids):
        """The rows of ids, (n, D), a copy."""
        return as_array(self.value)[np.asarray(ids).reshape(-1)]

    def slabs(self, n_rows=65536):
        """(ids, values) of all rows, `n_rows` at a time."""
        array = as_array(self.value)
        for begin in range(0, len(self), n_rows):
            part = array[begin : begin + n_rows]
            yield np.arange(begin, begin + len(part)), part.copy()

    def set(self, ids, values):
        """Overwrite the rows of ids."""
        if isinstance(self.value, RowState):
            raise InvalidTypeError(
                f"Variable {self.name!r} keeps memory for the rows touched alone; its rows cannot be set by id.",
                hint="set all of them: scope.find_var(name).get_tensor().set(array).",
            )
        self.value[np.asarray(ids).reshape(-1)] = values

    def stats(self):
        """Counters: live_rows, capacity, nbytes."""
        nbytes = self.shape[0] * self.shape[1] * self.dtype.itemsize
        if isinstance(self.value, RowState):
            nbytes = self.value.touched_values().nbytes
        return {"live_rows": len(self), "capacity": len(self), "nbytes": nbytes}
