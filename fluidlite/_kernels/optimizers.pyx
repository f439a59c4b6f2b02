"""Updates of parameters, dense and by row.

Every kernel checks all its arguments before it writes, and updates parameter, moments and counters within one call, so
that an interrupt between two calls finds them in agreement. Tables, moments and dense gradients are C-contiguous, of
one floating dtype; `chunks` is described in `rows`. Rows that do not occur keep their bits, unless a kernel says
otherwise.

Arithmetic runs in the dtype of the parameter. Coefficients that depend on the step alone are computed in double.
"""

from libc.math cimport pow, sqrt
from libc.stdint cimport INT32_MAX, INT64_MAX, int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fluidlite._kernels._arrays cimport (
    FLOAT32,
    INT32,
    INT64,
    REAL,
    Array,
    Held,
    hold,
    release,
    require_contiguous,
    require_disjoint,
    require_like,
    size_of,
)
from fluidlite._kernels._cpu cimport variant, variants
from fluidlite._kernels._parallel cimport chunk_fn, run_chunks
from fluidlite._kernels._row_batch cimport DENSE_STEP, RowBatch, batch_rows, row_job

cdef extern from "row_update.h":
    const variants sgd_dense_chunk
    const variants sgd_rows_chunk
    const variants adam_dense_chunk
    const variants adam_rows_chunk
    const variants adam_rows_all_chunk

    void count_new_chunk(void* ctx, Py_ssize_t chunk) noexcept nogil
    void number_new_chunk(void* ctx, Py_ssize_t chunk) noexcept nogil

# The order in which arrays are held, for messages.
cdef tuple _TABLE_NAMES = ("param", "moment1", "moment2")
cdef tuple _ROW_NAMES = (*_TABLE_NAMES, "beta1_pow")
cdef tuple _STATE_NAMES = ("param", "state", "slots", "count", "beta1_pow")
cdef tuple _DENSE_NAMES = (*_TABLE_NAMES, "grad", "beta1_pow")


cdef Py_ssize_t _pieces(Py_ssize_t size, Py_ssize_t step) noexcept nogil:
    return (size + step - 1) // step


cdef double _beta(double beta, str name) except? -1:
    if not 0 <= beta < 1:
        raise ValueError(f"`{name}` must lie in [0, 1), but is {beta}")
    return beta


cdef Array* _hold_param(Held* held, object param, int ndim, row_job* job) except NULL:
    cdef Array* p = hold(held, param, "param", ndim, REAL, True)
    require_contiguous(p, "param")
    memset(job, 0, sizeof(row_job))
    job.param = p.view.buf
    job.size = size_of(p)
    if ndim == 2:
        job.height = p.view.shape[0]
    return p


cdef int _hold_moments(Held* held, Array* p, object moment1, object moment2, row_job* job) except -1:
    cdef Array* m = hold(held, moment1, "moment1", -1, REAL, True)
    cdef Array* v = hold(held, moment2, "moment2", -1, REAL, True)
    require_like(m, "moment1", p, "param")
    require_like(v, "moment2", p, "param")
    require_contiguous(m, "moment1")
    require_contiguous(v, "moment2")
    require_disjoint(m, "moment1", p, "param")
    require_disjoint(v, "moment2", p, "param")
    require_disjoint(m, "moment1", v, "moment2")
    job.moment1 = m.view.buf
    job.moment2 = v.view.buf
    return 0


