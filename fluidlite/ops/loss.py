"""Losses: cross entropy of probabilities, of logits after softmax, and of logits after sigmoid."""

import numpy as np

from .._kernels import loss as loss_kernels
from ..errors import OutOfRangeError
from .registry import Meta, OpDef, Slot, grad_spec, register_op

# Fluid's -log(0): large, and finite so that a mean of losses stays a number.
_LOG_OF_ZERO = 1e20


def label_rows(op, label, n):
    """Labels as (n,) int64."""
    if label.size != n:
        op.fail(
            f"the labels {op.var('Label')} do not match the rows of the input.",
            expected=f"{n} labels",
            actual=f"shape {label.shape}",
        )
    return label.reshape(-1).astype(np.int64, copy=False)


def refuse_label(op, label, position, n_classes, ignore_index):
    """Raise the error of a label that is no class."""
    raise OutOfRangeError(
        f"Label {label} at position {position} of {op.var('Label')} is not one of the {n_classes} classes.",
        expected=f"0 <= label < {n_classes}, or {ignore_index} (ignore_index)",
        actual=str(label),
    )


def _checked_labels(op, label, n, n_classes, ignore_index):
    """Labels as (n,) int64, every one a class or `ignore_index`; and where they are ignored, or None."""
    label = label_rows(op, label, n)
    ignored = label == ignore_index
    if not ignored.any():
        ignored = None
    outside = (label < 0) | (label >= n_classes)
    if ignored is not None:
        outside &= ~ignored
    if outside.any():
        at = int(outside.argmax())
        refuse_label(op, label[at], at, n_classes, ignore_index)
    return (label if ignored is None else np.where(ignored, 0, label)), ignored


def cross_entropy_of_rows(op, x, bias, label, softmax, loss):
    """Softmax and its cross entropy with hard labels, over the last axis, by the kernel."""
    n_classes = x.shape[-1]
    ignore_index = op.attr["ignore_index"]
    rows = np.ascontiguousarray(x).reshape(-1, n_classes)
    label = label_rows(op, label, len(rows))
    try:
        loss_kernels.softmax_cross_entropy(
            rows, bias, label, ignore_index, softmax.reshape(-1, n_classes), loss.reshape(-1)
        )
    except loss_kernels.LabelOutOfRange as error:
        refuse_label(op, error.label, error.position, n_classes, ignore_index)


def cross_entropy_grad_of_rows(op, softmax, label, loss_grad, x_grad, bias_grad):
    """The gradient of `cross_entropy_of_rows`, and of the bias if `bias_grad` is given."""
    n_classes = softmax.shape[-1]
    rows = np.ascontiguousarray(softmax).reshape(-1, n_classes)
    loss_kernels.softmax_cross_entropy_grad(
        rows,
        label_rows(op, label, len(rows)),
        op.attr["ignore_index"],
        loss_grad.reshape(-1),
        x_grad.reshape(-1, n_classes),
        bias_grad,
    )


def _minus_log(p):
    """-log(p) in place, with Fluid's finite value at 0."""
    zero = p <= 0
    if zero.any():
        np.log(p, out=p)
        np.negative(p, out=p)
        p[zero] = _LOG_OF_ZERO
        return p
    np.log(p, out=p)
    return np.negative(p, out=p)


class _CrossEntropy(OpDef):
    inputs = (Slot("X", dtypes="float"), Slot("Label"))
    lod_from = "X"

    def _check_labels(self, x, label):
        """Refuse labels that cannot fit, as far as it is known before anything runs."""
        soft = self.attr.get("soft_label")
        rows = x.shape if soft else (*x.shape[:-1], 1)
        fits = len(label.shape) == len(rows) and all(
            a == b or -1 in (a, b) for a, b in zip(label.shape, rows, strict=True)
        )
        if not fits:
            self.fail(
                f"the labels {self.var('Label')} do not fit the input {self.var('X')} of shape {list(x.shape)}.",
                expected=str(list(rows)),
                actual=str(list(label.shape)),
            )


