"""The error function, and the activation gelu made of it; each with its gradient."""

import math

import numpy as np

from .._kernels import special as kernels
from .registry import register_op
from .unary import FROM_X, Unary, UnaryGrad

# 0.044715 and sqrt(2 / pi): Hendrycks and Gimpel, "Gaussian error linear units" (2016).
_CUBE, _SLOPE = 0.044715, math.sqrt(2 / math.pi)


def _erf(x, array):
    """The error function of x, written to `array`."""
    kernels.erf(np.ascontiguousarray(x), array)
    return array


def _bell(x, width):
    """exp(-x^2 / width), in a new array."""
    array = np.square(x)
    array /= -width
    return np.exp(array, out=array)


@register_op
class Erf(Unary):
    """Out = the error function of X: 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to X.

    Source: Fluid's layers.erf.
    """

    type = "erf"

    def run(self, x, out):
        return _erf(x, out(x.shape))


@register_op
class ErfGrad(UnaryGrad):
    """Gradient of `erf`: X@GRAD = Out@GRAD 2 / sqrt(pi) exp(-X^2)."""

    type = "erf_grad"
    inputs = FROM_X
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, x, out_grad, out):
        slope = _bell(x, 1)
        slope *= 2 / math.sqrt(math.pi)
        return np.multiply(slope, out_grad, out=out(x.shape))


class _Gelu:
    """The two forms of the distribution function that gelu multiplies X with."""

    def gate(self, x):
        """P(x): the share of the normal distribution below x, or its approximation by tanh."""
        if self.attr["approximate"]:
            gate = np.tanh(_SLOPE * (x + _CUBE * x * x * x))
        else:
            gate = _erf(x * math.sqrt(0.5), np.empty(x.shape, x.dtype))
        gate += 1
        gate *= 0.5
        return gate

    def density(self, x, gate):
        """The derivative of P."""
        if self.attr["approximate"]:
            return 2 * gate * (1 - gate) * (_SLOPE * (1 + 3 * _CUBE * x * x))
        density = _bell(x, 2)
        density *= 1 / math.sqrt(2 * math.pi)
        return density


@register_op
class Gelu(_Gelu, Unary):
    """Out = X P(X), P the distribution function of the normal distribution: (1 + erf(X / sqrt(2))) / 2.

    With `approximate`, P(X) = (1 + tanh(sqrt(2 / pi) (X + 0.044715 X^3))) / 2. Source: Fluid's layers.gelu.
    """

    type = "gelu"
    attrs = {"approximate": False}

    def run(self, x, out):
        return np.multiply(x, self.gate(x), out=out(x.shape))


@register_op
class GeluGrad(_Gelu, UnaryGrad):
    """Gradient of `gelu`: X@GRAD = Out@GRAD (P(X) + X P'(X))."""

    type = "gelu_grad"
    inputs = FROM_X
    attrs = Gelu.attrs
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, x, out_grad, out):
        gate = self.gate(x)
        gate += x * self.density(x, gate)
        return np.multiply(gate, out_grad, out=out(x.shape))