cdef int64_t* _hold_state(Held* held, Array* p, object slots, object state, object count, row_job* job) except NULL:
    """Moments of the rows touched alone: `state` (V, 2 D) has a line for each, whose number stands in `slots` (V,)."""
    cdef Array* data = hold(held, state, "state", 2, p.kind, True)
    cdef Array* numbers
    cdef Array* n
    cdef int64_t* touched
    require_contiguous(data, "state")
    if data.view.shape[0] != p.view.shape[0] or data.view.shape[1] != 2 * p.view.shape[1]:
        raise ValueError(f"`state` must have shape {(p.view.shape[0], 2 * p.view.shape[1])} (V, 2 D), but has "
                         f"{(data.view.shape[0], data.view.shape[1])}")
    require_disjoint(data, "state", p, "param")
    numbers = hold(held, slots, "slots", 1, INT32, True)
    require_contiguous(numbers, "slots")
    if numbers.view.shape[0] != p.view.shape[0] or p.view.shape[0] >= INT32_MAX:
        raise ValueError(f"`slots` must have shape ({p.view.shape[0]},) and fewer than 2^31 rows, but has shape "
                         f"({numbers.view.shape[0]},)")
    n = hold(held, count, "count", 1, INT64, True)
    if n.view.shape[0] != 1:
        raise ValueError(f"`count` must have shape (1,), but has ({n.view.shape[0]},)")
    touched = <int64_t*>n.view.buf
    if not 0 <= touched[0] <= p.view.shape[0]:
        raise ValueError(f"`count` must lie in [0, {p.view.shape[0]}], but is {touched[0]}")
    job.moment1 = data.view.buf
    job.moment2 = <char*>data.view.buf + p.view.shape[1] * data.view.itemsize
    job.slots = <int32_t*>numbers.view.buf
    job.moment_stride = data.view.shape[1]
    return touched


cdef bint _number_rows(row_job* job, int64_t* count) noexcept nogil:
    """Gives a slot to every row that has none, in the order of rows, whatever the threads. False: no memory."""
    cdef Py_ssize_t chunk, n_new, n_chunks = job.rows.n_steps
    cdef int64_t total = count[0]
    job.begins = <Py_ssize_t*>malloc((n_chunks + 1) * sizeof(Py_ssize_t))
    if job.begins == NULL:
        return False
    run_chunks(&count_new_chunk, job, n_chunks)
    for chunk in range(n_chunks):
        n_new = job.begins[chunk]
        job.begins[chunk] = <Py_ssize_t>total
        total += n_new
    if total > count[0]:
        run_chunks(&number_new_chunk, job, n_chunks)
        count[0] = total
    free(job.begins)
    return True


cdef int _hold_grad(Held* held, Array* p, object grad, row_job* job) except -1:
    """The held arrays before it are the ones that the kernel writes."""
    cdef int written = held.count
    cdef int i
    cdef Array* g = hold(held, grad, "grad", -1, REAL, False)
    require_like(g, "grad", p, "param")
    require_contiguous(g, "grad")
    for i in range(written):
        require_disjoint(g, "grad", &held.arrays[i], _TABLE_NAMES[i])
    job.grad = g.view.buf
    return 0


cdef RowBatch _hold_rows(Held* held, Array* p, object chunks, row_job* job):
    cdef RowBatch batch = batch_rows(chunks, p.view.shape[0], p.view.shape[1], p.kind)
    cdef tuple names = _TABLE_NAMES if job.slots == NULL else _STATE_NAMES
    cdef int i
    for i in range(held.count):
        batch.require_disjoint(&held.arrays[i], names[i])
    job.rows = &batch.rows
    return batch


cdef int _require_alone(Held* held, str name, tuple names) except -1:
    """The array held last, `name`, shares no memory with those held before, `names`."""
    cdef int last = held.count - 1
    cdef int i
    for i in range(last):
        require_disjoint(&held.arrays[last], name, &held.arrays[i], names[i])
    return 0


cdef Array* _hold_power(Held* held, Array* p, object power, str name, tuple names) except NULL:
    cdef Array* a = hold(held, power, name, 1, p.kind, True)
    if a.view.shape[0] != 1:
        raise ValueError(f"`{name}` must have shape (1,), but has ({a.view.shape[0]},)")
    _require_alone(held, name, names)
    return a


cdef double _power(Array* a) noexcept nogil:
    return (<float*>a.view.buf)[0] if a.kind == FLOAT32 else (<double*>a.view.buf)[0]


