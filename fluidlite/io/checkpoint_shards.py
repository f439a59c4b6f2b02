"""Checkpoints that n ranks have saved, read by one of m ranks: each reads what it needs, and nobody sends anything.

With as many ranks as have saved, a rank takes its own part: the same rows under the same numbers. Else it reads the
tables of all parts, a slab at a time, and keeps the rows that it owns, with their states; m = 1 keeps all of them, so
that this is also how one table is made of the parts. Rows come in the order of the parts. What the ranks have in common
is in the first part, and so is what else they do not find in their own.

When shards have counted different numbers of updates (out of step), the numbers of the one that has counted most go on,
and rows and ids that wait keep their age: the updates since they were last seen.
"""

import numpy as np

from ..errors import EnforceNotMet, InvalidArgumentError, warn_user
from ..hash_table import HashTable, TableState
from ..lod_tensor import LoDTensor
from ..row_initializer import RowInitializer
from ..table_rows import TableRows
from .checkpoint_manifest import folder_of, parts_of, unpack_state
from .checkpoint_tables import waiting_ids
from .checkpoint_values import Loaded, check_fits, read_values
from .shares import owned

_SLAB_ROWS = 65536
_TABLES = ("table", "table_state")


def read_shares(dirname, chain, variables, optional, share):
    """As `read_values`, of a checkpoint of any number of ranks for one of any number.

    Args:
        dirname, chain, variables, optional: as there.
        share: (rank, number of ranks), or None: all rows of all tables.

    Returns:
        ``(tensors, arrays, manifest)``: the manifest of the part that the rank reads first, and its arrays.
    """
    chains = list(zip(*map(parts_of, chain), strict=True))
    if share is None and len(chains) == 1:
        return *read_values(dirname, chain, variables, optional), chain[-1]
    rank = share[0] if share is not None and len(chains) == share[1] else None
    first, mine = chains[0], chains[rank or 0]
    there = mine[-1]["variables"]
    is_merged = {var.name for var in variables if rank is None and there.get(var.name, {}).get("kind") in _TABLES}
    own = [var for var in variables if var.name in there and var.name not in is_merged]
    common = [var for var in variables if var.name not in there]
    tensors, arrays = read_values(dirname, mine, own, optional)
    if common:
        tensors |= read_values(dirname, first, common)[0]
    if is_merged:
        merged = [var for var in variables if var.name in is_merged]
        tensors |= _read_merged(dirname, chains, merged, share)
    for name, tensor in tensors.items():
        if isinstance(tensor.value, HashTable) and rank is not None:
            _check_owned(name, tensor.value, share, folder_of(dirname, chain[-1]["step"]))
        if isinstance(tensor.value, TableRows):
            tensor.value.table.share = share
    return tensors, arrays, mine[-1]


def _check_owned(name, table, share, folder):
    for begin in range(1, len(table) + 1, _SLAB_ROWS):
        ids = table.names[begin : min(begin + _SLAB_ROWS, len(table) + 1)]
        mine = owned(ids, share)
        if not mine.all():
            raise InvalidArgumentError(
                f"The part of rank {share[0]} in checkpoint {folder!r} cannot be used: table {name!r} has a row that "
                "another rank owns.",
                actual=f"id {ids[~mine][0]}",
                hint="load another checkpoint (step=...).",
            )


def _read_merged(dirname, chains, variables, share):
    entries = chains[0][-1]["variables"]
    for var in variables:
        check_fits(var, chains[0][-1], folder_of(dirname, chains[0][-1]["step"]))
    names = {var.name for var in variables}
    tables = {name: _MergedTable(name, share) for name in names if entries[name]["kind"] == "table"}
    # A state needs its table, also where the program has the state alone.
    for name in names.difference(tables):
        tables.setdefault(entries[name]["table"], _MergedTable(entries[name]["table"], share))
    states = {name: _MergedState(name, tables[entries[name]["table"]]) for name in names.difference(tables)}
    for rank, chain in enumerate(chains):
        loaded = Loaded(dirname, chain)
        for name, one in (tables | states).items():
            loaded.want("variables", name, one.read)
        for table in tables.values():
            table.begin_part(rank)
        loaded.read()
        for table in tables.values():
            table.end_part()
    for table in tables.values():
        table.finish()
    return {name: LoDTensor((tables | states)[name].value) for name in names}


