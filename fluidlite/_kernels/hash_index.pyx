"""Any int64 ids to row numbers: a hash index that numbers ids 1, 2, 3 ... in the order in which they arrive.

Number 0 stands for an id that has none. Numbers depend on the ids and their order alone, not on threads, on the seed
or on how ids are cut into batches. `hash_index.h` says how entries lie in memory.
"""

from cpython.number cimport PyNumber_Index
from libc.math cimport pow
from libc.stdint cimport INT64_MAX, INT64_MIN, UINT32_MAX, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from fluidlite._kernels._arrays cimport (
    INT32,
    INT64,
    Array,
    Held,
    hold,
    release,
    require_contiguous,
    require_disjoint,
)
from fluidlite._kernels._parallel cimport run_chunks
from fluidlite._kernels._scratch cimport give_scratch, take_scratch

cdef extern from "hash_index.h":
    enum:
        PARTITIONS
        ENTRY_BYTES
        SMALLEST_CAPACITY
        INDEX_STEP

    ctypedef struct hash_partition:
        char* entries
        uint64_t capacity
        uint64_t count

    ctypedef struct index_job:
        hash_partition* partitions
        uint64_t seed
        const char* ids
        Py_ssize_t id_stride
        Py_ssize_t n
        int64_t* numbers
        int64_t padding_id
        int has_padding
        uint32_t* seen
        uint32_t step
        int64_t* names
        uint32_t* misses
        Py_ssize_t* begins
        int64_t* missing
        Py_ssize_t* positions
        uint32_t* copies
        Py_ssize_t* firsts
        uint32_t* places
        Py_ssize_t* n_new
        Py_ssize_t* ranks
        int failed

    void find_chunk(void* ctx, Py_ssize_t chunk) noexcept nogil
    void scatter_misses_chunk(void* ctx, Py_ssize_t chunk) noexcept nogil
    void find_firsts_chunk(void* ctx, Py_ssize_t chunk) noexcept nogil
    void count_firsts_chunk(void* ctx, Py_ssize_t chunk) noexcept nogil
    void number_firsts_chunk(void* ctx, Py_ssize_t chunk) noexcept nogil
    void grow_chunk(void* ctx, Py_ssize_t chunk) noexcept nogil
    void insert_chunk(void* ctx, Py_ssize_t chunk) noexcept nogil


class IndexFull(Exception):
    """A batch would bring more ids than there may be: `count` there are, `wanted` it would make, `limit` there may be."""

    def __init__(self, count, wanted, limit):
        super().__init__(f"{wanted} ids are more than the {limit} that there may be")
        self.count, self.wanted, self.limit = count, wanted, limit

    def __reduce__(self):
        return type(self), (self.count, self.wanted, self.limit)


cdef Py_ssize_t _chunks(Py_ssize_t n) noexcept nogil:
    return (n + INDEX_STEP - 1) // INDEX_STEP


