"""Rows of sequences: pooled, normalised, and seen through windows.

`offsets` (N + 1) int64 cut T rows into N sequences: sequence n has the rows offsets[n] to offsets[n + 1], perhaps none.
They start at 0, never fall, and end at T; every kernel checks that before it reads or writes a row. Other arrays are
C-contiguous, all of one floating dtype; inputs may be read-only. Each sequence is worked on by one thread.
"""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from fluidlite._kernels._arrays cimport (
    INT32,
    INT64,
    REAL,
    Array,
    Held,
    hold,
    release,
    require_contiguous,
    require_disjoint,
)
from fluidlite._kernels._cpu cimport variant, variants
from fluidlite._kernels._parallel cimport run_chunks

cdef extern from "sequence.h":
    const int POOL_SUM, POOL_AVERAGE, POOL_SQRT, POOL_MAX, POOL_FIRST, POOL_LAST

    ctypedef struct sequence_job:
        const int64_t* offsets
        Py_ssize_t n_sequences
        Py_ssize_t width
        Py_ssize_t step
        int kind
        double pad_value
        const void* x
        const void* out_grad
        void* out
        int32_t* index
        Py_ssize_t context
        Py_ssize_t start

    const variants pool_chunk
    const variants pool_grad_chunk
    const variants softmax_steps_chunk
    const variants softmax_steps_grad_chunk
    const variants gather_context_chunk
    const variants scatter_context_chunk

cdef enum:
    STEP = 65536                        # elements per chunk, on average
    PARALLEL_FROM = 262144              # elements: some 50 microseconds
    MAX_ROWS = 2147483647               # that an int32 index can name

cdef dict _KINDS = {
    "sum": POOL_SUM,
    "average": POOL_AVERAGE,
    "sqrt": POOL_SQRT,
    "max": POOL_MAX,
    "first": POOL_FIRST,
    "last": POOL_LAST,
}


cdef int _kind(object kind) except -1:
    try:
        return _KINDS[kind]
    except (KeyError, TypeError):
        raise ValueError(f"`kind` must be one of {', '.join(map(repr, _KINDS))}, but is {kind!r}") from None


cdef Py_ssize_t _first_misfit(const int64_t* offsets, Py_ssize_t n_offsets, int64_t n_rows) noexcept nogil:
    """The first place where `offsets` are no partition of n_rows rows, -1 if they are one."""
    cdef Py_ssize_t k
    cdef bint falls = False
    if n_offsets < 1 or offsets[0] != 0:
        return 0
    for k in range(1, n_offsets):
        falls |= offsets[k] < offsets[k - 1]
    if falls:
        for k in range(1, n_offsets):
            if offsets[k] < offsets[k - 1]:
                return k
    return -1 if offsets[n_offsets - 1] == n_rows else n_offsets - 1


def first_misfit(offsets, n_rows):
    """The first place where `offsets` (N + 1) int64 are no partition of `n_rows` rows; -1 if they are one."""
    cdef Held held
    cdef Array* o
    held.count = 0
    try:
        o = hold(&held, offsets, "offsets", 1, INT64, False)
        require_contiguous(o, "offsets")
        return _first_misfit(<const int64_t*>o.view.buf, o.view.shape[0], n_rows)
    finally:
        release(&held)


cdef int _take_offsets(sequence_job* job, Held* held, object offsets, Py_ssize_t n_rows, Py_ssize_t row_size) except -1:
    cdef Array* o = hold(held, offsets, "offsets", 1, INT64, False)
    cdef Py_ssize_t misfit, size
    require_contiguous(o, "offsets")
    misfit = _first_misfit(<const int64_t*>o.view.buf, o.view.shape[0], n_rows)
    if misfit >= 0:
        raise ValueError(f"`offsets` must rise from 0 to the number of rows, {n_rows}; they do not at place {misfit}")
    job.offsets = <const int64_t*>o.view.buf
    job.n_sequences = o.view.shape[0] - 1
    size = n_rows * row_size
    job.step = max(job.n_sequences, 1)
    if size >= PARALLEL_FROM:
        job.step = max(<Py_ssize_t>(<double>STEP * job.n_sequences / size), 1)
    return 0


