"""Fluid's `fluid.transpiler`: how programs became distributed before fleet."""

from ..memory import memory_optimize, release_memory
from . import distribute_transpiler, ps_dispatcher
from .distribute_transpiler import DistributeTranspiler, DistributeTranspilerConfig
from .ps_dispatcher import HashName, RoundRobin

__all__ = ["DistributeTranspiler", "memory_optimize", "release_memory", "HashName", "RoundRobin"]
__all__ += ["DistributeTranspilerConfig"]
