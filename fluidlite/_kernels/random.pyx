"""Random numbers that depend on (seed, stream, element) alone: never on the length, the order or the threads.

Element `offset + i` of a stream is made of its own words of Philox4x32-10, with key `seed` and counter (element,
stream).
Filling a part of an array, in any order, gives the values that filling the whole gives. Distributions over one stream
share words; give every variable or op its own stream. float32 values take 32 bits of randomness (uniform ones 24),
float64 values 64 (uniform ones 53, normal ones 52).

`out` is a writable C-contiguous float32 or float64 array with one axis. `seed` and `stream` are any uint64; elements
are numbered up to 2^56.

`fill_rows_*` fill the rows of a table by id: row `out[k]`, of D elements, is the first D elements of stream `ids[k]`
(as uint64) under the seed `row_seed(seed, stream)`. So the row of an id depends on (seed, stream, id) alone, wherever
and whenever it is filled. With `elements` ids are row numbers, and `out[k]` is what filling a whole (V, D) table with
seed and stream gives to its row `ids[k]`.
"""

from libc.math cimport INFINITY, isfinite, nextafter, nextafterf
from libc.stdint cimport int64_t, uint32_t, uint64_t

from fluidlite._kernels._arrays cimport (
    FLOAT32,
    INT64,
    REAL,
    Array,
    Held,
    hold,
    release,
    require_contiguous,
    require_disjoint,
)
from fluidlite._kernels._parallel cimport chunk_fn, run_chunks
from fluidlite._kernels._types cimport real_t

cdef extern from "philox.h":
    const int PHILOX_INDEX_BITS
    void philox(const uint32_t* counter, const uint32_t* key, uint32_t* out) noexcept nogil
    void philox_at(uint64_t seed, uint64_t stream, uint64_t index, uint32_t attempt, uint32_t* out) noexcept nogil
    uint64_t philox_join(const uint32_t* words) noexcept nogil
    double normal_quantile(double q) noexcept nogil
    double centred32(uint32_t word) noexcept nogil
    double centred64(uint64_t word) noexcept nogil

cdef enum:
    STEP = 8192                 # elements per chunk of work
    ATTEMPTS = 256              # of a rejection; with two or more candidates each, the last is never reached

cdef struct Fill:
    void* out
    Py_ssize_t n
    uint64_t seed
    uint64_t stream
    uint64_t offset
    double shift                # low, or the mean
    double scale                # high - low, or the standard deviation
    double high
    const char* ids             # of rows: their streams
    Py_ssize_t id_stride
    Py_ssize_t width
    bint elements               # rows are parts of one stream


cdef inline real_t _place(const Fill* f, double value, real_t* out) noexcept nogil:
    return <real_t>(f.shift + f.scale * value)


cdef inline real_t _uniform(const Fill* f, const uint32_t* words, int lane, real_t* out) noexcept nogil:
    """In [low, high): rounding may reach `high`, and then the number below it is taken."""
    cdef real_t value, high = <real_t>f.high
    if real_t is float:
        value = _place(f, (words[lane] >> 8) * 5.9604644775390625e-08, out)
        return value if value < high or f.scale == 0 else nextafterf(high, -INFINITY)
    else:
        value = _place(f, (philox_join(words + 2 * lane) >> 11) * 1.1102230246251565e-16, out)
        return value if value < high or f.scale == 0 else nextafter(high, -INFINITY)


cdef inline double _normal(const uint32_t* words, int lane, real_t* out) noexcept nogil:
    if real_t is float:
        return normal_quantile(centred32(words[lane]))
    else:
        return normal_quantile(centred64(philox_join(words + 2 * lane)))


cdef inline double _truncated(
    const Fill* f, uint64_t stream, uint64_t index, double first, real_t* out
) noexcept nogil:
    """`first` if it lies within two standard deviations, else the first of the element's own candidates that does."""
    cdef uint32_t words[4]
    cdef int attempt
    cdef double value = first
    cdef int lane, lanes = 4 if real_t is float else 2
    for attempt in range(1, ATTEMPTS):
        if -2 <= value <= 2:
            return value
        philox_at(f.seed, stream, index, <uint32_t>attempt, words)
        for lane in range(lanes):
            value = _normal(words, lane, out)
            if -2 <= value <= 2:
                return value
    return 0


cdef enum Kind:
    UNIFORM
    GAUSSIAN
    TRUNCATED


