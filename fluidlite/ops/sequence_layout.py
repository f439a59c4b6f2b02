"""Sequence ops that move rows: padding, repeating, joining, cutting and naming sequences anew.

N counts sequences, T their rows, D the width. LoD has one level unless said otherwise.
"""

import math

import numpy as np

from .._kernels import rows as row_kernels
from .._kernels import sequence as kernels
from ..dtypes import VarType
from ..lod_tensor import LoDTensor, lod_misfit
from ..selected_rows import Chunk
from .lod import SequenceOp, as_matrix, offsets_of, runs, take_rows
from .registry import Meta, OpDef, Slot, grad_spec, register_op


@register_op
class SequencePad(SequenceOp):
    """Sequences of one length: Out[n, t] = row t of sequence n, or PadValue where it has no such row.

    X: (T, D...) with LoD; PadValue: one number or (D...); Out: (N, M, D...), with M = `padded_length` or, for -1, the
    longest length; Length: (N,) int64. Source: Fluid's layers.sequence_pad.
    """

    type = "sequence_pad"
    inputs = (Slot("X", lod=True), Slot("PadValue"))
    outputs = (Slot("Out"), Slot("Length"))
    attrs = {"padded_length": -1}

    def infer_shape(self, x, pad_value):
        self.check_lod_level(x)
        self.check_pad_value(x, pad_value)
        length = self.attr["padded_length"]
        return Meta((-1, max(length, -1), *x.shape[1:]), x.dtype), Meta((-1,), VarType.INT64)

    def check_pad_value(self, x, pad_value):
        """Of arrays or metas."""
        if len(x.shape) < 2:
            self.fail(
                f"the rows of {self.var('X')} are single numbers.",
                expected="(T, D), perhaps with more dimensions",
                actual=str(list(x.shape)),
            )
        row, given = tuple(x.shape[1:]), tuple(pad_value.shape)
        if pad_value.dtype != x.dtype or (math.prod(given) != 1 and given != row):
            self.fail(
                f"{self.var('PadValue')} does not fit the rows of {self.var('X')}.",
                expected=f"(1,) or {row}, of the dtype of X",
                actual=str(given),
            )

    def run(self, x, pad_value, out, length_out):
        value, offsets = self.sequences(x, one_level=True)
        self.check_pad_value(value, pad_value)
        lengths = length_out((len(offsets) - 1,))
        np.subtract(offsets[1:], offsets[:-1], out=lengths)
        longest, wanted = int(lengths.max(initial=0)), self.attr["padded_length"]
        if -1 < wanted < longest:
            self.fail(
                f"a sequence of {self.var('X')} is longer than padded_length.",
                expected=f"-1, or at least {longest}",
                actual=str(wanted),
            )
        padded = out((len(lengths), longest if wanted < 0 else wanted, *value.shape[1:]))
        padded[...] = pad_value.reshape(-1)[0] if pad_value.size == 1 else pad_value
        rows = padded.reshape(-1, *value.shape[1:]) if padded.size else padded.reshape(0, *value.shape[1:])
        rows[_padded_places(offsets, padded.shape[1])] = value
        return padded, lengths

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",))]


def _padded_places(offsets, length):
    """Where the rows lie when all sequences have `length` rows."""
    return runs(np.arange(len(offsets) - 1) * length, np.diff(offsets))


