"""One op per update rule. Parameter, moments and counters change where they lie, in one kernel call."""

import math

import numpy as np

from .._kernels import optimizers as dense_kernels
from .._kernels import row_optimizers as row_kernels
from ..dtypes import VarType
from ..errors import NonFiniteError
from ..selected_rows import SelectedRows
from ..tables import as_array, joint_store
from .registry import Meta, OpDef, Slot, register_op


class _Update(OpDef):
    """Base of the update rules. Kernels are named by the op: ``<type>_dense``, ``<type>_rows`` and so on."""

    differentiable = False
    warns = False

    def apply(self, param, states, grad, settings, *, counters=(), rows_only=True):
        """Update by the kernel for this kind of gradient and of state; returns the states, some of which may be new.

        states: arrays or RowStates, in the order of the kernels; None for one that the rule does without.
        rows_only: whether a sparse gradient touches the rows present alone.
        """
        if not isinstance(grad, SelectedRows):
            states = [as_array(state) for state in states]
            kernel = getattr(dense_kernels, self.type + "_dense")
            kernel(param, *states, np.ascontiguousarray(grad), *counters, **settings)
            return states
        store = joint_store([state for state in states if state is not None]) if rows_only else None
        if store is not None:
            kernel = getattr(row_kernels, self.type + "_slots")
            kernel(param, store.slots, store.data, store.count, grad.chunks, *counters, **settings)
            return states
        states = [as_array(state) for state in states]
        kernel = getattr(row_kernels, self.type + ("_rows" if rows_only else "_rows_all"))
        kernel(param, *states, grad.chunks, *counters, **settings)
        return states

    def learning_rate(self, value):
        """The learning rate as a number; refused when it is NaN or infinite, before anything changes."""
        rate = value.item()
        if not math.isfinite(rate):
            raise NonFiniteError(
                f"The learning rate {self.var('LearningRate')} is not a finite number.",
                expected="a finite number",
                actual=str(rate),
                hint="nothing was updated; look at the schedule, or at what was set in the scope.",
            )
        return rate

    def check_grad(self, param, grad):
        """Refuse a gradient whose shape is not the parameter's, as far as it is known."""
        fits = len(param.shape) == len(grad.shape) and all(
            a == b or b == -1 for a, b in zip(param.shape, grad.shape, strict=True)
        )
        if not fits:
            self.fail(
                f"the gradient {self.var('Grad')} does not have the shape of {self.var('Param')}.",
                expected=str(param.shape),
                actual=str(grad.shape),
            )

    def like_param(self, param, grad):
        """The Meta of the parameter and of states of its shape; checks the gradient."""
        self.check_grad(param, grad)
        return Meta(param.shape, param.dtype)


@register_op
class Sgd(_Update):
    """Param -= LearningRate Grad. With a SelectedRows gradient only its rows change, duplicates summed first.

    Source: Fluid's optimizer.SGD.
    """

    type = "sgd"
    rows_only = True
    inputs = (Slot("Param", dtypes="float"), Slot("Grad", rows=True), Slot("LearningRate", dtypes="float"))
    outputs = (Slot("ParamOut"),)
    updates = {"ParamOut": "Param"}

    def infer_shape(self, param, grad, rate):
        return self.like_param(param, grad)

    def run(self, param, grad, rate, out):
        rate = self.learning_rate(rate)
        if isinstance(grad, SelectedRows):
            row_kernels.sgd_rows(param, grad.chunks, rate)
        else:
            dense_kernels.sgd_dense(param, np.ascontiguousarray(grad), rate)
        return param


