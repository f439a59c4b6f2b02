# Made by tools/make_stubs.py.
from fluidlite.optimizer.base import Optimizer as _Optimizer
from fluidlite.variable import Variable as Variable
from typing import Any

class AdamOptimizer(_Optimizer):
    type: Any
    def __init__(self, learning_rate: Any = ..., beta1: float = ..., beta2: float = ..., epsilon: float = ..., parameter_list: Any = ..., regularization: Any = ..., grad_clip: Any = ..., name: str | None = ..., lazy_mode: bool = ...) -> None: ...
class SparseAdamOptimizer(_Optimizer):
    type: Any
    def __init__(self, learning_rate: Any = ..., beta1: float = ..., beta2: float = ..., epsilon: float = ..., parameter_list: Any = ..., regularization: Any = ..., grad_clip: Any = ..., name: str | None = ...) -> None: ...
Adam = AdamOptimizer
SparseAdam = SparseAdamOptimizer
