"""Sequence ops that compute: pooling, convolution over steps, and softmax within sequences.

The sequences of an input are those of its innermost level of LoD. N counts sequences, T their rows, D the width.
"""

import numpy as np

from .._kernels import sequence as kernels
from ..buffers import Buffer
from ..dtypes import VarType
from ..lod_tensor import LoDTensor
from .lod import SequenceOp, as_matrix, row_size
from .registry import Meta, Slot, grad_spec, register_op

_POOLS = ("SUM", "AVERAGE", "SQRT", "MAX", "FIRST", "LAST")


class _Pool(SequenceOp):
    attrs = {"pooltype": "AVERAGE", "pad_value": 0.0, "is_test": False}
    differentiable = False
    warns = False

    def __init__(self, attrs=None, names=None):
        super().__init__(attrs, names)
        self.kind = self.attr["pooltype"].lower()
        if self.attr["pooltype"] not in _POOLS:
            self.fail("there is no such pooling.", expected=", ".join(_POOLS), actual=repr(self.attr["pooltype"]))


@register_op
class SequencePool(_Pool):
    """One row for each sequence: Out[n] = what `pooltype` makes of the rows of sequence n.

    SUM, AVERAGE (sum / length), SQRT (sum / sqrt(length)), MAX, FIRST, LAST; `pad_value` for a sequence without rows.
    X: (T, ...) float with LoD; Out: (N, ...), whose LoD is X's without the innermost level. MaxIndex, for MAX: the rows
    of X that the maxima come from, the first of equals, int32 like Out; -1 for a sequence without rows. For the others
    it says nothing. 64 rows are added in the type of X, longer sums in double. Source: Fluid's layers.sequence_pool.
    """

    type = "sequence_pool"
    inputs = (Slot("X", lod=True, dtypes="float"),)
    outputs = (Slot("Out", lod=True), Slot("MaxIndex", optional=True))
    differentiable = True

    def infer_shape(self, x):
        self.check_lod_level(x)
        shape = (-1, *x.shape[1:])
        index = Meta(shape, VarType.INT32) if self.kind == "max" else Meta((), x.dtype)
        return Meta(shape, x.dtype, lod_level=x.lod_level - 1), index

    def run(self, x, out, index_out):
        value, offsets = self.sequences(x)
        shape = (len(offsets) - 1, *value.shape[1:])
        pooled, index, rows = out(shape), None, None
        if index_out is not None:
            index = index_out(shape) if self.kind == "max" else np.zeros((), value.dtype)
            rows = as_matrix(index) if self.kind == "max" else None
        kernels.pool(as_matrix(value), offsets, as_matrix(pooled), self.kind, rows, self.attr["pad_value"])
        return LoDTensor(pooled, x.lod_offsets[:-1]), index

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",), outputs=("MaxIndex",) if self.kind == "max" else ())]