@register_op
class Momentum(_Update):
    """Velocity = mu Velocity + Grad;  Param -= LearningRate Velocity, or with use_nesterov LearningRate (Grad + mu
    Velocity).

    A SelectedRows gradient means its dense form: every row's velocity decays and every row moves. With `lazy_mode`,
    which Fluid's op does not have, it touches its rows alone.

    Sources: Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013); Fluid's
    optimizer.Momentum.
    """

    type = "momentum"
    rows_only = "lazy_mode"
    inputs = (
        Slot("Param", dtypes="float"),
        Slot("Grad", rows=True),
        Slot("Velocity", row_state=True),
        Slot("LearningRate", dtypes="float"),
    )
    outputs = (Slot("ParamOut"), Slot("VelocityOut"))
    attrs = {"mu": 0.9, "use_nesterov": False, "lazy_mode": False}
    updates = {"ParamOut": "Param", "VelocityOut": "Velocity"}

    def infer_shape(self, param, grad, velocity, rate):
        same = self.like_param(param, grad)
        return same, same

    def run(self, param, grad, velocity, rate, param_out, velocity_out):
        settings = {
            "learning_rate": self.learning_rate(rate),
            "mu": self.attr["mu"],
            "use_nesterov": self.attr["use_nesterov"],
        }
        (velocity,) = self.apply(param, (velocity,), grad, settings, rows_only=self.attr["lazy_mode"])
        return param, velocity


@register_op
class Adagrad(_Update):
    """Moment += Grad^2;  Param -= LearningRate Grad / (sqrt(Moment) + epsilon).

    A SelectedRows gradient touches its rows alone, which is what its dense form would do.

    Sources: Duchi, Hazan and Singer, "Adaptive Subgradient Methods" (2011), with the diagonal; Fluid's
    optimizer.Adagrad.
    """

    type = "adagrad"
    rows_only = True
    inputs = (
        Slot("Param", dtypes="float"),
        Slot("Grad", rows=True),
        Slot("Moment", row_state=True),
        Slot("LearningRate", dtypes="float"),
    )
    outputs = (Slot("ParamOut"), Slot("MomentOut"))
    attrs = {"epsilon": 1e-6}
    updates = {"ParamOut": "Param", "MomentOut": "Moment"}

    def infer_shape(self, param, grad, moment, rate):
        same = self.like_param(param, grad)
        return same, same

    def run(self, param, grad, moment, rate, param_out, moment_out):
        settings = {"learning_rate": self.learning_rate(rate), "epsilon": self.attr["epsilon"]}
        (moment,) = self.apply(param, (moment,), grad, settings)
        return param, moment


@register_op
class RmsProp(_Update):
    """MeanSquare = decay MeanSquare + (1-decay) Grad^2;  MeanGrad = decay MeanGrad + (1-decay) Grad, if centered;
    Moment = momentum Moment + LearningRate Grad / sqrt(MeanSquare - MeanGrad^2 + epsilon);  Param -= Moment.

    MeanGrad is left alone, and stands for 0, unless `centered`. A SelectedRows gradient means its dense form: every
    row's averages decay and every row moves. With `lazy_mode`, which Fluid's op does not have, it touches its rows
    alone.

    Sources: Tieleman and Hinton, "Neural Networks for Machine Learning", lecture 6.5 (2012); Graves, "Generating
    Sequences With Recurrent Neural Networks" (2013), for `centered`; Fluid's optimizer.RMSProp.
    """

    type = "rmsprop"
    rows_only = "lazy_mode"
    inputs = (
        Slot("Param", dtypes="float"),
        Slot("MeanSquare", row_state=True),
        Slot("MeanGrad", row_state=True),
        Slot("LearningRate", dtypes="float"),
        Slot("Grad", rows=True),
        Slot("Moment", row_state=True),
    )
    outputs = (Slot("ParamOut"), Slot("MomentOut"), Slot("MeanSquareOut"), Slot("MeanGradOut"))
    attrs = {"epsilon": 1e-10, "decay": 0.9, "momentum": 0.0, "centered": False, "lazy_mode": False}
    updates = {
        "ParamOut": "Param",
        "MomentOut": "Moment",
        "MeanSquareOut": "MeanSquare",
        "MeanGradOut": "MeanGrad",
    }

    def infer_shape(self, param, mean_square, mean_grad, rate, grad, moment):
        same = self.like_param(param, grad)
        return same, same, same, same

    def run(
        self, param, mean_square, mean_grad, rate, grad, moment, param_out, moment_out, mean_square_out, mean_grad_out
    ):
        centered, lazy = self.attr["centered"], self.attr["lazy_mode"]
        settings = {
            "learning_rate": self.learning_rate(rate),
            "rho": self.attr["decay"],
            "epsilon": self.attr["epsilon"],
            "momentum": self.attr["momentum"],
            "centered": centered,
        }
        states = mean_square, moment, mean_grad if centered else None
        mean_square, moment, used_mean_grad = self.apply(param, states, grad, settings, rows_only=lazy)
        return param, moment, mean_square, used_mean_grad if centered else mean_grad


