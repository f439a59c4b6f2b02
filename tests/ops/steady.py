"""A step that has been run before allocates nothing of the size of the batch."""

import tracemalloc

import numpy as np

from fluidlite.buffers import Buffer
from fluidlite.dtypes import numpy_dtype

from .running import infer, make_op

# NumPy casts and broadcasts through buffers of 8192 elements; any array of the batch, even of bool, is larger.
ALLOWANCE = 60_000


def peak_of_second_run(type, inputs, attrs=None):
    """Bytes that an op allocates at most while it runs again with the buffers it has. Each array counts."""
    op = make_op(type, attrs)
    buffers = [Buffer(numpy_dtype(meta.dtype)) for meta in infer(op, inputs).values()]
    values = [inputs.get(slot.name) for slot in op.inputs]
    op.run(*values, *buffers)
    tracemalloc.start()
    try:
        op.run(*values, *buffers)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def batch(*shape):
    """Positive float32 numbers."""
    return np.random.RandomState(3).uniform(0.5, 1.5, shape).astype(np.float32)
