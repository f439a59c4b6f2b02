"""ParamAttr: what a layer's user may say of its parameters."""

import math

from .errors import InvalidArgumentError, InvalidTypeError
from .initializer import Constant, Initializer, Xavier
from .regularizer import WeightDecayRegularizer


class ParamAttr:
    """Attributes of a parameter.

    Args:
        name: the parameter's name; layers that give the same name share the parameter.
        initializer: default: the layer's own.
        learning_rate: factor on the optimizer's learning rate, default 1.0.
        regularizer: wins over the optimizer's.
        trainable: False freezes the parameter.
        do_model_average: accepted for Fluid's sake.

    >>> import fluidlite as fluid
    >>> ids = fluid.data('ids', [None], 'int64')
    >>> attr = fluid.ParamAttr('table', fluid.initializer.Normal(scale=0.1), learning_rate=0.5)
    >>> fluid.embedding(ids, [10, 4], param_attr=attr).shape
    (-1, 4)
    """

    def __init__(
        self,
        name=None,
        initializer=None,
        learning_rate=1.0,
        regularizer=None,
        trainable=True,
        do_model_average=True,
    ):
        if isinstance(learning_rate, float) and not math.isfinite(learning_rate):
            raise InvalidArgumentError(
                f"The learning_rate of ParamAttr {name!r} is not a finite number.", actual=str(learning_rate)
            )
        self.name = name
        self.initializer = initializer
        self.learning_rate = learning_rate
        self.regularizer = regularizer
        self.trainable = trainable
        self.do_model_average = do_model_average

    @staticmethod
    def _to_attr(arg):
        """A ParamAttr from what layers accept: None, a name, an initializer, a regularizer, or False (none at all)."""
        if arg is None or arg is True:
            return ParamAttr()
        if arg is False or isinstance(arg, ParamAttr):
            return arg
        if isinstance(arg, list | tuple):
            return [ParamAttr._to_attr(a) for a in arg]
        if isinstance(arg, str):
            return ParamAttr(name=arg)
        if isinstance(arg, Initializer):
            return ParamAttr(initializer=arg)
        if isinstance(arg, WeightDecayRegularizer):
            return ParamAttr(regularizer=arg)
        raise InvalidTypeError(
            "A parameter's attributes cannot be made from this.",
            expected="ParamAttr, name, Initializer, regularizer, or False",
            actual=f"{arg!r} ({type(arg).__name__})",
        )

    def _default_initializer(self, is_bias):
        return self.initializer if self.initializer is not None else Constant(0.0) if is_bias else Xavier()
