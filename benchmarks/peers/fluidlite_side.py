"""fluidlite's side of every workload."""

import os
import sys

import fluid_programs
import numpy as np
from batches import make_batches, update_grad

try:
    import fluidlite
except ImportError:
    # Not installed: the checkout that this file belongs to, built in place.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    import fluidlite

_tables = {}


def versions():
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return {
        "fluidlite": fluidlite.__version__,
        "Python": ".".join(map(str, sys.version_info[:3])),
        "NumPy": np.__version__,
        "BLAS": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
    }


def set_threads(n):
    fluidlite.set_num_threads(n)


def make_optimizer(workload):
    """SparseAdam where all parameters are tables, the lazy Adam of Fluid's own programs where some are dense."""
    optimizer = fluidlite.optimizer
    if workload.get("optimizer") == "lazy_adam" or workload["kind"] in ("ngram", "deepfm"):
        return optimizer.Adam(0.001, lazy_mode=True)
    return optimizer.SparseAdam(0.01)


def build(workload):
    if workload["kind"] != "update":
        return (*fluid_programs.build(fluidlite, workload, make_optimizer), None)
    height, width, batches = workload["V"], workload["D"], make_batches(workload)
    # Variants of one row share their tables: a lower table is the first rows of the highest (`room`).
    room = (workload.get("room", height), width)
    if room not in _tables:
        _tables[room] = [fluidlite.functional.zeros(room) for _ in range(3)]
    param, moment1, moment2 = (table[:height] for table in _tables[room])
    grad = update_grad(workload)
    grads = [fluidlite.SelectedRows(rows=ids, value=grad, height=height) for ids in batches]
    update = fluidlite.functional.sparse_adam_

    def step(s):
        update(param, moment1, moment2, grads[s % len(grads)], s + 1, learning_rate=0.01)

    return step, batches, None
