"""Rows of shared tables on their way from the ranks that own them to those that look them up, all ranks together."""

import numpy as np

from .owner import find_owned, gather_owned
from .parcels import Parcels, Scratch, cut, trade_numbers


class RowTrade:
    """Trades rows, and remembers who has fetched what.

    Args:
        comm: a Communicator. tables: [ShardedTable].

    Attributes: error, what went wrong in work for others, or None.
    """

    def __init__(self, comm, tables):
        self.comm, self.tables = comm, list(tables)
        self.error = self._pending = None
        self._scratch = Scratch()
        # The numbers of the rows that each rank has fetched, by table and rank: for this step and for the next one.
        self._fetched, self._ahead = self._nothing(), self._nothing()

    def _nothing(self):
        return {table: [[] for _ in range(self.comm.size)] for table in self.tables}

    def end_step(self):
        """The gradients of what was fetched have come."""
        self._fetched, self._ahead = self._ahead, self._nothing()

    def begin_steps_of(self, ranks):
        """These ranks begin a step: what they fetched for one that has failed is forgotten."""
        for rank in ranks:
            for table in self.tables:
                self._fetched[table][rank], self._ahead[table][rank] = [], []

    def fetched(self, table, rank):
        """The numbers, in the shard of this rank, of the rows that a rank has fetched in this step, in its order."""
        parts = self._fetched[table][rank]
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.int64), *parts])

    def trade(self, asked, n_theirs, *, train, ahead=None):
        """Send ids to their owners, and rows back.

        Args:
            asked: ``{table: ((ids, counts, copies), rows)}``: what `ask` gave, and where the rows go.
            n_theirs: how many ids come from each rank for each table (n_ranks, n_tables).
            train: whether ids get rows where they have none.
            ahead: which ranks ask for their next step (n_ranks,): if any does, rows may come in while the ranks
                compute; `complete` waits for them. None: no rank does.
        """
        self.complete()
        comm, tables = self.comm, self.tables
        nothing = (np.empty(0, np.int64), np.zeros(comm.size, np.int64), None), None
        asks, places = zip(*[asked.get(table, nothing) for table in tables], strict=True)
        n_mine = np.array([counts for _, counts, _ in asks], np.int64).T
        ids_in = trade_numbers(comm, _by_rank([ids for ids, _, _ in asks], n_mine), n_theirs)
        copies_in = None
        if train and any(table.counts_copies for table in tables):
            copies = [np.ones(len(a[0]), np.int64) if a[2] is None else a[2] for a in asks]
            copies_in = trade_numbers(comm, _by_rank(copies, n_mine), n_theirs)
        places = [None if place is None else cut(place, n) for place, n in zip(places, n_mine.T, strict=True)]
        send, receive = Parcels(tables, n_theirs, comm.rank), Parcels(tables, n_mine, comm.rank)
        late = ahead is not None and ahead.any()
        out = self._scratch.take(f"out {late}", send.nbytes)
        for k, table in enumerate(tables):
            numbers = self._find(table, [parts[k] for parts in ids_in], copies_in and [p[k] for p in copies_in], train)
            for p, part in enumerate(cut(numbers, n_theirs[:, k])):
                if train:
                    (self._ahead if late and ahead[p] else self._fetched)[table][p].append(part)
                if p != comm.rank:
                    gather_owned(table, part, send.rows(out, p, k))
                elif len(part):
                    gather_owned(table, part, places[k][p])
        back = self._scratch.take(f"in {late}", receive.nbytes)
        if not late:
            comm.exchange(out, send.bytes_of, back, receive.bytes_of)
            _put(receive, back, places)
            return
        request = comm.begin_exchange(out, send.bytes_of, back, receive.bytes_of)
        self._pending = request, receive, back, places
        if not ahead[comm.rank]:
            self.complete()

    def _find(self, table, ids, copies, train):
        ids = np.concatenate(ids)
        try:
            if len(ids):
                return find_owned(table, ids, None if copies is None else np.concatenate(copies), train)
        except Exception as error:  # the others wait for their rows: they get zeros, and then they hear of it
            self.error = self.error or error
        return np.zeros(len(ids), np.int64)

    def complete(self):
        """Wait for the rows that were asked for ahead."""
        if self._pending is not None:
            (request, receive, back, places), self._pending = self._pending, None
            request.Wait()
            _put(receive, back, places)


def _by_rank(arrays, n_mine):
    """Arrays of each table, in the order of their owners, as lists of parts for each rank."""
    parts = [cut(array, n) for array, n in zip(arrays, n_mine.T, strict=True)]
    return [list(of_rank) for of_rank in zip(*parts, strict=True)]


def _put(receive, back, places):
    for p, k in np.argwhere(receive.counts):
        if p != receive.me:
            places[k][p][:] = receive.rows(back, p, k)
