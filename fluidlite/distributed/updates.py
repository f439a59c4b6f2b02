"""The update ops of a program, bound a second time, so that they can be run whenever gradients arrive.

Each has a cell of its own for its gradient. What an update reads beside its gradient and its own states, its learning
rate above all, comes with the gradient from the rank that has computed it, which so follows its own schedule.
"""

import math

import numpy as np

from ..checks import explain
from ..dtypes import VarType, numpy_dtype
from ..errors import UnavailableError, format_site
from ..lod_tensor import LoDTensor
from ..operator import OpRole
from ..ops.registry import EMPTY
from ..selected_rows import Chunk, SelectedRows
from ..step import RowsCell, Step, make_call
from ..tables import as_array
from .owner import owned_gradient


def update_ops(block):
    """The ops of a block that update a parameter by a gradient."""
    return [
        op
        for op in block.ops
        if op.attrs["op_role"] & OpRole.OPTIMIZE and op.inputs.get("Grad") and "Param" in op.definition.updates.values()
    ]


def settings_of(op):
    """The names of what an update reads beside its gradient and what it updates."""
    own = {"Grad", *op.definition.updates.values()}
    return [name for slot, names in op.inputs.items() if slot not in own for name in names if name != EMPTY]


def settings_of_all(block):
    """`settings_of` all updates of a block, each name once, in order."""
    return list(dict.fromkeys(name for op in update_ops(block) for name in settings_of(op)))


def inputs_of_updates(block):
    """The names of the gradients and settings of all updates of a block."""
    return {*settings_of_all(block), *[op.input("Grad")[0] for op in update_ops(block)]}


class Update:
    """One update op.

    Attributes: name, of the parameter; shape, dtype; grad, the cell of its gradient; param, states: cells of the Scope.
    """

    def __init__(self, op, block, scope, settings, table):
        (self.name,) = op.input("Param")
        variable = block._find_var_recursive(self.name)
        self.shape, self.dtype = tuple(variable.shape), numpy_dtype(variable.dtype)
        self.is_sparse = block._find_var_recursive(op.input("Grad")[0]).type == VarType.SELECTED_ROWS
        self.grad, self.table, self._scope = LoDTensor(), table, scope
        definition = op.bound()
        ins = [self._input(op, slot, definition, settings) for slot in definition.inputs]
        outs = [self._kept(op.outputs.get(slot.name, ())) for slot in definition.outputs]
        self._step = Step(make_call(definition.run, ins, outs, (None,) * len(outs)), op, ins, outs)
        updated = [slot for slot in definition.updates.values() if op.inputs.get(slot)]
        cells = {op.input(slot)[0]: self._kept(op.input(slot)).cell for slot in updated}
        self.param = cells[self.name]
        self.states = [cell for name, cell in cells.items() if name != self.name]
        self._rows_only = op.changes_rows_only
        # Tables of any ids know themselves which of their rows have changed.
        of_rows = {n for n in cells if table is not None and block._find_var_recursive(n).shape == variable.shape}
        self._written = tuple(sorted(set(cells) - of_rows if self._rows_only else cells))

    def _kept(self, names):
        if not names or names[0] == EMPTY:
            return LoDTensor()
        return RowsCell((self._scope.find_var(names[0]) or self._scope.var(names[0])).bare_cell)

    def _input(self, op, slot, definition, settings):
        names = op.inputs.get(slot.name, ())
        if slot.name == "Grad":
            return self.grad
        if slot.name in definition.updates.values() or not names or names[0] == EMPTY:
            return self._kept(names)
        return settings[names[0]]

    def run(self):
        """Update by the gradient in `grad`."""
        call = self._step.call
        for tracker in self._scope._trackers() if self._written else ():
            call = tracker.watch(call, self._written, self.grad if self._rows_only else None)
        try:
            call()
        except Exception as error:
            explain(error, self._step)
            raise

    def set(self, value):
        """Take over a fresh value of the parameter."""
        for tracker in self._scope._trackers():
            tracker.watch(_nothing, (self.name,), None)()
        if self.param.value.flags.writeable:
            np.copyto(self.param.value, value)
        else:
            self.param.value = value.copy()


