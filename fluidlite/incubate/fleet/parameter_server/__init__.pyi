# Made by tools/make_stubs.py.
from . import distribute_transpiler as distribute_transpiler
from . import pslib as pslib
from . import version as version


