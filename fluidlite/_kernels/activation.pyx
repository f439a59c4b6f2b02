"""Activations with a bias, and their gradients.

Arrays are C-contiguous, all of one floating dtype; inputs may be read-only. An output may be the very array of an input
where a kernel says so, and shares no memory with its inputs otherwise. exp is within 1.2 units in the last place, tanh
and sigmoid within 2.8; exp is 0 below the smallest normal number, and sigmoid may be. NaN gives NaN.
"""

from libc.string cimport memcpy, memset

from fluidlite._kernels._arrays cimport (
    REAL,
    Array,
    Held,
    hold,
    release,
    require_contiguous,
    require_disjoint,
    require_like,
    require_same_or_disjoint,
    size_of,
)
from fluidlite._kernels._columns cimport column_tiles, count_tiles, end_sums, fold_sums, plan_sums, plan_tiles
from fluidlite._kernels._cpu cimport variant, variants
from fluidlite._kernels._parallel cimport run_chunks

cdef extern from "activation.h":
    const int SIGMOID, TANH, RELU, EXP, IDENTITY

    ctypedef struct activation_job:
        column_tiles columns
        int kind
        Py_ssize_t size
        Py_ssize_t step
        const void* x
        const void* bias
        void* out
        const void* out_grad
        void* x_grad
        double* folded_bias

    const variants activate_chunk
    const variants activate_tile_chunk
    const variants activate_grad_chunk
    const variants activate_grad_tile_chunk
    const variants fold_columns_chunk

cdef enum:
    STEP = 16384                        # elements per chunk
    PARALLEL_FROM = 65536               # elements: some 50 microseconds


cdef int _kind(object kind) except -1:
    if kind == "sigmoid":
        return SIGMOID
    if kind == "tanh":
        return TANH
    if kind == "relu":
        return RELU
    if kind == "exp":
        return EXP
    if kind == "identity":
        return IDENTITY
    raise ValueError(f"`kind` must be 'sigmoid', 'tanh', 'relu', 'exp' or 'identity', but is {kind!r}")


cdef Py_ssize_t _plan_span(activation_job* job, const Array* x) noexcept:
    """Elements are independent: chunks of any length give the same."""
    job.size = size_of(x)
    job.step = STEP if job.size >= PARALLEL_FROM else max(job.size, 1)
    return (job.size + job.step - 1) // job.step


cdef Array* _hold_bias(Held* held, const Array* x, str x_name, object bias, str name, bint writable) except NULL:
    cdef Array* b = hold(held, bias, name, 1, x.kind, writable)
    if x.view.ndim != 2 or x.view.shape[1] != b.view.shape[0]:
        shape = tuple([x.view.shape[axis] for axis in range(x.view.ndim)])
        raise ValueError(f"`{name}` has shape ({b.view.shape[0]},), but `{x_name}` has shape {shape}; with a bias, "
                         f"`{x_name}` must be (N, D) and `{name}` (D,)")
    require_contiguous(b, name)
    return b


cdef void _fold_bias(activation_job* job, const Array* b) noexcept:
    """A bias for each of the rows that count as one."""
    cdef Py_ssize_t n_bytes = b.view.shape[0] * b.view.itemsize
    cdef Py_ssize_t i
    job.bias = b.view.buf
    if job.columns.fold > 1:
        for i in range(job.columns.fold):
            memcpy(<char*>job.folded_bias + i * n_bytes, b.view.buf, n_bytes)
        job.bias = job.folded_bias


def activate(x, bias, out, kind):
    """out = f(x + bias), with f by `kind`: 'sigmoid', 'tanh', 'relu', 'exp' or 'identity'.

    x and out: (N, D), with bias (D,); without one (None), any equal shape. `out` may be `x`.
    """
    cdef Held held
    cdef activation_job job
    cdef Array* a
    cdef Array* b = NULL
    cdef Array* o
    cdef Py_ssize_t n_chunks
    held.count = 0
    try:
        job.kind = _kind(kind)
        a = hold(&held, x, "x", -1, REAL, False)
        o = hold(&held, out, "out", -1, REAL, True)
        require_like(o, "out", a, "x")
        require_contiguous(a, "x")
        require_contiguous(o, "out")
        require_same_or_disjoint(o, "out", a, "x")
        job.x, job.out = a.view.buf, o.view.buf
        if bias is None:
            n_chunks = _plan_span(&job, a)
        else:
            b = _hold_bias(&held, a, "x", bias, "bias", False)
            require_disjoint(o, "out", b, "bias")
            plan_tiles(&job.columns, a.view.shape[0], a.view.shape[1])
            _fold_bias(&job, b)
            n_chunks = count_tiles(&job.columns)
        with nogil:
            run_chunks(variant(&activate_chunk if b == NULL else &activate_tile_chunk, a.kind), &job, n_chunks)
    finally:
        release(&held)


def activate_grad(out, out_grad, x_grad, bias_grad, kind):
    """x_grad = out_grad * f'(x + bias), written in terms of out = f(x + bias); bias_grad = sum of the rows of x_grad.

    sigmoid: g y (1 - y); tanh: g (1 - y^2); relu: g where y > 0, else 0; exp: g y; identity: g.

    out, out_grad, x_grad: (N, D), with bias_grad (D,); without one (None), any equal shape. `x_grad` may be `out_grad`
    or `out`. Columns are summed in blocks of fixed size, and above 64 rows in double.
    """
    cdef Held held
    cdef activation_job job
    cdef Array* y
    cdef Array* g
    cdef Array* xg
    cdef Array* bg = NULL
    cdef Py_ssize_t n_chunks
    held.count = 0
    memset(&job.columns, 0, sizeof(job.columns))
    try:
        job.kind = _kind(kind)
        y = hold(&held, out, "out", -1, REAL, False)
        g = hold(&held, out_grad, "out_grad", -1, REAL, False)
        xg = hold(&held, x_grad, "x_grad", -1, REAL, True)
        require_like(g, "out_grad", y, "out")
        require_like(xg, "x_grad", y, "out")
        require_contiguous(y, "out")
        require_contiguous(g, "out_grad")
        require_contiguous(xg, "x_grad")
        require_same_or_disjoint(xg, "x_grad", y, "out")
        require_same_or_disjoint(xg, "x_grad", g, "out_grad")
        job.out, job.out_grad, job.x_grad = y.view.buf, g.view.buf, xg.view.buf
        if bias_grad is None:
            n_chunks = _plan_span(&job, y)
        else:
            bg = _hold_bias(&held, y, "out", bias_grad, "bias_grad", True)
            require_disjoint(bg, "bias_grad", y, "out")
            require_disjoint(bg, "bias_grad", g, "out_grad")
            require_disjoint(bg, "bias_grad", xg, "x_grad")
            plan_sums(&job.columns, y.view.shape[0], y.view.shape[1], bg)
            n_chunks = count_tiles(&job.columns)
        with nogil:
            if bg == NULL:
                run_chunks(variant(&activate_grad_chunk, y.kind), &job, n_chunks)
            else:
                run_chunks(variant(&activate_grad_tile_chunk, y.kind), &job, n_chunks)
                fold_sums(&job.columns, &fold_columns_chunk, y.kind)
    finally:
        end_sums(&job.columns)
        release(&held)
