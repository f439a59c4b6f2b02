"""Tables of any ids (``is_distributed=True``): rows for the ids that training has seen, and for no others.

A `HashTable` is an index from int64 ids to row numbers 1, 2, 3 ..., in the order in which ids arrive, beside one long
array `rows` of reserved memory. So nothing is copied when it grows, and every kernel that works on rows of an array
works on it, with row numbers as rows. Row 0 is nobody's: it is all zeros, and unseen ids and paddings point to it.
A `TableState` is an accumulator of an optimizer, numbered by the same rows.

One lock guards each table: threads may look up while another trains. After a fork, the child has a table of its own;
fork while no other thread is in a step.
"""

import threading
import weakref

import numpy as np

from ._kernels.hash_index import HashIndex, IndexFull
from ._kernels.random import fill_rows_uniform, row_seed
from .buffers import format_bytes
from .entry import CountFilterEntry, WaitingIds, fill_index
from .errors import InvalidArgumentError, OutOfRangeError, ResourceExhaustedError
from .mapped import Reserve, room_for
from .ownership import owned
from .row_initializer import RowInitializer
from .table_rows import IdTable, Slab, TableRows, require_distinct

# More rows than this have no numbers.
_MOST_ROWS = (1 << 32) - 2
_SLAB_ROWS = 65536


