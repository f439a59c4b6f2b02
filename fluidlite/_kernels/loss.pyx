"""Softmax and cross entropies, with their gradients.

Arrays are C-contiguous, all of one floating dtype; inputs may be read-only. An output may be the very array of an input
where a kernel says so, and shares no memory with its inputs otherwise. Labels are int64 (N,) of any stride.

Sums over classes run in an order that depends on their number alone. A row with a NaN, with +inf or of -inf alone gives
NaN.
"""

from libc.math cimport NAN
from libc.stdint cimport int64_t
from libc.string cimport memset

from fluidlite._kernels._arrays cimport (
    INT64,
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
from fluidlite._kernels._columns cimport column_tiles, count_tiles, end_sums, fold_sums, plan_sums
from fluidlite._kernels._cpu cimport variant, variants
from fluidlite._kernels._parallel cimport run_chunks

cdef extern from "loss.h":
    ctypedef struct loss_job:
        column_tiles columns
        Py_ssize_t n_rows
        Py_ssize_t n_classes
        Py_ssize_t step
        Py_ssize_t size
        const void* x
        const void* bias
        void* out
        const char* label
        Py_ssize_t label_stride
        int64_t ignore_index
        double ignore_value
        bint has_ignore
        void* loss
        const char* out_grad
        Py_ssize_t out_grad_stride
        void* x_grad

    int64_t label_at(const loss_job* job, Py_ssize_t row) noexcept nogil
    bint is_ignored(const loss_job* job, int64_t label) noexcept nogil

    const variants softmax_chunk
    const variants softmax_grad_chunk
    const variants cross_entropy_grad_chunk
    const variants cross_entropy_grad_tile_chunk
    const variants sigmoid_cross_entropy_chunk
    const variants sigmoid_cross_entropy_grad_chunk
    const variants fold_columns_chunk

cdef enum:
    STEP = 16384                        # elements per chunk
    PARALLEL_FROM = 65536               # elements: some 50 microseconds


class LabelOutOfRange(IndexError):
    """A label is no class; `label`, `position` and `n_classes` say which and where."""

    def __init__(self, label, position, n_classes):
        super().__init__(f"label {label} at position {position} is outside [0, {n_classes})")
        self.label = label
        self.position = position
        self.n_classes = n_classes

    def __reduce__(self):
        return type(self), (self.label, self.position, self.n_classes)


cdef Array* _hold_rows(Held* held, object source, str name, loss_job* job) except NULL:
    cdef Array* a = hold(held, source, name, 2, REAL, False)
    require_contiguous(a, name)
    job.n_rows, job.n_classes = a.view.shape[0], a.view.shape[1]
    job.size = size_of(a)
    job.x = a.view.buf
    return a


cdef Array* _hold_like(Held* held, object source, str name, const Array* x, str x_name, bint writable) except NULL:
    cdef Array* a = hold(held, source, name, -1, REAL, writable)
    require_like(a, name, x, x_name)
    require_contiguous(a, name)
    return a


cdef Array* _hold_vector(
    Held* held, object source, str name, int kind, Py_ssize_t n, str letter, bint writable
) except NULL:
    cdef Array* a = hold(held, source, name, 1, kind, writable)
    if a.view.shape[0] != n:
        raise ValueError(f"`{name}` must have shape ({n},) ({letter}), but has ({a.view.shape[0]},)")
    return a


cdef Py_ssize_t _plan_rows(loss_job* job) noexcept:
    """A row belongs to one chunk, so chunks of any length give the same."""
    job.step = max(job.n_rows, 1) if job.size < PARALLEL_FROM else max(STEP // job.n_classes, 1)
    return (job.n_rows + job.step - 1) // job.step


cdef int _hold_labels(Held* held, object label, object ignore_index, loss_job* job) except -1:
    """Takes and checks them."""
    cdef Array* a = _hold_vector(held, label, "label", INT64, job.n_rows, "N", False)
    cdef Py_ssize_t row
    cdef int64_t class_
    job.label, job.label_stride = <const char*>a.view.buf, a.view.strides[0]
    job.has_ignore = False
    if ignore_index is not None:
        if not hasattr(ignore_index, "__index__"):
            raise TypeError(f"`ignore_index` must be an integer or None, but is {ignore_index!r}")
        if -(1 << 63) <= ignore_index < 1 << 63:
            job.has_ignore, job.ignore_index = True, ignore_index
    for row in range(job.n_rows):
        class_ = label_at(job, row)
        if not 0 <= class_ < job.n_classes and not is_ignored(job, class_):
            raise LabelOutOfRange(class_, row, job.n_classes)
    return 0


cdef int _hold_bias(
    Held* held, object bias, const Array* x, const Array* out, str out_name, loss_job* job
) except -1:
    cdef Array* b
    if bias is not None:
        b = _hold_vector(held, bias, "bias", x.kind, job.n_classes, "C", False)
        require_contiguous(b, "bias")
        require_disjoint(out, out_name, b, "bias")
        job.bias = b.view.buf
    return 0


def softmax(x, bias, out):
    """out = softmax of each row of x + bias, of which nothing is taken as less than the largest minus 64.

    x and out (N, C); bias (C,) or None. `out` may be `x`. Each element is e^(x - largest) times the rounded reciprocal
    of their sum, which is a double.
    """
    cdef Held held
    cdef loss_job job
    cdef Array* a
    cdef Array* o
    cdef Py_ssize_t n_chunks
    held.count = 0
    memset(&job, 0, sizeof(job))
    try:
        a = _hold_rows(&held, x, "x", &job)
        o = _hold_like(&held, out, "out", a, "x", True)
        require_same_or_disjoint(o, "out", a, "x")
        _hold_bias(&held, bias, a, o, "out", &job)
        job.out = o.view.buf
        n_chunks = _plan_rows(&job)
        with nogil:
            run_chunks(variant(&softmax_chunk, a.kind), &job, n_chunks)
    finally:
        release(&held)


def softmax_grad(out, out_grad, x_grad):
    """x_grad = out * (out_grad - sum over the row of out * out_grad), with out = softmax(x).

    All (N, C). `x_grad` may be `out` or `out_grad`.
    """
    cdef Held held
    cdef loss_job job
    cdef Array* y
    cdef Array* g
    cdef Array* xg
    cdef Py_ssize_t n_chunks
    held.count = 0
    memset(&job, 0, sizeof(job))
    try:
        y = _hold_rows(&held, out, "out", &job)
        g = _hold_like(&held, out_grad, "out_grad", y, "out", False)
        xg = _hold_like(&held, x_grad, "x_grad", y, "out", True)
        require_same_or_disjoint(xg, "x_grad", y, "out")
        require_same_or_disjoint(xg, "x_grad", g, "out_grad")
        job.out_grad, job.x_grad = <const char*>g.view.buf, xg.view.buf
        n_chunks = _plan_rows(&job)
        with nogil:
            run_chunks(variant(&softmax_grad_chunk, y.kind), &job, n_chunks)
    finally:
        release(&held)


def softmax_cross_entropy(logits, bias, label, ignore_index, softmax, loss):
    """softmax = softmax of each row of x = logits + bias; loss = log(sum of e^x over the row) - x[label].

    logits and softmax (N, C); bias (C,) or None; label int64 (N,); ignore_index: an integer whose rows get a loss of 0,
    or None; loss (N,). `softmax` may be `logits`.

    Raises LabelOutOfRange before anything is written if a label is outside [0, C) and not `ignore_index`.
    """
    cdef Held held
    cdef loss_job job
    cdef Array* a
    cdef Array* o
    cdef Array* ls
    cdef Py_ssize_t n_chunks
    held.count = 0
    memset(&job, 0, sizeof(job))
    try:
        a = _hold_rows(&held, logits, "logits", &job)
        o = _hold_like(&held, softmax, "softmax", a, "logits", True)
        require_same_or_disjoint(o, "softmax", a, "logits")
        ls = _hold_vector(&held, loss, "loss", a.kind, job.n_rows, "N", True)
        require_contiguous(ls, "loss")
        require_disjoint(ls, "loss", a, "logits")
        require_disjoint(ls, "loss", o, "softmax")
        _hold_labels(&held, label, ignore_index, &job)
        require_disjoint(o, "softmax", &held.arrays[3], "label")
        require_disjoint(ls, "loss", &held.arrays[3], "label")
        _hold_bias(&held, bias, a, o, "softmax", &job)
        if bias is not None:
            require_disjoint(ls, "loss", &held.arrays[4], "bias")
        job.out, job.loss = o.view.buf, ls.view.buf
        n_chunks = _plan_rows(&job)
        with nogil:
            run_chunks(variant(&softmax_chunk, a.kind), &job, n_chunks)
    finally:
        release(&held)


def softmax_cross_entropy_grad(softmax, label, ignore_index, loss_grad, x_grad, bias_grad):
    """x_grad[n] = loss_grad[n] * (softmax[n] - one-hot of label[n]), zeros where ignored; bias_grad = sum of its rows.

    softmax and x_grad (N, C), loss_grad (N,) of any stride (0 too: one number for all), bias_grad (C,) or None.
    `x_grad` may be `softmax`. Columns are summed in blocks of fixed size, and above 64 rows in double.

    Raises LabelOutOfRange like `softmax_cross_entropy`.
    """
    cdef Held held
    cdef loss_job job
    cdef Array* y
    cdef Array* g
    cdef Array* xg
    cdef Array* bg = NULL
    cdef Py_ssize_t n_chunks
    cdef int i
    held.count = 0
    memset(&job, 0, sizeof(job))
    try:
        y = _hold_rows(&held, softmax, "softmax", &job)
        xg = _hold_like(&held, x_grad, "x_grad", y, "softmax", True)
        require_same_or_disjoint(xg, "x_grad", y, "softmax")
        g = _hold_vector(&held, loss_grad, "loss_grad", y.kind, job.n_rows, "N", False)
        _hold_labels(&held, label, ignore_index, &job)
        require_disjoint(xg, "x_grad", g, "loss_grad")
        require_disjoint(xg, "x_grad", &held.arrays[3], "label")
        if bias_grad is not None:
            bg = _hold_vector(&held, bias_grad, "bias_grad", y.kind, job.n_classes, "C", True)
            require_contiguous(bg, "bias_grad")
            for i, name in enumerate(("softmax", "x_grad", "loss_grad", "label")):
                require_disjoint(bg, "bias_grad", &held.arrays[i], name)
        job.out_grad, job.out_grad_stride = <const char*>g.view.buf, g.view.strides[0]
        job.x_grad = xg.view.buf
        if bg == NULL:
            n_chunks = _plan_rows(&job)
        else:
            plan_sums(&job.columns, job.n_rows, job.n_classes, bg)
            n_chunks = count_tiles(&job.columns)
        with nogil:
            if bg == NULL:
                run_chunks(variant(&cross_entropy_grad_chunk, y.kind), &job, n_chunks)
            else:
                run_chunks(variant(&cross_entropy_grad_tile_chunk, y.kind), &job, n_chunks)
                fold_sums(&job.columns, &fold_columns_chunk, y.kind)
    finally:
        end_sums(&job.columns)
        release(&held)


cdef Array* _hold_elements(Held* held, object x, object label, object ignore_index, loss_job* job) except NULL:
    cdef Array* a = hold(held, x, "x", -1, REAL, False)
    cdef Array* z
    require_contiguous(a, "x")
    z = _hold_like(held, label, "label", a, "x", False)
    job.x, job.label = a.view.buf, <const char*>z.view.buf
    job.ignore_value = NAN if ignore_index is None else <double>ignore_index
    job.size = size_of(a)
    job.step = max(job.size, 1) if job.size < PARALLEL_FROM else STEP
    return a


def sigmoid_cross_entropy(x, label, ignore_index, out):
    """out = max(x, 0) - x * label + log(1 + e^-|x|), and 0 where label == ignore_index (None: nowhere).

    x, label and out: any equal shape and one floating dtype. `out` may be `x` or `label`.
    """
    cdef Held held
    cdef loss_job job
    cdef Array* a
    cdef Array* o
    cdef Py_ssize_t n_chunks
    held.count = 0
    memset(&job, 0, sizeof(job))
    try:
        a = _hold_elements(&held, x, label, ignore_index, &job)
        o = _hold_like(&held, out, "out", a, "x", True)
        require_same_or_disjoint(o, "out", a, "x")
        require_same_or_disjoint(o, "out", &held.arrays[1], "label")
        job.out = o.view.buf
        n_chunks = (job.size + job.step - 1) // job.step
        with nogil:
            run_chunks(variant(&sigmoid_cross_entropy_chunk, a.kind), &job, n_chunks)
    finally:
        release(&held)


def sigmoid_cross_entropy_grad(x, label, ignore_index, out_grad, x_grad):
    """x_grad = out_grad * (sigmoid(x) - label), and 0 where label == ignore_index (None: nowhere).

    All of one shape and floating dtype. `x_grad` may be any of the inputs.
    """
    cdef Held held
    cdef loss_job job
    cdef Array* a
    cdef Array* g
    cdef Array* xg
    cdef Py_ssize_t n_chunks
    held.count = 0
    memset(&job, 0, sizeof(job))
    try:
        a = _hold_elements(&held, x, label, ignore_index, &job)
        g = _hold_like(&held, out_grad, "out_grad", a, "x", False)
        xg = _hold_like(&held, x_grad, "x_grad", a, "x", True)
        require_same_or_disjoint(xg, "x_grad", a, "x")
        require_same_or_disjoint(xg, "x_grad", &held.arrays[1], "label")
        require_same_or_disjoint(xg, "x_grad", g, "out_grad")
        job.out_grad, job.x_grad = <const char*>g.view.buf, xg.view.buf
        n_chunks = (job.size + job.step - 1) // job.step
        with nogil:
            run_chunks(variant(&sigmoid_cross_entropy_grad_chunk, a.kind), &job, n_chunks)
    finally:
        release(&held)
