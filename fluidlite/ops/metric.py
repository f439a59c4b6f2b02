"""Metrics, and the top-k selection that they are made of."""

import numpy as np

from ..dtypes import VarType
from .registry import Meta, OpDef, Slot, grad_spec, register_op


@register_op
class TopK(OpDef):
    """The k largest entries along the last axis, largest first, and their indices; of equals the first comes first.

    X: (..., C); Out: (..., k); Indices: (..., k) int64. 1 <= k <= C. Source: Fluid's layers.topk.
    """

    type = "top_k"
    inputs = (Slot("X"), Slot("K", optional=True, dtypes="int"))
    outputs = (Slot("Out"), Slot("Indices"))
    attrs = {"k": 1}
    lod_from = "X"

    def infer_shape(self, x, k):
        count = -1 if k is not None else self.attr["k"]
        if k is None and (count < 1 or 0 <= x.shape[-1] < count):
            self._refuse(count, x.shape)
        return Meta((*x.shape[:-1], count), x.dtype), Meta((*x.shape[:-1], count), VarType.INT64)

    def _refuse(self, k, shape):
        self.fail(
            f"cannot take the {k} largest of the last dimension of {self.var('X')}.",
            expected=f"1 <= k <= {shape[-1]}",
            actual=f"k = {k}",
        )

    def run(self, x, k, out, indices_out):
        k = self.attr["k"] if k is None else int(k.reshape(-1)[0])
        if not 1 <= k <= x.shape[-1]:
            self._refuse(k, x.shape)
        values, indices = out((*x.shape[:-1], k)), indices_out((*x.shape[:-1], k))
        if k == 1:
            indices[..., 0] = x.argmax(axis=-1)
        elif x.dtype.kind == "f":
            indices[...] = np.argsort(-x, axis=-1, kind="stable")[..., :k]
        else:
            # Negating could overflow; reversing twice keeps the first of equals first.
            last = x.shape[-1] - 1
            indices[...] = last - np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., ::-1][..., :k]
        values[...] = np.take_along_axis(x, indices, axis=-1)
        return values, indices

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",), outputs=("Indices",))]


@register_op
class TopKGrad(OpDef):
    """Gradient of `top_k`: Out@GRAD at the places that were taken, zero elsewhere."""

    type = "top_k_grad"
    inputs = (Slot("X"), Slot("Indices"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    attrs = TopK.attrs
    lod_from = "X"
    differentiable = False

    def infer_shape(self, x, indices, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, indices, out_grad, out):
        grad = out.zeros(x.shape)
        np.put_along_axis(grad, indices, out_grad, axis=-1)
        return grad


@register_op
class Accuracy(OpDef):
    """The share of rows whose label is among the indices given: Accuracy = Correct / Total.

    Out, Indices: (N, k) from `top_k`; Label: (N, 1) int64. Accuracy: (1,) float32; Correct, Total: (1,) int32. Of no
    rows the accuracy is 0. Source: Fluid's layers.accuracy.
    """

    type = "accuracy"
    inputs = (Slot("Out"), Slot("Indices", dtypes=(VarType.INT64,)), Slot("Label", dtypes="int"))
    outputs = (Slot("Accuracy"), Slot("Correct"), Slot("Total"))
    differentiable = False

    def infer_shape(self, values, indices, label):
        return Meta((1,), VarType.FP32), Meta((1,), VarType.INT32), Meta((1,), VarType.INT32)

    def run(self, values, indices, label, accuracy_out, correct_out, total_out):
        if label.size != len(indices):
            self.fail(
                f"the labels {self.var('Label')} do not match the rows of {self.var('Indices')}.",
                expected=f"({len(indices)}, 1)",
                actual=str(label.shape),
            )
        accuracy, correct, total = accuracy_out((1,)), correct_out((1,)), total_out((1,))
        total[0] = len(indices)
        correct[0] = np.count_nonzero((indices == label.reshape(-1, 1)).any(axis=1))
        accuracy[0] = correct[0] / max(len(indices), 1)
        return accuracy, correct, total
