"""How a plan binds tables of any ids (``is_distributed=True``): which variables they are, and who may read them.

A program says so by its ops alone, so that programs from files are understood too: a table is what a look-up with
``is_sparse`` and ``is_distributed`` reads as W, and its states are what is updated beside it. In a startup program the
ops that initialize a table or a state carry the table's name in the attribute `ROW_TABLE`.
"""

import math

from . import flags
from .dtypes import VarType, numpy_dtype
from .errors import InvalidArgumentError, format_site
from .hash_table import HashTable, TableState
from .lazy_rows import LazyRows
from .lod_tensor import LoDTensor
from .mapped import SMALLEST_FILE
from .step import RowsCell, Step

# Attribute of the ops that initialize a table or its states: the name of the table.
ROW_TABLE = "row_table"

LOOKUPS = ("lookup_table", "lookup_table_v2")


def tables_of(program):
    """The tables of any ids of a program: ``({name}, {state: table}, {name of one that is trained})``."""
    names, states, trained = set(), {}, set()
    ops = [op for block in program.blocks for op in block.ops]
    for op in ops:
        if op.attrs.get("is_sparse") and op.attrs.get("is_distributed") and op.type.startswith(LOOKUPS):
            names.update(op.input("W"))
            if op.type.endswith("_grad"):
                trained.update(op.input("W"))
    for op in ops if names else ():
        updated = [name for slot in op.definition.updates.values() for name in op.input(slot)]
        for table in names.intersection(updated):
            shape = op.block._find_var_recursive(table).shape
            states.update((n, table) for n in updated if op.block._find_var_recursive(n).shape == shape)
    return names, {name: table for name, table in states.items() if name not in names}, trained


class Tables:
    """The tables of any ids of a program, by name, which of them it trains, and the cells of a Scope where they are.

    sharded: {name: ShardedTable} of tables that are shared with other ranks: look-ups read those instead.
    """

    def __init__(self, program, scope, sharded=None):
        self.names, states, self.trained = tables_of(program)
        self.states = set(states)
        ops = [op for block in program.blocks for op in block.ops]
        found = self.names | {op.attrs[ROW_TABLE] for op in ops if sets_up_table(op)}
        self.cells = {name: (scope.find_var(name) or scope.var(name)).bare_cell for name in found}
        self.sharded = {name: table for name, table in (sharded or {}).items() if name in self.names}
        self._look_up_cells = {name: LoDTensor(table) for name, table in self.sharded.items()}

    def __bool__(self):
        return bool(self.names)

    def forget(self):
        """A run begins: what look-ups found in the last one is no more to be used."""
        for cell in self.cells.values():
            if cell.value.__class__ is HashTable:
                cell.value.forget()
        for name, table in self.sharded.items():
            table.begin(name in self.trained)

    def bind(self, op, definition, ins, outs):
        """The cells of an op, tables and states among them as the op takes them.

        A look-up in a table that the program does not train makes no rows.
        """
        if op.type in LOOKUPS and not self.trained.intersection(op.input("W")):
            definition.attr["is_test"] = True
        return self._wrap(op, definition.inputs, ins), self._wrap(op, definition.outputs, outs, outputs=True)

    def _wrap(self, op, slots, cells, *, outputs=False):
        updates = op.definition.updates
        updated = updates if outputs else updates.values()
        wrapped = []
        for slot, cell in zip(slots, cells, strict=True):
            names = (op.output if outputs else op.input)(slot.name)
            found = [name for name in names if name in self.names or name in self.states]
            if found and slot.name in updated:
                cell = RowsCell(cell)
            elif found and not (slot.table and found[0] in self.names):
                self._refuse(op, found[0], "writes" if outputs else "reads")
            elif found:
                cell = self._look_up_cells.get(found[0], cell)
            wrapped.append(cell)
        return wrapped

    def _refuse(self, op, name, verb):
        what = "a table of any ids (is_distributed=True)"
        if name not in self.names:
            what = f"a state of {what}"
        raise InvalidArgumentError(
            f"Op {op.type} {verb} {name!r} as an array, but it is {what}.",
            expected="look-ups, and optimizers that update rows",
            actual=op.type,
            where=format_site(op.site),
            hint="weight decay, averages of parameters and dense ops need an ordinary table: is_distributed=False.",
        )


def mark_table(variable, table):
    """Let the ops that initialize `variable`, in a startup program, make the table of any ids named `table`, or a state
    of it."""
    for op in variable.block.ops:
        if variable.name in op.output_arg_names:
            op._set_attr(ROW_TABLE, table)


