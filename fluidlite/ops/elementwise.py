"""Arithmetic on two variables, element by element, with Fluid's broadcasting; each op with its gradient."""

import math

import numpy as np

from .._kernels import reduction as kernels
from ..dtypes import VarType
from ..selected_rows import Chunk, SelectedRows
from .broadcasting import NUMBERS, Binary
from .registry import Meta, OpDef, Slot, grad_spec, register_op


class _Elementwise(Binary):
    inplace = {"Out": "X"}

    # The NumPy function of (x, y, out=) that makes Out.
    compute = None

    def infer_shape(self, x, y):
        self.check_dtypes(x, y)
        return Meta(self.layout(x.shape, y.shape)[2], x.dtype)

    def run(self, x, y, out):
        if x.shape == y.shape:
            return self.compute(x, y, out=out(x.shape))
        x_shape, y_shape, shape = self.layout(x.shape, y.shape)
        return self.compute(x.reshape(x_shape), y.reshape(y_shape), out=out(shape))

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "Y"), in_grads=("X", "Y"))]


class _ElementwiseGrad(Binary):
    inputs = (Slot("X", dtypes="float"), Slot("Y", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"), Slot("Y@GRAD"))
    lod_from = None
    differentiable = False

    def infer_shape(self, x, y, out_grad):
        return Meta(x.shape, x.dtype), Meta(y.shape, y.dtype)

    def _aligned(self, x, y):
        """X and Y with the rank of Out."""
        if x.shape == y.shape:
            return x, y
        x_shape, y_shape, _ = self.layout(x.shape, y.shape)
        return x.reshape(x_shape), y.reshape(y_shape)


def _reduced_axes(aligned, shape):
    return tuple([i for i, (a, b) in enumerate(zip(aligned, shape, strict=True)) if a != b])


def _sum_to(grad, aligned, shape, out):
    """The sum of `grad` over the axes along which an array of shape `aligned` was repeated; in its own `shape`."""
    axes = _reduced_axes(aligned, grad.shape)
    if not axes:
        return grad.reshape(shape)
    array = out(shape)
    kept = math.prod(grad.shape[len(axes) :])
    if grad.dtype.kind == "f" and axes == tuple(range(len(axes))) and math.prod(aligned) == kept:
        # The leading axes: the gradient of a bias.
        kernels.sum_columns(np.ascontiguousarray(grad).reshape(-1, kept), array.reshape(kept))
    else:
        np.add.reduce(grad, axis=axes, keepdims=True, out=array.reshape(aligned))
    return array


def _sum_product_to(a, b, aligned, shape, out):
    """As `_sum_to` of the product of `a`, which is whole, and `b`, without an array of the size of the product."""
    axes = _reduced_axes(aligned, a.shape)
    array = out(shape)
    if not axes:
        np.multiply(a, b, out=array.reshape(a.shape))
        return array
    every = list(range(a.ndim))
    kept = [i for i in every if i not in axes]
    target = array.reshape([a.shape[i] for i in kept])
    # einsum adds one by one; a long sum to a single number keeps its digits in float64.
    wide = {"dtype": np.float64, "casting": "same_kind"} if math.prod(target.shape) == 1 else {}
    np.einsum(a, every, np.broadcast_to(b, a.shape), every, kept, out=target, **wide)
    return array


@register_op
class ElementwiseAdd(_Elementwise):
    """Out = X + Y, where Y is repeated to X's shape, or X to Y's.

    Y's shape is a run of X's dimensions that begins at `axis` (-1: the last ones); any of them may be 1.
    Errors: InvalidArgumentError when the shapes do not fit. Source: Fluid's layers.elementwise_add.
    """

    type = "elementwise_add"
    compute = np.add


@register_op
class ElementwiseAddGrad(_ElementwiseGrad):
    """Gradient of `elementwise_add`: Out@GRAD, summed over the axes along which X or Y was repeated."""

    type = "elementwise_add_grad"
    views = {"X@GRAD": "Out@GRAD", "Y@GRAD": "Out@GRAD"}

    def run(self, x, y, out_grad, x_out, y_out):
        x_, y_ = self._aligned(x, y)
        x_grad = None if x_out is None else _sum_to(out_grad, x_.shape, x.shape, x_out)
        y_grad = None if y_out is None else _sum_to(out_grad, y_.shape, y.shape, y_out)
        return x_grad, y_grad


@register_op
class ElementwiseSub(_Elementwise):
    """Out = X - Y, shapes as in `elementwise_add`. Source: Fluid's layers.elementwise_sub."""

    type = "elementwise_sub"
    compute = np.subtract


@register_op
class ElementwiseSubGrad(_ElementwiseGrad):
    """Gradient of `elementwise_sub`: Out@GRAD and -Out@GRAD, summed over the repeated axes."""

    type = "elementwise_sub_grad"
    views = {"X@GRAD": "Out@GRAD"}

    def run(self, x, y, out_grad, x_out, y_out):
        x_, y_ = self._aligned(x, y)
        x_grad = None if x_out is None else _sum_to(out_grad, x_.shape, x.shape, x_out)
        y_grad = None
        if y_out is not None:
            total = _sum_to(out_grad, y_.shape, y.shape, y_out)
            # Without anything to sum, the total is Out@GRAD itself.
            y_grad = np.negative(total, out=y_out(y.shape) if y.size == out_grad.size else total)
        return x_grad, y_grad


@register_op
class ElementwiseMul(_Elementwise):
    """Out = X Y, shapes as in `elementwise_add`. Source: Fluid's layers.elementwise_mul.

    X may be a SelectedRows, and Y one number then: the same rows with scaled values.
    """

    type = "elementwise_mul"
    inputs = (Slot("X", rows=True, dtypes=NUMBERS), Slot("Y", dtypes=NUMBERS))
    compute = np.multiply

    def infer_shape(self, x, y):
        if x.type == VarType.SELECTED_ROWS:
            if y.shape != (1,):
                self.fail(
                    f"the SelectedRows {self.var('X')} can be multiplied by one number only.",
                    expected="(1,)",
                    actual=str(y.shape),
                )
            return Meta(x.shape, x.dtype, VarType.SELECTED_ROWS)
        return super().infer_shape(x, y)

    def run(self, x, y, out):
        if isinstance(x, SelectedRows):
            # X's row numbers are the batch's ids, whose memory ends where X does.
            scaled = [Chunk(c.rows.copy(), c.value, c.padding_id) for c in x.scale(y.item()).chunks]
            return x.with_chunks(scaled)
        return super().run(x, y, out)


@register_op
class ElementwiseMulGrad(_ElementwiseGrad):
    """Gradient of `elementwise_mul`: Out@GRAD Y and Out@GRAD X, summed over the repeated axes."""

    type = "elementwise_mul_grad"

    def run(self, x, y, out_grad, x_out, y_out):
        x_, y_ = self._aligned(x, y)
        x_grad = None if x_out is None else _sum_product_to(out_grad, y_, x_.shape, x.shape, x_out)
        y_grad = None if y_out is None else _sum_product_to(out_grad, x_, y_.shape, y.shape, y_out)
        return x_grad, y_grad


@register_op
class ElementwiseDiv(_Elementwise):
    """Out = X / Y, shapes as in `elementwise_add`. Integers are truncated towards zero, as in C.

    Errors: InvalidArgumentError when an integer is divided by zero. Source: Fluid's layers.elementwise_div.
    """

    type = "elementwise_div"

    def compute(self, x, y, out):
        return np.divide(x, y, out=out) if x.dtype.kind == "f" else _truncating_divide(self, x, y, out)

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "Y"), outputs=("Out",), in_grads=("X", "Y"))]


