"""Sequence ops that edit: joining, reversing, cutting and scattering sequences, masks of lengths, and LoD itself.

N counts sequences, T their rows. LoD has one level unless said otherwise.
"""

import numpy as np

from ..dtypes import VarType, canonical_dtype
from ..lod_tensor import LoDTensor, as_offsets, lod_misfit
from .lod import SequenceOp, offsets_of, runs, take_rows
from .registry import Meta, OpDef, Slot, grad_spec, register_op


class _Concat(SequenceOp):
    differentiable = False

    def places(self, xs):
        """(lengths of the joined sequences, for each X the places of its rows in Out)."""
        all_lengths = []
        for k, x in enumerate(xs):
            value, offsets = self.sequences(x, one_level=True)
            all_lengths.append(np.diff(offsets))
            if len(offsets) != len(xs[0].lod_offsets[0]) or value.shape[1:] != xs[0].value.shape[1:]:
                self.fail(
                    f"the inputs ({self.var('X')}) do not fit together.",
                    expected=f"{len(xs[0].lod_offsets[0]) - 1} sequences of rows of shape {xs[0].value.shape[1:]}",
                    actual=f"{len(offsets) - 1} sequences of rows of shape {value.shape[1:]} in input {k}",
                )
        joined = np.sum(all_lengths, axis=0)
        starts, places = offsets_of(joined)[:-1], []
        for lengths in all_lengths:
            places.append(runs(starts, lengths))
            starts = starts + lengths
        return joined, places


@register_op
class SequenceConcat(_Concat):
    """Sequence n of Out = the sequences n of all X, one after the other.

    X: (T_k, ...) with LoD of N sequences each; Out: (sum of T_k, ...). Source: Fluid's layers.sequence_concat.
    """

    type = "sequence_concat"
    inputs = (Slot("X", many=True, lod=True),)
    outputs = (Slot("Out", lod=True),)
    differentiable = True

    def infer_shape(self, xs):
        for k, x in enumerate(xs):
            if x.dtype != xs[0].dtype or len(x.shape) != len(xs[0].shape):
                self.fail(
                    f"the inputs ({self.var('X')}) do not fit together.",
                    expected=f"{xs[0].dtype.name} {list(xs[0].shape)}",
                    actual=f"{x.dtype.name} {list(x.shape)} in input {k}",
                )
        return Meta((-1, *xs[0].shape[1:]), xs[0].dtype, lod_level=xs[0].lod_level)

    def run(self, xs, out):
        lengths, places = self.places(xs)
        joined = out((int(lengths.sum()), *xs[0].value.shape[1:]))
        for x, rows in zip(xs, places, strict=True):
            joined[rows] = x.value
        return LoDTensor(joined, (offsets_of(lengths),))

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",))]


