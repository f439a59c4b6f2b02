"""Rows and elements by index: gather, scatter, one-hot rows, and the indices of what is true."""

import math

import numpy as np

from .._kernels import rows as row_kernels
from ..dtypes import VarType
from ..errors import OutOfRangeError
from ..selected_rows import Chunk
from .registry import Meta, OpDef, Slot, grad_spec, register_op


def _refuse_outside(op, slot, ids, height, what):
    """Raise the error of the first of `ids` (flat) that is not in [0, height)."""
    outside = (ids < 0) | (ids >= height)
    if outside.any():
        at = int(outside.argmax())
        raise OutOfRangeError(
            f"Index {ids[at]} at position {at} of {op.var(slot)} is not in {what}.",
            expected=f"0 <= index < {height}",
            actual=str(ids[at]),
        )


def _take_rows(op, slot, table, ids, rows, what):
    """rows[i] = table[ids[i]], of matrices; nothing is written if an id lies outside."""
    if table.dtype.kind == "f" and table.flags.c_contiguous:
        try:
            row_kernels.gather_rows(table, ids, rows)
        except row_kernels.IdOutOfRange:
            _refuse_outside(op, slot, ids, len(table), what)
            raise
        return
    _refuse_outside(op, slot, ids, len(table), what)
    np.take(table, ids, axis=0, out=rows, mode="clip")


class _ByRow(OpDef):
    """Base of the ops whose index names rows: the first dimension of X."""

    # The slot of the index, (N,) or (N, 1).
    index = "Index"

    def count(self, index_shape):
        """The number of indices, -1 if it is unknown."""
        if len(index_shape) == 2 and index_shape[1] in (1, -1) or len(index_shape) == 1:
            return index_shape[0]
        self.fail(
            f"the index {self.var(self.index)} is no list of rows.",
            expected="shape (N,) or (N, 1)",
            actual=str(list(index_shape)),
        )

    def rows(self, index):
        """The index as (N,) int64."""
        self.count(index.shape)
        return index.reshape(-1).astype(np.int64, copy=False)

    def what(self):
        """The rows, in words."""
        return f"the first dimension of {self.var('X')}"


def _scatter_add(grad, ids, values):
    """grad[ids[i]] += values[i] in the order of i, of arrays with equal dimensions after the first."""
    width = math.prod(grad.shape[1:])
    chunk = Chunk(ids, np.ascontiguousarray(values).reshape(len(ids), width))
    row_kernels.scatter_add_rows(grad.reshape(len(grad), width), (chunk,))


@register_op
class Gather(_ByRow):
    """Out[i] = X[Index[i]]: rows of X by index.

    X: (V, ...); Index: (N,) or (N, 1) int32 or int64 in [0, V); Out: (N, ...). Errors: OutOfRangeError names the first
    index outside and its position; nothing is written then. Source: Fluid's layers.gather.
    """

    type = "gather"
    inputs = (Slot("X"), Slot("Index", dtypes="int"))
    outputs = (Slot("Out"),)
    attrs = {"overwrite": True}

    def infer_shape(self, x, index):
        return Meta((self.count(index.shape), *x.shape[1:]), x.dtype)

    def run(self, x, index, out):
        ids = self.rows(index)
        array = out((len(ids), *x.shape[1:]))
        width = math.prod(x.shape[1:])
        _take_rows(self, "Index", x.reshape(len(x), width), ids, array.reshape(len(ids), width), self.what())
        return array

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "Index"))]