def sets_up_table(op):
    """Whether an op initializes a table of any ids, or a state of one."""
    return ROW_TABLE in op.attrs


def bind_setup(op, definition, cell, tables):
    """The step that makes an empty table, or a state of one, in place of the array that `op` would fill.

    definition: the bound op, with seed and stream; cell: of its output.
    """
    (name,) = op.output("Out")
    table_cell = tables.cells[op.attrs[ROW_TABLE]]
    variable = op.block._find_var_recursive(name)
    initializer = definition.row_initializer()
    is_table = name == op.attrs[ROW_TABLE]
    if initializer is None or not (is_table or initializer.kind == "constant"):
        raise InvalidArgumentError(
            f"Op {op.type} cannot initialize {name!r}: the rows of a table of any ids (is_distributed=True) are made "
            "one by one, from their ids.",
            expected="Constant, Uniform, Normal, TruncatedNormal, Xavier or MSRA",
            actual=op.type,
            where=format_site(op.site),
            hint="set rows after the startup program: scope.find_var(name).get_table().set(ids, values).",
        )
    initializer = initializer._replace(seed=definition.seed, stream=definition.stream)
    shape, dtype = variable.shape, numpy_dtype(variable.dtype)

    def call():
        if is_table:
            cell.value = HashTable(shape, dtype, initializer, name)
        else:
            cell.value = TableState(shape, dtype, initializer.a, table_cell, name)
        cell.lod_offsets = ()

    return Step(call, op, [], [cell])


def lies_in_file(variable):
    """Whether a table is so large that FLAGS_table_mmap_dir puts it in a file."""
    shape, dtype = variable.shape, variable.dtype
    if not variable.persistable or not shape or len(shape) != 2 or -1 in shape or dtype is None:
        return False
    return math.prod(shape) * numpy_dtype(dtype).itemsize >= SMALLEST_FILE


def made_lazily(op):
    """Whether an op initializes, at random, a table that lies in a file: then rows are made when they are read."""
    if not (flags.table_mmap_dir() and op.definition.random and len(op.output_arg_names) == 1):
        return False
    return lies_in_file(op.block._find_var_recursive(op.output_arg_names[0]))


def bind_lazily(op, definition, cell):
    """The step that makes rows to be filled later, in place of the array that `op` would fill; None if it cannot."""
    initializer = definition.row_initializer()
    if initializer is None:
        return None
    variable = op.block._find_var_recursive(op.output_arg_names[0])
    shape, dtype, what = variable.shape, numpy_dtype(variable.dtype), f"Variable {variable.name!r}"

    def call():
        cell.value, cell.lod_offsets = LazyRows(shape, dtype, initializer, what), ()

    return Step(call, op, [], [cell])


class LargeTables:
    """The tables of a plan that may lie in files, and whether all of its ops read them by row.

    Args:
        block, ops: of the plan. cells: {name: cell}.
    """

    def __init__(self, block, ops, cells):
        names = {n for n in cells if (v := block.vars.get(n)) is not None and lies_in_file(v)}
        whole = set()
        for op in ops if names else ():
            for slot in op.definition.inputs:
                for name in names.intersection(op.input(slot.name)):
                    if not (slot.table or _updates_rows(op, slot)):
                        whole.add(name)
        self.names, self.whole_cells = names - whole, [cells[name] for name in whole]

    def __bool__(self):
        return bool(self.names)

    def fill(self):
        """Make all rows of the tables that some op reads as arrays."""
        for cell in self.whole_cells:
            if cell.value.__class__ is LazyRows:
                cell.value = cell.value.whole()

    def bind(self, op, definition, ins, outs):
        """The cells of an op, those of tables that it updates by row among them as it takes them."""
        wrapped = []
        for slots, cells, slots_of, updated in (
            (definition.inputs, ins, op.input, definition.updates.values()),
            (definition.outputs, outs, op.output, definition.updates),
        ):
            wrapped.append(
                [
                    RowsCell(cell) if slot.name in updated and self.names.intersection(slots_of(slot.name)) else cell
                    for slot, cell in zip(slots, cells, strict=True)
                ]
            )
        return wrapped


def _updates_rows(op, slot):
    grads = op.input("Grad")
    return (
        slot.name in op.definition.updates.values()
        and op.changes_rows_only
        and len(grads) == 1
        and op.block._find_var_recursive(grads[0]).type == VarType.SELECTED_ROWS
    )
