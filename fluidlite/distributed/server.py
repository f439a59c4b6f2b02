"""The server of a rank that is not in step with the others: a thread that gives them rows and takes their gradients.

It never waits for another rank, except in commands, which all servers run together. One lock guards what it shares with
the training thread of its rank: the rows that the rank owns, its updates. Dense parameters are read by the training
thread while they are being updated (Recht et al., "Hogwild", 2011).
"""

import sys
import threading
import time
import traceback
from collections import deque, namedtuple
from contextlib import contextmanager

import numpy as np

from ..errors import UnavailableError
from .coordinator import Coordinator
from .current import commands
from .failure import RemoteError, text_of
from .messages import FRESH, LONGEST_PAUSE, ROWS, SHORTEST_PAUSE, Kind, Mail, Unpacked, load
from .owner import find_owned, gather_owned

# Rows that a rank has looked up in a step: ids, their numbers, and the index by which they were found.
Fetched = namedtuple("Fetched", ["ids", "numbers", "index"])

# Seconds after which a thread that wants Python's lock is let in. A request takes it a dozen times, so that with
# Python's own 5 ms a rank that prepares its data would keep the others waiting for a twentieth of a second.
_SWITCH_INTERVAL = 2e-4

# After so many looks in vain nobody is in a hurry; what looks oftener takes a twentieth of a core for nothing.
_IDLE, _IDLE_PAUSE = 100, 1e-3

_FIRST_NUMBERS = 3  # that all messages have: kind, clock, whether it counts


class _Ending(Exception):
    """Nobody waits for an answer: the job comes to its end."""


class Clocks:
    """The steps that each rank has done, and whether it counts: those that wait at the end of an epoch do not."""

    def __init__(self, rank, size):
        self.rank, self.steps, self.counts = rank, [0] * size, [True] * size

    def slowest(self):
        """The fewest steps of the other ranks that count, or None if none does."""
        others = [steps for r, steps in enumerate(self.steps) if self.counts[r] and r != self.rank]
        return min(others, default=None)

    def ahead(self):
        """How many steps this rank is ahead of the slowest."""
        slowest = self.slowest()
        return 0 if slowest is None else max(0, self.steps[self.rank] - slowest)


