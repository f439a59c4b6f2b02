"""Training on many machines over MPI: see `Job`, and `fluidlite.incubate.fleet` for Fluid's faces of it."""

import importlib

from .current import commands, current, start

__all__ = ["Communicator", "Job", "RemoteError", "commands", "current", "owner_of", "start"]

_HOMES = {"Communicator": ".communicator", "Job": ".job", "RemoteError": ".failure", "owner_of": "..ownership"}


def __getattr__(name):
    """What only jobs need is imported when it is asked for."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
