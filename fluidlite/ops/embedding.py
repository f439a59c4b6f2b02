"""Look-ups of rows in a table, and their gradient: a dense table, or the SelectedRows of the batch.

With `is_sparse` and `is_distributed` the table may be an IdTable: ids are any int64. Then `padding_idx` is the literal
id, and counts only with `has_padding_idx`, since -1 is an id like others. While training, ids without a row get one, if
`entry` lets them in; with `is_test` they read as zeros.
"""

import numpy as np

from .._kernels import rows as row_kernels
from ..dtypes import VarType
from ..entry import parse_entry
from ..errors import OutOfRangeError
from ..lazy_rows import LazyRows
from ..selected_rows import Chunk, SelectedRows
from ..table_rows import IdTable
from .registry import Meta, OpDef, Slot, grad_spec, register_op


class _OfTable(OpDef):
    """What a look-up and its gradient share where the table is one of any ids."""

    def __init__(self, attrs=None, names=None):
        super().__init__(attrs, names)
        attr = self.attr
        self.padding_id = None if attr["padding_idx"] == -1 else attr["padding_idx"]
        self.table_padding_id = attr["padding_idx"] if attr["has_padding_idx"] else None
        self.entry = parse_entry(attr["entry"])
        # A look-up and its gradient name the same ids.
        self.key = (*self.names.get("Ids", ()), self.table_padding_id)
        self.memory = np.empty(0, np.int64)

    def find_rows(self, table, ids, *, train):
        """The rows of an IdTable by number, int64 (N,): 0 for a padding and for an id without a row."""
        flat = ids.reshape(-1)
        if len(self.memory) < len(flat):
            self.memory = np.empty(len(flat), np.int64)
        numbers = self.memory[: len(flat)]
        if train:
            table.admit(flat, numbers, self.table_padding_id, self.entry)
            table.remember(self.key, ids, numbers)
        else:
            table.find(flat, numbers, self.table_padding_id)
        return numbers


class _Lookup(_OfTable):
    inputs = (Slot("W", dtypes="float", table=True), Slot("Ids", dtypes=(VarType.INT64,)))
    outputs = (Slot("Out"),)
    attrs = {
        "is_sparse": False,
        "is_distributed": False,
        "padding_idx": -1,
        "remote_prefetch": False,
        "is_test": False,
        "entry": "none",
        "has_padding_idx": False,
    }
    lod_from = "Ids"
    warns = False

    # layers.embedding drops the ids' last dimension of 1; fluid.embedding keeps all of them.
    drops_last = False

    def _out_shape(self, ids_shape, width):
        return (*(ids_shape[:-1] if self.drops_last else ids_shape), width)

    def infer_shape(self, w, ids):
        if len(w.shape) != 2:
            self.fail(f"the table {self.var('W')} is not a matrix.", expected="[V, D]", actual=str(list(w.shape)))
        if self.drops_last and ids.shape[-1] not in (1, -1):
            self._refuse_ids(ids.shape)
        return Meta(self._out_shape(ids.shape, w.shape[1]), w.dtype)

    def run(self, w, ids, out):
        shape = ids.shape
        if self.drops_last and shape[-1:] != (1,):
            self._refuse_ids(shape)
        if w.__class__ is LazyRows:
            w = w.made_rows(ids)
        width = w.shape[1]
        gathered = out(self._out_shape(shape, width))
        flat = ids if len(shape) == 1 else ids.reshape(-1)
        rows = gathered if gathered.ndim == 2 else gathered.reshape(-1, width)
        if isinstance(w, IdTable):
            row_kernels.gather_rows(w.rows, self.find_rows(w, ids, train=not self.attr["is_test"]), rows, 0)
            return gathered
        try:
            row_kernels.gather_rows(w, flat, rows, self.padding_id)
        except row_kernels.IdOutOfRange as error:
            raise OutOfRangeError(
                f"Id {error.id} at position {error.position} of {self.var('Ids')} is not in the table {self.var('W')}. "
                f"Variable value (input) of OP(fluid.layers.embedding) expected >= 0 and < {error.height}, but got "
                f"{error.id}. Please check input value.",
                expected=f"0 <= id < {error.height} (the height of the table)",
                actual=str(error.id),
                hint="count the vocabulary again, or map unknown ids to one row of the table.",
            ) from None
        return gathered

    def _refuse_ids(self, shape):
        self.fail(
            f"The last dimensions of the 'Ids' tensor must be 1. But received Ids's last dimensions = {shape[-1]}, "
            f"Ids's shape = {list(shape)} ({self.var('Ids')}).",
            expected="(..., 1)",
            actual=str(tuple(shape)),
            hint="reshape the ids, or use fluid.embedding, which takes ids of any shape.",
        )

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("W", "Ids"), in_grads=("W",))]


