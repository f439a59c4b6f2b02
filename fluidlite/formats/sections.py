"""Files of sections: arrays as raw little-endian, row-major bytes, one after the other, and a CRC-32 of each file.

An entry is a dict that says where its sections are: ``file``, ``offset``, and ``parts``, a list of [dtype, shape]. The
entries of a file leave no gap between them, so their sizes add up to the size of the file.
"""

import contextlib
import math
import os
import zlib
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .files import Source, open_source

# Bytes that are written, read and summed at a time: few enough to stay in a cache.
SLAB = 1 << 22
# Entries of so many bytes have a file of their own.
_OWN_FILE_FROM = 1 << 20
# Bytes of an array that are handed on at a time, where they lie: more, since threads wait for each other in between.
_VIEW = 1 << 24
# Below this, handing bytes to another thread costs more than summing them.
_SUM_ASIDE_FROM = 1 << 18

DTYPES = {
    name: np.dtype(name)
    for name in "bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float16 float32 float64".split()
}

# An array to be written: ``slabs()`` yields its bytes as flat uint8 arrays, valid until the next one is asked for.
Part = namedtuple("Part", ["dtype", "shape", "slabs"])


def array_part(array):
    """All of an array. It is not copied, unless a slab at a time."""

    def slabs():
        if array.flags.c_contiguous:
            flat = array.reshape(-1).view(np.uint8)
            for start in range(0, flat.size, _VIEW):
                yield flat[start : start + _VIEW]
            return
        per_slab = max(1, SLAB // max(1, array[:1].nbytes))
        for start in range(0, len(array), per_slab):
            yield np.ascontiguousarray(array[start : start + per_slab]).reshape(-1).view(np.uint8)

    return Part(array.dtype, array.shape, slabs)


def rows_part(array, rows):
    """The rows of an array that are named."""

    def slabs():
        per_slab = max(1, SLAB // max(1, array[:1].nbytes))
        buffer = np.empty((min(per_slab, len(rows)), *array.shape[1:]), array.dtype)
        for start in range(0, len(rows), per_slab):
            some = rows[start : start + per_slab]
            taken = np.take(array, some, axis=0, out=buffer[: len(some)], mode="clip")
            yield taken.reshape(-1).view(np.uint8)

    return Part(array.dtype, (len(rows), *array.shape[1:]), slabs)


def part_bytes(part):
    """The bytes of one of an entry's `parts`, or of a `Part`."""
    dtype, shape = part[:2]
    return math.prod(shape) * np.dtype(dtype).itemsize


def parts_bytes(parts):
    return sum(part_bytes(part) for part in parts)


# ------------------------------------------------------------------------------------------------------------- writing


class _Writer:
    """A new file that is summed while it is written, on another thread where that pays."""

    def __init__(self, path, summing):
        self.file, self.summing = open(path, "xb", buffering=1 << 18), summing
        self.size = self.crc = 0

    def write(self, slab):
        if slab.nbytes < _SUM_ASIDE_FROM:
            self.crc = zlib.crc32(slab, self.crc)
            self.file.write(slab)
        else:
            crc = self.summing.submit(zlib.crc32, slab, self.crc)
            try:
                self.file.write(slab)
            finally:
                # The slab may be written over as soon as this returns.
                self.crc = crc.result()
        self.size += slab.nbytes

    def finish(self):
        self.file.flush()
        os.fsync(self.file.fileno())
        return {"size": self.size, "crc32": self.crc}


def write_entries(folder, entries, own=()):
    """Write arrays to new files of a folder and wait until the disk has them.

    Args:
        entries: list of (entry, parts); the dicts are completed with ``file``, ``offset`` and ``parts``.
        own: kinds of entries that have files of their own whatever their size.

    Returns:
        dict: {file name: {'size', 'crc32'}}. Large entries have files of their own, ``table-0000`` and so on; all
        others are in ``values``.
    """
    groups = {True: [], False: []}
    for entry, parts in entries:
        groups[entry["kind"] in own or parts_bytes(parts) >= _OWN_FILE_FROM].append((entry, parts))
    large, small = groups[True], groups[False]
    groups = {"values": small} if small else {}
    groups |= {f"table-{k:04}": [one] for k, one in enumerate(large)}
    files = {}
    with ThreadPoolExecutor(1, "fluidlite checksum") as summing:
        for name, group in groups.items():
            writer = _Writer(os.path.join(folder, name), summing)
            with writer.file:
                for entry, parts in group:
                    described = [[np.dtype(part.dtype).name, list(part.shape)] for part in parts]
                    entry.update(file=name, offset=writer.size, parts=described)
                    for part in parts:
                        for slab in part.slabs():
                            writer.write(slab)
                files[name] = writer.finish()
    return files


# ------------------------------------------------------------------------------------------------------------- reading


class SectionSource(Source):
    """A Source that sums what is read."""

    def __init__(self, source):
        super().__init__(source.file, source.name, source.size)
        self.crc = 0

    def fill(self, array, what):
        self.require(array.nbytes, what)
        flat = array.reshape(-1).view(np.uint8)
        for start in range(0, flat.size, SLAB):
            slab = flat[start : start + SLAB]
            super().fill(slab, what)
            self.crc = zlib.crc32(slab, self.crc)

    def read(self, part, what):
        """An array of one of an entry's `parts`."""
        array = np.empty(tuple(part[1]), DTYPES[part[0]])
        self.fill(array, what)
        return array

    def slabs(self, part, what):
        """The rows of a part, some MB at a time: (number of the first row, array), valid until the next one."""
        (n, *dims), dtype = part[1], DTYPES[part[0]]
        per_slab = max(1, SLAB // max(1, math.prod(dims) * dtype.itemsize))
        buffer = np.empty((min(per_slab, n), *dims), dtype)
        for start in range(0, n, per_slab):
            slab = buffer[: min(per_slab, n - start)]
            self.fill(slab, what)
            yield start, slab

    def pass_over(self, n, what):
        """Sum bytes that nobody needs."""
        scratch = np.empty(min(n, SLAB), np.uint8)
        while n:
            self.fill(scratch[: min(n, SLAB)], what)
            n -= min(n, SLAB)


@contextlib.contextmanager
def open_sections(path, described, what):
    """A `SectionSource`, from the beginning to the end of a file; afterwards its sum is compared.

    Args:
        described: {'size', 'crc32'} of the file when it was written.
        what: the kind of file, for messages.

    Raises:
        NotFoundError: the file is missing.
        InvalidArgumentError: it has another size, or other bytes than were written.
    """
    with open_source(path, what) as plain:
        if plain.size != described["size"]:
            raise plain.damaged(
                "it has another size than when it was written",
                expected=f"{described['size']} bytes",
                actual=f"{plain.size} bytes",
            )
        source = SectionSource(plain)
        yield source
        source.pass_over(source.left, "what nobody needs")
        if source.crc != described["crc32"]:
            raise source.damaged(
                "its bytes have changed since they were written",
                expected=f"CRC-32 {described['crc32']:08x}",
                actual=f"CRC-32 {source.crc:08x}",
            )
