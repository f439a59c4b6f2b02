"""Tables of any ids (``is_distributed=True``) and their states in Fluid's formats: the live rows, and nothing else.

In files of `save_vars` and its kin a table is a stream of SelectedRows whose rows are ids, any int64, in order of
arrival. In dicts and pickles (`fluid.save`, `load_program_state`) it is two arrays: ``name``, (n, D), and ``name@IDS``,
int64 (n,). What a table knows beside its rows (when each was seen, ids that wait for entry, counters) begins anew;
checkpoints keep that too.

Loading replaces all rows. Later ids get the first values that the initializer of the startup program gives, so a
program that trains needs its startup program run before; one for prediction does not. A state must have no row for an
id that is not live in its table; live ids that it lacks get the initial value. Where ranks share tables, each reads the
whole file and keeps the rows that it owns. When a table is loaded without its
states, rows that are live before and after keep theirs. ``size[0]`` may differ from that of the program that saved.

Two saved shards are merged by loading each into a Scope of its own and giving the rows of one to the other, the table
before its states. `on_duplicate` says what becomes of ids that both have; 'replace' takes row and state of the second::

    scopes = fluid.Scope(), fluid.Scope()
    for scope, folder in zip(scopes, folders):
        with fluid.scope_guard(scope):
            exe.run(startup)
            fluid.io.load_persistables(exe, folder, program)
    for name in ("table", "table_moment1_0", "table_moment2_0"):
        one, other = (scope.find_var(name).get_table() for scope in scopes)
        one.load(other.slabs(), on_duplicate="replace")
"""

import numpy as np

from ..dtypes import numpy_dtype
from ..errors import InvalidArgumentError, UnavailableError
from ..formats.tensor_stream import RowStream
from ..hash_table import HashTable, TableState
from ..lod_tensor import LoDTensor
from ..table_binding import tables_of
from ..table_rows import Slab, share_of
from .shares import owned_slabs, share_to_load

# Beside the rows of a table in a dict of arrays: their ids.
IDS = "@IDS"

_SLAB_ROWS = 65536


def is_rows(value):
    """Whether a value is a table of any ids or a state of one."""
    return isinstance(value, HashTable | TableState | RowStream)


def arrays_of(name, table):
    """{name: rows, name@IDS: ids} of a table or state; the rows are a view."""
    return {name: table.live_rows()[1:], name + IDS: table.ids}


def slabs_of(ids, values):
    """(ids, values), `_SLAB_ROWS` rows at a time."""
    for begin in range(0, len(ids), _SLAB_ROWS):
        part = slice(begin, begin + _SLAB_ROWS)
        yield ids[part], values[part]


class RowArrays:
    """Reads rows of tables as arrays (Slabs), whatever the program says; in place of `NewTables`."""

    def takes(self, var, kind):
        """Whether a variable is to be made of rows. kind: what there is, "rows", "tensor" or None."""
        return kind == "rows"

    def is_late(self, var):
        """Whether a variable must be read after others."""
        return False

    def make(self, var, ids, dims, dtype, slabs, refuse):
        """The value of a variable, a LoDTensor. refuse: makes an error of a text."""
        values, start = np.empty(dims, dtype), 0
        for some, rows in slabs:
            values[start : start + len(some)] = rows
            start += len(some)
        return LoDTensor(Slab(ids, values))


