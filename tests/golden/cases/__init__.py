"""Programs that run unchanged on Fluid 1.8.5 (to record) and on fluidlite (to compare), by family.

A family is a module of this package. ``CASES`` maps the name of every case to the case, which knows its family.
"""

from . import (
    activation,
    backward,
    clip,
    control_flow,
    convolution,
    creation,
    curves,
    elementwise,
    embedding,
    indexing,
    initializer,
    logical,
    loss,
    manipulation,
    matmul,
    metric,
    nets,
    normalization,
    operators,
    optimizer,
    programs,
    published,
    reader,
    recurrent,
    reduction,
    sequence,
    similarity,
    stochastic,
)
from .case import CASES

FAMILIES = (
    embedding,
    activation,
    elementwise,
    operators,
    matmul,
    reduction,
    manipulation,
    loss,
    metric,
    normalization,
    recurrent,
    convolution,
    sequence,
    nets,
    stochastic,
    indexing,
    logical,
    similarity,
    creation,
    backward,
    initializer,
    optimizer,
    clip,
    control_flow,
    programs,
    published,
    curves,
    reader,
)

__all__ = ["CASES", "FAMILIES"]