def _refuse_zero(op, y):
    if not y.all():
        op.fail(
            f"{op.var('Y')} holds a zero, by which integers cannot be divided.",
            expected="no zeros",
            actual=f"{y.size - np.count_nonzero(y)} of {y.size} elements are zero",
        )


def _truncating_divide(op, x, y, out):
    _refuse_zero(op, y)
    # floor(x / y) is one too low where the division is not exact and the signs differ.
    low = np.not_equal(np.remainder(x, y), 0) & (np.less(x, 0) != np.less(y, 0))
    np.floor_divide(x, y, out=out)
    return np.add(out, low, out=out)


@register_op
class ElementwiseDivGrad(_ElementwiseGrad):
    """Gradient of `elementwise_div`: Out@GRAD / Y and -Out@GRAD Out / Y, summed over the repeated axes."""

    type = "elementwise_div_grad"
    inputs = (
        Slot("X", dtypes="float"),
        Slot("Y", dtypes="float"),
        Slot("Out", dtypes="float"),
        Slot("Out@GRAD", dtypes="float"),
    )

    def infer_shape(self, x, y, z, out_grad):
        return Meta(x.shape, x.dtype), Meta(y.shape, y.dtype)

    def run(self, x, y, z, out_grad, x_out, y_out):
        x_, y_ = self._aligned(x, y)
        x_grad = y_grad = None
        if x_out is not None and x_.shape == out_grad.shape:
            x_grad = x_out(x.shape)
            np.divide(out_grad, y_, out=x_grad.reshape(out_grad.shape))
        elif x_out is not None:
            x_grad = _sum_product_to(out_grad, np.reciprocal(y_), x_.shape, x.shape, x_out)
        if y_out is not None:
            y_grad = _sum_product_to(out_grad, z, y_.shape, y.shape, y_out)
            np.divide(y_grad, y, out=y_grad)
            np.negative(y_grad, out=y_grad)
        return x_grad, y_grad


