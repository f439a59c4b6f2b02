"""Optimizers: they append the update ops of parameters, and keep their state as persistable variables."""

import contextlib
import math
import weakref

from . import unique_name
from .backward import append_backward
from .dtypes import VarType
from .errors import InvalidArgumentError, InvalidTypeError, format_site, here
from .framework import OpRole, Variable, default_main_program, default_startup_program, program_guard
from .initializer import Constant
from .layer_helper import LayerHelper
from .layers.tensor import create_global_var
from .regularizer import append_regularization_ops


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
        return append_backward(loss, parameters, [*(no_grad_set or ()), *frozen], callbacks)

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
            if self._grad_clip is not None:
                params_grads = self._grad_clip(params_grads)
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


class SGDOptimizer(Optimizer):
    """Stochastic gradient descent: p -= lr g. With a sparse gradient only the rows present change.

    >>> import fluidlite as fluid
    >>> with fluid.program_guard(fluid.Program(), fluid.Program()):
    ...     loss = fluid.layers.mean(fluid.layers.fc(fluid.data('x', [None, 3]), 1))
    ...     ops, params_grads = fluid.optimizer.SGD(0.1).minimize(loss)
    >>> [op.type for op in ops]
    ['sgd', 'sgd']
    """

    type = "sgd"

    def _append_update(self, block, parameter, grad, rate):
        ins = {"Param": parameter, "Grad": grad, "LearningRate": rate}
        return block.append_op("sgd", inputs=ins, outputs={"ParamOut": parameter})


class AdamOptimizer(Optimizer):
    """Adam in Fluid's form: p -= lr sqrt(1-b2^t)/(1-b1^t) m / (sqrt(v) + epsilon), with epsilon beside the plain root.

    Args:
        learning_rate: default 0.001. beta1: 0.9, beta2: 0.999: floats, or Variables of shape (1,). epsilon: 1e-8.
        lazy_mode: with a sparse gradient, update only the rows present and their moments. Without it (the default)
            every row's moments decay and every row moves in every step, and the cost follows the table's height.

    `SparseAdam` differs: it puts epsilon beside the corrected root, and counts its steps as an integer.
    Source: Kingma and Ba, "Adam" (2015).
    """

    type = "adam"

    def __init__(
        self,
        learning_rate=0.001,
        beta1=0.9,
        beta2=0.999,
        epsilon=1e-8,
        parameter_list=None,
        regularization=None,
        grad_clip=None,
        name=None,
        lazy_mode=False,
    ):
        super().__init__(learning_rate, parameter_list, regularization, grad_clip, name)
        _check_betas(self, beta1, beta2, epsilon)
        self._beta1, self._beta2, self._epsilon, self._lazy_mode = beta1, beta2, epsilon, lazy_mode

    def _create_accumulators(self, block, parameters):
        for p in parameters:
            self._add_accumulator(block, "moment1", p, row_state=self._lazy_mode)
            self._add_accumulator(block, "moment2", p, row_state=self._lazy_mode)
            for name, beta, default in (("beta1", self._beta1, 0.9), ("beta2", self._beta2, 0.999)):
                fill = default if isinstance(beta, Variable) else beta
                self._add_accumulator(block, f"{name}_pow_acc", p, fill=fill, shape=[1])

    def _append_update(self, block, parameter, grad, rate):
        moment1, moment2, pow1, pow2 = (
            self._get_accumulator(name, parameter) for name in ("moment1", "moment2", "beta1_pow_acc", "beta2_pow_acc")
        )
        ins = {
            "Param": parameter,
            "Grad": grad,
            "LearningRate": rate,
            "Moment1": moment1,
            "Moment2": moment2,
            "Beta1Pow": pow1,
            "Beta2Pow": pow2,
        }
        attrs = {"epsilon": self._epsilon, "lazy_mode": self._lazy_mode}
        for name, beta in (("1", self._beta1), ("2", self._beta2)):
            if isinstance(beta, Variable):
                ins[f"Beta{name}Tensor"] = beta
            else:
                attrs[f"beta{name}"] = beta
        outs = {
            "ParamOut": parameter,
            "Moment1Out": moment1,
            "Moment2Out": moment2,
            "Beta1PowOut": pow1,
            "Beta2PowOut": pow2,
        }
        return block.append_op("adam", inputs=ins, outputs=outs, attrs=attrs)


