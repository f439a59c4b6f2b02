"""What all optimizers share: minimize, the learning rate, and state as persistable variables."""

import contextlib
import math
import weakref

from .. import unique_name
from ..backward import append_backward
from ..clip import append_gradient_clip_ops, error_clip_callback
from ..errors import InvalidArgumentError, InvalidTypeError, here
from ..framework import OpRole, Variable, default_main_program, default_startup_program, program_guard
from ..initializer import Constant
from ..layer_helper import LayerHelper
from ..layers.tensor import create_global_var
from ..regularizer import append_regularization_ops
from ..table_binding import mark_table


class Optimizer:
    """Base of all optimizers.

    Args:
        learning_rate: float, or a Variable of shape (1,).
        parameter_list: the parameters to update; all trainable ones by default.
        regularization: a regularizer for parameters without one of their own.
        grad_clip: called with ``[(parameter, gradient), ...]`` before regularization, returns the same.
        name: prefix of the names of the state variables.

    Raises:
        InvalidTypeError: the learning rate is neither a number nor a Variable.
        InvalidArgumentError: the learning rate is NaN or infinite.
    """

    type = None

    def __init__(self, learning_rate, parameter_list=None, regularization=None, grad_clip=None, name=None):
        if isinstance(learning_rate, bool) or not isinstance(learning_rate, float | int | Variable):
            raise InvalidTypeError(
                f"learning rate should be float or Variable, got {type(learning_rate)} here",
                expected="float or Variable",
                actual=repr(learning_rate),
            )
        if not isinstance(learning_rate, Variable) and not math.isfinite(learning_rate):
            raise InvalidArgumentError(
                f"The learning rate of {type(self).__name__} is not a finite number.", actual=str(learning_rate)
            )
        if grad_clip is not None and not callable(grad_clip):
            raise InvalidTypeError(
                "'grad_clip' should be an instance of GradientClipBase's derived class", actual=repr(grad_clip)
            )
        self._learning_rate = learning_rate
        self._parameter_list = parameter_list
        self.regularization = regularization
        self._grad_clip = grad_clip
        self._name = name
        self._rates = weakref.WeakKeyDictionary()
        self._accumulators = weakref.WeakKeyDictionary()

    def minimize(self, loss, startup_program=None, parameter_list=None, no_grad_set=None):
        """Append the ops that compute the gradients of `loss` and update the parameters.

        Args:
            loss: Variable of shape (1,).
            startup_program: where the state's init ops go; the default startup program if None.
            parameter_list, no_grad_set: as in `append_backward`.

        Returns:
            (list of update ops, list of (parameter, gradient)).
        """
        startup = startup_program if startup_program is not None else default_startup_program()
        _check_loss(loss)
        with self._unchanged_on_error(loss.block.program, startup), program_guard(loss.block.program, startup):
            params_grads = self.backward(loss, startup, parameter_list, no_grad_set)
            return self.apply_gradients(params_grads), params_grads

    def backward(self, loss, startup_program=None, parameter_list=None, no_grad_set=None, callbacks=None):
        """The first half of `minimize`: append the gradients and return ``[(parameter, gradient), ...]``."""
        _check_loss(loss)
        parameters = parameter_list if parameter_list else self._parameter_list
        frozen = [p.name for p in loss.block.program.all_parameters() if not p.trainable]
        callbacks = [error_clip_callback] if callbacks is None else callbacks
        return append_backward(loss, parameters, [*(no_grad_set or ()), *frozen], callbacks)

    def apply_optimize(self, loss, startup_program, params_grads):
        """`apply_gradients` in the program of `loss`, with the init ops of the state in `startup_program`."""
        startup = startup_program if startup_program is not None else default_startup_program()
        with program_guard(loss.block.program, startup):
            return self.apply_gradients(params_grads)

    def apply_gradients(self, params_grads):
        """The second half of `minimize`: clip, regularize, and append one update op for each parameter."""
        params_grads = sorted((pg for pg in params_grads if pg[1] is not None), key=lambda pg: pg[0].name)
        if not params_grads:
            raise InvalidArgumentError(
                f"{type(self).__name__} has nothing to update: no parameter has a gradient.",
                hint="does the loss depend on a trainable parameter?",
            )
        program = params_grads[0][1].block.program
        with self._unchanged_on_error(program, default_startup_program()):
            self._check(params_grads)
            clip = self._grad_clip if self._grad_clip is not None else append_gradient_clip_ops
            params_grads = clip(params_grads)
            params_grads = append_regularization_ops(params_grads, self.regularization)
            block = params_grads[0][1].block
            with program._role_guard(OpRole.OPTIMIZE):
                self._create_accumulators(block, [p for p, _ in params_grads if p.trainable])
            self._create_learning_rate(program)
            ops = []
            for parameter, grad in params_grads:
                if parameter.trainable:
                    rate = self._parameter_rate(parameter, program)
                    with program._role_guard(OpRole.OPTIMIZE, (parameter, grad)):
                        ops.append(self._append_update(block, parameter, grad, rate))
            return ops

    def _check(self, params_grads):
        """Refuse gradients that this optimizer cannot use."""

    def _create_accumulators(self, block, parameters):
        """Make the state of `parameters`."""

    def _append_update(self, block, parameter, grad, rate):
        raise NotImplementedError

    def _create_learning_rate(self, program):
        if program in self._rates:
            return
        if isinstance(self._learning_rate, Variable):
            self._rates[program] = self._learning_rate
            return
        with program_guard(program):
            self._rates[program] = create_global_var(
                name=unique_name.generate("learning_rate"),
                shape=[1],
                value=float(self._learning_rate),
                dtype="float32",
                persistable=True,
            )
        self._rates[program].stop_gradient = True

    def _global_learning_rate(self, program=None):
        """The learning-rate Variable of a program, or None before `minimize`."""
        return self._rates.get(program if program is not None else default_main_program())

    def _parameter_rate(self, parameter, program):
        """The learning rate times the parameter's own factor."""
        factor = parameter.optimize_attr["learning_rate"]
        rate = self._rates[program]
        if isinstance(factor, Variable):
            return factor
        if factor == 1.0:
            return rate
        with program._role_guard(OpRole.LR_SCHEDULE | OpRole.OPTIMIZE):
            return rate * float(factor)

    def _add_accumulator(self, block, name, parameter, *, fill=0.0, shape=None, dtype=None, row_state=False):
        """A persistable variable ``<parameter>_<name>_0`` of the parameter's shape, filled with a number.

        row_state: a large one may have memory for the rows touched alone.
        """
        key = name if self._name is None else f"{self._name}_{name}"
        accumulators = self._accumulators.setdefault(block.program, {})
        if (key, parameter.name) in accumulators:
            return
        helper = LayerHelper(self.type, name=self.type)
        variable = helper.create_global_variable(
            name=unique_name.generate(f"{parameter.name}_{key}"),
            persistable=True,
            dtype=dtype if dtype is not None else parameter.dtype,
            shape=shape if shape is not None else parameter.shape,
            belong_to_optimizer=True,
            row_state=row_state,
        )
        helper.set_variable_initializer(variable, Constant(float(fill)))
        if shape is None and getattr(parameter, "is_distributed", False):
            mark_table(helper.startup_program.global_block().var(variable.name), parameter.name)
        accumulators[key, parameter.name] = variable

    def _get_accumulator(self, name, parameter):
        key = name if self._name is None else f"{self._name}_{name}"
        return self._accumulators[parameter.block.program][key, parameter.name]

    @contextlib.contextmanager
    def _unchanged_on_error(self, *programs):
        """Programs in which something was appended before an error, and this object, are put back as they were."""
        blocks = [program.global_block() for program in programs]
        before = [
            (block, [(op, dict(op.attrs)) for op in block.ops], dict(block.vars), block.program._backward_passes)
            for block in blocks
        ]
        names = unique_name.counts()
        rates = dict(self._rates)
        accumulators = {program: dict(made) for program, made in self._accumulators.items()}
        try:
            yield
        except Exception:
            for block, ops, variables, passes in before:
                for op, attrs in ops:
                    op.attrs = attrs
                block.ops[:], block.vars, block.program._backward_passes = [op for op, _ in ops], variables, passes
                block.program._changed()
            unique_name.restore(names)
            self._rates = weakref.WeakKeyDictionary(rates)
            self._accumulators = weakref.WeakKeyDictionary(accumulators)
            raise


def _check_loss(loss):
    if not isinstance(loss, Variable):
        raise InvalidTypeError(
            "The loss is not a Variable.", expected="Variable", actual=type(loss).__name__, where=here()
        )


def check_number(optimizer, name, value, *, low=None, below=None):
    """Refuse a setting that is no number, not finite, less than `low`, or not less than `below`."""
    if isinstance(value, bool) or not isinstance(value, float | int):
        raise InvalidTypeError(
            f"{name} of {type(optimizer).__name__} is not a number.", expected="float", actual=repr(value)
        )
    limits = [f"{low} <= {name}"] if low is not None else []
    limits += [f"{name} < {below}"] if below is not None else []
    fits = math.isfinite(value) and (low is None or value >= low) and (below is None or value < below)
    if not fits:
        raise InvalidArgumentError(
            f"{name} of {type(optimizer).__name__} is out of range.",
            expected=" and ".join(limits) or "a finite number",
            actual=str(value),
        )
