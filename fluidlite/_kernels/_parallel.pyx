"""Threads of the kernels: how many, and who runs which chunk."""

import os
import warnings
from operator import index

cdef extern from "pool.h":
    const int POOL_MAX_THREADS
    void pool_run(chunk_fn fn, void* ctx, Py_ssize_t n_chunks) noexcept nogil
    void pool_set_threads(int threads) noexcept nogil
    int pool_get_threads() noexcept nogil


cdef void run_chunks(chunk_fn fn, void* ctx, Py_ssize_t n_chunks) noexcept nogil:
    """Calls `fn(ctx, chunk)` for every chunk in [0, n_chunks), each exactly once, in any order and on any thread.

    One chunk, one thread, or a pool that is busy with another job: the caller runs all chunks itself.
    """
    pool_run(fn, ctx, n_chunks)


def set_num_threads(n):
    """Sets how many threads a kernel may use, the calling thread included (1 to 1024).

    Results do not depend on it. A kernel that runs in another thread is waited for.

    Raises TypeError if `n` is not an integer, ValueError if it is out of range.
    """
    if isinstance(n, bool):
        raise TypeError(f"`n`, the number of threads, must be an integer, but is {n!r}")
    try:
        n = index(n)
    except TypeError:
        raise TypeError(f"`n`, the number of threads, must be an integer, but is {n!r}") from None
    if not 1 <= n <= POOL_MAX_THREADS:
        raise ValueError(f"`n`, the number of threads, must be between 1 and {POOL_MAX_THREADS}, but is {n}")
    cdef int threads = n
    with nogil:
        pool_set_threads(threads)


def get_num_threads():
    """How many threads a kernel may use, the calling thread included."""
    return pool_get_threads()


def _default_num_threads():
    for name in ("FLUIDLITE_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name)
        if not text:
            continue
        # OMP_NUM_THREADS may be a list, one number per nesting level.
        first = text.split(",")[0].strip() if name == "OMP_NUM_THREADS" else text.strip()
        if first.isascii() and first.isdigit() and 1 <= int(first) <= POOL_MAX_THREADS:
            return int(first)
        warnings.warn(
            f"{name} is ignored: it must be a number of threads between 1 and {POOL_MAX_THREADS}, but is {text!r}",
            RuntimeWarning,
            stacklevel=2,
        )
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:
        cpus = os.cpu_count() or 1
    return min(cpus, POOL_MAX_THREADS)


pool_set_threads(_default_num_threads())
