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


@register_op
class Auc(OpDef):
    """The area under the ROC curve of all batches counted so far, from counts of scores in `num_thresholds` + 1 bins.

    A score s falls into bin floor(s num_thresholds); a label above 0 counts in StatPos, 0 in StatNeg, a negative one
    nowhere. AUC = sum over bins of neg (the positives above + pos / 2) / (positives negatives), the trapezoidal rule;
    0 while one of the classes is missing.

    Predict: (N, C), probabilities in [0, 1], the last column is the score; Label: (N, 1); AUC: (1,) float64.
    StatPos, StatNeg: int64, changed where they lie. With `slide_steps` = S above 0 they hold S + 1 rows of bins and the
    number of batches: the counts of each of the last S batches, in a ring, and their sum, which AUC is made of. With 0
    they hold one row, of all batches. `curve` is 'ROC' or 'PR'; both give the ROC curve, as in Fluid.
    Source: Fluid's layers.auc.
    """

    type = "auc"
    inputs = (
        Slot("Predict", dtypes="float"),
        Slot("Label", dtypes="int"),
        Slot("StatPos", dtypes=(VarType.INT64,)),
        Slot("StatNeg", dtypes=(VarType.INT64,)),
    )
    outputs = (Slot("AUC"), Slot("StatPosOut"), Slot("StatNegOut"))
    attrs = {"curve": "ROC", "num_thresholds": 4095, "slide_steps": 1}
    updates = {"StatPosOut": "StatPos", "StatNegOut": "StatNeg"}
    differentiable = False

    def infer_shape(self, predict, label, stat_pos, stat_neg):
        if self.attr["curve"] not in ("ROC", "PR"):
            self.fail("there is no such curve.", expected="'ROC' or 'PR'", actual=repr(self.attr["curve"]))
        if self.attr["num_thresholds"] < 1 or self.attr["slide_steps"] < 0:
            self.fail(
                "num_thresholds must be positive and slide_steps not negative.",
                actual=f"{self.attr['num_thresholds']} and {self.attr['slide_steps']}",
            )
        n_bins, n_steps = self.attr["num_thresholds"] + 1, self.attr["slide_steps"]
        needed = (n_steps + 1) * n_bins + (n_steps > 0)
        for slot, meta in (("StatPos", stat_pos), ("StatNeg", stat_neg)):
            size = int(np.prod(meta.shape))
            if size < needed:
                self.fail(f"{self.var(slot)} is too small.", expected=f"{needed} counts", actual=str(size))
        return Meta((1,), VarType.FP64), Meta(stat_pos.shape, VarType.INT64), Meta(stat_neg.shape, VarType.INT64)

    def _bins(self, predict, label):
        """The bin and the label of each row."""
        scores, label = predict[..., -1].reshape(-1), label.reshape(-1)
        if label.size != scores.size:
            self.fail(
                f"the labels {self.var('Label')} do not match the rows of {self.var('Predict')}.",
                expected=f"({scores.size}, 1)",
                actual=str(label.shape),
            )
        if scores.size and not (scores.min() >= 0 and scores.max() <= 1):
            row = int(np.flatnonzero(~((scores >= 0) & (scores <= 1)))[0])
            self.fail(
                f"the score in row {row} of {self.var('Predict')} is no probability.",
                expected="0 <= score <= 1",
                actual=str(scores[row]),
                hint="use layers.sigmoid or layers.softmax.",
            )
        return (scores * scores.dtype.type(self.attr["num_thresholds"])).astype(np.int64), label

    def _count(self, state, counts):
        """Add a batch to the state; the counts that AUC is made of."""
        n_bins, n_steps = len(counts), self.attr["slide_steps"]
        state = state.reshape(-1)
        total = state[n_steps * n_bins : (n_steps + 1) * n_bins]
        total += counts
        if n_steps:
            place = (n_steps + 1) * n_bins
            oldest = int(state[place]) % n_steps * n_bins
            total -= state[oldest : oldest + n_bins]
            state[oldest : oldest + n_bins] = counts
            state[place] += 1
        return total

    def run(self, predict, label, stat_pos, stat_neg, out, pos_out, neg_out):
        bins, label = self._bins(predict, label)
        n_bins = self.attr["num_thresholds"] + 1
        pos = self._count(stat_pos, np.bincount(bins[label > 0], minlength=n_bins))
        neg = self._count(stat_neg, np.bincount(bins[label == 0], minlength=n_bins))
        downward = pos[::-1].astype(np.float64)
        above = np.add.accumulate(downward)
        n_pos, n_neg = above[-1], float(np.add.reduce(neg))
        np.multiply(downward, -0.5, out=downward)
        np.add(above, downward, out=above)
        array = out((1,))
        array[0] = 0.0 if n_pos == 0 or n_neg == 0 else above.dot(neg[::-1].astype(np.float64)) / n_pos / n_neg
        return array, stat_pos, stat_neg
