"""Mathematical functions of one variable, element by element; each with its gradient."""

import numpy as np

from .._kernels import activation as kernels
from ..dtypes import VarType
from ..selected_rows import Chunk, SelectedRows
from .broadcasting import NUMBERS
from .registry import Meta, OpDef, OpSpec, Slot, grad_name, grad_spec, register_op


class Unary(OpDef):
    """Base of the functions of X alone, element by element: Out has X's shape and may lie where X lay."""

    inputs = (Slot("X", dtypes="float"),)
    outputs = (Slot("Out"),)
    lod_from = "X"
    inplace = {"Out": "X"}

    # What the gradient reads beside Out@GRAD: "X" or "Out".
    grad_reads = "X"

    def infer_shape(self, x):
        return Meta(x.shape, x.dtype)

    def make_grad(self, spec):
        reads = {"inputs": ("X",)} if self.grad_reads == "X" else {"outputs": ("Out",)}
        return [grad_spec(spec, **reads)]


class UnaryGrad(OpDef):
    """Base of their gradients; the first input slot is what is read, X or Out."""

    outputs = (Slot("X@GRAD"),)
    lod_from = "Out@GRAD"
    differentiable = False

    def infer_shape(self, read, out_grad):
        return Meta(read.shape, read.dtype)


FROM_X = (Slot("X", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
FROM_OUT = (Slot("Out", dtypes="float"), Slot("Out@GRAD", dtypes="float"))


@register_op
class Pow(Unary):
    """Out = X^factor; ``FactorTensor`` of shape (1,) stands for the attribute. Source: Fluid's layers.pow."""

    type = "pow"
    inputs = (Slot("X", dtypes="float"), Slot("FactorTensor", optional=True, dtypes="float"))
    attrs = {"factor": 1.0}

    def infer_shape(self, x, factor):
        return Meta(x.shape, x.dtype)

    def run(self, x, factor, out):
        return np.power(x, self.attr["factor"] if factor is None else factor.flat[0], out=out(x.shape))

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "FactorTensor"))]


@register_op
class PowGrad(UnaryGrad):
    """Gradient of `pow`: X@GRAD = Out@GRAD factor X^(factor-1)."""

    type = "pow_grad"
    inputs = (
        Slot("X", dtypes="float"),
        Slot("FactorTensor", optional=True, dtypes="float"),
        Slot("Out@GRAD", dtypes="float"),
    )
    attrs = Pow.attrs
    inplace = {"X@GRAD": "X"}

    def infer_shape(self, x, factor, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, factor, out_grad, out):
        factor = self.attr["factor"] if factor is None else factor.flat[0]
        array = np.power(x, factor - 1, out=out(x.shape))
        np.multiply(array, factor, out=array)
        return np.multiply(array, out_grad, out=array)


@register_op
class Sqrt(Unary):
    """Out = the square root of X; NaN where X < 0. Source: Fluid's layers.sqrt."""

    type = "sqrt"
    grad_reads = "Out"

    def run(self, x, out):
        return np.sqrt(x, out=out(x.shape))


@register_op
class SqrtGrad(UnaryGrad):
    """Gradient of `sqrt`: X@GRAD = Out@GRAD / (2 Out); infinite at X = 0."""

    type = "sqrt_grad"
    inputs = FROM_OUT
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, y, out_grad, out):
        array = np.divide(out_grad, y, out=out(y.shape))
        return np.multiply(array, 0.5, out=array)


@register_op
class Square(Unary):
    """Out = X^2. Source: Fluid's layers.square."""

    type = "square"
    inputs = (Slot("X", dtypes=NUMBERS),)

    def run(self, x, out):
        return np.square(x, out=out(x.shape))


@register_op
class SquareGrad(UnaryGrad):
    """Gradient of `square`: X@GRAD = 2 X Out@GRAD."""

    type = "square_grad"
    inputs = FROM_X
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, x, out_grad, out):
        array = np.multiply(out_grad, x, out=out(x.shape))
        return np.multiply(array, 2, out=array)


@register_op
class Abs(Unary):
    """Out = |X|. Source: Fluid's layers.abs."""

    type = "abs"
    inputs = (Slot("X", dtypes=NUMBERS),)

    def run(self, x, out):
        return np.absolute(x, out=out(x.shape))


@register_op
class AbsGrad(UnaryGrad):
    """Gradient of `abs`: X@GRAD = Out@GRAD sign(X), 0 at X = 0."""

    type = "abs_grad"
    inputs = FROM_X
    inplace = {"X@GRAD": "X"}

    def run(self, x, out_grad, out):
        array = np.sign(x, out=out(x.shape))
        return np.multiply(array, out_grad, out=array)


@register_op
class Exp(Unary):
    """Out = e^X. Source: Fluid's layers.exp."""

    type = "exp"
    grad_reads = "Out"

    def run(self, x, out):
        array = out(x.shape)
        kernels.activate(np.ascontiguousarray(x), None, array, "exp")
        return array


@register_op
class ExpGrad(UnaryGrad):
    """Gradient of `exp`: X@GRAD = Out@GRAD Out."""

    type = "exp_grad"
    inputs = FROM_OUT
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, y, out_grad, out):
        return np.multiply(out_grad, y, out=out(y.shape))


