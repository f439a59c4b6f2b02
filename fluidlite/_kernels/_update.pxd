"""What updates share: their arguments, taken and checked, and the runs over a table."""

from libc.stdint cimport int64_t

from fluidlite._kernels._arrays cimport Array, Held
from fluidlite._kernels._cpu cimport variants
from fluidlite._kernels._row_batch cimport RowBatch, row_job

cdef extern from "row_update.h":
    ctypedef struct update_rule:
        const variants* dense
        const variants* rows
        const variants* rows_all
        int n_states

cdef class Update:
    cdef Held held
    cdef row_job job
    cdef tuple names                    # of the arrays in the order in which they are held, for messages
    cdef RowBatch batch
    cdef int n_states
    cdef int64_t* lines                 # lines of state in use, NULL without slots

    cdef Array* hold(self, object source, int ndim, int kinds) except NULL
    cdef int take_state(self, object state) except -1
    cdef int take_lines(self, object slots, object state, object count, int n_states) except -1
    cdef int take_grad(self, object grad) except -1
    cdef int take_rows(self, object chunks) except -1
    cdef Array* take_one(self, object source, int kind) except NULL
    cdef int run_dense(self, const update_rule* rule) except -1
    cdef int run_rows(self, const update_rule* rule, bint every_row=*) except -1
    cdef bint number_rows(self) noexcept nogil

cdef Update begin(object param, int ndim, tuple names)

cdef const update_rule* sgd(row_job* job, double learning_rate) noexcept
cdef const update_rule* momentum(row_job* job, double learning_rate, double mu, bint use_nesterov) noexcept
cdef const update_rule* adagrad(row_job* job, double learning_rate, double epsilon) noexcept
cdef const update_rule* rmsprop(
    Update update, double learning_rate, double rho, double epsilon, double momentum, bint centered
) except NULL
cdef const update_rule* ftrl(row_job* job, double learning_rate, double l1, double l2, double lr_power) noexcept
cdef const update_rule* fluid_adam(
    Update update, Array* pow1, Array* pow2, double learning_rate, double beta1, double beta2, double epsilon
) except NULL
cdef const update_rule* corrected_adam(
    Update update, int64_t step, double learning_rate, double beta1, double beta2, double epsilon
) except NULL
cdef void grow_power(Array* power, double beta) noexcept
