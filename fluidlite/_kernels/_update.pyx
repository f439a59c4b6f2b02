"""What updates share: their arguments, taken and checked, and the runs over a table.

A kernel begins an `Update` with its parameter, lets it take its states, its gradient and its counters in the order of
`names`, sets the coefficients of a rule, and runs it. Until it runs, nothing is written. No two of the arrays may share
memory. The arrays are released with the Update.
"""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from libc.math cimport pow, sqrt
from libc.stdint cimport INT32_MAX, int32_t, int64_t
from libc.stdlib cimport free, malloc

from fluidlite._kernels._arrays cimport (
    FLOAT32,
    INT32,
    INT64,
    REAL,
    Array,
    hold,
    require_contiguous,
    require_disjoint,
    require_like,
    size_of,
)
from fluidlite._kernels._cpu cimport variant
from fluidlite._kernels._parallel cimport chunk_fn, run_chunks
from fluidlite._kernels._row_batch cimport DENSE_STEP, batch_rows, row_job

cdef extern from "row_update.h":
    const update_rule sgd_rule
    const update_rule momentum_rule
    const update_rule nesterov_rule
    const update_rule adagrad_rule
    const update_rule adam_rule
    const update_rule rmsprop_rule
    const update_rule centered_rmsprop_rule
    const update_rule ftrl_rule
    const update_rule ftrl_of_power_rule

    void count_new_chunk(void* ctx, Py_ssize_t chunk) noexcept nogil
    void number_new_chunk(void* ctx, Py_ssize_t chunk) noexcept nogil


cdef Py_ssize_t _pieces(Py_ssize_t size, Py_ssize_t step) noexcept nogil:
    return (size + step - 1) // step


