"""Arrays as the kernels take them.

The buffer protocol is asked directly: a typed memoryview per argument would cost two to three times as much on a call
with twenty ids, and its errors do not name the argument.
"""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDED_RO, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uintptr_t

_KIND_NAMES = {FLOAT32: "float32", FLOAT64: "float64", REAL: "float32 or float64", INT64: "int64", INT32: "int32"}


cdef int _kind_of(const Py_buffer* view) noexcept nogil:
    cdef const char* form = view.format
    if form == NULL:
        return 0
    if form[0] == b"@" or form[0] == b"=" or form[0] == b"<":
        form += 1
    if form[0] == 0 or form[1] != 0:
        return 0
    if form[0] == b"f" and view.itemsize == 4:
        return FLOAT32
    if form[0] == b"d" and view.itemsize == 8:
        return FLOAT64
    if (form[0] == b"l" or form[0] == b"q") and view.itemsize == 8:
        return INT64
    if form[0] == b"i" and view.itemsize == 4:
        return INT32
    return 0


cdef bint _is_aligned(const Py_buffer* view) noexcept nogil:
    cdef int axis
    if <uintptr_t>view.buf % <uintptr_t>view.itemsize:
        return False
    for axis in range(view.ndim):
        if view.shape[axis] > 1 and view.strides[axis] % view.itemsize:
            return False
    return True


cdef tuple _shape(const Array* array):
    return tuple([array.view.shape[axis] for axis in range(array.view.ndim)])


cdef object _wrong_kind(object source, str name, int kinds):
    what = getattr(source, "dtype", None)
    is_array = what is not None
    if not is_array:
        what = type(source).__name__
    wanted = _KIND_NAMES[kinds & ~UNALIGNED]
    return TypeError(f"`{name}` must be {'an array of' if is_array else 'a NumPy array of'} {wanted}, "
                     f"but is {what}")


cdef int acquire(Array* array, object source, str name, int ndim, int kinds, bint writable) except -1:
    """Takes the buffer of `source` (ndim -1: any number of axes). The caller releases it, unless this raises."""
    cdef Py_buffer* view = &array.view
    try:
        PyObject_GetBuffer(source, view, PyBUF_STRIDED_RO | PyBUF_FORMAT)
    except (TypeError, ValueError, BufferError):
        raise _wrong_kind(source, name, kinds) from None
    array.kind = _kind_of(view)
    if not array.kind & kinds:
        PyBuffer_Release(view)
        raise _wrong_kind(source, name, kinds)
    if ndim >= 0 and view.ndim != ndim:
        shape = _shape(array)
        PyBuffer_Release(view)
        raise ValueError(f"`{name}` must have {ndim} {'axis' if ndim == 1 else 'axes'}, but its shape is {shape}")
    if writable and view.readonly:
        PyBuffer_Release(view)
        raise ValueError(f"`{name}` is read-only, but the kernel writes into it")
    if not kinds & UNALIGNED and not _is_aligned(view):
        PyBuffer_Release(view)
        raise ValueError(f"`{name}` is not aligned to its item size, {array.view.itemsize} bytes; pass a copy")
    return 0


cdef Array* hold(Held* held, object source, str name, int ndim, int kinds, bint writable) except NULL:
    """Like `acquire`, into the next place of `held`, which `release` gives back."""
    cdef Array* array = &held.arrays[held.count]
    acquire(array, source, name, ndim, kinds, writable)
    held.count += 1
    return array


cdef void release(Held* held) noexcept:
    while held.count > 0:
        held.count -= 1
        PyBuffer_Release(&held.arrays[held.count].view)


cdef Py_ssize_t size_of(const Array* array) noexcept nogil:
    cdef Py_ssize_t size = 1
    cdef int axis
    for axis in range(array.view.ndim):
        size *= array.view.shape[axis]
    return size


cdef int require_contiguous(const Array* array, str name) except -1:
    cdef Py_ssize_t stride = array.view.itemsize
    cdef int axis
    if size_of(array) == 0:
        return 0
    for axis in range(array.view.ndim - 1, -1, -1):
        if array.view.shape[axis] > 1 and array.view.strides[axis] != stride:
            strides = tuple([array.view.strides[i] for i in range(array.view.ndim)])
            raise ValueError(f"`{name}` must be C-contiguous, but its strides in bytes are {strides} for shape "
                             f"{_shape(array)}")
        stride *= array.view.shape[axis]
    return 0


cdef int require_unit_columns(const Array* array, str name) except -1:
    """Elements of a row lie side by side; rows may lie anywhere."""
    cdef int last = array.view.ndim - 1
    if array.view.shape[last] > 1 and array.view.strides[last] != array.view.itemsize:
        raise ValueError(f"`{name}` must have contiguous rows, but its last axis has a stride of "
                         f"{array.view.strides[last]} bytes for items of {array.view.itemsize}; pass a copy")
    return 0


cdef int require_like(const Array* array, str name, const Array* other, str other_name) except -1:
    cdef int axis
    cdef bint same = array.view.ndim == other.view.ndim
    if array.kind != other.kind:
        raise TypeError(f"`{name}` is {_KIND_NAMES[array.kind]}, but `{other_name}` is {_KIND_NAMES[other.kind]}; "
                        "give them the same dtype")
    if same:
        for axis in range(array.view.ndim):
            same = same and array.view.shape[axis] == other.view.shape[axis]
    if not same:
        raise ValueError(f"`{name}` has shape {_shape(array)}, but `{other_name}` has shape {_shape(other)}; "
                         "they must be equal")
    return 0


cdef void _extent(const Array* array, const char** begin, const char** end) noexcept nogil:
    cdef const char* low = <const char*>array.view.buf
    cdef const char* high = low + array.view.itemsize
    cdef Py_ssize_t reach
    cdef int axis
    for axis in range(array.view.ndim):
        reach = (array.view.shape[axis] - 1) * array.view.strides[axis]
        if reach < 0:
            low += reach
        else:
            high += reach
    begin[0] = low
    end[0] = high


cdef int require_disjoint(const Array* array, str name, const Array* other, str other_name) except -1:
    """The kernels read while they write; where two arrays share memory, the result would depend on the order."""
    cdef const char* begin
    cdef const char* end
    cdef const char* other_begin
    cdef const char* other_end
    if size_of(array) == 0 or size_of(other) == 0:
        return 0
    _extent(array, &begin, &end)
    _extent(other, &other_begin, &other_end)
    if begin < other_end and other_begin < end:
        raise ValueError(f"`{name}` and `{other_name}` share memory; pass a copy of one of them")
    return 0


cdef int require_same_or_disjoint(const Array* array, str name, const Array* other, str other_name) except -1:
    """For two C-contiguous arrays of one dtype where element j of the output needs elements j of the inputs alone."""
    if array.view.buf == other.view.buf and array.view.itemsize == other.view.itemsize:
        if size_of(array) == size_of(other):
            return 0
    return require_disjoint(array, name, other, other_name)