class HashTable(IdTable, TableRows):
    """Rows of width D for up to V ids, any int64.

    Args:
        shape: (V, D). V bounds the number of ids; memory follows the ids seen.
        dtype: float32 or float64.
        initializer: a `RowInitializer`; rows of zeros by default.
        name: for messages.

    Attributes: shape, dtype, initializer, name; rows, by row number; steps, the updates so far; places, how many ids
    training has looked up, duplicates counted; misses, how many of them made a row or had none; share, (rank, number of
    ranks) where it holds only the rows that a rank owns, else None.

    >>> table = HashTable((1_000_000_000, 4), np.float32, RowInitializer('constant', 0.5))
    >>> table.set([-7, 1 << 60], np.ones((2, 4)))
    >>> len(table), table.lookup([1 << 60, 3])[:, 0].tolist()
    (2, [1.0, 0.0])
    """

    __slots__ = (
        "shape", "dtype", "initializer", "name", "index", "names", "seen", "rows", "limit", "steps", "places", "misses",
        "share"
    ) + ("_reserves", "_states", "_memo", "_lock", "_waiting", "__weakref__")  # fmt: skip

    def __init__(self, shape, dtype, initializer=None, name="table"):
        self.shape, self.dtype, self.name = tuple(shape), np.dtype(dtype), name
        self.initializer = initializer if initializer is not None else RowInitializer("constant")
        self.index = HashIndex(self._index_seed())
        row_bytes = self.width * self.dtype.itemsize
        self.limit = min(self.shape[0], _MOST_ROWS, max(room_for(row_bytes), 1 << 20))
        height = self.limit + 1
        self._reserves = [
            Reserve((height, self.width), self.dtype, self.what),
            Reserve((height,), np.int64, self.what),
            Reserve((height,), np.int32, self.what),
        ]
        self.rows, self.names, self.seen = (reserve.array for reserve in self._reserves)
        self.steps = self.places = self.misses = 0
        self.share = None
        self._states = weakref.WeakSet()
        self._memo, self._lock, self._waiting = {}, threading.RLock(), None

    table = property(lambda self: self)

    @property
    def what(self):
        return f"Table {self.name!r}"

    def _index_seed(self):
        return row_seed(self.initializer.stream, self.initializer.seed)

    # ------------------------------------------------------------------------------------------------------ look-ups

    def find(self, ids, numbers, padding_id=None):
        """numbers[i] = the row of ids[i], 0 if it has none or is the padding id."""
        with self._lock:
            self.index.find(ids, numbers, padding_id=padding_id)

    def admit(self, ids, numbers, padding_id=None, entry=None):
        """`find` while training: ids without a row get one, if `entry` (a policy, or None) lets them in.

        Raises:
            OutOfRangeError: there would be more than V ids. ResourceExhaustedError: or more than memory can hold.
            Nothing has changed then.
        """
        with self._lock:
            before = len(self)
            if entry is None:
                missed = self._insert(ids, numbers, padding_id)
            else:
                missed = self._insert_admitted(ids, numbers, padding_id, entry)
            if len(self) > before:
                self._begin_rows(before + 1)
            self.places += len(ids)
            self.misses += missed

    def _insert(self, ids, numbers, padding_id):
        """Returns the number of rows made."""
        try:
            return self.index.insert(
                ids, numbers, self.names, limit=self.limit, padding_id=padding_id, seen=self.seen, step=self.steps,
                prepare=self._make_room if self._reserves[0].in_file else None,
            )  # fmt: skip
        except IndexFull as error:
            raise self._full(error) from None

    def _insert_admitted(self, ids, numbers, padding_id, entry):
        if not self.index.find(ids, numbers, padding_id=padding_id, seen=self.seen, step=self.steps):
            return 0
        without = numbers == 0
        if padding_id is not None:
            without &= ids != padding_id
        at = np.flatnonzero(without)
        missing = ids[at]
        if isinstance(entry, CountFilterEntry):
            if self._waiting is None:
                self._waiting = WaitingIds(self.index.seed)
            admitted = self._waiting.count(missing, self.steps) >= entry.count_filter
        else:
            admitted = self._draw(missing) < entry.probability
        new = np.empty(int(admitted.sum()), np.int64)
        try:
            made = self._insert(missing[admitted], new, None)
        except Exception:
            if isinstance(entry, CountFilterEntry):
                self._waiting.take_back(missing)
            raise
        numbers[at[admitted]] = new
        return len(at) - len(new) + made

    def _draw(self, ids):
        """Numbers in [0, 1) that depend on the seed, the step and the id."""
        drawn = np.empty((len(ids), 1))
        fill_rows_uniform(drawn, ids, 0.0, 1.0, seed=self._index_seed(), stream=self.steps + 1)
        return drawn[:, 0]

    def _full(self, error):
        if error.wanted <= self.shape[0]:
            return ResourceExhaustedError(
                f"{self.what} is full: {error.wanted} rows of {self.width} {self.dtype} are more than this machine "
                "can hold.",
                expected=f"at most {error.limit} rows",
                actual=f"{error.count} rows, and {error.wanted - error.count} new ids in this batch",
            )
        return OutOfRangeError(
            f"{self.what} is full: training has brought more distinct ids than its dict_size {self.shape[0]} "
            "(size[0] of the embedding).",
            expected=f"at most {self.shape[0]} distinct ids",
            actual=f"{error.count} rows, and {error.wanted - error.count} new ids in this batch",
            hint="give the embedding a larger size[0], which costs nothing until ids come; admit ids only after they "
            "were seen several times (CountFilterEntry); or drop rows not seen for long (table.shrink).",
        )

    def _make_room(self, count):
        for reserve in (*self._reserves, *(state.reserve for state in self._attached())):
            reserve.commit(count + 1, self.what)

    def _begin_rows(self, first):
        """Initial values for the rows from `first` on."""
        new = slice(first, len(self) + 1)
        if not self.initializer.is_zero:
            self.initializer.fill(self.rows[new], self.names[new])
        for state in self._attached():
            if state.initial:
                state.rows[new] = state.initial

    def remember(self, key, ids, numbers):
        """Keep the numbers of a look-up for its gradient."""
        self._memo[key] = ids, numbers

    def recall(self, key, ids):
        """The numbers that this run's look-up found for the same array of ids, or None."""
        found = self._memo.get(key)
        return found[1] if found is not None and found[0] is ids else None

    def forget(self):
        """A new run begins: what look-ups found before may be out of date."""
        self._memo.clear()

    def updated(self):
        """An optimizer has updated the table: one step more."""
        self.steps += 1

    # ------------------------------------------------------------------------------------------------ rows from outside

    def set(self, ids, values):
        """Give rows to ids: those that are live are overwritten, others are made. Ids must differ.

        Where ranks share the table, each takes the rows that it owns: let all of them call it.

        Raises InvalidArgumentError if they do not, OutOfRangeError if there would be too many; nothing changes then.
        """
        ids, values = self._checked_slab(ids, values)
        mine = owned(ids, self.share)
        self.load([Slab(ids[mine], values[mine])], on_duplicate="replace")

    def load(self, slabs, *, on_duplicate="error"):
        """Take the rows of `slabs`, (ids, values) one after the other: saved rows, or those of several shards.

        on_duplicate: what to do with an id that is live already: 'error', 'replace' it, or 'keep' what is there.
        A slab is taken as a whole or not at all; ids within a slab must differ.
        """
        if on_duplicate not in ("error", "replace", "keep"):
            raise InvalidArgumentError("on_duplicate is unknown.", expected="error, replace or keep")
        for slab in slabs:
            ids, values = self._checked_slab(*slab)
            with self._lock:
                numbers, before = np.empty(len(ids), np.int64), len(self)
                self.index.find(ids, numbers)
                known = numbers > 0
                require_distinct(ids, self.what)
                if known.any() and on_duplicate == "error":
                    raise InvalidArgumentError(
                        f"Id {ids[known][0]} is given to {self.what}, which has a row for it.",
                        hint="on_duplicate='replace' or 'keep' says which of the two is to stay.",
                    )
                self._insert(ids, numbers, None)
                if len(self) > before:
                    self._begin_rows(before + 1)
                chosen = ~known if on_duplicate == "keep" else slice(None)
                self.rows[numbers[chosen]] = values[chosen]

    # -------------------------------------------------------------------------------------------------------- eviction

    def shrink(self, unseen_steps):
        """Drop the rows that no training look-up named in the last `unseen_steps` updates; returns how many.

        The memory of dropped rows is free again. Do not call it between the look-up and the update of a step.
        """
        with self._lock:
            oldest = self.steps - int(unseen_steps)
            if self._waiting is not None:
                self._waiting.drop_before(oldest, self.index)
            return self._keep(self.seen[1 : len(self) + 1] >= oldest)

    def erase(self, ids):
        """Drop the rows of ids, as far as they have any; returns how many."""
        ids = np.ascontiguousarray(ids, np.int64).reshape(-1)
        with self._lock:
            numbers = np.empty(len(ids), np.int64)
            self.index.find(ids, numbers)
            keep = np.ones(len(self), bool)
            keep[numbers[numbers > 0] - 1] = False
            return self._keep(keep)

    def _keep(self, keep):
        """Rows that stay move from the end into the places of those that go."""
        count, stay = len(self), int(keep.sum())
        if stay == count:
            return 0
        holes = np.flatnonzero(~keep[:stay]) + 1
        moved = np.flatnonzero(keep[stay:]) + stay + 1
        index = HashIndex(self.index.seed)
        names = self.names[: stay + 1].copy()
        names[holes] = self.names[moved]
        fill_index(index, names)
        for reserve in (*self._reserves, *(state.reserve for state in self._attached())):
            for begin in range(0, len(holes), _SLAB_ROWS):
                part = slice(begin, begin + _SLAB_ROWS)
                reserve.array[holes[part]] = reserve.array[moved[part]]
            reserve.clear(stay + 1, count + 1)
        self.index = index
        self._memo.clear()
        return count - stay

    # -------------------------------------------------------------------------------------------------------- counters

    def _attached(self):
        return [state for state in self._states if state.attached_to is self]

    @property
    def nbytes(self):
        """Bytes in use: rows, states, ids, index, and ids that wait for entry."""
        per_row = self.width * self.dtype.itemsize + 12
        per_row += sum(state.width * state.dtype.itemsize for state in self._attached())
        waiting = self._waiting.nbytes if self._waiting is not None else 0
        return (len(self) + 1) * per_row + self.index.nbytes + waiting

    def stats(self):
        """Counters: live_rows, capacity, nbytes, steps, hit_rate (1 - misses / places)."""
        return {
            "live_rows": len(self),
            "capacity": self.shape[0],
            "nbytes": self.nbytes,
            "steps": self.steps,
            "hit_rate": 1 - self.misses / self.places if self.places else None,
        }

    def __repr__(self):
        return f"{super().__repr__()[:-1]}, {format_bytes(self.nbytes)}>"


