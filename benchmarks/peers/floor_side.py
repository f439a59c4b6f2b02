"""The C floor of the row update, by ctypes: the rows are given sorted and unique, the gradients in order."""

import ctypes
import os

import numpy as np
from batches import make_batches, update_grad

LIBRARY = os.environ.get("FLUIDLITE_BENCHMARK_FLOOR", "")

_tables = {}
_threads = 1


def versions():
    return {"C floor": os.path.basename(LIBRARY)}


def set_threads(n):
    global _threads
    _threads = n


def _load():
    library = ctypes.CDLL(LIBRARY)
    call, long = library.floor_update, ctypes.c_int64
    pointer = ctypes.c_void_p
    call.argtypes = [pointer, pointer, pointer, pointer, pointer, pointer, long, long, ctypes.c_int]
    call.restype = ctypes.c_int
    return call


def build(workload):
    """`gradients`: "merged" (default: one gradient row for each touched row) or "all" (N rows in order, summed)."""
    if workload["kind"] != "update":
        raise ValueError("the C floor knows the row update alone")
    call, batches = _load(), make_batches(workload)
    shape = (workload["V"], workload["D"])
    if shape not in _tables:
        _tables[shape] = [np.zeros(shape, np.float32) for _ in range(3)]
    tables, grad = _tables[shape], update_grad(workload)
    addresses = [table.ctypes.data for table in tables]
    jobs = []
    for ids in batches:
        rows, counts = np.unique(ids, return_counts=True)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        jobs.append((rows, starts))
    summed = workload.get("gradients", "merged") == "all"

    def step(s):
        rows, starts = jobs[s % len(jobs)]
        first = starts.ctypes.data if summed else None
        if call(*addresses, grad.ctypes.data, rows.ctypes.data, first, len(rows), shape[1], _threads):
            raise MemoryError("the C floor could not start its threads")

    return step, batches, None