cdef class HashIndex:
    """An empty index. `seed`, any uint64, decides which ids collide, and nothing else.

    One thread at a time may insert, and none may find meanwhile.
    """

    cdef hash_partition partitions[PARTITIONS]
    cdef readonly object seed
    cdef uint64_t _seed
    cdef uint64_t _count

    def __cinit__(self, seed):
        cdef int q
        cdef uint64_t capacity
        seed = PyNumber_Index(seed)
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"`seed` must lie in [0, 2^64), but is {seed}")
        self.seed, self._seed, self._count = seed, seed, 0
        for q in range(PARTITIONS):
            capacity = <uint64_t>(SMALLEST_CAPACITY * pow(1.5, q / <double>PARTITIONS))
            self.partitions[q].entries = <char*>calloc(capacity, ENTRY_BYTES)
            self.partitions[q].capacity, self.partitions[q].count = capacity, 0
            if self.partitions[q].entries == NULL:
                raise MemoryError("no memory for an empty index")

    def __dealloc__(self):
        cdef int q
        for q in range(PARTITIONS):
            free(self.partitions[q].entries)

    def __len__(self):
        return self._count

    @property
    def nbytes(self):
        """Bytes of all entries, free ones included."""
        cdef uint64_t total = 0
        cdef int q
        for q in range(PARTITIONS):
            total += self.partitions[q].capacity * ENTRY_BYTES
        return total

    cdef int take(self, Held* held, index_job* job, object ids, object numbers, object padding_id, object seen,
                  object step) except -1:
        """The arguments that both verbs share, checked."""
        cdef Array* i = hold(held, ids, "ids", 1, INT64, False)
        cdef Array* o = hold(held, numbers, "numbers", 1, INT64, True)
        cdef Array* s
        require_contiguous(o, "numbers")
        require_disjoint(o, "numbers", i, "ids")
        if o.view.shape[0] != i.view.shape[0]:
            raise ValueError(f"`numbers` must have shape {(i.view.shape[0],)} (ids), but has {(o.view.shape[0],)}")
        memset(job, 0, sizeof(index_job))
        job.partitions, job.seed = self.partitions, self._seed
        job.ids, job.id_stride, job.n = <const char*>i.view.buf, i.view.strides[0], i.view.shape[0]
        job.numbers = <int64_t*>o.view.buf
        if padding_id is not None:
            padding_id = PyNumber_Index(padding_id)
            # What is no int64 is no id either.
            if INT64_MIN <= padding_id <= INT64_MAX:
                job.padding_id, job.has_padding = padding_id, 1
        if seen is not None:
            s = hold(held, seen, "seen", 1, INT32, True)
            require_contiguous(s, "seen")
            require_disjoint(s, "seen", o, "numbers")
            require_disjoint(s, "seen", i, "ids")
            if <uint64_t>s.view.shape[0] <= self._count:
                raise ValueError(f"`seen` must have a place for each of {self._count} rows and one more, but has "
                                 f"{s.view.shape[0]}")
            job.seen = <uint32_t*>s.view.buf
            step = PyNumber_Index(step)
            if not 0 <= step < 1 << 31:
                raise ValueError(f"`step` must lie in [0, 2^31), but is {step}")
            job.step = step
        return 0

    cdef Py_ssize_t find_all(self, index_job* job) noexcept nogil:
        """The number of misses. Leaves in job.misses the rank of each chunk's first miss in its partition, and in
        job.begins those of the partitions."""
        cdef Py_ssize_t chunk, n_chunks = _chunks(job.n), total = 0
        cdef uint32_t count, rank
        cdef int q
        run_chunks(find_chunk, job, n_chunks)
        for q in range(PARTITIONS):
            job.begins[q], rank = total, 0
            for chunk in range(n_chunks):
                count = job.misses[chunk * PARTITIONS + q]
                job.misses[chunk * PARTITIONS + q] = rank
                rank += count
            total += rank
        job.begins[PARTITIONS] = total
        return total

    def find(self, ids, numbers, *, padding_id=None, seen=None, step=0):
        """numbers[i] = the number of ids[i], 0 where it has none or is the padding id. Returns how many had none.

        ids int64 (N,), any stride; numbers int64 (N,). seen: int32, by row number: becomes `step` for the rows found.
        """
        cdef Held held
        cdef index_job job
        cdef Py_ssize_t begins[PARTITIONS + 1]
        cdef Py_ssize_t n_missing
        held.count = 0
        job.misses = NULL
        try:
            self.take(&held, &job, ids, numbers, padding_id, seen, step)
            job.misses = <uint32_t*>take_scratch(_chunks(job.n) * PARTITIONS * sizeof(uint32_t))
            job.begins = begins
            with nogil:
                n_missing = self.find_all(&job)
            return n_missing
        finally:
            give_scratch(job.misses)
            release(&held)

    def insert(self, ids, numbers, names, *, limit, padding_id=None, seen=None, step=0, prepare=None):
        """`find`, and the ids that have no number get the next ones, in order. Returns how many those are.

        names: int64, by row number: becomes the ids. Row 0 is nobody's. names and seen must have `limit` + 1 places,
        and memory need only be there for those that come into use. limit: how many ids there may be.
        prepare: called with the number of ids that there will be, before any is entered, if any is new.

        Raises IndexFull, before anything changes, where there would be more.
        """
        cdef Held held
        cdef index_job job
        cdef Array* n
        cdef Py_ssize_t begins[PARTITIONS + 1]
        cdef Py_ssize_t n_new[PARTITIONS]
        cdef Py_ssize_t n_missing, total = 0
        cdef uint64_t room
        cdef void* scratch = NULL
        held.count = 0
        job.misses = NULL
        try:
            limit = PyNumber_Index(limit)
            if not 0 <= limit < UINT32_MAX:
                raise ValueError(f"`limit` must lie in [0, 2^32 - 1), but is {limit}")
            self.take(&held, &job, ids, numbers, padding_id, seen, step)
            n = hold(&held, names, "names", 1, INT64, True)
            require_contiguous(n, "names")
            require_disjoint(n, "names", &held.arrays[0], "ids")
            require_disjoint(n, "names", &held.arrays[1], "numbers")
            for name, array in (("names", names), ("seen", seen)):
                if array is not None and len(array) < limit + 1:
                    raise ValueError(f"`{name}` must have {limit + 1} places, but has {len(array)}")
            room = limit - self._count if limit > self._count else 0
            job.names = <int64_t*>n.view.buf
            job.misses = <uint32_t*>take_scratch(_chunks(job.n) * PARTITIONS * sizeof(uint32_t))
            job.begins, job.n_new = begins, n_new
            with nogil:
                n_missing = self.find_all(&job)
            if n_missing == 0:
                return 0
            scratch = self.take_missing(&job, n_missing)
            with nogil:
                total = self.find_new(&job)
                if <uint64_t>total <= room:
                    run_chunks(grow_chunk, &job, PARTITIONS)
            if <uint64_t>total > room:
                raise IndexFull(self._count, self._count + total, limit)
            if job.failed:
                raise MemoryError(f"no memory to index {self._count + total} ids")
            if prepare is not None:
                prepare(self._count + total)
            with nogil:
                self.enter(&job)
            self._count += total
            return total
        finally:
            give_scratch(scratch)
            give_scratch(job.misses)
            release(&held)

    cdef void* take_missing(self, index_job* job, Py_ssize_t n) except NULL:
        """Memory for what has to be known of `n` misses."""
        cdef size_t words = 3 * n + _chunks(job.n)
        cdef char* scratch = <char*>take_scratch(words * 8 + (5 * n + PARTITIONS) * sizeof(uint32_t))
        job.missing, job.positions = <int64_t*>scratch, <Py_ssize_t*>scratch + n
        job.firsts, job.ranks = <Py_ssize_t*>scratch + 2 * n, <Py_ssize_t*>scratch + 3 * n
        job.copies = <uint32_t*>(scratch + words * 8)
        job.places = job.copies + n
        return scratch

    cdef Py_ssize_t find_new(self, index_job* job) noexcept nogil:
        """How many different ids the misses are."""
        cdef Py_ssize_t total = 0
        cdef int q
        run_chunks(scatter_misses_chunk, job, _chunks(job.n))
        run_chunks(find_firsts_chunk, job, PARTITIONS)
        for q in range(PARTITIONS):
            total += job.n_new[q]
        return total

    cdef void enter(self, index_job* job) noexcept nogil:
        """Numbers the new ids and enters them; there is room."""
        cdef Py_ssize_t chunk, count, next = <Py_ssize_t>self._count + 1
        run_chunks(count_firsts_chunk, job, _chunks(job.n))
        for chunk in range(_chunks(job.n)):
            count = job.ranks[chunk]
            job.ranks[chunk] = next
            next += count
        run_chunks(number_firsts_chunk, job, _chunks(job.n))
        run_chunks(insert_chunk, job, PARTITIONS)