cdef void _grow_power(Array* a, double beta) noexcept nogil:
    if a.kind == FLOAT32:
        (<float*>a.view.buf)[0] *= <float>beta
    else:
        (<double*>a.view.buf)[0] *= beta


cdef int _set_fluid_adam(
    row_job* job, Array* pow1, Array* pow2, double learning_rate, double beta1, double beta2, double epsilon
) except -1:
    """Fluid's coefficients. Its betas are rounded to the parameter's dtype before 1 - beta, like the powers.

    The two roundings cancel in the first steps; with only one of them, 1 - 0.999f is wrong by 5e-5.
    """
    beta1, beta2 = _beta(beta1, "beta1"), _beta(beta2, "beta2")
    if pow1.kind == FLOAT32:
        beta1, beta2 = <float>beta1, <float>beta2
    job.decay1, job.gain1 = beta1, 1 - beta1
    job.decay2, job.gain2 = beta2, 1 - beta2
    job.rate = learning_rate * sqrt(1 - _power(pow2)) / (1 - _power(pow1))
    job.root_scale = 1
    job.epsilon = epsilon
    return 0


def sgd_dense(param, grad, double learning_rate):
    """param -= learning_rate * grad.

    param and grad: any equal shape, C-contiguous.
    """
    cdef Held held
    cdef row_job job
    cdef chunk_fn fn
    cdef Array* p
    held.count = 0
    try:
        p = _hold_param(&held, param, -1, &job)
        _hold_grad(&held, p, grad, &job)
        job.rate = learning_rate
        fn = variant(&sgd_dense_chunk, p.kind)
        with nogil:
            run_chunks(fn, &job, _pieces(job.size, DENSE_STEP))
    finally:
        release(&held)


def sgd_rows(param, chunks, double learning_rate):
    """param[r] -= learning_rate * (sum of the occurrences of r), for every row r of `chunks`.

    param (V, D).
    """
    cdef Held held
    cdef row_job job
    cdef RowBatch batch
    cdef chunk_fn fn
    cdef Array* p
    cdef bint ready
    held.count = 0
    try:
        p = _hold_param(&held, param, 2, &job)
        batch = _hold_rows(&held, p, chunks, &job)
        job.rate = learning_rate
        fn = variant(&sgd_rows_chunk, p.kind)
        with nogil:
            ready = batch.prepare()
            if ready:
                run_chunks(fn, &job, batch.rows.n_steps)
        if not ready:
            batch.refuse()
    finally:
        release(&held)


def adam_dense(
    param,
    moment1,
    moment2,
    grad,
    beta1_pow,
    beta2_pow,
    *,
    double learning_rate,
    double beta1,
    double beta2,
    double epsilon,
):
    """Adam as Fluid's op `adam` computes it.

        m = beta1 m + (1 - beta1) g
        v = beta2 v + (1 - beta2) g^2
        p = p - learning_rate sqrt(1 - beta2_pow) / (1 - beta1_pow) * m / (sqrt(v) + epsilon)

    param, moment1, moment2 and grad: any equal shape, C-contiguous. beta1_pow, beta2_pow: shape (1,), of the same
    dtype; they hold beta1^t and beta2^t in step t and are multiplied by beta1 and beta2 at the end.
    """
    cdef Held held
    cdef row_job job
    cdef chunk_fn fn
    cdef Array* p
    cdef Array* pow1
    cdef Array* pow2
    held.count = 0
    try:
        p = _hold_param(&held, param, -1, &job)
        _hold_moments(&held, p, moment1, moment2, &job)
        _hold_grad(&held, p, grad, &job)
        pow1 = _hold_power(&held, p, beta1_pow, "beta1_pow", _DENSE_NAMES)
        pow2 = _hold_power(&held, p, beta2_pow, "beta2_pow", _DENSE_NAMES)
        _set_fluid_adam(&job, pow1, pow2, learning_rate, beta1, beta2, epsilon)
        fn = variant(&adam_dense_chunk, p.kind)
        with nogil:
            run_chunks(fn, &job, _pieces(job.size, DENSE_STEP))
            _grow_power(pow1, beta1)
            _grow_power(pow2, beta2)
    finally:
        release(&held)


