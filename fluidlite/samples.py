"""Samples in memory, slot by slot: loading them from files, and gathering batches in any order."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .multislot import AHEAD, Reader
from .prefetch import Prefetch

_PIECE = 1 << 16  # lines that are parsed into one piece of memory
_GROUP = 1 << 10  # lines that are gathered at once, ahead of the training


class Samples:
    """The slots of `n` lines: each ``(values, offsets)``; values (n, width) and no offsets for a dense slot."""

    def __init__(self, slots, n, columns):
        self.slots, self.n, self.columns = slots, n, columns

    def __len__(self):
        return self.n

    def batches(self, batch_size, order=None):
        """Batches ``(lines, [(values, offsets) of each slot])`` in the samples' own order, or in the one given."""
        groups = Prefetch(lambda: self._groups(batch_size, order), AHEAD)
        with contextlib.closing(groups):
            for group in groups:
                yield from group

    def _groups(self, batch_size, order):
        group, n_lines = [], 0
        for begin in range(0, self.n, batch_size):
            end = min(begin + batch_size, self.n)
            rows = slice(begin, end) if order is None else order[begin:end]
            group.append((end - begin, [rows_of(*column, rows) for column in self.columns]))
            n_lines += end - begin
            if n_lines >= _GROUP:
                yield group
                group, n_lines = [], 0
        if group:
            yield group


def rows_of(values, offsets, rows):
    """(values in one dimension, offsets) of some samples of one slot; rows: a slice or an array of numbers."""
    if offsets is None:
        return values[rows].reshape(-1), None
    if isinstance(rows, slice):
        piece = offsets[rows.start : rows.stop + 1]
        return values[piece[0] : piece[-1]], piece - piece[0]
    begins = offsets[rows]
    lengths = offsets[rows + 1] - begins
    ends = np.cumsum(lengths)
    n = ends[-1] if len(ends) else 0
    return values[np.arange(n) + np.repeat(begins - (ends - lengths), lengths)], np.concatenate([[0], ends])


class Loader:
    """Reads whole files, `n_threads` of them at the same time; the samples are in the order of the files.

    Iterating yields one Samples.
    """

    def __init__(self, paths, slots, command, n_threads):
        self.slots, self.n_threads = slots, n_threads
        self.readers = [Reader([path], slots, _PIECE, command) for path in paths]

    def close(self):
        """End it, from any thread."""
        for reader in self.readers:
            reader.close()

    def __iter__(self):
        pieces = self._read()
        n = sum(n_lines for n_lines, _ in pieces)
        columns = [[arrays[i] for _, arrays in pieces] for i in range(len(self.slots))]
        del pieces  # so that at most one slot is held twice
        yield Samples(self.slots, n, [_joined(columns.pop(0), slot) for slot in self.slots])

    def _read(self):
        with ThreadPoolExecutor(max(1, min(self.n_threads, len(self.readers))), "fluidlite loader") as pool:
            try:
                # The pool hands results over in the order of the readers.
                return [piece for pieces in pool.map(_all_batches, self.readers) for piece in pieces]
            finally:  # after a failure or an interrupt nobody waits for the rest
                self.close()


def _all_batches(reader):
    return [batch for group in reader for batch in group]


def _joined(pieces, slot):
    values = np.concatenate([v for v, _ in pieces] or [np.empty(0, np.float32 if slot.is_float else np.int64)])
    if slot.width:
        return values.reshape(-1, slot.width), None
    offsets, start = [np.zeros(1, np.int64)], 0
    for piece_values, piece_offsets in pieces:
        offsets.append(piece_offsets[1:] + start)
        start += len(piece_values)
    return values, np.concatenate(offsets)
