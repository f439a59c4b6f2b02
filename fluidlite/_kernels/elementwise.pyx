"""Arithmetic on arrays of one shape, element by element.

Arrays have any shape, are C-contiguous and of one floating dtype; inputs may be read-only. `out` may be the very array
of an input, and shares no memory with it otherwise. A factor is rounded to the dtype of the arrays.
"""

from fluidlite._kernels._arrays cimport (
    REAL,
    Array,
    Held,
    hold,
    release,
    require_contiguous,
    require_like,
    require_same_or_disjoint,
    size_of,
)
from fluidlite._kernels._cpu cimport variant, variants
from fluidlite._kernels._parallel cimport run_chunks

cdef extern from "elementwise.h":
    ctypedef struct elementwise_job:
        Py_ssize_t size
        Py_ssize_t step
        const void* x
        const void* y
        void* out
        double factor

    const variants add_chunk
    const variants subtract_chunk
    const variants multiply_chunk
    const variants add_scaled_chunk
    const variants scale_chunk

cdef enum:
    STEP = 32768                        # elements per chunk
    PARALLEL_FROM = 131072              # elements: some 50 microseconds where they come from memory


cdef int _run(object x, object y, double factor, object out, const variants* kernel) except -1:
    cdef Held held
    cdef elementwise_job job
    cdef Array* a
    cdef Array* b
    cdef Array* o
    held.count = 0
    try:
        a = hold(&held, x, "x", -1, REAL, False)
        require_contiguous(a, "x")
        o = hold(&held, out, "out", -1, REAL, True)
        require_like(o, "out", a, "x")
        require_contiguous(o, "out")
        require_same_or_disjoint(o, "out", a, "x")
        job.x = job.y = a.view.buf
        job.out, job.factor, job.size = o.view.buf, factor, size_of(a)
        if y is not None:
            b = hold(&held, y, "y", -1, REAL, False)
            require_like(b, "y", a, "x")
            require_contiguous(b, "y")
            require_same_or_disjoint(o, "out", b, "y")
            job.y = b.view.buf
        job.step = STEP if job.size >= PARALLEL_FROM else max(job.size, 1)
        with nogil:
            run_chunks(variant(kernel, a.kind), &job, (job.size + job.step - 1) // job.step)
    finally:
        release(&held)
    return 0


cdef object _array(object y):
    """None stands for an absent operand inside this module, and for a mistake outside."""
    if y is None:
        raise TypeError("`y` must be a NumPy array of float32 or float64, but is NoneType")
    return y


def add(x, y, out):
    """out = x + y."""
    _run(x, _array(y), 0, out, &add_chunk)


def subtract(x, y, out):
    """out = x - y."""
    _run(x, _array(y), 0, out, &subtract_chunk)


def multiply(x, y, out):
    """out = x * y."""
    _run(x, _array(y), 0, out, &multiply_chunk)


def add_scaled(x, y, double factor, out):
    """out = x + factor * y; the product is rounded before it is added."""
    _run(x, _array(y), factor, out, &add_scaled_chunk)


def scale(x, double factor, out):
    """out = factor * x."""
    _run(x, None, factor, out, &scale_chunk)
