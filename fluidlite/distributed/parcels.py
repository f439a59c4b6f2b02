"""What ranks send each other in one piece: a section for each rank and table, beginning at multiples of 8 bytes."""

import numpy as np


class Scratch:
    """Memory by name that grows and is used again."""

    def __init__(self):
        self._arrays = {}

    def take(self, name, n, dtype=np.uint8):
        """An uninitialized array (n,), valid until this name is taken again."""
        held = self._arrays.get(name)
        if held is None or len(held) < n or held.dtype != dtype:
            held = self._arrays[name] = np.empty(max(int(n) + int(n) // 4, 64), dtype)
        return held[:n]


class Parcels:
    """Rows for each rank and table.

    Args:
        tables: what has `row_bytes`, `width`, `dtype`. counts: rows of each (n_ranks, n_tables). me: this rank, whose
        own rows are not sent.

    Attributes: bytes_of, the bytes of each rank (n_ranks,).
    """

    def __init__(self, tables, counts, me):
        self.tables, self.counts, self.me = tables, counts, me
        sections = (counts * np.array([table.row_bytes for table in tables], np.int64) + 7) & ~7
        sections[me] = 0
        self.bytes_of = sections.sum(axis=1)
        self._begins = np.cumsum(sections).reshape(sections.shape) - sections

    @property
    def nbytes(self):
        return int(self.bytes_of.sum())

    def rows(self, piece, rank, k):
        """The rows of a rank and the k-th table in a piece of `nbytes`: an array (n, D), not a copy."""
        table, begin, n = self.tables[k], self._begins[rank, k], self.counts[rank, k]
        return piece[begin : begin + n * table.row_bytes].view(table.dtype).reshape(n, table.width)


def cut(array, counts):
    """An array in parts of these lengths."""
    ends = np.cumsum(counts)
    return [array[end - n : end] for n, end in zip(counts, ends, strict=True)]


def trade_numbers(comm, mine, n_theirs):
    """int64 arrays for each rank and table, [[array]], against theirs, of lengths n_theirs (n_ranks, n_tables).

    What is for this rank itself stays as it is.
    """
    me = comm.rank
    send = [part for p, parts in enumerate(mine) if p != me for part in parts]
    send = np.concatenate(send) if send else np.empty(0, np.int64)
    out = np.array([8 * sum(map(len, parts)) for parts in mine], np.int64)
    back = n_theirs.sum(axis=1) * 8
    out[me] = back[me] = 0
    got = np.empty(back.sum() // 8, np.int64)
    comm.exchange(send.view(np.uint8), out, got.view(np.uint8), back)
    pieces = cut(got, back // 8)
    return [mine[me] if p == me else cut(pieces[p], n_theirs[p]) for p in range(comm.size)]