class Server:
    """What a rank does for others, in a thread of its own.

    Args:
        job: the Job. comm: an mpi4py communicator for requests. together: a Communicator for commands.

    Attributes:
        lock: guards shards and updates. changed: a Condition, told whenever one of the following changes.
        clocks: of all ranks. met: [what ranks have met with] of the last meeting, None while this rank waits.
        outcome: (results, error) of the last command of this rank, None while it waits. stopped: the job has ended.
    """

    def __init__(self, job, comm, together):
        self.job, self.rank, self.size = job, job.rank, job.size
        self._together = together
        self.mail = Mail(together.mpi, comm, self._check_serving)
        self.lock, self.changed = threading.RLock(), threading.Condition()
        self.clocks = Clocks(self.rank, self.size)
        self.met = self.outcome = self.local = None
        self.stopped = self._closing = self._told = False
        self.error, self.failures = None, {}
        self.tables, self.updates, self._fetched = [], {}, {}
        self._coordinator = Coordinator(self.size) if self.rank == 0 else None
        # What this rank has to tell its own server.
        self._own = deque()
        self._thread = None

    def set_tables(self, tables, updates):
        """From now on, these tables are shared, and these programs trained: {number: Updates}."""
        with self.lock:
            self.tables, self.updates = list(tables), updates
            self._fetched = {rank: {} for rank in range(self.size)}
        if self._thread is None:
            self._interval = sys.getswitchinterval()
            sys.setswitchinterval(min(self._interval, _SWITCH_INTERVAL))
            self._thread = threading.Thread(target=self._run, name="fluidlite-server", daemon=True)
            self._thread.start()

    def close(self):
        """End the thread; True if it has."""
        self._closing = True
        if self._thread is None:
            return True
        sys.setswitchinterval(self._interval)
        self._thread.join(5.0)
        return not self._thread.is_alive()

    # --------------------------------------------------------------------------------------------------------- failing

    def check(self):
        """Raise what has gone wrong, here or elsewhere."""
        self.job.failure.check()
        if self.error is not None:
            self.job.failure.tell(self.error)
            raise self.error
        if self.failures:
            self.job.failure.hear([self.failures.get(rank) for rank in range(self.size)])

    def _check_serving(self):
        if self.failures or self.error is not None or self._closing:
            raise _Ending

    def fail(self, error):
        """An error has come up in this thread."""
        with self.changed:
            self.error = self.error or error
            self.changed.notify_all()
        self.tell_error(self.mail, (text_of(error), "".join(traceback.format_exception(error))))

    def tell_error(self, mail, told):
        """Tell all other ranks, once. told: (summary, whole text)."""
        if not self._told:
            self._told = True
            for rank in range(self.size):
                if rank != self.rank:
                    mail.tell(Kind.FAIL, told, rank)

    @contextmanager
    def locked(self):
        """Hold the lock, for the training thread: an error elsewhere ends the waiting."""
        while not self.lock.acquire(timeout=0.1):
            self.check()
        try:
            yield
        finally:
            self.lock.release()

    # --------------------------------------------------------------------------------------------------------- serving

    def _run(self):
        pause, idle = SHORTEST_PAUSE, 0
        while not self._closing:
            try:
                busy = self._serve_one()
            except _Ending:
                busy = False
            except Exception as error:
                busy = True
                self.fail(error)
            if busy:
                pause, idle = SHORTEST_PAUSE, 0
            else:
                time.sleep(pause)
                idle += 1
                pause = min(2 * pause, LONGEST_PAUSE if idle < _IDLE else _IDLE_PAUSE)

    def ask(self, mail, kind, value, to):
        """Send a request of the training thread, by its `mail`; also to this rank's own server."""
        me = self.rank
        if to == me:
            self._own.append((kind, value))
        else:
            mail.tell(kind, value, to, self.clocks.steps[me], self.clocks.counts[me])

    def _serve_one(self):
        if self._coordinator is not None:
            self._give_orders()
        if self._own:
            self._control(*self._own.popleft(), self.rank)
            return True
        request = self.mail.poll()
        if request is None:
            return False
        source, piece = request
        message = Unpacked(piece)
        kind, clock, counts = message.take(_FIRST_NUMBERS).tolist()
        broken = self.error is not None or self.failures
        if kind in (Kind.LOOKUP, Kind.FIND, Kind.GRADIENTS, Kind.CLOCK):
            self._set_clock(source, clock, bool(counts))
        if kind in (Kind.LOOKUP, Kind.FIND):
            if not broken:
                self._look_up(source, message, kind == Kind.LOOKUP)
        elif kind == Kind.GRADIENTS:
            if not broken:
                self._take_gradients(source, message)
        elif kind != Kind.CLOCK:
            self._control(kind, load(message.rest()), source, clock)
        return True

    def _set_clock(self, source, clock, counts):
        with self.changed:
            self.clocks.steps[source], self.clocks.counts[source] = clock, counts
            self.changed.notify_all()

    def _control(self, kind, value, source, clock=None):
        clock = self.clocks.steps[source] if clock is None else clock
        if kind == Kind.MEET:
            self._coordinator.meet(source, *value)
        elif kind == Kind.FINISHED:
            self._coordinator.finish(source)
        elif kind == Kind.COMMAND:
            self._coordinator.command(source, *value, clock)
        elif kind == Kind.RUN:
            self._run_command(*value)
        else:
            if kind == Kind.STOP:
                for updates in self.updates.values():
                    updates.settle(self._together, tables_too=True)
            with self.changed:
                if kind == Kind.FAIL:
                    self.failures.setdefault(source, value)
                elif kind == Kind.MET:
                    self.met = value
                elif kind == Kind.STOP:
                    self.stopped = True
                self.changed.notify_all()

    def _give_orders(self):
        for kind, ranks, value in self._coordinator.due(self.clocks.steps):
            if kind == Kind.FAIL:
                raise UnavailableError(value)
            for rank in ranks:
                self.ask(self.mail, kind, value, rank)

    def _run_command(self, callers, name, arguments):
        """Run a command, with all other servers."""
        mine = self.rank in callers
        result = error = None
        with self.lock:
            try:
                result = commands[name](self.job, self._together, self.local if mine else None, **arguments)
            except Exception as raised:
                error = raised
            outcomes = self._together.all_gather((result, error and text_of(error)))
        failed = [f"Rank {rank}: {text}" for rank, (_, text) in enumerate(outcomes) if text]
        if error is None and failed:
            error = RemoteError(failed[0])
        if mine:
            with self.changed:
                self.outcome = [result for result, _ in outcomes], error
                self.changed.notify_all()

    # ------------------------------------------------------------------------------------------------ rows, gradients

    def _look_up(self, source, message, train):
        first, *counts = message.take(1 + len(self.tables)).tolist()
        if train and first:
            self.begin_step(source)
        found = []
        with self.lock:
            for table, n in zip(self.tables, counts, strict=True):
                ids = message.take(n)
                copies = message.take(n) if n and train and table.counts_copies else None
                if n:
                    rows = np.empty((n, table.width), table.dtype)
                    self.find(source, table, ids.copy(), copies, train, rows)
                    found.append(rows)
        self.mail.send(found, source, ROWS)

    def begin_step(self, rank):
        """A rank begins a step: it has looked up nothing."""
        self._fetched[rank] = {table: [] for table in self.tables}

    def find(self, rank, table, ids, copies, train, out):
        """The rows of ids that this rank owns, into `out`; kept in mind for the gradients of `rank` if `train`."""
        numbers = find_owned(table, ids, copies, train)
        if train:
            self._fetched[rank][table].append(Fetched(ids, numbers, table.shard.index))
        gather_owned(table, numbers, out)

    def _numbers(self, rank, table, positions):
        """The row numbers of what a rank has looked up in its step."""
        shard, parts = table.shard, []
        for ids, numbers, index in self._fetched[rank].get(table, ()):
            if index is not shard.index:  # rows were dropped meanwhile, or the table is another one
                numbers = np.empty(len(ids), np.int64)
                shard.find(ids, numbers)
            parts.append(numbers)
        numbers = parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.int64), *parts])
        return numbers if positions is None else numbers[positions]

    def _take_gradients(self, source, message):
        number, partial = message.take(2).tolist()
        updates = self.updates[number]
        n_sharded, n_rows = message.take(len(updates.sharded)), message.take(len(updates.rows))
        settings = [message.take(shape, dtype) for shape, dtype in updates.setting_types]
        sharded = []
        for update, n in zip(updates.sharded, n_sharded.tolist(), strict=True):
            positions = message.take(n) if partial else None
            sharded.append((positions, message.take((n, update.table.width), update.table.dtype)))
        rows = [
            (message.take(n), message.take((n, update.shape[1]), update.dtype))
            for update, n in zip(updates.rows, n_rows.tolist(), strict=True)
        ]
        dense = [message.take(update.shape, update.dtype) for update in updates.dense[self.rank]]
        self.apply(source, updates, settings, sharded, rows, dense)
        self.mail.send([update.param.value for update in updates.dense[self.rank]], source, FRESH)

    def apply(self, rank, updates, settings, sharded, rows, dense):
        """Apply what a rank has computed in a step; sharded: [(positions or None, values)]."""
        with self.lock:
            numbered = [
                (self._numbers(rank, update.table, positions), values)
                for update, (positions, values) in zip(updates.sharded, sharded, strict=True)
            ]
            updates.apply(self.rank, settings, numbered, rows, dense)
