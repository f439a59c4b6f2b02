"""What a plan does beside its ops when the ranks of a job share its tables or train its program together.

Three steps are added to a plan, and no op knows of them: rows of shared tables are fetched before the first op; between
the backward ops and the optimizer, gradients are added up; and where an optimizer sums over all rows of a gradient (the
global norm of a clip), that sum is taken over all shards.
"""

import math

from ..dtypes import VarType, numpy_dtype
from ..errors import InvalidArgumentError, format_site
from ..operator import OpRole
from ..ops.registry import EMPTY, OpDef
from ..step import Step
from ..table_binding import LOOKUPS
from .updates import inputs_of_updates, settings_of_all, update_ops

# Ops that work on each element of a sparse gradient alone, and those that sum over all of them.
_BY_ELEMENT = {"merge_selected_rows", "get_tensor_from_selected_rows", "square", "scale", "clip", "elementwise_mul"}
_SUMS = {"reduce_sum"}


class GradientCell:
    """The cell of a gradient, with the shape and the dtype that it has on every rank."""

    __slots__ = ("cell", "shape", "size", "dtype")

    def __init__(self, cell, shape, dtype):
        self.cell, self.shape, self.dtype = cell, tuple(shape), dtype
        self.size = math.prod(shape)

    @property
    def value(self):
        return self.cell.value

    @value.setter
    def value(self, value):
        self.cell.value = value


class Gradients:
    """The gradients of a program that ranks add up, in the order of the program.

    Attributes: number, of the program in the job; sharded, {ShardedTable: cell}; rows, cells of sparse gradients of
    tables that every rank has; dtypes, {dtype: cells} of dense gradients and the loss.
    """

    def __init__(self, number, sharded, rows, dense):
        self.number, self.sharded, self.rows, self.dtypes = number, sharded, rows, {}
        for cell in dense:
            self.dtypes.setdefault(cell.dtype, []).append(cell)


class ExchangeOp:
    """What stands in a step that is no op of the program: for messages and for the profiler."""

    site = None
    attrs = {"op_role": OpRole.BACKWARD}
    inputs = outputs = {}
    input_arg_names = output_arg_names = ()

    class definition(OpDef):
        inputs = outputs = ()
        warns = False

    def __init__(self, type):
        self.type = type


def raw_gradients(program):
    """{parameter: gradient} as `append_backward` has left them, before clips and weight decay."""
    pairs = {}
    for op in program.global_block().ops:
        if op.attrs["op_role"] & OpRole.BACKWARD:
            names = op.attrs.get("op_role_var") or ()
            pairs.update(zip(names[::2], names[1::2], strict=True))
    return pairs


def _fed(name, cell):
    return cell.value


def _ids_of(group, value_of):
    """What `fetch` takes, for ``{table: [(name, cell, padding id)]}``; None if there are no values."""
    wanted = {}
    for table, fed in group.items():
        values = [(value_of(name, cell), padding) for name, cell, padding in fed]
        if any(value is None for value, _ in values):
            return None
        wanted[table] = [(value.reshape(-1), padding) for value, padding in values]
    return wanted


