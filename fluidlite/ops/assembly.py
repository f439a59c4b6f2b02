"""Tensors joined and taken apart: concat, split, stack, unstack."""

import numpy as np

from .registry import Meta, OpDef, OpSpec, Slot, grad_name, grad_spec, register_op


@register_op
class Concat(OpDef):
    """Out = the X's one after another along `axis`. All other dimensions and the dtypes are equal.

    Source: Fluid's layers.concat.
    """

    type = "concat"
    inputs = (Slot("X", many=True),)
    outputs = (Slot("Out"),)
    attrs = {"axis": 0}
    lod_from = "X"

    def infer_shape(self, xs):
        first, axis = xs[0], self.attr["axis"]
        rank = len(first.shape)
        if not -rank <= axis < rank:
            self.fail("there is no such axis.", expected=f"-{rank} <= axis < {rank}", actual=str(axis))
        axis %= rank
        shape = list(first.shape)
        for k, x in enumerate(xs[1:], 1):
            if x.dtype != first.dtype:
                self.fail(
                    f"Data Type mismatch between the inputs ({self.var('X')}).",
                    expected=first.dtype.name,
                    actual=f"{x.dtype.name} in input {k}",
                )
            fits = len(x.shape) == rank and all(
                a == b or -1 in (a, b) for i, (a, b) in enumerate(zip(x.shape, first.shape, strict=True)) if i != axis
            )
            if not fits:
                self.fail(
                    f"the inputs ({self.var('X')}) differ in another dimension than the axis {axis}.",
                    expected=f"{list(first.shape)} but for the axis",
                    actual=f"{list(x.shape)} in input {k}",
                )
            for i in range(rank):
                if i != axis and shape[i] == -1:
                    shape[i] = x.shape[i]
        shape[axis] = -1 if any(x.shape[axis] == -1 for x in xs) else sum(x.shape[axis] for x in xs)
        return Meta(tuple(shape), first.dtype)

    def run(self, xs, out):
        axis = self.attr["axis"] % xs[0].ndim
        shape = list(xs[0].shape)
        shape[axis] = sum(x.shape[axis] for x in xs)
        joined = out(tuple(shape))
        np.concatenate(xs, axis=axis, out=joined)
        return joined

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",))]


