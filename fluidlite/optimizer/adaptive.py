"""Optimizers that give every element a step of its own: Adagrad, RMSProp and Ftrl."""

from ..errors import InvalidArgumentError
from .base import Optimizer, check_number


class AdagradOptimizer(Optimizer):
    """Steps that shrink with the gradients an element has met: rare ones keep larger steps.

        moment += g^2
        p -= lr g / (sqrt(moment) + epsilon)

    With a sparse gradient only the rows present change; the others would not move with a dense one either, so the
    results of both are the same.

    Args:
        learning_rate: float, or a Variable of shape (1,).
        epsilon: keeps the quotient finite; 1e-6, at least 0.
        parameter_list, regularization, grad_clip, name: as in `Optimizer`.
        initial_accumulator_value: what moment starts at; 0.0, at least 0. Another than 0 needs memory for the whole
            table at once; with 0, a large table's has memory for the rows touched alone.

    The state is ``<parameter>_moment_0``, of the parameter's shape.

    Source: Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization"
    (2011), in its diagonal form.

    >>> import fluidlite as fluid
    >>> with fluid.program_guard(fluid.Program(), fluid.Program()):
    ...     rows = fluid.embedding(fluid.data('ids', [None], 'int64'), [1000, 8], is_sparse=True)
    ...     ops, _ = fluid.optimizer.Adagrad(0.1).minimize(fluid.layers.mean(rows))
    >>> [op.type for op in ops]
    ['adagrad']
    """

    type = "adagrad"

    def __init__(
        self,
        learning_rate,
        epsilon=1e-6,
        parameter_list=None,
        regularization=None,
        grad_clip=None,
        name=None,
        initial_accumulator_value=0.0,
    ):
        super().__init__(learning_rate, parameter_list, regularization, grad_clip, name)
        check_number(self, "epsilon", epsilon, low=0)
        check_number(self, "initial_accumulator_value", initial_accumulator_value, low=0)
        self._epsilon, self._initial_value = epsilon, initial_accumulator_value

    def _create_accumulators(self, block, parameters):
        for p in parameters:
            self._add_accumulator(block, "moment", p, fill=self._initial_value, row_state=self._initial_value == 0)

    def _append_update(self, block, parameter, grad, rate):
        moment = self._get_accumulator("moment", parameter)
        ins = {"Param": parameter, "Grad": grad, "Moment": moment, "LearningRate": rate}
        outs = {"ParamOut": parameter, "MomentOut": moment}
        return block.append_op("adagrad", inputs=ins, outputs=outs, attrs={"epsilon": self._epsilon})


class RMSPropOptimizer(Optimizer):
    """Steps over the root of a running mean of squared gradients.

        mean_square = rho mean_square + (1 - rho) g^2
        mean_grad = rho mean_grad + (1 - rho) g                 if centered, else 0
        step = momentum step + lr g / sqrt(mean_square - mean_grad^2 + epsilon)
        p -= step

    Args:
        learning_rate: float, or a Variable of shape (1,).
        rho: the share of the means that stays; 0.95, in [0, 1).
        epsilon: under the root; 1e-6, at least 0.
        momentum: the share of the last step that is taken again; 0.0, at least 0.
        centered: divide by an estimate of the deviation of the gradient instead of its root mean square; False.
        parameter_list, regularization, grad_clip, name: as in `Optimizer`.
        lazy_mode: with a sparse gradient, update only the rows present and their state, which then decays only in the
            steps that name the row; False. It is an addition to Fluid. The default is Fluid's: the means of every row
            decay and every row moves, equal to dense training, and each step reads and writes the whole table and two
            arrays (three if centered) of its size, however few rows the batch names.

    The states are ``<parameter>_momentum_0`` (step), ``_mean_square_0`` and ``_mean_grad_0``, of the parameter's shape;
    the last stays 0 unless centered. With lazy_mode, those of a large table have memory for the rows touched alone.

    Sources: Tieleman and Hinton, "Neural Networks for Machine Learning", lecture 6.5 (2012); Graves, "Generating
    Sequences With Recurrent Neural Networks" (2013), for `centered`.

    >>> import fluidlite as fluid
    >>> with fluid.program_guard(fluid.Program(), fluid.Program()):
    ...     loss = fluid.layers.mean(fluid.layers.fc(fluid.data('x', [None, 3]), 1, bias_attr=False))
    ...     ops, _ = fluid.optimizer.RMSProp(0.01, momentum=0.9, centered=True).minimize(loss)
    >>> [op.type for op in ops]
    ['rmsprop']
    """

    type = "rmsprop"

    def __init__(
        self,
        learning_rate,
        rho=0.95,
        epsilon=1e-6,
        momentum=0.0,
        centered=False,
        parameter_list=None,
        regularization=None,
        grad_clip=None,
        name=None,
        *,
        lazy_mode=False,
    ):
        super().__init__(learning_rate, parameter_list, regularization, grad_clip, name)
        check_number(self, "rho", rho, low=0, below=1)
        check_number(self, "epsilon", epsilon, low=0)
        check_number(self, "momentum", momentum, low=0)
        self._options = {
            "decay": rho,
            "epsilon": epsilon,
            "momentum": momentum,
            "centered": bool(centered),
            "lazy_mode": bool(lazy_mode),
        }

    def _create_accumulators(self, block, parameters):
        for p in parameters:
            for name in ("momentum", "mean_square", "mean_grad"):
                self._add_accumulator(block, name, p, row_state=self._options["lazy_mode"])

    def _append_update(self, block, parameter, grad, rate):
        step, mean_square, mean_grad = (
            self._get_accumulator(name, parameter) for name in ("momentum", "mean_square", "mean_grad")
        )
        ins = {
            "Param": parameter,
            "MeanSquare": mean_square,
            "MeanGrad": mean_grad,
            "LearningRate": rate,
            "Grad": grad,
            "Moment": step,
        }
        outs = {
            "ParamOut": parameter,
            "MomentOut": step,
            "MeanSquareOut": mean_square,
            "MeanGradOut": mean_grad,
        }
        return block.append_op("rmsprop", inputs=ins, outputs=outs, attrs=self._options)