class _MergedTable:
    """A table that gets those rows of parts, read one after the other, that a rank owns."""

    def __init__(self, name, share):
        self.name, self.share, self.value = name, share, None
        self._waiting = []

    def begin_part(self, rank):
        """The rows of another part follow."""
        self._rank, self._first = rank, 0 if self.value is None else len(self.value)
        # Which rows of the part have a place here. They follow one another, after those of the parts before.
        self.kept, self._numbers = np.zeros(0, np.bool_), None

    def numbers(self, rows):
        """The row numbers here of some rows of the part, by their numbers there; 0 for those that are not kept."""
        if self._numbers is None:
            self._numbers = np.cumsum(self.kept) + self._first
            self._numbers[~self.kept] = 0
        return self._numbers[rows - 1]

    def slabs(self, source, part, what):
        """What is kept of the rows of a whole entry: (slice of row numbers here, array)."""
        end = self._first + 1
        for start, some in source.slabs(part, what):
            chosen = some[self.kept[start : start + len(some)]]
            begin, end = end, end + len(chosen)
            yield slice(begin, end), chosen

    def read(self, source, entry):
        """Read a `table`, or add to it what a later checkpoint has."""
        what, parts = f"table {self.name!r}", entry["parts"]
        self._make(source, entry, what)
        names, *rest = (source.read(part, what) for part in parts[:3])
        mine = owned(names, self.share)
        self._of_part = [names[mine], *(array[mine] for array in rest)]
        self._counters = [entry[name] for name in ("steps", "places", "misses")]
        try:
            if entry["added"]:
                self._add(source, entry, parts[3:], what)
                return
            self.kept = np.empty(entry["count"], np.bool_)
            for start, ids in source.slabs(parts[3], what):
                self.kept[start : start + len(ids)] = self._append(ids)
            for at, seen in self.slabs(source, parts[4], what):
                self.value.seen[at] = seen
            for at, rows in self.slabs(source, parts[5], what):
                self.value.rows[at] = rows
        except EnforceNotMet as error:
            raise source.damaged(f"{what} makes no sense: {error.summary}") from None

    def _make(self, source, entry, what):
        shape, dtype, first = tuple(entry["shape"]), np.dtype(entry["dtype"]), RowInitializer(*entry["initializer"])
        if self.value is None:
            self.value = HashTable(shape, dtype, first, self.name)
            self.value.share = self.share
        elif self.value.initializer != first:
            raise source.damaged(f"{what} has other first values than in the part of rank 0")

    def _append(self, ids):
        """Make rows for those of some new ids of the part that are kept; returns which."""
        mine, table, before = owned(ids, self.share), self.value, len(self.value)
        ids = ids[mine]
        numbers = np.empty(len(ids), np.int64)
        table._insert(ids, numbers, None)
        if (numbers != np.arange(before + 1, before + 1 + len(ids))).any():
            twice = ids[numbers != np.arange(before + 1, before + 1 + len(ids))][0]
            raise InvalidArgumentError(f"Id {twice} has two rows")
        for state in table._attached():
            if state.initial:
                state.rows[before + 1 : len(table) + 1] = state.initial
        return mine

    def _add(self, source, entry, parts, what):
        rows, ids, seen = (source.read(part, what) for part in parts[:3])
        before = len(self.kept)
        n_old = int(np.searchsorted(rows, before, "right"))
        if rows.size and not (rows[0] >= 1 and (np.diff(rows) > 0).all() and rows[-1] <= entry["count"]):
            raise source.damaged(f"the row numbers of {what} do not ascend")
        if entry["count"] != before + len(rows) - n_old:
            raise source.damaged(f"{what} does not fit that of the checkpoint that it is added to")
        self.kept, self._numbers = np.concatenate([self.kept, self._append(ids[n_old:])]), None
        numbers = self.numbers(rows)
        mine = numbers > 0
        if (self.value.names[numbers[mine]] != ids[mine]).any():
            raise source.damaged(f"{what} does not fit that of the checkpoint that it is added to")
        self.value.seen[numbers[mine]] = seen[mine]
        for start, some in source.slabs(parts[3], what):
            chosen = mine[start : start + len(some)]
            self.value.rows[numbers[start : start + len(some)][chosen]] = some[chosen]

    def end_part(self):
        """The part has been read: its counts of updates go on as those of the table do."""
        table, (steps, places, misses) = self.value, self._counters
        now, here = max(table.steps, steps), slice(self._first + 1, len(table) + 1)
        table.seen[1 : self._first + 1] += np.int32(now - table.steps)
        table.seen[here] += np.int32(now - steps)
        for waiting in self._waiting:
            waiting[1] += np.int32(now - table.steps)
        self._of_part[1] += np.int32(now - steps)
        self._waiting.append(self._of_part)
        table.steps = now
        # So that the sum over all ranks stays what it was.
        if self.share is None or self._rank % self.share[1] == self.share[0]:
            table.places, table.misses = table.places + places, table.misses + misses

    def finish(self):
        """All parts have been read."""
        arrays = [np.concatenate(part) for part in zip(*self._waiting, strict=True)]
        self.value._waiting = waiting_ids(self.value, arrays)


