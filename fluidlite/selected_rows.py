"""SelectedRows: the gradient of a table as the rows that a batch touched, and the algebra of such values.

A SelectedRows stands for a (height, D) array that is zero outside the rows named. Rows may repeat and come in any
order: what it stands for is the sum of all that is said of a row. Inside it is a list of chunks, one for each
contribution, so that several look-ups of one shared table need no copy; the algebra below is the only place that
knows how chunks combine.
"""

from collections import namedtuple

import numpy as np

from ._kernels import rows as row_kernels
from .errors import InvalidArgumentError, InvalidTypeError, OutOfRangeError


class Chunk(namedtuple("Chunk", ["rows", "value", "padding_id"], defaults=[None])):
    """One contribution: ``value[i]`` belongs to row ``rows[i]``, unless ``rows[i]`` is the padding id (None: none)."""

    __slots__ = ()

    def kept(self):
        """Rows and value without the occurrences of the padding id."""
        if self.padding_id is None:
            return self.rows, self.value
        keep = self.rows != self.padding_id
        return self.rows[keep], self.value[keep]


class SelectedRows:
    """A (height, D) array given by some of its rows: ``rows`` int64 (n,), ``value`` (n, D), and ``height``.

    Rows may be given several times and in any order; their values add up. All other rows are zero.

    Args:
        rows: integers in [0, height), shape (n,).
        value: float32 or float64, shape (n, D). Kept, not copied.
        height: number of rows of the array this stands for.

    Raises:
        InvalidTypeError: rows are not integers, or value is not float32 or float64.
        InvalidArgumentError: the shapes do not fit.
        OutOfRangeError: a row lies outside [0, height).

    >>> g = SelectedRows(rows=[2, 0, 2], value=np.ones((3, 4), np.float32), height=5)
    >>> g.merge().rows
    array([0, 2])
    >>> g.to_dense()[2]
    array([2., 2., 2., 2.], dtype=float32)
    """

    # names: None, or the id of each row: then `chunks` say row numbers of a table of any ids, and `rows` shows ids.
    __slots__ = ("chunks", "height", "names", "_width", "_dtype")
    __array_ufunc__ = None

    def __init__(self, rows, value, height):
        rows, value = np.asarray(rows), np.asarray(value)
        if rows.size == 0:
            rows = rows.astype(np.int64)
        if rows.dtype.kind not in "iu":
            raise InvalidTypeError(
                "The rows of a SelectedRows are not integers.", expected="int64", actual=str(rows.dtype)
            )
        if value.dtype not in (np.float32, np.float64):
            raise InvalidTypeError(
                "The value of a SelectedRows has the wrong dtype.",
                expected="float32 or float64",
                actual=str(value.dtype),
            )
        if rows.ndim != 1 or value.ndim != 2 or len(rows) != len(value):
            raise InvalidArgumentError(
                "The rows and the value of a SelectedRows do not fit together.",
                expected="rows of shape (n,) and value of shape (n, D)",
                actual=f"rows {rows.shape}, value {value.shape}",
            )
        height = int(height)
        # Before the conversion: a row beyond int64 would come out of it as another number.
        outside = np.flatnonzero((rows < 0) | (rows >= height))
        if outside.size:
            at = int(outside[0])
            raise OutOfRangeError(
                f"Row {rows[at]} at position {at} of a SelectedRows is out of range.",
                expected=f"0 <= row < {height} (the height)",
                actual=str(rows[at]),
            )
        rows = np.ascontiguousarray(rows, np.int64)
        if value.strides[1] != value.itemsize and value.shape[1] > 1:
            value = np.ascontiguousarray(value)
        self.chunks = (Chunk(rows, value),)
        self.height, self._width, self._dtype = height, value.shape[1], value.dtype
        self.names = None

    @classmethod
    def from_chunks(cls, chunks, height, names=None):
        """From chunks of one width and dtype whose arrays are in order; nothing is checked or copied."""
        self = cls.__new__(cls)
        self.chunks = chunks = tuple(chunks)
        value = chunks[0][1]
        self.height, self._width, self._dtype, self.names = height, value.shape[1], value.dtype, names
        return self

    def with_chunks(self, chunks):
        """Other chunks for the rows of the same table."""
        return SelectedRows.from_chunks(chunks, self.height, self.names)

    @property
    def rows(self):
        """The rows, int64 (n,), as they came; occurrences of a look-up's padding id are left out.

        Of a table of any ids these are ids.
        """
        rows = self._kept()[0]
        return rows if self.names is None else self.names[rows]

    @property
    def value(self):
        """The values, (n, D): ``value[i]`` belongs to ``rows[i]``. Uncopied when there is one chunk, no padding."""
        return self._kept()[1]

    def _kept(self):
        kept = [chunk.kept() for chunk in self.chunks]
        if len(kept) == 1:
            return kept[0]
        return np.concatenate([rows for rows, _ in kept]), np.concatenate([value for _, value in kept])

    @property
    def shape(self):
        """The shape of the array this stands for: (height, D)."""
        return (self.height, self._width)

    @property
    def dtype(self):
        """The dtype of the value."""
        return self._dtype

    def merge(self):
        """The same array with every row named once, in ascending order. Duplicates are summed in order of position."""
        rows, value = row_kernels.merge_rows(self.chunks, self.height)
        return self.with_chunks((Chunk(rows, value),))

    def to_dense(self, out=None):
        """The (height, D) array itself, in `out` if given (overwritten)."""
        if self.names is not None:
            raise InvalidArgumentError(
                "The gradient of a table of any ids (is_distributed=True) has no dense form.",
                hint="its `rows` are ids, its `value` has a row for each; use an op that takes sparse gradients.",
            )
        if out is None:
            return self.add_to(np.zeros(self.shape, self.dtype))
        self._check_shape(out)
        out.fill(0)
        return self.add_to(out)

    def add_to(self, dense):
        """Add to a (height, D) array in place, and return it."""
        self._check_shape(dense)
        row_kernels.scatter_add_rows(dense, self.chunks)
        return dense

    def _check_shape(self, dense):
        if dense.shape != self.shape or dense.dtype != self.dtype:
            raise InvalidArgumentError(
                "A SelectedRows cannot be written or added to an array of another shape or dtype.",
                expected=f"{self.shape} {self.dtype}",
                actual=f"{dense.shape} {dense.dtype}",
            )

    def copy(self):
        """A SelectedRows with one chunk that owns its arrays."""
        rows, value = self._kept()
        return self.with_chunks((Chunk(np.array(rows), np.array(value, order="C")),))

    def detached(self):
        """A copy that keeps its meaning when the table of any ids whose rows these are changes."""
        if self.names is None:
            return self.copy()
        _, value = self._kept()
        names, rows = np.unique(self.rows, return_inverse=True)
        return SelectedRows.from_chunks((Chunk(rows.reshape(-1), np.array(value, order="C")),), len(names), names)

    def scale(self, factor):
        """The product with a number."""
        return self.with_chunks(
            [Chunk(c.rows, np.multiply(c.value, self.dtype.type(factor)), c.padding_id) for c in self.chunks]
        )

    def astype(self, dtype):
        """The same rows with values of another floating dtype."""
        return self.with_chunks([Chunk(c.rows, c.value.astype(dtype), c.padding_id) for c in self.chunks])

    def __add__(self, other):
        if isinstance(other, SelectedRows):
            if (self.shape, self.dtype) != (other.shape, other.dtype):
                raise InvalidArgumentError(
                    "Two SelectedRows that are to be added stand for different arrays.",
                    expected=f"{self.shape} {self.dtype}",
                    actual=f"{other.shape} {other.dtype}",
                )
            if self.names is not other.names:
                raise InvalidArgumentError("Two SelectedRows that are to be added are rows of different tables.")
            return self.with_chunks(self.chunks + other.chunks)
        if isinstance(other, np.ndarray):
            return self.add_to(np.array(other, dtype=self.dtype, order="C"))
        return NotImplemented

    __radd__ = __add__

    def __mul__(self, factor):
        return self.scale(factor) if np.ndim(factor) == 0 else NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, divisor):
        return self.scale(1.0 / divisor) if np.ndim(divisor) == 0 else NotImplemented

    def __neg__(self):
        return self.scale(-1.0)

    def __sub__(self, other):
        return self + (-other) if isinstance(other, SelectedRows | np.ndarray) else NotImplemented

    def __rsub__(self, other):
        return -self + other

    def __repr__(self):
        rows = sum(len(c.rows) for c in self.chunks)
        return f"SelectedRows(rows={rows}, value=({rows}, {self._width}) {self.dtype}, height={self.height})"
