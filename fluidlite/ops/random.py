"""Random numbers: of a given shape, of the batch's size, and classes drawn from distributions."""

import numpy as np

from .._kernels import random as random_kernels
from ..dtypes import VarType, canonical_dtype
from ..row_initializer import RowInitializer
from .creation import shape_like
from .registry import Meta, OpDef, Slot, register_op


class _Random(OpDef):
    """Base: of the shape in the attributes, or at run time in ``ShapeTensor`` or the numbers ``ShapeTensorList``."""

    inputs = (
        Slot("ShapeTensor", optional=True, dtypes="int"),
        Slot("ShapeTensorList", optional=True, many=True, dtypes="int"),
    )
    outputs = (Slot("Out"),)
    differentiable = False
    random = True

    def infer_shape(self, shape, parts):
        known = tuple([int(d) for d in self.attr["shape"]])
        if shape is not None and len(known) != shape.shape[0]:
            known = (-1,) * shape.shape[0]
        return Meta(known, self.checked_dtype())

    def checked_dtype(self):
        """The dtype of what is drawn."""
        dtype = canonical_dtype(self.attr["dtype"])
        if dtype not in (VarType.FP32, VarType.FP64):
            self.fail("random numbers are float32 or float64.", actual=str(dtype))
        return dtype

    def run(self, shape, parts, out):
        if parts:
            shape = [int(part.reshape(-1)[0]) for part in parts]
        else:
            shape = self.attr["shape"] if shape is None else shape.tolist()
        array = out(tuple(shape))
        self.fill(array.reshape(-1))
        return array

    def fill(self, flat):
        raise NotImplementedError


@register_op
class UniformRandom(_Random):
    """Out ~ U[min, max), element i a function of (seed, variable, i) alone.

    Then `diag_num` elements are `diag_val`: those at i (diag_step + 1), i < diag_num, of Out in one row.

    Source of the generator: Philox4x32-10, Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
    """

    type = "uniform_random"
    attrs = {
        "shape": [],
        "dtype": VarType.FP32,
        "min": -1.0,
        "max": 1.0,
        "seed": 0,
        "diag_num": 0,
        "diag_step": 0,
        "diag_val": 1.0,
    }

    def fill(self, flat):
        random_kernels.fill_uniform(flat, self.attr["min"], self.attr["max"], seed=self.seed, stream=self.stream)
        n, step = self.attr["diag_num"], self.attr["diag_step"] + 1
        if not n:
            return
        if (n - 1) * step >= flat.size:
            self.fail(
                "diag_num elements, one every diag_step + 1, do not fit.",
                expected=f"more than {(n - 1) * step} elements",
                actual=str(flat.size),
            )
        flat[: n * step : step] = self.attr["diag_val"]

    def row_initializer(self):
        if self.attr["diag_num"]:
            return None
        return RowInitializer("uniform", self.attr["min"], self.attr["max"], self.seed, self.stream)


@register_op
class GaussianRandom(_Random):
    """Out ~ N(mean, std^2), element i a function of (seed, variable, i) alone; see `uniform_random`."""

    type = "gaussian_random"
    attrs = {"shape": [], "dtype": VarType.FP32, "mean": 0.0, "std": 1.0, "seed": 0}

    def fill(self, flat):
        random_kernels.fill_gaussian(flat, self.attr["mean"], self.attr["std"], seed=self.seed, stream=self.stream)

    def row_initializer(self):
        return RowInitializer("gaussian", self.attr["mean"], self.attr["std"], self.seed, self.stream)


@register_op
class TruncatedGaussianRandom(_Random):
    """Out ~ N(mean, std^2) within two standard deviations of the mean; see `uniform_random`."""

    type = "truncated_gaussian_random"
    attrs = GaussianRandom.attrs

    def fill(self, flat):
        random_kernels.fill_truncated_gaussian(
            flat, self.attr["mean"], self.attr["std"], seed=self.seed, stream=self.stream
        )

    def row_initializer(self):
        return RowInitializer("truncated_gaussian", self.attr["mean"], self.attr["std"], self.seed, self.stream)


class _BatchSizeLike(_Random):
    """Base: one dimension of the shape is Input's at run time."""

    inputs = (Slot("Input", lod=True),)

    def infer_shape(self, like):
        return Meta(shape_like(self.attr, like.shape), self.checked_dtype())

    def run(self, like, out):
        array = out(shape_like(self.attr, like.value.shape, like.lod_offsets))
        self.fill(array.reshape(-1))
        return array


_LIKE = {"input_dim_idx": 0, "output_dim_idx": 0}


@register_op
class UniformRandomBatchSizeLike(_BatchSizeLike):
    """Out ~ U[min, max), of the given shape but for ``Out.shape[output_dim_idx] = Input.shape[input_dim_idx]``.

    See `uniform_random`. Source: Fluid's layers.uniform_random_batch_size_like.
    """

    type = "uniform_random_batch_size_like"
    attrs = {**UniformRandom.attrs, **_LIKE}
    fill = UniformRandom.fill


@register_op
class GaussianRandomBatchSizeLike(_BatchSizeLike):
    """Out ~ N(mean, std^2), of the given shape but for ``Out.shape[output_dim_idx] = Input.shape[input_dim_idx]``.

    See `uniform_random`. Source: Fluid's layers.gaussian_random_batch_size_like.
    """

    type = "gaussian_random_batch_size_like"
    attrs = {**GaussianRandom.attrs, **_LIKE}
    fill = GaussianRandom.fill


@register_op
class SamplingId(OpDef):
    """Out[n] = a class drawn from the distribution X[n]: the first whose cumulated probability exceeds r ~ U[min, max).

    X: probabilities (N, C) float; Out: int64 (N,). Source: Fluid's layers.sampling_id.
    """

    type = "sampling_id"
    inputs = (Slot("X", dtypes="float"),)
    outputs = (Slot("Out"),)
    attrs = {"min": 0.0, "max": 1.0, "seed": 0}
    lod_from = "X"
    differentiable = False
    random = True

    def infer_shape(self, x):
        if len(x.shape) != 2 or x.shape[1] == 0:
            self.fail(
                f"{self.var('X')} holds no distributions.",
                expected="(N, C), of one or more classes",
                actual=str(list(x.shape)),
            )
        return Meta((x.shape[0],), VarType.INT64)

    def run(self, x, out):
        drawn = np.empty(len(x))
        random_kernels.fill_uniform(drawn, self.attr["min"], self.attr["max"], seed=self.seed, stream=self.stream)
        below = np.cumsum(x, axis=1, dtype=np.float64) <= drawn[:, None]
        found = out((len(x),))
        np.add.reduce(below, axis=1, out=found)
        # Probabilities that do not sum up to 1 leave a rest for the last class.
        return np.minimum(found, x.shape[1] - 1, out=found)
