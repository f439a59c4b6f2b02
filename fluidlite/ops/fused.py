"""Ops that only plans contain: what `fusion` makes of several ops of a program, computed in one pass over memory."""

import numpy as np

from .._kernels import activation as activation_kernels
from .._kernels import elementwise as elementwise_kernels
from .._kernels import loss as loss_kernels
from .._kernels import reduction as reduction_kernels
from .loss import cross_entropy_grad_of_rows, cross_entropy_of_rows
from .registry import Meta, OpDef, Slot, contiguous_in, register_op


def _rows(x, width):
    """x as a matrix whose rows have `width` elements."""
    return np.ascontiguousarray(x).reshape(-1, width)


class _BiasOp(OpDef):
    differentiable = False
    warns = False

    def check_bias(self, x, bias):
        if x.shape[-1] != bias.shape[0]:
            self.fail(
                f"the bias {self.var('Bias')} does not have the width of {self.var('X')}.",
                expected=f"({x.shape[-1]},)",
                actual=str(bias.shape),
            )


@register_op
class FusedBiasActivation(_BiasOp):
    """Out = f(X + Bias), with f by `kind`. X: (..., D); Bias: (D,). From `elementwise_add` and an activation."""

    type = "fused_bias_activation"
    inputs = (Slot("X", dtypes="float"), Slot("Bias", dtypes="float"))
    outputs = (Slot("Out"),)
    attrs = {"kind": "sigmoid"}
    lod_from = "X"
    inplace = {"Out": "X"}

    def infer_shape(self, x, bias):
        return Meta(x.shape, x.dtype)

    def run(self, x, bias, out):
        self.check_bias(x, bias)
        array = out(x.shape)
        width = bias.shape[0]
        if self.attr["kind"] == "softmax":
            loss_kernels.softmax(_rows(x, width), bias, array.reshape(-1, width))
        else:
            activation_kernels.activate(_rows(x, width), bias, array.reshape(-1, width), self.attr["kind"])
        return array


@register_op
class FusedBiasActivationGrad(OpDef):
    """X@GRAD = Out@GRAD f'(X + Bias), Bias@GRAD = sum of its rows. From an activation's gradient and the addition's."""

    type = "fused_bias_activation_grad"
    inputs = (Slot("Out", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"), Slot("Bias@GRAD"))
    attrs = {"kind": "sigmoid"}
    lod_from = "Out"
    lod_to = ("X@GRAD",)
    inplace = {"X@GRAD": "Out@GRAD"}
    differentiable = False
    warns = False

    def infer_shape(self, value, out_grad):
        return Meta(value.shape, value.dtype), Meta(value.shape[-1:], value.dtype)

    def run(self, value, out_grad, x_out, bias_out):
        width = value.shape[-1]
        # The kernel makes both. In fc somebody always wants that of x: the gradient of the weight reads it.
        grad = np.empty(value.shape, value.dtype) if x_out is None else x_out(value.shape)
        bias_grad = None if bias_out is None else bias_out((width,))
        out_grad = contiguous_in(grad, out_grad).reshape(-1, width)
        activation_kernels.activate_grad(
            _rows(value, width), out_grad, grad.reshape(-1, width), bias_grad, self.attr["kind"]
        )
        return None if x_out is None else grad, bias_grad


@register_op
class FusedBiasSoftmaxCrossEntropy(_BiasOp):
    """Softmax of X + Bias and its cross entropy with hard labels. From `elementwise_add` and
    `softmax_with_cross_entropy`.

    X: (..., C); Bias: (C,); Label: (..., 1); Softmax: (..., C); Loss: (..., 1).
    """

    type = "fused_bias_softmax_cross_entropy"
    inputs = (Slot("X", dtypes="float"), Slot("Bias", dtypes="float"), Slot("Label", dtypes="int"))
    outputs = (Slot("Softmax"), Slot("Loss"))
    attrs = {"ignore_index": -100}
    lod_from = "X"
    inplace = {"Softmax": "X"}

    def infer_shape(self, x, bias, label):
        return Meta(x.shape, x.dtype), Meta((*x.shape[:-1], 1), x.dtype)

    def run(self, x, bias, label, softmax_out, loss_out):
        self.check_bias(x, bias)
        softmax, loss = softmax_out(x.shape), loss_out((*x.shape[:-1], 1))
        cross_entropy_of_rows(self, x, bias, label, softmax, loss)
        return softmax, loss


@register_op
class FusedSoftmaxCrossEntropyGrad(OpDef):
    """X@GRAD = Loss@GRAD (Softmax - one-hot Label), 0 where ignored; Bias@GRAD = sum of its rows.

    From the gradients of `softmax` with `cross_entropy2`, or of `softmax_with_cross_entropy`, and of the addition of a
    bias, if there is one.
    """

    type = "fused_softmax_cross_entropy_grad"
    inputs = (Slot("Softmax", dtypes="float"), Slot("Label", dtypes="int"), Slot("Loss@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"), Slot("Bias@GRAD"))
    attrs = {"ignore_index": -100}
    lod_from = "Softmax"
    lod_to = ("X@GRAD",)
    inplace = {"X@GRAD": "Softmax"}
    differentiable = False
    warns = False

    def infer_shape(self, softmax, label, loss_grad):
        return Meta(softmax.shape, softmax.dtype), Meta(softmax.shape[-1:], softmax.dtype)

    def run(self, softmax, label, loss_grad, x_out, bias_out):
        grad = np.empty(softmax.shape, softmax.dtype) if x_out is None else x_out(softmax.shape)
        bias_grad = None if bias_out is None else bias_out(softmax.shape[-1:])
        cross_entropy_grad_of_rows(self, softmax, label, loss_grad, grad, bias_grad)
        return None if x_out is None else grad, bias_grad


@register_op
class FusedSumOfSquares(OpDef):
    """Out = sum of X^2, or its mean, shape (1,); the squares are never written. From `square` and a sum or mean of all.

    Blocks of 65,536 elements are summed and then added in double: another order than that of the ops it stands for.
    """

    type = "fused_sum_of_squares"
    inputs = (Slot("X", dtypes="float"),)
    outputs = (Slot("Out"),)
    attrs = {"mean": False}
    differentiable = False
    warns = False

    def infer_shape(self, x):
        return Meta((1,), x.dtype)

    def run(self, x, out):
        total = out((1,))
        value = reduction_kernels.sum_of_squares(np.ascontiguousarray(x))
        total[0] = value / max(x.size, 1) if self.attr["mean"] else value
        return total


@register_op
class FusedSumOfSquaresGrad(OpDef):
    """Gradient of `fused_sum_of_squares`: X@GRAD = 2 X Out@GRAD, divided by the number of elements for a mean."""

    type = "fused_sum_of_squares_grad"
    inputs = (Slot("X", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    attrs = FusedSumOfSquares.attrs
    lod_from = "X"
    inplace = {"X@GRAD": "X"}
    differentiable = False
    warns = False

    def infer_shape(self, x, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, out_grad, out):
        grad = out(x.shape)
        # Rounded where the ops that this stands for round.
        each = out_grad.flat[0] / max(x.size, 1) if self.attr["mean"] else out_grad.flat[0]
        elementwise_kernels.scale(np.ascontiguousarray(x), 2 * float(each), grad)
        return grad