@register_op
class LookupTable(_Lookup):
    """Rows of a table by id, for ids whose last dimension is 1: Out[..., :] = W[Ids[..., 0], :].

    W: (V, D) float; Ids: (..., 1) int64 in [0, V); Out: (..., D). Where an id equals `padding_idx` (not -1), Out is
    zero and the row gets no gradient. LoD is the ids'.

    Errors: OutOfRangeError names the first id outside the table and its position; nothing is written then.
    Source: Fluid's layers.embedding.
    """

    type = "lookup_table"
    drops_last = True


@register_op
class LookupTableV2(_Lookup):
    """Rows of a table by id: Out[..., :] = W[Ids[...], :], for ids of any shape.

    As `lookup_table` otherwise. Source: Fluid's fluid.embedding.
    """

    type = "lookup_table_v2"
    attrs = {name: default for name, default in _Lookup.attrs.items() if name != "remote_prefetch"}


class _LookupGrad(_OfTable):
    inputs = (
        Slot("W", dtypes="float", table=True),
        Slot("Ids", dtypes=(VarType.INT64,)),
        Slot("Out@GRAD", dtypes="float"),
    )
    outputs = (Slot("W@GRAD", rows=True),)
    views = {"W@GRAD": ("Out@GRAD", "Ids")}
    warns = False
    differentiable = False

    def infer_shape(self, w, ids, out_grad):
        return Meta(w.shape, w.dtype, VarType.SELECTED_ROWS if self.attr["is_sparse"] else VarType.LOD_TENSOR)

    def run(self, w, ids, out_grad, out):
        if isinstance(w, IdTable):
            numbers = w.recall(self.key, ids)
            if numbers is None:
                numbers = self.find_rows(w, ids, train=not self.attr["is_test"])
            chunk = Chunk(numbers, _as_rows(out_grad, w.shape[1]), 0)
            return SelectedRows.from_chunks((chunk,), len(w) + 1, w.names)
        if w.__class__ is LazyRows:
            w.made_rows(ids)  # its look-up may have been left out of the plan
        flat = ids if ids.ndim == 1 else ids.reshape(-1)
        chunk = Chunk(flat, _as_rows(out_grad, w.shape[1]), self.padding_id)
        if self.attr["is_sparse"]:
            return SelectedRows.from_chunks((chunk,), w.shape[0])
        grad = out.zeros(w.shape)
        row_kernels.scatter_add_rows(grad, (chunk,))
        return grad


def _as_rows(grad, width):
    """The gradient as (N, D), uncopied where its rows are contiguous; one equal row for all where all are equal."""
    item = grad.itemsize
    if grad.ndim == 2 and grad.strides[1] == item:
        return grad
    n = grad.size // width if width else 0
    if grad.size and not any(grad.strides):
        row = np.full(width, grad.flat[0], grad.dtype)
        return np.ndarray((n, width), grad.dtype, row.data, strides=(0, item))
    return np.ascontiguousarray(grad).reshape(n, width)


@register_op
class LookupTableGrad(_LookupGrad):
    """Gradient of `lookup_table`: W@GRAD[r] = sum of Out@GRAD over the places where Ids is r.

    With ``is_sparse`` a SelectedRows whose rows are the ids, duplicates kept, and whose value is Out@GRAD itself,
    uncopied; otherwise a dense (V, D) array. Places that hold the padding id count in neither.
    """

    type = "lookup_table_grad"
    attrs = LookupTable.attrs


@register_op
class LookupTableV2Grad(_LookupGrad):
    """Gradient of `lookup_table_v2`; see `lookup_table_grad`."""

    type = "lookup_table_v2_grad"
    attrs = LookupTableV2.attrs