@register_op
class CrossEntropy2(_CrossEntropy):
    """Cross entropy of probabilities with hard labels: Y[n] = -log X[n, Label[n]], and 0 where it is ignore_index.

    X: (..., C) float, rows that sum to 1; Label: (..., 1) int64 in [0, C). Y, MatchX: (..., 1). A probability of 0
    costs 1e20. Source: Fluid's layers.cross_entropy.
    """

    type = "cross_entropy2"
    outputs = (Slot("Y"), Slot("MatchX"), Slot("XShape"))
    attrs = {"ignore_index": -100}
    lod_to = ("Y", "XShape")

    def infer_shape(self, x, label):
        self._check_labels(x, label)
        column = Meta((*x.shape[:-1], 1), x.dtype)
        return column, column, Meta((*x.shape, 0), x.dtype)

    def run(self, x, label, out, match_out, shape_out):
        n_classes = x.shape[-1]
        rows = x.reshape(-1, n_classes)
        label, ignored = _checked_labels(self, label, len(rows), n_classes, self.attr["ignore_index"])
        match, loss = match_out((*x.shape[:-1], 1)), out((*x.shape[:-1], 1))
        flat = match.reshape(-1)
        flat[...] = rows[np.arange(len(rows)), label]
        if ignored is not None:
            flat[ignored] = 1
        loss[...] = match
        return _minus_log(loss), match, shape_out((*x.shape, 0))

    def make_grad(self, spec):
        grad = grad_spec(
            spec, inputs=("Label",), outputs=("MatchX", "XShape"), out_grads=("Y",), type="cross_entropy_grad2"
        )
        return [grad]


@register_op
class CrossEntropyGrad2(OpDef):
    """Gradient of `cross_entropy2`: X@GRAD[n, Label[n]] = -Y@GRAD[n] / MatchX[n], zero elsewhere."""

    type = "cross_entropy_grad2"
    inputs = (Slot("Label"), Slot("MatchX"), Slot("XShape"), Slot("Y@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    attrs = CrossEntropy2.attrs
    lod_from = "XShape"
    differentiable = False

    def infer_shape(self, label, match, shape, y_grad):
        return Meta(shape.shape[:-1], y_grad.dtype)

    def run(self, label, match, shape, y_grad, out):
        grad = out.zeros(shape.shape[:-1])
        rows = grad.reshape(-1, grad.shape[-1])
        label = label.reshape(-1)
        keep = np.flatnonzero(label != self.attr["ignore_index"])
        rows[keep, label[keep]] = -y_grad.reshape(-1)[keep] / match.reshape(-1)[keep]
        return grad


@register_op
class CrossEntropy(_CrossEntropy):
    """Cross entropy of probabilities with soft labels: Y[n] = -sum_c Label[n, c] log X[n, c].

    X, Label: (..., C) float; Y: (..., 1). Source: Fluid's layers.cross_entropy(soft_label=True).
    """

    type = "cross_entropy"
    outputs = (Slot("Y"),)
    attrs = {"soft_label": False, "ignore_index": -100}

    def infer_shape(self, x, label):
        self._check_labels(x, label)
        return Meta((*x.shape[:-1], 1), x.dtype)

    def run(self, x, label, out):
        n_classes = x.shape[-1]
        rows = x.reshape(-1, n_classes)
        loss = out((*x.shape[:-1], 1))
        if self.attr["soft_label"]:
            costs = _minus_log(rows.copy())
            np.einsum("nc,nc->n", costs, label.reshape(-1, n_classes), out=loss.reshape(-1))
            return loss
        label, ignored = _checked_labels(self, label, len(rows), n_classes, self.attr["ignore_index"])
        flat = loss.reshape(-1)
        flat[...] = rows[np.arange(len(rows)), label]
        if ignored is not None:
            flat[ignored] = 1
        return _minus_log(loss)

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "Label"), out_grads=("Y",))]