@register_op
class ConcatGrad(OpDef):
    """Gradient of `concat`: X@GRAD are the parts of Out@GRAD, as views."""

    type = "concat_grad"
    inputs = (Slot("X", many=True), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD", many=True),)
    attrs = Concat.attrs
    views = {"X@GRAD": "Out@GRAD"}
    differentiable = False

    def infer_shape(self, xs, out_grad):
        return tuple(Meta(x.shape, x.dtype) for x in xs)

    def run(self, xs, out_grad, outs):
        axis = self.attr["axis"] % out_grad.ndim
        before = (slice(None),) * axis
        grads, start = [], 0
        for x, out in zip(xs, outs, strict=True):
            stop = start + x.shape[axis]
            grads.append(None if out is None else out_grad[(*before, slice(start, stop))])
            start = stop
        return tuple(grads)


class _AlongAxis(OpDef):
    """Base of the ops along one dimension."""

    def axis_of(self, rank, slot="X"):
        """The attribute `axis`, counted from the front, of `rank` dimensions."""
        axis = self.attr["axis"]
        if not -rank <= axis < rank:
            self.fail(f"{self.var(slot)} has no such axis.", expected=f"-{rank} <= axis < {rank}", actual=f"{axis}")
        return axis % rank


@register_op
class Split(_AlongAxis):
    """Out = the parts of X along `axis`: `num` equal ones, or of the lengths `sections`, one of which may be -1.

    The parts are views of X. Errors: InvalidArgumentError when the lengths do not add up. Source: Fluid's layers.split.
    """

    type = "split"
    inputs = (Slot("X"),)
    outputs = (Slot("Out", many=True),)
    attrs = {"axis": 0, "num": 0, "sections": []}
    lod_from = "X"
    views = {"Out": "X"}

    def lengths(self, n):
        """The lengths of the parts of a dimension of length `n`; -1 where they are unknown."""
        sections, num = list(self.attr["sections"]), self.attr["num"]
        if not sections:
            if num <= 0 or (n != -1 and n % num):
                self.fail(
                    f"{self.var('X')} cannot be split into {num} equal parts.",
                    expected=f"a positive number that divides {n}",
                    actual=str(num),
                )
            return [n if n == -1 else n // num] * num
        known = sum(d for d in sections if d != -1)
        if sections.count(-1) == 1 and n != -1:
            sections[sections.index(-1)] = n - known
        if min(sections) < -1 or sections.count(-1) > 1 or (-1 not in sections and n not in (-1, sum(sections))):
            self.fail(
                f"The sections do not make up dimension {self.attr['axis']} of {self.var('X')}.",
                expected=f"lengths that add up to {n}, at most one of them -1",
                actual=str(list(self.attr["sections"])),
            )
        return sections

    def infer_shape(self, x):
        axis = self.axis_of(len(x.shape))
        return tuple([Meta((*x.shape[:axis], d, *x.shape[axis + 1 :]), x.dtype) for d in self.lengths(x.shape[axis])])

    def run(self, x, outs):
        axis = self.axis_of(x.ndim)
        before, parts, start = (slice(None),) * axis, [], 0
        for length in self.lengths(x.shape[axis]):
            parts.append(x[(*before, slice(start, start + length))])
            start += length
        return tuple(parts)

    def make_grad(self, spec):
        ins = {"X": [grad_name(n) for n in spec.outputs["Out"]]}
        outs = {"Out": [grad_name(n) for n in spec.inputs["X"]]}
        return [OpSpec("concat", ins, outs, {"axis": spec.attrs["axis"]})]


def _parts(array, axis):
    """Views of an array without the dimension `axis`, one for each place in it."""
    before = (slice(None),) * axis
    # With the dots, the places of a vector are arrays too.
    return [array[(*before, i, ...)] for i in range(array.shape[axis])]


@register_op
class Stack(_AlongAxis):
    """Y = the X's, all of one shape, one beside another along a new dimension `axis`. Source: Fluid's layers.stack."""

    type = "stack"
    inputs = (Slot("X", many=True),)
    outputs = (Slot("Y"),)
    attrs = {"axis": 0}
    lod_from = "X"

    def infer_shape(self, xs):
        first = xs[0]
        shape = list(first.shape)
        for k, x in enumerate(xs[1:], 1):
            same = len(x.shape) == len(shape) and all(
                a == b or -1 in (a, b) for a, b in zip(x.shape, shape, strict=True)
            )
            if not same or x.dtype != first.dtype:
                self.fail(
                    f"the inputs ({self.var('X')}) differ.",
                    expected=f"{first.dtype.name} {list(first.shape)}, as input 0",
                    actual=f"{x.dtype.name} {list(x.shape)} in input {k}",
                )
            shape = [max(a, b) for a, b in zip(x.shape, shape, strict=True)]
        shape.insert(self.axis_of(len(shape) + 1), len(xs))
        return Meta(tuple(shape), first.dtype)

    def run(self, xs, out):
        shape = list(xs[0].shape)
        shape.insert(self.axis_of(len(shape) + 1), len(xs))
        return np.stack(xs, axis=self.attr["axis"], out=out(tuple(shape)))

    def make_grad(self, spec):
        return [grad_spec(spec, out_grads=("Y",))]


@register_op
class StackGrad(_AlongAxis):
    """Gradient of `stack`: the X@GRAD are the parts of Y@GRAD, as views."""

    type = "stack_grad"
    inputs = (Slot("Y@GRAD", dtypes="float"),)
    outputs = (Slot("X@GRAD", many=True),)
    attrs = Stack.attrs
    views = {"X@GRAD": "Y@GRAD"}
    differentiable = False

    def infer_shape(self, y_grad):
        axis = self.axis_of(len(y_grad.shape), "Y@GRAD")
        shape = (*y_grad.shape[:axis], *y_grad.shape[axis + 1 :])
        return (Meta(shape, y_grad.dtype),) * y_grad.shape[axis]

    def run(self, y_grad, outs):
        parts = _parts(y_grad, self.axis_of(y_grad.ndim, "Y@GRAD"))
        return tuple([None if out is None else part for part, out in zip(parts, outs, strict=True)])


@register_op
class Unstack(_AlongAxis):
    """Y = the parts of X in each place of dimension `axis`, without it, as views; `num` of them. Drops LoD.

    Source: Fluid's layers.unstack.
    """

    type = "unstack"
    inputs = (Slot("X"),)
    outputs = (Slot("Y", many=True),)
    attrs = {"axis": 0, "num": 0}
    views = {"Y": "X"}

    def infer_shape(self, x):
        axis, num = self.axis_of(len(x.shape)), self.attr["num"]
        if x.shape[axis] not in (num, -1):
            self.fail(
                f"{self.var('X')} does not consist of {num} parts.",
                expected=f"num = {x.shape[axis]}, the length of dimension {axis}",
                actual=f"num = {num}",
            )
        return (Meta((*x.shape[:axis], *x.shape[axis + 1 :]), x.dtype),) * num

    def run(self, x, outs):
        axis = self.axis_of(x.ndim)
        if x.shape[axis] != len(outs):
            self.fail(
                f"{self.var('X')} does not consist of {len(outs)} parts.",
                expected=f"{len(outs)}",
                actual=f"{x.shape[axis]}, the length of dimension {axis}",
            )
        return tuple(_parts(x, axis))

    def make_grad(self, spec):
        return [grad_spec(spec, out_grads=("Y",))]


@register_op
class UnstackGrad(_AlongAxis):
    """Gradient of `unstack`: X@GRAD = the Y@GRAD's, stacked."""

    type = "unstack_grad"
    inputs = (Slot("Y@GRAD", many=True, dtypes="float"),)
    outputs = (Slot("X@GRAD"),)
    attrs = Unstack.attrs
    differentiable = False

    def _shape(self, part, count):
        shape = list(part)
        shape.insert(self.axis_of(len(shape) + 1, "Y@GRAD"), count)
        return tuple(shape)

    def infer_shape(self, y_grads):
        return Meta(self._shape(y_grads[0].shape, len(y_grads)), y_grads[0].dtype)

    def run(self, y_grads, out):
        return np.stack(y_grads, axis=self.attr["axis"], out=out(self._shape(y_grads[0].shape, len(y_grads))))
