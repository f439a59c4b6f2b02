"""One op per update rule. Parameter, moments and counters change where they lie, in one kernel call."""

import math

import numpy as np

from .._kernels import optimizers as kernels
from ..dtypes import VarType
from ..errors import NonFiniteError
from ..selected_rows import SelectedRows
from ..tables import as_array, joint_store
from .registry import Meta, OpDef, Slot, register_op


class _Update(OpDef):
    differentiable = False
    warns = False

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


@register_op
class Sgd(_Update):
    """Param -= LearningRate Grad. With a SelectedRows gradient only its rows change, duplicates summed first.

    Source: Fluid's optimizer.SGD.
    """

    type = "sgd"
    inputs = (Slot("Param", dtypes="float"), Slot("Grad", rows=True), Slot("LearningRate", dtypes="float"))
    outputs = (Slot("ParamOut"),)
    updates = {"ParamOut": "Param"}

    def infer_shape(self, param, grad, rate):
        self.check_grad(param, grad)
        return Meta(param.shape, param.dtype)

    def run(self, param, grad, rate, out):
        rate = self.learning_rate(rate)
        if isinstance(grad, SelectedRows):
            kernels.sgd_rows(param, grad.chunks, rate)
        else:
            kernels.sgd_dense(param, np.ascontiguousarray(grad), rate)
        return param


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
        self.check_grad(param, grad)
        same = Meta(param.shape, param.dtype)
        return same, same, same, Meta(pow1.shape, pow1.dtype), Meta(pow2.shape, pow2.dtype)

    def run(self, param, grad, rate, m1, m2, pow1, pow2, beta1, beta2, p_out, m1_out, m2_out, pow1_out, pow2_out):
        rate = self.learning_rate(rate)
        options = {
            "learning_rate": rate,
            "beta1": self.attr["beta1"] if beta1 is None else beta1.item(),
            "beta2": self.attr["beta2"] if beta2 is None else beta2.item(),
            "epsilon": self.attr["epsilon"],
        }
        store = joint_store((m1, m2)) if isinstance(grad, SelectedRows) and self.attr["lazy_mode"] else None
        if store is not None:
            kernels.adam_slots(param, store.slots, store.data, store.count, grad.chunks, pow1, pow2, **options)
            return param, m1, m2, pow1, pow2
        m1, m2 = as_array(m1), as_array(m2)
        if not isinstance(grad, SelectedRows):
            kernels.adam_dense(param, m1, m2, np.ascontiguousarray(grad), pow1, pow2, **options)
        elif self.attr["lazy_mode"]:
            kernels.adam_rows(param, m1, m2, grad.chunks, pow1, pow2, **options)
        else:
            kernels.adam_rows_all(param, m1, m2, grad.chunks, pow1, pow2, **options)
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
        self.check_grad(param, grad)
        if grad.type != VarType.SELECTED_ROWS:
            self.fail(
                f"the gradient {self.var('Grad')} is dense.",
                expected="SELECTED_ROWS",
                actual=grad.type.name,
                hint="use is_sparse=True in the embedding, or another optimizer for this parameter.",
            )
        same = Meta(param.shape, param.dtype)
        return same, same, same, Meta(step.shape, step.dtype)

    def run(self, param, grad, rate, m1, m2, step, param_out, m1_out, m2_out, step_out):
        rate = self.learning_rate(rate)
        store = None if m1.__class__ is np.ndarray else joint_store((m1, m2))
        if store is None:
            m1, m2 = as_array(m1), as_array(m2)
            kernels.sparse_adam_rows(
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
            kernels.sparse_adam_slots(
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
