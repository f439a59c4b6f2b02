"""The job of this process: its ranks, the programs that they train together, and what they do for each other."""

import os
import sys

import numpy as np

from ..dtypes import VarType, numpy_dtype
from ..entry import parse_entry
from ..errors import InvalidArgumentError, UnavailableError
from ..fingerprint import fingerprint
from ..operator import OpRole
from ..table_binding import tables_of
from .async_exchange import AsyncExchange
from .communicator import connect, launched_rank
from .current import commands
from .differences import check_size, difference
from .equal_values import drop_foreign_rows, make_equal
from .failure import Failure, RemoteError, agreed, leave_it_to_the_first, text_of
from .plan_binding import SharedPlan, raw_gradients
from .sharded_table import ShardedTable
from .sync_exchange import Switched, SyncExchange
from .watch import Watch


def connected_job():
    """The Job of the ranks that a launcher of MPI has started."""
    try:
        return Job(connect())
    except UnavailableError as error:
        if launched_rank():
            leave_it_to_the_first(error)
        raise


class SharedProgram:
    """A program that the ranks of a job train together."""

    def __init__(self, program, number, loss_name, sync, max_staleness, prefetch):
        self.program, self.number, self.loss_name = program, number, loss_name
        self.sync, self.max_staleness, self.prefetch = sync, max_staleness, prefetch
        # What the next step will be fed, {} after the last one; None where that is not known.
        self.next_feed = None

    def value_ahead(self, name, cell):
        """The array that the next step will be fed, or None."""
        value = self.next_feed.get(name)
        return getattr(value, "value", value)

    def describe(self):
        """What has to be the same on all ranks."""
        block = self.program.global_block()
        names, _, _ = tables_of(self.program)
        return {
            "program": fingerprint(self.program),
            "tables": {name: (tuple(block.var(name).shape), int(block.var(name).dtype)) for name in sorted(names)},
            "sync_mode": self.sync,
            "max_staleness": self.max_staleness,
            "prefetch": self.prefetch,
        }


