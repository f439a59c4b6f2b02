"""Sorting of 64-bit keys: insertion for a few, else a stable radix sort, least digit first, parallel over blocks.

Each block of keys has its own histogram. A prefix sum over (digit, block) tells every block where its keys of each
digit go, so that blocks scatter side by side and the result is the stable order, whoever scattered what.
"""

from libc.stdint cimport uint64_t
from libc.string cimport memset

from fluidlite._kernels._parallel cimport run_chunks

cdef enum:
    BLOCK = 16384            # keys per block, while there are fewer than MAX_BLOCKS
    MAX_BLOCKS = 64
    WIDE_DIGIT = 11
    NARROW_DIGIT = 8         # below WIDE_FROM keys, clearing 2048 counters would cost more than a pass
    WIDE_FROM = 1024

cdef struct Pass:
    const uint64_t* keys
    uint64_t* out
    Py_ssize_t* counters     # one row of `mask + 1` per block
    Py_ssize_t n
    Py_ssize_t block
    int shift
    uint64_t mask


cdef Py_ssize_t sort_blocks(Py_ssize_t n) noexcept nogil:
    return min(max(n // BLOCK, 1), MAX_BLOCKS)


cdef Py_ssize_t sort_counters(Py_ssize_t n) noexcept nogil:
    """How many counters `sort_keys` needs for `n` keys."""
    return sort_blocks(n) << (WIDE_DIGIT if n >= WIDE_FROM else NARROW_DIGIT)


cdef void sort_few(uint64_t* keys, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef uint64_t key
    for i in range(1, n):
        key = keys[i]
        j = i
        while j > 0 and keys[j - 1] > key:
            keys[j] = keys[j - 1]
            j -= 1
        keys[j] = key


cdef void _count(void* ctx, Py_ssize_t block) noexcept nogil:
    cdef Pass* p = <Pass*>ctx
    cdef Py_ssize_t begin = block * p.block
    cdef Py_ssize_t end = min(begin + p.block, p.n)
    cdef Py_ssize_t* counters = p.counters + block * <Py_ssize_t>(p.mask + 1)
    cdef const uint64_t* keys = p.keys
    cdef int shift = p.shift
    cdef uint64_t mask = p.mask
    cdef Py_ssize_t i
    memset(counters, 0, (mask + 1) * sizeof(Py_ssize_t))
    for i in range(begin, end):
        counters[(keys[i] >> shift) & mask] += 1


cdef void _scatter(void* ctx, Py_ssize_t block) noexcept nogil:
    cdef Pass* p = <Pass*>ctx
    cdef Py_ssize_t begin = block * p.block
    cdef Py_ssize_t end = min(begin + p.block, p.n)
    cdef Py_ssize_t* counters = p.counters + block * <Py_ssize_t>(p.mask + 1)
    cdef const uint64_t* keys = p.keys
    cdef uint64_t* out = p.out
    cdef int shift = p.shift
    cdef uint64_t mask = p.mask
    cdef uint64_t key, digit
    cdef Py_ssize_t i
    for i in range(begin, end):
        key = keys[i]
        digit = (key >> shift) & mask
        out[counters[digit]] = key
        counters[digit] += 1


cdef void _place(Pass* p, Py_ssize_t n_blocks) noexcept nogil:
    """Turns the counts into the places of the first key of each (digit, block)."""
    cdef Py_ssize_t digits = <Py_ssize_t>(p.mask + 1)
    cdef Py_ssize_t place = 0
    cdef Py_ssize_t digit, block, count
    for digit in range(digits):
        for block in range(n_blocks):
            count = p.counters[block * digits + digit]
            p.counters[block * digits + digit] = place
            place += count


cdef bint sort_keys(
    uint64_t* keys, uint64_t* spare, Py_ssize_t* counters, Py_ssize_t n, int low, int bits
) noexcept nogil:
    """Sorts by the bits [low, low + bits), stably. True: the sorted keys are in `spare`."""
    cdef Pass p
    cdef Py_ssize_t n_blocks = sort_blocks(n)
    cdef int widest = WIDE_DIGIT if n >= WIDE_FROM else NARROW_DIGIT
    cdef int passes = (bits + widest - 1) // widest
    cdef int digit_bits, done = 0
    cdef bint moved = False
    p.n = n
    p.block = (n + n_blocks - 1) // n_blocks
    p.counters = counters
    while passes > 0:
        digit_bits = (bits - done + passes - 1) // passes
        p.keys = spare if moved else keys
        p.out = keys if moved else spare
        p.shift = low + done
        p.mask = (<uint64_t>1 << digit_bits) - 1
        run_chunks(_count, &p, n_blocks)
        _place(&p, n_blocks)
        run_chunks(_scatter, &p, n_blocks)
        done += digit_bits
        passes -= 1
        moved = not moved
    return moved
