"""Adam in Fluid's form, and Adam for tables."""

from ..dtypes import VarType
from ..errors import InvalidArgumentError, InvalidTypeError, format_site
from ..framework import Variable
from .base import Optimizer


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


Adam = AdamOptimizer
SparseAdam = SparseAdamOptimizer
