"""Losses of probabilities, and smoothed labels: log_loss, kldiv_loss, label_smooth."""

import numpy as np

from .registry import Meta, OpDef, Slot, grad_spec, register_op
from .regression import require_fit


@register_op
class LogLoss(OpDef):
    """Loss = -Labels log(Predicted + epsilon) - (1 - Labels) log(1 - Predicted + epsilon), element by element.

    Predicted: probabilities, Labels: of the same shape, float. Source: Fluid's layers.log_loss.
    """

    type = "log_loss"
    inputs = (Slot("Predicted", dtypes="float"), Slot("Labels", dtypes="float"))
    outputs = (Slot("Loss"),)
    attrs = {"epsilon": 1e-4}
    lod_from = "Predicted"

    def infer_shape(self, p, label):
        require_fit(self, "Labels", label.shape, "Predicted", p.shape)
        return Meta(p.shape, p.dtype)

    def run(self, p, label, out):
        epsilon, label = p.dtype.type(self.attr["epsilon"]), label.reshape(p.shape)
        no = np.log(1 - p + epsilon)
        loss = np.log(p + epsilon, out=out(p.shape))
        np.multiply(loss, label, out=loss)
        np.add(loss, no * (1 - label), out=loss)
        return np.negative(loss, out=loss)

    def make_grad(self, spec):
        inputs = ("Predicted", "Labels")
        return [grad_spec(spec, inputs=inputs, out_grads=("Loss",), in_grads=("Predicted",))]


@register_op
class LogLossGrad(OpDef):
    """Gradient of `log_loss`: Loss@GRAD ((1 - Labels) / (1 - Predicted + epsilon) - Labels / (Predicted + epsilon))."""

    type = "log_loss_grad"
    inputs = (Slot("Predicted", dtypes="float"), Slot("Labels", dtypes="float"), Slot("Loss@GRAD", dtypes="float"))
    outputs = (Slot("Predicted@GRAD"),)
    attrs = LogLoss.attrs
    differentiable = False

    def infer_shape(self, p, label, loss_grad):
        return Meta(p.shape, p.dtype)

    def run(self, p, label, loss_grad, out):
        epsilon, label = p.dtype.type(self.attr["epsilon"]), label.reshape(p.shape)
        yes = label / (p + epsilon)
        grad = np.divide(1 - label, 1 - p + epsilon, out=out(p.shape))
        np.subtract(grad, yes, out=grad)
        return np.multiply(grad, loss_grad, out=grad)


class _Divergence(OpDef):
    """What `kldiv_loss` and its gradient share."""

    attrs = {"reduction": "mean"}

    def divisor(self, x):
        """What the sum of the costs is divided by; None where there is no sum."""
        reduction = self.attr["reduction"]
        if reduction not in ("mean", "sum", "batchmean", "none"):
            self.fail("there is no such reduction.", expected="mean, sum, batchmean or none", actual=repr(reduction))
        return {"mean": max(x.size, 1), "sum": 1, "batchmean": max(len(x), 1), "none": None}[reduction]


@register_op
class KldivLoss(_Divergence):
    """Loss = Target (log(Target) - X), and 0 where Target <= 0: the divergence of exp(X) from Target.

    X: logarithms of probabilities, (N, ...); Target: of the same shape. Loss: of that shape with the `reduction`
    'none', and (1,) otherwise: the sum of all elements, divided by their number ('mean'), by N ('batchmean') or not
    ('sum'). Source: Fluid's layers.kldiv_loss.
    """

    type = "kldiv_loss"
    inputs = (Slot("X", dtypes="float"), Slot("Target", dtypes="float"))
    outputs = (Slot("Loss"),)

    def infer_shape(self, x, target):
        require_fit(self, "Target", target.shape, "X", x.shape)
        self.divisor(np.empty((1,)))
        return Meta(x.shape if self.attr["reduction"] == "none" else (1,), x.dtype)

    def run(self, x, target, out):
        divisor = self.divisor(x)
        some = target > 0
        cost = (np.log(np.where(some, target, 1)) - x) * np.where(some, target, 0)
        if divisor is None:
            loss = out(x.shape)
            np.copyto(loss, cost)
            return loss
        loss = out((1,))
        loss[0] = np.add.reduce(cost, axis=None) / divisor
        return loss

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "Target"), out_grads=("Loss",))]


@register_op
class KldivLossGrad(_Divergence):
    """Gradient of `kldiv_loss`: X@GRAD = -Loss@GRAD Target where Target > 0, divided as the loss is."""

    type = "kldiv_loss_grad"
    inputs = (Slot("X", dtypes="float"), Slot("Target", dtypes="float"), Slot("Loss@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    lod_from = "X"
    differentiable = False

    def infer_shape(self, x, target, loss_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, target, loss_grad, out):
        grad = np.maximum(target, 0, out=out(x.shape))
        np.multiply(grad, loss_grad, out=grad)
        return np.divide(grad, -(self.divisor(x) or 1), out=grad)


@register_op
class LabelSmooth(OpDef):
    """Out = (1 - epsilon) X + epsilon PriorDist, over C classes: without PriorDist, each of them 1 / C.

    X: distributions (..., C) float; PriorDist: (1, C). Source: Fluid's layers.label_smooth; Szegedy et al., CVPR 2016.
    """

    type = "label_smooth"
    inputs = (Slot("X", dtypes="float"), Slot("PriorDist", optional=True, dtypes="float"))
    outputs = (Slot("Out"),)
    attrs = {"epsilon": 0.0}
    lod_from = "X"
    differentiable = False

    def infer_shape(self, x, prior):
        if prior is not None and prior.shape != (1, x.shape[-1]):
            self.fail(
                f"the distribution {self.var('PriorDist')} does not fit {self.var('X')}.",
                expected=str([1, x.shape[-1]]),
                actual=str(list(prior.shape)),
            )
        return Meta(x.shape, x.dtype)

    def run(self, x, prior, out):
        epsilon = self.attr["epsilon"]
        array = np.multiply(x, 1 - epsilon, out=out(x.shape))
        share = 1 / x.shape[-1] if prior is None else prior.reshape(-1)
        return np.add(array, epsilon * share, out=array)
