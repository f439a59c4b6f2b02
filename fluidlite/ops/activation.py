"""Activations: sigmoid, tanh, relu and relu6, element by element, and softmax; each with its gradient."""

import numpy as np

from .registry import Meta, register_op
from .unary import FROM_OUT, Unary, UnaryGrad

# exp(x) of larger x overflows.
_LARGEST_EXPONENT = {"float16": 11.0, "float32": 88.0, "float64": 709.0}
# Fluid's softmax sees nothing below this, so that a probability never becomes 0 and its logarithm stays finite.
_SMALLEST_LOGIT = -64.0


@register_op
class Sigmoid(Unary):
    """Out = 1 / (1 + exp(-X)), without overflow for any X.

    Source: Fluid's layers.sigmoid.
    """

    type = "sigmoid"
    grad_reads = "Out"

    def run(self, x, out):
        array = out(x.shape)
        np.maximum(x, -_LARGEST_EXPONENT[x.dtype.name], out=array)
        np.negative(array, out=array)
        np.exp(array, out=array)
        np.add(array, 1, out=array)
        return np.reciprocal(array, out=array)


@register_op
class SigmoidGrad(UnaryGrad):
    """Gradient of `sigmoid`: X@GRAD = Out@GRAD Out (1 - Out)."""

    type = "sigmoid_grad"
    inputs = FROM_OUT

    def run(self, y, out_grad, out):
        array = np.subtract(1, y, out=out(y.shape))
        np.multiply(array, y, out=array)
        return np.multiply(array, out_grad, out=array)


@register_op
class Tanh(Unary):
    """Out = tanh(X). Source: Fluid's layers.tanh."""

    type = "tanh"
    grad_reads = "Out"

    def run(self, x, out):
        return np.tanh(x, out=out(x.shape))


@register_op
class TanhGrad(UnaryGrad):
    """Gradient of `tanh`: X@GRAD = Out@GRAD (1 - Out^2)."""

    type = "tanh_grad"
    inputs = FROM_OUT
    inplace = {"X@GRAD": "Out"}

    def run(self, y, out_grad, out):
        array = np.square(y, out=out(y.shape))
        np.subtract(1, array, out=array)
        return np.multiply(array, out_grad, out=array)


@register_op
class Relu(Unary):
    """Out = max(X, 0). Source: Fluid's layers.relu."""

    type = "relu"
    grad_reads = "Out"

    def run(self, x, out):
        return np.maximum(x, 0, out=out(x.shape))


@register_op
class ReluGrad(UnaryGrad):
    """Gradient of `relu`: X@GRAD = Out@GRAD where Out > 0, else 0 (also at X = 0)."""

    type = "relu_grad"
    inputs = FROM_OUT
    inplace = {"X@GRAD": "Out"}

    def run(self, y, out_grad, out):
        # The comparison is stored as 0.0 and 1.0 where the result will lie: no mask to allocate.
        array = np.greater(y, 0, out=out(y.shape))
        return np.multiply(array, out_grad, out=array)


@register_op
class Relu6(Unary):
    """Out = min(max(X, 0), threshold). Source: Fluid's layers.relu6."""

    type = "relu6"
    attrs = {"threshold": 6.0}
    grad_reads = "Out"

    def run(self, x, out):
        array = np.maximum(x, 0, out=out(x.shape))
        return np.minimum(array, self.attr["threshold"], out=array)


@register_op
class Relu6Grad(UnaryGrad):
    """Gradient of `relu6`: X@GRAD = Out@GRAD where 0 < Out < threshold, else 0."""

    type = "relu6_grad"
    inputs = FROM_OUT
    attrs = Relu6.attrs

    def run(self, y, out_grad, out):
        array = np.greater(y, 0, out=out(y.shape))
        np.multiply(array, np.less(y, self.attr["threshold"]), out=array)
        return np.multiply(array, out_grad, out=array)


@register_op
class Softmax(Unary):
    """Out = exp(X) / (the sum of exp(X) along `axis`).

    Computed from X - max(X), which is taken as -64 where it is below that, as in Fluid: no probability is 0.
    Source: Fluid's layers.softmax.
    """

    type = "softmax"
    attrs = {"axis": -1}
    grad_reads = "Out"

    def infer_shape(self, x):
        axis, rank = self.attr["axis"], len(x.shape)
        if not -rank <= axis < rank:
            self.fail(
                f"{self.var('X')} has no such axis.", expected=f"-{rank} <= axis < {rank}", actual=f"axis = {axis}"
            )
        return Meta(x.shape, x.dtype)

    def run(self, x, out):
        axis = self.attr["axis"]
        largest = np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf)
        array = np.subtract(x, largest, out=out(x.shape))
        np.maximum(array, _SMALLEST_LOGIT, out=array)
        np.exp(array, out=array)
        return np.divide(array, np.add.reduce(array, axis=axis, keepdims=True), out=array)


@register_op
class SoftmaxGrad(UnaryGrad):
    """Gradient of `softmax`: X@GRAD = Out (Out@GRAD - the sum of Out@GRAD Out along `axis`)."""

    type = "softmax_grad"
    inputs = FROM_OUT
    attrs = Softmax.attrs

    def run(self, y, out_grad, out):
        array = np.multiply(out_grad, y, out=out(y.shape))
        projection = np.add.reduce(array, axis=self.attr["axis"], keepdims=True)
        np.subtract(out_grad, projection, out=array)
        return np.multiply(array, y, out=array)
