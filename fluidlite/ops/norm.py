"""Norms, what is divided by them, and the cosine of two rows."""

import numpy as np

from ..selected_rows import SelectedRows
from .registry import Meta, OpDef, Slot, grad_spec, register_op

# Elements that are squared at a time; a constant, so that the order of a sum depends on nothing else.
_BLOCK = 1 << 14


def _sum_of_squares(x):
    """The sum of x^2: pairwise in blocks, the blocks in float64."""
    flat, total = x.reshape(-1), 0.0
    squares = np.empty(min(flat.size, _BLOCK), x.dtype)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        total += float(np.add.reduce(np.square(block, out=squares[: block.size])))
    return total


class _NormOfAll(OpDef):
    """Base of the norms of all elements: Out of shape (1,)."""

    inputs = (Slot("X", dtypes="float"),)
    outputs = (Slot("Out"),)

    def infer_shape(self, x):
        return Meta((1,), x.dtype)

    def run(self, x, out):
        array = out((1,))
        array[0] = self.norm(x)
        return array

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",))]


class _NormOfAllGrad(OpDef):
    inputs = (Slot("X", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    inplace = {"X@GRAD": "X"}
    differentiable = False

    def infer_shape(self, x, out_grad):
        return Meta(x.shape, x.dtype)


@register_op
class L1Norm(_NormOfAll):
    """Out = the sum of |X|, of shape (1,). Source: Fluid's op l1_norm, of contrib.layers.ctr_metric_bundle."""

    type = "l1_norm"

    def norm(self, x):
        return np.add.reduce(np.abs(x).reshape(-1))


@register_op
class L1NormGrad(_NormOfAllGrad):
    """Gradient of `l1_norm`: X@GRAD = Out@GRAD sign(X), 0 at 0."""

    type = "l1_norm_grad"

    def run(self, x, out_grad, out):
        array = np.sign(x, out=out(x.shape))
        return np.multiply(array, out_grad.flat[0], out=array)


@register_op
class SquaredL2Norm(_NormOfAll):
    """Out = the sum of X^2, of shape (1,). Squares are summed pairwise in blocks, the blocks in float64."""

    type = "squared_l2_norm"

    def norm(self, x):
        return _sum_of_squares(x)


@register_op
class SquaredL2NormGrad(_NormOfAllGrad):
    """Gradient of `squared_l2_norm`: X@GRAD = 2 Out@GRAD X."""

    type = "squared_l2_norm_grad"

    def run(self, x, out_grad, out):
        return np.multiply(x, 2 * out_grad.flat[0], out=out(x.shape))


@register_op
class Norm(OpDef):
    """Out = X / Norm, where Norm = the square root of (the sum of X^2 along `axis` + epsilon), with a 1 at `axis`.

    Source: Fluid's layers.l2_normalize.
    """

    type = "norm"
    inputs = (Slot("X", dtypes="float"),)
    outputs = (Slot("Out"), Slot("Norm"))
    attrs = {"axis": -1, "epsilon": 1e-10}

    def infer_shape(self, x):
        axis, rank = self.attr["axis"], len(x.shape)
        if not -rank <= axis < rank:
            self.fail(f"{self.var('X')} has no such axis.", expected=f"-{rank} <= axis < {rank}", actual=str(axis))
        norm = list(x.shape)
        norm[axis] = 1
        return Meta(x.shape, x.dtype), Meta(tuple(norm), x.dtype)

    def run(self, x, out, norm_out):
        axis = self.attr["axis"]
        array = np.empty_like(x) if out is None else out(x.shape)
        np.square(x, out=array)
        norm = None
        if norm_out is not None:
            shape = list(x.shape)
            shape[axis] = 1
            norm = norm_out(tuple(shape))
        norm = np.add.reduce(array, axis=axis, keepdims=True, out=norm)
        np.add(norm, self.attr["epsilon"], out=norm)
        np.sqrt(norm, out=norm)
        return (None if out is None else np.divide(x, norm, out=array)), (None if norm_out is None else norm)

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",), outputs=("Norm",))]


@register_op
class NormGrad(OpDef):
    """Gradient of `norm`: X@GRAD = (Out@GRAD - X (the sum of X Out@GRAD along `axis`) / Norm^2) / Norm."""

    type = "norm_grad"
    inputs = (Slot("X", dtypes="float"), Slot("Norm", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    attrs = Norm.attrs
    differentiable = False

    def infer_shape(self, x, norm, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, norm, out_grad, out):
        array = np.multiply(x, out_grad, out=out(x.shape))
        along = np.add.reduce(array, axis=self.attr["axis"], keepdims=True)
        np.divide(along, norm, out=along)
        np.divide(along, norm, out=along)
        np.multiply(x, along, out=array)
        np.subtract(out_grad, array, out=array)
        return np.divide(array, norm, out=array)


@register_op
class ClipByNorm(OpDef):
    """Out = X max_norm / max(norm, max_norm), where norm is the square root of the sum of X^2 over all elements.

    X may be a SelectedRows, whose rows are merged first. Zeros stay zeros. Source: Fluid's layers.clip_by_norm.
    """

    type = "clip_by_norm"
    inputs = (Slot("X", rows=True, dtypes="float"),)
    outputs = (Slot("Out", rows=True),)
    attrs = {"max_norm": 1.0}
    lod_from = "X"
    differentiable = False

    def infer_shape(self, x):
        if not self.attr["max_norm"] > 0:
            self.fail("the largest norm is not positive.", expected="max_norm > 0", actual=f"{self.attr['max_norm']}")
        return Meta(x.shape, x.dtype, x.type)

    def _factor(self, x):
        norm, largest = np.sqrt(_sum_of_squares(x)), self.attr["max_norm"]
        return largest / norm if norm > largest else 1.0

    def run(self, x, out):
        if isinstance(x, SelectedRows):
            merged = x.merge()
            np.multiply(merged.value, self._factor(merged.value), out=merged.value)
            return merged
        return np.multiply(x, self._factor(x), out=out(x.shape))


def _as_rows(x):
    """An array as rows: its first dimension, and all others as one."""
    return x if x.ndim == 2 else x.reshape(len(x), int(np.prod(x.shape[1:])))


def _dots(x, y):
    """The products of the rows of x and y, (N, 1), where y may have one row for all."""
    return np.einsum("nd,nd->n", *np.broadcast_arrays(x, y))[:, None]


@register_op
class CosSim(OpDef):
    """Out = the cosine of the angle between each row of X and that of Y, or Y's only row: X.Y / (XNorm YNorm).

    X: (N, ...), Y: of the same shape or with N = 1; Out, XNorm: (N, 1); YNorm: (N, 1) or (1, 1). A row of zeros has the
    cosine 0. Errors: InvalidArgumentError when the shapes do not fit. Source: Fluid's layers.cos_sim.
    """

    type = "cos_sim"
    inputs = (Slot("X", dtypes="float"), Slot("Y", dtypes="float"))
    outputs = (Slot("Out"), Slot("XNorm"), Slot("YNorm"))
    lod_from = "X"
    lod_to = ("Out",)

    def infer_shape(self, x, y):
        fits = len(x.shape) == len(y.shape) >= 2 and all(
            a == b or -1 in (a, b) for a, b in zip(x.shape[1:], y.shape[1:], strict=True)
        )
        if not fits or (y.shape[0] not in (1, x.shape[0]) and -1 not in (x.shape[0], y.shape[0])):
            self.fail(
                f"{self.var('X')} and {self.var('Y')} do not fit.",
                expected=f"Y of X's shape {list(x.shape)}, or with one row",
                actual=str(list(y.shape)),
            )
        n, m = (x.shape[0], 1), (y.shape[0], 1)
        return Meta(n, x.dtype), Meta(n, x.dtype), Meta(m, x.dtype)

    def run(self, x, y, out, x_out, y_out):
        self.infer_shape(x, y)
        x, y = _as_rows(x), _as_rows(y)
        x_norm, y_norm = x_out((len(x), 1)), y_out((len(y), 1))
        np.sqrt(_dots(x, x), out=x_norm)
        np.sqrt(_dots(y, y), out=y_norm)
        cosine, lengths = out((len(x), 1)), x_norm * y_norm
        cosine[...] = _dots(x, y)
        np.divide(cosine, lengths, out=cosine, where=lengths > 0)
        return cosine, x_norm, y_norm

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "Y"), outputs=("Out", "XNorm", "YNorm"), in_grads=("X", "Y"))]


@register_op
class CosSimGrad(OpDef):
    """Gradient of `cos_sim`: X@GRAD = Out@GRAD (Y / (XNorm YNorm) - Out X / XNorm^2), and Y@GRAD likewise.

    Summed over the rows where Y has one for all; 0 where a row is all zeros.
    """

    type = "cos_sim_grad"
    inputs = (
        Slot("X", dtypes="float"),
        Slot("Y", dtypes="float"),
        Slot("Out", dtypes="float"),
        Slot("XNorm", dtypes="float"),
        Slot("YNorm", dtypes="float"),
        Slot("Out@GRAD", dtypes="float"),
    )
    outputs = (Slot("X@GRAD"), Slot("Y@GRAD"))
    differentiable = False

    def infer_shape(self, x, y, cosine, x_norm, y_norm, out_grad):
        return Meta(x.shape, x.dtype), Meta(y.shape, y.dtype)

    def run(self, x, y, cosine, x_norm, y_norm, out_grad, x_out, y_out):
        x_, y_ = _as_rows(x), _as_rows(y)
        lengths = x_norm * y_norm
        # One scale of the other row, and one of the own row for each of the two.
        across = np.divide(out_grad, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        x_grad = y_grad = None
        if x_out is not None:
            x_grad = x_out(x.shape)
            along = np.divide(across * cosine * y_norm, x_norm, out=np.zeros_like(across), where=x_norm > 0)
            np.subtract(across * y_, along * x_, out=_as_rows(x_grad))
        if y_out is not None:
            y_grad = y_out(y.shape)
            along = across * cosine * x_norm
            along = np.divide(along, y_norm, out=np.zeros_like(across), where=np.broadcast_to(y_norm > 0, along.shape))
            grad = across * x_ - along * y_
            if len(y_) != len(x_):
                grad = np.add.reduce(grad, axis=0, keepdims=True)
            np.copyto(_as_rows(y_grad), grad)
        return x_grad, y_grad
