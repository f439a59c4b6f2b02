"""Activations in pieces, most of them linear: the kin of relu; each with its gradient."""

import numpy as np

from .registry import register_op
from .unary import FROM_OUT, FROM_X, Unary, UnaryGrad


class _PieceGrad(UnaryGrad):
    """Base of the gradients that are Out@GRAD times a slope."""

    inputs = FROM_X
    inplace = {"X@GRAD": "Out@GRAD"}

    def slope(self, read):
        """The slope at each X, or at each Out where the gradient reads that."""
        raise NotImplementedError

    def run(self, read, out_grad, out):
        return np.multiply(self.slope(read), out_grad, out=out(read.shape))


@register_op
class LeakyRelu(Unary):
    """Out = X where X > 0, else alpha X.

    Source: Fluid's layers.leaky_relu.
    """

    type = "leaky_relu"
    attrs = {"alpha": 0.02}
    grad_reads = "Out"

    def run(self, x, out):
        return np.multiply(x, np.where(x > 0, x.dtype.type(1), x.dtype.type(self.attr["alpha"])), out=out(x.shape))


@register_op
class LeakyReluGrad(_PieceGrad):
    """Gradient of `leaky_relu`: X@GRAD = Out@GRAD where Out > 0, else alpha Out@GRAD."""

    type = "leaky_relu_grad"
    attrs = LeakyRelu.attrs
    inputs = FROM_OUT

    def slope(self, y):
        return np.where(y > 0, y.dtype.type(1), y.dtype.type(self.attr["alpha"]))


@register_op
class Elu(Unary):
    """Out = X where X > 0, else alpha (exp(X) - 1).

    Source: Fluid's layers.elu.
    """

    type = "elu"
    attrs = {"alpha": 1.0}

    def run(self, x, out):
        low = np.expm1(np.minimum(x, 0)) * x.dtype.type(self.attr["alpha"])
        return np.add(np.maximum(x, 0), low, out=out(x.shape))


@register_op
class EluGrad(_PieceGrad):
    """Gradient of `elu`: X@GRAD = Out@GRAD where X > 0, else alpha exp(X) Out@GRAD."""

    type = "elu_grad"
    attrs = Elu.attrs

    def slope(self, x):
        return np.where(x > 0, 1, np.exp(np.minimum(x, 0)) * x.dtype.type(self.attr["alpha"]))


@register_op
class Selu(Unary):
    """Out = scale X where X > 0, else scale alpha (exp(X) - 1); Klambauer et al., NIPS 2017.

    Source: Fluid's layers.selu.
    """

    type = "selu"
    attrs = {"scale": 1.0507009873554804934193349852946, "alpha": 1.6732632423543772848170429916717}
    grad_reads = "Out"

    def run(self, x, out):
        low = np.expm1(np.minimum(x, 0)) * x.dtype.type(self.attr["alpha"])
        array = np.add(np.maximum(x, 0), low, out=out(x.shape))
        return np.multiply(array, self.attr["scale"], out=array)


@register_op
class SeluGrad(_PieceGrad):
    """Gradient of `selu`: X@GRAD = Out@GRAD scale where Out > 0, else Out@GRAD (Out + scale alpha)."""

    type = "selu_grad"
    attrs = Selu.attrs
    inputs = FROM_OUT

    def slope(self, y):
        scale, alpha = self.attr["scale"], self.attr["alpha"]
        return np.where(y > 0, y.dtype.type(scale), y + y.dtype.type(scale * alpha))


@register_op
class ThresholdedRelu(Unary):
    """Out = X where X > threshold, else 0.

    Source: Fluid's layers.thresholded_relu.
    """

    type = "thresholded_relu"
    attrs = {"threshold": 1.0}

    def run(self, x, out):
        return np.multiply(x, x > self.attr["threshold"], out=out(x.shape))


@register_op
class ThresholdedReluGrad(_PieceGrad):
    """Gradient of `thresholded_relu`: X@GRAD = Out@GRAD where X > threshold, else 0."""

    type = "thresholded_relu_grad"
    attrs = ThresholdedRelu.attrs

    def slope(self, x):
        return x > self.attr["threshold"]