@register_op
class GatherGrad(_ByRow):
    """Gradient of `gather`: X@GRAD[Index[i]] is Out@GRAD[i], zero elsewhere.

    For an index that is given several times, the sum of its Out@GRAD; with `overwrite` the last of them, as in Fluid.
    """

    type = "gather_grad"
    inputs = (Slot("X", dtypes="float"), Slot("Index", dtypes="int"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    attrs = Gather.attrs
    lod_from = "X"
    differentiable = False

    def infer_shape(self, x, index, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, index, out_grad, out):
        ids, grad = self.rows(index), out.zeros(x.shape)
        if self.attr["overwrite"]:
            grad[ids] = out_grad
        else:
            _scatter_add(grad, ids, out_grad)
        return grad


class _ByPlace(OpDef):
    """Base of the ops whose index names places in the first K dimensions of X: (..., K)."""

    def depth(self, x_shape, index_shape):
        """K."""
        if len(index_shape) < 2 or not 1 <= index_shape[-1] <= len(x_shape):
            self.fail(
                f"the index {self.var('Index')} names no places in {self.var('X')} of shape {list(x_shape)}.",
                expected=f"(..., K) with 1 <= K <= {len(x_shape)}, of two or more dimensions",
                actual=str(list(index_shape)),
            )
        return index_shape[-1]

    def part_shape(self, x_shape, index_shape):
        """The shape of what is read or written: one slice of X for each place."""
        return (*index_shape[:-1], *x_shape[self.depth(x_shape, index_shape) :])

    def rows(self, x_shape, index):
        """The places as rows of X seen as a matrix, (N,) int64, all of them checked; and the shape of that matrix."""
        k = self.depth(x_shape, index.shape)
        index = index.reshape(math.prod(index.shape[:-1]), k).astype(np.int64, copy=False)
        ids = np.zeros(len(index), np.int64)
        for axis in range(k):
            what = f"dimension {axis} of {self.var('X')}"
            _refuse_outside(self, "Index", index[:, axis], x_shape[axis], what)
            ids = ids * x_shape[axis] + index[:, axis]
        return ids, (math.prod(x_shape[:k]), math.prod(x_shape[k:]))


@register_op
class GatherNd(_ByPlace):
    """Out[...] = X[Index[..., 0], ..., Index[..., K-1]]: elements or slices of X by place.

    Index: (..., K) int32 or int64; Out: Index's dimensions but the last, then X's from K on. Errors: OutOfRangeError
    names the first index outside and its position; nothing is written then. Source: Fluid's layers.gather_nd.
    """

    type = "gather_nd"
    inputs = (Slot("X"), Slot("Index", dtypes="int"))
    outputs = (Slot("Out"),)

    def infer_shape(self, x, index):
        return Meta(self.part_shape(x.shape, index.shape), x.dtype)

    def run(self, x, index, out):
        ids, matrix = self.rows(x.shape, index)
        array = out(self.part_shape(x.shape, index.shape))
        _take_rows(self, "Index", x.reshape(matrix), ids, array.reshape(len(ids), matrix[1]), self.var("X"))
        return array

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X", "Index"))]


@register_op
class GatherNdGrad(_ByPlace):
    """Gradient of `gather_nd`: X@GRAD = the sums of Out@GRAD over the places that name an element, zero elsewhere."""

    type = "gather_nd_grad"
    inputs = (Slot("X", dtypes="float"), Slot("Index", dtypes="int"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    differentiable = False

    def infer_shape(self, x, index, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, index, out_grad, out):
        ids, matrix = self.rows(x.shape, index)
        grad = out.zeros(x.shape)
        _scatter_add(grad.reshape(matrix), ids, out_grad)
        return grad


@register_op
class Scatter(_ByRow):
    """Out = X, where row Ids[i] is Updates[i]; without `overwrite`, the sum of the Updates of that row.

    X: (V, ...); Ids: (N,) or (N, 1) in [0, V); Updates: (N, ...). With `overwrite` the last of several updates of a row
    counts. Errors: OutOfRangeError names the first id outside. Source: Fluid's layers.scatter.
    """

    type = "scatter"
    inputs = (Slot("X", dtypes="float"), Slot("Ids", dtypes="int"), Slot("Updates", dtypes="float"))
    outputs = (Slot("Out"),)
    attrs = {"overwrite": True}
    index = "Ids"

    def _check(self, x, ids, updates):
        expected = (self.count(ids), *x[1:])
        if len(updates) != len(expected) or any(
            a != b and -1 not in (a, b) for a, b in zip(updates, expected, strict=True)
        ):
            self.fail(
                f"the updates {self.var('Updates')} do not fit {self.var('X')} of shape {list(x)}.",
                expected=str(list(expected)),
                actual=str(list(updates)),
            )

    def infer_shape(self, x, ids, updates):
        self._check(x.shape, ids.shape, updates.shape)
        return Meta(x.shape, x.dtype)

    def run(self, x, ids, updates, out):
        self._check(x.shape, ids.shape, updates.shape)
        ids = self.rows(ids)
        _refuse_outside(self, "Ids", ids, len(x), self.what())
        array = out(x.shape)
        np.copyto(array, x)
        if self.attr["overwrite"]:
            array[ids] = updates
        else:
            array[ids] = 0
            _scatter_add(array, ids, updates)
        return array

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("Ids", "Updates"), in_grads=("X", "Updates"))]


@register_op
class ScatterGrad(_ByRow):
    """Gradient of `scatter`: Updates@GRAD[i] = Out@GRAD[Ids[i]], and X@GRAD = Out@GRAD, zero in the rows replaced."""

    type = "scatter_grad"
    inputs = (Slot("Ids", dtypes="int"), Slot("Updates", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"), Slot("Updates@GRAD"))
    attrs = Scatter.attrs
    index = "Ids"
    differentiable = False

    def infer_shape(self, ids, updates, out_grad):
        return Meta(out_grad.shape, out_grad.dtype), Meta(updates.shape, updates.dtype)

    def run(self, ids, updates, out_grad, x_out, updates_out):
        ids = self.rows(ids)
        x_grad = updates_grad = None
        if x_out is not None:
            x_grad = x_out(out_grad.shape)
            np.copyto(x_grad, out_grad)
            x_grad[ids] = 0
        if updates_out is not None:
            updates_grad = updates_out(updates.shape)
            np.take(out_grad, ids, axis=0, out=updates_grad, mode="clip")
        return x_grad, updates_grad


@register_op
class ScatterNdAdd(_ByPlace):
    """Out = X, plus Updates at the places Index: Out[Index[i]] += Updates[i], every one of them.

    Index: (..., K); Updates: Index's dimensions but the last, then X's from K on. Errors: OutOfRangeError names the
    first index outside. Source: Fluid's layers.scatter_nd_add.
    """

    type = "scatter_nd_add"
    inputs = (Slot("X", dtypes="float"), Slot("Index", dtypes="int"), Slot("Updates", dtypes="float"))
    outputs = (Slot("Out"),)

    def infer_shape(self, x, index, updates):
        expected = self.part_shape(x.shape, index.shape)
        if len(updates.shape) != len(expected) or any(
            a != b and -1 not in (a, b) for a, b in zip(updates.shape, expected, strict=True)
        ):
            self.fail(
                f"the updates {self.var('Updates')} do not fit {self.var('X')} and {self.var('Index')}.",
                expected=str(list(expected)),
                actual=str(list(updates.shape)),
            )
        return Meta(x.shape, x.dtype)

    def run(self, x, index, updates, out):
        self.infer_shape(x, index, updates)
        ids, matrix = self.rows(x.shape, index)
        array = out(x.shape)
        np.copyto(array, x)
        _scatter_add(array.reshape(matrix), ids, updates)
        return array

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("Index", "Updates"), in_grads=("X", "Updates"))]


@register_op
class ScatterNdAddGrad(_ByPlace):
    """Gradient of `scatter_nd_add`: X@GRAD = Out@GRAD, and Updates@GRAD = Out@GRAD at the places."""

    type = "scatter_nd_add_grad"
    inputs = (Slot("Index", dtypes="int"), Slot("Updates", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"), Slot("Updates@GRAD"))
    views = {"X@GRAD": "Out@GRAD"}
    differentiable = False

    def infer_shape(self, index, updates, out_grad):
        return Meta(out_grad.shape, out_grad.dtype), Meta(updates.shape, updates.dtype)

    def run(self, index, updates, out_grad, x_out, updates_out):
        updates_grad = None
        if updates_out is not None:
            ids, matrix = self.rows(out_grad.shape, index)
            updates_grad = updates_out(updates.shape)
            np.take(out_grad.reshape(matrix), ids, axis=0, out=updates_grad.reshape(len(ids), matrix[1]), mode="clip")
        return (None if x_out is None else out_grad), updates_grad


class _OneHot(OpDef):
    inputs = (Slot("X", dtypes="int"), Slot("depth_tensor", optional=True, dtypes="int"))
    outputs = (Slot("Out"),)
    attrs = {"depth": -1, "allow_out_of_range": False}
    lod_from = "X"
    differentiable = False

    # Whether a last dimension of 1 becomes the depth; otherwise the depth is a further dimension.
    drops_last = False

    def _shape(self, shape, depth):
        if self.drops_last and shape[-1:] not in ((1,), (-1,)):
            self.fail(
                f"The last dimension of {self.var('X')} is not 1.",
                expected="(..., 1)",
                actual=str(list(shape)),
                hint="reshape the ids, or use fluid.one_hot, which takes ids of any shape.",
            )
        return (*(shape[:-1] if self.drops_last else shape), depth)

    def infer_shape(self, x, depth):
        return Meta(self._shape(x.shape, self.attr["depth"] if depth is None else -1), VarType.FP32)

    def run(self, x, depth, out):
        depth = self.attr["depth"] if depth is None else int(depth.reshape(-1)[0])
        ids = x.reshape(-1)
        if self.attr["allow_out_of_range"]:
            inside = np.flatnonzero((ids >= 0) & (ids < depth))
        else:
            _refuse_outside(self, "X", ids, depth, f"the depth of {depth}")
            inside = np.arange(len(ids))
        array = out.zeros(self._shape(x.shape, depth))
        array.reshape(len(ids), depth)[inside, ids[inside]] = 1
        return array


@register_op
class OneHot(_OneHot):
    """Out[..., c] = 1 where c is X[..., 0], else 0: float32, (..., 1) ids to (..., depth).

    ``depth_tensor`` (1,) stands for the attribute. An id outside [0, depth) makes a row of zeros with
    `allow_out_of_range`, and else an OutOfRangeError that names it. Source: Fluid's layers.one_hot.
    """

    type = "one_hot"
    drops_last = True


@register_op
class OneHotV2(_OneHot):
    """Out[..., c] = 1 where c is X[...], else 0: ids of any shape (...) to (..., depth).

    As `one_hot` otherwise. Source: Fluid's fluid.one_hot.
    """

    type = "one_hot_v2"


@register_op
class WhereIndex(OpDef):
    """Out = the indices of the elements of Condition that are not 0, one a row, in order: int64 (count, rank).

    Source: Fluid's layers.where.
    """

    type = "where_index"
    inputs = (Slot("Condition"),)
    outputs = (Slot("Out"),)
    differentiable = False

    def infer_shape(self, condition):
        return Meta((-1, len(condition.shape)), VarType.INT64)

    def run(self, condition, out):
        found = np.nonzero(condition)
        array = out((len(found[0]), len(found)))
        for axis, places in enumerate(found):
            array[:, axis] = places
        return array