@register_op
class Log(Unary):
    """Out = the natural logarithm of X; -inf at 0, NaN below. Source: Fluid's layers.log."""

    type = "log"

    def run(self, x, out):
        return np.log(x, out=out(x.shape))


@register_op
class LogGrad(UnaryGrad):
    """Gradient of `log`: X@GRAD = Out@GRAD / X."""

    type = "log_grad"
    inputs = FROM_X
    inplace = {"X@GRAD": "Out@GRAD"}

    def run(self, x, out_grad, out):
        return np.divide(out_grad, x, out=out(x.shape))


@register_op
class Sign(Unary):
    """Out = -1, 0 or 1, the sign of X. Its gradient is zero everywhere. Source: Fluid's layers.sign."""

    type = "sign"

    def run(self, x, out):
        return np.sign(x, out=out(x.shape))

    def make_grad(self, spec):
        return [_scale_spec(spec.outputs["Out"][0], spec.inputs["X"][0], {"scale": 0.0})]


def _scale_spec(out_name, x_name, attrs):
    """The gradient of a linear function of X, as a `scale` op."""
    return OpSpec("scale", {"X": [grad_name(out_name)]}, {"Out": [grad_name(x_name)]}, attrs)


@register_op
class Scale(OpDef):
    """Out = scale X + bias, or scale (X + bias) when not `bias_after_scale`.

    X: any shape, floats or integers (then scale and bias are truncated to integers first, as in Fluid), or, without
    bias, a SelectedRows. ``ScaleTensor`` of shape (1,) stands for the attribute `scale`. The gradient is a `scale` op.
    Source: Fluid's layers.scale.
    """

    type = "scale"
    inputs = (Slot("X", rows=True, dtypes=NUMBERS), Slot("ScaleTensor", optional=True))
    outputs = (Slot("Out", rows=True),)
    attrs = {"scale": 1.0, "bias": 0.0, "bias_after_scale": True}
    lod_from = "X"
    inplace = {"Out": "X"}

    def infer_shape(self, x, scale):
        if x.type == VarType.SELECTED_ROWS and self.attr["bias"]:
            self.fail(
                f"{self.var('X')} is a SelectedRows, to which no bias can be added.",
                expected="bias = 0",
                actual=f"bias = {self.attr['bias']}",
            )
        return Meta(x.shape, x.dtype, x.type)

    def run(self, x, scale, out):
        number = x.dtype.type
        factor = number(self.attr["scale"] if scale is None else scale.reshape(-1)[0])
        if isinstance(x, SelectedRows):
            # Rows are copied too: they may be a view of ids whose memory is somebody else's by the next op.
            chunks = [Chunk(c.rows.copy(), np.multiply(c.value, factor), c.padding_id) for c in x.chunks]
            return x.with_chunks(chunks)
        bias = number(self.attr["bias"])
        before, after = (0, bias) if self.attr["bias_after_scale"] else (bias, 0)
        if x.size and not any(x.strides):
            return out.spread((x.flat[0] + before) * factor + after, x.shape)
        array = out(x.shape)
        if before:
            x = np.add(x, before, out=array)
        if factor != 1:
            np.multiply(x, factor, out=array)
        elif x is not array:
            np.copyto(array, x)
        if after:
            np.add(array, after, out=array)
        return array

    def make_grad(self, spec):
        attrs = {**spec.attrs, "bias": 0.0, "bias_after_scale": True}
        made = _scale_spec(spec.outputs["Out"][0], spec.inputs["X"][0], attrs)
        if spec.inputs.get("ScaleTensor"):
            made.inputs["ScaleTensor"] = list(spec.inputs["ScaleTensor"])
        return [made]


@register_op
class Clip(OpDef):
    """Out = min(max(X, min), max), element by element. Source: Fluid's layers.clip.

    Of a SelectedRows, duplicates are summed first: what is clipped is the gradient that it stands for.
    """

    type = "clip"
    inputs = (Slot("X", rows=True, dtypes="float"),)
    outputs = (Slot("Out", rows=True),)
    attrs = {"min": 0.0, "max": 0.0}
    lod_from = "X"
    inplace = {"Out": "X"}

    def infer_shape(self, x):
        if not self.attr["min"] <= self.attr["max"]:
            self.fail("min is larger than max.", actual=f"min={self.attr['min']}, max={self.attr['max']}")
        return Meta(x.shape, x.dtype, x.type)

    def run(self, x, out):
        if isinstance(x, SelectedRows):
            merged = x.merge()
            np.clip(merged.value, self.attr["min"], self.attr["max"], out=merged.value)
            return merged
        return np.clip(x, x.dtype.type(self.attr["min"]), x.dtype.type(self.attr["max"]), out=out(x.shape))

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",))]


@register_op
class ClipGrad(OpDef):
    """Gradient of `clip`: Out@GRAD where min < X < max, zero elsewhere."""

    type = "clip_grad"
    inputs = (Slot("X", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    attrs = Clip.attrs
    lod_from = "X"
    inplace = {"X@GRAD": "Out@GRAD"}
    differentiable = False

    def infer_shape(self, x, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, out_grad, out):
        inside = (x > self.attr["min"]) & (x < self.attr["max"])
        return np.multiply(out_grad, inside, out=out(x.shape))
