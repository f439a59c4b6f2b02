"""Normalization by the statistics of a batch (batch_norm) or of each of its rows (layer_norm)."""

import math

import numpy as np

from .._kernels import reduction as kernels
from .registry import Meta, OpDef, Slot, grad_spec, register_op


def _sum_channels(x):
    """Sums of (M, C), or of (N, C, L), for each channel, in the dtype of x."""
    if x.ndim == 2:
        sums = np.empty(x.shape[1], x.dtype)
        kernels.sum_columns(x, sums)
        return sums
    return np.add.reduce(np.add.reduce(x, axis=2), axis=0, dtype=np.float64).astype(x.dtype)


class _BatchNormalization(OpDef):
    """What batch_norm and its gradient share: where the channels of X are, and whose statistics count."""

    attrs = {
        "momentum": 0.9,
        "epsilon": 1e-5,
        "is_test": False,
        "use_global_stats": False,
        "data_layout": "NCHW",
    }

    def fixed(self):
        """Whether the moving statistics are used, and not changed."""
        return self.attr["is_test"] or self.attr["use_global_stats"]

    def channel_axis(self, rank):
        return 1 if self.attr["data_layout"] == "NCHW" else rank - 1

    def by_channel(self, array):
        """A C-contiguous array as (M, C), channels last, or as (N, C, L)."""
        if self.channel_axis(array.ndim) == array.ndim - 1:
            return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])
        return array.reshape(*array.shape[:2], math.prod(array.shape[2:]))


def _lift(stats, x):
    """One number for each channel, to be broadcast over what `by_channel` gave."""
    return stats if x.ndim == 2 else stats[:, None]


@register_op
class BatchNorm(_BatchNormalization):
    """Y = Scale (X - mean) / sqrt(variance + epsilon) + Bias, for each channel c.

    While training, mean and variance (biased) are those of the batch, and the moving ones follow where they lie:
    Mean = momentum Mean + (1 - momentum) mean, Variance likewise. With `is_test` or `use_global_stats` the moving ones
    are used and stay. X: (N, C), (N, C, H, W), or with `data_layout` 'NHWC' (N, H, W, C); the others (C,). SavedMean
    and SavedVariance: the mean and 1 / sqrt(variance + epsilon) that were used. An empty batch changes nothing.
    Source: Fluid's layers.batch_norm; Ioffe and Szegedy, "Batch normalization", ICML 2015.
    """

    type = "batch_norm"
    inputs = (
        Slot("X", dtypes="float"),
        Slot("Scale", dtypes="float"),
        Slot("Bias", dtypes="float"),
        Slot("Mean", dtypes="float"),
        Slot("Variance", dtypes="float"),
    )
    outputs = (Slot("Y"), Slot("MeanOut"), Slot("VarianceOut"), Slot("SavedMean"), Slot("SavedVariance"))
    lod_from = "X"
    lod_to = ("Y",)
    updates = {"MeanOut": "Mean", "VarianceOut": "Variance"}

    def infer_shape(self, x, scale, bias, mean, variance):
        layout, rank = self.attr["data_layout"], len(x.shape)
        if layout not in ("NCHW", "NHWC"):
            self.fail("there is no such data_layout.", expected="'NCHW' or 'NHWC'", actual=repr(layout))
        if not 2 <= rank <= 5:
            self.fail(f"{self.var('X')} has no channels.", expected="2 to 5 dimensions", actual=str(x.shape))
        n_channels = x.shape[self.channel_axis(rank)]
        for slot, meta in zip(("Scale", "Bias", "Mean", "Variance"), (scale, bias, mean, variance), strict=True):
            if meta.shape != (n_channels,):
                self.fail(
                    f"{self.var(slot)} does not fit the channels of {self.var('X')}.",
                    expected=f"({n_channels},)",
                    actual=str(meta.shape),
                )
        stats = Meta((n_channels,), scale.dtype)
        return Meta(x.shape, x.dtype), stats, stats, stats, stats

    def run(self, x, scale, bias, mean, variance, out, mean_out, variance_out, saved_mean_out, saved_variance_out):
        y = out(x.shape)
        rows, result = self.by_channel(np.ascontiguousarray(x)), self.by_channel(y)
        saved_mean, saved_inverse = saved_mean_out(mean.shape), saved_variance_out(mean.shape)
        count = rows.size // max(len(mean), 1)
        if self.fixed() or count == 0:
            saved_mean[...], used_variance = mean, variance
            np.subtract(rows, _lift(saved_mean, rows), out=result)
        else:
            np.divide(_sum_channels(rows), count, out=saved_mean)
            np.subtract(rows, _lift(saved_mean, rows), out=result)
            used_variance = _sum_channels(np.square(result)) / mean.dtype.type(count)
            for moving, now in ((mean, saved_mean), (variance, used_variance)):
                moving *= self.attr["momentum"]
                moving += (1 - self.attr["momentum"]) * now
        saved_inverse[...] = 1 / np.sqrt(used_variance + self.attr["epsilon"])
        np.multiply(result, _lift(saved_inverse * scale, rows), out=result)
        np.add(result, _lift(bias, rows), out=result)
        return y, mean, variance, saved_mean, saved_inverse

    def make_grad(self, spec):
        moving = ("Mean", "Variance") if self.attr["use_global_stats"] else ()
        return [
            grad_spec(
                spec,
                inputs=("X", "Scale", "Bias", *moving),
                outputs=("SavedMean", "SavedVariance"),
                out_grads=("Y",),
                in_grads=("Bias", "Scale", "X"),
            )
        ]