class SparseAdamOptimizer(Optimizer):
    """Adam for tables: only the rows that a step's gradient names are read or written.

    For the rows i present in the gradient, duplicates summed, with t the number of steps of the parameter:

        m[i] = b1 m[i] + (1-b1) g[i];  v[i] = b2 v[i] + (1-b2) g[i]^2
        p[i] -= lr (m[i] / (1-b1^t)) / (sqrt(v[i] / (1-b2^t)) + epsilon)

    All other rows and moments keep their bits. How the Adams differ:

    * `Adam(lazy_mode=True)` touches the same rows, with epsilon beside the uncorrected root: the same but for epsilon.
    * `Adam()` (dense) also decays the moments of absent rows and moves those rows.
    * PyTorch's SparseAdam is `Adam(lazy_mode=True)`'s formula, epsilon beside the uncorrected root: results agree
      where gradients are large against epsilon.

    Args:
        learning_rate: default 0.001. beta1: 0.9, beta2: 0.999, epsilon: 1e-8.

    Raises (at `minimize` or `apply_gradients`):
        InvalidArgumentError: a parameter's gradient is dense, or it has weight decay, which would make it dense.

    Source: Kingma and Ba, "Adam" (2015), algorithm 1.
    """

    type = "sparse_adam"

    def __init__(
        self,
        learning_rate=0.001,
        beta1=0.9,
        beta2=0.999,
        epsilon=1e-8,
        parameter_list=None,
        regularization=None,
        grad_clip=None,
        name=None,
    ):
        super().__init__(learning_rate, parameter_list, regularization, grad_clip, name)
        _check_betas(self, beta1, beta2, epsilon, variables=False)
        self._options = {"beta1": float(beta1), "beta2": float(beta2), "epsilon": float(epsilon)}

    def _check(self, params_grads):
        for parameter, grad in params_grads:
            if grad.type != VarType.SELECTED_ROWS:
                raise InvalidArgumentError(
                    f"SparseAdam cannot update parameter {parameter.name!r}: its gradient {grad.name!r} is dense.",
                    expected="SELECTED_ROWS",
                    actual=grad.type.name,
                    where=format_site(parameter.site),
                    hint="use is_sparse=True in its embedding, or another optimizer for this parameter "
                    "(parameter_list=..., or append_backward and apply_gradients on the tables alone).",
                )
            if parameter.regularizer or self.regularization:
                raise InvalidArgumentError(
                    f"SparseAdam cannot update parameter {parameter.name!r} with weight decay, "
                    "which would touch every row of the table in every step.",
                    where=format_site(parameter.site),
                    hint="leave out the regularizer, or use fluid.optimizer.Adam.",
                )

    def _create_accumulators(self, block, parameters):
        for p in parameters:
            self._add_accumulator(block, "moment1", p, row_state=True)
            self._add_accumulator(block, "moment2", p, row_state=True)
            self._add_accumulator(block, "step", p, shape=[1], dtype="int64")

    def _append_update(self, block, parameter, grad, rate):
        moment1, moment2, step = (self._get_accumulator(n, parameter) for n in ("moment1", "moment2", "step"))
        ins = {
            "Param": parameter,
            "Grad": grad,
            "LearningRate": rate,
            "Moment1": moment1,
            "Moment2": moment2,
            "Step": step,
        }
        outs = {"ParamOut": parameter, "Moment1Out": moment1, "Moment2Out": moment2, "StepOut": step}
        return block.append_op("sparse_adam", inputs=ins, outputs=outs, attrs=self._options)


def _check_betas(optimizer, beta1, beta2, epsilon, *, variables=True):
    """Refuse settings that are no numbers, or out of range; betas may be Variables where `variables` says so."""
    for name, value in (("beta1", beta1), ("beta2", beta2), ("epsilon", epsilon)):
        if variables and isinstance(value, Variable) and name != "epsilon":
            continue
        if isinstance(value, bool) or not isinstance(value, float | int):
            raise InvalidTypeError(
                f"{name} of {type(optimizer).__name__} is not a number.",
                expected="float or Variable" if variables and name != "epsilon" else "float",
                actual=type(value).__name__,
            )
    for name, beta in (("beta1", beta1), ("beta2", beta2)):
        if not isinstance(beta, Variable) and not 0 <= beta < 1:
            raise InvalidArgumentError(
                f"{name} of {type(optimizer).__name__} is out of range.", expected="0 <= beta < 1", actual=str(beta)
            )
    if not epsilon >= 0:
        raise InvalidArgumentError(
            f"epsilon of {type(optimizer).__name__} is negative.", expected="epsilon >= 0", actual=str(epsilon)
        )


SGD = SGDOptimizer
Adam = AdamOptimizer
SparseAdam = SparseAdamOptimizer
