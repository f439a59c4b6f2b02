"""Learning-rate schedules: Variables of shape (1,), float32, computed in every run of the main program.

The step t counts the runs, 0 in the first one (1 for `noam_decay`), in the persistable ``@LR_DECAY_COUNTER@``. Give
the Variable to an optimizer as its learning rate. Formulas and op lists are Fluid's.
"""

import math
from contextlib import contextmanager
from functools import wraps

from ..errors import InvalidArgumentError, InvalidTypeError, here
from ..framework import OpRole, Variable, default_main_program
from .control_flow import Switch, autoincreased_step_counter
from .elementwise import ceil, cos, elementwise_min, exp, floor
from .tensor import assign, cast, create_global_var, fill_constant


@contextmanager
def _schedule_ops():
    """Ops appended inside belong to a learning-rate schedule."""
    with default_main_program()._role_guard(OpRole.LR_SCHEDULE):
        yield


def _schedule(function):
    @wraps(function)
    def scheduled(*args, **kwargs):
        with _schedule_ops():
            return function(*args, **kwargs)

    return scheduled


def _step(begin=0):
    return cast(autoincreased_step_counter("@LR_DECAY_COUNTER@", begin=begin), "float32")


# Fluid's name of it: language programs write schedules of their own.
_decay_step_counter = _step


def _constant(value, force_cpu=False):
    return fill_constant([1], "float32", float(value), force_cpu=force_cpu)


@_schedule
def exponential_decay(learning_rate, decay_steps, decay_rate, staircase=False):
    """learning_rate * decay_rate^(t / decay_steps), the exponent rounded down with `staircase`.

    >>> exponential_decay(0.1, decay_steps=1000, decay_rate=0.5).shape
    (1,)
    """
    exponent = _step() / decay_steps
    return learning_rate * decay_rate ** (floor(exponent) if staircase else exponent)


@_schedule
def natural_exp_decay(learning_rate, decay_steps, decay_rate, staircase=False):
    """learning_rate * e^(-decay_rate t / decay_steps), t / decay_steps rounded down with `staircase`."""
    exponent = _step() / decay_steps
    return learning_rate * exp(-1 * decay_rate * (floor(exponent) if staircase else exponent))


@_schedule
def inverse_time_decay(learning_rate, decay_steps, decay_rate, staircase=False):
    """learning_rate / (1 + decay_rate t / decay_steps), t / decay_steps rounded down with `staircase`."""
    ratio = _step() / decay_steps
    return learning_rate / (1 + decay_rate * (floor(ratio) if staircase else ratio))


@_schedule
def polynomial_decay(learning_rate, decay_steps, end_learning_rate=0.0001, power=1.0, cycle=False):
    """(learning_rate - end) (1 - t / decay_steps)^power + end, for t up to `decay_steps`, then `end_learning_rate`.

    With `cycle`, decay_steps grows to the next multiple of itself that t does not pass, and the rate rises again.
    """
    step = _step()
    if cycle:
        cycles = ceil(step / decay_steps)
        zero, one = _constant(0.0), _constant(1.0)
        with Switch() as switch:
            with switch.case(step == zero):
                assign(one, cycles)
        decay_steps = decay_steps * cycles
    else:
        step = elementwise_min(step, _constant(decay_steps))
    return (learning_rate - end_learning_rate) * ((1 - step / decay_steps) ** power) + end_learning_rate


@_schedule
def piecewise_decay(boundaries, values):
    """values[i] for the t with boundaries[i-1] <= t < boundaries[i]; the last value from the last boundary on.

    Args:
        boundaries: increasing step numbers. values: learning rates, one more than boundaries.

    >>> piecewise_decay([1000, 2000], [0.1, 0.01, 0.001]).shape
    (1,)
    """
    if len(values) - len(boundaries) != 1:
        raise InvalidArgumentError(
            "piecewise_decay needs one value more than boundaries.",
            expected=f"{len(boundaries) + 1} values",
            actual=f"{len(values)} values",
            where=here(),
        )
    step = _step()
    rate = create_global_var([1], 0.0, "float32", persistable=True, name="learning_rate")
    with Switch() as switch:
        for boundary, value in zip(boundaries, values, strict=False):
            boundary, value = _constant(boundary, force_cpu=True), _constant(value)
            with switch.case(step < boundary):
                assign(value, rate)
        last = _constant(values[-1])
        with switch.default():
            assign(last, rate)
    return rate


@_schedule
def noam_decay(d_model, warmup_steps, learning_rate=1.0):
    """learning_rate d_model^-0.5 min(t^-0.5, t warmup_steps^-1.5), t = 1 in the first run.

    Source: Vaswani et al., "Attention is all you need" (2017), section 5.3.
    """
    step = _step(begin=1)
    falling = step**-0.5
    rising = (warmup_steps**-1.5) * step
    return learning_rate * (d_model**-0.5) * elementwise_min(falling, rising)


@_schedule
def cosine_decay(learning_rate, step_each_epoch, epochs):
    """learning_rate / 2 (cos(pi e / epochs) + 1), e = floor(t / step_each_epoch)."""
    epoch = floor(_step() / step_each_epoch)
    return learning_rate * 0.5 * (cos(epoch * math.pi / epochs) + 1)


@_schedule
def linear_lr_warmup(learning_rate, warmup_steps, start_lr, end_lr):
    """From `start_lr` in a straight line to `end_lr` in `warmup_steps` runs, then `learning_rate`.

    Args:
        learning_rate: float, or another schedule's Variable.
    """
    if not isinstance(learning_rate, float | int | Variable):
        raise InvalidTypeError(
            "The learning_rate of linear_lr_warmup is no number and no Variable.",
            actual=type(learning_rate).__name__,
            where=here(),
        )
    rise = end_lr - start_lr
    rate = create_global_var([1], 0.0, "float32", persistable=True, name="learning_rate_warmup")
    step = _step()
    with Switch() as switch:
        with switch.case(step < warmup_steps):
            assign(start_lr + rise * (step / float(warmup_steps)), rate)
        with switch.default():
            assign(learning_rate if isinstance(learning_rate, Variable) else _constant(learning_rate), rate)
    return rate