cdef int _adam_rows(
    object param,
    object moment1,
    object moment2,
    object chunks,
    object beta1_pow,
    object beta2_pow,
    double learning_rate,
    double beta1,
    double beta2,
    double epsilon,
    bint every_row,
    object slots=None,
    object count=None,
) except -1:
    """`slots` and `count` are given where moment1 is the state of the rows touched, and moment2 is None."""
    cdef Held held
    cdef row_job job
    cdef RowBatch batch
    cdef chunk_fn fn
    cdef Array* p
    cdef Array* pow1
    cdef Array* pow2
    cdef int64_t* touched = NULL
    cdef Py_ssize_t n_chunks
    cdef bint ready, numbered = True
    held.count = 0
    try:
        p = _hold_param(&held, param, 2, &job)
        if slots is None:
            _hold_moments(&held, p, moment1, moment2, &job)
        else:
            touched = _hold_state(&held, p, slots, moment1, count, &job)
        batch = _hold_rows(&held, p, chunks, &job)
        pow1 = _hold_power(&held, p, beta1_pow, "beta1_pow", _ROW_NAMES if slots is None else _STATE_NAMES)
        pow2 = _hold_power(&held, p, beta2_pow, "beta2_pow", _ROW_NAMES if slots is None else _STATE_NAMES)
        _set_fluid_adam(&job, pow1, pow2, learning_rate, beta1, beta2, epsilon)
        job.step = max(DENSE_STEP // max(p.view.shape[1], 1), 1)
        if every_row:
            fn = variant(&adam_rows_all_chunk, p.kind)
        else:
            fn = variant(&adam_rows_chunk, p.kind)
        with nogil:
            ready = batch.prepare()
            if ready and touched != NULL:
                numbered = _number_rows(&job, touched)
            if ready and numbered:
                n_chunks = _pieces(job.height, job.step) if every_row else batch.rows.n_steps
                run_chunks(fn, &job, n_chunks)
                _grow_power(pow1, beta1)
                _grow_power(pow2, beta2)
        if not ready:
            batch.refuse()
        if not numbered:
            raise MemoryError("no memory to number rows")
    finally:
        release(&held)
    return 0


def adam_rows(
    param,
    moment1,
    moment2,
    chunks,
    beta1_pow,
    beta2_pow,
    *,
    double learning_rate,
    double beta1,
    double beta2,
    double epsilon,
):
    """`adam_dense` on the rows of `chunks` alone (Fluid's lazy_mode=True).

    param, moment1, moment2 (V, D); beta1_pow, beta2_pow (1,) as in `adam_dense`. Duplicates are summed first.
    """
    _adam_rows(param, moment1, moment2, chunks, beta1_pow, beta2_pow, learning_rate, beta1, beta2, epsilon, False)


def adam_slots(
    param,
    slots,
    state,
    count,
    chunks,
    beta1_pow,
    beta2_pow,
    *,
    double learning_rate,
    double beta1,
    double beta2,
    double epsilon,
):
    """`adam_rows` with moments of the rows touched alone, to the same bits.

    slots int32 (V,): 0, or the number of the row's line in `state` (V, 2 D), first its moment1, then its moment2;
    count int64 (1,): lines in use. A row of `chunks` without a line gets the next one, which must be zero.
    """
    _adam_rows(
        param, state, None, chunks, beta1_pow, beta2_pow, learning_rate, beta1, beta2, epsilon, False, slots, count
    )


def adam_rows_all(
    param,
    moment1,
    moment2,
    chunks,
    beta1_pow,
    beta2_pow,
    *,
    double learning_rate,
    double beta1,
    double beta2,
    double epsilon,
):
    """`adam_dense` with the dense form of `chunks` as gradient, which is never built (Fluid's lazy_mode=False).

    All V rows decay and move. The result equals that of `adam_dense` on the merged gradient, bit for bit.
    """
    _adam_rows(param, moment1, moment2, chunks, beta1_pow, beta2_pow, learning_rate, beta1, beta2, epsilon, True)


cdef int64_t* _hold_step(Held* held, object step, tuple names) except NULL:
    cdef Array* a = hold(held, step, "step", 1, INT64, True)
    cdef int64_t* t
    if a.view.shape[0] != 1:
        raise ValueError(f"`step` must have shape (1,), but has ({a.view.shape[0]},)")
    _require_alone(held, "step", names)
    t = <int64_t*>a.view.buf
    if not 0 <= t[0] < INT64_MAX:
        raise ValueError(f"`step` counts the steps done and must not be negative, but is {t[0]}")
    return t


def sparse_adam_rows(
    param,
    moment1,
    moment2,
    chunks,
    step,
    *,
    double learning_rate,
    double beta1,
    double beta2,
    double epsilon,
):
    """SparseAdam: Adam on the rows of `chunks` alone, with both moments corrected.

        t = step + 1
        m = beta1 m + (1 - beta1) g
        v = beta2 v + (1 - beta2) g^2
        p = p - learning_rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)

    param, moment1, moment2 (V, D); step int64 (1,), which counts the steps of the parameter, not of the row, and
    becomes t. Duplicates are summed first.
    """
    _sparse_adam(param, moment1, moment2, chunks, step, learning_rate, beta1, beta2, epsilon, None, None)


def sparse_adam_slots(
    param,
    slots,
    state,
    count,
    chunks,
    step,
    *,
    double learning_rate,
    double beta1,
    double beta2,
    double epsilon,
):
    """`sparse_adam_rows` with moments of the rows touched alone, to the same bits.

    slots, state and count are those of `adam_slots`.
    """
    _sparse_adam(param, state, None, chunks, step, learning_rate, beta1, beta2, epsilon, slots, count)


cdef int _sparse_adam(
    object param,
    object moment1,
    object moment2,
    object chunks,
    object step,
    double learning_rate,
    double beta1,
    double beta2,
    double epsilon,
    object slots,
    object count,
) except -1:
    cdef Held held
    cdef row_job job
    cdef RowBatch batch
    cdef chunk_fn fn
    cdef Array* p
    cdef int64_t* t
    cdef int64_t* touched = NULL
    cdef bint ready, numbered = True
    held.count = 0
    try:
        p = _hold_param(&held, param, 2, &job)
        if slots is None:
            _hold_moments(&held, p, moment1, moment2, &job)
        else:
            touched = _hold_state(&held, p, slots, moment1, count, &job)
        batch = _hold_rows(&held, p, chunks, &job)
        t = _hold_step(&held, step, _TABLE_NAMES if slots is None else _STATE_NAMES)
        job.decay1, job.gain1 = _beta(beta1, "beta1"), 1 - beta1
        job.decay2, job.gain2 = _beta(beta2, "beta2"), 1 - beta2
        job.rate = learning_rate / (1 - pow(beta1, <double>(t[0] + 1)))
        job.root_scale = 1 / sqrt(1 - pow(beta2, <double>(t[0] + 1)))
        job.epsilon = epsilon
        fn = variant(&adam_rows_chunk, p.kind)
        with nogil:
            ready = batch.prepare()
            if ready and touched != NULL:
                numbered = _number_rows(&job, touched)
            if ready and numbered:
                run_chunks(fn, &job, batch.rows.n_steps)
                t[0] += 1
        if not ready:
            batch.refuse()
        if not numbered:
            raise MemoryError("no memory to number rows")
    finally:
        release(&held)
    return 0
