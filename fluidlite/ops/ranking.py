"""Losses of scores in pairs: which of two is to come first, and teacher-student scores of clicks."""

import numpy as np

from ..errors import OutOfRangeError
from .activation import sigmoid_of
from .loss import label_rows
from .registry import Meta, OpDef, Slot, grad_spec, register_op
from .regression import require_fit


@register_op
class RankLoss(OpDef):
    """Out = log(1 + exp(O)) - Label O, where O = Left - Right: RankNet's loss.

    Label: 1 where Left is to come first, 0 where Right is; all of shape (N, 1), float. Source: Fluid's
    layers.rank_loss; Burges et al., "Learning to rank using gradient descent" (2005).
    """

    type = "rank_loss"
    inputs = (Slot("Label", dtypes="float"), Slot("Left", dtypes="float"), Slot("Right", dtypes="float"))
    outputs = (Slot("Out"),)

    def infer_shape(self, label, left, right):
        require_fit(self, "Left", left.shape, "Label", label.shape)
        require_fit(self, "Right", right.shape, "Label", label.shape)
        return Meta(left.shape, left.dtype)

    def run(self, label, left, right, out):
        margin = left - right
        loss = np.logaddexp(margin, 0, out=out(left.shape))
        return np.subtract(loss, label * margin, out=loss)

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("Label", "Left", "Right"), in_grads=("Left", "Right"))]


@register_op
class RankLossGrad(OpDef):
    """Gradient of `rank_loss`: Left@GRAD = Out@GRAD (sigmoid(Left - Right) - Label), and Right@GRAD = -Left@GRAD."""

    type = "rank_loss_grad"
    inputs = (*RankLoss.inputs, Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("Left@GRAD"), Slot("Right@GRAD"))
    differentiable = False

    def infer_shape(self, label, left, right, out_grad):
        return Meta(left.shape, left.dtype), Meta(right.shape, right.dtype)

    def run(self, label, left, right, out_grad, left_out, right_out):
        slope = sigmoid_of(left - right)
        slope -= label
        left_grad = None if left_out is None else np.multiply(slope, out_grad, out=left_out(left.shape))
        right_grad = None
        if right_out is not None:
            np.negative(slope, out=slope)
            right_grad = np.multiply(slope, out_grad, out=right_out(right.shape))
        return left_grad, right_grad


@register_op
class MarginRankLoss(OpDef):
    """Out = max(0, margin - Label (X1 - X2)); Activated = 1 where that is positive, else 0.

    Label: 1 where X1 is to be larger, -1 where X2 is; all of shape (N, 1), float. Source: Fluid's
    layers.margin_rank_loss.
    """

    type = "margin_rank_loss"
    inputs = (Slot("X1", dtypes="float"), Slot("X2", dtypes="float"), Slot("Label", dtypes="float"))
    outputs = (Slot("Out"), Slot("Activated"))
    attrs = {"margin": 0.0}

    def infer_shape(self, x1, x2, label):
        require_fit(self, "X1", x1.shape, "Label", label.shape)
        require_fit(self, "X2", x2.shape, "Label", label.shape)
        return Meta(x1.shape, x1.dtype), Meta(x1.shape, x1.dtype)

    def run(self, x1, x2, label, out, activated_out):
        loss, activated = out(x1.shape), activated_out(x1.shape)
        np.multiply(label, x2 - x1, out=loss)
        np.add(loss, self.attr["margin"], out=loss)
        np.greater(loss, 0, out=activated)
        return np.maximum(loss, 0, out=loss), activated

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("Label",), outputs=("Activated",), in_grads=("X1", "X2"))]


