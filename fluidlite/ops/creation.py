"""Ops that make values from attributes: constants, given arrays, random numbers."""

import numpy as np

from .._kernels import random as random_kernels
from ..dtypes import VarType, canonical_dtype, numpy_dtype
from .registry import Meta, OpDef, Slot, register_op


@register_op
class FillConstant(OpDef):
    """Out = value, everywhere, of the given shape and dtype; ``ShapeTensor`` gives the shape at run time.

    Source: Fluid's layers.fill_constant.
    """

    type = "fill_constant"
    inputs = (Slot("ShapeTensor", optional=True, dtypes="int"),)
    outputs = (Slot("Out"),)
    attrs = {"shape": [], "dtype": VarType.FP32, "value": 0.0, "force_cpu": False}
    differentiable = False
    constant = True
    warns = False

    def infer_shape(self, shape):
        if shape is None and any(d < 0 for d in self.attr["shape"]):
            self.fail("a constant needs a complete shape.", actual=str(self.attr["shape"]))
        return Meta(tuple(int(d) for d in self.attr["shape"]), canonical_dtype(self.attr["dtype"]))

    def run(self, shape, out):
        shape = tuple(self.attr["shape"] if shape is None else shape.tolist())
        value = self.attr["value"]
        if value == 0:
            return out.zeros(shape)
        array = out(shape)
        array.fill(value)
        return array


@register_op
class FillConstantBatchSizeLike(OpDef):
    """Out = value, of the given shape with one dimension taken from Input at run time.

    ``Out.shape[output_dim_idx] = Input.shape[input_dim_idx]``; with LoD, dimension 0 of Input counts its sequences.
    Source: Fluid's layers.fill_constant_batch_size_like.
    """

    type = "fill_constant_batch_size_like"
    inputs = (Slot("Input"),)
    outputs = (Slot("Out"),)
    attrs = {
        "shape": [],
        "dtype": VarType.FP32,
        "value": 0.0,
        "input_dim_idx": 0,
        "output_dim_idx": 0,
        "force_cpu": False,
    }
    differentiable = False

    def _shape(self, like):
        shape = list(self.attr["shape"])
        shape[self.attr["output_dim_idx"]] = like[self.attr["input_dim_idx"]]
        return tuple(shape)

    def infer_shape(self, like):
        return Meta(self._shape(like.shape), canonical_dtype(self.attr["dtype"]))

    def run(self, like, out):
        array = out(self._shape(like.shape))
        array.fill(self.attr["value"])
        return array


@register_op
class FillZerosLike(OpDef):
    """Out = zeros of X's shape and dtype. Stands in backward passes for a gradient that nothing contributed to."""

    type = "fill_zeros_like"
    inputs = (Slot("X"),)
    outputs = (Slot("Out"),)
    lod_from = "X"
    differentiable = False

    def infer_shape(self, x):
        return Meta(x.shape, x.dtype)

    def run(self, x, out):
        return out.zeros(x.shape)


@register_op
class AssignValue(OpDef):
    """Out = the numbers kept in the op itself: ``fp32_values``, ``int32_values`` or ``int64_values``, by dtype.

    Source: Fluid's layers.assign of an array, and initializer.NumpyArrayInitializer.
    """

    type = "assign_value"
    inputs = ()
    outputs = (Slot("Out"),)
    attrs = {
        "shape": [],
        "dtype": VarType.FP32,
        "fp32_values": [],
        "int32_values": [],
        "int64_values": [],
        "fp64_values": [],
        "bool_values": [],
    }
    differentiable = False

    def infer_shape(self):
        return Meta(tuple(self.attr["shape"]), canonical_dtype(self.attr["dtype"]))

    def run(self, out):
        dtype = numpy_dtype(self.attr["dtype"])
        kind = {"float32": "fp32", "float64": "fp64", "bool": "bool"}.get(dtype.name, dtype.name)
        array = out(tuple(self.attr["shape"]))
        array[...] = np.asarray(self.attr[f"{kind}_values"], dtype).reshape(array.shape)
        return array


class _Random(OpDef):
    inputs = (Slot("ShapeTensor", optional=True, dtypes="int"),)
    outputs = (Slot("Out"),)
    differentiable = False
    random = True

    def infer_shape(self, shape):
        dtype = canonical_dtype(self.attr["dtype"])
        if dtype not in (VarType.FP32, VarType.FP64):
            self.fail("random numbers are float32 or float64.", actual=str(dtype))
        return Meta(tuple(int(d) for d in self.attr["shape"]), dtype)

    def run(self, shape, out):
        array = out(tuple(self.attr["shape"] if shape is None else shape.tolist()))
        self.fill(array.reshape(-1))
        return array

    def fill(self, flat):
        raise NotImplementedError


@register_op
class UniformRandom(_Random):
    """Out ~ U[min, max), element i a function of (seed, variable, i) alone.

    Source of the generator: Philox4x32-10, Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
    """

    type = "uniform_random"
    attrs = {"shape": [], "dtype": VarType.FP32, "min": -1.0, "max": 1.0, "seed": 0}

    def fill(self, flat):
        random_kernels.fill_uniform(flat, self.attr["min"], self.attr["max"], seed=self.seed, stream=self.stream)


@register_op
class GaussianRandom(_Random):
    """Out ~ N(mean, std^2), element i a function of (seed, variable, i) alone; see `uniform_random`."""

    type = "gaussian_random"
    attrs = {"shape": [], "dtype": VarType.FP32, "mean": 0.0, "std": 1.0, "seed": 0}

    def fill(self, flat):
        random_kernels.fill_gaussian(flat, self.attr["mean"], self.attr["std"], seed=self.seed, stream=self.stream)


@register_op
class TruncatedGaussianRandom(_Random):
    """Out ~ N(mean, std^2) within two standard deviations of the mean; see `uniform_random`."""

    type = "truncated_gaussian_random"
    attrs = GaussianRandom.attrs

    def fill(self, flat):
        random_kernels.fill_truncated_gaussian(
            flat, self.attr["mean"], self.attr["std"], seed=self.seed, stream=self.stream
        )
