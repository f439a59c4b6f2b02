"""Rounding and reciprocals, element by element; each with its gradient."""

import numpy as np

from .registry import Meta, Slot, grad_spec, register_op
from .unary import FROM_OUT, Unary, UnaryGrad


class _Rounding(Unary):
    def make_grad(self, spec):
        return [grad_spec(spec)]


class _RoundingGrad(UnaryGrad):
    inputs = (Slot("Out@GRAD", dtypes="float"),)

    def infer_shape(self, out_grad):
        return Meta(out_grad.shape, out_grad.dtype)

    def run(self, out_grad, out):
        return out.zeros(out_grad.shape)


@register_op
class Ceil(_Rounding):
    """Out = the next whole number from X up. Source: Fluid's layers.ceil."""

    type = "ceil"

    def run(self, x, out):
        return np.ceil(x, out=out(x.shape))


@register_op
class CeilGrad(_RoundingGrad):
    """Gradient of `ceil`: zero."""

    type = "ceil_grad"


@register_op
class Floor(_Rounding):
    """Out = the next whole number from X down. Source: Fluid's layers.floor."""

    type = "floor"

    def run(self, x, out):
        return np.floor(x, out=out(x.shape))


@register_op
class FloorGrad(_RoundingGrad):
    """Gradient of `floor`: zero."""

    type = "floor_grad"


@register_op
class Round(_Rounding):
    """Out = the whole number nearest to X; halves are rounded away from zero. Source: Fluid's layers.round."""

    type = "round"

    def run(self, x, out):
        whole = np.trunc(x)
        # X + 1/2 would be rounded itself: the largest number below 1/2 would become 1.
        half = np.absolute(x - whole) >= 0.5
        return np.add(whole, np.copysign(half, x), out=out(x.shape))


@register_op
class RoundGrad(_RoundingGrad):
    """Gradient of `round`: zero."""

    type = "round_grad"


@register_op
class Reciprocal(Unary):
    """Out = 1 / X. Source: Fluid's layers.reciprocal."""

    type = "reciprocal"
    grad_reads = "Out"

    def run(self, x, out):
        return np.reciprocal(x, out=out(x.shape))


@register_op
class ReciprocalGrad(UnaryGrad):
    """Gradient of `reciprocal`: X@GRAD = -Out@GRAD Out^2."""

    type = "reciprocal_grad"
    inputs = FROM_OUT
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, y, out_grad, out):
        array = np.multiply(y * y, out_grad, out=out(y.shape))
        return np.negative(array, out=array)


@register_op
class Rsqrt(Unary):
    """Out = 1 / the square root of X; NaN where X < 0. Source: Fluid's layers.rsqrt."""

    type = "rsqrt"
    grad_reads = "Out"

    def run(self, x, out):
        array = np.sqrt(x, out=out(x.shape))
        return np.reciprocal(array, out=array)


@register_op
class RsqrtGrad(UnaryGrad):
    """Gradient of `rsqrt`: X@GRAD = -Out@GRAD Out^3 / 2."""

    type = "rsqrt_grad"
    inputs = FROM_OUT
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, y, out_grad, out):
        slope = y * y * y
        slope *= -0.5
        return np.multiply(slope, out_grad, out=out(y.shape))
