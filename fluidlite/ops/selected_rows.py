"""Ops on sparse gradients themselves."""

import numpy as np

from ..dtypes import VarType
from .registry import Meta, OpDef, Slot, register_op


class _OfRows(OpDef):
    inputs = (Slot("X", rows=True),)
    outputs = (Slot("Out"),)
    differentiable = False
    warns = False

    def check_sparse(self, x):
        if x.type != VarType.SELECTED_ROWS:
            self.fail(
                f"{self.var('X')} is not a sparse gradient.", expected="SELECTED_ROWS", actual=x.type.name.lower()
            )


@register_op
class MergeSelectedRows(_OfRows):
    """Out = X with every row named once, ascending; duplicates are summed in order of position.

    X, Out: SelectedRows. Source: Fluid's layers.merge_selected_rows.
    """

    type = "merge_selected_rows"
    outputs = (Slot("Out", rows=True),)

    def infer_shape(self, x):
        self.check_sparse(x)
        return Meta(x.shape, x.dtype, VarType.SELECTED_ROWS)

    def run(self, x, out):
        return x.merge()


@register_op
class GetTensorFromSelectedRows(_OfRows):
    """Out = the values of X, (n, D) for the n rows that X names, as a tensor. n is known at run time.

    Source: Fluid's layers.get_tensor_from_selected_rows.
    """

    type = "get_tensor_from_selected_rows"

    def infer_shape(self, x):
        self.check_sparse(x)
        return Meta((-1, *x.shape[1:]), x.dtype)

    def run(self, x, out):
        value = x.value
        array = out(value.shape)
        np.copyto(array, value)
        return array
