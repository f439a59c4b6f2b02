"""Dropout: elements are kept or zeroed by random bits, which depend on (seed, stream, element) alone.

Arrays are C-contiguous, of one size and, but for the mask (uint8, one axis), of one floating dtype and shape; inputs may
be read-only. `out` may be `x`, and shares no memory with it otherwise. The bits are words of Philox4x32-10 with key `seed`
and counter (block, stream); they do not depend on the floating type.
"""

from libc.math cimport isfinite
from libc.stdint cimport uint8_t, uint32_t, uint64_t

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

cdef extern from "dropout.h":
    ctypedef struct dropout_job:
        Py_ssize_t size
        Py_ssize_t step
        const void* x
        void* out
        uint8_t* mask
        uint64_t seed
        uint64_t stream
        uint32_t threshold
        uint8_t any
        double scale

    const variants drop_chunk
    const variants drop_grad_chunk

cdef enum:
    STEP = 16384                        # elements per chunk, a multiple of a group of 64
    PARALLEL_FROM = 65536               # elements: some 50 microseconds


cdef int _run(dropout_job* job, object x, object out, Py_ssize_t mask_size, const variants* kernel) except -1:
    cdef Held held
    cdef Array* a
    cdef Array* o
    held.count = 0
    try:
        a = hold(&held, x, "x", -1, REAL, False)
        o = hold(&held, out, "out", -1, REAL, True)
        require_like(o, "out", a, "x")
        require_contiguous(a, "x")
        require_contiguous(o, "out")
        require_same_or_disjoint(o, "out", a, "x")
        job.x, job.out, job.size = a.view.buf, o.view.buf, size_of(a)
        if mask_size != job.size:
            raise ValueError(f"`mask` has {mask_size} elements, but `x` has {job.size}")
        # Chunks begin at groups; one chunk that is a little longer than all needs no care.
        job.step = STEP if job.size >= PARALLEL_FROM else PARALLEL_FROM
        with nogil:
            run_chunks(variant(kernel, a.kind), job, (job.size + job.step - 1) // job.step)
    finally:
        release(&held)
    return 0


def drop(x, out, uint8_t[::1] mask, double probability, double scale, *, seed, stream):
    """out = scale * x where an element is kept, else 0; mask = 1 where it is kept, else 0.

    Each element is dropped with the given probability (a multiple of 2^-32; 0 drops none and 1 all).
    """
    cdef dropout_job job
    cdef uint64_t threshold
    if not 0 <= probability <= 1:
        raise ValueError(f"`probability` must lie in [0, 1], but is {probability}")
    if not isfinite(scale):
        raise ValueError(f"`scale` must be finite, but is {scale}")
    threshold = <uint64_t>(probability * 4294967296.0 + 0.5)
    job.any = threshold < 4294967296
    job.threshold = <uint32_t>threshold
    job.seed, job.stream, job.scale = seed, stream, scale
    job.mask = &mask[0] if mask.shape[0] else NULL
    _run(&job, x, out, mask.shape[0], &drop_chunk)


def drop_grad(out_grad, const uint8_t[::1] mask, x_grad, double scale):
    """x_grad = scale * out_grad where mask is not 0, else 0."""
    cdef dropout_job job
    job.scale = scale
    job.mask = <uint8_t*>&mask[0] if mask.shape[0] else NULL
    _run(&job, out_grad, x_grad, mask.shape[0], &drop_grad_chunk)
