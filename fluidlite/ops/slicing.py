"""Parts of arrays by position: views in the forward direction, zeros with a filled part in the backward one."""

from .registry import Meta, OpDef, Slot, grad_spec, register_op

# Beyond every dimension.
_FAR = 10000000


class _Slicing(OpDef):
    """What `slice` and `strided_slice` share: a basic index made from the attributes."""

    lod_from = "Input"

    def __init__(self, attrs=None, names=None):
        super().__init__(attrs, names)
        # Sequences end where their rows are cut.
        if 0 in self.attr["axes"]:
            self.lod_from = None

    def places(self, shape, starts, ends):
        """{axis: slice} of what is taken of an array, with bounds inside of it."""
        steps = self.attr.get("strides") or [1] * len(self.attr["axes"])
        return {
            axis: _bounds(shape[axis], start, end, step)
            for axis, start, end, step in zip(self.attr["axes"], starts, ends, steps, strict=True)
        }

    def index(self, shape, starts, ends):
        """What is taken of an array, with a slice for every dimension."""
        places = self.places(shape, starts, ends)
        for axis in self.attr["decrease_axis"]:
            at = places[axis]
            if len(range(at.start, shape[axis] if at.stop is None else at.stop, at.step)) != 1:
                self.fail(
                    f"index {starts[self.attr['axes'].index(axis)]} is out of range for dimension {axis} "
                    f"of {self.var('Input')}.",
                    expected=f"-{shape[axis]} <= index < {shape[axis]}",
                )
        return tuple([places.get(axis, slice(None)) for axis in range(len(shape))])

    def taken_shape(self, shape, starts, ends, unknown=()):
        """Dimensions of the slice, -1 where X's or the bounds are `unknown`, without those that an integer removes."""
        dims, dropped = list(shape), self.attr["decrease_axis"]
        for axis, at in self.places(shape, starts, ends).items():
            if axis in dropped:
                dims[axis] = 1
            elif axis in unknown:
                dims[axis] = -1
            elif dims[axis] != -1:
                dims[axis] = len(range(*at.indices(dims[axis])))
        if dropped:
            dims = [d for axis, d in enumerate(dims) if axis not in dropped] or [1]
        return tuple(dims)

    def take(self, x, starts, ends):
        """The part of an array, as a view."""
        return x[self.index(x.shape, starts, ends)].reshape(self.taken_shape(x.shape, starts, ends))

    def put(self, shape, starts, ends, grad, out):
        """Zeros with `grad` in the part."""
        whole = out.zeros(shape)
        part = whole[self.index(shape, starts, ends)]
        part[...] = grad.reshape(part.shape)
        return whole


def _bounds(n, start, end, step):
    """A slice object with Fluid's reading of starts and ends: negative ones count from the end, far ones are cut."""
    if step > 0:
        low = min(max(start + n if start < 0 else start, 0), n)
        high = min(max(end + n if end < 0 else end, 0), n)
        return slice(low, high, step)
    low = min(start + n if start < 0 else start, n - 1)
    high = end + n if -n <= end < 0 else end
    return slice(low, None if high < 0 else high, step)


_BOUNDS = (
    Slot("StartsTensor", optional=True, dtypes="int"),
    Slot("EndsTensor", optional=True, dtypes="int"),
    Slot("StartsTensorList", optional=True, many=True, dtypes="int"),
    Slot("EndsTensorList", optional=True, many=True, dtypes="int"),
)


class _SlicingByVariables(_Slicing):
    """A slice whose bounds may be known at run time only."""

    attrs = {"axes": [], "starts": [], "ends": [], "decrease_axis": [], "infer_flags": []}

    def bounds(self, starts, ends, start_parts, end_parts):
        """The starts and ends, from the attributes or from what stands for them."""
        first = _numbers(starts, start_parts, self.attr["starts"])
        last = _numbers(ends, end_parts, self.attr["ends"])
        if starts is not None or start_parts:
            # The end of an integer index is the one after it, also for the last place, counted from the end.
            last = [
                last[k] if axis not in self.attr["decrease_axis"] else (first[k] + 1 or _FAR)
                for k, axis in enumerate(self.attr["axes"])
            ]
        for what, given in (("starts", first), ("ends", last)):
            if len(given) != len(self.attr["axes"]):
                self.fail(
                    f"the {what} of {self.var('Input')} do not fit the axes.",
                    expected=f"{len(self.attr['axes'])} numbers, one for each of {list(self.attr['axes'])}",
                    actual=str(given),
                )
        return first, last

    def unknown(self, starts, ends):
        """The axes whose bounds are known at run time only."""
        axes = self.attr["axes"]
        if starts is not None or ends is not None:
            return set(axes)
        return {axis for axis, flag in zip(axes, self.attr["infer_flags"] or [1] * len(axes), strict=True) if flag < 0}


def _numbers(tensor, parts, given):
    if parts:
        return [int(part.reshape(-1)[0]) for part in parts]
    return list(given) if tensor is None else tensor.reshape(-1).tolist()


@register_op
class Slice(_SlicingByVariables):
    """Out = Input[starts:ends] along the axes named; dimensions in decrease_axis (of length 1) are dropped.

    Negative bounds count from the end, bounds beyond it are cut. ``StartsTensor`` (n,) or ``StartsTensorList``, n of
    (1,), stand for the attribute, and so for the ends; `infer_flags` is -1 for the axes whose bounds they give.
    Source: Fluid's layers.slice and Variable[...].
    """

    type = "slice"
    inputs = (Slot("Input"), *_BOUNDS)
    outputs = (Slot("Out"),)
    views = {"Out": "Input"}

    def infer_shape(self, x, starts, ends, start_parts, end_parts):
        zeros = [0] * len(self.attr["axes"])
        first, last = (self.attr[what] or zeros for what in ("starts", "ends"))
        return Meta(self.taken_shape(x.shape, first, last, self.unknown(starts, ends)), x.dtype)

    def run(self, x, starts, ends, start_parts, end_parts, out):
        return self.take(x, *self.bounds(starts, ends, start_parts, end_parts))

    def make_grad(self, spec):
        inputs = ("Input", *[slot.name for slot in _BOUNDS])
        return [grad_spec(spec, inputs=inputs, in_grads=("Input",))]


@register_op
class SliceGrad(_SlicingByVariables):
    """Gradient of `slice`: Out@GRAD in the places that were taken, zero elsewhere."""

    type = "slice_grad"
    inputs = (Slot("Input"), *_BOUNDS, Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("Input@GRAD"),)
    differentiable = False

    def infer_shape(self, x, starts, ends, start_parts, end_parts, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, starts, ends, start_parts, end_parts, out_grad, out):
        return self.put(x.shape, *self.bounds(starts, ends, start_parts, end_parts), out_grad, out)


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

    def infer_shape(self, x):
        return Meta(self.taken_shape(x.shape, self.attr["starts"], self.attr["ends"]), x.dtype)

    def run(self, x, out):
        return self.take(x, self.attr["starts"], self.attr["ends"])

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("Input",), in_grads=("Input",))]


@register_op
class StridedSliceGrad(_Slicing):
    """Gradient of `strided_slice`: Out@GRAD in the places that were taken, zero elsewhere."""

    type = "strided_slice_grad"
    inputs = (Slot("Input"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("Input@GRAD"),)
    attrs = StridedSlice.attrs
    differentiable = False

    def infer_shape(self, x, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, out_grad, out):
        return self.put(x.shape, self.attr["starts"], self.attr["ends"], out_grad, out)
