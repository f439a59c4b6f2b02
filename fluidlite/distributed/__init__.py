"""Training on many machines over MPI: see `Job`, and `fluidlite.incubate.fleet` for Fluid's faces of it."""

from ..ownership import owner_of
from .communicator import Communicator
from .job import Job, RemoteError, commands, current, start

__all__ = ["Communicator", "Job", "RemoteError", "commands", "current", "owner_of", "start"]
