"""Shape and data movement: nothing here computes with the numbers."""

import math

import numpy as np

from ..dtypes import VarType, canonical_dtype
from .registry import Meta, OpDef, OpSpec, Slot, grad_name, grad_spec, register_op


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
        if parts:
            # -1 stands for a Variable too, so that there may be several.
            known = (x.shape[i] if d == 0 and i < len(x.shape) else d for i, d in enumerate(given))
            return Meta(tuple(known), x.dtype), Meta((0, *x.shape), x.dtype)
        return Meta(self._resolve(given, x.shape), x.dtype), Meta((0, *x.shape), x.dtype)

    def run(self, x, shape, parts, out, shape_out):
        if parts:
            shape = [int(part.reshape(-1)[0]) for part in parts]
        elif shape is None:
            shape = self.attr["shape"]
        return x.reshape(self._resolve(shape, x.shape)), shape_out((0, *x.shape))

    def make_grad(self, spec):
        return [grad_spec(spec, outputs=("XShape",))]


class _ShapeGrad(OpDef):
    inputs = (Slot("XShape"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    lod_from = "XShape"
    views = {"X@GRAD": "Out@GRAD"}
    differentiable = False

    def infer_shape(self, shape, out_grad):
        return Meta(shape.shape[1:], out_grad.dtype)

    def run(self, shape, out_grad, out):
        return out_grad.reshape(shape.shape[1:])


@register_op
class Reshape2Grad(_ShapeGrad):
    """Gradient of `reshape2`: Out@GRAD with X's shape."""

    type = "reshape2_grad"
    attrs = Reshape2.attrs


class _Reshaping(OpDef):
    """Base of the ops on X alone that keep its elements and say so in XShape, as `reshape2` does."""

    inputs = (Slot("X"),)
    outputs = (Slot("Out"), Slot("XShape"))
    lod_from = "X"
    views = {"Out": "X"}

    def shape_of(self, x_shape):
        """Out's shape, with -1 where it is unknown."""
        raise NotImplementedError

    def infer_shape(self, x):
        return Meta(self.shape_of(x.shape), x.dtype), Meta((0, *x.shape), x.dtype)

    def run(self, x, out, shape_out):
        return x.reshape(self.shape_of(x.shape)), shape_out((0, *x.shape))

    def make_grad(self, spec):
        return [grad_spec(spec, outputs=("XShape",))]

    def axis_of(self, axis, rank):
        """`axis` counted from the front, of `rank` dimensions."""
        if not -rank <= axis < rank:
            self.fail(
                f"{self.var('X')} has no axis {axis}.", expected=f"-{rank} <= axis < {rank}", actual=f"axis = {axis}"
            )
        return axis % rank


@register_op
class Squeeze2(_Reshaping):
    """Out = X without the dimensions `axes`, which have length 1; without `axes`, without all of length 1.

    Errors: InvalidArgumentError when such a dimension is longer. Source: Fluid's layers.squeeze.
    """

    type = "squeeze2"
    attrs = {"axes": []}

    def shape_of(self, x_shape):
        axes = {self.axis_of(axis, len(x_shape)) for axis in self.attr["axes"]}
        for axis in sorted(axes):
            if x_shape[axis] not in (1, -1):
                self.fail(
                    f"Dimension {axis} of {self.var('X')} cannot be squeezed: its length is not 1.",
                    expected="1",
                    actual=f"{x_shape[axis]}, of shape {list(x_shape)}",
                )
        return tuple([d for i, d in enumerate(x_shape) if (i not in axes if axes else d != 1)])


@register_op
class Squeeze2Grad(_ShapeGrad):
    """Gradient of `squeeze2`: Out@GRAD with X's shape."""

    type = "squeeze2_grad"
    attrs = Squeeze2.attrs


@register_op
class Unsqueeze2(_Reshaping):
    """Out = X with dimensions of length 1 put in at `axes`, one after another in the order given.

    ``AxesTensor`` (n,) or ``AxesTensorList``, n of (1,), stand for the attribute, and the shape is then known at run
    time only. Source: Fluid's layers.unsqueeze.
    """

    type = "unsqueeze2"
    inputs = (
        Slot("X"),
        Slot("AxesTensor", optional=True, dtypes="int"),
        Slot("AxesTensorList", optional=True, many=True, dtypes="int"),
    )
    attrs = {"axes": []}

    def shape_with(self, x_shape, axes):
        """Out's shape."""
        shape = list(x_shape)
        for axis in axes:
            shape.insert(self.axis_of(axis, len(shape) + 1), 1)
        return tuple(shape)

    def infer_shape(self, x, axes, parts):
        if axes is None and not parts:
            shape = self.shape_with(x.shape, self.attr["axes"])
        else:
            shape = (-1,) * (len(x.shape) + (len(parts) or math.prod(axes.shape)))
        return Meta(shape, x.dtype), Meta((0, *x.shape), x.dtype)

    def run(self, x, axes, parts, out, shape_out):
        if parts:
            axes = [int(part.reshape(-1)[0]) for part in parts]
        else:
            axes = self.attr["axes"] if axes is None else axes.reshape(-1).tolist()
        return x.reshape(self.shape_with(x.shape, axes)), shape_out((0, *x.shape))


@register_op
class Unsqueeze2Grad(_ShapeGrad):
    """Gradient of `unsqueeze2`: Out@GRAD with X's shape."""

    type = "unsqueeze2_grad"
    attrs = Unsqueeze2.attrs


@register_op
class Flatten2(_Reshaping):
    """Out = X as a matrix: the first `axis` dimensions are its rows, the others its columns.

    Source: Fluid's layers.flatten.
    """

    type = "flatten2"
    attrs = {"axis": 1}

    def shape_of(self, x_shape):
        axis = self.attr["axis"]
        if not 0 <= axis <= len(x_shape):
            self.fail(
                f"{self.var('X')} cannot be flattened there.",
                expected=f"0 <= axis <= {len(x_shape)}, its rank",
                actual=f"axis = {axis}",
            )
        return tuple([-1 if -1 in dims else math.prod(dims) for dims in (x_shape[:axis], x_shape[axis:])])


@register_op
class Flatten2Grad(_ShapeGrad):
    """Gradient of `flatten2`: Out@GRAD with X's shape."""

    type = "flatten2_grad"
    attrs = Flatten2.attrs


@register_op
class Transpose2(OpDef):
    """Out = X with its dimensions in the order `axis`: dimension i of Out is dimension axis[i] of X. Drops LoD.

    Errors: InvalidArgumentError when `axis` is no order of X's dimensions. Source: Fluid's layers.transpose.
    """

    type = "transpose2"
    inputs = (Slot("X"),)
    outputs = (Slot("Out"), Slot("XShape"))
    attrs = {"axis": []}
    lod_from = "X"
    lod_to = ("XShape",)
    views = {"Out": "X"}

    def infer_shape(self, x):
        axis = self.attr["axis"]
        if sorted(axis) != list(range(len(x.shape))):
            self.fail(
                f"perm is no order of the dimensions of {self.var('X')}.",
                expected=f"every number of 0 ... {len(x.shape) - 1} once",
                actual=str(list(axis)),
            )
        return Meta(tuple([x.shape[i] for i in axis]), x.dtype), Meta((0, *x.shape), x.dtype)

    def run(self, x, out, shape_out):
        return x.transpose(self.attr["axis"]), shape_out((0, *x.shape))

    def make_grad(self, spec):
        return [grad_spec(spec, outputs=("XShape",))]


@register_op
class Transpose2Grad(_ShapeGrad):
    """Gradient of `transpose2`: Out@GRAD with its dimensions put back."""

    type = "transpose2_grad"
    attrs = Transpose2.attrs

    def run(self, shape, out_grad, out):
        return out_grad.transpose(np.argsort(self.attr["axis"]))


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