class FtrlOptimizer(Optimizer):
    """Follow the regularized leader: weights of exactly 0 wherever the evidence stays below l1.

        n' = n + g^2
        z += g - (n'^-lr_power - n^-lr_power) / lr * p;  n = n'
        p = (l1 sign(z) - z) / (n^-lr_power / lr + 2 l2)        where |z| > l1, else 0

    With a sparse gradient, which Fluid's Ftrl refuses, only the rows present and their state change. A dense gradient
    also makes the weights of the other rows anew from their z and n, and so sets those to 0 that never had a gradient:
    initial values of rows not seen yet survive sparse training only. The two agree when every row is touched.

    Args:
        learning_rate: float, or a Variable of shape (1,).
        l1, l2: strengths of the two penalties; 0.0, at least 0. (Fluid 1.8.5 takes l1 for both.)
        lr_power: how steps shrink with n; -0.5, at most 0. Another than -0.5 takes powers instead of square roots,
            which is many times slower.
        parameter_list, regularization, grad_clip, name: as in `Optimizer`.

    The states are ``<parameter>_squared_0`` (n) and ``<parameter>_linear_0`` (z), of the parameter's shape, and start
    at 0; those of a large table with a sparse gradient have memory for the rows touched alone.

    Source: McMahan et al., "Ad Click Prediction: a View from the Trenches" (2013), algorithm 1, with lr for alpha,
    beta = 0 and 2 l2 for lambda_2.

    >>> import fluidlite as fluid
    >>> with fluid.program_guard(fluid.Program(), fluid.Program()):
    ...     rows = fluid.embedding(fluid.data('ids', [None], 'int64'), [1000, 1], is_sparse=True)
    ...     ops, _ = fluid.optimizer.Ftrl(0.1, l1=0.01).minimize(fluid.layers.mean(rows))
    >>> [op.type for op in ops]
    ['ftrl']
    """

    type = "ftrl"

    def __init__(
        self,
        learning_rate,
        l1=0.0,
        l2=0.0,
        lr_power=-0.5,
        parameter_list=None,
        regularization=None,
        grad_clip=None,
        name=None,
    ):
        super().__init__(learning_rate, parameter_list, regularization, grad_clip, name)
        check_number(self, "l1", l1, low=0)
        check_number(self, "l2", l2, low=0)
        check_number(self, "lr_power", lr_power)
        if lr_power > 0:
            raise InvalidArgumentError(
                "lr_power of FtrlOptimizer is positive: steps would grow with the gradients met.",
                expected="lr_power <= 0",
                actual=str(lr_power),
            )
        self._options = {"l1": l1, "l2": l2, "lr_power": lr_power}

    def _create_accumulators(self, block, parameters):
        for p in parameters:
            self._add_accumulator(block, "squared", p, row_state=True)
            self._add_accumulator(block, "linear", p, row_state=True)

    def _append_update(self, block, parameter, grad, rate):
        squared, linear = (self._get_accumulator(name, parameter) for name in ("squared", "linear"))
        ins = {
            "Param": parameter,
            "SquaredAccumulator": squared,
            "LinearAccumulator": linear,
            "Grad": grad,
            "LearningRate": rate,
        }
        outs = {"ParamOut": parameter, "SquaredAccumOut": squared, "LinearAccumOut": linear}
        return block.append_op("ftrl", inputs=ins, outputs=outs, attrs=self._options)


Adagrad = AdagradOptimizer
RMSProp = RMSPropOptimizer
Ftrl = FtrlOptimizer
