"""Rows of a table by id: gather, merge, scatter.

A gradient comes as *chunks*, a sequence of `(rows, value, padding_id)`, one per lookup that made it:

* `rows`: int64 (n,), any order, duplicates allowed, any stride;
* `value`: float32 or float64 (n, D), contiguous within a row; the rows may lie anywhere (a view of a wider array, or
  one row broadcast with stride 0) and are read where they are;
* `padding_id`: None, or an id whose occurrences in this chunk are ignored.

Duplicates inside and across chunks are summed in the order of (chunk, position), in the dtype of the value. All ids,
paddings too, must lie in [0, height); all of them are checked before anything is written.

Inputs may be read-only. A position counts over the ids of all chunks, one after the other.
"""

from cpython.number cimport PyNumber_Index
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

import numpy

from fluidlite._kernels._arrays cimport (
    FLOAT32,
    INT64,
    REAL,
    UNALIGNED,
    Array,
    Held,
    hold,
    release,
    require_contiguous,
    require_disjoint,
    require_unit_columns,
)
from fluidlite._kernels._cpu cimport variant, variants
from fluidlite._kernels._parallel cimport chunk_fn, run_chunks
from fluidlite._kernels._row_batch cimport (
    RowBatch,
    batch_rows,
    copy_row,
    padding_of,
    prefetch_distance,
    prefetch_row,
    raise_flag,
    row_job,
)

from fluidlite._kernels._row_batch import IdOutOfRange

cdef extern from "row_update.h":
    void count_chunk(void* ctx, Py_ssize_t chunk) noexcept nogil
    const variants merge_chunk
    const variants add_rows_chunk

cdef enum:
    CHECK_BLOCK = 65536                 # ids per chunk of checking, where nothing else is done
    COPY_STEP = 65536                   # elements per chunk of a copy

cdef struct Gather:
    const char* table
    const char* ids
    char* out
    Py_ssize_t id_stride
    Py_ssize_t out_stride
    Py_ssize_t row_bytes
    Py_ssize_t n
    Py_ssize_t step
    int64_t height
    int64_t padding_id
    int refused


cdef inline int64_t _gather_id(const Gather* g, Py_ssize_t i) noexcept nogil:
    return (<const int64_t*>(g.ids + i * g.id_stride))[0]


cdef void _check_block(void* ctx, Py_ssize_t block) noexcept nogil:
    cdef Gather* g = <Gather*>ctx
    cdef Py_ssize_t begin = block * CHECK_BLOCK
    cdef Py_ssize_t i
    cdef bint refused = False
    for i in range(begin, min(begin + CHECK_BLOCK, g.n)):
        refused |= <uint64_t>_gather_id(g, i) >= <uint64_t>g.height
    if refused:
        raise_flag(&g.refused)


cdef void _gather_chunk(void* ctx, Py_ssize_t chunk) noexcept nogil:
    cdef Gather* g = <Gather*>ctx
    cdef Py_ssize_t begin = chunk * g.step
    cdef Py_ssize_t end = min(begin + g.step, g.n)
    cdef Py_ssize_t ahead = prefetch_distance(g.row_bytes)
    cdef Py_ssize_t fetched = begin
    cdef Py_ssize_t i
    cdef int64_t id
    for i in range(begin, end):
        while fetched < end and fetched <= i + ahead:
            prefetch_row(g.table + _gather_id(g, fetched) * g.row_bytes, g.row_bytes)
            fetched += 1
        id = _gather_id(g, i)
        if id == g.padding_id:
            memset(g.out + i * g.out_stride, 0, g.row_bytes)
        else:
            copy_row(g.out + i * g.out_stride, g.table + id * g.row_bytes, g.row_bytes)


cdef int _require_separate_rows(const Array* out, str name) except -1:
    if out.view.shape[0] > 1 and abs(out.view.strides[0]) < out.view.shape[1] * out.view.itemsize:
        raise ValueError(f"rows of `{name}` share memory; pass an array whose rows lie apart")
    return 0


