"""The faces of fleet for programs that had parameter servers."""

from . import distribute_transpiler, pslib, version