class _ExtremeGrad(_ElementwiseGrad):
    # Which comparison of X with Y gives the gradient to X; Y has it where X has not.
    chooses_x = None

    def run(self, x, y, out_grad, x_out, y_out):
        x_, y_ = self._aligned(x, y)
        x_grad = y_grad = None
        chosen = self.chooses_x(x_, y_)
        if x_out is not None:
            x_grad = _sum_product_to(out_grad, chosen, x_.shape, x.shape, x_out)
        if y_out is not None:
            np.logical_not(chosen, out=chosen)
            y_grad = _sum_product_to(out_grad, chosen, y_.shape, y.shape, y_out)
        return x_grad, y_grad


@register_op
class ElementwiseMax(_Elementwise):
    """Out = max(X, Y), shapes as in `elementwise_add`. Source: Fluid's layers.elementwise_max."""

    type = "elementwise_max"
    compute = np.maximum


@register_op
class ElementwiseMaxGrad(_ExtremeGrad):
    """Gradient of `elementwise_max`: Out@GRAD goes to X where X > Y, else to Y."""

    type = "elementwise_max_grad"
    chooses_x = np.greater


@register_op
class ElementwiseMin(_Elementwise):
    """Out = min(X, Y), shapes as in `elementwise_add`. Source: Fluid's layers.elementwise_min."""

    type = "elementwise_min"
    compute = np.minimum


@register_op
class ElementwiseMinGrad(_ExtremeGrad):
    """Gradient of `elementwise_min`: Out@GRAD goes to X where X < Y, else to Y."""

    type = "elementwise_min_grad"
    chooses_x = np.less


@register_op
class ElementwisePow(_Elementwise):
    """Out = X^Y, shapes as in `elementwise_add`; integers are rounded. Source: Fluid's layers.elementwise_pow."""

    type = "elementwise_pow"

    def compute(self, x, y, out):
        if x.dtype.kind == "f":
            return np.power(x, y, out=out)
        power = np.power(x.astype(np.float64), y)
        np.copyto(out, np.rint(power, out=power), casting="unsafe")
        return out


@register_op
class ElementwisePowGrad(_ElementwiseGrad):
    """Gradient of `elementwise_pow`: Out@GRAD Y X^(Y-1) and Out@GRAD log(X) X^Y, summed over the repeated axes."""

    type = "elementwise_pow_grad"

    def run(self, x, y, out_grad, x_out, y_out):
        x_, y_ = self._aligned(x, y)
        x_grad = y_grad = None
        if x_out is not None:
            slope = np.power(x_, y_ - 1)
            np.multiply(slope, y_, out=slope)
            x_grad = _sum_product_to(out_grad, slope, x_.shape, x.shape, x_out)
        if y_out is not None:
            slope = np.power(x_, y_)
            np.multiply(slope, np.log(x_), out=slope)
            y_grad = _sum_product_to(out_grad, slope, y_.shape, y.shape, y_out)
        return x_grad, y_grad


class _Division(_Elementwise):
    differentiable = False
    make_grad = OpDef.make_grad


@register_op
class ElementwiseMod(_Division):
    """Out = what is left of X / Y, shapes as in `elementwise_add`: with Y's sign for floats, X's sign for integers.

    Errors: InvalidArgumentError when an integer is divided by zero. Source: Fluid's layers.elementwise_mod.
    """

    type = "elementwise_mod"

    def compute(self, x, y, out):
        if x.dtype.kind == "f":
            return np.remainder(x, y, out=out)
        _refuse_zero(self, y)
        return np.fmod(x, y, out=out)


@register_op
class ElementwiseFloordiv(_Division):
    """Out = X / Y truncated towards zero (Fluid's, in spite of its name), for integers; shapes as in `elementwise_add`.

    Errors: InvalidArgumentError when Y holds a zero. Source: Fluid's layers.elementwise_floordiv.
    """

    type = "elementwise_floordiv"
    inputs = (Slot("X", dtypes="int"), Slot("Y", dtypes="int"))

    def compute(self, x, y, out):
        return _truncating_divide(self, x, y, out)
