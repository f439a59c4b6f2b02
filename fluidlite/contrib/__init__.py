"""Fluid's `fluid.contrib`, as far as embedding programs use it."""

import math

from ..dtypes import VarType, numpy_dtype
from ..entry import CountFilterEntry, ProbabilityEntry
from ..errors import InvalidArgumentError, InvalidTypeError
from ..framework import Program
from ..ops.registry import EMPTY
from . import layers
from .layers import ctr_metric_bundle, shuffle_batch, sparse_embedding

__all__ = [
    "CountFilterEntry",
    "ProbabilityEntry",
    "ctr_metric_bundle",
    "layers",
    "memory_usage",
    "shuffle_batch",
    "sparse_embedding",
]


def memory_usage(program, batch_size):
    """About how much memory a run of a program needs for what its ops compute.

    Args:
        program: a Program.
        batch_size: stands for the dimension of each variable that is known at run time only.

    Returns:
        (low, high, unit): 1.05 and 1.1 times the sizes of all op outputs, in 'B', 'KB' or 'MB' of 1024, as Fluid
        estimates; fluidlite lets variables share memory and needs less.

    Raises:
        InvalidTypeError: not a Program. InvalidArgumentError: batch_size is not positive, or a variable has two
        dimensions that are not known.

    >>> import fluidlite as fluid
    >>> hidden = fluid.layers.fc(fluid.data('x', [None, 10]), 1000)
    >>> memory_usage(fluid.default_main_program(), batch_size=7)
    (57.421875, 60.15625000000001, 'KB')
    """
    if not isinstance(program, Program):
        raise InvalidTypeError(
            "Calculating Memory Usage requires Program as its Parameter.", actual=type(program).__name__
        )
    if batch_size <= 0:
        raise InvalidArgumentError("The batch size need to be positive.", actual=str(batch_size))
    block, total = program.global_block(), 0
    for name in {name for op in block.ops for name in op.output_arg_names if name != EMPTY}:
        variable = block.var(name)
        if variable.type != VarType.LOD_TENSOR or variable.shape is None:
            continue
        if sum(d < 0 for d in variable.shape) > 1:
            raise InvalidArgumentError(
                f"The size of variable {name!r} is not known for a batch size.",
                expected="at most one dimension of -1",
                actual=str(list(variable.shape)),
            )
        dims = [batch_size if d < 0 else d for d in variable.shape]
        total += math.prod(dims) * numpy_dtype(variable.dtype).itemsize
    unit = "B"
    for larger in ("KB", "MB"):
        if total > 1024:
            total, unit = total / 1024, larger
    return total * 1.05, total * 1.1, unit