cdef inline void _fill_span(
    const Fill* f, uint64_t stream, uint64_t index, Py_ssize_t n, Kind kind, real_t* out
) noexcept nogil:
    """One block of Philox makes four float32 or two float64 elements; elements are aligned to blocks by their index."""
    cdef Py_ssize_t i = 0
    cdef int lanes = 4 if real_t is float else 2
    cdef int lane = <int>(index % <uint64_t>lanes)
    cdef uint32_t words[4]
    while i < n:
        philox_at(f.seed, stream, index // <uint64_t>lanes, 0, words)
        while lane < lanes and i < n:
            if kind == UNIFORM:
                out[i] = _uniform(f, words, lane, out)
            elif kind == GAUSSIAN:
                out[i] = _place(f, _normal(words, lane, out), out)
            else:
                out[i] = _place(f, _truncated(f, stream, index, _normal(words, lane, out), out), out)
            i += 1
            index += 1
            lane += 1
        lane = 0


cdef inline Py_ssize_t _rows_per_chunk(const Fill* f) noexcept nogil:
    return max(STEP // (f.width + 1), 1)


cdef inline void _fill(const Fill* f, Py_ssize_t chunk, Kind kind, real_t* out) noexcept nogil:
    """A chunk of a stream, or of rows."""
    cdef Py_ssize_t i = chunk * STEP
    cdef Py_ssize_t end
    cdef uint64_t id
    if f.ids == NULL:
        _fill_span(f, f.stream, f.offset + <uint64_t>i, min(STEP, f.n - i), kind, out + i)
        return
    i = chunk * _rows_per_chunk(f)
    end = min(i + _rows_per_chunk(f), f.n)
    while i < end:
        id = <uint64_t>(<const int64_t*>(f.ids + i * f.id_stride))[0]
        if f.elements:
            _fill_span(f, f.stream, id * <uint64_t>f.width, f.width, kind, out + i * f.width)
        else:
            _fill_span(f, id, 0, f.width, kind, out + i * f.width)
        i += 1


cdef void _uniform_float(void* ctx, Py_ssize_t chunk) noexcept nogil:
    _fill(<Fill*>ctx, chunk, UNIFORM, <float*>(<Fill*>ctx).out)


cdef void _uniform_double(void* ctx, Py_ssize_t chunk) noexcept nogil:
    _fill(<Fill*>ctx, chunk, UNIFORM, <double*>(<Fill*>ctx).out)


cdef void _gaussian_float(void* ctx, Py_ssize_t chunk) noexcept nogil:
    _fill(<Fill*>ctx, chunk, GAUSSIAN, <float*>(<Fill*>ctx).out)


cdef void _gaussian_double(void* ctx, Py_ssize_t chunk) noexcept nogil:
    _fill(<Fill*>ctx, chunk, GAUSSIAN, <double*>(<Fill*>ctx).out)


cdef void _truncated_float(void* ctx, Py_ssize_t chunk) noexcept nogil:
    _fill(<Fill*>ctx, chunk, TRUNCATED, <float*>(<Fill*>ctx).out)


cdef void _truncated_double(void* ctx, Py_ssize_t chunk) noexcept nogil:
    _fill(<Fill*>ctx, chunk, TRUNCATED, <double*>(<Fill*>ctx).out)


cdef uint64_t _uint64(object number, str name) except? 0:
    if isinstance(number, bool) or not hasattr(number, "__index__"):
        raise TypeError(f"`{name}` must be an integer, but is {number!r}")
    if not 0 <= number < 1 << 64:
        raise ValueError(f"`{name}` must lie in [0, 2^64), but is {number}")
    return number


cdef int _run(object out, Fill* f, object seed, object stream, object offset, chunk_fn single, chunk_fn wide) except -1:
    cdef Held held
    cdef Array* o
    cdef chunk_fn fn
    held.count = 0
    try:
        o = hold(&held, out, "out", 1, REAL, True)
        require_contiguous(o, "out")
        f.seed, f.stream, f.offset = _uint64(seed, "seed"), _uint64(stream, "stream"), _uint64(offset, "offset")
        f.out, f.n = o.view.buf, o.view.shape[0]
        if f.offset > (<uint64_t>1 << PHILOX_INDEX_BITS) - <uint64_t>f.n:
            raise ValueError(f"`offset` plus the length of `out` must not pass 2^{PHILOX_INDEX_BITS}, but offset is "
                             f"{f.offset} and the length {f.n}")
        f.ids = NULL
        fn = single if o.kind == FLOAT32 else wide
        with nogil:
            run_chunks(fn, f, (f.n + STEP - 1) // STEP)
    finally:
        release(&held)
    return 0


cdef int _run_rows(
    object out, object ids, Fill* f, object seed, object stream, bint elements, chunk_fn single, chunk_fn wide
) except -1:
    cdef Held held
    cdef Array* o
    cdef Array* i
    cdef chunk_fn fn
    held.count = 0
    try:
        o = hold(&held, out, "out", 2, REAL, True)
        i = hold(&held, ids, "ids", 1, INT64, False)
        require_contiguous(o, "out")
        require_disjoint(o, "out", i, "ids")
        if o.view.shape[0] != i.view.shape[0]:
            raise ValueError(f"`out` must have a row for each of {i.view.shape[0]} ids, but has {o.view.shape[0]}")
        f.elements = elements
        if elements:
            f.seed, f.stream = _uint64(seed, "seed"), _uint64(stream, "stream")
        else:
            f.seed = row_seed(seed, stream)
        f.out, f.n, f.width = o.view.buf, o.view.shape[0], o.view.shape[1]
        f.ids, f.id_stride = <const char*>i.view.buf, i.view.strides[0]
        fn = single if o.kind == FLOAT32 else wide
        with nogil:
            run_chunks(fn, f, (f.n + _rows_per_chunk(f) - 1) // _rows_per_chunk(f))
    finally:
        release(&held)
    return 0


def row_seed(seed, stream):
    """The seed of a table's rows: a uint64 that depends on all of `seed` and `stream`."""
    cdef uint32_t words[4]
    philox_at(_uint64(seed, "seed"), _uint64(stream, "stream"), 0, ATTEMPTS - 1, words)
    return philox_join(words)


cdef int _set_normal(Fill* f, double mean, double std) except -1:
    if not isfinite(mean) or not isfinite(std) or std < 0:
        raise ValueError(f"`mean` must be finite and `std` finite and not negative, but they are {mean} and {std}")
    f.shift, f.scale, f.high = mean, std, 0
    return 0


cdef int _set_uniform(Fill* f, double low, double high) except -1:
    if not isfinite(high - low) or low > high:
        raise ValueError(f"`low` and `high` must be finite, with low <= high, but they are {low} and {high}")
    f.shift, f.scale, f.high = low, high - low, high
    return 0


def fill_uniform(out, double low, double high, *, seed, stream, offset=0):
    """out[i] = element offset + i of the stream, uniform in [low, high); `low` where the two are equal."""
    cdef Fill f
    _set_uniform(&f, low, high)
    _run(out, &f, seed, stream, offset, _uniform_float, _uniform_double)


def fill_gaussian(out, double mean, double std, *, seed, stream, offset=0):
    """out[i] = element offset + i of the stream, normal with the given mean and standard deviation."""
    cdef Fill f
    _set_normal(&f, mean, std)
    _run(out, &f, seed, stream, offset, _gaussian_float, _gaussian_double)


def fill_truncated_gaussian(out, double mean, double std, *, seed, stream, offset=0):
    """Like `fill_gaussian`, but elements farther than 2 std from the mean are drawn again, each from its own words.

    The standard deviation of the result is 0.8796 std.
    """
    cdef Fill f
    _set_normal(&f, mean, std)
    _run(out, &f, seed, stream, offset, _truncated_float, _truncated_double)


def fill_rows_uniform(out, ids, double low, double high, *, seed, stream, bint elements=False):
    """out[k] = the row of ids[k], uniform in [low, high); out (n, D), ids int64 (n,)."""
    cdef Fill f
    _set_uniform(&f, low, high)
    _run_rows(out, ids, &f, seed, stream, elements, _uniform_float, _uniform_double)


def fill_rows_gaussian(out, ids, double mean, double std, *, seed, stream, bint elements=False):
    """out[k] = the row of ids[k], normal with the given mean and standard deviation; out (n, D), ids int64 (n,)."""
    cdef Fill f
    _set_normal(&f, mean, std)
    _run_rows(out, ids, &f, seed, stream, elements, _gaussian_float, _gaussian_double)


def fill_rows_truncated_gaussian(out, ids, double mean, double std, *, seed, stream, bint elements=False):
    """Like `fill_rows_gaussian`, within 2 std of the mean, as `fill_truncated_gaussian` draws."""
    cdef Fill f
    _set_normal(&f, mean, std)
    _run_rows(out, ids, &f, seed, stream, elements, _truncated_float, _truncated_double)


def philox_block(counter, key):
    """The four words of Philox4x32-10 for four counter and two key words: to be compared with published vectors."""
    cdef uint32_t c[4]
    cdef uint32_t k[2]
    cdef uint32_t words[4]
    c[0], c[1], c[2], c[3] = counter
    k[0], k[1] = key
    philox(c, k, words)
    return words[0], words[1], words[2], words[3]


def gaussian_quantile(double q):
    """The z with Phi(z) = 0.5 + q, for q in (-0.5, 0.5): to be compared with published values."""
    if not -0.5 < q < 0.5:
        raise ValueError(f"`q` must lie in (-0.5, 0.5), but is {q}")
    return normal_quantile(q)