@register_op
class SequenceConcatGrad(_Concat):
    """Gradient of `sequence_concat`: each X@GRAD = the rows of Out@GRAD that came from X."""

    type = "sequence_concat_grad"
    inputs = (Slot("X", many=True, lod=True), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD", many=True),)

    def infer_shape(self, xs, out_grad):
        return tuple([Meta(x.shape, x.dtype) for x in xs])

    def run(self, xs, out_grad, outs):
        _, places = self.places(xs)
        return tuple(
            [
                None if out is None else take_rows(out_grad, rows, out(x.value.shape))
                for x, rows, out in zip(xs, places, outs, strict=True)
            ]
        )


class _Reverse(SequenceOp):
    lod_from = "X"
    differentiable = False

    def reversed_rows(self, x):
        """For each row the one that changes places with it."""
        _, offsets = self.sequences(x, one_level=True)
        ends = np.repeat(offsets[:-1] + offsets[1:] - 1, np.diff(offsets))
        return ends - np.arange(len(ends))


@register_op
class SequenceReverse(_Reverse):
    """Y = X with the rows of every sequence in reverse order. Source: Fluid's layers.sequence_reverse."""

    type = "sequence_reverse"
    inputs = (Slot("X", lod=True),)
    outputs = (Slot("Y"),)
    differentiable = True

    def infer_shape(self, x):
        return Meta(x.shape, x.dtype)

    def run(self, x, out):
        return take_rows(x.value, self.reversed_rows(x), out(x.value.shape))

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",), out_grads=("Y",))]


@register_op
class SequenceReverseGrad(_Reverse):
    """Gradient of `sequence_reverse`: X@GRAD = Y@GRAD, reversed likewise.

    Fluid reverses Y@GRAD by its own LoD; here it is X's, which is there whatever op made the gradient.
    """

    type = "sequence_reverse_grad"
    inputs = (Slot("X", lod=True), Slot("Y@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)

    def infer_shape(self, x, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, out_grad, out):
        return take_rows(out_grad, self.reversed_rows(x), out(x.value.shape))


@register_op
class SequenceEnumerate(SequenceOp):
    """Out[t] = X[t], X[t + 1], ... X[t + win_size - 1], with `pad_value` beyond the end of the sequence.

    X: (T, 1) integers with LoD; Out: (T, win_size), with X's LoD. Source: Fluid's layers.sequence_enumerate.
    """

    type = "sequence_enumerate"
    inputs = (Slot("X", lod=True, dtypes="int"),)
    outputs = (Slot("Out"),)
    attrs = {"win_size": None, "pad_value": 0}
    lod_from = "X"
    differentiable = False

    def infer_shape(self, x):
        size = self.attr["win_size"]
        if size is None or size < 1 or len(x.shape) != 2 or x.shape[1] not in (1, -1):
            self.fail(
                f"{self.var('X')} cannot be enumerated.",
                expected="X of shape (T, 1), and win_size >= 1",
                actual=f"{list(x.shape)}, win_size = {size}",
            )
        return Meta((x.shape[0], size), x.dtype)

    def run(self, x, out):
        value, offsets = self.sequences(x, one_level=True)
        ends = np.repeat(offsets[1:], np.diff(offsets))[:, None]
        rows = np.arange(len(value))[:, None] + np.arange(self.attr["win_size"])
        windows = out(rows.shape)
        if windows.size:
            np.take(value.reshape(-1), rows, out=windows, mode="clip")
        windows[rows >= ends] = self.attr["pad_value"]
        return windows


class _Slice(SequenceOp):
    differentiable = False

    def rows(self, x, offset, length):
        """(lengths of the parts, their rows)."""
        _, offsets = self.sequences(x, one_level=True)
        n = len(offsets) - 1
        for slot, given in (("Offset", offset), ("Length", length)):
            if given.size != n:
                self.fail(
                    f"{self.var(slot)} does not have one number for each sequence of {self.var('X')}.",
                    expected=f"({n}, 1)",
                    actual=str(given.shape),
                )
        first, count = offset.reshape(-1).astype(np.int64), length.reshape(-1).astype(np.int64)
        bad = np.flatnonzero((first < 0) | (count < 0) | (first + count > np.diff(offsets)))
        if bad.size:
            k = bad[0]
            self.fail(
                f"the part of sequence {k} of {self.var('X')} lies outside of it.",
                expected=f"within 0 to {offsets[k + 1] - offsets[k]}",
                actual=f"offset {first[k]}, length {count[k]}",
            )
        return count, runs(offsets[:-1] + first, count)


@register_op
class SequenceSlice(_Slice):
    """A part of every sequence: Length[n] rows from row Offset[n] on.

    X: (T, ...) with LoD; Offset, Length: (N, 1) integers; Out: (sum of Length, ...), with that LoD. Source: Fluid's
    layers.sequence_slice.
    """

    type = "sequence_slice"
    inputs = (Slot("X", lod=True), Slot("Offset", dtypes="int"), Slot("Length", dtypes="int"))
    outputs = (Slot("Out", lod=True),)
    differentiable = True

    def infer_shape(self, x, offset, length):
        return Meta((-1, *x.shape[1:]), x.dtype, lod_level=x.lod_level)

    def run(self, x, offset, length, out):
        lengths, rows = self.rows(x, offset, length)
        parts = out((len(rows), *x.value.shape[1:]))
        if len(rows):
            take_rows(x.value, rows, parts)
        return LoDTensor(parts, (offsets_of(lengths),))

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "Offset", "Length"))]


