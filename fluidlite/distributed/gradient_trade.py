"""Gradients of a step, added up over all ranks: those of shared tables at the owners of the rows, others everywhere.

What is added up is added in the order of the ranks. A gradient is divided by the number of ranks that had a batch.
"""

import numpy as np

from ..selected_rows import Chunk, SelectedRows
from .owner import owned_gradient
from .parcels import Parcels, Scratch, cut, trade_numbers


class Push:
    """The merged gradient of a shared table, by owner.

    Attributes: values (n, D); counts, rows of each owner (n_ranks,); positions, for each row which of those that this
    rank has fetched from its owner it is, None if it is all of them in order.
    """

    def __init__(self, table, gradient):
        n_ranks = len(table.asked)
        if not isinstance(gradient, SelectedRows):
            gradient = SelectedRows.from_chunks(
                [Chunk(np.empty(0, np.int64), np.empty((0, table.width), table.dtype))], 1
            )
        ((rows, values, _),) = gradient.merge().chunks
        owners = table.owners[rows]
        if table.segments > 1:
            order = np.argsort(owners, kind="stable")
            rows, values = rows[order], values[order]
        self.values, self.counts = values, np.bincount(owners, minlength=n_ranks)
        self.positions = None if len(rows) == len(table) else _positions(table)[rows]

    def positions_for(self):
        """The positions in any case."""
        if self.positions is not None:
            return self.positions
        return np.concatenate([np.arange(n) for n in self.counts])


def _positions(table):
    """For each number of a step: the how-many-eth of its owner it is."""
    order = np.argsort(table.owners[1 : len(table) + 1], kind="stable")
    positions = np.empty(len(table) + 1, np.int64)
    positions[order + 1] = np.arange(len(table)) - np.repeat(np.cumsum(table.asked) - table.asked, table.asked)
    return positions


class GradientTrade:
    """Trades gradients.

    Args:
        comm: a Communicator. rows: the RowTrade, which knows what was fetched.
    """

    def __init__(self, comm, rows):
        self.comm, self.rows = comm, rows
        self._scratch = Scratch()

    def trade(self, gradients, pushes, merged, n_theirs, share, partial):
        """Replace a step's `Gradients` by what all ranks together have.

        Args:
            pushes: {table: Push}, of this rank. merged: merged Chunks of its other sparse gradients. Both are empty on
                a rank without a batch.
            n_theirs: how many rows come from each rank, for each table and each other sparse gradient.
            share: what gradients are multiplied by. partial: whether any rank sends positions.
        """
        n_tables = len(self.rows.tables)
        if gradients.sharded:
            self._trade_shards(gradients, pushes, n_theirs[:, :n_tables], share, partial)
        if gradients.rows:
            self._share_rows(gradients.rows, merged, n_theirs[:, n_tables : n_tables + len(gradients.rows)], share)
        for dtype, cells in gradients.dtypes.items():
            self._sum_dense(cells, dtype, share)

    def _trade_shards(self, gradients, pushes, n_theirs, share, partial):
        comm, tables, me = self.comm, self.rows.tables, self.comm.rank
        none = np.zeros(comm.size, np.int64)
        n_mine = np.array([pushes[t].counts if t in pushes else none for t in tables], np.int64).T
        positions = None
        if partial:
            kth = [cut(pushes[t].positions_for(), pushes[t].counts) if t in pushes else None for t in tables]
            mine = [[none[:0] if parts is None else parts[p] for parts in kth] for p in range(comm.size)]
            positions = trade_numbers(comm, mine, n_theirs)
        send, receive = Parcels(tables, n_mine, me), Parcels(tables, n_theirs, me)
        out, own = self._scratch.take("out", send.nbytes), {}
        for k, table in enumerate(tables):
            for p, values in enumerate(cut(pushes[table].values, n_mine[:, k]) if table in pushes else ()):
                factor = values.dtype.type(share)
                if p == me:
                    own[table] = values if share == 1 else np.multiply(values, factor)
                else:
                    np.multiply(values, factor, out=send.rows(out, p, k))
        back = self._scratch.take("in", receive.nbytes)
        comm.exchange(out, send.bytes_of, back, receive.bytes_of)
        for k, table in enumerate(tables):
            if table in gradients.sharded:
                chunks = []
                for p in np.flatnonzero(n_theirs[:, k]):
                    numbers = self.rows.fetched(table, p)
                    numbers = numbers if positions is None else numbers[positions[p][k]]
                    chunks.append((numbers, own[table] if p == me else receive.rows(back, p, k)))
                gradients.sharded[table].value = owned_gradient(table, chunks)

    def _share_rows(self, cells, merged, counts, share):
        """Sparse gradients of tables that every rank has: their rows go to all ranks."""
        comm = self.comm
        sizes = np.array([8 + cell.shape[1] * cell.dtype.itemsize for cell in cells], np.int64)
        sections = (counts * sizes + 7) & ~7
        begins = np.cumsum(sections).reshape(sections.shape) - sections
        send = self._scratch.take("rows out", sections[comm.rank].sum())
        for cell, chunk, begin in zip(cells, merged, begins[comm.rank] - begins[comm.rank, 0], strict=False):
            rows, values = _split(send[begin:], len(chunk.rows), cell)
            rows[:] = chunk.rows
            np.multiply(chunk.value, cell.dtype.type(share), out=values)
        back = self._scratch.take("rows in", sections.sum())
        comm.gather_bytes(send, back, sections.sum(axis=1))
        for k, cell in enumerate(cells):
            chunks = [
                Chunk(*_split(back[begins[p, k] :], counts[p, k], cell))
                for p in range(comm.size)
                if counts[p, k] or p == 0
            ]
            cell.value = SelectedRows.from_chunks(chunks, cell.shape[0])

    def _sum_dense(self, cells, dtype, share):
        """Dense gradients and the loss, in one piece; those of a rank without a batch are zeros."""
        n = sum(cell.size for cell in cells)
        total = self._scratch.take(f"dense {dtype}", -(-n // self.comm.size) * self.comm.size, dtype)
        parts = cut(total, [cell.size for cell in cells])
        for cell, part in zip(cells, parts, strict=True):
            part.reshape(cell.shape)[...] = 0 if cell.value is None else cell.value
        total[n:] = 0
        self.comm.sum(total, dtype.type(share))
        for cell, part in zip(cells, parts, strict=True):
            cell.value = part.reshape(cell.shape)


def _split(piece, n, cell):
    """Rows and values in a piece of memory: int64 (n,), and (n, D) behind them."""
    width, end = cell.shape[1], n * 8 + n * cell.shape[1] * cell.dtype.itemsize
    return piece[: n * 8].view(np.int64), piece[n * 8 : end].view(cell.dtype).reshape(n, width)
