# Made by tools/make_stubs.py.
from typing import Any

def erf(x: Any, out: Any) -> Any: ...
