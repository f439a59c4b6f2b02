"""Sums, means, extremes, products and logic over some dimensions or all of them, and the sum of several variables."""

import math

import numpy as np

from .._kernels import elementwise as elementwise_kernels
from .._kernels import reduction as kernels
from ..dtypes import VarType
from ..selected_rows import SelectedRows
from .broadcasting import NUMBERS
from .registry import Meta, OpDef, OpSpec, Slot, grad_name, grad_spec, register_op


@register_op
class Mean(OpDef):
    """Out = the mean of all elements of X, of shape (1,); NaN when there are none. Source: Fluid's layers.mean."""

    type = "mean"
    inputs = (Slot("X", dtypes="float"),)
    outputs = (Slot("Out"),)

    def infer_shape(self, x):
        return Meta((1,), x.dtype)

    def run(self, x, out):
        array = out((1,))
        array[0] = kernels.sum_all(np.ascontiguousarray(x)) / x.size if x.size else np.nan
        return array

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",))]


@register_op
class MeanGrad(OpDef):
    """Gradient of `mean`: X@GRAD = Out@GRAD / (number of elements) everywhere, without filling an array."""

    type = "mean_grad"
    inputs = (Slot("X", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    differentiable = False

    def infer_shape(self, x, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, out_grad, out):
        return out.spread(out_grad.flat[0] / max(x.size, 1), x.shape)


class _Reduce(OpDef):
    inputs = (Slot("X", dtypes=NUMBERS),)
    outputs = (Slot("Out"),)
    attrs = {"dim": [0], "keep_dim": False, "reduce_all": False}
    lod_from = "X"

    _last = (None, None)

    def __init__(self, attrs=None, names=None):
        super().__init__(attrs, names)
        dim = self.attr["dim"]
        self.dims = tuple(dim) if isinstance(dim, list | tuple) else (dim,)
        # Sequences end where their dimension is reduced. Fluid's layers give dim = [0] with reduce_all.
        if 0 in self.dims or self.attr["reduce_all"]:
            self.lod_from = None

    def axes(self, rank):
        """The reduced dimensions of an X of that rank, ascending."""
        if self.attr["reduce_all"] or not self.dims:
            return tuple(range(rank))
        for i, d in enumerate(self.dims):
            if not -rank <= d < rank:
                self.fail(
                    f"The reduce dim index {i} should be in the range [-dimension(X), dimension(X)] which dimesion = "
                    f"{rank}. But received dim index = {d}.",
                    expected=f"-{rank} <= dim < {rank}, the rank of {self.var('X')}",
                    actual=f"dim = {list(self.dims)}",
                )
        return tuple(sorted({d % rank for d in self.dims}))

    def shapes(self, x_shape):
        """(reduced dimensions, X's shape with ones there, Out's shape)."""
        if x_shape != self._last[0]:
            axes = self.axes(len(x_shape))
            kept = tuple([1 if i in axes else d for i, d in enumerate(x_shape)])
            left = tuple([d for i, d in enumerate(x_shape) if i not in axes]) or (1,)
            self._last = x_shape, (axes, kept, kept if self.attr["keep_dim"] else left)
        return self._last[1]

    def infer_shape(self, x):
        return Meta(self.shapes(x.shape)[2], x.dtype)


class _ReduceGrad(_Reduce):
    inputs = (Slot("X", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    lod_from = None
    differentiable = False

    def infer_shape(self, x, out_grad):
        return Meta(x.shape, x.dtype)


@register_op
class ReduceSum(_Reduce):
    """Out = the sum of X over the dimensions `dim` (all of them with `reduce_all` or an empty `dim`).

    X: any shape, floats or integers. Out: X's shape without those dimensions, or with ones there if `keep_dim`; (1,)
    when none is left. Source: Fluid's layers.reduce_sum, but right for several dimensions.
    """

    type = "reduce_sum"

    def run(self, x, out):
        axes, kept, shape = self.shapes(x.shape)
        array = out(shape)
        if x.dtype.kind != "f":
            np.add.reduce(x, axis=axes, keepdims=True, out=array.reshape(kept))
        elif len(axes) == x.ndim:
            array.reshape(-1)[0] = kernels.sum_all(np.ascontiguousarray(x))
        elif axes == (1,) and x.ndim == 3:
            kernels.sum_rows(np.ascontiguousarray(x), array.reshape(x.shape[0], x.shape[2]))
        else:
            np.add.reduce(x, axis=axes, keepdims=True, out=array.reshape(kept))
        return array

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",))]


@register_op
class ReduceSumGrad(_ReduceGrad):
    """Gradient of `reduce_sum`: Out@GRAD in every place that was summed, as a read-only view."""

    type = "reduce_sum_grad"
    views = {"X@GRAD": "Out@GRAD"}

    def run(self, x, out_grad, out):
        if out_grad.size == 1:
            return out.spread(out_grad.flat[0], x.shape)
        return np.broadcast_to(out_grad.reshape(self.shapes(x.shape)[1]), x.shape)


@register_op
class ReduceMean(_Reduce):
    """Out = the mean of X over the dimensions `dim`; NaN over no elements. Shapes as in `reduce_sum`.

    Integers are truncated towards zero, as in Fluid. Source: Fluid's layers.reduce_mean.
    """

    type = "reduce_mean"

    def run(self, x, out):
        axes, kept, shape = self.shapes(x.shape)
        array, count = out(shape), math.prod([x.shape[i] for i in axes])
        np.add.reduce(x, axis=axes, keepdims=True, out=array.reshape(kept))
        if count == 0:
            array.fill(np.nan if x.dtype.kind == "f" else 0)
            return array
        return np.divide(array, count, out=array, casting="unsafe")

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",))]


@register_op
class ReduceMeanGrad(_ReduceGrad):
    """Gradient of `reduce_mean`: Out@GRAD / (number of elements) in every place, as a read-only view."""

    type = "reduce_mean_grad"
    views = {"X@GRAD": "Out@GRAD"}

    def run(self, x, out_grad, out):
        axes, kept, _ = self.shapes(x.shape)
        count = max(math.prod([x.shape[i] for i in axes]), 1)
        if out_grad.size == 1:
            return out.spread(out_grad.flat[0] / count, x.shape)
        share = np.divide(out_grad.reshape(kept), count, out=out(kept))
        return np.broadcast_to(share, x.shape)


class _ReduceExtreme(_Reduce):
    # The NumPy function of two whose reduction it is.
    pick = None

    def run(self, x, out):
        axes, kept, shape = self.shapes(x.shape)
        array = out(shape)
        if array.size and not x.size:
            self.fail(
                f"{self.var('X')} has no elements to choose from.",
                expected="at least one element along the reduced dimensions",
                actual=f"shape {list(x.shape)}, dim = {list(axes)}",
            )
        if array.size:
            # Beware: of arrays with strides of their own NumPy 1.26 takes wrong extremes on some CPUs.
            self.pick.reduce(np.ascontiguousarray(x), axis=axes, keepdims=True, out=array.reshape(kept))
        return array

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",), outputs=("Out",))]


class _ReduceExtremeGrad(_ReduceGrad):
    inputs = (Slot("X", dtypes="float"), Slot("Out", dtypes="float"), Slot("Out@GRAD", dtypes="float"))

    def infer_shape(self, x, extreme, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, extreme, out_grad, out):
        kept = self.shapes(x.shape)[1]
        # The comparison is stored as 0.0 and 1.0 where the result will lie: no mask to allocate.
        array = np.equal(x, extreme.reshape(kept), out=out(x.shape))
        return np.multiply(array, out_grad.reshape(kept), out=array)


@register_op
class ReduceMax(_ReduceExtreme):
    """Out = the largest element of X over the dimensions `dim`. Shapes as in `reduce_sum`.

    Errors: InvalidArgumentError over no elements. Source: Fluid's layers.reduce_max.
    """

    type = "reduce_max"
    pick = np.maximum


@register_op
class ReduceMaxGrad(_ReduceExtremeGrad):
    """Gradient of `reduce_max`: Out@GRAD in every place that holds the maximum, all of them if there are several."""

    type = "reduce_max_grad"


@register_op
class ReduceMin(_ReduceExtreme):
    """Out = the smallest element of X over the dimensions `dim`. Shapes as in `reduce_sum`.

    Errors: InvalidArgumentError over no elements. Source: Fluid's layers.reduce_min.
    """

    type = "reduce_min"
    pick = np.minimum


@register_op
class ReduceMinGrad(_ReduceExtremeGrad):
    """Gradient of `reduce_min`: Out@GRAD in every place that holds the minimum, all of them if there are several."""

    type = "reduce_min_grad"


@register_op
class ReduceProd(_Reduce):
    """Out = the product of X over the dimensions `dim`. Shapes as in `reduce_sum`.

    Source: Fluid's layers.reduce_prod.
    """

    type = "reduce_prod"

    def run(self, x, out):
        axes, kept, shape = self.shapes(x.shape)
        array = out(shape)
        np.multiply.reduce(x, axis=axes, keepdims=True, out=array.reshape(kept))
        return array

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",), outputs=("Out",))]


@register_op
class ReduceProdGrad(_ReduceGrad):
    """Gradient of `reduce_prod`: X@GRAD = Out@GRAD times the product of the other elements, also where X is zero."""

    type = "reduce_prod_grad"
    inputs = (Slot("X", dtypes="float"), Slot("Out", dtypes="float"), Slot("Out@GRAD", dtypes="float"))

    def infer_shape(self, x, product, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, product, out_grad, out):
        axes, kept, _ = self.shapes(x.shape)
        zero = x == 0
        if not zero.any():
            array = np.divide(product.reshape(kept), x, out=out(x.shape))
        else:
            ones = np.where(zero, 1, x)
            others = np.multiply.reduce(ones, axis=axes, keepdims=True)
            zeros = np.add.reduce(zero, axis=axes, keepdims=True, dtype=np.int64)
            array = np.divide(others, ones, out=out(x.shape))
            array[np.broadcast_to(zeros - zero > 0, x.shape)] = 0
        return np.multiply(array, out_grad.reshape(kept), out=array)


class _ReduceLogical(_Reduce):
    inputs = (Slot("X", dtypes=(VarType.BOOL,)),)
    differentiable = False

    # The NumPy function of two whose reduction it is.
    pick = None

    def run(self, x, out):
        axes, kept, shape = self.shapes(x.shape)
        array = out(shape)
        self.pick.reduce(x, axis=axes, keepdims=True, out=array.reshape(kept))
        return array


@register_op
class ReduceAll(_ReduceLogical):
    """Out = whether X is true everywhere over the dimensions `dim`. Shapes as in `reduce_sum`.

    Source: Fluid's layers.reduce_all.
    """

    type = "reduce_all"
    pick = np.logical_and


@register_op
class ReduceAny(_ReduceLogical):
    """Out = whether X is true anywhere over the dimensions `dim`. Shapes as in `reduce_sum`.

    Source: Fluid's layers.reduce_any.
    """

    type = "reduce_any"
    pick = np.logical_or


def _add(x, y, out):
    """out = x + y, by all threads where arrays are whole."""
    if x.dtype.kind == "f" and x.flags.c_contiguous and y.flags.c_contiguous:
        elementwise_kernels.add(x, y, out)
    else:
        np.add(x, y, out=out)


@register_op
class Sum(OpDef):
    """Out = X[0] + X[1] + ..., in this order, all of one shape.

    SelectedRows alone make a SelectedRows, whose chunks are theirs, uncopied; together with tensors, a tensor. The
    gradient of each X is a `scale` op. Source: Fluid's layers.sum.
    """

    type = "sum"
    inputs = (Slot("X", many=True, rows=True, dtypes=NUMBERS),)
    outputs = (Slot("Out", rows=True),)
    lod_from = "X"
    # The chunks of a SelectedRows; a tensor is made anew.
    views = {"Out": "X"}

    def _check(self, shapes):
        for k, shape in enumerate(shapes):
            same = len(shape) == len(shapes[0]) and all(
                a == b or -1 in (a, b) for a, b in zip(shape, shapes[0], strict=True)
            )
            if not same:
                self.fail(
                    f"The input tensor X of SumOp must have same dimensions. But received X[0]'s shape = "
                    f"{list(shapes[0])}, X[{k}]'s shape = {list(shape)} ({self.var('X')}).",
                    expected=str(list(shapes[0])),
                    actual=str(list(shape)),
                )

    def infer_shape(self, xs):
        shapes = [x.shape for x in xs]
        self._check(shapes)
        sparse = all(x.type == VarType.SELECTED_ROWS for x in xs)
        known = tuple([max(dims) for dims in zip(*shapes, strict=True)])
        return Meta(known, xs[0].dtype, VarType.SELECTED_ROWS if sparse else VarType.LOD_TENSOR)

    def run(self, xs, out):
        if any(x.shape != xs[0].shape for x in xs):
            self._check([x.shape for x in xs])
        dense = [x for x in xs if not isinstance(x, SelectedRows)]
        if not dense:
            return xs[-1].with_chunks([chunk for x in xs for chunk in x.chunks])
        array = out(xs[0].shape)
        if len(dense) == 1:
            np.copyto(array, dense[0])
        else:
            _add(dense[0], dense[1], array)
        for x in dense[2:]:
            _add(array, x, array)
        for x in xs:
            if isinstance(x, SelectedRows):
                x.add_to(array)
        return array

    def make_grad(self, spec):
        grad = [grad_name(spec.outputs["Out"][0])]
        return [OpSpec("scale", {"X": grad}, {"Out": [grad_name(x)]}, {"scale": 1.0}) for x in spec.inputs["X"]]
