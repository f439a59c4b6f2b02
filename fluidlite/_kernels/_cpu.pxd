"""Which variant of a kernel this process uses."""

from fluidlite._kernels._parallel cimport chunk_fn

cdef extern from "variants.h":
    ctypedef struct variants:
        pass

cdef chunk_fn variant(const variants* table, int kind) noexcept nogil
