"""Tiles of an (N, D) array and the sums of its columns; see columns.h."""

from fluidlite._kernels._arrays cimport Array
from fluidlite._kernels._cpu cimport variants

cdef extern from "columns.h":
    ctypedef struct column_tiles:
        Py_ssize_t size
        Py_ssize_t width
        Py_ssize_t fold
        Py_ssize_t wide
        Py_ssize_t n_blocks
        double* sums
        void* out

    void plan_tiles(column_tiles* c, Py_ssize_t height, Py_ssize_t width) noexcept nogil
    Py_ssize_t count_tiles(const column_tiles* c) noexcept nogil

cdef int plan_sums(column_tiles* c, Py_ssize_t height, Py_ssize_t width, const Array* out) except -1
cdef void end_sums(column_tiles* c) noexcept
cdef void fold_sums(column_tiles* c, const variants* fold_columns_chunk, int kind) noexcept nogil
