"""Sums of all elements, and along an axis.

Arrays are C-contiguous float32 or float64; inputs may be read-only. Sums are made in blocks of fixed size, so that they
do not depend on threads: a few numbers (16 of a lane, or 64 rows) are added in the type of the array, the rest in
double.
"""

from libc.string cimport memset

from fluidlite._kernels._arrays cimport (
    REAL,
    Array,
    Held,
    hold,
    release,
    require_contiguous,
    require_disjoint,
    size_of,
)
from fluidlite._kernels._columns cimport column_tiles, count_tiles, end_sums, fold_sums, plan_sums
from fluidlite._kernels._cpu cimport variant, variants
from fluidlite._kernels._parallel cimport chunk_fn, run_chunks
from fluidlite._kernels._scratch cimport give_scratch, take_scratch

cdef extern from "reduction.h":
    const Py_ssize_t SUM_BLOCK

    ctypedef struct reduction_job:
        column_tiles columns
        const void* x
        Py_ssize_t size
        double* sums
        Py_ssize_t n_rows
        Py_ssize_t n_terms
        Py_ssize_t width
        Py_ssize_t step
        void* out

    const variants sum_chunk
    const variants sum_of_squares_chunk
    const variants sum_rows_chunk
    const variants sum_columns_tile_chunk
    const variants fold_columns_chunk

cdef enum:
    STEP = 65536                        # elements per chunk
    PARALLEL_FROM = 262144              # elements: some 50 microseconds
    FEW_BLOCKS = 32                     # whose sums have room on the stack


cdef double _sum_blocks(object x, const variants* kernel) except? -1:
    cdef Held held
    cdef reduction_job job
    cdef double few[FEW_BLOCKS]
    cdef Array* a
    cdef chunk_fn fn
    cdef Py_ssize_t n_blocks, block
    cdef double total = 0
    held.count = 0
    job.sums = few
    try:
        a = hold(&held, x, "x", -1, REAL, False)
        require_contiguous(a, "x")
        job.x, job.size = a.view.buf, size_of(a)
        n_blocks = (job.size + SUM_BLOCK - 1) // SUM_BLOCK
        if n_blocks > FEW_BLOCKS:
            job.sums = <double*>take_scratch(n_blocks * sizeof(double))
        fn = variant(kernel, a.kind)
        with nogil:
            if job.size >= PARALLEL_FROM:
                run_chunks(fn, &job, n_blocks)
            else:
                for block in range(n_blocks):
                    fn(&job, block)
            for block in range(n_blocks):
                total += job.sums[block]
        return total
    finally:
        if job.sums != few:
            give_scratch(job.sums)
        release(&held)


def sum_all(x):
    """The sum of all elements of x, of any shape, as a float. Blocks have 65,536 elements."""
    return _sum_blocks(x, &sum_chunk)


def sum_of_squares(x):
    """The sum of the squares of all elements of x, of any shape, as a float. Squares have the type of x.

    Blocks have 65,536 elements.
    """
    return _sum_blocks(x, &sum_of_squares_chunk)


cdef int _sum_columns(reduction_job* job, const Array* x, const Array* out, Py_ssize_t row) except -1:
    """out[row] = sum of the rows of x[row], its T rows cut into tiles."""
    cdef Array place = out[0]
    place.view.buf = <char*>out.view.buf + row * job.width * out.view.itemsize
    try:
        plan_sums(&job.columns, job.n_terms, job.width, &place)
        job.x = <char*>x.view.buf + row * job.n_terms * job.width * x.view.itemsize
        with nogil:
            run_chunks(variant(&sum_columns_tile_chunk, x.kind), job, count_tiles(&job.columns))
            fold_sums(&job.columns, &fold_columns_chunk, x.kind)
    finally:
        end_sums(&job.columns)
    return 0


def sum_columns(x, out):
    """out = sum of the rows of x. x (N, D), out (D,)."""
    cdef Held held
    cdef reduction_job job
    cdef Array* a
    cdef Array* o
    held.count = 0
    memset(&job, 0, sizeof(job))
    try:
        a = hold(&held, x, "x", 2, REAL, False)
        o = hold(&held, out, "out", 1, a.kind, True)
        require_contiguous(a, "x")
        require_contiguous(o, "out")
        require_disjoint(o, "out", a, "x")
        if o.view.shape[0] != a.view.shape[1]:
            raise ValueError(f"`out` must have shape ({a.view.shape[1]},) (D), but has ({o.view.shape[0]},)")
        job.n_terms, job.width = a.view.shape[0], a.view.shape[1]
        _sum_columns(&job, a, o, 0)
    finally:
        release(&held)


def sum_rows(x, out):
    """out[n] = sum over t of x[n, t]. x (N, T, D), out (N, D)."""
    cdef Held held
    cdef reduction_job job
    cdef Array* a
    cdef Array* o
    cdef Py_ssize_t row, terms
    held.count = 0
    memset(&job, 0, sizeof(job))
    try:
        a = hold(&held, x, "x", 3, REAL, False)
        o = hold(&held, out, "out", 2, a.kind, True)
        require_contiguous(a, "x")
        require_contiguous(o, "out")
        require_disjoint(o, "out", a, "x")
        if o.view.shape[0] != a.view.shape[0] or o.view.shape[1] != a.view.shape[2]:
            raise ValueError(f"`out` must have shape {(a.view.shape[0], a.view.shape[2])} (N, D), but has "
                             f"{(o.view.shape[0], o.view.shape[1])}")
        job.n_rows, job.n_terms, job.width = a.view.shape[0], a.view.shape[1], a.view.shape[2]
        terms = job.n_terms * job.width
        if terms >= PARALLEL_FROM:
            for row in range(job.n_rows):
                _sum_columns(&job, a, o, row)
            return
        job.x, job.out, job.size = a.view.buf, o.view.buf, size_of(a)
        job.step = max(job.n_rows, 1) if job.size < PARALLEL_FROM else max(STEP // max(terms, 1), 1)
        with nogil:
            run_chunks(variant(&sum_rows_chunk, a.kind), &job, (job.n_rows + job.step - 1) // job.step)
    finally:
        release(&held)
