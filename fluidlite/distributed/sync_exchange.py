"""Training in step: all ranks fetch rows together, add up gradients together, and update the same values.

A step has one round for the rows of all tables and one for all gradients. The loss and the gradients of a step are the
means over the ranks that had a batch: n ranks with batches of b do what one process does with a batch of n b.
"""

import numpy as np

from ..errors import UnavailableError
from .gradient_trade import GradientTrade, Push
from .rounds import Rounds, Want
from .row_trade import RowTrade
from .sharded_table import ShardedTable, ask_all

# Flags of a round for rows: the first one of a step of this rank; rows for its next step.
_FIRST, _AHEAD = 1, 2
# Flags of a round for gradients: some rows that were fetched have none; and the number of the program, times 2.
_PARTIAL, _PROGRAM = 1, 2


class Switched(Exception):
    """The ranks have begun to train each at its own pace: another exchange is in charge."""


class SyncExchange:
    """The exchange of a Job whose ranks train in step.

    Args:
        job: the Job, which knows what to do for others: ``serve_update``, ``run_command``, ``start_together``.
        comm: a Communicator.
    """

    def __init__(self, job, comm):
        self.job, self.comm = job, comm
        self.rounds, self._finished = Rounds(comm), False
        self.set_tables([], 0)

    def set_tables(self, tables, n_rows_gradients):
        """From now on, these tables are shared; a program has at most so many sparse gradients of other tables."""
        self.tables, self._n_counts = list(tables), len(tables) + n_rows_gradients
        self.rounds.resize(self._n_counts)
        self.rows = RowTrade(self.comm, self.tables)
        self.gradients = GradientTrade(self.comm, self.rows)
        self._first, self._is_ahead, self._in_step, self._updating = True, False, False, False

    # ---------------------------------------------------------------------------------------------------------- rounds

    def _until(self, want, flag=0, counts=None):
        """Take part in rounds, serving others, until the outcome is `want`: ``(wants, flags, counts)`` of that one."""
        self.job.failure.check()
        if self._finished:
            raise UnavailableError(
                "The job has finished on this rank: the other ranks are out of reach.",
                hint="train, evaluate and save before stop_worker().",
            )
        if self._updating and want != Want.SUM:
            self._refuse_half_update()
        while True:
            outcome, wants, flags, got = self.rounds.meet(want, flag, counts)
            if outcome == want:
                return wants, flags, got
            self._serve(Want(outcome), wants, flags, got)
            if self.job.exchange is not self:
                raise Switched

    def _serve(self, outcome, wants, flags, got):
        if outcome == Want.ERROR:
            told = self.comm.all_gather(None)
            self.rounds.intact = True
            self.job.failure.hear(told)
        elif outcome == Want.COMMAND:
            self.job.run_command(self.comm, wants == Want.COMMAND)
        elif outcome in (Want.FIND, Want.LOOKUP):
            self._trade_rows({}, outcome, wants, flags, got)
        elif outcome == Want.START:
            self.job.start_together(self.comm)
        elif outcome == Want.GRADIENTS:
            # Copies: rounds that the update needs use this memory again.
            self.job.serve_update(self._program_of(wants, flags), wants.copy(), flags.copy(), got.copy())
        elif outcome in (Want.SUM, Want.GATHER):
            self.comm.all_gather(None)
        self.rounds.intact = True
        self._raise_deferred()

    def _program_of(self, wants, flags):
        """The number of the program that is trained in this step."""
        numbers = set((flags[wants == Want.GRADIENTS] // _PROGRAM).tolist())
        if len(numbers) > 1:
            self.rounds.intact = True  # every rank finds this, here
            raise self.job.different_programs()
        return numbers.pop()

    def _raise_deferred(self):
        """An error in what was done for others comes up here, after all of them have got an answer.

        The answer was no good, so all ranks have to hear of it, even if somebody catches the error here.
        """
        error, self.rows.error = self.rows.error, None
        if error is not None:
            self.job.failure.tell(error)
            raise error

    # ------------------------------------------------------------------------------------------------------------ rows

    def begin_step(self):
        """This rank begins a step of training."""
        if self._in_step:  # the last one has failed
            self._is_ahead = False
            for table in self.tables:
                table.forget_ahead()
        self._in_step, self._first = True, not self._is_ahead

    def fetch(self, wanted, train):
        """Bring the rows of ``{table: [(ids, padding id)]}``; those that train get rows where they have none."""
        asked = {t: (added, t.new_rows(len(added[0]))) for t, added in ask_all(wanted, ShardedTable.ask).items()}
        self._ask(asked, Want.LOOKUP if train else Want.FIND, _FIRST if self._first else 0)
        self._first = self._first and not train

    def fetch_ahead(self, wanted, next_wanted):
        """As `fetch` for training, and let the rows of the next step, None after the last, come in meanwhile.

        They are as they were before this step's update.
        """
        if not self._is_ahead:
            self.fetch(wanted, True)
        self.rows.complete()
        asked = ask_all(next_wanted or {}, ShardedTable.ask_ahead)
        asked = {table: (added, table.ahead_rows()) for table, added in asked.items()}
        self._ask(asked, Want.LOOKUP, _AHEAD)
        self._is_ahead = next_wanted is not None

    def _ask(self, asked, want, flag):
        counts = np.zeros((self.comm.size, self._n_counts), np.int64)
        for k, table in enumerate(self.tables):
            if table in asked:
                counts[:, k] = asked[table][0][1]
        self._trade_rows(asked, want, *self._until(want, flag, counts))
        self.rounds.intact = True
        self._raise_deferred()

    def _trade_rows(self, asked, outcome, wants, flags, got):
        train, taking_part = outcome == Want.LOOKUP, wants == outcome
        ahead = None
        if train:
            self.rows.begin_steps_of(np.flatnonzero(taking_part & (flags & _FIRST > 0)))
            ahead = taking_part & (flags & _AHEAD > 0)
        self.rows.trade(asked, got[:, : len(self.tables)].copy(), train=train, ahead=ahead)

    # ------------------------------------------------------------------------------------------------------- gradients

    def add_up(self, gradients):
        """Replace a step's `Gradients` by what all ranks together have."""
        pushes = {table: Push(table, cell.value) for table, cell in gradients.sharded.items()}
        merged = [cell.value.merge().chunks[0] for cell in gradients.rows]
        counts = np.zeros((self.comm.size, self._n_counts), np.int64)
        for k, table in enumerate(self.tables):
            if table in pushes:
                counts[:, k] = pushes[table].counts
        for k, chunk in enumerate(merged, len(self.tables)):
            counts[:, k] = len(chunk.rows)
        partial = any(push.positions is not None for push in pushes.values())
        round = self._until(Want.GRADIENTS, gradients.number * _PROGRAM + (_PARTIAL if partial else 0), counts)
        self._program_of(*round[:2])
        self._trade_gradients(gradients, pushes, merged, *round)

    def serve_gradients(self, gradients, wants, flags, got):
        """Take part in `add_up` without a batch of one's own."""
        self._trade_gradients(gradients, {}, (), wants, flags, got)

    def _trade_gradients(self, gradients, pushes, merged, wants, flags, got):
        share, partial = 1.0 / int((wants == Want.GRADIENTS).sum()), bool((flags & _PARTIAL).any())
        self.gradients.trade(gradients, pushes, merged, got.copy(), share, partial)
        self.rows.end_step()
        self._in_step, self._updating = False, True
        self.rounds.intact = True

    def end_update(self):
        """What was added up has been used."""
        self._updating = False

    def _refuse_half_update(self):
        """An error came up between the gradients and the end of the update, and somebody has caught it."""
        self._updating = False
        error = UnavailableError(
            "The update of a step has failed on this rank, which has other values than the others since.",
            hint="end the job where an update fails, and load a checkpoint.",
        )
        self.job.failure.tell(error)
        raise error

    def add_over_shards(self, value):
        """The sum over all ranks of a small array, in the order of the ranks."""
        self._until(Want.SUM)
        parts = [part for part in self.comm.all_gather(value) if part is not None]
        self.rounds.intact = True
        return sum(parts[1:], parts[0])

    # ----------------------------------------------------------------------------------------------------- the others

    def start(self):
        """Meet the others to begin."""
        self._until(Want.START)
        self.job.start_together(self.comm)
        self.rounds.intact = True

    def gather(self, value):
        """An object of each rank, None of those that have finished."""
        self._until(Want.GATHER)
        values = self.comm.all_gather(value)
        self.rounds.intact = True
        return values

    def command(self, request):
        """Let all ranks run a command; see `Job.command`."""
        while True:
            wants, _, _ = self._until(Want.COMMAND)
            try:
                done, results = self.job.run_command(self.comm, wants == Want.COMMAND, request)
            finally:
                self.rounds.intact = True
            if done:
                return results

    def end_epoch(self):
        """Serve the others until all are at the end of an epoch."""
        self._until(Want.END)
        self.rounds.intact = True

    def finish(self):
        """Serve the others until all have finished."""
        self._until(Want.STOP)
        self._finished = True
        self.rounds.intact = True
        self.rows.complete()

    def close(self):
        """Nothing goes on by itself."""

    def settle(self, comm):
        """What all ranks have is equal at any time."""

    def stats(self):
        """Nothing beside the bytes."""
        return {}

    def report_error(self, text):
        """Tell all ranks of an error on this one; the texts of all of them, None of those without."""
        self.rounds.meet(Want.ERROR)
        texts = self.comm.all_gather(text)
        self.rounds.intact = True
        return texts

    @property
    def intact(self):
        """Whether this rank can take part in a round; see `Rounds`."""
        return self.rounds.intact