@register_op
class SequencePoolGrad(_Pool):
    """Gradient of `sequence_pool`: every row gets its share of its sequence's Out@GRAD.

    SUM: all of it, AVERAGE and SQRT: divided by length or its root; MAX, FIRST, LAST: the row taken gets it, others 0.
    """

    type = "sequence_pool_grad"
    inputs = (Slot("X", lod=True, dtypes="float"), Slot("MaxIndex", optional=True), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    lod_from = "X"

    def infer_shape(self, x, index, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, index, out_grad, out):
        value, offsets = self.sequences(x)
        grad = out(value.shape)
        rows = None if index is None else as_matrix(index)
        kernels.pool_grad(as_matrix(out_grad), offsets, as_matrix(grad), self.kind, rows)
        return grad


class _Conv(SequenceOp):
    attrs = {"contextLength": None, "contextStart": 0, "contextStride": 1, "paddingTrainable": False}
    differentiable = False
    warns = False

    def __init__(self, attrs=None, names=None):
        super().__init__(attrs, names)
        length, start = self.attr["contextLength"], self.attr["contextStart"]
        if length is None or length < 1 or self.attr["contextStride"] != 1:
            self.fail(
                "the context is not one that it can take.",
                expected="contextLength >= 1 and contextStride = 1",
                actual=f"contextLength = {length}, contextStride = {self.attr['contextStride']}",
            )
        self.length, self.start = length, start
        # Rows of padding above and below the longest way that a window can reach out of a sequence.
        self.above, self.below = max(-start, 0), max(start + length - 1, 0)
        self.memory = None

    def check_shapes(self, x, filter, padding):
        """Of arrays or metas; -1 where a dimension is unknown."""
        width = x.shape[1] if len(x.shape) == 2 else -1
        if len(x.shape) != 2 or len(filter.shape) != 2 or -1 < width != filter.shape[0] / self.length:
            self.fail(
                f"the filter {self.var('Filter')} does not fit the input {self.var('X')}.",
                expected=f"X (T, D) and a filter of shape ({self.length} D, number of filters)",
                actual=f"X {list(x.shape)}, filter {list(filter.shape)}",
            )
        if self.attr["paddingTrainable"] and (
            padding is None or tuple(padding.shape) != (self.above + self.below, x.shape[1])
        ):
            self.fail(
                "paddingTrainable needs PaddingData, a row for each step that a window can reach out of a sequence.",
                expected=f"({self.above + self.below}, D)",
                actual="none" if padding is None else str(list(padding.shape)),
            )

    def windows(self, value, offsets, padding):
        """(T, L D): for each row the rows of its window, with padding or zeros outside of the sequence.

        In `window_memory`.
        """
        windows = self.window_memory(value)
        by_row = windows.reshape(len(value), self.length, value.shape[1])
        kernels.gather_context(np.ascontiguousarray(value), offsets, by_row, self.start)
        if self.attr["paddingTrainable"]:
            outside, rows = self.outside(offsets)
            by_row[outside] = padding[rows]
        return windows

    def window_memory(self, value):
        """(T, L D) of undefined contents, the same from step to step: fresh pages would cost as much as the windows."""
        if self.memory is None:
            self.memory = Buffer(value.dtype)
        return self.memory((len(value), self.length * value.shape[1]))

    def outside(self, offsets):
        """The places (t, k) of windows that lie outside of their sequence, as a mask, and their rows of the padding."""
        lengths = np.diff(offsets)
        begins, ends = np.repeat(offsets[:-1], lengths)[:, None], np.repeat(offsets[1:], lengths)[:, None]
        steps = np.arange(offsets[-1])[:, None] + self.start + np.arange(self.length)
        mask = (steps < begins) | (steps >= ends)
        rows = np.where(steps < begins, steps - begins, steps - ends) + self.above
        return mask, rows[mask]


@register_op
class SequenceConv(_Conv):
    """Out[t] = window of row t times Filter; the window has the rows t + contextStart to
    t + contextStart + contextLength - 1 that are in the sequence of row t, and zeros for the others.

    X: (T, D) float with one level of LoD; Filter: (contextLength D, number of filters); Out: (T, number of filters)
    with X's LoD. With `paddingTrainable`, the rows of PaddingData stand for those outside: its first -contextStart
    rows before a sequence, the others behind it. Source: Fluid's layers.sequence_conv.
    """

    type = "sequence_conv"
    inputs = (
        Slot("X", lod=True, dtypes="float"),
        Slot("Filter", dtypes="float"),
        Slot("PaddingData", optional=True, dtypes="float"),
    )
    outputs = (Slot("Out"),)
    lod_from = "X"
    differentiable = True

    def infer_shape(self, x, filter, padding):
        self.check_shapes(x, filter, padding)
        return Meta((x.shape[0], filter.shape[1]), x.dtype)

    def run(self, x, filter, padding, out):
        value, offsets = self.sequences(x, one_level=True)
        self.check_shapes(value, filter, padding)
        product = out((len(value), filter.shape[1]))
        np.matmul(self.windows(value, offsets, padding), filter, out=product)
        return product

    def make_grad(self, spec):
        padded = ("PaddingData",) if self.attr["paddingTrainable"] else ()
        given = ("X", "Filter", *padded)
        return [grad_spec(spec, inputs=given, in_grads=given)]


@register_op
class SequenceConvGrad(_Conv):
    """Gradient of `sequence_conv`: Filter@GRAD = windows^T Out@GRAD, X@GRAD = the rows of Out@GRAD Filter^T, each
    added to the row that it came from, PaddingData@GRAD likewise."""

    type = "sequence_conv_grad"
    inputs = (
        Slot("X", lod=True, dtypes="float"),
        Slot("Filter", dtypes="float"),
        Slot("PaddingData", optional=True, dtypes="float"),
        Slot("Out@GRAD", dtypes="float"),
    )
    outputs = (Slot("X@GRAD"), Slot("Filter@GRAD"), Slot("PaddingData@GRAD"))
    lod_from = "X"
    lod_to = ("X@GRAD",)

    def infer_shape(self, x, filter, padding, out_grad):
        padding_grad = None if padding is None else Meta(padding.shape, padding.dtype)
        return Meta(x.shape, x.dtype), Meta(filter.shape, filter.dtype), padding_grad

    def run(self, x, filter, padding, out_grad, x_out, filter_out, padding_out):
        value, offsets = self.sequences(x, one_level=True)
        x_grad = filter_grad = padding_grad = None
        if filter_out is not None:
            filter_grad = filter_out(filter.shape)
            np.matmul(self.windows(value, offsets, padding).T, out_grad, out=filter_grad)
        if x_out is not None or padding_out is not None:
            # The windows are not needed any more.
            grads = np.matmul(out_grad, filter.T, out=self.window_memory(value))
            grads = grads.reshape(len(value), self.length, value.shape[1])
        if x_out is not None:
            x_grad = x_out(value.shape)
            kernels.scatter_context(grads, offsets, x_grad, self.start)
        if padding_out is not None:
            padding_grad = padding_out.zeros(padding.shape)
            outside, rows = self.outside(offsets)
            np.add.at(padding_grad, rows, grads[outside])
        return x_grad, filter_grad, padding_grad


class _Softmax(SequenceOp):
    attrs = {"use_cudnn": False, "data_format": "AnyLayout"}
    lod_from = "X"
    differentiable = False
    warns = False

    def check_width(self, value):
        if row_size(value) != 1:
            self.fail(
                f"The width of each timestep in {self.var('X')} should be 1.",
                expected="(T, 1) or (T,)",
                actual=str(list(value.shape)),
            )


@register_op
class SequenceSoftmax(_Softmax):
    """Out[t] = e^X[t] / (the sum of e^X over the sequence of row t). X, Out: (T, 1) or (T,), with X's LoD.

    The largest of each sequence is subtracted first, so that nothing overflows (in Fluid it does, beyond e^88).
    Source: Fluid's layers.sequence_softmax.
    """

    type = "sequence_softmax"
    inputs = (Slot("X", lod=True, dtypes="float"),)
    outputs = (Slot("Out"),)
    differentiable = True

    def infer_shape(self, x):
        return Meta(x.shape, x.dtype)

    def run(self, x, out):
        value, offsets = self.sequences(x)
        self.check_width(value)
        softmax = out(value.shape)
        kernels.softmax_steps(np.ascontiguousarray(value).reshape(-1), offsets, softmax.reshape(-1))
        return softmax

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",), outputs=("Out",))]


@register_op
class SequenceSoftmaxGrad(_Softmax):
    """Gradient of `sequence_softmax`: X@GRAD = Out (Out@GRAD - the sum of Out Out@GRAD over the sequence)."""

    type = "sequence_softmax_grad"
    inputs = (Slot("X", lod=True, dtypes="float"), Slot("Out", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)

    def infer_shape(self, x, softmax, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, softmax, out_grad, out):
        value, offsets = self.sequences(x)
        grad = out(value.shape)
        flat = [np.ascontiguousarray(a).reshape(-1) for a in (softmax, out_grad)]
        kernels.softmax_steps_grad(*flat, offsets, grad.reshape(-1))
        return grad