@register_op
class SequenceSliceGrad(_Slice):
    """Gradient of `sequence_slice`: Out@GRAD in the rows taken, zeros in the others."""

    type = "sequence_slice_grad"
    inputs = (Slot("X", lod=True), Slot("Offset"), Slot("Length"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    lod_from = "X"

    def infer_shape(self, x, offset, length, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, offset, length, out_grad, out):
        _, rows = self.rows(x, offset, length)
        grad = out.zeros(x.value.shape)
        grad[rows] = out_grad
        return grad


class _Scatter(SequenceOp):
    differentiable = False

    def places(self, shape, ids):
        """(row, column) of each id in an array of that shape."""
        value, offsets = self.sequences(ids, "Ids", one_level=True)
        columns = value.reshape(-1)
        if len(shape) != 2 or shape[0] != len(offsets) - 1 or len(columns) != len(value):
            self.fail(
                f"{self.var('Ids')} and {self.var('X')} do not fit together.",
                expected="(N, D), and (T, 1) ids in N sequences",
                actual=f"{list(shape)}, and {list(value.shape)} ids in {len(offsets) - 1} sequences",
            )
        bad = np.flatnonzero((columns < 0) | (columns >= shape[1]))
        if bad.size:
            self.fail(
                f"id {columns[bad[0]]} at position {bad[0]} of {self.var('Ids')} is no column of {self.var('X')}.",
                expected=f"0 <= id < {shape[1]}",
                actual=str(columns[bad[0]]),
            )
        return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)), columns


@register_op
class SequenceScatter(_Scatter):
    """Out = X, where Out[n, id] += update for every id and update of sequence n, in their order.

    X, Out: (N, D); Ids: (T, 1) integers with LoD of N sequences; Updates: (T, 1), of X's dtype and the LoD of Ids.
    Source: Fluid's layers.sequence_scatter.
    """

    type = "sequence_scatter"
    inputs = (Slot("X"), Slot("Ids", lod=True, dtypes="int"), Slot("Updates", lod=True))
    outputs = (Slot("Out"),)
    lod_from = "X"
    differentiable = True

    def infer_shape(self, x, ids, updates):
        if updates.dtype != x.dtype:
            self.fail(
                f"{self.var('Updates')} and {self.var('X')} differ in dtype.",
                expected=x.dtype.name,
                actual=updates.dtype.name,
            )
        return Meta(x.shape, x.dtype)

    def run(self, x, ids, updates, out):
        rows, columns = self.places(x.shape, ids)
        numbers, offsets = self.sequences(updates, "Updates", one_level=True)
        if numbers.size != len(columns) or not np.array_equal(offsets, ids.lod_offsets[0]):
            self.fail(
                f"{self.var('Updates')} do not go with {self.var('Ids')}.",
                expected=f"({len(columns)}, 1) with the lengths of the ids",
                actual=str(numbers.shape),
            )
        array = out(x.shape)
        np.copyto(array, x)
        np.add.at(array, (rows, columns), numbers.reshape(-1))
        return array

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("Ids", "Updates"), in_grads=("X", "Updates"))]


