"""Real Fluid 1.8.5 (Python 3.7): fluidlite's programs, unchanged, with Adam(lazy_mode=True): it has no SparseAdam."""

import fluid_programs
import paddle
import paddle.fluid as fluid


def versions():
    return {"Fluid": paddle.__version__}


def set_threads(n):
    """Fluid reads OMP_NUM_THREADS when it is imported; the benchmark sets it."""


def make_optimizer(workload):
    rate = 0.001 if workload["kind"] in ("ngram", "deepfm") else 0.01
    return fluid.optimizer.Adam(rate, lazy_mode=True)


def build(workload):
    if workload["kind"] == "update":
        raise ValueError("Fluid has no call for the row update alone")
    step, batches = fluid_programs.build(fluid, workload, make_optimizer)
    return step, batches, None
