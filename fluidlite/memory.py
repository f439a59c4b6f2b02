"""Fluid's two calls to save memory, which change nothing: a plan always shares the memory of its temporaries."""

from .errors import warn_user

__all__ = ["memory_optimize", "release_memory"]


def memory_optimize(input_program, skip_opt_set=None, print_log=False, level=0, skip_grads=True):
    """Accepted, with a warning that it has no effect, as in Fluid since 1.6."""
    warn_user("fluid.memory_optimize() has no effect: temporaries share memory without it.")


def release_memory(input_program, skip_opt_set=None):
    """Accepted, with a warning that it has no effect, as in Fluid since 1.6."""
    warn_user("fluid.release_memory() has no effect: temporaries share memory without it.")