@register_op
class MarginRankLossGrad(OpDef):
    """Gradient of `margin_rank_loss`: X2@GRAD = Out@GRAD Label where it is activated, else 0; X1@GRAD = -X2@GRAD."""

    type = "margin_rank_loss_grad"
    inputs = (Slot("Label", dtypes="float"), Slot("Activated", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X1@GRAD"), Slot("X2@GRAD"))
    attrs = MarginRankLoss.attrs
    differentiable = False

    def infer_shape(self, label, activated, out_grad):
        return Meta(label.shape, label.dtype), Meta(label.shape, label.dtype)

    def run(self, label, activated, out_grad, x1_out, x2_out):
        slope = label * activated
        x2_grad = None if x2_out is None else np.multiply(slope, out_grad, out=x2_out(label.shape))
        x1_grad = None
        if x1_out is not None:
            np.negative(slope, out=slope)
            x1_grad = np.multiply(slope, out_grad, out=x1_out(label.shape))
        return x1_grad, x2_grad


class _OverRest(OpDef):
    """What `bpr_loss` and its gradient share."""

    def leads(self, x, label):
        """By how much every score exceeds that of the label, (N, C), and the labels (N,)."""
        n, n_classes = x.shape
        label = label_rows(self, label, n)
        outside = (label < 0) | (label >= n_classes)
        if outside.any():
            at = int(outside.argmax())
            raise OutOfRangeError(
                f"Label {label[at]} at position {at} of {self.var('Label')} is not one of the {n_classes} classes.",
                expected=f"0 <= label < {n_classes}",
                actual=str(label[at]),
            )
        return x - x[np.arange(n), label][:, None], label


@register_op
class BprLoss(_OverRest):
    """Y[n] = the mean over the other classes c of log(1 + exp(X[n, c] - X[n, Label[n]])).

    X: scores (N, C) float; Label: (N, 1) int64 in [0, C); Y: (N, 1). Source: Fluid's layers.bpr_loss; Hidasi et al.,
    "Session-based recommendations with recurrent neural networks" (2016).

    Errors: OutOfRangeError names a label that is no class, and its position.
    """

    type = "bpr_loss"
    inputs = (Slot("X", dtypes="float"), Slot("Label", dtypes="int"))
    outputs = (Slot("Y"),)
    lod_from = "X"

    def infer_shape(self, x, label):
        if len(x.shape) != 2 or x.shape[1] in (0, 1):
            self.fail(
                f"{self.var('X')} is no matrix of scores.",
                expected="(N, C), of two or more classes",
                actual=str(list(x.shape)),
            )
        return Meta((x.shape[0], 1), x.dtype)

    def run(self, x, label, out):
        leads, label = self.leads(x, label)
        loss = out((len(x), 1))
        np.logaddexp(leads, 0, out=leads)
        leads[np.arange(len(x)), label] = 0
        np.add.reduce(leads, axis=1, keepdims=True, out=loss)
        return np.divide(loss, x.shape[1] - 1, out=loss)

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "Label"), out_grads=("Y",))]


@register_op
class BprLossGrad(_OverRest):
    """Gradient of `bpr_loss`: Y@GRAD sigmoid(X[n, c] - X[n, Label[n]]) / (C - 1), and minus their sum at the label."""

    type = "bpr_loss_grad"
    inputs = (*BprLoss.inputs, Slot("Y@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    lod_from = "X"
    differentiable = False

    def infer_shape(self, x, label, y_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, label, y_grad, out):
        leads, label = self.leads(x, label)
        at, grad = (np.arange(len(x)), label), out(x.shape)
        np.multiply(sigmoid_of(leads), y_grad.reshape(-1, 1) / x.dtype.type(x.shape[1] - 1), out=grad)
        grad[at] = 0
        grad[at] = -np.add.reduce(grad, axis=1)
        return grad


@register_op
class TeacherStudentSigmoidLoss(OpDef):
    """The cross entropy of a click, plus that of the teacher's score of it where there is one, of logits X.

    With s = log(1 + exp(X)), Label z says both: z < -1 is no click and no teacher (Y = s), -1 <= z < 0 a click without
    one (s - X), 0 <= z < 1 no click and a teacher's score of z (2 s - X z), z >= 1 a click and a score of z - 1
    (2 s - X z). The bounds concern the gradient. Source: Fluid's layers.teacher_student_sigmoid_loss.
    """

    type = "teacher_student_sigmoid_loss"
    inputs = (Slot("X", dtypes="float"), Slot("Label", dtypes="float"))
    outputs = (Slot("Y"),)
    attrs = {"soft_max_up_bound": 15.0, "soft_max_lower_bound": -15.0}
    lod_from = "X"

    def infer_shape(self, x, label):
        require_fit(self, "Label", label.shape, "X", x.shape)
        return Meta(x.shape, x.dtype)

    def run(self, x, label, out):
        count, target = _entropies(label)
        loss = np.logaddexp(x, 0, out=out(x.shape))
        np.multiply(loss, count, out=loss)
        return np.subtract(loss, x * target, out=loss)

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "Label"), out_grads=("Y",))]


def _entropies(label):
    """How many cross entropies a label asks for, and the sum of their targets."""
    taught = label >= 0
    return np.where(taught, 2, 1), np.where(taught, label, label >= -1)


@register_op
class TeacherStudentSigmoidLossGrad(OpDef):
    """Gradient of `teacher_student_sigmoid_loss`; 0 where X is not between the bounds."""

    type = "teacher_student_sigmoid_loss_grad"
    inputs = (*TeacherStudentSigmoidLoss.inputs, Slot("Y@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    attrs = TeacherStudentSigmoidLoss.attrs
    lod_from = "X"
    differentiable = False

    def infer_shape(self, x, label, y_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, label, y_grad, out):
        count, target = _entropies(label)
        inside = (x > self.attr["soft_max_lower_bound"]) & (x < self.attr["soft_max_up_bound"])
        grad = np.multiply(sigmoid_of(x), count, out=out(x.shape))
        np.subtract(grad, target, out=grad)
        np.multiply(grad, inside, out=grad)
        return np.multiply(grad, y_grad, out=grad)