@register_op
class BatchNormGrad(_BatchNormalization):
    """Gradient of `batch_norm`, with xhat = (X - SavedMean) SavedVariance and sums over all but the channels.

    Bias@GRAD = sum of Y@GRAD; Scale@GRAD = sum of Y@GRAD xhat; X@GRAD = Scale SavedVariance Y@GRAD where the moving
    statistics were used, else Scale SavedVariance (Y@GRAD - Bias@GRAD / M - xhat Scale@GRAD / M), M elements a channel.
    """

    type = "batch_norm_grad"
    inputs = (
        Slot("X", dtypes="float"),
        Slot("Scale", dtypes="float"),
        Slot("Bias", dtypes="float"),
        Slot("Mean", optional=True, dtypes="float"),
        Slot("Variance", optional=True, dtypes="float"),
        Slot("SavedMean", dtypes="float"),
        Slot("SavedVariance", dtypes="float"),
        Slot("Y@GRAD", dtypes="float"),
    )
    outputs = (Slot("X@GRAD"), Slot("Scale@GRAD"), Slot("Bias@GRAD"))
    differentiable = False

    def infer_shape(self, x, scale, bias, mean, variance, saved_mean, saved_variance, y_grad):
        return Meta(x.shape, x.dtype), Meta(scale.shape, scale.dtype), Meta(bias.shape, bias.dtype)

    def run(self, x, scale, bias, mean, variance, saved_mean, inverse, y_grad, x_out, scale_out, bias_out):
        rows, grad = (self.by_channel(np.ascontiguousarray(a)) for a in (x, y_grad))
        x_grad = None if x_out is None else x_out(x.shape)
        bias_sums = _sum_channels(grad)
        work = np.subtract(rows, _lift(saved_mean, rows))
        np.multiply(work, _lift(inverse, rows), out=work)
        scale_sums = _sum_channels(work * grad)
        if x_grad is not None:
            result = self.by_channel(x_grad)
            if self.fixed():
                np.multiply(grad, _lift(scale * inverse, rows), out=result)
            else:
                count = max(rows.size // max(len(scale), 1), 1)
                np.multiply(work, _lift(scale_sums / -count, rows), out=work)
                np.add(work, grad, out=work)
                np.subtract(work, _lift(bias_sums / count, rows), out=work)
                np.multiply(work, _lift(scale * inverse, rows), out=result)
        return x_grad, _given(scale_out, scale_sums), _given(bias_out, bias_sums)


def _given(out, value):
    """`value` in the memory of an output, or None where nobody wants it."""
    if out is None:
        return None
    array = out(value.shape)
    array[...] = value
    return array


@register_op
class LayerNorm(OpDef):
    """Y = Scale (X - mean) / sqrt(variance + epsilon) + Bias, for each row by its own mean and (biased) variance.

    X is taken as a matrix (N, D): dimensions before `begin_norm_axis` are the rows. Scale, Bias: (D,), without them 1
    and 0; Mean, Variance: (N,). Source: Fluid's layers.layer_norm; Ba et al., "Layer normalization" (2016).
    """

    type = "layer_norm"
    inputs = (
        Slot("X", dtypes="float"),
        Slot("Scale", optional=True, dtypes="float"),
        Slot("Bias", optional=True, dtypes="float"),
    )
    outputs = (Slot("Y"), Slot("Mean"), Slot("Variance"))
    attrs = {"epsilon": 1e-5, "begin_norm_axis": 1}
    lod_from = "X"
    lod_to = ("Y",)

    def infer_shape(self, x, scale, bias):
        axis = self.attr["begin_norm_axis"]
        if not 0 < axis < len(x.shape) or any(d < 0 for d in x.shape[axis:]):
            self.fail(
                f"{self.var('X')} cannot be normalized from dimension {axis} on.",
                expected="0 < begin_norm_axis < the number of dimensions, and those from there on known",
                actual=f"shape {list(x.shape)}",
            )
        width = math.prod(x.shape[axis:])
        for slot, meta in (("Scale", scale), ("Bias", bias)):
            if meta is not None and meta.shape != (width,):
                self.fail(f"{self.var(slot)} has another width.", expected=f"({width},)", actual=str(meta.shape))
        n_rows = -1 if any(d < 0 for d in x.shape[:axis]) else math.prod(x.shape[:axis])
        stats = Meta((n_rows,), x.dtype)
        return Meta(x.shape, x.dtype), stats, stats

    def run(self, x, scale, bias, out, mean_out, variance_out):
        y = out(x.shape)
        n_rows = math.prod(x.shape[: self.attr["begin_norm_axis"]])
        width = math.prod(x.shape[self.attr["begin_norm_axis"] :])
        result = y.reshape(n_rows, width)
        rows = np.ascontiguousarray(x).reshape(n_rows, width)
        mean, variance = mean_out((n_rows,)), variance_out((n_rows,))
        np.divide(np.add.reduce(rows, axis=1), width, out=mean)
        np.subtract(rows, mean[:, None], out=result)
        np.divide(np.add.reduce(np.square(result), axis=1), width, out=variance)
        np.multiply(result, 1 / np.sqrt(variance + self.attr["epsilon"])[:, None], out=result)
        if scale is not None:
            np.multiply(result, scale, out=result)
        if bias is not None:
            np.add(result, bias, out=result)
        return y, mean, variance

    def make_grad(self, spec):
        return [
            grad_spec(
                spec,
                inputs=("X", "Scale", "Bias"),
                outputs=("Mean", "Variance"),
                out_grads=("Y",),
                in_grads=("Bias", "Scale", "X"),
            )
        ]


@register_op
class LayerNormGrad(OpDef):
    """Gradient of `layer_norm`, with xhat = (X - Mean) / sqrt(Variance + epsilon) and g = Scale Y@GRAD.

    X@GRAD = (g - mean of g - xhat mean of (g xhat)) / sqrt(Variance + epsilon), means over each row; Scale@GRAD and
    Bias@GRAD are the sums of Y@GRAD xhat and of Y@GRAD over the rows.
    """

    type = "layer_norm_grad"
    inputs = (
        *LayerNorm.inputs,
        Slot("Mean", dtypes="float"),
        Slot("Variance", dtypes="float"),
        Slot("Y@GRAD", dtypes="float"),
    )
    outputs = (Slot("X@GRAD"), Slot("Scale@GRAD", optional=True), Slot("Bias@GRAD", optional=True))
    attrs = LayerNorm.attrs
    differentiable = False

    def infer_shape(self, x, scale, bias, mean, variance, y_grad):
        param = Meta((math.prod(x.shape[self.attr["begin_norm_axis"] :]),), x.dtype)
        return Meta(x.shape, x.dtype), param, param

    def run(self, x, scale, bias, mean, variance, y_grad, x_out, scale_out, bias_out):
        shape = (len(mean), math.prod(x.shape[self.attr["begin_norm_axis"] :]))
        rows, grad = (np.ascontiguousarray(a).reshape(shape) for a in (x, y_grad))
        x_grad = scale_grad = bias_grad = None
        inverse = 1 / np.sqrt(variance + self.attr["epsilon"])[:, None]
        hat = np.subtract(rows, mean[:, None])
        np.multiply(hat, inverse, out=hat)
        if bias_out is not None:
            bias_grad = bias_out((shape[1],))
            kernels.sum_columns(grad, bias_grad)
        if scale_out is not None:
            scale_grad = scale_out((shape[1],))
            kernels.sum_columns(grad * hat, scale_grad)
        if x_out is not None:
            x_grad = x_out(x.shape)
            g = grad if scale is None else grad * scale
            projection = np.add.reduce(g * hat, axis=1, keepdims=True) / shape[1]
            result = np.multiply(hat, -projection, out=x_grad.reshape(shape))
            np.add(result, g, out=result)
            np.subtract(result, np.add.reduce(g, axis=1, keepdims=True) / shape[1], out=result)
            np.multiply(result, inverse, out=result)
        return x_grad, scale_grad, bias_grad
