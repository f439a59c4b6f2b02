"""Parts of arrays by position: views in the forward direction, zeros with a filled part in the backward one."""

from .registry import Meta, OpDef, Slot, grad_spec, register_op


class _Slicing(OpDef):
    """What `slice` and `strided_slice` share: a basic index made from the attributes."""

    def index(self, shape):
        index = [slice(None)] * len(shape)
        steps = self.attr.get("strides") or [1] * len(self.attr["axes"])
        for axis, start, end, step in zip(
            self.attr["axes"], self.attr["starts"], self.attr["ends"], steps, strict=True
        ):
            index[axis] = _bounds(shape[axis], start, end, step)
        for axis in self.attr["decrease_axis"]:
            at = index[axis]
            if len(range(at.start, shape[axis] if at.stop is None else at.stop, at.step)) != 1:
                self.fail(
                    f"index {self.attr['starts'][self.attr['axes'].index(axis)]} is out of range for dimension {axis} "
                    f"of {self.var('Input')}.",
                    expected=f"-{shape[axis]} <= index < {shape[axis]}",
                )
        return tuple(index)

    def taken_shape(self, shape):
        """Dimensions of the slice, -1 where X's is unknown, without the ones that an integer index removes."""
        dims = list(shape)
        steps = self.attr.get("strides") or [1] * len(self.attr["axes"])
        for axis, start, end, step in zip(
            self.attr["axes"], self.attr["starts"], self.attr["ends"], steps, strict=True
        ):
            if axis in self.attr["decrease_axis"]:
                dims[axis] = 1
            elif dims[axis] != -1:
                at = _bounds(dims[axis], start, end, step)
                dims[axis] = len(range(*at.indices(dims[axis])))
        if self.attr["decrease_axis"]:
            dims = [d for axis, d in enumerate(dims) if axis not in self.attr["decrease_axis"]] or [1]
        return tuple(dims)

    def infer_shape(self, x):
        return Meta(self.taken_shape(x.shape), x.dtype)

    def run(self, x, out):
        return x[self.index(x.shape)].reshape(self.taken_shape(x.shape))

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("Input",), in_grads=("Input",))]


def _bounds(n, start, end, step):
    """A slice object with Fluid's reading of starts and ends: negative ones count from the end, far ones are cut."""
    if step > 0:
        low = min(max(start + n if start < 0 else start, 0), n)
        high = min(max(end + n if end < 0 else end, 0), n)
        return slice(low, high, step)
    low = min(start + n if start < 0 else start, n - 1)
    high = end + n if -n <= end < 0 else end
    return slice(low, None if high < 0 else high, step)


class _SlicingGrad(_Slicing):
    inputs = (Slot("Input"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("Input@GRAD"),)
    differentiable = False

    def infer_shape(self, x, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, out_grad, out):
        grad = out.zeros(x.shape)
        taken = grad[self.index(x.shape)]
        taken[...] = out_grad.reshape(taken.shape)
        return grad

    make_grad = OpDef.make_grad


@register_op
class Slice(_Slicing):
    """Out = Input[starts:ends] along the axes named; dimensions in decrease_axis (of length 1) are dropped.

    Negative bounds count from the end, bounds beyond it are cut. Source: Fluid's layers.slice and Variable[...].
    """

    type = "slice"
    inputs = (Slot("Input"),)
    outputs = (Slot("Out"),)
    attrs = {"axes": [], "starts": [], "ends": [], "decrease_axis": []}
    views = {"Out": "Input"}


@register_op
class SliceGrad(_SlicingGrad):
    """Gradient of `slice`: Out@GRAD in the places that were taken, zero elsewhere."""

    type = "slice_grad"
    attrs = Slice.attrs


@register_op
class StridedSlice(_Slicing):
    """Out = Input[starts:ends:strides] along the axes named; as `slice` otherwise.

    Source: Fluid's layers.strided_slice and Variable[...].
    """

    type = "strided_slice"
    inputs = (Slot("Input"),)
    outputs = (Slot("Out"),)
    attrs = {"axes": [], "starts": [], "ends": [], "strides": [], "decrease_axis": []}
    views = {"Out": "Input"}


@register_op
class StridedSliceGrad(_SlicingGrad):
    """Gradient of `strided_slice`: Out@GRAD in the places that were taken, zero elsewhere."""

    type = "strided_slice_grad"
    attrs = StridedSlice.attrs
