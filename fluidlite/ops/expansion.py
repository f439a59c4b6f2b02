"""Tensors repeated and padded: expand, expand_as, pad; each with its gradient."""

import numpy as np

from .registry import Meta, OpDef, Slot, grad_spec, register_op


def _repeat(x, times, out):
    """`x` laid `times[i]` times side by side along each dimension i."""
    array = out(tuple([d * n for d, n in zip(x.shape, times, strict=True)]))
    blocks = [n for pair in zip(times, x.shape, strict=True) for n in pair]
    np.copyto(array.reshape(blocks), x.reshape([n for d in x.shape for n in (1, d)]))
    return array


def _sum_repeats(x, grad, out):
    """The gradient of `x` in `_repeat`: the sum over its copies."""
    blocks = [n for whole, d in zip(grad.shape, x.shape, strict=True) for n in (whole // d if d else 1, d)]
    array = out(x.shape)
    np.add.reduce(grad.reshape(blocks), axis=tuple(range(0, len(blocks), 2)), out=array)
    return array


@register_op
class Expand(OpDef):
    """Out = X laid `expand_times[i]` times side by side along each dimension i.

    ``ExpandTimes`` (rank,) or ``expand_times_tensor``, one (1,) for each dimension, stand for the attribute, and the
    shape is then known at run time only. Source: Fluid's layers.expand.
    """

    type = "expand"
    inputs = (
        Slot("X"),
        Slot("ExpandTimes", optional=True, dtypes="int"),
        Slot("expand_times_tensor", optional=True, many=True, dtypes="int"),
    )
    outputs = (Slot("Out"),)
    attrs = {"expand_times": []}
    lod_from = "X"

    def _checked(self, times, rank):
        times = [int(n) for n in times]
        if len(times) != rank or min(times, default=1) < 0:
            self.fail(
                f"expand_times does not say how often to repeat {self.var('X')}.",
                expected=f"{rank} numbers, one for each dimension, none negative",
                actual=str(times),
            )
        return times

    def infer_shape(self, x, times, parts):
        if times is not None or parts:
            return Meta((-1,) * len(x.shape), x.dtype)
        times = self._checked(self.attr["expand_times"], len(x.shape))
        return Meta(tuple([-1 if d == -1 else d * n for d, n in zip(x.shape, times, strict=True)]), x.dtype)

    def run(self, x, times, parts, out):
        if parts:
            times = [part.reshape(-1)[0] for part in parts]
        elif times is None:
            times = self.attr["expand_times"]
        return _repeat(x, self._checked(times, x.ndim), out)

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "ExpandTimes", "expand_times_tensor"))]


@register_op
class ExpandGrad(OpDef):
    """Gradient of `expand`: X@GRAD = the sum of Out@GRAD over the copies."""

    type = "expand_grad"
    inputs = (*Expand.inputs, Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    attrs = Expand.attrs
    differentiable = False

    def infer_shape(self, x, times, parts, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, times, parts, out_grad, out):
        return _sum_repeats(x, out_grad, out)


@register_op
class ExpandAs(OpDef):
    """Out = X repeated to the shape of target_tensor, whose dimensions are multiples of X's. Drops LoD.

    Source: Fluid's layers.expand_as.
    """

    type = "expand_as"
    inputs = (Slot("X"), Slot("target_tensor"))
    outputs = (Slot("Out"),)

    def infer_shape(self, x, target):
        fits = len(x.shape) == len(target.shape) and all(
            -1 in (d, whole) or (whole % d == 0 if d else whole == 0)
            for d, whole in zip(x.shape, target.shape, strict=True)
        )
        if not fits:
            self.fail(
                f"{self.var('X')} cannot be repeated to the shape of {self.var('target_tensor')}.",
                expected=f"multiples of {list(x.shape)}",
                actual=str(list(target.shape)),
            )
        return Meta(target.shape, x.dtype)

    def run(self, x, target, out):
        self.infer_shape(x, target)
        return _repeat(x, [whole // d if d else 1 for d, whole in zip(x.shape, target.shape, strict=True)], out)

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "target_tensor"))]


@register_op
class ExpandAsGrad(OpDef):
    """Gradient of `expand_as`: X@GRAD = the sum of Out@GRAD over the copies."""

    type = "expand_as_grad"
    inputs = (Slot("X"), Slot("target_tensor"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    lod_from = "X"
    differentiable = False

    def infer_shape(self, x, target, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, target, out_grad, out):
        return _sum_repeats(x, out_grad, out)


def _padded(shape, paddings):
    return tuple([-1 if d == -1 else d + paddings[2 * i] + paddings[2 * i + 1] for i, d in enumerate(shape)])


@register_op
class Pad(OpDef):
    """Out = X with `paddings` = [before, after, before, after, ...] more places along each dimension, all `pad_value`.

    Source: Fluid's layers.pad.
    """

    type = "pad"
    inputs = (Slot("X"),)
    outputs = (Slot("Out"),)
    attrs = {"paddings": [], "pad_value": 0.0}
    lod_from = "X"

    def infer_shape(self, x):
        paddings = self.attr["paddings"]
        if len(paddings) != 2 * len(x.shape) or min(paddings, default=0) < 0:
            self.fail(
                f"the paddings do not fit {self.var('X')}.",
                expected=f"{2 * len(x.shape)} numbers, two for each dimension, none negative",
                actual=str(list(paddings)),
            )
        return Meta(_padded(x.shape, paddings), x.dtype)

    def run(self, x, out):
        paddings = self.attr["paddings"]
        array = out(_padded(x.shape, paddings))
        array.fill(self.attr["pad_value"])
        array[tuple([slice(paddings[2 * i], paddings[2 * i] + d) for i, d in enumerate(x.shape)])] = x
        return array

    def make_grad(self, spec):
        return [grad_spec(spec)]


@register_op
class PadGrad(OpDef):
    """Gradient of `pad`: X@GRAD = Out@GRAD without what was added, as a view."""

    type = "pad_grad"
    inputs = (Slot("Out@GRAD", dtypes="float"),)
    outputs = (Slot("X@GRAD"),)
    attrs = Pad.attrs
    lod_from = "Out@GRAD"
    views = {"X@GRAD": "Out@GRAD"}
    differentiable = False

    def infer_shape(self, out_grad):
        return Meta(_padded(out_grad.shape, [-n for n in self.attr["paddings"]]), out_grad.dtype)

    def run(self, out_grad, out):
        paddings = self.attr["paddings"]
        return out_grad[tuple([slice(paddings[2 * i], d - paddings[2 * i + 1]) for i, d in enumerate(out_grad.shape)])]
