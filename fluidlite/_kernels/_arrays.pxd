"""Arrays as the kernels take them: any object with the buffer protocol, checked, without NumPy's headers."""

cdef enum:
    FLOAT32 = 1
    FLOAT64 = 2
    REAL = 3
    INT64 = 4
    INT32 = 8
    UNALIGNED = 16      # added to kinds: the kernel copies bytes, so items may lie anywhere (arrays mapped from files)
    MAX_HELD = 8

cdef struct Array:
    Py_buffer view
    int kind            # FLOAT32, FLOAT64, INT64 or INT32

cdef struct Held:
    int count
    Array arrays[MAX_HELD]

cdef int acquire(Array* array, object source, str name, int ndim, int kinds, bint writable) except -1
cdef Array* hold(Held* held, object source, str name, int ndim, int kinds, bint writable) except NULL
cdef void release(Held* held) noexcept
cdef int require_contiguous(const Array* array, str name) except -1
cdef int require_unit_columns(const Array* array, str name) except -1
cdef int require_like(const Array* array, str name, const Array* other, str other_name) except -1
cdef int require_disjoint(const Array* array, str name, const Array* other, str other_name) except -1
cdef int require_same_or_disjoint(const Array* array, str name, const Array* other, str other_name) except -1
cdef Py_ssize_t size_of(const Array* array) noexcept nogil
