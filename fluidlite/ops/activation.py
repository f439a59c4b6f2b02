"""Activations: sigmoid, tanh, relu and relu6, element by element, and softmax; each with its gradient."""

import numpy as np

from .._kernels import activation as kernels
from .._kernels import loss as softmax_kernels
from .registry import Meta, contiguous_in, register_op
from .unary import FROM_OUT, FROM_X, Unary, UnaryGrad

# Fluid's softmax sees nothing below this, so that a probability never becomes 0 and its logarithm stays finite.
_SMALLEST_LOGIT = -64.0


class _KernelActivation(Unary):
    """Base of the activations that a kernel computes; `type` is also the kernel's kind."""

    grad_reads = "Out"

    def run(self, x, out):
        array = out(x.shape)
        kernels.activate(np.ascontiguousarray(x), None, array, self.type)
        return array


class _KernelActivationGrad(UnaryGrad):
    inputs = FROM_OUT
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, y, out_grad, out):
        array = out(y.shape)
        y, out_grad = np.ascontiguousarray(y), contiguous_in(array, out_grad)
        kernels.activate_grad(y, out_grad, array, None, self.type.removesuffix("_grad"))
        return array


@register_op
class Sigmoid(_KernelActivation):
    """Out = 1 / (1 + exp(-X)), without overflow for any X.

    Source: Fluid's layers.sigmoid.
    """

    type = "sigmoid"


@register_op
class SigmoidGrad(_KernelActivationGrad):
    """Gradient of `sigmoid`: X@GRAD = Out@GRAD Out (1 - Out)."""

    type = "sigmoid_grad"


@register_op
class Tanh(_KernelActivation):
    """Out = tanh(X). Source: Fluid's layers.tanh."""

    type = "tanh"


@register_op
class TanhGrad(_KernelActivationGrad):
    """Gradient of `tanh`: X@GRAD = Out@GRAD (1 - Out^2)."""

    type = "tanh_grad"


@register_op
class Relu(_KernelActivation):
    """Out = max(X, 0). Source: Fluid's layers.relu."""

    type = "relu"


@register_op
class ReluGrad(_KernelActivationGrad):
    """Gradient of `relu`: X@GRAD = Out@GRAD where Out > 0, else 0 (also at X = 0)."""

    type = "relu_grad"


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
        if x.ndim > 1 and axis in (-1, x.ndim - 1):
            array = out(x.shape)
            width = x.shape[-1]
            softmax_kernels.softmax(np.ascontiguousarray(x).reshape(-1, width), None, array.reshape(-1, width))
            return array
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
        if y.ndim > 1 and self.attr["axis"] in (-1, y.ndim - 1):
            array = out(y.shape)
            rows = [np.ascontiguousarray(a).reshape(-1, y.shape[-1]) for a in (y, out_grad, array)]
            softmax_kernels.softmax_grad(*rows)
            return array
        array = np.multiply(out_grad, y, out=out(y.shape))
        projection = np.add.reduce(array, axis=self.attr["axis"], keepdims=True)
        np.subtract(out_grad, projection, out=array)
        return np.multiply(array, y, out=array)


def sigmoid_of(x):
    """1 / (1 + exp(-x)) in a new array."""
    array = np.empty(x.shape, x.dtype)
    kernels.activate(np.ascontiguousarray(x), None, array, "sigmoid")
    return array


@register_op
class Softplus(Unary):
    """Out = log(1 + exp(X)), without overflow for any X. Source: Fluid's layers.softplus."""

    type = "softplus"

    def run(self, x, out):
        return np.logaddexp(x, 0, out=out(x.shape))


@register_op
class SoftplusGrad(UnaryGrad):
    """Gradient of `softplus`: X@GRAD = Out@GRAD sigmoid(X)."""

    type = "softplus_grad"
    inputs = FROM_X
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, x, out_grad, out):
        return np.multiply(sigmoid_of(x), out_grad, out=out(x.shape))


@register_op
class LogSigmoid(Unary):
    """Out = log(sigmoid(X)) = -log(1 + exp(-X)), without overflow for any X. Source: Fluid's layers.logsigmoid."""

    type = "logsigmoid"

    def run(self, x, out):
        array = np.negative(x, out=out(x.shape))
        np.logaddexp(array, 0, out=array)
        return np.negative(array, out=array)


