# Made by tools/make_stubs.py.
from typing import Any

class Initializer:
    def __call__(self, var: Any, block: Any) -> None: ...
def fans(variable: Any) -> Any: ...
class ConstantInitializer(Initializer):
    def __init__(self, value: float = ..., force_cpu: bool = ...) -> None: ...
    def __call__(self, var: Any, block: Any) -> Any: ...
    force_cpu: Any
    value: Any
class UniformInitializer(Initializer):
    def __init__(self, low: float = ..., high: float = ..., seed: int = ..., diag_num: int = ..., diag_step: Any = ..., diag_val: float = ...) -> None: ...
    def __call__(self, var: Any, block: Any) -> Any: ...
    diagonal: Any
    high: Any
    low: Any
    seed: Any
class NormalInitializer(Initializer):
    type: Any
    def __init__(self, loc: float = ..., scale: Any = ..., seed: int = ...) -> None: ...
    def __call__(self, var: Any, block: Any) -> Any: ...
    loc: Any
    scale: Any
    seed: Any
class TruncatedNormalInitializer(NormalInitializer):
    type: Any
class XavierInitializer(Initializer):
    def __init__(self, uniform: bool = ..., fan_in: Any = ..., fan_out: Any = ..., seed: int = ...) -> None: ...
    def __call__(self, var: Any, block: Any) -> Any: ...
    fan_in: Any
    fan_out: Any
    seed: Any
    uniform: Any
class MSRAInitializer(Initializer):
    def __init__(self, uniform: bool = ..., fan_in: Any = ..., seed: int = ...) -> None: ...
    def __call__(self, var: Any, block: Any) -> Any: ...
    fan_in: Any
    seed: Any
    uniform: Any
class NumpyArrayInitializer(Initializer):
    def __init__(self, value: Any) -> None: ...
    def __call__(self, var: Any, block: Any) -> Any: ...
    value: Any
Constant = ConstantInitializer
Uniform = UniformInitializer
Normal = NormalInitializer
TruncatedNormal = TruncatedNormalInitializer
Xavier = XavierInitializer
MSRA = MSRAInitializer
