"""The only module that knows threads. Chunks own disjoint outputs, and their borders depend on the data size alone."""

ctypedef void (*chunk_fn)(void* ctx, Py_ssize_t chunk) noexcept nogil

cdef void run_chunks(chunk_fn fn, void* ctx, Py_ssize_t n_chunks) noexcept nogil