@register_op
class CrossEntropyGrad(OpDef):
    """Gradient of `cross_entropy`: X@GRAD = -Y@GRAD Label / X, with a one-hot Label when labels are hard."""

    type = "cross_entropy_grad"
    inputs = (Slot("X", dtypes="float"), Slot("Label"), Slot("Y@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    attrs = CrossEntropy.attrs
    lod_from = "X"
    differentiable = False

    def infer_shape(self, x, label, y_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, label, y_grad, out):
        if self.attr["soft_label"]:
            grad = out(x.shape)
            np.divide(label.reshape(x.shape), x, out=grad)
            grad *= y_grad.reshape(*x.shape[:-1], 1)
            return np.negative(grad, out=grad)
        grad = out.zeros(x.shape)
        rows, label = grad.reshape(-1, x.shape[-1]), label.reshape(-1)
        keep = np.flatnonzero(label != self.attr["ignore_index"])
        rows[keep, label[keep]] = -y_grad.reshape(-1)[keep] / x.reshape(rows.shape)[keep, label[keep]]
        return grad


@register_op
class SoftmaxWithCrossEntropy(OpDef):
    """Softmax over `axis`, and its cross entropy: Loss = log(sum_c exp Logits[c]) - Logits[Label].

    Logits: float; Label: int64 with 1 in place of `axis`, or with `soft_label` a distribution of Logits' shape (then
    Loss = sum_c Label[c] (log sum exp Logits - Logits[c])). Loss has 1 in place of `axis`. Always computed in the
    stable way, whatever `numeric_stable_mode` says. Source: Fluid's layers.softmax_with_cross_entropy.
    """

    type = "softmax_with_cross_entropy"
    inputs = (Slot("Logits", dtypes="float"), Slot("Label"))
    outputs = (Slot("Softmax"), Slot("Loss"))
    attrs = {"soft_label": False, "ignore_index": -100, "numeric_stable_mode": True, "axis": -1}
    lod_from = "Logits"

    def _loss_shape(self, shape):
        axis = self.attr["axis"] % len(shape)
        return (*shape[:axis], 1, *shape[axis + 1 :])

    def infer_shape(self, logits, label):
        expected = logits.shape if self.attr["soft_label"] else self._loss_shape(logits.shape)
        if len(label.shape) != len(expected) or any(
            a != b and -1 not in (a, b) for a, b in zip(label.shape, expected, strict=True)
        ):
            self.fail(
                f"the labels {self.var('Label')} do not fit the logits of shape {list(logits.shape)}.",
                expected=str(list(expected)),
                actual=str(list(label.shape)),
            )
        return Meta(logits.shape, logits.dtype), Meta(self._loss_shape(logits.shape), logits.dtype)

    def run(self, logits, label, softmax_out, loss_out):
        axis = self.attr["axis"]
        softmax, loss = softmax_out(logits.shape), loss_out(self._loss_shape(logits.shape))
        if not self.attr["soft_label"] and axis in (-1, logits.ndim - 1):
            cross_entropy_of_rows(self, logits, None, label, softmax, loss)
            return softmax, loss
        x, p = np.moveaxis(logits, axis, -1), np.moveaxis(softmax, axis, -1)
        shifted = x - x.max(axis=-1, keepdims=True)
        np.exp(shifted, out=p)
        total = p.sum(axis=-1, keepdims=True)
        p /= total
        log_total = np.log(total)
        if self.attr["soft_label"]:
            target = np.moveaxis(label.reshape(logits.shape), axis, -1)
            cost = (target * (log_total - shifted)).sum(axis=-1, keepdims=True)
        else:
            n_classes, shape = x.shape[-1], log_total.shape
            flat = np.moveaxis(label.reshape(loss.shape), axis, -1)
            label, ignored = _checked_labels(self, flat, log_total.size, n_classes, self.attr["ignore_index"])
            cost = log_total - np.take_along_axis(shifted, label.reshape(shape), axis=-1)
            if ignored is not None:
                cost[ignored.reshape(shape)] = 0
        np.moveaxis(loss, axis, -1)[...] = cost
        return softmax, loss

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("Label",), outputs=("Softmax",), out_grads=("Loss",), in_grads=("Logits",))]


