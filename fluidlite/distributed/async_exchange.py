"""Training without waiting: each rank at its own pace, its gradients applied when they arrive (``sync_mode=False``).

A step of a rank sends ids to the owners of rows and gets rows; then it sends one message to each other rank, with its
gradients of the rows that one owns, of the dense parameters that one owns, and of the tables that all ranks have. Every
arrival is a step of the optimizer with the gradient of one batch, as in Fluid: n ranks make n updates where one process
makes one, each with the full learning rate, and Adam's powers and Momentum's velocity see all of them. Learning rates
come with the gradients: each rank's schedule counts its own steps. Clips and decays are those of the batch, and so is a
loss that is fetched. Dense parameters come back fresh with the answer, which is used from the next step on. Tables with
sparse gradients that are not distributed get all gradients on all ranks, each rank in an order of its own, and are made
equal at the end. Rows are never fetched ahead.

What a rank computes with is older than what the owners have. How much is bounded by the stale synchronous parallel rule
(Ho et al., "More effective distributed ML via a stale synchronous parallel parameter server", 2013): a rank that is
more than `max_staleness` steps ahead of the slowest waits. Ranks at the end of an epoch, and those that wait for others
or have finished, do not count; when one goes on, its clock is at most `max_staleness` steps behind the slowest.
"""

import time

import numpy as np

from ..errors import UnavailableError
from .gradient_trade import Push
from .messages import FRESH, REQUEST, ROWS, Kind, Mail, Unpacked, size_of
from .server import Server
from .sharded_table import ShardedTable, ask_all
from .updates import Updates


