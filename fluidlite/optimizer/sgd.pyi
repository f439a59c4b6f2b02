# Made by tools/make_stubs.py.
from fluidlite.optimizer.base import Optimizer as _Optimizer
from typing import Any

class SGDOptimizer(_Optimizer):
    type: Any
class MomentumOptimizer(_Optimizer):
    type: Any
    def __init__(self, learning_rate: Any, momentum: Any, parameter_list: Any = ..., use_nesterov: bool = ..., regularization: Any = ..., grad_clip: Any = ..., name: str | None = ..., *, lazy_mode: bool = ...) -> None: ...
SGD = SGDOptimizer
Momentum = MomentumOptimizer
