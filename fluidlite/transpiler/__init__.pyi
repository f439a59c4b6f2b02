# Made by tools/make_stubs.py.
from fluidlite.memory import memory_optimize as memory_optimize
from fluidlite.memory import release_memory as release_memory
from fluidlite.transpiler.distribute_transpiler import DistributeTranspiler as DistributeTranspiler
from fluidlite.transpiler.distribute_transpiler import DistributeTranspilerConfig as DistributeTranspilerConfig
from fluidlite.transpiler.ps_dispatcher import HashName as HashName
from fluidlite.transpiler.ps_dispatcher import RoundRobin as RoundRobin


