"""Tables of any ids (``is_distributed=True``) and their states to entries of a checkpoint, and back.

Rows are written in the order of their numbers, so that they get the same numbers when they are loaded. What changed
since a checkpoint is known by the table itself, which keeps at which update each row was last looked up in training or
set. Rules that move every live row (Momentum, RMSProp, Adam with lazy_mode=False) make the whole of it new, and so does
dropping rows: see `RowTracker`.
"""

import numpy as np

from ..entry import WaitingIds, fill_index
from ..errors import EnforceNotMet
from ..formats.sections import array_part, rows_part
from ..hash_table import HashTable, TableState
from ..lod_tensor import LoDTensor
from ..row_initializer import RowInitializer
from ..table_rows import Slab

# -------------------------------------------------------------------------------------------------------------- saving


def is_table(value):
    """Whether a value is a table of any ids or a state of one."""
    return isinstance(value, HashTable | TableState)


def table_entries(cells, tracker, base):
    """Entries and parts of all tables and their states.

    Args:
        cells: {name: cell} of everything that is saved. tracker, base: as for `entries_of`.

    Returns:
        ``({name: entry}, [(entry, parts)])``.
    """
    variables, parts, name_of = {}, [], {}
    for name, cell in cells.items():
        if isinstance(cell.value, HashTable):
            table = cell.value
            name_of[id(table)] = name
            variables[name], its_parts = _table_entry(table, _rows_seen(name, table, tracker, base))
            parts.append((variables[name], its_parts))
    for name, cell in cells.items():
        state = cell.value
        if isinstance(state, TableState):
            table = state.table
            rows = None
            if tracker is not None and tracker.is_state_of(name, state, table):
                rows = _rows_seen(name_of.get(id(table)), table, tracker, base)
                rows = rows if _has(base, name, "table_state") else None
            variables[name], its_parts = _state_entry(state, name_of.get(id(table)), rows)
            parts.append((variables[name], its_parts))
    return variables, parts


def _has(base, name, kind):
    return base["variables"].get(name, {}).get("kind") == kind


def _rows_seen(name, table, tracker, base):
    if tracker is None or name is None or not _has(base, name, "table"):
        return None
    return tracker.table_rows_seen(name, table)


def _table_entry(table, rows):
    count = len(table)
    used = slice(1, count + 1)
    first = table.initializer
    entry = {"kind": "table", "shape": list(table.shape), "dtype": table.dtype.name, "count": count}
    entry |= {"steps": table.steps, "places": table.places, "misses": table.misses, "added": rows is not None}
    entry["initializer"] = [first.kind, float(first.a), float(first.b), int(first.seed), int(first.stream)]
    if rows is None:
        parts = [array_part(array[used]) for array in (table.names, table.seen, table.rows)]
    else:
        parts = [array_part(rows), *(rows_part(array, rows) for array in (table.names, table.seen, table.rows))]
    waiting, n = table._waiting, 0
    if waiting is None:
        waiting = WaitingIds(table.index.seed)
    else:
        n = len(waiting.index)
    return entry, [*(array_part(array[1 : n + 1]) for array in (waiting.names, waiting.seen, waiting.counts)), *parts]


def _state_entry(state, table_name, rows):
    entry = {"kind": "table_state", "shape": list(state.shape), "dtype": state.dtype.name, "table": table_name}
    entry |= {"initial": float(state.initial), "added": rows is not None}
    if rows is not None:
        return entry, [array_part(rows), rows_part(state.rows, rows)]
    # One that was never used has no rows yet: all of them are `initial`.
    used = state.live_rows()[1:] if state.attached_to is state.table else np.empty((0, state.width), state.dtype)
    return entry, [array_part(used)]


# ------------------------------------------------------------------------------------------------------------- loading


def read_table(loaded, name, source, entry):
    """Read a `table` into ``loaded.values[name]``, or add to it what a later checkpoint has."""
    what, parts = f"table {name!r}", entry["parts"]
    waiting = [source.read(part, what) for part in parts[:3]]
    shape, dtype = tuple(entry["shape"]), np.dtype(entry["dtype"])
    if entry["added"]:
        table, numbers = loaded.values[name], source.read(parts[3], what)
    else:
        table = loaded.values[name] = HashTable(shape, dtype, RowInitializer(*entry["initializer"]), name)
        numbers = np.arange(1, entry["count"] + 1)
    before = len(table)
    ids, seen = source.read(parts[-3], what), source.read(parts[-2], what)
    n_old = int(np.searchsorted(numbers, before, "right"))
    if numbers.size and not (numbers[0] >= 1 and (np.diff(numbers) > 0).all()):
        raise source.damaged(f"the row numbers of {what} do not ascend")
    if entry["count"] != before + len(numbers) - n_old or (table.names[numbers[:n_old]] != ids[:n_old]).any():
        raise source.damaged(f"{what} does not fit that of the checkpoint that it is added to")
    try:
        for start, rows in source.slabs(parts[-1], what):
            old = max(0, min(n_old - start, len(rows)))
            table.rows[numbers[start : start + old]] = rows[:old]
            if old < len(rows):
                table.load([Slab(ids[start + old : start + len(rows)], rows[old:])])
        table.seen[numbers] = seen
        table.steps, table.places, table.misses = (entry[key] for key in ("steps", "places", "misses"))
        table._waiting = waiting_ids(table, waiting)
    except EnforceNotMet as error:
        raise source.damaged(f"{what} makes no sense: {error.summary}") from None


def waiting_ids(table, arrays):
    """The WaitingIds of a table from its arrays (ids, seen, counts); None where nobody waits."""
    if not len(arrays[0]):
        return None
    waiting = WaitingIds(table.index.seed)
    waiting.names, waiting.seen, waiting.counts = (np.concatenate([np.zeros(1, a.dtype), a]) for a in arrays)
    fill_index(waiting.index, waiting.names)
    return waiting


def read_state(loaded, name, source, entry):
    """Read a `table_state` into ``loaded.values[name]``; its table has been read."""
    what, parts = f"state {name!r}", entry["parts"]
    table = loaded.values.get(entry["table"])
    if not isinstance(table, HashTable):
        raise source.damaged(f"{what} belongs to no table that was read")
    if entry["added"]:
        state, numbers = loaded.values[name], source.read(parts[0], what)
        if numbers.size and not (numbers.min() >= 1 and numbers.max() <= len(table)):
            raise source.damaged(f"the row numbers of {what} are out of range", expected=f"1 to {len(table)}")
    else:
        # Its cell is another one as soon as it is in a scope.
        state = TableState(tuple(entry["shape"]), np.dtype(entry["dtype"]), entry["initial"], LoDTensor(table), name)
        loaded.values[name], numbers = state, np.arange(1, len(table) + 1)
        if not parts[0][1][0]:
            return
        if parts[0][1][0] != len(table):
            raise source.damaged(f"{what} has {parts[0][1][0]} rows, and its table {len(table)}")
    for start, rows in source.slabs(parts[-1], what):
        state.rows[numbers[start : start + len(rows)]] = rows


def attach_states(cells):
    """States that were read find their tables in the scope's cells.

    Args:
        cells: {name: cell} of everything that was loaded, set already.
    """
    by_table = {id(cell.value): cell for cell in cells.values() if isinstance(cell.value, HashTable)}
    for cell in cells.values():
        if isinstance(cell.value, TableState):
            cell.value._cell = by_table.get(id(cell.value.table), cell.value._cell)
