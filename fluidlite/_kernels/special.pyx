"""Special functions that NumPy does not have.

Arrays are C-contiguous, all of one floating dtype; inputs may be read-only.
"""

from libc.math cimport erf as erf_of

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


cdef void _erf_float(const float* x, float* out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = <float>erf_of(x[i])


cdef void _erf_double(const double* x, double* out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = erf_of(x[i])


def erf(x, out):
    """out = the error function of x, computed in double; any equal shape. `out` may be `x`."""
    cdef Held held
    cdef Array* a
    cdef Array* o
    cdef Py_ssize_t n
    held.count = 0
    try:
        a = hold(&held, x, "x", -1, REAL, False)
        o = hold(&held, out, "out", -1, REAL, True)
        require_like(o, "out", a, "x")
        require_contiguous(a, "x")
        require_contiguous(o, "out")
        require_same_or_disjoint(o, "out", a, "x")
        n = size_of(a)
        with nogil:
            if a.view.itemsize == sizeof(float):
                _erf_float(<const float*>a.view.buf, <float*>o.view.buf, n)
            else:
                _erf_double(<const double*>a.view.buf, <double*>o.view.buf, n)
    finally:
        release(&held)
