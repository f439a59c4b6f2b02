# Made by tools/make_stubs.py.
from fluidlite.variable import Variable
from typing import Any

def dropout(x: Any, dropout_prob: Any, is_test: bool = ..., seed: int | None = ..., name: str | None = ..., dropout_implementation: str = ...) -> Variable: ...
