"""Sums of the columns of an (N, D) array: memory for the sums of the tiles, and adding them up."""

from fluidlite._kernels._cpu cimport variant
from fluidlite._kernels._parallel cimport run_chunks
from fluidlite._kernels._scratch cimport give_scratch, take_scratch

cdef extern from "columns.h":
    const Py_ssize_t FOLD_STEP
    bint needs_sums(const column_tiles* c) noexcept nogil


cdef int plan_sums(column_tiles* c, Py_ssize_t height, Py_ssize_t width, const Array* out) except -1:
    """Plans the tiles; `end_sums` gives back what this takes."""
    plan_tiles(c, height, width)
    c.out = out.view.buf
    if needs_sums(c) or c.size == 0:
        c.sums = <double*>take_scratch(c.n_blocks * c.wide * sizeof(double))
    return 0


cdef void end_sums(column_tiles* c) noexcept:
    give_scratch(c.sums)
    c.sums = NULL


cdef void fold_sums(column_tiles* c, const variants* fold_columns_chunk, int kind) noexcept nogil:
    """After all tiles: what is left to do for the sums. No rows at all sum up to zeros."""
    if needs_sums(c) or c.size == 0:
        run_chunks(variant(fold_columns_chunk, kind), c, (c.width + FOLD_STEP - 1) // FOLD_STEP)
