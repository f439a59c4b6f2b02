"""Ops that make values from attributes or few numbers: constants, given arrays, ranges, counters."""

import math

import numpy as np

from ..dtypes import VarType, canonical_dtype, numpy_dtype
from ..row_initializer import RowInitializer
from .broadcasting import NUMBERS
from .registry import Meta, OpDef, Slot, register_op


@register_op
class FillConstant(OpDef):
    """Out = value, everywhere, of the given shape and dtype.

    ``ShapeTensor``, or the numbers ``ShapeTensorList``, give the shape at run time; ``ValueTensor`` gives the value.

    Source: Fluid's layers.fill_constant.
    """

    type = "fill_constant"
    inputs = (
        Slot("ShapeTensor", optional=True, dtypes="int"),
        Slot("ShapeTensorList", optional=True, many=True, dtypes="int"),
        Slot("ValueTensor", optional=True),
    )
    outputs = (Slot("Out"),)
    attrs = {"shape": [], "dtype": VarType.FP32, "value": 0.0, "force_cpu": False}
    differentiable = False
    constant = True
    warns = False

    def infer_shape(self, shape, parts, value):
        if shape is None and not parts and any(d < 0 for d in self.attr["shape"]):
            self.fail("a constant needs a complete shape.", actual=str(self.attr["shape"]))
        return Meta(tuple(int(d) for d in self.attr["shape"]), canonical_dtype(self.attr["dtype"]))

    def run(self, shape, parts, value, out):
        if shape is not None:
            shape = tuple(shape.tolist())
        else:
            shape = tuple(int(part.flat[0]) for part in parts) if parts else tuple(self.attr["shape"])
        value = self.attr["value"] if value is None else value.flat[0]
        if value == 0:
            return out.zeros(shape)
        array = out(shape)
        array.fill(value)
        return array

    def row_initializer(self):
        return RowInitializer("constant", float(self.attr["value"]))


def shape_like(attr, like, lod=()):
    """The attribute ``shape`` with one dimension from the shape `like`; with LoD, dimension 0 counts sequences."""
    shape = [int(d) for d in attr["shape"]]
    source = attr["input_dim_idx"]
    shape[attr["output_dim_idx"]] = len(lod[-1]) - 1 if lod and source == 0 else like[source]
    return tuple(shape)


@register_op
class FillConstantBatchSizeLike(OpDef):
    """Out = value, of the given shape with one dimension taken from Input at run time.

    ``Out.shape[output_dim_idx] = Input.shape[input_dim_idx]``; with LoD, dimension 0 of Input counts its sequences.
    Source: Fluid's layers.fill_constant_batch_size_like.
    """

    type = "fill_constant_batch_size_like"
    inputs = (Slot("Input", lod=True),)
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

    def infer_shape(self, like):
        return Meta(shape_like(self.attr, like.shape), canonical_dtype(self.attr["dtype"]))

    def run(self, like, out):
        array = out(shape_like(self.attr, like.value.shape, like.lod_offsets))
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


@register_op
class FillAnyLike(OpDef):
    """Out = value everywhere, of X's shape, and of X's dtype unless `dtype` names one (-1 does not).

    Source: Fluid's layers.ones_like.
    """

    type = "fill_any_like"
    inputs = (Slot("X"),)
    outputs = (Slot("Out"),)
    attrs = {"value": 0.0, "dtype": -1}
    lod_from = "X"
    differentiable = False

    def infer_shape(self, x):
        dtype = self.attr["dtype"]
        return Meta(x.shape, x.dtype if dtype in (-1, None) else canonical_dtype(dtype))

    def run(self, x, out):
        array = out(x.shape)
        array.fill(self.attr["value"])
        return array


def _number(x):
    """The only element of an input."""
    return x.reshape(-1)[0]


