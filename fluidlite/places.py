"""Devices by Fluid's names. There is one: the CPU."""

import contextlib
import os

from .errors import InvalidArgumentError, UnavailableError, here


class CPUPlace:
    """The CPU."""

    def __repr__(self):
        return "CPUPlace"

    def __eq__(self, other):
        return isinstance(other, CPUPlace)

    __hash__ = object.__hash__


class CUDAPlace:
    """A GPU, which fluidlite does not use: programs may name it in a branch that they do not take."""

    def __init__(self, device_id=0):
        raise UnavailableError(
            "CUDAPlace is not available: fluidlite computes on the CPU.", hint="use fluid.CPUPlace()."
        )


class CUDAPinnedPlace(CUDAPlace):
    """Pinned host memory, which needs a GPU."""


def is_compiled_with_cuda():
    """False: programs ask this before they choose a place."""
    return False


def cpu_places(device_count=None):
    """A list of CPU places, as many as `device_count` or the environment variable CPU_NUM (default 1) say."""
    return [CPUPlace() for _ in range(device_count or int(os.environ.get("CPU_NUM", 1)))]


def cuda_places(device_ids=None):
    """A list of GPUs, of which there are none: raises UnavailableError, as `CUDAPlace` does."""
    return [CUDAPlace(device_ids)]


@contextlib.contextmanager
def device_guard(device=None):
    """``with device_guard('cpu'):`` says where ops run. Every op runs on the CPU, so this only checks its argument.

    Args:
        device: 'cpu', 'gpu', '' or None (default), which all mean the same here. Fluid without GPUs does the same.
    """
    if device not in ("cpu", "gpu", "", None):
        raise InvalidArgumentError(
            f"device_guard() does not know the device {device!r}.", expected="'cpu', 'gpu', '' or None", where=here()
        )
    yield
