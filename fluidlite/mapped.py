"""Arrays whose memory comes page by page as they are touched: reserved address space, or a file.

`Reserve` is how tables grow without a copy: the array has its last size from the start, reads as zeros, and costs
what was written. With FLAGS_table_mmap_dir, its pages lie in a file without a name in that folder, so that a table may
be larger than memory; the file goes when the process ends.

A forked child has a copy of reserved memory, page by page as either side writes. Files are shared: a child that writes
writes into its parent's table.
"""

import mmap
import os
import sys
import tempfile
import weakref

import numpy as np

from . import flags
from .buffers import format_bytes, memory_limit
from .errors import ResourceExhaustedError

# Python 3.11 does not name it.
_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0x40)
# Huge pages are asked for behind this many bytes: a small array should not take a whole one.
_SMALL = 1 << 22
# The disk is asked for so many bytes at a time.
_DISK_STEP = 1 << 26
# Ordinary arrays of at least this size go to files.
SMALLEST_FILE = 1 << 26


def room_for(row_bytes):
    """How many rows of this size it makes sense to reserve: twice what memory, or the disk of the folder, can hold."""
    folder = flags.table_mmap_dir()
    if folder:
        disk = os.statvfs(folder)
        return disk.f_blocks * disk.f_frsize // row_bytes
    return 2 * memory_limit() // row_bytes


class Reserve:
    """An array of zeros of shape `shape`, whose memory comes as it is touched.

    Attributes: array; in_file, whether its pages lie in a file.

    Raises ResourceExhaustedError, naming `what`, if the system gives no address space or the folder no file.
    """

    __slots__ = ("array", "in_file", "_map", "_file", "_on_disk", "_row_bytes")  # _file: a descriptor, or None

    def __init__(self, shape, dtype, what):
        dtype, (height, *rest) = np.dtype(dtype), shape
        self._row_bytes = int(np.prod(rest, dtype=np.int64)) * dtype.itemsize
        nbytes = max(height * self._row_bytes, 1)
        folder = flags.table_mmap_dir()
        self.in_file, self._file, self._on_disk = bool(folder), None, 0
        try:
            if folder:
                self._file = _nameless_file(folder, nbytes)
                self._map = mmap.mmap(self._file, nbytes)
                weakref.finalize(self._map, os.close, self._file)
                if hasattr(mmap, "MADV_RANDOM"):  # rows lie anywhere: reading ahead would fill memory with neighbours
                    self._map.madvise(mmap.MADV_RANDOM)
            else:
                kind = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
                self._map = mmap.mmap(-1, nbytes, flags=kind)
                if nbytes > 2 * _SMALL and hasattr(mmap, "MADV_HUGEPAGE"):
                    self._map.madvise(mmap.MADV_HUGEPAGE, _SMALL)
        except (OSError, OverflowError, ValueError) as error:
            raise ResourceExhaustedError(
                f"{what} cannot reserve {format_bytes(nbytes)}"
                + (f" in a file in {folder!r} (FLAGS_table_mmap_dir)" if folder else " of address space")
                + f": {error}.",
                hint=None
                if folder
                else "give the table a smaller size[0]; a system that forbids overcommitment (vm.overcommit_memory=2) "
                "counts what is reserved as if it were used.",
            ) from None
        self.array = np.frombuffer(self._map, dtype, height * self._row_bytes // dtype.itemsize).reshape(shape)

    def commit(self, n_rows, what):
        """Be sure of room for the first rows: a file on a full disk would end the process when a page is written."""
        nbytes = n_rows * self._row_bytes
        if self._file is None or nbytes <= self._on_disk or not hasattr(os, "posix_fallocate"):
            return
        nbytes = min(-(-nbytes // _DISK_STEP) * _DISK_STEP, len(self._map))
        try:
            os.posix_fallocate(self._file, self._on_disk, nbytes - self._on_disk)
        except OSError as error:
            raise ResourceExhaustedError(
                f"{what} needs {format_bytes(nbytes)} in {flags.table_mmap_dir()!r} (FLAGS_table_mmap_dir): {error}."
            ) from None
        self._on_disk = nbytes

    def clear(self, begin, end):
        """Rows begin:end are zero again, and memory that they alone used is free."""
        first, last = begin * self._row_bytes, end * self._row_bytes
        page = mmap.PAGESIZE
        whole, stop = -(-first // page) * page, last // page * page
        if self.in_file or whole >= stop:
            self.array[begin:end] = 0
            return
        flat = self.array.reshape(-1).view(np.uint8)
        flat[first:whole] = 0
        self._map.madvise(mmap.MADV_DONTNEED, whole, stop - whole)
        flat[stop:last] = 0


def _nameless_file(folder, nbytes):
    """The descriptor of an empty file that reads as `nbytes` zeros and has no name."""
    file, path = tempfile.mkstemp(dir=folder)
    try:
        os.unlink(path)
        os.truncate(file, nbytes)
    except BaseException:
        os.close(file)
        raise
    return file


def file_array(shape, dtype, what):
    """An ordinary array of zeros in a file, with its room on the disk."""
    reserve = Reserve(shape, dtype, what)
    reserve.commit(shape[0], what)
    return reserve.array
