# Made by tools/make_stubs.py.
from typing import Any

def show_config(mode: str = ...) -> dict[str, Any] | None: ...