@register_op
class Brelu(Unary):
    """Out = min(max(X, t_min), t_max).

    Source: Fluid's layers.brelu.
    """

    type = "brelu"
    attrs = {"t_min": 0.0, "t_max": 24.0}

    def run(self, x, out):
        array = np.maximum(x, self.attr["t_min"], out=out(x.shape))
        return np.minimum(array, self.attr["t_max"], out=array)


@register_op
class BreluGrad(_PieceGrad):
    """Gradient of `brelu`: X@GRAD = Out@GRAD where t_min < X < t_max, else 0."""

    type = "brelu_grad"
    attrs = Brelu.attrs

    def slope(self, x):
        return (x > self.attr["t_min"]) & (x < self.attr["t_max"])


@register_op
class HardShrink(Unary):
    """Out = X where |X| > threshold, else 0.

    Source: Fluid's layers.hard_shrink.
    """

    type = "hard_shrink"
    attrs = {"threshold": 0.5}

    def run(self, x, out):
        return np.multiply(x, np.absolute(x) > self.attr["threshold"], out=out(x.shape))


@register_op
class HardShrinkGrad(_PieceGrad):
    """Gradient of `hard_shrink`: X@GRAD = Out@GRAD where |X| > threshold, else 0."""

    type = "hard_shrink_grad"
    attrs = HardShrink.attrs

    def slope(self, x):
        return np.absolute(x) > self.attr["threshold"]


@register_op
class Softshrink(Unary):
    """Out = X moved towards 0 by `lambda`, and 0 where |X| <= lambda.

    Source: Fluid's layers.softshrink.
    """

    type = "softshrink"
    attrs = {"lambda": 0.5}

    def run(self, x, out):
        width = x.dtype.type(self.attr["lambda"])
        return np.subtract(x, np.clip(x, -width, width), out=out(x.shape))


@register_op
class SoftshrinkGrad(_PieceGrad):
    """Gradient of `softshrink`: X@GRAD = Out@GRAD where |X| > lambda, else 0."""

    type = "softshrink_grad"
    attrs = Softshrink.attrs

    def slope(self, x):
        return np.absolute(x) > self.attr["lambda"]


@register_op
class HardSigmoid(Unary):
    """Out = min(max(slope X + offset, 0), 1).

    Source: Fluid's layers.hard_sigmoid.
    """

    type = "hard_sigmoid"
    attrs = {"slope": 0.2, "offset": 0.5}
    grad_reads = "Out"

    def run(self, x, out):
        array = np.multiply(x, self.attr["slope"], out=out(x.shape))
        np.add(array, self.attr["offset"], out=array)
        return np.clip(array, 0, 1, out=array)


@register_op
class HardSigmoidGrad(_PieceGrad):
    """Gradient of `hard_sigmoid`: X@GRAD = Out@GRAD slope where 0 < Out < 1, else 0."""

    type = "hard_sigmoid_grad"
    attrs = HardSigmoid.attrs
    inputs = FROM_OUT

    def slope(self, y):
        return ((y > 0) & (y < 1)) * y.dtype.type(self.attr["slope"])


@register_op
class HardSwish(Unary):
    """Out = X min(max(X + offset, 0), threshold) / scale.

    Source: Fluid's layers.hard_swish.
    """

    type = "hard_swish"
    attrs = {"threshold": 6.0, "scale": 6.0, "offset": 3.0}

    def run(self, x, out):
        inside = np.clip(x + x.dtype.type(self.attr["offset"]), 0, self.attr["threshold"])
        inside /= self.attr["scale"]
        return np.multiply(x, inside, out=out(x.shape))


@register_op
class HardSwishGrad(_PieceGrad):
    """Gradient of `hard_swish`: X@GRAD = Out@GRAD times the slope.

    It is (2 X + offset) / scale where 0 < X + offset < threshold, 0 below, and threshold / scale above.
    """

    type = "hard_swish_grad"
    attrs = HardSwish.attrs

    def slope(self, x):
        moved = x + x.dtype.type(self.attr["offset"])
        threshold, scale = self.attr["threshold"], self.attr["scale"]
        inside = (moved > 0) & (moved < threshold)
        return (np.clip(moved, 0, threshold) + inside * x) / x.dtype.type(scale)