class AsyncExchange:
    """The exchange of a Job whose ranks do not train in step; has the verbs of `SyncExchange`.

    Args:
        job: the Job. comm: a Communicator. All ranks make it together.

    Raises:
        UnavailableError: the MPI library does not let several threads of a process talk at the same time.
    """

    def __init__(self, job, comm):
        mpi = comm.mpi
        if mpi.Query_thread() < mpi.THREAD_MULTIPLE:
            raise UnavailableError(
                "Training with sync_mode=False needs an MPI library that lets several threads talk at the same time.",
                expected="MPI_THREAD_MULTIPLE",
                actual=f"thread level {mpi.Query_thread()} of {mpi.Get_library_version().splitlines()[0]}",
                hint="use an MPI library that was built with it, or train in step: sync_mode=True.",
            )
        self.job, self.comm, self.rank, self.size = job, comm, comm.rank, comm.size
        requests, self._together = comm.duplicate(), comm.duplicate()
        self.server = Server(job, requests.comm, self._together)
        self._mail = Mail(mpi, requests.comm, self.server.check)
        self._others = [(comm.rank + k) % comm.size for k in range(1, comm.size)]
        self.tables, self._answers = [], {}
        self._first, self._finished = True, False
        self._owners = {}
        self._counters = dict.fromkeys(("steps", "rows_fetched", "staleness_max", "waits"), 0)
        self._ahead, self._waited = 0, 0.0

    def set_tables(self, tables, n_rows_gradients):
        """From now on, these tables are shared, and all programs of the job trained."""
        self.tables = list(tables)
        updates = {shared.number: Updates(self.job, shared, self._owners) for shared in self.job.programs}
        self.server.set_tables(tables, updates)
        self._max_staleness = min(shared.max_staleness for shared in self.job.programs)

    # ----------------------------------------------------------------------------------------------------------- clocks

    def begin_step(self):
        """A training step begins: wait for those that are too far behind."""
        self._check_open()
        most = self._max_staleness
        self._take_answers(wait=False)
        clocks, changed = self.server.clocks, self.server.changed
        if not clocks.counts[self.rank]:
            with changed:
                slowest = clocks.slowest()
                if slowest is not None:
                    clocks.steps[self.rank] = max(clocks.steps[self.rank], slowest - most)
            self._tell_clock(True)
        with changed:
            if clocks.ahead() > most:
                began = time.monotonic()
                while clocks.ahead() > most:
                    self.server.check()
                    changed.wait(0.05)
                self._counters["waits"] += 1
                self._waited += time.monotonic() - began
            ahead = clocks.ahead()
        self._counters["staleness_max"] = max(self._counters["staleness_max"], ahead)
        self._ahead += ahead
        self._first = True

    def _tell_clock(self, counts):
        with self.server.changed:
            self.server.clocks.counts[self.rank] = counts
        for rank in self._others:
            self.server.ask(self._mail, Kind.CLOCK, None, rank)

    def _check_open(self):
        if self._finished:
            raise UnavailableError(
                "The job has finished on this rank: rows of other ranks are out of reach.",
                hint="evaluate and save before stop_worker().",
            )
        self.server.check()

    # ------------------------------------------------------------------------------------------------------------ rows

    def fetch(self, wanted, train):
        """Bring the rows of ``{table: [(ids, padding id)]}``; those that train get rows where they have none."""
        self._check_open()
        asked = ask_all(wanted, ShardedTable.ask)
        nothing = np.empty(0, np.int64), np.zeros(self.size, np.int64), None
        asks = [asked.get(table, nothing) for table in self.tables]
        ends = [np.concatenate([[0], np.cumsum(counts)]).tolist() for _, counts, _ in asks]
        first, self._first = self._first and train, self._first and not train
        replies = {rank: self._ask_rows(rank, asks, ends, train, first) for rank in self._others}
        error = None
        try:
            self._own_rows(asks, ends, train, first)
        except Exception as raised:  # the others' replies are on their way
            error = raised
        for rank, reply in replies.items():
            if reply is not None:
                self._mail.wait(reply[0])
                self._put_rows(rank, asks, ends, Unpacked(reply[1]))
        if error is not None:
            raise error
        if train:
            self._counters["rows_fetched"] += sum(len(ids) for ids, _, _ in asks)

    def _ask_rows(self, rank, asks, ends, train, first):
        """Ask a rank for the rows that it owns: what to wait for, or None."""
        counts = [int(ask[1][rank]) for ask in asks]
        if not any(counts) and not first:
            return None
        arrays, n_bytes = [self._header(Kind.LOOKUP if train else Kind.FIND, first, *counts)], 0
        for table, (ids, _, copies), end in zip(self.tables, asks, ends, strict=True):
            part = slice(end[rank], end[rank + 1])
            arrays.append(ids[part])
            if train and table.counts_copies:
                arrays.append(ids[part] if copies is None else copies[part])
        for table, n in zip(self.tables, counts, strict=True):
            n_bytes += (n * table.row_bytes + 7) & ~7
        self._mail.send(arrays, rank, REQUEST)
        return self._mail.expect(n_bytes, rank, ROWS)

    def _header(self, kind, *numbers):
        clocks = self.server.clocks
        return np.array([kind, clocks.steps[self.rank], clocks.counts[self.rank], *numbers], np.int64)

    def _own_rows(self, asks, ends, train, first):
        me, server = self.rank, self.server
        with server.locked():
            if first:
                server.begin_step(me)
            for table, (ids, _, copies), end in zip(self.tables, asks, ends, strict=True):
                part = slice(end[me], end[me + 1])
                if part.start < part.stop:
                    own = None if copies is None else copies[part]
                    server.find(me, table, ids[part], own, train, table.new_rows(len(ids))[part])

    def _put_rows(self, rank, asks, ends, reply):
        for table, (ids, counts, _), end in zip(self.tables, asks, ends, strict=True):
            if counts[rank]:
                rows = reply.take((counts[rank], table.width), table.dtype)
                table.new_rows(len(ids))[end[rank] : end[rank + 1]] = rows

    # ------------------------------------------------------------------------------------------------------- gradients

    def push(self, number, gradients, settings):
        """Send a step's gradients to those who own what they belong to. Their arrival is not waited for.

        Args:
            number: of the program. gradients: {parameter: gradient}. settings: arrays, as `Updates.settings` has them.
        """
        updates, me = self.server.updates[number], self.rank
        pushes = [Push(update.table, gradients[update.name]) for update in updates.sharded]
        partial = any(push.positions is not None for push in pushes)
        ends = [np.concatenate([[0], np.cumsum(push.counts)]) for push in pushes]
        parts = [
            [_part(push, end[rank], end[rank + 1], partial) for push, end in zip(pushes, ends, strict=True)]
            for rank in range(self.size)
        ]
        rows = [gradients[update.name].merge().chunks[0][:2] for update in updates.rows]
        with self.server.changed:
            self.server.clocks.steps[me] += 1
        for rank in self._others:
            dense = [gradients[update.name] for update in updates.dense[rank]]
            self._push_to(rank, number, updates, partial, settings, parts[rank], rows, dense)
        own = [np.ascontiguousarray(gradients[update.name]) for update in updates.dense[me]]
        with self.server.locked():
            self.server.apply(me, updates, settings, parts[me], rows, own)
        self._counters["steps"] += 1

    def _push_to(self, rank, number, updates, partial, settings, sharded, rows, dense):
        counts = [len(values) for _, values in sharded], [len(values) for _, values in rows]
        arrays = [self._header(Kind.GRADIENTS), np.array([number, partial], np.int64)]
        arrays += [np.array(c, np.int64) for c in counts] + settings
        for positions, values in sharded:
            arrays += [positions, values] if partial else [values]
        for numbers, values in rows:
            arrays += [numbers, values]
        self._take_answer(rank)
        self._mail.send([*arrays, *dense], rank, REQUEST)
        owned = updates.dense[rank]
        self._answers[rank] = owned, *self._mail.expect(size_of([update.param.value for update in owned]), rank, FRESH)

    def _take_answers(self, wait):
        for rank in list(self._answers):
            if wait or self._answers[rank][1].Test():
                self._take_answer(rank)

    def _take_answer(self, rank):
        """Take over the fresh values of what a rank owns, the answer to the gradients before."""
        owned, request, piece = self._answers.get(rank, (None, None, None))
        if request is None:
            return
        self._mail.wait(request)
        del self._answers[rank]
        answer = Unpacked(piece)
        with self.server.locked():
            for update in owned:
                update.set(answer.take(update.shape, update.dtype))

    def flush(self):
        """Return when all gradients of this rank have been applied."""
        self._take_answers(wait=True)

    # ------------------------------------------------------------------------------------------------------ the others

    def _wait_until(self, done):
        changed = self.server.changed
        with changed:
            while not done():
                self.server.check()
                changed.wait(0.1)

    def _meet(self, kind, value=None):
        self._pause()
        self.server.met = None
        self.server.ask(self._mail, Kind.MEET, (kind, value), 0)
        self._wait_until(lambda: self.server.met is not None)
        return self.server.met

    def _pause(self):
        """Wait for others from now on, who need not wait for this rank."""
        self._check_open()
        self.flush()
        self._tell_clock(False)

    def start(self):
        """Meet the others to begin with programs that the job has got."""
        if None in self._meet("begin to train a program", True):
            raise UnavailableError("A program cannot be trained: ranks of this job have finished.")
        self.job.start_together(self.comm)
        self._meet("begin to train a program", True)

    def gather(self, value):
        """An object of each rank, None of those that have finished."""
        return self._meet("barrier, all_gather or all_reduce", value)

    def command(self, request):
        """Let the servers of all ranks run a command; see `Job.command`, and `Coordinator` for who calls it together.

        Gradients that are on their way are applied after it.
        """
        name, arguments, local = request
        self._pause()
        self.server.local, self.server.outcome = local, None
        self.server.ask(self._mail, Kind.COMMAND, (name, arguments), 0)
        self._wait_until(lambda: self.server.outcome is not None)
        results, error = self.server.outcome
        self.server.local = None
        if error is not None:
            raise error
        return results

    def end_epoch(self):
        """An epoch has ended on this rank, and its gradients are applied. The others are not waited for."""
        self._pause()

    def finish(self):
        """Serve the others until all have finished; then all ranks have the same values."""
        self._pause()
        self.server.ask(self._mail, Kind.FINISHED, None, 0)
        self._wait_until(lambda: self.server.stopped)
        self._finished = True
        self._mail.flush(1.0)
        self.close()

    def close(self):
        """End the server."""
        if not self.server.close():
            self.comm.abort()

    def settle(self, comm):
        """Dense parameters and their accumulators become those of their owners. For handlers of commands."""
        for updates in self.server.updates.values():
            updates.settle(comm, tables_too=False)

    def stats(self):
        """Counters: bytes_sent, bytes_received, steps, rows_fetched; staleness_max and staleness_mean, how many steps
        this rank was ahead of the slowest when its steps began; waits and wait_seconds, for slower ranks."""
        counters, server = self._counters, self.server
        parts = self.comm, self._together, self._mail, server.mail
        return {
            "bytes_sent": sum(part.sent for part in parts),
            "bytes_received": sum(part.received for part in parts),
            **counters,
            "staleness_mean": self._ahead / max(counters["steps"], 1),
            "wait_seconds": self._waited,
        }

    # Whether this rank can tell the others of an error: at any time.
    intact = True

    def report_error(self, told):
        """Tell all ranks of an error on this one; what all that have failed tell, None of those without."""
        self.server.tell_error(self._mail, told)
        self._mail.flush(1.0)
        failures = {**self.server.failures, self.rank: told}
        return [failures.get(rank) for rank in range(self.size)]


def _part(push, begin, end, partial):
    """``(positions, values)`` for one owner; positions None where all ranks get gradients of all they were asked."""
    values = push.values[begin:end]
    if not partial:
        return None, values
    return (np.arange(end - begin) if push.positions is None else push.positions[begin:end]), values
