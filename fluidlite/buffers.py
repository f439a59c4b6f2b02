"""Where ops write their outputs: buffers that are kept between steps, or fresh arrays for the Scope.

An op asks its buffer for an array of a shape, ``out((n, d))``, and may get memory that an earlier step or an earlier,
finished variable used: the contents are undefined. The plan decides which variables share one `Storage`.
"""

import math
import os

import numpy as np

from . import flags
from .errors import ResourceExhaustedError

# Below this, an allocation is not worth a question about the machine's memory.
_ASK_FROM = 1 << 28
# Bytes of a cache line.
_LINE = 64


def memory_limit():
    """Bytes that this process may hold: the machine's memory, or the limit of its control group if that is lower."""
    limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path) as f:
                text = f.read().strip()
        except OSError:
            continue
        if text.isdigit():
            limit = min(limit, int(text))
    return limit


def format_bytes(n):
    """A byte count for people: 512 B, 1.5 kB, 64 MB, 2.6 GB."""
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:,.4g} GB"


def check_memory(nbytes, what):
    """Refuse, before allocating, what cannot fit into this machine's memory."""
    if nbytes >= _ASK_FROM and nbytes > memory_limit():
        raise ResourceExhaustedError(
            f"{what} needs {format_bytes(nbytes)} of memory, more than this machine has.",
            expected=f"at most {format_bytes(memory_limit())}",
            actual=format_bytes(nbytes),
            hint="use a smaller table or fewer columns, or a machine with more memory.",
        )


def aligned_array(shape, dtype, make=np.empty):
    """An array whose first element starts a cache line, by ``np.empty`` or ``np.zeros``.

    A row of a table then never straddles one line more than it must, which is worth 10 to 15 % of a row update.
    """
    nbytes = math.prod(shape) * dtype.itemsize
    raw = make(nbytes + _LINE, np.uint8)
    start = -raw.__array_interface__["data"][0] % _LINE
    return raw[start : start + nbytes].view(dtype).reshape(shape)


class Storage:
    """A piece of memory that grows to the largest request it ever saw."""

    __slots__ = ("bytes",)

    def __init__(self):
        self.bytes = np.empty(0, np.uint8)

    def reserve(self, nbytes):
        if self.bytes.nbytes < nbytes:
            check_memory(nbytes, "A temporary variable")
            self.bytes = aligned_array((nbytes,), self.bytes.dtype)
        return self.bytes


class Buffer:
    """The array of one temporary variable, placed in a `Storage`.

    ``buffer(shape)`` is a C-contiguous array with undefined contents; the same array object as before as long as
    shape and storage stay the same, so that a steady step allocates nothing.
    """

    __slots__ = ("dtype", "storage", "_base", "_shape", "_array", "_scalar", "_spread")

    def __init__(self, dtype, storage=None):
        self.dtype = np.dtype(dtype)
        self.storage = storage if storage is not None else Storage()
        self._base = self._shape = self._array = None
        self._scalar = self._spread = None

    def __call__(self, shape):
        if shape == self._shape and self._base is self.storage.bytes:
            return self._array
        nbytes = math.prod(shape) * self.dtype.itemsize
        base = self.storage.reserve(nbytes)
        array = base[:nbytes].view(self.dtype).reshape(shape)
        # In this order, so that an interrupt between two lines leaves nothing that looks valid and is not.
        self._base = None
        self._array, self._shape = array, shape
        self._base = base
        return array

    def zeros(self, shape):
        """An array of zeros."""
        array = self(shape)
        array.fill(0)
        return array

    def spread(self, value, shape):
        """`value` in every place of `shape` without filling it: a read-only array whose strides are all zero.

        A loss gradient is such an array; 16 MB of equal numbers would cost more to write than the rest of the step.
        """
        if self._spread is None or self._spread.shape != shape:
            if self._scalar is None:
                self._scalar = np.empty((), self.dtype)
            spread = np.ndarray(shape, self.dtype, self._scalar.data, strides=(0,) * len(shape))
            spread.flags.writeable = False
            self._spread = spread
        self._scalar[()] = value
        return self._spread


class FreshBuffer:
    """A new array at every call: the outputs that go to the Scope, where somebody may hold yesterday's array.

    A large one lies in a file where FLAGS_table_mmap_dir says so.
    """

    __slots__ = ("dtype", "name")

    def __init__(self, dtype, name="A variable"):
        self.dtype = np.dtype(dtype)
        self.name = name

    def _checked(self, shape):
        check_memory(math.prod(shape) * self.dtype.itemsize, self.name)
        return shape

    def __call__(self, shape):
        return self._in_file(shape) if flags.table_mmap_dir() else aligned_array(self._checked(shape), self.dtype)

    def zeros(self, shape):
        """An array of zeros, whose pages the operating system makes when they are first touched."""
        if flags.table_mmap_dir():
            return self._in_file(shape)
        return aligned_array(self._checked(shape), self.dtype, np.zeros)

    def _in_file(self, shape):
        from .mapped import SMALLEST_FILE, file_array  # here, since that module imports this one

        if math.prod(shape) * self.dtype.itemsize >= SMALLEST_FILE:
            return file_array(shape, self.dtype, self.name)
        return aligned_array(self._checked(shape), self.dtype, np.zeros)

    def spread(self, value, shape):
        """An array filled with `value`."""
        array = self(shape)
        array.fill(value)
        return array