@register_op
class SoftmaxWithCrossEntropyGrad(OpDef):
    """Gradient of `softmax_with_cross_entropy`: Logits@GRAD = Loss@GRAD (Softmax - target), target the one-hot label.

    Softmax counts as an intermediate: a gradient that reaches it from elsewhere is not carried on, as in Fluid.
    """

    type = "softmax_with_cross_entropy_grad"
    inputs = (Slot("Label"), Slot("Softmax", dtypes="float"), Slot("Loss@GRAD", dtypes="float"))
    outputs = (Slot("Logits@GRAD"),)
    attrs = SoftmaxWithCrossEntropy.attrs
    lod_from = "Softmax"
    inplace = {"Logits@GRAD": "Softmax"}
    differentiable = False

    def infer_shape(self, label, softmax, loss_grad):
        return Meta(softmax.shape, softmax.dtype)

    def run(self, label, softmax, loss_grad, out):
        axis = self.attr["axis"]
        grad = out(softmax.shape)
        if not self.attr["soft_label"] and axis in (-1, softmax.ndim - 1):
            cross_entropy_grad_of_rows(self, softmax, label, loss_grad, grad, None)
            return grad
        if self.attr["soft_label"]:
            np.subtract(softmax, label.reshape(softmax.shape), out=grad)
            grad *= loss_grad
            return grad
        label = np.moveaxis(label.reshape(loss_grad.shape), axis, -1)
        ignored = label == self.attr["ignore_index"]
        np.multiply(softmax, loss_grad, out=grad)
        rows = np.moveaxis(grad, axis, -1)
        scale = np.moveaxis(loss_grad, axis, -1)
        target = np.where(ignored, 0, label)
        hit = np.take_along_axis(rows, target, axis=-1) - scale
        np.put_along_axis(rows, target, hit, axis=-1)
        if ignored.any():
            rows[ignored[..., 0]] = 0
        return grad


@register_op
class SigmoidCrossEntropyWithLogits(OpDef):
    """Element by element: Out = max(X, 0) - X Label + log(1 + exp(-|X|)), and 0 where Label is ignore_index.

    X, Label, Out: one shape, float. With `normalize`, divided by the number of elements that are not ignored.
    Source: Fluid's layers.sigmoid_cross_entropy_with_logits.
    """

    type = "sigmoid_cross_entropy_with_logits"
    inputs = (Slot("X", dtypes="float"), Slot("Label", dtypes="float"))
    outputs = (Slot("Out"),)
    attrs = {"ignore_index": -100, "normalize": False}
    lod_from = "X"

    def infer_shape(self, x, label):
        if len(x.shape) != len(label.shape) or any(
            a != b and -1 not in (a, b) for a, b in zip(x.shape, label.shape, strict=True)
        ):
            self.fail(
                f"the labels {self.var('Label')} do not have the shape of {self.var('X')}.",
                expected=str(list(x.shape)),
                actual=str(list(label.shape)),
            )
        return Meta(x.shape, x.dtype)

    def run(self, x, label, out):
        loss = out(x.shape)
        x, label = np.ascontiguousarray(x), np.ascontiguousarray(label).reshape(x.shape)
        loss_kernels.sigmoid_cross_entropy(x, label, self.attr["ignore_index"], loss)
        return _normalized(self.attr, label, loss)

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "Label"))]


def _normalized(attr, label, values):
    """Divided by the number of elements that are not ignored, if that is asked for."""
    if attr["normalize"]:
        values /= max(label.size - np.count_nonzero(label == attr["ignore_index"]), 1)
    return values


@register_op
class SigmoidCrossEntropyWithLogitsGrad(OpDef):
    """Gradient of `sigmoid_cross_entropy_with_logits`: X@GRAD = Out@GRAD (sigmoid(X) - Label)."""

    type = "sigmoid_cross_entropy_with_logits_grad"
    inputs = (Slot("X", dtypes="float"), Slot("Label", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    attrs = SigmoidCrossEntropyWithLogits.attrs
    lod_from = "X"
    differentiable = False

    def infer_shape(self, x, label, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, label, out_grad, out):
        grad = out(x.shape)
        x, label = np.ascontiguousarray(x), np.ascontiguousarray(label).reshape(x.shape)
        out_grad = np.ascontiguousarray(out_grad).reshape(x.shape)
        loss_kernels.sigmoid_cross_entropy_grad(x, label, self.attr["ignore_index"], out_grad, grad)
        return _normalized(self.attr, label, grad)
