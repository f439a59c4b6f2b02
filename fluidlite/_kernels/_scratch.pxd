"""Memory that kernels need for the length of one call."""

cdef void* take_scratch(size_t n_bytes) except? NULL
cdef void give_scratch(void* memory) noexcept
