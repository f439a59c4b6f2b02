"""Memory that kernels need for the length of one call.

The largest piece is kept for the next call, because fresh pages cost more than most of the sums that are left in them.
"""

from libc.stdlib cimport free, malloc

cdef enum:
    HEADER = 64                         # bytes before each piece; they hold its size
    MAX_IDLE = 64 << 20                 # bytes of a piece that is kept

# Guarded by the GIL.
cdef char* _idle = NULL


cdef inline size_t _size(const char* piece) noexcept:
    return (<const size_t*>piece)[0] if piece != NULL else 0


cdef void* take_scratch(size_t n_bytes) except? NULL:
    """At least `n_bytes`, not cleared; NULL for none. To be called and given back with the GIL held."""
    global _idle
    cdef char* piece
    if n_bytes == 0:
        return NULL
    if _size(_idle) >= n_bytes:
        piece, _idle = _idle, NULL
    else:
        piece = <char*>malloc(HEADER + n_bytes)
        if piece == NULL:
            raise MemoryError(f"no memory for {n_bytes} bytes of intermediate results")
        (<size_t*>piece)[0] = n_bytes
    return piece + HEADER


cdef void give_scratch(void* memory) noexcept:
    global _idle
    cdef char* piece
    if memory == NULL:
        return
    piece = <char*>memory - HEADER
    if _size(piece) > _size(_idle) and _size(piece) <= MAX_IDLE:
        free(_idle)
        _idle = piece
    else:
        free(piece)
