"""Trigonometric functions, element by element; each with its gradient."""

import numpy as np

from .registry import register_op
from .unary import FROM_X, Unary, UnaryGrad


@register_op
class Sin(Unary):
    """Out = sin(X), of radians. Source: Fluid's layers.sin."""

    type = "sin"

    def run(self, x, out):
        return np.sin(x, out=out(x.shape))


@register_op
class SinGrad(UnaryGrad):
    """Gradient of `sin`: X@GRAD = Out@GRAD cos(X)."""

    type = "sin_grad"
    inputs = FROM_X
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, x, out_grad, out):
        return np.multiply(np.cos(x), out_grad, out=out(x.shape))


@register_op
class Cos(Unary):
    """Out = cos(X), of radians. Source: Fluid's layers.cos."""

    type = "cos"

    def run(self, x, out):
        return np.cos(x, out=out(x.shape))


@register_op
class CosGrad(UnaryGrad):
    """Gradient of `cos`: X@GRAD = -Out@GRAD sin(X)."""

    type = "cos_grad"
    inputs = FROM_X
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, x, out_grad, out):
        array = np.multiply(np.sin(x), out_grad, out=out(x.shape))
        return np.negative(array, out=array)


@register_op
class Asin(Unary):
    """Out = the angle in [-pi/2, pi/2] whose sine is X; NaN outside [-1, 1]. Source: Fluid's layers.asin."""

    type = "asin"

    def run(self, x, out):
        return np.arcsin(x, out=out(x.shape))


@register_op
class AsinGrad(UnaryGrad):
    """Gradient of `asin`: X@GRAD = Out@GRAD / sqrt(1 - X^2)."""

    type = "asin_grad"
    inputs = FROM_X
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, x, out_grad, out):
        return np.divide(out_grad, np.sqrt(1 - x * x), out=out(x.shape))


@register_op
class Acos(Unary):
    """Out = the angle in [0, pi] whose cosine is X; NaN outside [-1, 1]. Source: Fluid's layers.acos."""

    type = "acos"

    def run(self, x, out):
        return np.arccos(x, out=out(x.shape))


@register_op
class AcosGrad(UnaryGrad):
    """Gradient of `acos`: X@GRAD = -Out@GRAD / sqrt(1 - X^2)."""

    type = "acos_grad"
    inputs = FROM_X
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, x, out_grad, out):
        array = np.divide(out_grad, np.sqrt(1 - x * x), out=out(x.shape))
        return np.negative(array, out=array)


@register_op
class Atan(Unary):
    """Out = the angle in (-pi/2, pi/2) whose tangent is X. Source: Fluid's layers.atan."""

    type = "atan"

    def run(self, x, out):
        return np.arctan(x, out=out(x.shape))


@register_op
class AtanGrad(UnaryGrad):
    """Gradient of `atan`: X@GRAD = Out@GRAD / (1 + X^2)."""

    type = "atan_grad"
    inputs = FROM_X
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, x, out_grad, out):
        return np.divide(out_grad, 1 + x * x, out=out(x.shape))
