"""The occurrences of rows in one gradient: taken from the chunks of the caller, checked, packed and sorted.

`rows` describes the chunks. An occurrence is packed into one 64-bit key, row above position, so that sorting keys sorts
occurrences by (row, position). Where the two need more than 64 bits, positions are sorted by a part of their row's bits
at a time, and the sorted rows are kept beside them.
"""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.number cimport PyNumber_Index
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free

from fluidlite._kernels._arrays cimport INT64, REAL, Array, acquire, require_disjoint, require_unit_columns
from fluidlite._kernels._parallel cimport run_chunks
from fluidlite._kernels._scratch cimport give_scratch, take_scratch
from fluidlite._kernels._sort cimport FEW_KEYS, sort_counters, sort_few, sort_keys

cdef enum:
    PACK_BLOCK = 16384                  # positions per chunk of packing
    UPDATE_STEP = 32768                 # elements per chunk of an update: some 40 microseconds


class IdOutOfRange(IndexError):
    """An id lies outside the table; `id`, `position` (over all ids of the call) and `height` say which and where."""

    def __init__(self, id, position, height):
        super().__init__(f"id {id} at position {position} is outside [0, {height})")
        self.id = id
        self.position = position
        self.height = height

    def __reduce__(self):
        return type(self), (self.id, self.position, self.height)


cdef int _bit_length(uint64_t number) noexcept nogil:
    cdef int bits = 0
    while number:
        number >>= 1
        bits += 1
    return bits


cdef int64_t padding_of(object padding_id, int64_t height) except? -2:
    """-1, which no valid id equals, stands for none; so does an id that the table does not have."""
    if padding_id is None:
        return -1
    try:
        padding_id = PyNumber_Index(padding_id)
    except TypeError:
        raise TypeError(f"`padding_id` must be an integer or None, but is {padding_id!r}") from None
    return padding_id if 0 <= padding_id < height else -1


cdef struct Packing:
    const row_chunk* chunks
    Py_ssize_t size
    int64_t height
    int position_bits
    uint64_t* keys
    int64_t* ids                        # NULL unless wide
    const char** pointers               # NULL for one chunk
    int refused
    int unordered


cdef void _pack_block(void* ctx, Py_ssize_t block) noexcept nogil:
    """Checks and packs one block of positions. A padding becomes row `height`, so that it sorts behind all rows."""
    cdef Packing* p = <Packing*>ctx
    cdef Py_ssize_t position = block * PACK_BLOCK
    cdef Py_ssize_t end = min(position + PACK_BLOCK, p.size)
    cdef const row_chunk* chunk = p.chunks
    cdef const char* at
    cdef Py_ssize_t i, stop
    cdef int64_t id, before = 0
    cdef bint refused = False, unordered = False
    while position < end:
        while position >= chunk.begin + chunk.count:
            chunk += 1
        stop = min(end, chunk.begin + chunk.count)
        at = chunk.ids + (position - chunk.begin) * chunk.id_stride
        if p.pointers != NULL:
            for i in range(position, stop):
                p.pointers[i] = chunk.value + (i - chunk.begin) * chunk.value_stride
        while position < stop:
            id = (<const int64_t*>at)[0]
            refused |= <uint64_t>id >= <uint64_t>p.height
            if id == chunk.padding_id:
                id = p.height
            unordered |= id < before
            before = id
            if p.ids == NULL:
                p.keys[position] = <uint64_t>id << p.position_bits | <uint64_t>position
            else:
                p.keys[position] = <uint64_t>position
                p.ids[position] = id
            at += chunk.id_stride
            position += 1
    if refused:
        raise_flag(&p.refused)
    if unordered:
        raise_flag(&p.unordered)