class Job:
    """All ranks of a job; `start` gives the one of this process.

    Attributes: rank; size, the number of ranks; program, scope: what is trained, None before `distribute` and `attach`.
    """

    def __init__(self, comm=None):
        self.comm = comm
        self.rank, self.size = (comm.rank, comm.size) if comm else (0, 1)
        self.programs, self.tables, self.scope = [], {}, None
        self.exchange = None
        self._attached, self._closed = 0, False
        self._checkpoints = None
        self._plans = {}
        if comm:
            self.exchange = SyncExchange(self, comm)
            self.hosts = [host for host, _ in comm.hosts()]
            self.failure = Failure(self)
            self.watch = Watch(comm, self.resume_text, comm.abort)
        else:
            self.hosts = ["localhost"]

    @property
    def is_first(self):
        return self.rank == 0

    @property
    def program(self):
        return self.programs[0].program if self.programs else None

    # -------------------------------------------------------------------------------------------------------- programs

    def distribute(self, program, startup_program=None, loss_name=None, *, sync=True, max_staleness=4, prefetch=False):
        """Let the ranks train a program together, from its next run on. All ranks do this with the same programs.

        Args:
            program: with its optimizer's ops. startup_program: accepted for symmetry.
            loss_name: the variable of which a step's fetch is the mean over all ranks; found by itself if None.
            sync: all ranks in step, or each at its own pace.
            max_staleness: without `sync`, how many steps a rank may be ahead of the slowest.
            prefetch: in `train_from_dataset`, rows of the next batch are fetched before this batch's update.
        """
        if self.size == 1:
            return
        if not raw_gradients(program):
            raise InvalidArgumentError(
                "The program has no gradients that the ranks could share.",
                hint="call optimizer.minimize(loss) before, in this program.",
            )
        if program._shared is None:
            loss_name = loss_name or _loss_of(program)
            program._shared = SharedProgram(
                program, len(self.programs), loss_name, bool(sync), int(max_staleness), bool(prefetch)
            )
            self.programs.append(program._shared)
            program._changed()

    def attach(self, scope=None):
        """Begin to train: compare the ranks' programs, and make what all of them have equal. After startup programs.

        Raises InvalidArgumentError: ranks differ in their programs, tables or versions; on every rank.
        """
        if self.size > 1 and self._attached < len(self.programs):
            self.scope = scope if scope is not None else _global_scope()
            self.exchange.start()

    def start_together(self, comm):
        """What all ranks do when one of them wants to begin."""
        mine = {"fluidlite": _version(), "programs": [shared.describe() for shared in self.programs]}
        problem = difference(comm.all_gather(mine))
        if problem is not None:
            raise agreed(problem)
        if self.scope is None:
            self.scope = _global_scope()
        if not self._is_sync() and not isinstance(self.exchange, AsyncExchange):
            self.exchange = AsyncExchange(self, comm)
        new = self.programs[self._attached :]
        for shared in new:
            self._share_tables(shared.program)
        make_equal(comm, self.scope, [shared.program for shared in new], self.tables)
        drop_foreign_rows(self.scope, self.tables, self.rank, self.size)
        self._attached = len(self.programs)
        n_rows = max(_n_rows_gradients(shared.program, self.tables) for shared in self.programs)
        self.exchange.set_tables([self.tables[name] for name in sorted(self.tables)], n_rows)

    def _is_sync(self):
        modes = {shared.sync for shared in self.programs}
        if len(modes) > 1:
            problem = InvalidArgumentError(
                "The programs of this job are to be trained in different modes.",
                expected="one sync_mode for all programs that distributed_optimizer or the transpiler gets",
                actual=", ".join(f"program {shared.number}: sync_mode={shared.sync}" for shared in self.programs),
            )
            raise agreed(problem)
        return modes == {True}

    def _share_tables(self, program):
        names, _, _ = tables_of(program)
        for name in sorted(names):
            variable = program.global_block().var(name)
            if name in self.tables:
                check_size(self.tables[name], variable)
                continue
            cell = (self.scope.find_var(name) or self.scope.var(name)).bare_cell
            table = ShardedTable(name, variable.shape, numpy_dtype(variable.dtype), cell, self.exchange, self.size)
            entries = [op.attrs["entry"] for op in program.global_block().ops if name in op.input("W")]
            table.entry = parse_entry(next((entry for entry in entries if entry != "none"), "none"))
            self.tables[name] = table

    def share_of(self, program, scope):
        """The SharedPlan of a program, or None where the ranks share nothing of it."""
        if self.size == 1 or not self.programs:
            return None
        shared = program._shared
        if shared is None and not tables_of(program)[0].intersection(self._table_names()):
            return None
        self.attach(scope)
        for name in tables_of(program)[0].intersection(self.tables):
            check_size(self.tables[name], program.global_block().var(name))
        return SharedPlan(self, shared, program.global_block(), scope)

    def _table_names(self):
        return {name for shared in self.programs for name in tables_of(shared.program)[0]}

    def serve_update(self, number, wants, flags, got):
        """Take part in a step of the others without a batch."""
        # A Scope has another uid when its plans are out of date.
        key = number, self.scope._uid
        shared_plan = self._plans.get(key)
        if shared_plan is None:
            from ..plan import Plan  # here, since plans know of jobs

            program = self.programs[number].program
            fed = tuple(name for name, var in program.global_block().vars.items() if var.is_data)
            shared_plan = self._plans[key] = Plan(program, self.scope, fed, ()).shared
        shared_plan.serve_update(wants, flags, got)

    def different_programs(self):
        """The error of ranks that are at steps of different programs."""
        return InvalidArgumentError(
            "The ranks of this job train different programs in the same step.",
            hint="run the programs in the same order on every rank.",
        )

    # ------------------------------------------------------------------------------------------------ all ranks at once

    def barrier(self):
        """Return when every rank has called it or has finished."""
        self.all_gather(None)

    def all_gather(self, value):
        """[value of each rank], any objects that can be pickled; None of ranks that have finished."""
        return self._with_others("gather", value) if self.size > 1 else [value]

    def _with_others(self, verb, *arguments):
        """What the exchange in charge does; which one that is may change while this rank waits."""
        try:
            return getattr(self.exchange, verb)(*arguments)
        except Switched:
            return getattr(self.exchange, verb)(*arguments)

    def all_reduce(self, array, mode="sum"):
        """The sum, minimum or maximum of an array over all ranks, taken in their order."""
        kinds = {"sum": np.add, "min": np.minimum, "max": np.maximum}
        if mode not in kinds:
            raise InvalidArgumentError("The mode of all_reduce is unknown.", expected="sum, min or max", actual=mode)
        parts = [np.asarray(part) for part in self.all_gather(np.asarray(array)) if part is not None]
        total = parts[0]
        for part in parts[1:]:
            total = kinds[mode](total, part)
        return total

    def end_epoch(self):
        """Serve the others until every rank is at the end of its epoch, or has finished.

        Ranks that are not in step do not wait: it returns when all gradients of this rank have been applied.
        """
        if self.size > 1 and self.programs:
            self._with_others("end_epoch")

    def command(self, name, arguments=None, local=None):
        """Run ``commands[name]`` on every rank, together; the others do it while they wait for their own turn.

        Args:
            arguments: dict, what is to be done. Ranks that ask for the same at the same point do it once.
            local: what this rank alone knows, for its own call.

        Returns:
            list: what it returned on each rank. What it raised on this rank is raised, else what it raised elsewhere.
        """
        arguments = arguments or {}
        if self.size == 1:
            return [commands[name](self, None, local, **arguments)]
        return self._with_others("command", (name, arguments, local))

    def run_command(self, comm, asking, request=None):
        """Run the command of the first of the ranks that ask; returns whether it was `request`, and the results."""
        root = int(np.flatnonzero(asking)[0])
        name, arguments = comm.broadcast(request[:2] if comm.rank == root else None, root)
        mine = request is not None and (name, arguments) == request[:2]
        result = error = None
        try:
            result = commands[name](self, comm, request[2] if mine else None, **arguments)
        except Exception as raised:
            error = raised
        results = comm.all_gather((result, error and text_of(error)))
        if mine:
            if error is not None:
                raise error
            for rank, (_, text) in enumerate(results):
                if text:
                    raise RemoteError(f"Rank {rank}: {text}")
        return mine, [result for result, _ in results]

    def settle(self, comm):
        """Make what all ranks have equal to what counts; in step it is."""
        self.exchange.settle(comm)

    def stats(self):
        """Counters of this rank: bytes_sent, bytes_received, to and from other ranks, and those of the exchange."""
        sent, received = (self.comm.sent, self.comm.received) if self.comm else (0, 0)
        more = self.exchange.stats() if self.exchange else {}
        return {"bytes_sent": sent, "bytes_received": received, **more}

    # -------------------------------------------------------------------------------------------------------------- end

    def finish(self):
        """Serve the others until every rank has finished; nothing more is trained after it."""
        # An error that is on its way, in `finally: job.finish()`, has to come through first.
        if self.size > 1 and not self._closed and sys.exc_info()[1] is None:
            self._with_others("finish")
            self._closed = True
            self.failure.stop()
            self.watch.stop()

    def note_checkpoints(self, dirname, newest):
        """Where the last checkpoint was saved or loaded; newest: a function that gives the step of the newest there."""
        self._checkpoints = os.path.abspath(dirname), newest

    def resume_text(self):
        """Where training can go on after the end of this job."""
        dirname, newest = self._checkpoints or (None, None)
        step = newest(dirname) if dirname is not None else None
        if step is not None:
            return (
                f"Resume from checkpoint {step} in {dirname!r}: start the job again, and load it "
                f"(fluid.io.load_checkpoint(exe, {dirname!r}))."
            )
        there = "" if dirname is None else f" in {dirname!r}"
        return (
            f"There is no complete checkpoint{there} to resume from: training has to begin again "
            "(fluid.io.save_checkpoint(exe, dirname, step) from time to time makes one)."
        )


def _version():
    from .. import __version__  # here, since it stands where this package is imported

    return __version__


def _global_scope():
    from ..executor import global_scope  # here, since plans know of jobs

    return global_scope()


def _loss_of(program):
    ops = [op for op in program.global_block().ops if op.attrs["op_role"] == OpRole.LOSS]
    return ops[-1].output_arg_names[0] if ops else None


def _n_rows_gradients(program, tables):
    block = program.global_block()
    pairs = raw_gradients(program).items()
    return sum(block.var(g).type == VarType.SELECTED_ROWS for p, g in pairs if p not in tables)
