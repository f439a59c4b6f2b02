# Made by tools/make_stubs.py.
from typing import Any

class ParamAttr:
    def __init__(self, name: str | None = ..., initializer: Any = ..., learning_rate: Any = ..., regularizer: Any = ..., trainable: bool = ..., do_model_average: bool = ...) -> None: ...
    do_model_average: Any
    initializer: Any
    learning_rate: Any
    name: str | None
    regularizer: Any
    trainable: Any