@register_op
class SequencePadGrad(SequenceOp):
    """Gradient of `sequence_pad`: X@GRAD = the rows of Out@GRAD that are not padding."""

    type = "sequence_pad_grad"
    inputs = (Slot("X", lod=True), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    attrs = SequencePad.attrs
    lod_from = "X"
    differentiable = False

    def infer_shape(self, x, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, out_grad, out):
        value, offsets = self.sequences(x, one_level=True)
        grad = out(value.shape)
        if grad.size:
            rows = out_grad.reshape(-1, *value.shape[1:])
            take_rows(rows, _padded_places(offsets, out_grad.shape[1]), grad)
        return grad


class _Unpad(SequenceOp):
    differentiable = False

    def places(self, x_shape, length):
        """(lengths, the places of the rows that are no padding, in the padded sequences laid end to end)."""
        lengths = length.reshape(-1)
        if len(x_shape) < 2 or len(lengths) != x_shape[0]:
            self.fail(
                f"{self.var('Length')} does not have one length for each sequence of the padded input.",
                expected=f"({x_shape[0]},)",
                actual=str(length.shape),
            )
        bad = np.flatnonzero((lengths < 0) | (lengths > x_shape[1]))
        if bad.size:
            self.fail(
                f"length {lengths[bad[0]]} at position {bad[0]} of {self.var('Length')} is not that of a part of the "
                "padded sequence.",
                expected=f"0 to {x_shape[1]}",
                actual=str(lengths[bad[0]]),
            )
        return lengths, runs(np.arange(len(lengths)) * x_shape[1], lengths)


def _row_shape(x_shape):
    """Of a padded input; a row of (N, M) is one number wide."""
    return x_shape[2:] or (1,)


@register_op
class SequenceUnpad(_Unpad):
    """The inverse of `sequence_pad`: the first Length[n] rows of X[n], all one after the other, with that LoD.

    X: (N, M, D...); Length: (N,) int64; Out: (sum of Length, D...), (.., 1) for X of two dimensions. Source: Fluid's
    layers.sequence_unpad.
    """

    type = "sequence_unpad"
    inputs = (Slot("X"), Slot("Length", dtypes=(VarType.INT64,)))
    outputs = (Slot("Out", lod=True),)
    differentiable = True

    def infer_shape(self, x, length):
        return Meta((-1, *_row_shape(x.shape)), x.dtype, lod_level=1)

    def run(self, x, length, out):
        lengths, places = self.places(x.shape, length)
        row = _row_shape(x.shape)
        rows = out((len(places), *row))
        if rows.size:
            take_rows(np.ascontiguousarray(x).reshape(-1, *row), places, rows)
        return LoDTensor(rows, (offsets_of(lengths),))

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "Length"))]


