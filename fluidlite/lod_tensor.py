"""LoDTensor: an array of all steps of a batch of sequences, stacked, with nested offsets beside it.

``lod`` (level of detail) is one list of offsets per level, outermost first: [[0, 3, 3, 7]] says that rows 0:3, 3:3 and
3:7 are three sequences, the second of them empty. A LoDTensor without LoD is a plain array.
"""

import numpy as np

from .buffers import aligned_array
from .dtypes import canonical_dtype
from .errors import InvalidArgumentError, InvalidTypeError
from .tables import RowState


def as_offsets(lod):
    """LoD as it is kept: one read-only int64 array of offsets for each level."""
    levels = []
    for level in lod:
        shared = level.__class__ is np.ndarray and level.dtype == np.int64 and not level.flags.writeable
        offsets = level if shared else np.array(level, np.int64)
        offsets.flags.writeable = False
        levels.append(offsets)
    return tuple(levels)


def _lengths_to_offsets(lengths):
    return as_offsets(np.concatenate(([0], np.cumsum(level, dtype=np.int64))) for level in lengths)


def _check_lod(lod, n_rows):
    """Why these offsets do not describe `n_rows` rows, or None if they do."""
    for k, level in enumerate(lod):
        if len(level) < 1 or level[0] != 0:
            return f"level {k} does not start at 0: {level.tolist()}"
        if (level[1:] < level[:-1]).any():
            return f"level {k} has a negative length: {level.tolist()}"
        rows = len(lod[k + 1]) - 1 if k + 1 < len(lod) else n_rows
        if level[-1] != rows:
            below = "sequences of the next level" if k + 1 < len(lod) else "rows"
            return f"level {k} covers {level[-1]} {below}, but there are {rows}"
    return None


class LoDTensor:
    """An array with sequence offsets, and the cell in which the Executor keeps a variable's value.

    Args:
        value: array (optional). lod: offsets, one list per level (optional).

    Attributes:
        value: the ndarray (a SelectedRows or a RowState in the cells of such variables), None before it is initialized.
        lod_offsets: the offsets as a tuple of read-only int64 arrays, outermost level first; () without LoD.

    >>> t = LoDTensor()
    >>> t.set(np.arange(3).reshape(3, 1)); t.set_recursive_sequence_lengths([[2, 1]])
    >>> t.lod()
    [[0, 2, 3]]
    """

    __slots__ = ("value", "lod_offsets")

    def __init__(self, value=None, lod=()):
        self.value = value
        self.lod_offsets = as_offsets(lod) if lod else ()

    def set(self, array, place=None):
        """Take a copy of `array`; shape and dtype may change. `place` is accepted for Fluid's sake and ignored."""
        array = np.asarray(array)
        canonical_dtype(array.dtype)
        if isinstance(self.value, RowState) and self.value.shape == array.shape and not array.any():
            self.value = RowState(array.shape, array.dtype)
            return
        value = aligned_array(array.shape, array.dtype)
        value[...] = array
        self.value = value

    def shape(self):
        """The dimensions, as a list."""
        return [] if self.value is None else list(self.value.shape)

    def lod(self):
        """Offsets, as nested lists."""
        return [level.tolist() for level in self.lod_offsets]

    def set_lod(self, lod):
        """Set the offsets, e.g. ``[[0, 2, 3]]``; they must fit the rows that are there."""
        self._set_offsets(as_offsets(lod), lod)

    def recursive_sequence_lengths(self):
        """Lengths instead of offsets, as nested lists."""
        return [np.diff(level).tolist() for level in self.lod_offsets]

    def set_recursive_sequence_lengths(self, lengths):
        """Set the LoD by lengths, e.g. ``[[2, 1]]``."""
        self._set_offsets(_lengths_to_offsets(lengths), lengths)

    def has_valid_recursive_sequence_lengths(self):
        """Whether the offsets describe exactly the rows that are there."""
        return _check_lod(self.lod_offsets, len(self.value) if self.value is not None else 0) is None

    def _set_offsets(self, offsets, given):
        if self.value is not None:
            problem = _check_lod(offsets, len(self.value))
            if problem:
                raise InvalidArgumentError(
                    f"The provided lod info is invalid: {problem}.",
                    expected=f"a partition of {len(self.value)} rows",
                    actual=str(given),
                )
        self.lod_offsets = offsets

    def _dtype(self):
        return canonical_dtype(self.value.dtype)

    def __array__(self, dtype=None, copy=None):
        """``np.array(t)`` copies; ``np.asarray(t)`` is a read-only view."""
        if self.value is None:
            raise InvalidArgumentError("The tensor is not initialized: it holds no array.")
        if isinstance(self.value, RowState):
            return self.value.to_dense().astype(dtype or self.value.dtype, copy=False)
        if copy or (dtype is not None and np.dtype(dtype) != self.value.dtype):
            if copy is False:
                raise InvalidArgumentError("The tensor cannot be read as another dtype without a copy.")
            return np.array(self.value, dtype=dtype)
        view = self.value.view()
        view.flags.writeable = False
        return view

    def __len__(self):
        return 0 if self.value is None else self.value.shape[0]

    def __repr__(self):
        if self.value is None:
            return "LoDTensor(not initialized)"
        return f"LoDTensor(shape={self.shape()}, dtype={self.value.dtype}, lod={self.lod()})"


def create_lod_tensor(data, recursive_seq_lens, place=None):
    """A LoDTensor from an array, another LoDTensor, or a nested list of ints (each inner list one sequence).

    Args:
        data: array whose first dimension counts steps; or ``[[1, 2, 3], [4]]``, which becomes (4, 1) int64.
        recursive_seq_lens: lengths, one list per level: ``[[3, 1]]``.
        place: accepted for Fluid's sake.

    Raises:
        InvalidArgumentError: the lengths do not add up to the number of rows.

    >>> create_lod_tensor([[1, 2, 3], [4]], [[3, 1]]).shape()
    [4, 1]
    """
    if isinstance(data, LoDTensor):
        data = data.value
    elif isinstance(data, list):
        given = [len(sequence) for sequence in data]
        if [given] != [list(level) for level in recursive_seq_lens]:
            raise InvalidArgumentError(
                "The provided recursive_sequence_lengths info is invalid: it differs from the lists' own lengths.",
                expected=str([given]),
                actual=str(recursive_seq_lens),
            )
        data = np.array([i for sequence in data for i in sequence], np.int64).reshape(-1, 1)
    elif not isinstance(data, np.ndarray):
        raise InvalidTypeError(
            f"create_lod_tensor got data of type {type(data).__name__}.", expected="ndarray, LoDTensor or list"
        )
    offsets = _lengths_to_offsets(recursive_seq_lens)
    problem = _check_lod(offsets, len(data))
    if problem:
        raise InvalidArgumentError(
            f"The provided recursive_sequence_lengths info is invalid: {problem}.", actual=str(recursive_seq_lens)
        )
    tensor = LoDTensor()
    tensor.set(data, place)
    tensor.lod_offsets = offsets
    return tensor
