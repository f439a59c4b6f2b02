"""Shape and data movement: nothing here computes with the numbers."""

import math

import numpy as np

from ..dtypes import VarType, canonical_dtype
from .registry import Meta, OpDef, OpSpec, Slot, grad_name, grad_spec, register_op


@register_op
class Concat(OpDef):
    """Out = the X's one after another along `axis`. All other dimensions and the dtypes are equal.

    Source: Fluid's layers.concat.
    """

    type = "concat"
    inputs = (Slot("X", many=True),)
    outputs = (Slot("Out"),)
    attrs = {"axis": 0}
    lod_from = "X"

    def infer_shape(self, xs):
        first, axis = xs[0], self.attr["axis"]
        rank = len(first.shape)
        if not -rank <= axis < rank:
            self.fail("there is no such axis.", expected=f"-{rank} <= axis < {rank}", actual=str(axis))
        axis %= rank
        shape = list(first.shape)
        for k, x in enumerate(xs[1:], 1):
            if x.dtype != first.dtype:
                self.fail(
                    f"Data Type mismatch between the inputs ({self.var('X')}).",
                    expected=first.dtype.name,
                    actual=f"{x.dtype.name} in input {k}",
                )
            fits = len(x.shape) == rank and all(
                a == b or -1 in (a, b) for i, (a, b) in enumerate(zip(x.shape, first.shape, strict=True)) if i != axis
            )
            if not fits:
                self.fail(
                    f"the inputs ({self.var('X')}) differ in another dimension than the axis {axis}.",
                    expected=f"{list(first.shape)} but for the axis",
                    actual=f"{list(x.shape)} in input {k}",
                )
            for i in range(rank):
                if i != axis and shape[i] == -1:
                    shape[i] = x.shape[i]
        shape[axis] = -1 if any(x.shape[axis] == -1 for x in xs) else sum(x.shape[axis] for x in xs)
        return Meta(tuple(shape), first.dtype)

    def run(self, xs, out):
        axis = self.attr["axis"] % xs[0].ndim
        shape = list(xs[0].shape)
        shape[axis] = sum(x.shape[axis] for x in xs)
        joined = out(tuple(shape))
        np.concatenate(xs, axis=axis, out=joined)
        return joined

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",))]


