# Made by tools/make_stubs.py.
from fluidlite.optimizer.base import Optimizer as _Optimizer
from typing import Any

class AdagradOptimizer(_Optimizer):
    type: Any
    def __init__(self, learning_rate: Any, epsilon: float = ..., parameter_list: Any = ..., regularization: Any = ..., grad_clip: Any = ..., name: str | None = ..., initial_accumulator_value: float = ...) -> None: ...
class RMSPropOptimizer(_Optimizer):
    type: Any
    def __init__(self, learning_rate: Any, rho: float = ..., epsilon: float = ..., momentum: float = ..., centered: bool = ..., parameter_list: Any = ..., regularization: Any = ..., grad_clip: Any = ..., name: str | None = ..., *, lazy_mode: bool = ...) -> None: ...
class FtrlOptimizer(_Optimizer):
    type: Any
    def __init__(self, learning_rate: Any, l1: float = ..., l2: float = ..., lr_power: float = ..., parameter_list: Any = ..., regularization: Any = ..., grad_clip: Any = ..., name: str | None = ...) -> None: ...
Adagrad = AdagradOptimizer
RMSProp = RMSPropOptimizer
Ftrl = FtrlOptimizer
