# Made by tools/make_stubs.py.
from fluidlite.compiler import BuildStrategy as _BuildStrategy
from fluidlite.framework import Program
from fluidlite.incubate.fleet.base.fleet_base import DistributedOptimizer as _DistributedOptimizer
from fluidlite.incubate.fleet.base.fleet_base import Fleet as _Fleet
from typing import Any

class Collective(_Fleet):
    def __init__(self) -> None: ...
    def distributed_optimizer(self, optimizer: Any, strategy: Any = ...) -> Any: ...
    def save_inference_model(self, executor: Any, dirname: Any, feeded_var_names: Any = ..., target_vars: Any = ..., main_program: Program | None = ..., export_for_deployment: bool = ...) -> None: ...
    def save_persistables(self, executor: Any, dirname: Any, main_program: Program | None = ..., filename: Any = ...) -> None: ...
fleet: Any
class DistributedStrategy(_BuildStrategy):
    def __init__(self) -> None: ...
    exec_strategy: Any
    recompute_checkpoints: Any
class CollectiveOptimizer(_DistributedOptimizer):
    def __init__(self, optimizer: Any, strategy: Any = ...) -> None: ...
    def minimize(self, loss: Any, startup_program: Program | None = ..., parameter_list: Any = ..., no_grad_set: Any = ...) -> Any: ...  # type: ignore[override]