class TableState(TableRows):
    """An accumulator of a table: a row for each of its rows, `initial` until an update changes it.

    Args:
        shape, dtype: of the variable, (V, D).
        initial: a number.
        cell: where the table is (``cell.value``); it need not be there yet.
        name: for messages.
    """

    __slots__ = ("shape", "dtype", "initial", "name", "attached_to", "_cell", "_reserve", "__weakref__")

    def __init__(self, shape, dtype, initial, cell, name="state"):
        self.shape, self.dtype, self.initial, self.name = tuple(shape), np.dtype(dtype), initial, name
        self._cell, self._reserve, self.attached_to = cell, None, None

    @property
    def what(self):
        return f"State {self.name!r}"

    @property
    def table(self):
        """The HashTable whose rows these belong to."""
        table = self._cell.value
        if not isinstance(table, HashTable):
            raise InvalidArgumentError(
                f"{self.what} has lost its table.", hint="run the startup program, which makes both."
            )
        return table

    @property
    def reserve(self):
        """The memory of the rows; made when they are first asked for, or when the table is another one."""
        table = self.table
        if self.attached_to is not table:
            reserve = Reserve((table.limit + 1, self.width), self.dtype, self.what)
            reserve.commit(len(table) + 1, self.what)
            if self.initial:
                reserve.array[1 : len(table) + 1] = self.initial
            self._reserve, self.attached_to = reserve, table
            table._states.add(self)
        return self._reserve

    @property
    def rows(self):
        return self.reserve.array

    def set(self, ids, values):
        """Overwrite the rows of ids; one that has no row in the table is an error, and nothing changes."""
        self.load([Slab(ids, values)])

    def load(self, slabs, *, on_duplicate="replace"):
        """Take the rows of `slabs`. Their ids must be live in the table, which is loaded first.

        on_duplicate: for the interface of `HashTable.load`; every row there is replaced.
        """
        for slab in slabs:
            ids, values = self._checked_slab(*slab)
            require_distinct(ids, self.what)
            numbers = np.empty(len(ids), np.int64)
            self.table.find(ids, numbers)
            if not numbers.all():
                raise InvalidArgumentError(
                    f"Id {ids[numbers == 0][0]} is given to {self.what}, but {self.table.what} has no row for it.",
                    hint="load the table first.",
                )
            self.rows[numbers] = values
            # As after `HashTable.load`: increments of checkpoints know by it what has changed.
            self.table.seen[numbers] = self.table.steps

    def updated(self):
        """The table counts steps."""
