# Made by tools/make_stubs.py.
from fluidlite.variable import Parameter as Parameter
from fluidlite.variable import Variable as Variable
from typing import Any

EMPTY: str
GRAD_SUFFIX: str
def append_backward(loss: Any, parameter_list: Any = ..., no_grad_set: Any = ..., callbacks: Any = ..., checkpoints: Any = ...) -> list[tuple[Parameter, Variable]]: ...
def gradients(targets: Any, inputs: Any, target_gradients: Any = ..., no_grad_set: Any = ...) -> list[Any]: ...