@cython.final
@cython.freelist(4)
cdef class Update:
    """One call of an update. Made by `begin`."""

    def __dealloc__(self):
        cdef int i
        for i in range(self.held.count):
            PyBuffer_Release(&self.held.arrays[i].view)

    cdef Array* hold(self, object source, int ndim, int kinds) except NULL:
        """The next array, which the kernel writes."""
        cdef int at = self.held.count
        cdef int i
        cdef Array* array = hold(&self.held, source, self.names[at], ndim, kinds, True)
        require_contiguous(array, self.names[at])
        for i in range(at):
            require_disjoint(array, self.names[at], &self.held.arrays[i], self.names[i])
        return array

    cdef int take_state(self, object state) except -1:
        """A state array of the parameter's shape and dtype."""
        cdef Array* p = &self.held.arrays[0]
        cdef Array* array = self.hold(state, -1, REAL)
        require_like(array, self.names[self.held.count - 1], p, self.names[0])
        self.job.state[self.n_states] = array.view.buf
        self.n_states += 1
        return 0

    cdef int take_lines(self, object slots, object state, object count, int n_states) except -1:
        """States of the rows touched alone: `state` (V, n D) has a line for each, numbered in `slots` (V,)."""
        cdef Array* p = &self.held.arrays[0]
        cdef Py_ssize_t height = p.view.shape[0], width = p.view.shape[1]
        cdef Array* data = self.hold(state, 2, p.kind)
        cdef Array* numbers
        cdef int k
        if data.view.shape[0] != height or data.view.shape[1] != n_states * width:
            raise ValueError(f"`state` must have shape {(height, n_states * width)} (V, {n_states} D), but "
                             f"has {(data.view.shape[0], data.view.shape[1])}")
        numbers = self.hold(slots, 1, INT32)
        if numbers.view.shape[0] != height or height >= INT32_MAX:
            raise ValueError(f"`slots` must have shape ({height},) and fewer than 2^31 rows, but has shape "
                             f"({numbers.view.shape[0]},)")
        self.lines = <int64_t*>self.take_one(count, INT64).view.buf
        if not 0 <= self.lines[0] <= height:
            raise ValueError(f"`count` must lie in [0, {height}], but is {self.lines[0]}")
        for k in range(n_states):
            self.job.state[k] = <char*>data.view.buf + k * width * data.view.itemsize
        self.n_states = n_states
        self.job.slots = <int32_t*>numbers.view.buf
        self.job.line_stride = data.view.shape[1]
        return 0

    cdef int take_grad(self, object grad) except -1:
        """A dense gradient, which is only read."""
        cdef int at = self.held.count
        cdef int i
        cdef Array* g = hold(&self.held, grad, "grad", -1, REAL, False)
        require_like(g, "grad", &self.held.arrays[0], self.names[0])
        require_contiguous(g, "grad")
        for i in range(at):
            require_disjoint(g, "grad", &self.held.arrays[i], self.names[i])
        self.job.grad = g.view.buf
        return 0

    cdef int take_rows(self, object chunks) except -1:
        """A gradient by row."""
        cdef Array* p = &self.held.arrays[0]
        cdef int i
        self.batch = batch_rows(chunks, p.view.shape[0], p.view.shape[1], p.kind)
        for i in range(self.held.count):
            self.batch.require_disjoint(&self.held.arrays[i], self.names[i])
        self.job.rows = &self.batch.rows
        return 0

    cdef Array* take_one(self, object source, int kind) except NULL:
        """An array of one number."""
        cdef Array* array = self.hold(source, 1, kind)
        if array.view.shape[0] != 1:
            raise ValueError(f"`{self.names[self.held.count - 1]}` must have shape (1,), but has "
                             f"({array.view.shape[0]},)")
        return array

    cdef int run_dense(self, const update_rule* rule) except -1:
        cdef chunk_fn fn = variant(rule.dense, self.held.arrays[0].kind)
        with nogil:
            run_chunks(fn, &self.job, _pieces(self.job.size, DENSE_STEP))
        return 0

    cdef int run_rows(self, const update_rule* rule, bint every_row=False) except -1:
        """The rule on the rows present, or on every row with a gradient of zero where there is none."""
        cdef chunk_fn fn = variant(rule.rows_all if every_row else rule.rows, self.held.arrays[0].kind)
        cdef Py_ssize_t n_chunks
        cdef bint ready, numbered = True
        with nogil:
            ready = self.batch.prepare()
            if ready and self.lines != NULL:
                numbered = self.number_rows()
            if ready and numbered:
                n_chunks = _pieces(self.job.height, self.job.step) if every_row else self.batch.rows.n_steps
                run_chunks(fn, &self.job, n_chunks)
        if not ready:
            self.batch.refuse()
        if not numbered:
            raise MemoryError("no memory to number rows")
        return 0

    cdef bint number_rows(self) noexcept nogil:
        """Gives a line to every row that has none, in the order of rows, whatever the threads. False: no memory."""
        cdef row_job* job = &self.job
        cdef Py_ssize_t chunk, n_new, n_chunks = self.batch.rows.n_steps
        cdef int64_t total = self.lines[0]
        job.begins = <Py_ssize_t*>malloc((n_chunks + 1) * sizeof(Py_ssize_t))
        if job.begins == NULL:
            return False
        run_chunks(&count_new_chunk, job, n_chunks)
        for chunk in range(n_chunks):
            n_new = job.begins[chunk]
            job.begins[chunk] = <Py_ssize_t>total
            total += n_new
        if total > self.lines[0]:
            run_chunks(&number_new_chunk, job, n_chunks)
            self.lines[0] = total
        free(job.begins)
        return True


