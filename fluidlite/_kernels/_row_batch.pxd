"""What row-wise kernels share: the occurrences of rows in a batch, checked, sorted and ready to be walked."""

from libc.stdint cimport int32_t, int64_t, uint64_t

from fluidlite._kernels._arrays cimport Array
from fluidlite._kernels._sort cimport FEW_KEYS

cdef extern from "sorted_rows.h":
    ctypedef struct row_chunk:
        const char* ids
        Py_ssize_t id_stride
        const char* value
        Py_ssize_t value_stride
        Py_ssize_t begin
        Py_ssize_t count
        int64_t padding_id

    ctypedef struct sorted_rows:
        const uint64_t* keys
        const int64_t* ids
        const char** pointers
        const char* value
        Py_ssize_t value_stride
        uint64_t position_mask
        int position_bits
        Py_ssize_t count
        Py_ssize_t width
        Py_ssize_t step
        Py_ssize_t n_steps

    int64_t row_id(const sorted_rows* rows, Py_ssize_t k) noexcept nogil
    Py_ssize_t seek_row(const sorted_rows* rows, Py_ssize_t low, int64_t id) noexcept nogil
    Py_ssize_t prefetch_distance(Py_ssize_t n_bytes) noexcept nogil
    void prefetch_row(const void* row, Py_ssize_t n_bytes) noexcept nogil
    void copy_row(void* to, const void* source, Py_ssize_t n_bytes) noexcept nogil
    void raise_flag(int* flag) noexcept nogil

cdef extern from "row_update.h":
    const Py_ssize_t DENSE_STEP
    enum:
        MAX_STATES

    ctypedef struct coefficients:
        double rate
        double decay1
        double gain1
        double decay2
        double gain2
        double root_scale
        double epsilon
        double momentum
        double l1
        double l2
        double power

    ctypedef struct row_job:
        const sorted_rows* rows
        void* param
        void* state[MAX_STATES]
        const void* grad
        Py_ssize_t height
        Py_ssize_t size
        Py_ssize_t step
        coefficients settings
        int64_t* merged_rows
        Py_ssize_t* begins
        int32_t* slots
        Py_ssize_t line_stride

cdef class RowBatch:
    cdef sorted_rows rows
    cdef int kind
    cdef int64_t height
    cdef Py_ssize_t size                # positions, paddings included
    cdef bint padded
    cdef int id_bits
    cdef bint wide                      # a row and a position do not fit into 64 bits together
    cdef Py_ssize_t n_chunks
    cdef Py_ssize_t n_held
    cdef row_chunk* chunks
    cdef Array* arrays                  # rows and value of each chunk
    cdef uint64_t* keys
    cdef uint64_t* spare
    cdef Py_ssize_t* counters
    cdef const char** pointers
    cdef int64_t* unsorted_ids
    cdef void* scratch
    cdef row_chunk one_chunk
    cdef Array two_arrays[2]
    cdef uint64_t few_keys[FEW_KEYS]

    cdef int add(self, object chunk) except -1
    cdef int make_room(self) except -1
    cdef bint prepare(self) noexcept nogil
    cdef void sort(self) noexcept nogil
    cdef void sort_wide(self) noexcept nogil
    cdef int refuse(self) except -1
    cdef int require_disjoint(self, const Array* array, str name) except -1

cdef RowBatch batch_rows(object chunks, int64_t height, Py_ssize_t width, int kind)
cdef int64_t padding_of(object padding_id, int64_t height) except? -2
