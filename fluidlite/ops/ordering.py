"""Where the extremes are, sorting, and running sums."""

import numpy as np

from ..dtypes import VarType
from .broadcasting import NUMBERS
from .registry import Meta, OpDef, OpSpec, Slot, grad_name, register_op


class _AlongAxis(OpDef):
    inputs = (Slot("X", dtypes=NUMBERS),)

    def axis_of(self, rank):
        """The attribute `axis`, counted from the front."""
        axis = self.attr["axis"]
        if not -rank <= axis < rank:
            self.fail(f"{self.var('X')} has no such axis.", expected=f"-{rank} <= axis < {rank}", actual=str(axis))
        return axis % rank


class _ArgExtreme(_AlongAxis):
    outputs = (Slot("Out"),)
    attrs = {"axis": 0}
    differentiable = False

    # The NumPy function.
    find = None

    def _shape(self, shape):
        axis = self.axis_of(len(shape))
        return (*shape[:axis], *shape[axis + 1 :])

    def infer_shape(self, x):
        return Meta(self._shape(x.shape), VarType.INT64)

    def run(self, x, out):
        axis, array = self.axis_of(x.ndim), out(self._shape(x.shape))
        if array.size and not x.size:
            self.fail(
                f"{self.var('X')} has no elements to choose from.",
                expected=f"at least one along axis {axis}",
                actual=f"shape {list(x.shape)}",
            )
        if array.size:
            # Contiguous because of the extremes of strided arrays in NumPy 1.26, see `reduce_max`.
            array[...] = type(self).find(np.ascontiguousarray(x), axis=axis)
        return array


@register_op
class ArgMax(_ArgExtreme):
    """Out = the index of the largest element along `axis`, the first if there are several: int64, without that axis.

    Errors: InvalidArgumentError over no elements. Source: Fluid's layers.argmax.
    """

    type = "arg_max"
    find = np.argmax


@register_op
class ArgMin(_ArgExtreme):
    """Out = the index of the smallest element along `axis`, the first if there are several: int64, without that axis.

    Errors: InvalidArgumentError over no elements. Source: Fluid's layers.argmin.
    """

    type = "arg_min"
    find = np.argmin


@register_op
class Argsort(_AlongAxis):
    """Out = X sorted along `axis`, smallest first, or largest first if `descending`; Indices = where it came from.

    Equal elements keep their order. Indices: int64, of X's shape. Source: Fluid's layers.argsort.
    """

    type = "argsort"
    outputs = (Slot("Out"), Slot("Indices"))
    attrs = {"axis": -1, "descending": False}
    lod_from = "X"
    differentiable = False

    def infer_shape(self, x):
        self.axis_of(len(x.shape))
        return Meta(x.shape, x.dtype), Meta(x.shape, VarType.INT64)

    def run(self, x, out, indices_out):
        axis = self.axis_of(x.ndim)
        array, indices = out(x.shape), indices_out(x.shape)
        if self.attr["descending"]:
            # Sorted backwards from the back, so that equal elements keep their order.
            order = np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
            np.subtract(x.shape[axis] - 1, order, out=indices)
        else:
            indices[...] = np.argsort(x, axis=axis, kind="stable")
        array[...] = np.take_along_axis(x, indices, axis)
        return array, indices


@register_op
class Cumsum(_AlongAxis):
    """Out[i] = X[0] + ... + X[i] along `axis`.

    `exclusive` leaves X[i] itself out; `reverse` sums from the end. The gradient is a `cumsum` the other way round.
    Source: Fluid's layers.cumsum.
    """

    type = "cumsum"
    outputs = (Slot("Out"),)
    attrs = {"axis": -1, "exclusive": False, "reverse": False}
    lod_from = "X"

    def infer_shape(self, x):
        self.axis_of(len(x.shape))
        return Meta(x.shape, x.dtype)

    def run(self, x, out):
        axis = self.axis_of(x.ndim)
        array = out(x.shape)
        source, target = np.moveaxis(x, axis, 0), np.moveaxis(array, axis, 0)
        if self.attr["reverse"]:
            source, target = source[::-1], target[::-1]
        if self.attr["exclusive"]:
            target[:1] = 0
            source, target = source[:-1], target[1:]
        np.cumsum(source, axis=0, out=target)
        return array

    def make_grad(self, spec):
        ins = {"X": [grad_name(n) for n in spec.outputs["Out"]]}
        outs = {"Out": [grad_name(n) for n in spec.inputs["X"]]}
        return [OpSpec("cumsum", ins, outs, {**spec.attrs, "reverse": not spec.attrs["reverse"]})]
