"""Arrays that are views of a file: their pages come when they are read, and processes that map a file share them."""

import math
import mmap

import numpy as np

# Below this, a copy costs less than the pages of a mapping.
SMALLEST_MAPPED = 1 << 20


def map_file(source, *, preload=False):
    """The bytes of a `Source` on an ordinary file as memory that cannot be written.

    None of a small file, and where the file system has no mappings.

    The file may be closed afterwards. One that is replaced by another (`os.replace`) stays as it was for those who have
    mapped it. Beware: one that is truncated ends the process at the next read, as with every mapping.

    preload: let the system begin to read the whole file.
    """
    if source.size < SMALLEST_MAPPED:
        return None
    try:
        memory = mmap.mmap(source.file.fileno(), source.size, access=mmap.ACCESS_READ)
    except OSError:
        return None
    if preload and hasattr(mmap, "MADV_WILLNEED"):
        memory.madvise(mmap.MADV_WILLNEED)
    return memory


class MappedFile:
    """Arrays in memory that `map_file` made.

    any_address: offer also arrays at addresses that are no multiple of their item size. The tensors in Fluid's files
    begin where a header of any length ends; kernels that copy rows take them, NumPy copies them at every use.
    """

    def __init__(self, memory, *, any_address):
        self.memory, self.any_address = memory, any_address

    def offers(self, position, nbytes, dtype):
        """Whether the array at this position of the file is to be mapped: a large one, aligned where that matters."""
        if nbytes < SMALLEST_MAPPED or dtype == np.bool_:
            return False
        return self.any_address or position % dtype.itemsize == 0

    def array(self, position, shape, dtype):
        """A read-only view of the elements at this position of the file."""
        return np.frombuffer(self.memory, dtype, math.prod(shape), position).reshape(shape)
