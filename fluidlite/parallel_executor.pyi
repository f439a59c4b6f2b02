# Made by tools/make_stubs.py.
from collections.abc import Sequence
from fluidlite.executor import Executor as Executor
from fluidlite.framework import Program
from fluidlite.places import CPUPlace as CPUPlace
from fluidlite.places import CUDAPlace as CUDAPlace
from fluidlite.scope import Scope
from typing import Any

class ParallelExecutor:
    def __init__(self, use_cuda: Any, loss_name: Any = ..., main_program: Program | None = ..., share_vars_from: Any = ..., exec_strategy: Any = ..., build_strategy: Any = ..., num_trainers: int = ..., trainer_id: int = ..., scope: Scope | None = ...) -> None: ...
    @property
    def device_count(self) -> Any: ...
    def run(self, fetch_list: Sequence[Any], feed: Any = ..., feed_dict: Any = ..., return_numpy: bool = ...) -> Any: ...
    def drop_local_exe_scopes(self) -> None: ...