@register_op
class ConcatGrad(OpDef):
    """Gradient of `concat`: X@GRAD are the parts of Out@GRAD, as views."""

    type = "concat_grad"
    inputs = (Slot("X", many=True), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD", many=True),)
    attrs = Concat.attrs
    views = {"X@GRAD": "Out@GRAD"}
    differentiable = False

    def infer_shape(self, xs, out_grad):
        return tuple(Meta(x.shape, x.dtype) for x in xs)

    def run(self, xs, out_grad, outs):
        axis = self.attr["axis"] % out_grad.ndim
        before = (slice(None),) * axis
        grads, start = [], 0
        for x, out in zip(xs, outs, strict=True):
            stop = start + x.shape[axis]
            grads.append(None if out is None else out_grad[(*before, slice(start, stop))])
            start = stop
        return tuple(grads)


@register_op
class Reshape2(OpDef):
    """Out = X with another shape. In `shape`, 0 keeps X's dimension of that place and one -1 takes what is left.

    XShape carries X's shape to the gradient. Source: Fluid's layers.reshape.
    """

    type = "reshape2"
    inputs = (Slot("X"), Slot("Shape", optional=True, dtypes="int"), Slot("ShapeTensor", optional=True, many=True))
    outputs = (Slot("Out"), Slot("XShape"))
    attrs = {"shape": []}
    lod_from = "X"
    views = {"Out": "X"}

    def _resolve(self, shape, x_shape):
        shape = [int(d) for d in shape]
        if any(d < -1 for d in shape) or shape.count(-1) > 1 or any(d == 0 for d in shape[len(x_shape) :]):
            self.fail(
                "the shape is not one that an array can have.",
                expected="positive numbers, at most one -1, and 0 only where X has a dimension",
                actual=str(shape),
            )
        shape = [x_shape[i] if d == 0 else d for i, d in enumerate(shape)]
        if -1 in x_shape:
            # Where the batch is unknown and -1 is not asked for, the dimension kept from X stays unknown.
            return tuple(shape)
        rest = math.prod(d for d in shape if d != -1)
        size = math.prod(x_shape)
        if -1 in shape and rest and size % rest == 0:
            shape[shape.index(-1)] = size // rest
        elif -1 in shape and size == 0:
            shape[shape.index(-1)] = 0
        if math.prod(shape) != size:
            self.fail(
                f"{self.var('X')} of shape {list(x_shape)} cannot take the shape {shape}.",
                expected=f"{size} elements",
                actual=str(shape),
            )
        return tuple(shape)

    def infer_shape(self, x, shape, parts):
        given = self.attr["shape"]
        if (shape is not None or parts) and not given:
            rank = shape.shape[0] if shape is not None else len(parts)
            return Meta((-1,) * rank, x.dtype), Meta((0, *x.shape), x.dtype)
        return Meta(self._resolve(given, x.shape), x.dtype), Meta((0, *x.shape), x.dtype)

    def run(self, x, shape, parts, out, shape_out):
        if parts:
            shape = [int(part.reshape(-1)[0]) for part in parts]
        elif shape is None:
            shape = self.attr["shape"]
        return x.reshape(self._resolve(shape, x.shape)), shape_out((0, *x.shape))

    def make_grad(self, spec):
        return [grad_spec(spec, outputs=("XShape",))]


@register_op
class Reshape2Grad(OpDef):
    """Gradient of `reshape2`: Out@GRAD with X's shape."""

    type = "reshape2_grad"
    inputs = (Slot("XShape"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    attrs = Reshape2.attrs
    lod_from = "XShape"
    views = {"X@GRAD": "Out@GRAD"}
    differentiable = False

    def infer_shape(self, shape, out_grad):
        return Meta(shape.shape[1:], out_grad.dtype)

    def run(self, shape, out_grad, out):
        return out_grad.reshape(shape.shape[1:])


@register_op
class Cast(OpDef):
    """Out = X in another dtype; fractions are cut off toward zero, and everything but 0 is true.

    Source: Fluid's layers.cast.
    """

    type = "cast"
    inputs = (Slot("X"),)
    outputs = (Slot("Out"),)
    attrs = {"in_dtype": None, "out_dtype": VarType.FP32}
    lod_from = "X"

    def infer_shape(self, x):
        return Meta(x.shape, canonical_dtype(self.attr["out_dtype"]))

    def run(self, x, out):
        array = out(x.shape)
        np.copyto(array, x, casting="unsafe")
        return array

    def make_grad(self, spec):
        attrs = {"in_dtype": spec.attrs["out_dtype"], "out_dtype": spec.attrs["in_dtype"]}
        ins = {"X": [grad_name(n) for n in spec.outputs["Out"]]}
        return [OpSpec("cast", ins, {"Out": [grad_name(n) for n in spec.inputs["X"]]}, attrs)]


@register_op
class Assign(OpDef):
    """Out = a copy of X. Source: Fluid's layers.assign."""

    type = "assign"
    inputs = (Slot("X", rows=True),)
    outputs = (Slot("Out", rows=True),)
    lod_from = "X"

    def infer_shape(self, x):
        return x

    def run(self, x, out):
        if not isinstance(x, np.ndarray):
            return x.copy()
        array = out(x.shape)
        np.copyto(array, x)
        return array

    def make_grad(self, spec):
        ins = {"X": [grad_name(n) for n in spec.outputs["Out"]]}
        return [OpSpec("assign", ins, {"Out": [grad_name(n) for n in spec.inputs["X"]]}, {})]


@register_op
class Shape(OpDef):
    """Out = the dimensions of Input at run time, int32 (rank,). Source: Fluid's layers.shape."""

    type = "shape"
    inputs = (Slot("Input", rows=True),)
    outputs = (Slot("Out"),)
    differentiable = False

    def infer_shape(self, x):
        return Meta((len(x.shape),), VarType.INT32)

    def run(self, x, out):
        dims = out((len(x.shape),))
        dims[...] = x.shape
        return dims


@register_op
class Reverse(OpDef):
    """Out = X read backwards along the axes named. Source: Fluid's layers.reverse and Variable[::-1]."""

    type = "reverse"
    inputs = (Slot("X"),)
    outputs = (Slot("Out"),)
    attrs = {"axis": []}
    views = {"Out": "X"}

    def infer_shape(self, x):
        return Meta(x.shape, x.dtype)

    def run(self, x, out):
        return np.flip(x, self.attr["axis"])

    def make_grad(self, spec):
        ins = {"X": [grad_name(n) for n in spec.outputs["Out"]]}
        outs = {"Out": [grad_name(n) for n in spec.inputs["X"]]}
        return [OpSpec("reverse", ins, outs, {"axis": spec.attrs["axis"]})]