class SharedPlan:
    """The added steps of one plan.

    Args:
        job: a Job of several ranks. shared: the `SharedProgram` that is trained, None for a program that only reads
            shared tables.
        block: the program's. scope: of the plan.

    Attributes: kept, the names of variables that the plan must compute on every rank.
    """

    def __init__(self, job, shared, block, scope):
        self.job, self.shared, self.block, self.scope = job, shared, block, scope
        self.rank = job.rank
        self.pairs = raw_gradients(block.program) if shared else {}
        self.sums = self._sums_over_shards() if shared and shared.sync else set()
        self.loss = {shared.loss_name} if shared and shared.loss_name else set()
        # What has to be there until the end of a step: gradients that the update ops, which others run, would take.
        self.alive = self.loss if not shared or shared.sync else self.loss.union(inputs_of_updates(block))
        self.kept = {*self.pairs.values(), *self.sums, *self.loss}

    @property
    def tables(self):
        return self.job.tables

    def _sums_over_shards(self):
        """The variables that hold, on each rank, a sum over the rows of its shards alone."""
        sharded = {grad for parameter, grad in self.pairs.items() if parameter in self.tables}
        sums = set()
        for op in self.block.ops if sharded else ():
            if not op.attrs["op_role"] & OpRole.OPTIMIZE or not sharded.intersection(op.input_arg_names):
                continue
            updated = {name for slot in op.definition.updates.values() for name in op.input(slot)}
            if updated.intersection(self.tables):
                continue
            if op.type in _BY_ELEMENT and not sharded.intersection(op.input("Y")):
                sharded.update(op.output_arg_names)
            elif op.type in _SUMS and op.attrs["reduce_all"]:
                sums.update(op.output_arg_names)
            else:
                raise InvalidArgumentError(
                    f"Op {op.type} needs all rows of the gradient of a table that is shared by {self.job.size} ranks.",
                    expected="clips by value or by global norm",
                    actual=", ".join(sorted(sharded.intersection(op.input_arg_names))),
                    where=format_site(op.site),
                )
        return sums

    # ----------------------------------------------------------------------------------------------------------- steps

    def look_ups(self, ops, feeds, tables):
        """A function that begins a run: it fetches the rows of all look-ups whose ids are fed.

        feeds: {name: cell}. tables: the plan's `Tables`.
        """
        written = {name for op in ops for name in op.output_arg_names}
        wanted = {}
        for op in ops:
            if op.type in LOOKUPS and op.input("W")[0] in self.tables:
                (name,) = op.input("W")
                (ids,) = op.input("Ids")
                padding = op.attrs["padding_idx"] if op.attrs["has_padding_idx"] else None
                if ids in feeds and ids not in written:
                    found = wanted.setdefault((self.tables[name], name in tables.trained), [])
                    if (ids, feeds[ids], padding) not in found:
                        found.append((ids, feeds[ids], padding))
        exchange, shared = self.job.exchange, self.shared
        groups = [
            (train, {table: pairs for (table, trained), pairs in wanted.items() if trained == train})
            for train in (False, True)
        ]

        def fetch():
            if shared is not None:
                exchange.begin_step()
            for train, group in groups:
                if group and train and shared.next_feed is not None:
                    exchange.fetch_ahead(_ids_of(group, _fed), _ids_of(group, shared.value_ahead))
                elif group:
                    exchange.fetch(_ids_of(group, _fed), train)

        return fetch

    def insert(self, steps, cells):
        """The steps of a plan that trains, with those that exchange. cells: the plan's, by name."""
        if not self.shared:
            return steps
        if not self.shared.sync:
            return self._insert_push(steps, cells)
        self.gradients = self._gradients(cells)
        raw = set(self.pairs.values())
        last = max((k for k, step in enumerate(steps) if raw.intersection(step.op.output_arg_names)), default=-1)
        exchange = self.job.exchange
        add_up = Step(lambda: exchange.add_up(self.gradients), ExchangeOp("add_up_gradients"), [], [])
        with_sums = []
        for k, step in enumerate(steps):
            with_sums.append(step)
            for name in self.sums.intersection(step.op.output_arg_names):
                with_sums.append(self._sum_step(cells[name]))
            if k == last:
                with_sums.append(add_up)
        with_sums.append(Step(exchange.end_update, ExchangeOp("end_update"), [], []))
        self.update_steps = self._update_steps(with_sums, add_up)
        return with_sums

    def _insert_push(self, steps, cells):
        """The steps of a plan that does not wait: gradients are sent where updates would be; their owners update."""
        updates = {id(op): op.input("Param")[0] for op in update_ops(self.block)}
        gradients = {op.input("Param")[0]: cells[op.input("Grad")[0]] for op in update_ops(self.block)}
        settings = [cells[name] for name in settings_of_all(self.block)]
        exchange, number = self.job.exchange, self.shared.number

        def call():
            values = {name: cell.value for name, cell in gradients.items()}
            exchange.push(number, values, [cell.value for cell in settings])

        push = Step(call, ExchangeOp("push_gradients"), [], [])
        last = max((k for k, step in enumerate(steps) if id(step.op) in updates), default=-1)
        kept = [step for step in steps[: last + 1] if id(step.op) not in updates]
        return [*kept, push, *steps[last + 1 :]]

    def _sum_step(self, cell):
        def call():
            cell.value = self.job.exchange.add_over_shards(cell.value)

        return Step(call, ExchangeOp("add_over_shards"), [], [])

    def _gradients(self, cells):
        sharded, rows, dense = {}, [], []
        for parameter, name in self.pairs.items():
            if name not in cells:
                continue
            variable = self.block.vars[name]
            if parameter in self.tables:
                sharded[self.tables[parameter]] = cells[name]
                continue
            of = self.block._find_var_recursive(parameter)
            cell = GradientCell(cells[name], of.shape, numpy_dtype(of.dtype))
            (rows if variable.type == VarType.SELECTED_ROWS else dense).append(cell)
        for name in self.loss:
            variable = self.block.vars[name]
            dense.append(GradientCell(cells[name], variable.shape, numpy_dtype(variable.dtype)))
        return Gradients(self.shared.number, sharded, rows, dense)

    def _update_steps(self, steps, add_up):
        """The steps that a rank without a batch runs: the optimizer's, and what they need beside the gradients."""
        ready = {*self.pairs.values(), EMPTY}
        needed, kept = set(), []
        for step in reversed(steps):
            if step is add_up:
                continue
            op = step.op
            outputs = set(op.output_arg_names) - ready
            optimizes = op.attrs.get("op_role", 0) & (OpRole.OPTIMIZE | OpRole.LR_SCHEDULE)
            if optimizes or needed & outputs or isinstance(op, ExchangeOp):
                kept.append(step)
                needed.update(set(op.input_arg_names) - ready)
        return kept[::-1]

    def serve_update(self, wants, flags, got):
        """Take part in a step of the others: their gradients, and then the update that all ranks make."""
        gradients = self.gradients
        for cells in (*gradients.dtypes.values(), gradients.rows):
            for cell in cells:
                cell.value = None
        self.job.exchange.serve_gradients(gradients, wants, flags, got)
        for step in self.update_steps:
            step.call()
