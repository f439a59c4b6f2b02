"""Losses of numbers against numbers: Huber's, and the smooth L1 loss of rows; each with its gradient."""

import math

import numpy as np

from .registry import Meta, OpDef, Slot, grad_spec, register_op


def require_fit(op, slot, shape, other, other_shape):
    """Refuse two shapes that differ where both are known."""
    if len(shape) != len(other_shape) or any(
        a != b and -1 not in (a, b) for a, b in zip(shape, other_shape, strict=True)
    ):
        op.fail(
            f"{op.var(slot)} does not have the shape of {op.var(other)}.",
            expected=str(list(other_shape)),
            actual=str(list(shape)),
        )


@register_op
class HuberLoss(OpDef):
    """Out = R^2 / 2 where |R| <= delta, else delta (|R| - delta / 2), of the Residual R = Y - X.

    X, Y, Residual, Out: one shape, float. Source: Fluid's layers.huber_loss; Huber, "Robust estimation of a location
    parameter" (1964).
    """

    type = "huber_loss"
    inputs = (Slot("X", dtypes="float"), Slot("Y", dtypes="float"))
    outputs = (Slot("Out"), Slot("Residual"))
    attrs = {"delta": 1.0}
    lod_from = "X"
    lod_to = ("Out",)

    def infer_shape(self, x, y):
        require_fit(self, "Y", y.shape, "X", x.shape)
        return Meta(x.shape, x.dtype), Meta(x.shape, x.dtype)

    def run(self, x, y, out, residual_out):
        delta = x.dtype.type(self.attr["delta"])
        residual, loss = residual_out(x.shape), out(x.shape)
        np.subtract(y.reshape(x.shape), x, out=residual)
        far = np.absolute(residual)
        near = np.minimum(far, delta)
        # With near = min(|R|, delta) both pieces are near (|R| - near / 2).
        np.subtract(far, near / 2, out=far)
        return np.multiply(near, far, out=loss), residual

    def make_grad(self, spec):
        return [grad_spec(spec, outputs=("Residual",), in_grads=("X", "Y"))]


@register_op
class HuberLossGrad(OpDef):
    """Gradient of `huber_loss`: Y@GRAD = Out@GRAD times the residual, cut to [-delta, delta]; X@GRAD = -Y@GRAD."""

    type = "huber_loss_grad"
    inputs = (Slot("Residual", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"), Slot("Y@GRAD"))
    attrs = HuberLoss.attrs
    differentiable = False

    def infer_shape(self, residual, out_grad):
        return Meta(residual.shape, residual.dtype), Meta(residual.shape, residual.dtype)

    def run(self, residual, out_grad, x_out, y_out):
        slope = np.clip(residual, -self.attr["delta"], self.attr["delta"])
        slope *= out_grad
        x_grad = None if x_out is None else np.negative(slope, out=x_out(residual.shape))
        y_grad = None
        if y_out is not None:
            y_grad = y_out(residual.shape)
            np.copyto(y_grad, slope)
        return x_grad, y_grad


_WEIGHTS = (
    Slot("InsideWeight", optional=True, dtypes="float"),
    Slot("OutsideWeight", optional=True, dtypes="float"),
)


@register_op
class SmoothL1Loss(OpDef):
    """Out[n] = the sum over row n of s(Diff) OutsideWeight, where Diff = (X - Y) InsideWeight.

    s(d) = (sigma d)^2 / 2 where |d| < 1 / sigma^2, else |d| - 1 / (2 sigma^2). X, Y, Diff and the weights: (N, ...);
    Out: (N, 1). Source: Fluid's layers.smooth_l1.
    """

    type = "smooth_l1_loss"
    inputs = (Slot("X", dtypes="float"), Slot("Y", dtypes="float"), *_WEIGHTS)
    outputs = (Slot("Diff"), Slot("Out"))
    attrs = {"sigma": 1.0}

    def infer_shape(self, x, y, inside, outside):
        require_fit(self, "Y", y.shape, "X", x.shape)
        for slot, weight in (("InsideWeight", inside), ("OutsideWeight", outside)):
            if weight is not None:
                require_fit(self, slot, weight.shape, "X", x.shape)
        return Meta(x.shape, x.dtype), Meta((x.shape[0], 1), x.dtype)

    def run(self, x, y, inside, outside, diff_out, out):
        square = self.attr["sigma"] ** 2
        diff, loss = diff_out(x.shape), out((len(x), 1))
        np.subtract(x, y, out=diff)
        if inside is not None:
            np.multiply(diff, inside, out=diff)
        far = np.absolute(diff)
        near = np.minimum(far, x.dtype.type(1 / square))
        # With near = min(|d|, 1 / sigma^2) both pieces are sigma^2 near (|d| - near / 2).
        cost = (far - near / 2) * near * x.dtype.type(square)
        if outside is not None:
            cost *= outside
        np.add.reduce(cost.reshape(len(x), math.prod(x.shape[1:])), axis=1, keepdims=True, out=loss)
        return diff, loss

    def make_grad(self, spec):
        inputs = ("InsideWeight", "OutsideWeight")
        return [grad_spec(spec, inputs=inputs, outputs=("Diff",), in_grads=("X", "Y"))]


@register_op
class SmoothL1LossGrad(OpDef):
    """Gradient of `smooth_l1_loss`: X@GRAD = Out@GRAD s'(Diff) times both weights, and Y@GRAD = -X@GRAD.

    s'(d) = sigma^2 d, cut to [-1, 1].
    """

    type = "smooth_l1_loss_grad"
    inputs = (*_WEIGHTS, Slot("Diff", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"), Slot("Y@GRAD"))
    attrs = SmoothL1Loss.attrs
    differentiable = False

    def infer_shape(self, inside, outside, diff, out_grad):
        return Meta(diff.shape, diff.dtype), Meta(diff.shape, diff.dtype)

    def run(self, inside, outside, diff, out_grad, x_out, y_out):
        slope = np.clip(diff * diff.dtype.type(self.attr["sigma"] ** 2), -1, 1)
        for weight in (inside, outside):
            if weight is not None:
                slope *= weight
        slope *= out_grad.reshape(len(diff), *(1,) * (diff.ndim - 1))
        y_grad = None if y_out is None else np.negative(slope, out=y_out(diff.shape))
        x_grad = None
        if x_out is not None:
            x_grad = x_out(diff.shape)
            np.copyto(x_grad, slope)
        return x_grad, y_grad
