"""Programs that run unchanged on Fluid 1.8.5 (to record) and on fluidlite (to compare), by family.

A family is a module of this package. ``CASES`` maps the name of every case to the case, which knows its family.
"""

from . import (
    activation,
    backward,
    elementwise,
    embedding,
    initializer,
    loss,
    manipulation,
    matmul,
    metric,
    operators,
    optimizer,
    programs,
    reduction,
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
    backward,
    initializer,
    optimizer,
    programs,
)

__all__ = ["CASES", "FAMILIES"]
