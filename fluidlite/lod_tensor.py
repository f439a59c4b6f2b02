"""LoDTensor: an array of all steps of a batch of sequences, stacked, with nested offsets beside it.

``lod`` (level of detail) is one list of offsets per level, outermost first: [[0, 3, 3, 7]] says that rows 0:3, 3:3 and
3:7 are three sequences, the second of them empty. A LoDTensor without LoD is a plain array.
"""

import numpy as np

from ._kernels.sequence import first_misfit
from .buffers import aligned_array
from .dtypes import canonical_dtype
from .errors import InvalidArgumentError, InvalidTypeError, OutOfRangeError
from .hash_table import HashTable, TableState
from .lazy_rows import LazyRows
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


def lod_misfit(lod, n_rows):
    """Why these offsets do not describe `n_rows` rows, or None if they do.

    Args:
        lod: levels of int64 offsets, outermost first, as `as_offsets` makes them.
    """
    for k, level in enumerate(lod):
        below = len(lod[k + 1]) - 1 if k + 1 < len(lod) else n_rows
        at = first_misfit(level, below)
        if at < 0:
            continue
        if at == 0 and (not len(level) or level[0]):
            return f"level {k} does not start at 0: {_short(level)}"
        if at and level[at] < level[at - 1]:
            return f"level {k} has a negative length, offset {level[at]} after {level[at - 1]}: {_short(level)}"
        units = "sequences of the next level" if k + 1 < len(lod) else "rows"
        return f"level {k} covers {level[-1]} {units}, but there are {below}"
    return None


def _short(level):
    return np.array2string(level, separator=", ", threshold=12, edgeitems=5)


class LoDTensor:
    """An array with sequence offsets, and the cell in which the Executor keeps a variable's value.

    Args:
        value: array (optional); or, as in Fluid, nothing but a list of lengths per level, for rows that come later.
        lod: offsets, one list per level (optional).

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
        if value.__class__ is list:
            value, lod = None, _lengths_to_offsets(value)
        self.value = value
        self.lod_offsets = as_offsets(lod) if lod else ()

    def set(self, array, place=None):
        """Take a copy of `array`; shape and dtype may change. `place` is accepted for Fluid's sake and ignored.

        In a table of any ids (is_distributed=True), or a state of one, row i goes to id i.
        """
        array = np.asarray(array)
        canonical_dtype(array.dtype)
        if isinstance(self.value, HashTable | TableState):
            self.value.set(np.arange(len(array)), array)
            return
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
        return lod_misfit(self.lod_offsets, len(self.value) if self.value is not None else 0) is None

    def _set_offsets(self, offsets, given):
        if self.value is not None:
            problem = lod_misfit(offsets, len(self.value))
            if problem:
                raise InvalidArgumentError(
                    f"The provided lod info is invalid: {problem}.",
                    expected=f"a partition of {len(self.value)} rows",
                    actual=str(given),
                )
        self.lod_offsets = offsets

    def _dtype(self):
        return canonical_dtype(self.value.dtype)

    def _is_initialized(self):
        return self.value is not None

    _get_dims = shape

    def _get_float_element(self, index):
        """Element `index`, counted through all dimensions, of a float32 tensor."""
        return self._element(index, np.float32)

    def _get_double_element(self, index):
        """Element `index`, counted through all dimensions, of a float64 tensor."""
        return self._element(index, np.float64)

    def _set_float_element(self, index, value):
        self._set_element(index, value, np.float32)

    def _set_double_element(self, index, value):
        self._set_element(index, value, np.float64)

    def _element(self, index, dtype):
        array = np.asarray(self)
        if array.dtype != dtype:
            raise InvalidTypeError(
                "The tensor holds another dtype than it is asked for.",
                expected=np.dtype(dtype).name,
                actual=array.dtype.name,
            )
        if not 0 <= index < array.size:
            raise OutOfRangeError(
                "An index into a LoDTensor is out of range.", expected=f"0 to {array.size - 1}", actual=str(index)
            )
        return array.item(index)

    def _set_element(self, index, value, dtype):
        self._element(index, dtype)
        array = np.array(self)
        array.flat[index] = value
        self.set(array)

    def __getitem__(self, key):
        """A copy of a part, as a LoDTensor of as many dimensions: ``t[1]`` has the shape of ``t[1:2]``.

        LoD is kept where all rows are.
        """
        keys = key if isinstance(key, tuple) else (key,)
        array = np.asarray(self)
        for k, n in zip(keys, array.shape, strict=False):
            if not isinstance(k, slice) and not -n <= k < n:
                raise OutOfRangeError(
                    "An index into a LoDTensor is out of range.", expected=f"-{n} to {n - 1}", actual=str(k)
                )
        keys = tuple([k if isinstance(k, slice) else slice(k, k + 1 or None) for k in keys])
        all_rows = keys[0].indices(len(array)) == (0, len(array), 1)
        return LoDTensor(np.array(array[keys]), self.lod_offsets if all_rows else ())

    def __array__(self, dtype=None, copy=None):
        """``np.array(t)`` copies; ``np.asarray(t)`` is a read-only view."""
        if self.value is None:
            raise InvalidArgumentError("The tensor is not initialized: it holds no array.")
        if self.value.__class__ is LazyRows:
            self.value = self.value.whole()
        if isinstance(self.value, RowState | HashTable | TableState):
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
    """A LoDTensor from an array, another LoDTensor, or a nested list of numbers (each inner list one sequence).

    Args:
        data: array whose first dimension counts steps; or ``[[1, 2, 3], [4]]``, which becomes (4, 1) int64 (float64 if
            there are fractions). Steps may themselves be lists, of one length.
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
        steps = [step for sequence in data for step in sequence]
        data = np.array(steps) if steps else np.empty(0, np.int64)
        data = data.reshape(*data.shape, 1)
    elif not isinstance(data, np.ndarray):
        raise InvalidTypeError(
            f"create_lod_tensor got data of type {type(data).__name__}.", expected="ndarray, LoDTensor or list"
        )
    offsets = _lengths_to_offsets(recursive_seq_lens)
    problem = lod_misfit(offsets, len(data))
    if problem:
        raise InvalidArgumentError(
            f"The provided recursive_sequence_lengths info is invalid: {problem}.", actual=str(recursive_seq_lens)
        )
    tensor = LoDTensor()
    tensor.set(data, place)
    tensor.lod_offsets = offsets
    return tensor