@register_op
class SequenceScatterGrad(_Scatter):
    """Gradient of `sequence_scatter`: X@GRAD = Out@GRAD, Updates@GRAD = its numbers at the ids."""

    type = "sequence_scatter_grad"
    inputs = (Slot("Ids", lod=True, dtypes="int"), Slot("Updates"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"), Slot("Updates@GRAD"))
    views = {"X@GRAD": "Out@GRAD"}

    def infer_shape(self, ids, updates, out_grad):
        return Meta(out_grad.shape, out_grad.dtype), Meta(updates.shape, updates.dtype)

    def run(self, ids, updates, out_grad, x_out, updates_out):
        updates_grad = None
        if updates_out is not None:
            updates_grad = updates_out(updates.shape)
            updates_grad.reshape(-1)[...] = out_grad[self.places(out_grad.shape, ids)]
        return None if x_out is None else out_grad, updates_grad


@register_op
class SequenceMask(OpDef):
    """Y[..., j] = 1 where j < X[...], else 0.

    X: (...) lengths; Y: (..., M) of `out_dtype`. M is MaxLenTensor, or else `maxlen`, or for -1 the largest of X.
    Source: Fluid's layers.sequence_mask.
    """

    type = "sequence_mask"
    inputs = (Slot("X"), Slot("MaxLenTensor", optional=True, dtypes="int"))
    outputs = (Slot("Y"),)
    attrs = {"maxlen": -1, "out_dtype": VarType.INT64}
    differentiable = False

    def infer_shape(self, x, maxlen):
        count = -1 if maxlen is not None else self.attr["maxlen"]
        if count == 0 or count < -1:
            self.fail("maxlen is no length.", expected="-1, or at least 1", actual=str(count))
        return Meta((*x.shape, count), canonical_dtype(self.attr["out_dtype"]))

    def run(self, x, maxlen, out):
        count = self.attr["maxlen"] if maxlen is None else int(maxlen.reshape(-1)[0])
        if count < 0:
            count = max(int(x.max(initial=0)), 0)
        mask = out((*x.shape, count))
        np.less(np.arange(count), x[..., None], out=mask, casting="unsafe")
        return mask


@register_op
class LodReset(SequenceOp):
    """Out = X with another LoD: Y's; without LoD in Y its numbers, which are offsets; without Y those of `target_lod`.

    With `append`, offsets are put as a further level below those of X. Y: int32 or int64 (n,) where it has no LoD.
    Source: Fluid's layers.lod_reset and layers.lod_append.
    """

    type = "lod_reset"
    inputs = (Slot("X", lod=True), Slot("Y", optional=True, lod=True))
    outputs = (Slot("Out", lod=True),)
    attrs = {"target_lod": [], "append": False}
    views = {"Out": "X"}

    def infer_shape(self, x, y):
        if y is None and not self.attr["target_lod"]:
            self.fail("neither Y nor target_lod says what the LoD is to be.", expected="one of them", actual="none")
        if y is not None and y.lod_level:
            level = y.lod_level
        else:
            level = x.lod_level + 1 if self.attr["append"] else 1
        return Meta(x.shape, x.dtype, lod_level=level)

    def run(self, x, y, out):
        if y is not None and y.lod_offsets:
            lod = y.lod_offsets
        else:
            given = self.attr["target_lod"] if y is None else y.value
            if y is not None and (given.dtype.kind != "i" or given.ndim != 1):
                self.fail(
                    f"{self.var('Y')} has no LoD, and its numbers are no offsets.",
                    expected="int32 or int64 of shape (n,)",
                    actual=f"{given.dtype} {list(given.shape)}",
                )
            lod = as_offsets([given])
            if self.attr["append"]:
                lod = x.lod_offsets + lod
        misfit = lod_misfit(lod, len(x.value))
        if misfit is not None:
            self.fail(
                f"the new LoD does not fit the rows of {self.var('X')}: {misfit}.",
                expected=f"offsets from 0 to {len(x.value)}",
                actual=str([level.tolist() for level in lod]),
            )
        return LoDTensor(x.value, lod)

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",))]


@register_op
class LodResetGrad(OpDef):
    """Gradient of `lod_reset`: Out@GRAD, with X's LoD."""

    type = "lod_reset_grad"
    inputs = (Slot("X"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    attrs = LodReset.attrs
    lod_from = "X"
    views = {"X@GRAD": "Out@GRAD"}
    differentiable = False

    def infer_shape(self, x, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, out_grad, out):
        return out_grad