cdef Update begin(object param, int ndim, tuple names):
    """An Update of `param`, which has `ndim` axes, or any number for -1."""
    cdef Update update = Update.__new__(Update)
    cdef Array* p
    update.names = names
    p = update.hold(param, ndim, REAL)
    update.job.param = p.view.buf
    update.job.size = size_of(p)
    if ndim == 2:
        update.job.height = p.view.shape[0]
        update.job.step = max(DENSE_STEP // max(p.view.shape[1], 1), 1)
    return update


# ---------------------------------------------------------------------------------------------------------------- rules


cdef double _decay(double decay, str name) except? -1:
    if not 0 <= decay < 1:
        raise ValueError(f"`{name}` must lie in [0, 1), but is {decay}")
    return decay


cdef double _rounded(Update update, double number) noexcept:
    """As the parameter's dtype holds it."""
    return <float>number if update.held.arrays[0].kind == FLOAT32 else number


cdef const update_rule* sgd(row_job* job, double learning_rate) noexcept:
    job.settings.rate = learning_rate
    return &sgd_rule


cdef const update_rule* momentum(row_job* job, double learning_rate, double mu, bint use_nesterov) noexcept:
    job.settings.rate, job.settings.momentum = learning_rate, mu
    return &nesterov_rule if use_nesterov else &momentum_rule


cdef const update_rule* adagrad(row_job* job, double learning_rate, double epsilon) noexcept:
    job.settings.rate, job.settings.epsilon = learning_rate, epsilon
    return &adagrad_rule


cdef const update_rule* rmsprop(
    Update update, double learning_rate, double rho, double epsilon, double momentum, bint centered
) except NULL:
    """Fluid rounds rho before it subtracts it from 1, like the betas of Adam."""
    cdef row_job* job = &update.job
    rho = _rounded(update, _decay(rho, "rho"))
    job.settings.rate, job.settings.epsilon, job.settings.momentum = learning_rate, epsilon, momentum
    job.settings.decay1, job.settings.gain1 = rho, 1 - rho
    return &centered_rmsprop_rule if centered else &rmsprop_rule


cdef const update_rule* ftrl(row_job* job, double learning_rate, double l1, double l2, double lr_power) noexcept:
    job.settings.rate, job.settings.l1, job.settings.l2, job.settings.power = learning_rate, l1, l2, -lr_power
    return &ftrl_rule if lr_power == -0.5 else &ftrl_of_power_rule


cdef double _power(const Array* power) noexcept:
    return (<float*>power.view.buf)[0] if power.kind == FLOAT32 else (<double*>power.view.buf)[0]


cdef void grow_power(Array* power, double beta) noexcept:
    """power *= beta, in its dtype."""
    if power.kind == FLOAT32:
        (<float*>power.view.buf)[0] *= <float>beta
    else:
        (<double*>power.view.buf)[0] *= beta


cdef const update_rule* fluid_adam(
    Update update, Array* pow1, Array* pow2, double learning_rate, double beta1, double beta2, double epsilon
) except NULL:
    """Fluid's coefficients. Its betas are rounded to the parameter's dtype before 1 - beta, like the powers.

    The two roundings cancel in the first steps; with only one of them, 1 - 0.999f is wrong by 5e-5.
    """
    cdef row_job* job = &update.job
    beta1, beta2 = _rounded(update, _decay(beta1, "beta1")), _rounded(update, _decay(beta2, "beta2"))
    job.settings.decay1, job.settings.gain1 = beta1, 1 - beta1
    job.settings.decay2, job.settings.gain2 = beta2, 1 - beta2
    job.settings.rate = learning_rate * sqrt(1 - _power(pow2)) / (1 - _power(pow1))
    job.settings.root_scale = 1
    job.settings.epsilon = epsilon
    return &adam_rule


cdef const update_rule* corrected_adam(
    Update update, int64_t step, double learning_rate, double beta1, double beta2, double epsilon
) except NULL:
    """Coefficients that correct both moments, in step number `step`."""
    cdef row_job* job = &update.job
    job.settings.decay1, job.settings.gain1 = _decay(beta1, "beta1"), 1 - beta1
    job.settings.decay2, job.settings.gain2 = _decay(beta2, "beta2"), 1 - beta2
    job.settings.rate = learning_rate / (1 - pow(beta1, <double>step))
    job.settings.root_scale = 1 / sqrt(1 - pow(beta2, <double>step))
    job.settings.epsilon = epsilon
    return &adam_rule
