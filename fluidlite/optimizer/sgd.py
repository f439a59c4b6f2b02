"""Gradient descent, with and without momentum."""

from .base import Optimizer, check_number


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


class MomentumOptimizer(Optimizer):
    """Gradient descent with a velocity, which remembers past gradients.

        velocity = mu velocity + g
        p -= lr velocity                    or, with use_nesterov,
        p -= lr (g + mu velocity)

    Args:
        learning_rate: float, or a Variable of shape (1,).
        momentum: mu, the share of the velocity that stays, mostly 0.9; at least 0.
        parameter_list, regularization, grad_clip, name: as in `Optimizer`.
        use_nesterov: step from where the velocity leads; False.
        lazy_mode: with a sparse gradient, update only the rows present and their velocities, which then decay only in
            the steps that name the row; False. It is an addition to Fluid. The default is Fluid's: every row's velocity
            decays and every row moves, equal to dense training, and each step reads and writes the whole table and its
            velocity, however few rows the batch names.

    The state is ``<parameter>_velocity_0``, of the parameter's shape; with lazy_mode, that of a large table has memory
    for the rows touched alone.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013).

    >>> import fluidlite as fluid
    >>> with fluid.program_guard(fluid.Program(), fluid.Program()):
    ...     loss = fluid.layers.mean(fluid.layers.fc(fluid.data('x', [None, 3]), 1))
    ...     ops, _ = fluid.optimizer.Momentum(0.1, momentum=0.9, use_nesterov=True).minimize(loss)
    >>> [op.type for op in ops]
    ['momentum', 'momentum']
    """

    type = "momentum"

    def __init__(
        self,
        learning_rate,
        momentum,
        parameter_list=None,
        use_nesterov=False,
        regularization=None,
        grad_clip=None,
        name=None,
        *,
        lazy_mode=False,
    ):
        super().__init__(learning_rate, parameter_list, regularization, grad_clip, name)
        check_number(self, "momentum", momentum, low=0)
        self._momentum, self._use_nesterov, self._lazy_mode = momentum, bool(use_nesterov), bool(lazy_mode)

    def _create_accumulators(self, block, parameters):
        for p in parameters:
            self._add_accumulator(block, "velocity", p, row_state=self._lazy_mode)

    def _append_update(self, block, parameter, grad, rate):
        velocity = self._get_accumulator("velocity", parameter)
        ins = {"Param": parameter, "Grad": grad, "Velocity": velocity, "LearningRate": rate}
        outs = {"ParamOut": parameter, "VelocityOut": velocity}
        attrs = {"mu": self._momentum, "use_nesterov": self._use_nesterov, "lazy_mode": self._lazy_mode}
        return block.append_op("momentum", inputs=ins, outputs=outs, attrs=attrs)


SGD = SGDOptimizer
Momentum = MomentumOptimizer
