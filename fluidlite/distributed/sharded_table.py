"""A table whose rows live by hash of the id over the ranks, as look-ups see it: the rows of one step.

It has the verbs of `HashTable` that look-ups use, so that ops and kernels know nothing of ranks. An id is asked for
once in a step, wherever it is looked up. The owner's side is an ordinary HashTable with the rows that this rank owns.
"""

import numpy as np

from .._kernels.hash_index import HashIndex
from ..entry import CountFilterEntry
from ..ownership import owner_of
from ..table_rows import IdTable

_SMALLEST = 1024


class StepIds:
    """The ids of a step, numbered 1, 2, 3 ... by owner; those that are asked for later in the step come behind.

    Attributes: names, the id of each number; owners, the rank that owns it; asked, how many of each rank; segments,
    how often there were new ones. Arrays may be longer than what is in use.
    """

    def __init__(self, n_ranks):
        self._n_ranks, self._index, self._found = n_ranks, HashIndex(0), {}
        self.segments, self.asked = 0, np.zeros(n_ranks, np.int64)
        self._allocate(_SMALLEST, 0)

    def __len__(self):
        return len(self._index)

    def _allocate(self, n, kept):
        for name in ("names", "owners", "_arrivals", "_numbers"):
            new = np.zeros(n, np.int64)
            if kept:
                new[:kept] = getattr(self, name)[:kept]
            setattr(self, name, new)

    def add(self, wanted, count_copies=False):
        """The ids of `wanted`, [(ids, padding id)], that are new, by owner.

        Returns:
            ``(ids, counts, copies)``: counts (n_ranks,) how many of each rank; copies, how often each one was wanted,
            None if not to be counted.
        """
        before, looked_up = len(self), []
        room = before + sum(len(ids) for ids, _ in wanted) + 1
        if room > len(self.names):
            self._allocate(room + room // 2, before + 1)
        for ids, padding in wanted:
            numbers = np.empty(len(ids), np.int64)
            self._index.insert(ids, numbers, self._arrivals, limit=len(self._arrivals) - 1, padding_id=padding)
            looked_up.append(numbers)
        count = len(self)
        new = slice(before + 1, count + 1)
        arrived = self._arrivals[new]
        owners = owner_of(arrived, self._n_ranks)
        # Few ranks fit into a byte, which sorts faster.
        order = np.argsort(owners.astype(np.uint8) if self._n_ranks <= 256 else owners, kind="stable")
        self._numbers[new][order] = np.arange(before + 1, count + 1)
        self.names[new], self.owners[new] = arrived[order], owners[order]
        for (ids, padding), numbers in zip(wanted, looked_up, strict=True):
            self._found[_place(ids), padding] = ids, self._numbers[numbers]
        copies = None
        if count_copies:
            every = np.concatenate([np.empty(0, np.int64), *looked_up])
            copies = np.bincount(every, minlength=count + 1)[new][order]
        counts = np.bincount(owners, minlength=self._n_ranks)
        self.asked += counts
        self.segments += bool(counts.any())
        return self.names[new], counts, copies

    def copy(self):
        """The same ids and numbers, for additions of its own."""
        copy = StepIds(self._n_ranks)
        copy.__dict__.update(self.__dict__, asked=self.asked.copy(), _found=dict(self._found), _index=HashIndex(0))
        copy._allocate(len(self.names), 0)
        for name in ("names", "owners", "_arrivals", "_numbers"):
            getattr(copy, name)[:] = getattr(self, name)
        arrived = self._arrivals[1 : len(self) + 1]
        copy._index.insert(arrived, np.empty(len(arrived), np.int64), copy._arrivals, limit=len(arrived))
        return copy

    def numbers_of(self, ids, padding_id):
        """The numbers of an array that was asked for, or None."""
        found = self._found.get((_place(ids), padding_id))
        return None if found is None else found[1]


class ShardedTable(IdTable):
    """The rows of a step by number; row 0 is all zeros.

    Args:
        name, shape, dtype: of the variable. cell: where the HashTable of this rank's rows is.
        exchange: brings rows: ``exchange.fetch({table: [(ids, padding id)]}, train)``. n_ranks: int.

    Attributes: ids, the StepIds; rows, by number; entry, which ids get rows.
    """

    def __init__(self, name, shape, dtype, cell, exchange, n_ranks):
        self.name, self.shape, self.dtype = name, tuple(shape), np.dtype(dtype)
        self.exchange = exchange
        self._cell, self._n_ranks = cell, n_ranks
        self.entry = None
        self._ahead = self._spare = None
        self._in_common = False
        self.begin()

    @property
    def shard(self):
        """The HashTable of the rows that this rank owns."""
        return self._cell.value

    @property
    def width(self):
        return self.shape[1]

    @property
    def row_bytes(self):
        return self.width * self.dtype.itemsize

    def __len__(self):
        return len(self.ids)

    names = property(lambda self: self.ids.names)
    owners = property(lambda self: self.ids.owners)
    asked = property(lambda self: self.ids.asked)
    segments = property(lambda self: self.ids.segments)

    def begin(self, train=True):
        """A step begins: no rows are here but, if it trains, those that were asked for ahead."""
        self._memo = {}
        if train and self._ahead is not None:
            (self.ids, self.rows), self._spare, self._ahead = self._ahead, self.rows, None
            self._in_common = True
        else:
            self.ids, self._in_common = StepIds(self._n_ranks), False
            self.rows = self._room(getattr(self, "rows", None), 1)

    def forget_ahead(self):
        """No rows are here."""
        self._ahead = None
        self.begin()

    def _room(self, rows, n, kept=1):
        """Room for n rows: `rows` if they suffice, else new ones with the first `kept`."""
        if rows is not None and len(rows) >= n:
            return rows
        new = np.zeros((max(n + n // 2, _SMALLEST), self.width), self.dtype)
        if rows is not None:
            new[:kept] = rows[:kept]
        return new

    # ---------------------------------------------------------------------------------------- for who brings the rows

    @property
    def counts_copies(self):
        """Whether the owners want to know how often an id is looked up."""
        return isinstance(self.entry, CountFilterEntry)

    def ask(self, wanted, like=None):
        """`StepIds.add` for this table, and room for the rows that are to come; see `new_rows`.

        like: ``(table, added)``, another table that was just asked for the same, and what that gave.
        """
        before = len(self) + 1
        if like is not None and before == 1 and len(like[0]) == len(like[1][0]):
            table, added = like
            self.ids = table.ids
            self._in_common = table._in_common = True
        else:
            if self._in_common:
                self.ids, self._in_common = self.ids.copy(), False
            added = self.ids.add(wanted, self.counts_copies)
        self.rows = self._room(self.rows, len(self) + 1, before)
        return added

    def ask_ahead(self, wanted, like=None):
        """`ask` for the next step: its rows go to ``ahead_rows``, and are there after `begin`."""
        if like is not None:
            ids, added = like[0]._ahead[0], like[1]
        else:
            ids = StepIds(self._n_ranks)
            added = ids.add(wanted, self.counts_copies)
        self._ahead = ids, self._room(self._spare, len(ids) + 1)
        return added

    def new_rows(self, n):
        """Where the rows of the last n ids go."""
        return self.rows[len(self) + 1 - n : len(self) + 1]

    def ahead_rows(self):
        """Where the rows go that were asked for ahead."""
        if self._ahead is None:
            return self.rows[:0]
        ids, rows = self._ahead
        return rows[1 : len(ids) + 1]

    # --------------------------------------------------------------------------------------------------- for look-ups

    def admit(self, ids, numbers, padding_id=None, entry=None):
        """As `HashTable.admit`, on the owners."""
        self._look_up(ids, numbers, padding_id, True)

    def find(self, ids, numbers, padding_id=None):
        """As `HashTable.find`, on the owners."""
        self._look_up(ids, numbers, padding_id, False)

    def _look_up(self, ids, numbers, padding_id, train):
        found = self.ids.numbers_of(ids, padding_id)
        if found is None:
            self.exchange.fetch({self: [(ids, padding_id)]}, train)
            found = self.ids.numbers_of(ids, padding_id)
        numbers[:] = found

    def remember(self, key, ids, numbers):
        """As `HashTable.remember`."""
        self._memo[key] = ids, numbers

    def recall(self, key, ids):
        """As `HashTable.recall`."""
        found = self._memo.get(key)
        return found[1] if found is not None and found[0] is ids else None

    def __repr__(self):
        return f"<ShardedTable {self.name!r}: {len(self)} rows of a step, {self.dtype}[{self.width}]>"


def ask_all(wanted, ask):
    """{table: what `ask` gives} for ``{table: [(ids, padding id)]}``; tables with the same ids find them once.

    ask: ``ShardedTable.ask`` or ``ShardedTable.ask_ahead``.
    """
    asked, alike = {}, {}
    for table, pairs in wanted.items():
        key = tuple((_place(ids), padding) for ids, padding in pairs), table.counts_copies
        asked[table] = ask(table, pairs, alike.get(key))
        alike.setdefault(key, (table, asked[table]))
    return asked


def _place(ids):
    """What tells arrays apart as long as both live: `_found` keeps them alive."""
    return ids.__array_interface__["data"][0], len(ids)