@register_op
class Range(OpDef):
    """Out = Start, Start + Step, ... as long as that is before End; inputs of shape (1,) and one dtype.

    Errors: InvalidArgumentError when Step is 0. Source: Fluid's layers.range.
    """

    type = "range"
    inputs = (Slot("Start", dtypes=NUMBERS), Slot("End", dtypes=NUMBERS), Slot("Step", dtypes=NUMBERS))
    outputs = (Slot("Out"),)
    differentiable = False

    def infer_shape(self, start, end, step):
        return Meta((-1,), start.dtype)

    def run(self, start, end, step, out):
        start, end, step = _number(start), _number(end), _number(step)
        if step == 0:
            self.fail("the step is 0.", expected="a step towards the end", actual="0")
        # Python's own numbers: a difference of int32 may not fit into int32.
        count = max(math.ceil((end.item() - start.item()) / step.item()), 0)
        array = out((count,))
        np.multiply(np.arange(count, dtype=array.dtype), step, out=array)
        return np.add(array, start, out=array)


@register_op
class Linspace(OpDef):
    """Out = Num numbers in equal steps from Start to Stop, both included; inputs of shape (1,).

    Errors: InvalidArgumentError when Num is not positive. Source: Fluid's layers.linspace.
    """

    type = "linspace"
    inputs = (Slot("Start", dtypes="float"), Slot("Stop", dtypes="float"), Slot("Num", dtypes="int"))
    outputs = (Slot("Out"),)
    differentiable = False

    def infer_shape(self, start, stop, num):
        return Meta((-1,), start.dtype)

    def run(self, start, stop, num, out):
        num = int(_number(num))
        if num < 1:
            self.fail(f"{self.var('Num')} is not positive.", expected="at least 1", actual=str(num))
        array = out((num,))
        array[...] = np.linspace(float(_number(start)), float(_number(stop)), num)
        return array


@register_op
class Eye(OpDef):
    """Out = the (num_rows, num_columns) matrix with ones on its diagonal; `num_columns` -1 stands for num_rows.

    Source: Fluid's layers.eye.
    """

    type = "eye"
    inputs = ()
    outputs = (Slot("Out"),)
    attrs = {"num_rows": 0, "num_columns": -1, "dtype": VarType.FP32}
    differentiable = False
    constant = True

    def _shape(self):
        rows, columns = self.attr["num_rows"], self.attr["num_columns"]
        if rows < 0 or columns < -1:
            self.fail("there is no such matrix.", expected="no negative dimension", actual=f"({rows}, {columns})")
        return rows, rows if columns == -1 else columns

    def infer_shape(self):
        return Meta(self._shape(), canonical_dtype(self.attr["dtype"]))

    def run(self, out):
        array = out.zeros(self._shape())
        np.fill_diagonal(array, 1)
        return array


@register_op
class Diag(OpDef):
    """Out = the square matrix with Diagonal (N,) on its diagonal and zeros elsewhere. Source: Fluid's layers.diag."""

    type = "diag"
    inputs = (Slot("Diagonal", dtypes=NUMBERS),)
    outputs = (Slot("Out"),)
    differentiable = False

    def infer_shape(self, diagonal):
        if len(diagonal.shape) != 1:
            self.fail(
                f"{self.var('Diagonal')} is no list of numbers.", expected="(N,)", actual=str(list(diagonal.shape))
            )
        return Meta(diagonal.shape * 2, diagonal.dtype)

    def run(self, diagonal, out):
        array = out.zeros(diagonal.shape * 2)
        array[np.diag_indices(len(diagonal))] = diagonal
        return array


@register_op
class Increment(OpDef):
    """Out = X + step, of one element; Out may be X itself. `step` is cut off to X's dtype.

    Errors: InvalidArgumentError when X has more elements. Source: Fluid's layers.increment.
    """

    type = "increment"
    inputs = (Slot("X", dtypes=NUMBERS),)
    outputs = (Slot("Out"),)
    attrs = {"step": 1.0}
    lod_from = "X"
    inplace = {"Out": "X"}
    differentiable = False

    def infer_shape(self, x):
        if math.prod(x.shape) != 1:
            self.fail(
                f"The number of elements in Input(X) should be 1. Now the number is {math.prod(x.shape)} "
                f"({self.var('X')}).",
                expected="shape (1,)",
                actual=str(list(x.shape)),
            )
        return Meta(x.shape, x.dtype)

    def run(self, x, out):
        return np.add(x, x.dtype.type(self.attr["step"]), out=out(x.shape))
