# Made by tools/make_stubs.py.
from typing import Any

BUILD_MODE: int
def is_transpiler() -> Any: ...
