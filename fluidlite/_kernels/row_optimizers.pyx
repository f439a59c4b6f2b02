"""Updates of tables by the gradients of rows.

What `optimizers` says of its kernels holds here too. A table (V, D) is updated by `chunks`, which `rows` describes;
duplicates are summed first. There are up to three kernels for a rule:

* `<rule>_rows`: the rule on the rows present. Rows that do not occur keep their bits, and so do their states.
* `<rule>_rows_all`: the dense rule, with the dense form of `chunks` as gradient, which is never built. All V rows
  move; the result equals that of `<rule>_dense` on the merged gradient, bit for bit.
* `<rule>_slots`: `<rule>_rows` with states of the rows touched alone, to the same bits. slots int32 (V,): 0, or the
  number of the row's line in `state` (V, n D), which holds the n states of the row side by side, in the order in which
  `<rule>_rows` takes them; count int64 (1,): lines in use. A row of `chunks` without a line gets the next one, which
  must be zero.
"""

from libc.stdint cimport INT64_MAX, int64_t

from fluidlite._kernels cimport _update
from fluidlite._kernels._arrays cimport INT64, Array
from fluidlite._kernels._update cimport Update, begin, grow_power, update_rule

cdef tuple _SGD = ("param",)
cdef tuple _MOMENTUM = ("param", "velocity")
cdef tuple _ADAGRAD = ("param", "moment")
cdef tuple _RMSPROP = ("param", "mean_square", "moment", "mean_grad")
cdef tuple _FTRL = ("param", "squared", "linear")
cdef tuple _ADAM = ("param", "moment1", "moment2", "beta1_pow", "beta2_pow")
cdef tuple _SPARSE_ADAM = ("param", "moment1", "moment2", "step")
cdef tuple _SLOTS = ("param", "state", "slots", "count")
cdef tuple _ADAM_SLOTS = (*_SLOTS, "beta1_pow", "beta2_pow")
cdef tuple _SPARSE_ADAM_SLOTS = (*_SLOTS, "step")


def sgd_rows(param, chunks, double learning_rate):
    """param[r] -= learning_rate * (sum of the occurrences of r), for every row r of `chunks`."""
    cdef Update update = begin(param, 2, _SGD)
    update.take_rows(chunks)
    update.run_rows(_update.sgd(&update.job, learning_rate))


cdef int _run(Update update, const update_rule* rule, tuple states, object chunks, bint every_row=False) except -1:
    for state in states:
        update.take_state(state)
    update.take_rows(chunks)
    return update.run_rows(rule, every_row)


cdef int _run_slots(
    Update update, const update_rule* rule, object slots, object state, object count, object chunks
) except -1:
    update.take_lines(slots, state, count, rule.n_states)
    update.take_rows(chunks)
    return update.run_rows(rule)


def momentum_rows(param, velocity, chunks, *, double learning_rate, double mu, bint use_nesterov):
    """`momentum_dense` on the rows of `chunks` alone: the velocity of a row decays when the row occurs."""
    cdef Update update = begin(param, 2, _MOMENTUM)
    _run(update, _update.momentum(&update.job, learning_rate, mu, use_nesterov), (velocity,), chunks)


def momentum_rows_all(param, velocity, chunks, *, double learning_rate, double mu, bint use_nesterov):
    """`momentum_dense` with the dense form of `chunks` as gradient: all velocities decay and all rows move."""
    cdef Update update = begin(param, 2, _MOMENTUM)
    _run(update, _update.momentum(&update.job, learning_rate, mu, use_nesterov), (velocity,), chunks, True)


def momentum_slots(param, slots, state, count, chunks, *, double learning_rate, double mu, bint use_nesterov):
    """`momentum_rows` with velocities of the rows touched alone; state (V, D)."""
    cdef Update update = begin(param, 2, _SLOTS)
    _run_slots(update, _update.momentum(&update.job, learning_rate, mu, use_nesterov), slots, state, count, chunks)


def adagrad_rows(param, moment, chunks, *, double learning_rate, double epsilon):
    """`adagrad_dense` on the rows of `chunks` alone. The others would not move with a gradient of zero either."""
    cdef Update update = begin(param, 2, _ADAGRAD)
    _run(update, _update.adagrad(&update.job, learning_rate, epsilon), (moment,), chunks)


def adagrad_slots(param, slots, state, count, chunks, *, double learning_rate, double epsilon):
    """`adagrad_rows` with moments of the rows touched alone; state (V, D)."""
    cdef Update update = begin(param, 2, _SLOTS)
    _run_slots(update, _update.adagrad(&update.job, learning_rate, epsilon), slots, state, count, chunks)


cdef tuple _rmsprop_states(object mean_square, object moment, object mean_grad, bint centered):
    return (mean_square, moment, mean_grad) if centered else (mean_square, moment)


def rmsprop_rows(
    param,
    mean_square,
    moment,
    mean_grad,
    chunks,
    *,
    double learning_rate,
    double rho,
    double epsilon,
    double momentum,
    bint centered,
):
    """`rmsprop_dense` on the rows of `chunks` alone: the averages of a row decay when the row occurs."""
    cdef Update update = begin(param, 2, _RMSPROP)
    cdef const update_rule* rule = _update.rmsprop(update, learning_rate, rho, epsilon, momentum, centered)
    _run(update, rule, _rmsprop_states(mean_square, moment, mean_grad, centered), chunks)