class _MergedState:
    """A state of a `_MergedTable`."""

    def __init__(self, name, table):
        self.name, self.table, self.value = name, table, None

    def read(self, source, entry):
        """Read a `table_state`; the rows of its table have been read."""
        what, parts, table = f"state {self.name!r}", entry["parts"], self.table
        if self.value is None:
            cell = LoDTensor(table.value)
            self.value = TableState(tuple(entry["shape"]), np.dtype(entry["dtype"]), entry["initial"], cell, self.name)
        elif self.value.initial != entry["initial"]:
            raise source.damaged(f"{what} begins with another number than in the part of rank 0")
        count = parts[0][1][0]
        if entry["added"]:
            rows = source.read(parts[0], what)
            if rows.size and not (rows.min() >= 1 and rows.max() <= len(table.kept)):
                raise source.damaged(f"the row numbers of {what} are out of range", expected=f"1 to {len(table.kept)}")
            numbers = table.numbers(rows)
            for start, some in source.slabs(parts[1], what):
                here = numbers[start : start + len(some)]
                self.value.rows[here[here > 0]] = some[here > 0]
        elif count:
            if count != len(table.kept):
                raise source.damaged(f"{what} has {count} rows, and its table {len(table.kept)}")
            for at, some in table.slabs(source, parts[0], what):
                self.value.rows[at] = some


# ------------------------------------------------------------------------------------------------------------- readers


def set_readers(readers, chain, manifest, arrays, share, folder):
    """Readers go on where those of this rank were; of another number of ranks, they begin their epoch again.

    Args:
        chain, share: as for `read_shares`. manifest, arrays: what it gave. folder: of the checkpoint, for messages.
    """
    parts, m = parts_of(chain[-1]), 1 if share is None else share[1]
    states = unpack_state(manifest["readers"], arrays)
    why = None
    if len(parts) != m:
        why = f"was saved by {_ranks(len(parts))}, and this job has {_ranks(m)}"
    elif m > 1 and not states and any(part["readers"] for part in parts):
        why = f"has no positions of readers of rank {share[0]}, which did not ask for it"
    if why is not None:
        # One rank speaks for all where it is the same on all of them.
        if share is None or share[0] == 0 or len(parts) == m:
            warn_user(f"checkpoint {folder!r} {why}: readers begin at the start of their epoch.")
        states = max((part["readers"] for part in parts), key=len)
    if len(states) != len(readers):
        raise InvalidArgumentError(
            f"Checkpoint {folder!r} does not fit the readers.",
            expected=f"{len(states)} readers, as were saved",
            actual=f"{len(readers)} readers",
        )
    for reader, state in zip(readers, states, strict=True):
        if why is None:
            reader.set_state_dict(state)
        elif isinstance(state, dict) and "epoch" in state:
            # Shuffles are drawn anew: what the generators drew from is another share of the data.
            reader.set_state_dict(reader.state_dict() | {"epoch": state["epoch"], "batch": 0})


def _ranks(n):
    return f"{n} ranks" if n > 1 else "one rank"
