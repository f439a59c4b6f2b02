"""What a table of any ids and the moments of one share: an array by row number, read and written by id."""

from collections import namedtuple

import numpy as np

from ._kernels import rows as row_kernels
from .errors import InvalidArgumentError, ResourceExhaustedError, UnavailableError
from .mapped import room_for
from .selected_rows import Chunk, SelectedRows

_SLAB_ROWS = 65536


class Slab(namedtuple("Slab", ["ids", "values"])):
    """Some live rows: ids int64 (n,), values (n, D), arrays of their own."""

    __slots__ = ()


class IdTable:
    """What a look-up may find in place of an array: a table of any ids.

    It has shape, dtype, `rows` by number, `names` (the id of each number), `find`, `admit`, `remember` and `recall`.
    """

    __slots__ = ()


class TableRows:
    """Base of HashTable and TableState, which have `shape` (V, D), `dtype`, `rows` by row number, `table`, `what`."""

    __slots__ = ()

    def __len__(self):
        return len(self.table.index)

    @property
    def width(self):
        return self.shape[1]

    def live_rows(self):
        """The rows in use and row 0: an array (len + 1, D), not a copy."""
        return self.rows[: len(self) + 1]

    @property
    def ids(self):
        """The ids of all live rows in order of arrival, a copy."""
        return self.table.names[1 : len(self) + 1].copy()

    def lookup(self, ids):
        """The rows of ids, (n, D), a copy; zeros for ids that have none."""
        table = self.table
        ids = np.ascontiguousarray(ids, np.int64).reshape(-1)
        numbers, out = np.empty(len(ids), np.int64), np.empty((len(ids), self.width), self.dtype)
        table.find(ids, numbers)
        row_kernels.gather_rows(self.live_rows(), numbers, out, 0)
        return out

    def slabs(self, n_rows=_SLAB_ROWS):
        """All live rows in order of arrival, as `Slab`s of up to `n_rows` rows."""
        count, names = len(self), self.table.names
        for begin in range(1, count + 1, n_rows):
            part = slice(begin, min(begin + n_rows, count + 1))
            yield Slab(names[part].copy(), self.rows[part].copy())

    def to_selected_rows(self):
        """All live rows as a SelectedRows, ids and a view of their rows: as the files of Fluid's servers have tables.

        It is valid until the table changes.
        """
        count = len(self)
        chunk = Chunk(np.arange(1, count + 1), self.rows[1 : count + 1])
        return SelectedRows.from_chunks((chunk,), self.shape[0], self.table.names)

    def to_dense(self):
        """The (V, D) array that an ordinary table of this size would be, with zeros in the rows that are not live.

        Raises:
            InvalidArgumentError: an id lies outside [0, V), so that there is no such array.
            ResourceExhaustedError: the array would be larger than memory.
            UnavailableError: it has only the rows that one rank of a job owns.
        """
        require_whole(self, self.what)
        ids = self.ids
        if len(ids) and not 0 <= ids.min() <= ids.max() < self.shape[0]:
            bad = ids[(ids < 0) | (ids >= self.shape[0])][0]
            raise InvalidArgumentError(
                f"{self.what} cannot be read as an array: it is a table of any ids.",
                expected=f"ids in [0, {self.shape[0]})",
                actual=f"a row for id {bad}",
                hint="use scope.find_var(name).get_table(), which gives ids and values in slabs.",
            )
        if room_for(self.width * self.dtype.itemsize) < 2 * self.shape[0]:
            raise ResourceExhaustedError(
                f"{self.what} cannot be read as an array: of shape {self.shape} it is larger than memory.",
                hint="use scope.find_var(name).get_table(), which gives ids and values in slabs.",
            )
        dense = np.zeros(self.shape, self.dtype)
        dense[ids] = self.rows[1 : len(ids) + 1]
        return dense

    copy = to_dense

    def _checked_slab(self, ids, values):
        ids, values = np.asarray(ids), np.asarray(values)
        if not ids.size:
            ids = ids.astype(np.int64)
        if ids.dtype.kind not in "iu" or ids.ndim != 1 or values.shape != (len(ids), self.width):
            raise InvalidArgumentError(
                f"Ids and rows for {self.what} do not fit.",
                expected=f"ids int64 (n,), values (n, {self.width})",
                actual=f"ids {ids.dtype} {ids.shape}, values {values.shape}",
            )
        return np.ascontiguousarray(ids, np.int64), values

    def __repr__(self):
        return f"<{self.what}: {len(self)} of at most {self.shape[0]} rows, {self.dtype}[{self.width}]>"


def share_of(value):
    """(rank, number of ranks) of a table, or of a state of one, that has the rows of one rank alone, else None."""
    return value.table.share if isinstance(value, TableRows) else None


def require_whole(value, what):
    """Refuse to give away as a whole what has the rows of one rank alone."""
    share = share_of(value)
    if share is not None:
        raise UnavailableError(
            f"{what} is not whole here: it has only the rows that rank {share[0]} of {share[1]} owns.",
            hint="fleet.save_persistables and fleet.save_inference_model write the whole table, "
            "fluid.io.save_checkpoint the parts of all ranks.",
        )


def require_distinct(ids, what):
    ordered = np.sort(ids)
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if twice.size:
        raise InvalidArgumentError(f"Id {ordered[twice[0]]} is given twice to {what}.", expected="ids that differ")