def rmsprop_rows_all(
    param,
    mean_square,
    moment,
    mean_grad,
    chunks,
    *,
    double learning_rate,
    double rho,
    double epsilon,
    double momentum,
    bint centered,
):
    """`rmsprop_dense` with the dense form of `chunks` as gradient: all averages decay and all rows move."""
    cdef Update update = begin(param, 2, _RMSPROP)
    cdef const update_rule* rule = _update.rmsprop(update, learning_rate, rho, epsilon, momentum, centered)
    _run(update, rule, _rmsprop_states(mean_square, moment, mean_grad, centered), chunks, True)


def rmsprop_slots(
    param,
    slots,
    state,
    count,
    chunks,
    *,
    double learning_rate,
    double rho,
    double epsilon,
    double momentum,
    bint centered,
):
    """`rmsprop_rows` with averages of the rows touched alone; state (V, 3 D) if centered, else (V, 2 D)."""
    cdef Update update = begin(param, 2, _SLOTS)
    cdef const update_rule* rule = _update.rmsprop(update, learning_rate, rho, epsilon, momentum, centered)
    _run_slots(update, rule, slots, state, count, chunks)


def ftrl_rows(param, squared, linear, chunks, *, double learning_rate, double l1, double l2, double lr_power):
    """`ftrl_dense` on the rows of `chunks` alone.

    `ftrl_dense` also makes the weights of the other rows anew, from their accumulators, which do not change: a row
    that occurred before is what it would become, one that never occurred would become 0.
    """
    cdef Update update = begin(param, 2, _FTRL)
    _run(update, _update.ftrl(&update.job, learning_rate, l1, l2, lr_power), (squared, linear), chunks)


def ftrl_slots(
    param, slots, state, count, chunks, *, double learning_rate, double l1, double l2, double lr_power
):
    """`ftrl_rows` with accumulators of the rows touched alone; state (V, 2 D)."""
    cdef Update update = begin(param, 2, _SLOTS)
    _run_slots(update, _update.ftrl(&update.job, learning_rate, l1, l2, lr_power), slots, state, count, chunks)


cdef int _run_adam(
    Update update,
    object beta1_pow,
    object beta2_pow,
    double learning_rate,
    double beta1,
    double beta2,
    double epsilon,
    bint every_row,
) except -1:
    """The states and rows are taken already."""
    cdef Array* pow1 = update.take_one(beta1_pow, update.held.arrays[0].kind)
    cdef Array* pow2 = update.take_one(beta2_pow, update.held.arrays[0].kind)
    update.run_rows(_update.fluid_adam(update, pow1, pow2, learning_rate, beta1, beta2, epsilon), every_row)
    grow_power(pow1, beta1)
    grow_power(pow2, beta2)
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
    """`adam_dense` on the rows of `chunks` alone (Fluid's lazy_mode=True); beta1_pow, beta2_pow (1,) as there."""
    cdef Update update = begin(param, 2, _ADAM)
    update.take_state(moment1)
    update.take_state(moment2)
    update.take_rows(chunks)
    _run_adam(update, beta1_pow, beta2_pow, learning_rate, beta1, beta2, epsilon, False)


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
    """`adam_rows` with moments of the rows touched alone; state (V, 2 D)."""
    cdef Update update = begin(param, 2, _ADAM_SLOTS)
    update.take_lines(slots, state, count, 2)
    update.take_rows(chunks)
    _run_adam(update, beta1_pow, beta2_pow, learning_rate, beta1, beta2, epsilon, False)


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
    """`adam_dense` with the dense form of `chunks` as gradient (Fluid's lazy_mode=False)."""
    cdef Update update = begin(param, 2, _ADAM)
    update.take_state(moment1)
    update.take_state(moment2)
    update.take_rows(chunks)
    _run_adam(update, beta1_pow, beta2_pow, learning_rate, beta1, beta2, epsilon, True)


cdef int _run_sparse_adam(
    Update update, object step, double learning_rate, double beta1, double beta2, double epsilon
) except -1:
    """The states and rows are taken already."""
    cdef int64_t* t = <int64_t*>update.take_one(step, INT64).view.buf
    if not 0 <= t[0] < INT64_MAX:
        raise ValueError(f"`step` counts the steps done and must not be negative, but is {t[0]}")
    update.run_rows(_update.corrected_adam(update, t[0] + 1, learning_rate, beta1, beta2, epsilon))
    t[0] += 1
    return 0


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

    step: int64 (1,), which counts the steps of the parameter, not of the row, and becomes t.
    """
    cdef Update update = begin(param, 2, _SPARSE_ADAM)
    update.take_state(moment1)
    update.take_state(moment2)
    update.take_rows(chunks)
    _run_sparse_adam(update, step, learning_rate, beta1, beta2, epsilon)


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
    """`sparse_adam_rows` with moments of the rows touched alone; state (V, 2 D)."""
    cdef Update update = begin(param, 2, _SPARSE_ADAM_SLOTS)
    update.take_lines(slots, state, count, 2)
    update.take_rows(chunks)
    _run_sparse_adam(update, step, learning_rate, beta1, beta2, epsilon)
