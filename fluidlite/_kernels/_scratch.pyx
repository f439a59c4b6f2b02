"""Memory that kernels need for the length of one call.

The largest piece is kept for the next call, because fresh pages cost more than most of the work that is done in them.
"""

from libc.stdlib cimport free, malloc

cdef extern from *:
    """
    #define SWAP(place, piece) __atomic_exchange_n(place, piece, __ATOMIC_ACQ_REL)
    """
    char* SWAP(char** place, char* piece) noexcept

cdef enum:
    HEADER = 64                         # bytes before each piece; they hold its size
    MAX_IDLE = 64 << 20                 # bytes of a piece that is kept

# Read by swapping alone, because several threads may be here.
cdef char* _idle = NULL


cdef inline size_t _size(const char* piece) noexcept:
    return (<const size_t*>piece)[0] if piece != NULL else 0


cdef void* take_scratch(size_t n_bytes) except? NULL:
    """At least `n_bytes`, not cleared; NULL for none."""
    cdef char* piece
    if n_bytes == 0:
        return NULL
    piece = SWAP(&_idle, NULL)
    if _size(piece) < n_bytes:
        free(piece)
        piece = <char*>malloc(HEADER + n_bytes)
        if piece == NULL:
            raise MemoryError(f"no memory for {n_bytes} bytes of intermediate results")
        (<size_t*>piece)[0] = n_bytes
    return piece + HEADER


cdef void give_scratch(void* memory) noexcept:
    cdef char* piece
    cdef char* other
    if memory == NULL:
        return
    piece = <char*>memory - HEADER
    if _size(piece) > MAX_IDLE:
        free(piece)
        return
    other = SWAP(&_idle, NULL)
    if _size(other) > _size(piece):
        piece, other = other, piece
    free(other)
    free(SWAP(&_idle, piece))           # what another thread has put there meanwhile
