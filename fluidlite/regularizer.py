"""Weight decay as ops on the gradient. It makes a sparse gradient dense: every row of the table decays."""

from . import unique_name
from .dtypes import VarType
from .errors import InvalidArgumentError, format_site
from .framework import OpRole


class WeightDecayRegularizer:
    """Base: ``regularizer(param, grad, block)`` appends the decay term and returns its variable."""

    def __init__(self, regularization_coeff=0.0):
        self._regularization_coeff = float(regularization_coeff)

    def __call__(self, param, grad, block):
        raise NotImplementedError

    def _append_scale(self, block, source, decay):
        attrs = {"scale": self._regularization_coeff}
        block.append_op("scale", inputs={"X": source}, outputs={"Out": decay}, attrs=attrs)
        return decay


class L2DecayRegularizer(WeightDecayRegularizer):
    """grad += coeff * parameter (the gradient of coeff/2 * sum of squares).

    A sparse gradient becomes dense, as in Fluid: all V rows are computed in every step.

    >>> import fluidlite as fluid
    >>> optimizer = fluid.optimizer.SGD(0.1, regularization=fluid.regularizer.L2Decay(1e-4))
    """

    def __call__(self, param, grad, block):
        return self._append_scale(block, param, _temporary(block, param))

    def __str__(self):
        return f"L2Decay, regularization_coeff={self._regularization_coeff:f}"


class L1DecayRegularizer(WeightDecayRegularizer):
    """grad += coeff * sign(parameter). A sparse gradient becomes dense, as in Fluid."""

    def __call__(self, param, grad, block):
        decay = _temporary(block, param)
        block.append_op("sign", inputs={"X": param}, outputs={"Out": decay})
        return self._append_scale(block, decay, decay)

    def __str__(self):
        return f"L1Decay, regularization_coeff={self._regularization_coeff:f}"


def _temporary(block, parameter):
    return block.create_var(
        name=unique_name.generate("_generated_var"), dtype=parameter.dtype, shape=parameter.shape, persistable=False
    )


def append_regularization_ops(params_grads, regularization=None):
    """Add each parameter's own regularizer, or `regularization`, to its gradient.

    Returns:
        list of (parameter, gradient), with the sum as gradient where there is something to add.
    """
    result = []
    for parameter, grad in params_grads:
        regularizer = parameter.regularizer or regularization
        if grad is None or regularizer is None:
            result.append((parameter, grad))
            continue
        if getattr(parameter, "is_distributed", False):
            raise InvalidArgumentError(
                f"Table {parameter.name!r} takes any ids (is_distributed=True) and cannot have weight decay, which "
                "would touch every row of it in every step.",
                where=format_site(parameter.site),
                hint="leave out the regularizer, or drop rows that are not seen: table.shrink(unseen_steps=...).",
            )
        block = grad.block
        with block.program._role_guard(OpRole.OPTIMIZE, (parameter, grad)):
            decay = regularizer(parameter, grad, block)
            # A sum with a dense term is dense, so it cannot go where a sparse gradient was.
            total = grad
            if grad.type == VarType.SELECTED_ROWS:
                total = block.create_var(name=grad.name + "@NEWGRAD@", dtype=grad.dtype)
            block.append_op("sum", inputs={"X": [grad, decay]}, outputs={"Out": total})
        result.append((parameter, total))
    return result


L1Decay = L1DecayRegularizer
L2Decay = L2DecayRegularizer
