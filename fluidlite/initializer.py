"""Initializers: each appends to the startup program the op that gives a parameter its first values.

Random initializers draw counter-based numbers: an element's value depends on the seed, the variable's name and the
element's place alone. A seed of 0 takes the program's (see `Program.random_seed`).
"""

import math

import numpy as np

from .dtypes import VarType, canonical_dtype, numpy_dtype
from .errors import InvalidArgumentError, InvalidTypeError


class Initializer:
    """Base: ``initializer(variable, block)`` prepends the init op to `block`."""

    def __call__(self, var, block):
        raise NotImplementedError

    def _prepend(self, block, type, variable, attrs):
        attrs = {"shape": list(variable.shape), "dtype": variable.dtype, **attrs}
        if "seed" in attrs:
            attrs["seed"] = attrs["seed"] or block.program.random_seed
        variable.op = block._prepend_op(type, outputs={"Out": variable}, attrs=attrs)
        return variable.op


def fans(variable):
    """(fan_in, fan_out) of a parameter: rows and columns of a matrix; a vector counts its length as both.

    For a convolution (out, in, *window) each is multiplied by the size of the window.
    """
    shape = variable.shape
    if len(shape) < 2:
        return (1, 1) if not shape else (shape[0], shape[0])
    if len(shape) == 2:
        return shape
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


class ConstantInitializer(Initializer):
    """Every element is `value` (default 0.0).

    >>> import fluidlite as fluid
    >>> attr = fluid.ParamAttr(initializer=fluid.initializer.Constant(0.5))
    """

    def __init__(self, value=0.0, force_cpu=False):
        self.value, self.force_cpu = value, force_cpu

    def __call__(self, var, block):
        attrs = {"value": float(self.value), "force_cpu": self.force_cpu}
        return self._prepend(block, "fill_constant", var, attrs)


class UniformInitializer(Initializer):
    """Uniform in [low, high). Defaults: low=-1.0, high=1.0, seed=0 (the program's).

    Then `diag_num` elements of the array in one row, every (diag_step + 1)th from the first on, are `diag_val`.
    """

    def __init__(self, low=-1.0, high=1.0, seed=0, diag_num=0, diag_step=0, diag_val=1.0):
        if not low <= high:
            raise InvalidArgumentError("Uniform needs low <= high.", actual=f"low={low}, high={high}")
        if diag_num < 0 or diag_step < 0:
            raise InvalidArgumentError(
                "Uniform needs diag_num >= 0 and diag_step >= 0.", actual=f"diag_num={diag_num}, diag_step={diag_step}"
            )
        self.low, self.high, self.seed = low, high, seed
        self.diagonal = {"diag_num": int(diag_num), "diag_step": int(diag_step), "diag_val": float(diag_val)}

    def __call__(self, var, block):
        attrs = {"min": float(self.low), "max": float(self.high), "seed": self.seed}
        return self._prepend(block, "uniform_random", var, {**attrs, **self.diagonal})


class NormalInitializer(Initializer):
    """Normal with mean `loc` (0.0) and standard deviation `scale` (1.0)."""

    type = "gaussian_random"

    def __init__(self, loc=0.0, scale=1.0, seed=0):
        self.loc, self.scale, self.seed = loc, scale, seed

    def __call__(self, var, block):
        attrs = {"mean": float(self.loc), "std": float(self.scale), "seed": self.seed}
        return self._prepend(block, self.type, var, attrs)


class TruncatedNormalInitializer(NormalInitializer):
    """Normal with mean `loc` and standard deviation `scale`, drawn again outside two standard deviations."""

    type = "truncated_gaussian_random"


class XavierInitializer(Initializer):
    """Glorot's: uniform in ±sqrt(6 / (fan_in + fan_out)), or normal with std sqrt(2 / (fan_in + fan_out)).

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010).
    """

    def __init__(self, uniform=True, fan_in=None, fan_out=None, seed=0):
        self.uniform, self.fan_in, self.fan_out, self.seed = uniform, fan_in, fan_out, seed

    def __call__(self, var, block):
        fan_in, fan_out = fans(var)
        total = (self.fan_in if self.fan_in is not None else fan_in) + (
            self.fan_out if self.fan_out is not None else fan_out
        )
        return _scaled(self, block, var, 6.0 / total if self.uniform else 2.0 / total)


class MSRAInitializer(Initializer):
    """He's: uniform in ±sqrt(6 / fan_in), or normal with std sqrt(2 / fan_in).

    Source: He et al., "Delving deep into rectifiers" (2015).
    """

    def __init__(self, uniform=True, fan_in=None, seed=0):
        self.uniform, self.fan_in, self.seed = uniform, fan_in, seed

    def __call__(self, var, block):
        fan_in = self.fan_in if self.fan_in is not None else fans(var)[0]
        return _scaled(self, block, var, 6.0 / fan_in if self.uniform else 2.0 / fan_in)


def _scaled(initializer, block, variable, squared):
    """A symmetric uniform with the limit, or a normal with the deviation, whose square is given."""
    scale = math.sqrt(squared)
    if initializer.uniform:
        return UniformInitializer(-scale, scale, initializer.seed)(variable, block)
    return NormalInitializer(0.0, scale, initializer.seed)(variable, block)


class NumpyArrayInitializer(Initializer):
    """The given array, of the parameter's shape, cast to its dtype."""

    def __init__(self, value):
        if not isinstance(value, np.ndarray):
            raise InvalidTypeError("NumpyArrayInitializer needs an array.", actual=type(value).__name__)
        self.value = value

    def __call__(self, var, block):
        if self.value.shape != var.shape:
            raise InvalidArgumentError(
                f"The initial array of {var.name!r} has another shape.",
                expected=str(var.shape),
                actual=str(self.value.shape),
            )
        keys = {VarType.FP32: "fp32_values", VarType.FP64: "fp64_values", VarType.INT32: "int32_values"}
        key = keys.get(canonical_dtype(var.dtype), "int64_values")
        # A flat array, not a list: pretrained vectors come this way, and a list of floats is ten times their size.
        values = self.value.astype(numpy_dtype(key.replace("_values", "").replace("fp", "float"))).ravel()
        return self._prepend(block, "assign_value", var, {key: values})


Constant = ConstantInitializer
Uniform = UniformInitializer
Normal = NormalInitializer
TruncatedNormal = TruncatedNormalInitializer
Xavier = XavierInitializer
MSRA = MSRAInitializer
