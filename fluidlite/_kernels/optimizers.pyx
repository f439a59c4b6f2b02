"""Updates of parameters by dense gradients. Those by row are in `row_optimizers`.

Every kernel checks all its arguments before it writes, and updates parameter, states and counters within one call, so
that an interrupt between two calls finds them in agreement. Parameter, states and gradient are of one shape, which may
be any, of one floating dtype, C-contiguous, and share no memory.

Arithmetic runs in the dtype of the parameter. Coefficients that depend on the step alone are computed in double.
"""

from fluidlite._kernels cimport _update
from fluidlite._kernels._arrays cimport Array
from fluidlite._kernels._update cimport Update, begin, grow_power, update_rule

cdef tuple _SGD = ("param",)
cdef tuple _MOMENTUM = ("param", "velocity")
cdef tuple _ADAGRAD = ("param", "moment")
cdef tuple _RMSPROP = ("param", "mean_square", "moment", "mean_grad")
cdef tuple _FTRL = ("param", "squared", "linear")
cdef tuple _ADAM = ("param", "moment1", "moment2", "grad", "beta1_pow", "beta2_pow")


def sgd_dense(param, grad, double learning_rate):
    """param -= learning_rate * grad."""
    cdef Update update = begin(param, -1, _SGD)
    update.take_grad(grad)
    update.run_dense(_update.sgd(&update.job, learning_rate))


def momentum_dense(param, velocity, grad, *, double learning_rate, double mu, bint use_nesterov):
    """Momentum as Fluid's op `momentum` computes it.

        v = mu v + g
        p = p - learning_rate v                     or, with use_nesterov,
        p = p - learning_rate (g + mu v)
    """
    cdef Update update = begin(param, -1, _MOMENTUM)
    update.take_state(velocity)
    update.take_grad(grad)
    update.run_dense(_update.momentum(&update.job, learning_rate, mu, use_nesterov))


def adagrad_dense(param, moment, grad, *, double learning_rate, double epsilon):
    """Adagrad as Fluid's op `adagrad` computes it.

        m = m + g^2
        p = p - learning_rate g / (sqrt(m) + epsilon)
    """
    cdef Update update = begin(param, -1, _ADAGRAD)
    update.take_state(moment)
    update.take_grad(grad)
    update.run_dense(_update.adagrad(&update.job, learning_rate, epsilon))


def rmsprop_dense(
    param,
    mean_square,
    moment,
    mean_grad,
    grad,
    *,
    double learning_rate,
    double rho,
    double epsilon,
    double momentum,
    bint centered,
):
    """RMSProp as Fluid's op `rmsprop` computes it.

        s = rho s + (1 - rho) g^2
        a = rho a + (1 - rho) g                     if centered, else a = 0
        m = momentum m + learning_rate g / sqrt(s - a^2 + epsilon)
        p = p - m

    mean_square holds s, moment m, and mean_grad a; the last may be None unless centered.
    """
    cdef Update update = begin(param, -1, _RMSPROP)
    update.take_state(mean_square)
    update.take_state(moment)
    if centered:
        update.take_state(mean_grad)
    update.take_grad(grad)
    update.run_dense(_update.rmsprop(update, learning_rate, rho, epsilon, momentum, centered))


def ftrl_dense(param, squared, linear, grad, *, double learning_rate, double l1, double l2, double lr_power):
    """Ftrl as Fluid's op `ftrl` computes it.

        n' = n + g^2
        z  = z + g - (n'^-lr_power - n^-lr_power) / learning_rate * p
        p  = (sign(z) l1 - z) / (n'^-lr_power / learning_rate + 2 l2)  where |z| > l1, else 0

    squared holds n, then n'; linear holds z. An lr_power of -0.5 takes square roots; others take many times as long.
    """
    cdef Update update = begin(param, -1, _FTRL)
    update.take_state(squared)
    update.take_state(linear)
    update.take_grad(grad)
    update.run_dense(_update.ftrl(&update.job, learning_rate, l1, l2, lr_power))


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

    beta1_pow, beta2_pow: shape (1,), of the same dtype; they hold beta1^t and beta2^t in step t and are multiplied by
    beta1 and beta2 at the end.
    """
    cdef Update update = begin(param, -1, _ADAM)
    cdef Array* pow1
    cdef Array* pow2
    cdef const update_rule* rule
    update.take_state(moment1)
    update.take_state(moment2)
    update.take_grad(grad)
    pow1 = update.take_one(beta1_pow, update.held.arrays[0].kind)
    pow2 = update.take_one(beta2_pow, update.held.arrays[0].kind)
    rule = _update.fluid_adam(update, pow1, pow2, learning_rate, beta1, beta2, epsilon)
    update.run_dense(rule)
    grow_power(pow1, beta1)
    grow_power(pow2, beta2)
