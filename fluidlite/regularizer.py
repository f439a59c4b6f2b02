"""Weight decay as ops on the gradient. It makes a sparse gradient dense: every row of the table decays."""

from . import unique_name
from .dtypes import VarType
from .framework import OpRole


class WeightDecayRegularizer:
    """Base: ``regularizer(parameter, grad, block)`` appends the decay term and returns its variable."""

    def __init__(self, regularization_coeff=0.0):
        self._regularization_coeff = float(regularization_coeff)

    def __call__(self, parameter, grad, block):
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

    def __call__(self, parameter, grad, block):
        return self._append_scale(block, parameter, _temporary(block, parameter))


class L1DecayRegularizer(WeightDecayRegularizer):
    """grad += coeff * sign(parameter). A sparse gradient becomes dense, as in Fluid."""

    def __call__(self, parameter, grad, block):
        decay = _temporary(block, parameter)
        block.append_op("sign", inputs={"X": parameter}, outputs={"Out": decay})
        return self._append_scale(block, decay, decay)


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
