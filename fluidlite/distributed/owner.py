"""The owner's side of sharded tables: rows out, gradients in."""

import numpy as np

from .._kernels import rows as row_kernels
from ..selected_rows import Chunk, SelectedRows


def find_owned(table, ids, copies, train):
    """The row numbers of ids that this rank owns, in its HashTable: made if `train`, counted `copies` times each."""
    shard = table.shard
    numbers = np.empty(len(ids), np.int64)
    if not train:
        shard.find(ids, numbers)
    elif copies is not None and table.counts_copies:
        every = np.empty(int(copies.sum()), np.int64)
        shard.admit(np.repeat(ids, copies), every, None, table.entry)
        # A batch is counted as a whole, so that all copies of an id have one number.
        numbers[:] = every[np.cumsum(copies) - 1]
    else:
        shard.admit(ids, numbers, None, table.entry)
    return numbers


def gather_owned(table, numbers, out):
    """The rows of these numbers, into `out`."""
    row_kernels.gather_rows(table.shard.live_rows(), numbers, out, 0)


def owned_gradient(table, chunks):
    """The gradient of a shard: ``[(row numbers, values)]``, one of each rank, in the order of the ranks."""
    shard = table.shard
    chunks = [Chunk(numbers, values, 0) for numbers, values in chunks]
    if not chunks:
        chunks = [Chunk(np.empty(0, np.int64), np.empty((0, table.width), table.dtype), 0)]
    return SelectedRows.from_chunks(chunks, len(shard) + 1, shard.names)
