"""Sorting of 64-bit keys."""

from libc.stdint cimport uint64_t

cdef enum:
    FEW_KEYS = 64            # up to here insertion wins

cdef Py_ssize_t sort_blocks(Py_ssize_t n) noexcept nogil
cdef Py_ssize_t sort_counters(Py_ssize_t n) noexcept nogil
cdef void sort_few(uint64_t* keys, Py_ssize_t n) noexcept nogil
cdef bint sort_keys(
    uint64_t* keys, uint64_t* spare, Py_ssize_t* counters, Py_ssize_t n, int low, int bits
) noexcept nogil