@register_op
class SequenceUnpadGrad(_Unpad):
    """Gradient of `sequence_unpad`: Out@GRAD where X's rows were taken, zeros where there was padding."""

    type = "sequence_unpad_grad"
    inputs = (Slot("X"), Slot("Length"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)

    def infer_shape(self, x, length, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, length, out_grad, out):
        _, places = self.places(x.shape, length)
        grad = out.zeros(x.shape)
        if grad.size:
            grad.reshape(-1, *_row_shape(x.shape))[places] = out_grad
        return grad


@register_op
class SequenceReshape(SequenceOp):
    """Rows of another width: each sequence keeps its numbers, and its length changes with the width.

    X: (T, D) with LoD; Out: (T D / new_dim, new_dim), offsets times D / new_dim. The numbers of every sequence must
    fill whole rows. Source: Fluid's layers.sequence_reshape.
    """

    type = "sequence_reshape"
    inputs = (Slot("X", lod=True),)
    outputs = (Slot("Out", lod=True),)
    attrs = {"new_dim": None}
    views = {"Out": "X"}

    def infer_shape(self, x):
        width = self.attr["new_dim"]
        if len(x.shape) != 2 or width is None or width < 1:
            self.fail(
                f"{self.var('X')} cannot get rows of width {width}.",
                expected="X of shape (T, D), and new_dim >= 1",
                actual=str(list(x.shape)),
            )
        return Meta((-1, width), x.dtype, lod_level=1)

    def run(self, x, out):
        value, offsets = self.sequences(x, one_level=True)
        width = self.attr["new_dim"]
        numbers = offsets * value.shape[1]
        uneven = np.flatnonzero(numbers % width)
        if uneven.size:
            n = uneven[0] - 1
            self.fail(
                f"sequence {n} of {self.var('X')} does not fill rows of width {width}.",
                expected=f"a multiple of {width} numbers in every sequence",
                actual=f"{offsets[n + 1] - offsets[n]} rows of {value.shape[1]}",
            )
        return LoDTensor(np.reshape(value, (int(numbers[-1]) // width, width)), (numbers // width,))

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",))]


@register_op
class SequenceReshapeGrad(OpDef):
    """Gradient of `sequence_reshape`: Out@GRAD with X's shape."""

    type = "sequence_reshape_grad"
    inputs = (Slot("X"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    attrs = SequenceReshape.attrs
    lod_from = "X"
    views = {"X@GRAD": "Out@GRAD"}
    differentiable = False

    def infer_shape(self, x, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, out_grad, out):
        return out_grad.reshape(x.shape)


class _Expand(SequenceOp):
    """Shared by the op and its gradient."""

    attrs = {"ref_level": -1}
    differentiable = False

    def pieces(self, x, y):
        """(first rows, lengths, how often) of the pieces of X that are repeated."""
        lod = y.lod_offsets
        if not lod:
            self.refuse_plain("Y")
        level = self.attr["ref_level"]
        if not -1 <= level < len(lod):
            self.fail(
                f"{self.var('Y')} has no such level of LoD.",
                expected=f"-1 <= ref_level < {len(lod)}",
                actual=str(level),
            )
        misfit = lod_misfit(lod, len(y.value))
        if misfit is not None:
            self.fail(f"the LoD of {self.var('Y')} does not fit its rows: {misfit}.")
        times = np.diff(lod[level])
        if x.lod_offsets:
            _, offsets = self.sequences(x, one_level=True)
            starts, lengths = offsets[:-1], np.diff(offsets)
        else:
            starts, lengths = np.arange(len(x.value)), np.ones(len(x.value), np.int64)
        if len(starts) != len(times):
            self.fail(
                f"{self.var('X')} does not have one {'sequence' if x.lod_offsets else 'row'} for each length of "
                f"{self.var('Y')} at level {level}.",
                expected=str(len(times)),
                actual=str(len(starts)),
            )
        return starts, lengths, times


@register_op
class SequenceExpand(_Expand):
    """Sequence n of X, or row n where X has no LoD, as often as sequence n of Y has members at level `ref_level`.

    X: (T, ...) with one level of LoD or none; Y: anything with LoD, of which -1 is the innermost level. Out has a
    sequence for every repetition; without LoD in X it has none either. Source: Fluid's layers.sequence_expand.
    """

    type = "sequence_expand"
    inputs = (Slot("X", lod=True), Slot("Y", lod=True))
    outputs = (Slot("Out", lod=True),)
    differentiable = True

    def infer_shape(self, x, y):
        return Meta((-1, *x.shape[1:]), x.dtype, lod_level=min(x.lod_level, 1))

    def run(self, x, y, out):
        starts, lengths, times = self.pieces(x, y)
        repeated = np.repeat(lengths, times)
        rows = runs(np.repeat(starts, times), repeated)
        expanded = take_rows(x.value, rows, out((len(rows), *x.value.shape[1:])))
        return LoDTensor(expanded, (offsets_of(repeated),) if x.lod_offsets else ())

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "Y"))]


@register_op
class SequenceExpandGrad(_Expand):
    """Gradient of `sequence_expand`: the sum of Out@GRAD over the repetitions."""

    type = "sequence_expand_grad"
    inputs = (Slot("X", lod=True), Slot("Y", lod=True), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    lod_from = "X"

    def infer_shape(self, x, y, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, y, out_grad, out):
        starts, lengths, times = self.pieces(x, y)
        if x.lod_offsets:
            grad = out.zeros(x.value.shape)
            rows = runs(np.repeat(starts, times), np.repeat(lengths, times))
            row_kernels.scatter_add_rows(as_matrix(grad), (Chunk(rows, as_matrix(out_grad)),))
            return grad
        grad = out(x.value.shape)
        kernels.pool(as_matrix(out_grad), offsets_of(times), as_matrix(grad), "sum")
        return grad


@register_op
class SequenceExpandAs(SequenceOp):
    """Row n of X as often as sequence n of Y is long; Out has Y's LoD.

    X: (N, ...); Y: (T, ...) with LoD; Out: (T, ...). Source: Fluid's layers.sequence_expand_as.
    """

    type = "sequence_expand_as"
    inputs = (Slot("X"), Slot("Y", lod=True))
    outputs = (Slot("Out", lod=True),)

    def infer_shape(self, x, y):
        return Meta((-1, *x.shape[1:]), x.dtype, lod_level=y.lod_level)

    def run(self, x, y, out):
        _, offsets = self.sequences(y, "Y", one_level=True)
        if len(x) != len(offsets) - 1:
            self.fail(
                f"{self.var('X')} does not have one row for each sequence of {self.var('Y')}.",
                expected=str(len(offsets) - 1),
                actual=str(len(x)),
            )
        rows = np.repeat(np.arange(len(x)), np.diff(offsets))
        return LoDTensor(take_rows(x, rows, out((len(rows), *x.shape[1:]))), y.lod_offsets)

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "Y"))]


@register_op
class SequenceExpandAsGrad(SequenceOp):
    """Gradient of `sequence_expand_as`: the sum of Out@GRAD over each sequence of Y."""

    type = "sequence_expand_as_grad"
    inputs = (Slot("X"), Slot("Y", lod=True), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    lod_from = "X"
    differentiable = False
    warns = False

    def infer_shape(self, x, y, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, y, out_grad, out):
        _, offsets = self.sequences(y, "Y", one_level=True)
        grad = out(x.shape)
        kernels.pool(as_matrix(out_grad), offsets, as_matrix(grad), "sum")
        return grad