@register_op
class Ftrl(_Update):
    """n' = n + Grad^2;  z += Grad - (n'^-lr_power - n^-lr_power) / LearningRate Param;  n = n';
    Param = (l1 sign(z) - z) / (n'^-lr_power / LearningRate + 2 l2) where |z| > l1, else 0.

    n is SquaredAccumulator, z is LinearAccumulator. A SelectedRows gradient, which Fluid's op refuses, touches its
    rows alone. A dense one also makes the weights of rows with a gradient of zero anew from their z and n: it sets
    those to 0 that never had another gradient. The two agree when every row is touched.

    Sources: McMahan et al., "Ad Click Prediction: a View from the Trenches" (2013); Fluid's optimizer.Ftrl.
    """

    type = "ftrl"
    rows_only = True
    inputs = (
        Slot("Param", dtypes="float"),
        Slot("SquaredAccumulator", row_state=True),
        Slot("LinearAccumulator", row_state=True),
        Slot("Grad", rows=True),
        Slot("LearningRate", dtypes="float"),
    )
    outputs = (Slot("ParamOut"), Slot("SquaredAccumOut"), Slot("LinearAccumOut"))
    attrs = {"l1": 0.0, "l2": 0.0, "lr_power": -0.5}
    updates = {
        "ParamOut": "Param",
        "SquaredAccumOut": "SquaredAccumulator",
        "LinearAccumOut": "LinearAccumulator",
    }

    def infer_shape(self, param, squared, linear, grad, rate):
        same = self.like_param(param, grad)
        return same, same, same

    def run(self, param, squared, linear, grad, rate, param_out, squared_out, linear_out):
        settings = {"learning_rate": self.learning_rate(rate), **self.attr}
        squared, linear = self.apply(param, (squared, linear), grad, settings)
        return param, squared, linear


@register_op
class Adam(_Update):
    """Adam in Fluid's form, with epsilon beside the uncorrected root.

    m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  p -= lr sqrt(1-Beta2Pow) / (1-Beta1Pow) m / (sqrt(v) + epsilon);
    then Beta1Pow *= b1, Beta2Pow *= b2 (they start at b1, b2). With a SelectedRows gradient and `lazy_mode` only its
    rows and their moments change; without it every row's moments decay and every row moves.

    Sources: Kingma and Ba, "Adam" (2015), section 2, last remark; Fluid's optimizer.Adam. Dense and sparse gradients
    use the same powers (Fluid 1.8.5 takes them one step ahead when the gradient is sparse).
    """

    type = "adam"
    rows_only = "lazy_mode"
    inputs = (
        Slot("Param", dtypes="float"),
        Slot("Grad", rows=True),
        Slot("LearningRate", dtypes="float"),
        Slot("Moment1", row_state=True),
        Slot("Moment2", row_state=True),
        Slot("Beta1Pow"),
        Slot("Beta2Pow"),
        Slot("Beta1Tensor", optional=True),
        Slot("Beta2Tensor", optional=True),
    )
    outputs = (
        Slot("ParamOut"),
        Slot("Moment1Out"),
        Slot("Moment2Out"),
        Slot("Beta1PowOut"),
        Slot("Beta2PowOut"),
    )
    attrs = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "lazy_mode": False}
    updates = {
        "ParamOut": "Param",
        "Moment1Out": "Moment1",
        "Moment2Out": "Moment2",
        "Beta1PowOut": "Beta1Pow",
        "Beta2PowOut": "Beta2Pow",
    }

    def infer_shape(self, param, grad, rate, moment1, moment2, pow1, pow2, beta1, beta2):
        same = self.like_param(param, grad)
        return same, same, same, Meta(pow1.shape, pow1.dtype), Meta(pow2.shape, pow2.dtype)

    def run(self, param, grad, rate, m1, m2, pow1, pow2, beta1, beta2, p_out, m1_out, m2_out, pow1_out, pow2_out):
        rate = self.learning_rate(rate)
        options = {
            "learning_rate": rate,
            "beta1": self.attr["beta1"] if beta1 is None else beta1.item(),
            "beta2": self.attr["beta2"] if beta2 is None else beta2.item(),
            "epsilon": self.attr["epsilon"],
        }
        counters = pow1, pow2
        lazy = self.attr["lazy_mode"]
        m1, m2 = self.apply(param, (m1, m2), grad, options, counters=counters, rows_only=lazy)
        return param, m1, m2, pow1, pow2