class NewTables:
    """Makes new values for those variables that are tables of any ids or states of such; nothing is set.

    The ops of a program say which variables these are; of one that no op names, what the scope holds. Where a table
    was set as an ordinary array, an array is loaded as one.
    """

    def __init__(self, variables, scope):
        self.scope, self.made, self.tables, self.states, self.trained = scope, {}, set(), {}, set()
        programs = {id(var.block.program): var.block.program for var in variables}
        found, used = {}, {}
        for key, program in programs.items():
            found[key] = tables_of(program)
            ops = [op for block in program.blocks for op in block.ops]
            used[key] = {name for op in ops for name in op.input_arg_names + op.output_arg_names}
        for var in variables:
            names, states, trained = found[id(var.block.program)]
            name, held = var.name, self._held(var.name)
            if name in names:
                self.tables.add(name)
                self.trained.update(trained.intersection([name]))
            elif name in states:
                self.states[name] = states[name]
                self.trained.add(name)
            elif name in used[id(var.block.program)] or var.shape is None or len(var.shape) != 2:
                continue
            elif isinstance(held, HashTable):
                self.tables.add(name)
            elif isinstance(held, TableState):
                self.states[name] = held.table.name

    def _held(self, name):
        found = self.scope.find_var(name)
        return None if found is None else found.bare_cell.value

    def takes(self, var, kind):
        """Whether a variable is to be made of rows. kind: what there is, "rows", "tensor" or None."""
        if var.name not in self.tables and var.name not in self.states:
            return False
        held = self._held(var.name)
        return not (kind == "tensor" and held is not None and not is_rows(held))

    def is_late(self, var):
        """States come after their tables."""
        return var.name in self.states

    def make(self, var, ids, dims, dtype, slabs, refuse):
        """The value of a variable, a LoDTensor. refuse: makes an error of a text."""
        name, held = var.name, self._held(var.name)
        if name in self.trained and not is_rows(held):
            raise UnavailableError(
                f"Variable {name!r} cannot be loaded: the program trains it, and how new rows begin is not known.",
                hint="run the startup program first; the rows that it makes are replaced.",
            )
        shape, what = tuple(var.shape), f"Variable {name!r}"
        if (dims[1:], dtype) != (shape[1:], numpy_dtype(var.dtype)):
            raise refuse(f"{what} has rows of {dims[1]} {dtype}, and in the program of {shape[1]} {var.dtype}")
        if name in self.tables:
            if len(ids) > shape[0]:
                raise refuse(f"{what} has {len(ids)} rows, more than the {shape[0]} of the program")
            table = self.made[name] = HashTable(shape, dtype, getattr(held, "initializer", None), name)
            table.share = getattr(held, "share", None) or share_to_load(self.scope, name)
            tensor = LoDTensor(table)
        else:
            tensor = LoDTensor(self._new_state(name, shape, dtype, held))
        try:
            for ids_and_rows in owned_slabs(share_of(tensor.value), slabs):
                tensor.value.load([ids_and_rows])
        except InvalidArgumentError as error:
            raise refuse(f"its rows make no sense: {error.summary}") from None
        return tensor

    def _new_state(self, name, shape, dtype, held):
        of = self.states[name]
        if of in self.made:
            cell = LoDTensor(self.made[of])
        else:
            found = self.scope.find_var(of)
            cell = found.bare_cell if found is not None else LoDTensor()
            if not isinstance(cell.value, HashTable):
                raise UnavailableError(
                    f"Variable {name!r} cannot be loaded: it is a state of {of!r}, which is no table of any ids in the "
                    "scope and is not loaded with it.",
                    hint="load both, or the table before.",
                )
        return TableState(shape, dtype, held.initial if isinstance(held, TableState) else 0.0, cell, name)


def states_left(cells, tensors):
    """States that stay while their tables are replaced: a list for `keep_states`.

    Args:
        cells: {name: cell}, of the scope. tensors: {name: LoDTensor}, what they are going to hold.
    """
    left, going = [], {id(cell.value) for cell in cells.values()}
    for name, cell in cells.items():
        old, new = cell.value, tensors[name].value
        if isinstance(old, HashTable) and isinstance(new, HashTable):
            left += [(state, state.rows, old, new) for state in old._attached() if id(state) not in going]
    return left


def keep_states(left):
    """Rows that are live before and after keep their state."""
    for state, rows, old, new in left:
        for begin in range(1, len(old) + 1, _SLAB_ROWS):
            ids = old.names[begin : min(begin + _SLAB_ROWS, len(old) + 1)]
            numbers = np.empty(len(ids), np.int64)
            new.find(ids, numbers)
            live = np.flatnonzero(numbers)
            state.rows[numbers[live]] = rows[begin + live]
