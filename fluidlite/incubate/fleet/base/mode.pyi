# Made by tools/make_stubs.py.
from typing import Any

class Mode:
    TRANSPILER: Any
    PSLIB: Any
    COLLECTIVE: Any