@register_op
class LogSigmoidGrad(UnaryGrad):
    """Gradient of `logsigmoid`: X@GRAD = Out@GRAD sigmoid(-X)."""

    type = "logsigmoid_grad"
    inputs = FROM_X
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, x, out_grad, out):
        return np.multiply(sigmoid_of(-x), out_grad, out=out(x.shape))


@register_op
class Softsign(Unary):
    """Out = X / (1 + |X|). Source: Fluid's layers.softsign."""

    type = "softsign"

    def run(self, x, out):
        return np.divide(x, 1 + np.absolute(x), out=out(x.shape))


@register_op
class SoftsignGrad(UnaryGrad):
    """Gradient of `softsign`: X@GRAD = Out@GRAD / (1 + |X|)^2."""

    type = "softsign_grad"
    inputs = FROM_X
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, x, out_grad, out):
        return np.divide(out_grad, np.square(1 + np.absolute(x)), out=out(x.shape))


@register_op
class Swish(Unary):
    """Out = X sigmoid(beta X). Source: Fluid's layers.swish."""

    type = "swish"
    attrs = {"beta": 1.0}

    def run(self, x, out):
        gate = sigmoid_of(x * x.dtype.type(self.attr["beta"]))
        return np.multiply(x, gate, out=out(x.shape))


@register_op
class SwishGrad(UnaryGrad):
    """Gradient of `swish`: X@GRAD = Out@GRAD (s + beta X s (1 - s)), s = sigmoid(beta X)."""

    type = "swish_grad"
    inputs = FROM_X
    attrs = Swish.attrs
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, x, out_grad, out):
        scaled = x * x.dtype.type(self.attr["beta"])
        gate = sigmoid_of(scaled)
        return np.multiply(gate + scaled * gate * (1 - gate), out_grad, out=out(x.shape))


@register_op
class Stanh(Unary):
    """Out = scale_b tanh(scale_a X). Source: Fluid's layers.stanh."""

    type = "stanh"
    attrs = {"scale_a": 0.67, "scale_b": 1.7159}

    def run(self, x, out):
        array = np.multiply(x, self.attr["scale_a"], out=out(x.shape))
        np.tanh(array, out=array)
        return np.multiply(array, self.attr["scale_b"], out=array)


@register_op
class StanhGrad(UnaryGrad):
    """Gradient of `stanh`: X@GRAD = Out@GRAD scale_a scale_b (1 - tanh(scale_a X)^2)."""

    type = "stanh_grad"
    inputs = FROM_X
    attrs = Stanh.attrs
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, x, out_grad, out):
        a, b = self.attr["scale_a"], self.attr["scale_b"]
        slope = 1 - np.square(np.tanh(x * x.dtype.type(a)))
        slope *= a * b
        return np.multiply(slope, out_grad, out=out(x.shape))


@register_op
class TanhShrink(Unary):
    """Out = X - tanh(X). Source: Fluid's layers.tanh_shrink."""

    type = "tanh_shrink"

    def run(self, x, out):
        return np.subtract(x, np.tanh(x), out=out(x.shape))


@register_op
class TanhShrinkGrad(UnaryGrad):
    """Gradient of `tanh_shrink`: X@GRAD = Out@GRAD tanh(X)^2."""

    type = "tanh_shrink_grad"
    inputs = FROM_X
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, x, out_grad, out):
        return np.multiply(np.square(np.tanh(x)), out_grad, out=out(x.shape))


@register_op
class SoftRelu(Unary):
    """Out = log(1 + exp(min(max(X, -threshold), threshold))). Source: Fluid's layers.soft_relu."""

    type = "soft_relu"
    attrs = {"threshold": 40.0}
    grad_reads = "Out"

    def run(self, x, out):
        threshold = self.attr["threshold"]
        array = np.clip(x, -threshold, threshold, out=out(x.shape))
        return np.logaddexp(array, 0, out=array)


@register_op
class SoftReluGrad(UnaryGrad):
    """Gradient of `soft_relu`: X@GRAD = Out@GRAD (1 - exp(-Out)), and 0 beyond the threshold."""

    type = "soft_relu_grad"
    inputs = FROM_OUT
    attrs = SoftRelu.attrs
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, y, out_grad, out):
        threshold = self.attr["threshold"]
        low, high = np.logaddexp([-threshold, threshold], 0)
        # In float64, whatever the dtype of y: a bound that is rounded would be on the wrong side of the values on it.
        inside = np.greater(y, low, signature="dd->?") & np.less(y, high, signature="dd->?")
        return np.multiply(-np.expm1(-y) * inside, out_grad, out=out(y.shape))