@cython.final
@cython.freelist(4)
cdef class RowBatch:
    """The occurrences of one gradient. `batch_rows` takes the arrays; `prepare` checks and sorts without the GIL."""

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.n_held):
            PyBuffer_Release(&self.arrays[i].view)
        if self.chunks != &self.one_chunk:
            free(self.chunks)
            free(self.arrays)
        give_scratch(self.scratch)

    cdef int add(self, object entry) except -1:
        cdef row_chunk* chunk = &self.chunks[self.n_chunks]
        cdef Array* rows = &self.arrays[self.n_held]
        cdef Array* value = rows + 1
        try:
            ids, values, padding = entry
        except (TypeError, ValueError):
            raise TypeError(f"chunk {self.n_chunks} must be (rows, value, padding_id), but is {entry!r:.200}") from None
        acquire(rows, ids, "rows", 1, INT64, False)
        self.n_held += 1
        acquire(value, values, "value", 2, self.kind, False)
        self.n_held += 1
        if self.kind == REAL:
            self.kind = value.kind
        if self.rows.width < 0:
            self.rows.width = value.view.shape[1]
        if value.view.shape[0] != rows.view.shape[0] or value.view.shape[1] != self.rows.width:
            raise ValueError(
                f"`value` of chunk {self.n_chunks} must have shape {(rows.view.shape[0], self.rows.width)} "
                f"(rows, width of the table), but has {(value.view.shape[0], value.view.shape[1])}"
            )
        require_unit_columns(value, "value")
        chunk.ids = <const char*>rows.view.buf
        chunk.id_stride = rows.view.strides[0]
        chunk.value = <const char*>value.view.buf
        chunk.value_stride = value.view.strides[0]
        chunk.begin = self.size
        chunk.count = rows.view.shape[0]
        chunk.padding_id = padding_of(padding, self.height)
        self.padded |= chunk.padding_id >= 0
        self.size += chunk.count
        self.n_chunks += 1
        return 0

    cdef int make_room(self) except -1:
        """Decides how keys are made of rows and positions, and finds memory for them."""
        cdef Py_ssize_t counters = sort_counters(self.size)
        cdef size_t words
        cdef uint64_t* at
        self.rows.position_bits = _bit_length(<uint64_t>(self.size - 1)) if self.size > 0 else 0
        self.id_bits = _bit_length(<uint64_t>(self.height if self.padded else max(self.height - 1, 0)))
        self.wide = self.id_bits + self.rows.position_bits > 64
        if self.size <= FEW_KEYS and self.n_chunks <= 1 and not self.wide:
            self.keys = self.few_keys
            return 0
        words = 2 * self.size + counters
        if self.n_chunks > 1:
            words += self.size
        if self.wide:
            words += 2 * self.size
        self.scratch = take_scratch(words * sizeof(uint64_t))
        at = <uint64_t*>self.scratch
        self.keys, self.spare, self.counters = at, at + self.size, <Py_ssize_t*>(at + 2 * self.size)
        at += 2 * self.size + counters
        if self.n_chunks > 1:
            self.pointers = <const char**>at
            at += self.size
        if self.wide:
            self.unsorted_ids = <int64_t*>at
        return 0

    cdef bint prepare(self) noexcept nogil:
        """Checks all ids and sorts them. False: one is out of range, and `refuse` raises."""
        cdef Packing p
        cdef sorted_rows* rows = &self.rows
        cdef Py_ssize_t border
        rows.count = self.size
        if self.size == 0:
            return True
        p.chunks, p.size, p.height, p.position_bits = self.chunks, self.size, self.height, rows.position_bits
        p.keys, p.ids, p.pointers = self.keys, self.unsorted_ids, self.pointers
        p.refused = p.unordered = 0
        run_chunks(_pack_block, &p, (self.size + PACK_BLOCK - 1) // PACK_BLOCK)
        if p.refused:
            return False
        rows.keys, rows.ids, rows.pointers = self.keys, self.unsorted_ids, self.pointers
        rows.value, rows.value_stride = self.chunks[0].value, self.chunks[0].value_stride
        rows.position_mask = ~(<uint64_t>0) if self.wide else (<uint64_t>1 << rows.position_bits) - 1
        border = PACK_BLOCK
        while border < self.size and not p.unordered:
            p.unordered = row_id(rows, border - 1) > row_id(rows, border)
            border += PACK_BLOCK
        if p.unordered:
            self.sort()
        if self.padded:
            rows.count = seek_row(rows, 0, self.height)
        rows.step = max(UPDATE_STEP // (rows.width + 16), 1)
        rows.n_steps = (rows.count + rows.step - 1) // rows.step
        return True

    cdef void sort(self) noexcept nogil:
        if self.wide:
            self.sort_wide()
        elif self.size <= FEW_KEYS:
            sort_few(self.keys, self.size)
        elif sort_keys(self.keys, self.spare, self.counters, self.size, self.rows.position_bits, self.id_bits):
            self.rows.keys = self.spare

    cdef void sort_wide(self) noexcept nogil:
        """Sorts positions by as many bits of their id as fit beside them, from the lowest bits to the highest."""
        cdef uint64_t* keys = self.keys
        cdef uint64_t* spare = self.spare
        cdef int64_t* ids = self.unsorted_ids
        cdef int64_t* sorted_ids = ids + self.size
        cdef int position_bits = self.rows.position_bits
        cdef int room = 64 - position_bits
        cdef int done = 0
        cdef int bits
        cdef uint64_t positions = (<uint64_t>1 << position_bits) - 1
        cdef uint64_t position, digits
        cdef Py_ssize_t k
        while done < self.id_bits:
            bits = min(room, self.id_bits - done)
            for k in range(self.size):
                position = keys[k] & positions
                digits = <uint64_t>ids[position] >> done
                keys[k] = digits << position_bits | position
            if sort_keys(keys, spare, self.counters, self.size, position_bits, bits):
                keys, spare = spare, keys
            done += bits
        for k in range(self.size):
            keys[k] &= positions
            sorted_ids[k] = ids[keys[k]]
        self.rows.keys, self.rows.ids = keys, sorted_ids

    cdef int refuse(self) except -1:
        cdef Py_ssize_t c, i
        cdef int64_t id
        for c in range(self.n_chunks):
            for i in range(self.chunks[c].count):
                id = (<const int64_t*>(self.chunks[c].ids + i * self.chunks[c].id_stride))[0]
                if not 0 <= id < self.height:
                    raise IdOutOfRange(id, self.chunks[c].begin + i, self.height)
        raise RuntimeError("`rows` changed while a kernel read them")

    cdef int require_disjoint(self, const Array* array, str name) except -1:
        cdef Py_ssize_t i
        for i in range(0, self.n_held, 2):
            require_disjoint(&self.arrays[i], "rows", array, name)
            require_disjoint(&self.arrays[i + 1], "value", array, name)
        return 0


cdef RowBatch batch_rows(object chunks, int64_t height, Py_ssize_t width, int kind):
    """Takes the arrays of `chunks`; width -1 and kind REAL are settled by the first chunk."""
    cdef RowBatch batch = RowBatch.__new__(RowBatch)
    cdef Py_ssize_t n
    if not isinstance(chunks, (list, tuple)):
        raise TypeError(f"`chunks` must be a list of (rows, value, padding_id), but is {type(chunks).__name__}")
    chunks = tuple(chunks)              # a list may grow while its arrays are taken
    n = len(chunks)
    batch.height, batch.rows.width, batch.kind = height, width, kind
    if n <= 1:
        batch.chunks, batch.arrays = &batch.one_chunk, batch.two_arrays
    else:
        batch.chunks = <row_chunk*>calloc(n, sizeof(row_chunk))
        batch.arrays = <Array*>calloc(2 * n, sizeof(Array))
        if batch.chunks == NULL or batch.arrays == NULL:
            raise MemoryError(f"no memory for {n} chunks")
    for chunk in chunks:
        batch.add(chunk)
    batch.make_room()
    return batch