def _nothing():
    pass


class Updates:
    """All updates of a program.

    Args:
        job: the Job. shared: the SharedProgram. owners: {dense parameter: its rank}, of all programs; completed here.

    Attributes: sharded, those of shared tables; rows, of sparse gradients of tables that every rank has; dense, all
    others, by the rank that owns the parameter: [[Update]]; settings, {name: cell}.
    """

    def __init__(self, job, shared, owners):
        block = shared.program.global_block()
        ops = update_ops(block)
        self.settings = {name: LoDTensor() for name in settings_of_all(block)}
        self.setting_types = [self._setting_type(block, name) for name in self.settings]
        self.sharded, self.rows, dense = [], [], []
        for op in ops:
            table = job.tables.get(op.input("Param")[0])
            update = Update(op, block, job.scope, self.settings, table)
            kind = self.sharded if table is not None else self.rows if update.is_sparse else dense
            kind.append(update)
        loads = [0] * job.size
        for update in sorted(dense, key=lambda update: -math.prod(update.shape)):
            owner = owners.setdefault(update.name, loads.index(min(loads)))
            loads[owner] += math.prod(update.shape)
        self.dense = [[update for update in dense if owners[update.name] == rank] for rank in range(job.size)]

    @staticmethod
    def _setting_type(block, name):
        variable = block._find_var_recursive(name)
        shape = tuple(variable.shape)
        if -1 in shape or math.prod(shape) != 1:
            raise UnavailableError(
                f"Variable {name!r} of shape {shape} cannot go along with gradients (sync_mode=False).",
                expected="shape (1,), as of learning rates",
                where=format_site(variable.site),
                hint="train in step: sync_mode=True.",
            )
        return shape, numpy_dtype(variable.dtype)

    def apply(self, owner, settings, sharded, rows, dense):
        """One step of the optimizer, for what a rank has computed.

        Args:
            owner: this rank. settings: arrays, in the order of `settings`. sharded: [(row numbers, values)] of each of
            `sharded`. rows: [(rows, values)] of each of `rows`. dense: arrays, of each of ``dense[owner]``.
        """
        for cell, value in zip(self.settings.values(), settings, strict=True):
            cell.value = value
        for update, (numbers, values) in zip(self.sharded, sharded, strict=True):
            shard = update.table.shard
            # Increments of checkpoints, and `shrink`, know by it which rows have changed.
            shard.seen[numbers] = shard.steps
            update.grad.value = owned_gradient(update.table, [(numbers, values)])
            update.run()
        for update, (numbers, values) in zip(self.rows, rows, strict=True):
            update.grad.value = SelectedRows.from_chunks([Chunk(numbers, values)], update.shape[0])
            update.run()
        for update, value in zip(self.dense[owner], dense, strict=True):
            update.grad.value = value
            update.run()

    def settle(self, comm, tables_too):
        """Dense parameters and their states become those of their owners on all ranks.

        tables_too: tables that all ranks have, with gradients as rows, become those of rank 0.
        """
        for owner, updates in enumerate(self.dense):
            for update in updates:
                for cell in (update.param, *update.states):
                    _give(comm, cell, owner)
        for update in self.rows if tables_too else ():
            for cell in (update.param, *update.states):
                if all(comm.all_gather(isinstance(cell.value, np.ndarray))):
                    _give(comm, cell, 0)


def _give(comm, cell, owner):
    """The array in a cell of one rank is that of all. A RowState, which may have as many rows as it likes, is whole."""
    array = np.ascontiguousarray(as_array(cell.value))
    if comm.rank == owner or array.flags.writeable:
        comm.broadcast_array(array, owner)
    else:
        array = array.copy()
        comm.broadcast_array(array, owner)
    if comm.rank != owner:
        cell.value = array