def gather_rows(table, ids, out, padding_id=None):
    """out[i] = table[ids[i]], and zeros where ids[i] == padding_id.

    table (V, D) C-contiguous and out (N, D), both float32 or both float64; ids (N,) int64. The rows of `out` may lie
    apart, as in a view of a wider array. `table` and `ids` may be read-only, and `table` may lie at any address: a
    table mapped from a file of Fluid's begins where its header ends.

    Raises IdOutOfRange before anything is written if an id, padding or not, is outside [0, V).
    """
    cdef Held held
    cdef Gather g
    cdef Array* t
    cdef Array* i
    cdef Array* o
    held.count = 0
    try:
        t = hold(&held, table, "table", 2, REAL | UNALIGNED, False)
        i = hold(&held, ids, "ids", 1, INT64, False)
        o = hold(&held, out, "out", 2, t.kind, True)
        require_contiguous(t, "table")
        require_unit_columns(o, "out")
        _require_separate_rows(o, "out")
        if o.view.shape[0] != i.view.shape[0] or o.view.shape[1] != t.view.shape[1]:
            raise ValueError(f"`out` must have shape {(i.view.shape[0], t.view.shape[1])} (ids, width of the table), "
                             f"but has {(o.view.shape[0], o.view.shape[1])}")
        require_disjoint(o, "out", t, "table")
        require_disjoint(o, "out", i, "ids")
        g.table, g.ids, g.out = <const char*>t.view.buf, <const char*>i.view.buf, <char*>o.view.buf
        g.id_stride, g.out_stride = i.view.strides[0], o.view.strides[0]
        g.row_bytes = t.view.shape[1] * t.view.itemsize
        g.n, g.height = i.view.shape[0], t.view.shape[0]
        g.step = max(COPY_STEP // (t.view.shape[1] + 16), 1)
        g.padding_id = padding_of(padding_id, g.height)
        g.refused = 0
        with nogil:
            run_chunks(_check_block, &g, (g.n + CHECK_BLOCK - 1) // CHECK_BLOCK)
            if not g.refused:
                run_chunks(_gather_chunk, &g, (g.n + g.step - 1) // g.step)
        if g.refused:
            for position in range(g.n):
                if not 0 <= _gather_id(&g, position) < g.height:
                    raise IdOutOfRange(_gather_id(&g, position), position, g.height)
            raise RuntimeError("`ids` changed while a kernel read them")
    finally:
        release(&held)


def scatter_add_rows(out, chunks):
    """out[row] += value, occurrence by occurrence, for every row of `chunks` that is no padding.

    out (V, D) C-contiguous, of the dtype of the values.
    """
    cdef Held held
    cdef row_job job
    cdef RowBatch batch
    cdef Array* o
    cdef chunk_fn fn
    cdef bint ready
    held.count = 0
    try:
        o = hold(&held, out, "out", 2, REAL, True)
        require_contiguous(o, "out")
        batch = batch_rows(chunks, o.view.shape[0], o.view.shape[1], o.kind)
        batch.require_disjoint(o, "out")
        fn = variant(&add_rows_chunk, o.kind)
        memset(&job, 0, sizeof(job))
        job.rows, job.param = &batch.rows, o.view.buf
        with nogil:
            ready = batch.prepare()
            if ready:
                run_chunks(fn, &job, batch.rows.n_steps)
        if not ready:
            batch.refuse()
    finally:
        release(&held)


cdef Py_ssize_t _count_unique(row_job* job) noexcept nogil:
    """Leaves in job.begins where the output of each chunk of work begins; returns the number of unique rows."""
    cdef Py_ssize_t step, count, total = 0
    run_chunks(count_chunk, job, job.rows.n_steps)
    for step in range(job.rows.n_steps):
        count = job.begins[step]
        job.begins[step] = total
        total += count
    return total


def merge_rows(chunks, height):
    """Sums duplicates: returns `(rows, value)`, rows sorted and unique, as fresh arrays.

    rows int64 (n,), value (n, D) in the dtype of the values. `height` bounds the ids; any int64 will do.
    """
    cdef Held held
    cdef row_job job
    cdef RowBatch batch
    cdef chunk_fn fn
    cdef bint ready
    cdef Py_ssize_t n = 0
    cdef int64_t limit
    try:
        height = PyNumber_Index(height)
    except TypeError:
        raise TypeError(f"`height` must be an integer, but is {height!r}") from None
    if not 0 <= height < 1 << 63:
        raise ValueError(f"`height` must lie in [0, 2^63), but is {height}")
    limit = height
    if isinstance(chunks, (list, tuple)) and len(chunks) == 0:
        raise ValueError("`chunks` is empty, so that the width and the dtype of the result are unknown")
    batch = batch_rows(chunks, limit, -1, REAL)
    memset(&job, 0, sizeof(job))
    job.rows = &batch.rows
    held.count = 0
    try:
        with nogil:
            ready = batch.prepare()
            if ready and batch.rows.n_steps > 0:
                job.begins = <Py_ssize_t*>malloc(batch.rows.n_steps * sizeof(Py_ssize_t))
                if job.begins != NULL:
                    n = _count_unique(&job)
        if not ready:
            batch.refuse()
        if batch.rows.n_steps > 0 and job.begins == NULL:
            raise MemoryError(f"no memory to merge {batch.size} rows")
        rows = numpy.empty(n, numpy.int64)
        value = numpy.empty((n, batch.rows.width), numpy.float32 if batch.kind == FLOAT32 else numpy.float64)
        job.merged_rows = <int64_t*>hold(&held, rows, "rows", 1, INT64, True).view.buf
        job.param = hold(&held, value, "value", 2, REAL, True).view.buf
        fn = variant(&merge_chunk, batch.kind)
        with nogil:
            run_chunks(fn, &job, batch.rows.n_steps)
        return rows, value
    finally:
        free(job.begins)
        release(&held)
