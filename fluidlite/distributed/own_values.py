"""Which variables each rank has of its own."""

from ..framework import _is_training_op


def written_forward(program):
    """The names of what ops of the forward pass write: among the persistable variables, statistics of batches and
    counters. They follow the batches of a rank; all others are kept equal on all ranks."""
    ops = [op for block in program.blocks for op in block.ops if not _is_training_op(op)]
    return {name for op in ops for name in op.output_arg_names}