@register_op
class SparseAdam(_Update):
    """Adam on the rows of a SelectedRows gradient, moments corrected before the root is taken.

    For the rows i that the gradient names, duplicates summed, with t the number of steps of the parameter:
    m[i] = b1 m[i] + (1-b1) g[i];  v[i] = b2 v[i] + (1-b2) g[i]^2;
    p[i] -= lr (m[i] / (1-b1^t)) / (sqrt(v[i] / (1-b2^t)) + epsilon).
    All other rows and moments keep their bits. Step: int64 (1,), counts the steps done.

    Source: Kingma and Ba, "Adam" (2015), algorithm 1, applied to the rows present.
    """

    type = "sparse_adam"
    rows_only = True
    inputs = (
        Slot("Param", dtypes="float"),
        Slot("Grad", rows=True),
        Slot("LearningRate", dtypes="float"),
        Slot("Moment1", row_state=True),
        Slot("Moment2", row_state=True),
        Slot("Step", dtypes=(VarType.INT64,)),
    )
    outputs = (Slot("ParamOut"), Slot("Moment1Out"), Slot("Moment2Out"), Slot("StepOut"))
    attrs = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
    updates = {"ParamOut": "Param", "Moment1Out": "Moment1", "Moment2Out": "Moment2", "StepOut": "Step"}

    def __init__(self, attrs=None, names=None):
        super().__init__(attrs, names)
        self.beta1, self.beta2, self.epsilon = (float(self.attr[name]) for name in ("beta1", "beta2", "epsilon"))

    def infer_shape(self, param, grad, rate, moment1, moment2, step):
        same = self.like_param(param, grad)
        if grad.type != VarType.SELECTED_ROWS:
            self.fail(
                f"the gradient {self.var('Grad')} is dense.",
                expected="SELECTED_ROWS",
                actual=grad.type.name,
                hint="use is_sparse=True in the embedding, or another optimizer for this parameter.",
            )
        return same, same, same, Meta(step.shape, step.dtype)

    def run(self, param, grad, rate, m1, m2, step, param_out, m1_out, m2_out, step_out):
        rate = self.learning_rate(rate)
        store = None if m1.__class__ is np.ndarray else joint_store((m1, m2))
        if store is None:
            m1, m2 = as_array(m1), as_array(m2)
            row_kernels.sparse_adam_rows(
                param,
                m1,
                m2,
                grad.chunks,
                step,
                learning_rate=rate,
                beta1=self.beta1,
                beta2=self.beta2,
                epsilon=self.epsilon,
            )
        else:
            row_kernels.sparse_adam_slots(
                param,
                store.slots,
                store.data,
                store.count,
                grad.chunks,
                step,
                learning_rate=rate,
                beta1=self.beta1,
                beta2=self.beta2,
                epsilon=self.epsilon,
            )
        return param, m1, m2, step