def concat_lod_tensors(parts):
    """The sequences of several batches one after the other: a LoDTensor, or an array where no part has LoD."""
    arrays = [part.value if isinstance(part, LoDTensor) else np.asarray(part) for part in parts]
    lods = [part.lod_offsets if isinstance(part, LoDTensor) else () for part in parts]
    try:
        value = np.concatenate(arrays)
        levels = list(zip(*lods, strict=True))
    except ValueError as error:
        raise InvalidArgumentError(f"Batches that differ in shape or LoD levels cannot be joined: {error}") from None
    if not levels:
        return value
    lengths = [np.concatenate([np.diff(offsets) for offsets in level]) for level in levels]
    return LoDTensor(value, _lengths_to_offsets(lengths))


def create_random_int_lodtensor(recursive_seq_lens, base_shape, place, low, high):
    """A LoDTensor of random int64 in [low, high], both included, drawn from NumPy's global state.

    Args:
        recursive_seq_lens: lengths, one list per level: ``[[3, 1]]``.
        base_shape: list, the shape of one step.
        place: accepted for Fluid's sake.

    >>> create_random_int_lodtensor([[3, 1]], [1], None, 0, 9).shape()
    [4, 1]
    """
    if not isinstance(base_shape, list):
        raise InvalidTypeError("base_shape should be a list.", expected="[1]", actual=repr(base_shape))
    data = np.random.randint(low, high + 1, [sum(recursive_seq_lens[-1]), *base_shape]).astype(np.int64)
    return create_lod_tensor(data, recursive_seq_lens, place)


class LoDTensorArray(list):
    """Fluid's list of LoDTensors."""

    def _move_to_list(self):
        items = list(self)
        self.clear()
        return items