cdef int _run(sequence_job* job, const variants* kernel, int kind) except -1:
    with nogil:
        run_chunks(variant(kernel, kind), job, (job.n_sequences + job.step - 1) // job.step)
    return 0


cdef Array* _hold_rows(Held* held, object rows, str name, int kinds, Py_ssize_t n, Py_ssize_t width,
                       bint writable) except NULL:
    """A contiguous (n, width) array."""
    cdef Array* a = hold(held, rows, name, 2, kinds, writable)
    require_contiguous(a, name)
    if a.view.shape[0] != n or a.view.shape[1] != width:
        raise ValueError(f"`{name}` must have shape {(n, width)}, but has {(a.view.shape[0], a.view.shape[1])}")
    return a


def pool(x, offsets, out, kind, index=None, pad_value=0.0):
    """out[n] = the sum of the rows of sequence n, or what `kind` says: 'sum', 'average' (sum / length), 'sqrt'
    (sum / sqrt(length)), 'max', 'first', 'last'. `pad_value` for a sequence without rows.

    x (T, D), out (N, D). index: None, or int32 (N, D) that takes the rows of the maxima, the first of equals; -1 for a
    sequence without rows. 64 rows are added in the type of x, longer sums in double.
    """
    cdef Held held
    cdef sequence_job job
    cdef Array* a
    cdef Array* o
    held.count = 0
    memset(&job, 0, sizeof(job))
    job.kind = _kind(kind)
    job.pad_value = pad_value
    try:
        a = hold(&held, x, "x", 2, REAL, False)
        require_contiguous(a, "x")
        job.x, job.width = a.view.buf, a.view.shape[1]
        _take_offsets(&job, &held, offsets, a.view.shape[0], job.width)
        o = _hold_rows(&held, out, "out", a.kind, job.n_sequences, job.width, True)
        require_disjoint(o, "out", a, "x")
        job.out = o.view.buf
        if index is not None:
            if job.kind != POOL_MAX:
                raise ValueError("`index` is for kind 'max' alone")
            if a.view.shape[0] > MAX_ROWS:
                raise ValueError(f"`index` cannot name the {a.view.shape[0]} rows of `x`: int32 ends at {MAX_ROWS}")
            job.index = <int32_t*>_hold_rows(&held, index, "index", INT32, job.n_sequences, job.width, True).view.buf
        _run(&job, &pool_chunk, a.kind)
    finally:
        release(&held)


def pool_grad(out_grad, offsets, grad, kind, index=None):
    """grad[t] = the gradient of row t, where out_grad is the gradient of what `pool` made.

    out_grad (N, D), grad (T, D). index: that of `pool`, for kind 'max'.
    """
    cdef Held held
    cdef sequence_job job
    cdef Array* g
    cdef Array* o
    cdef Py_ssize_t n, j, row
    held.count = 0
    memset(&job, 0, sizeof(job))
    job.kind = _kind(kind)
    try:
        g = hold(&held, grad, "grad", 2, REAL, True)
        require_contiguous(g, "grad")
        job.out, job.width = g.view.buf, g.view.shape[1]
        _take_offsets(&job, &held, offsets, g.view.shape[0], job.width)
        o = _hold_rows(&held, out_grad, "out_grad", g.kind, job.n_sequences, job.width, False)
        require_disjoint(g, "grad", o, "out_grad")
        job.out_grad = o.view.buf
        if (index is None) == (job.kind == POOL_MAX):
            raise ValueError("`index` is for kind 'max', which needs it")
        if index is not None:
            job.index = <int32_t*>_hold_rows(&held, index, "index", INT32, job.n_sequences, job.width, False).view.buf
            for n in range(job.n_sequences):
                for j in range(job.width if job.offsets[n] < job.offsets[n + 1] else 0):
                    row = job.index[n * job.width + j]
                    if not job.offsets[n] <= row < job.offsets[n + 1]:
                        raise ValueError(f"`index` names row {row} in sequence {n}, which has the rows "
                                         f"{job.offsets[n]} to {job.offsets[n + 1] - 1}")
        _run(&job, &pool_grad_chunk, g.kind)
    finally:
        release(&held)


cdef Array* _hold_steps(Held* held, object x, str name, int kinds, Py_ssize_t n, bint writable) except NULL:
    """A contiguous array of one number per row; n = -1: of any length."""
    cdef Array* a = hold(held, x, name, 1, kinds, writable)
    require_contiguous(a, name)
    if n >= 0 and a.view.shape[0] != n:
        raise ValueError(f"`{name}` must have shape ({n},), but has ({a.view.shape[0]},)")
    return a


def softmax_steps(x, offsets, out):
    """out = softmax of x (T,) within each sequence. The largest of a sequence is subtracted first."""
    cdef Held held
    cdef sequence_job job
    cdef Array* a
    cdef Array* o
    held.count = 0
    memset(&job, 0, sizeof(job))
    try:
        a = _hold_steps(&held, x, "x", REAL, -1, False)
        o = _hold_steps(&held, out, "out", a.kind, a.view.shape[0], True)
        require_disjoint(o, "out", a, "x")
        _take_offsets(&job, &held, offsets, a.view.shape[0], 1)
        job.x, job.out = a.view.buf, o.view.buf
        _run(&job, &softmax_steps_chunk, a.kind)
    finally:
        release(&held)


def softmax_steps_grad(softmax, out_grad, offsets, grad):
    """grad = softmax (out_grad - the sum of softmax out_grad over the sequence). All (T,)."""
    cdef Held held
    cdef sequence_job job
    cdef Array* a
    cdef Array* o
    cdef Array* g
    held.count = 0
    memset(&job, 0, sizeof(job))
    try:
        a = _hold_steps(&held, softmax, "softmax", REAL, -1, False)
        o = _hold_steps(&held, out_grad, "out_grad", a.kind, a.view.shape[0], False)
        g = _hold_steps(&held, grad, "grad", a.kind, a.view.shape[0], True)
        require_disjoint(g, "grad", a, "softmax")
        require_disjoint(g, "grad", o, "out_grad")
        _take_offsets(&job, &held, offsets, a.view.shape[0], 1)
        job.x, job.out_grad, job.out = a.view.buf, o.view.buf, g.view.buf
        _run(&job, &softmax_steps_grad_chunk, a.kind)
    finally:
        release(&held)


cdef int _move_windows(object rows, str rows_name, object windows, str windows_name, object offsets, Py_ssize_t start,
                       bint gather) except -1:
    cdef Held held
    cdef sequence_job job
    cdef Array* r
    cdef Array* w
    held.count = 0
    memset(&job, 0, sizeof(job))
    try:
        r = hold(&held, rows, rows_name, 2, REAL, not gather)
        w = hold(&held, windows, windows_name, 3, r.kind, gather)
        require_contiguous(r, rows_name)
        require_contiguous(w, windows_name)
        job.width, job.context, job.start = r.view.shape[1], w.view.shape[1], start
        if w.view.shape[0] != r.view.shape[0] or w.view.shape[2] != job.width:
            raise ValueError(f"`{windows_name}` must have shape ({r.view.shape[0]}, any, {job.width}), but has "
                             f"{(w.view.shape[0], w.view.shape[1], w.view.shape[2])}")
        require_disjoint(r, rows_name, w, windows_name)
        # Far beyond both ends there is nothing to see, and sums of positions must not overflow.
        job.start = max(min(start, r.view.shape[0]), -r.view.shape[0] - job.context)
        _take_offsets(&job, &held, offsets, r.view.shape[0], job.width * job.context)
        if gather:
            job.x, job.out = r.view.buf, w.view.buf
            _run(&job, &gather_context_chunk, r.kind)
        else:
            job.x, job.out = w.view.buf, r.view.buf
            _run(&job, &scatter_context_chunk, r.kind)
    finally:
        release(&held)
    return 0


def gather_context(x, offsets, out, start):
    """out[t, k] = x[t + start + k] where that row is of the sequence of row t, and zeros elsewhere.

    x (T, D), out (T, L, D).
    """
    _move_windows(x, "x", out, "out", offsets, start, True)


def scatter_context(windows, offsets, out, start):
    """The gradient of `gather_context`: out[t] = the sum of windows[t - start - k, k], over all k for which window
    t - start - k is one of the sequence of row t, in ascending order of k.

    windows (T, L, D), out (T, D).
    """
    _move_windows(out, "out", windows, "windows", offsets, start, False)
