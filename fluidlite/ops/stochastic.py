"""Ops that treat their input at random: dropout, and shuffled batches."""

import numpy as np

from .._kernels import dropout as dropout_kernels
from .._kernels import random as random_kernels
from ..dtypes import VarType
from .registry import Meta, OpDef, Slot, contiguous_in, grad_spec, register_op


def _kept_scale(attr):
    """What a kept element is multiplied by while training."""
    p = attr["dropout_prob"]
    return 1 / (1 - p) if attr["dropout_implementation"] == "upscale_in_train" and p < 1 else 1.0


def _test_scale(attr):
    """What every element is multiplied by in a test."""
    return 1.0 if attr["dropout_implementation"] == "upscale_in_train" else 1 - attr["dropout_prob"]


@register_op
class Dropout(OpDef):
    """Out = X where Mask is 1, else 0; each element of Mask is 0 with probability p = `dropout_prob`, anew in each run.

    With `dropout_implementation` 'downgrade_in_infer' Out = X Mask while training and (1 - p) X with `is_test`; with
    'upscale_in_train' X Mask / (1 - p) and X. Mask: uint8, X's shape; with `is_test` nothing is drawn, and Mask is the
    number 1, shape (). Element i of Mask depends on (seed, variable, run, i) alone; Fluid repeats the mask of a seed in
    every run. Source: Fluid's layers.dropout; Srivastava et al., "Dropout", JMLR 15 (2014).
    """

    type = "dropout"
    inputs = (Slot("X", dtypes="float"),)
    outputs = (Slot("Out"), Slot("Mask"))
    attrs = {
        "dropout_prob": 0.5,
        "is_test": False,
        "fix_seed": False,
        "seed": 0,
        "dropout_implementation": "downgrade_in_infer",
    }
    lod_from = "X"
    lod_to = ("Out",)
    inplace = {"Out": "X"}
    random = True

    def __init__(self, attrs=None, names=None):
        super().__init__(attrs, names)
        self.random = not self.attr["is_test"]

    def infer_shape(self, x):
        p, implementation = self.attr["dropout_prob"], self.attr["dropout_implementation"]
        if not 0 <= p <= 1:
            self.fail("dropout_prob is no probability.", expected="0 <= dropout_prob <= 1", actual=str(p))
        if implementation not in ("downgrade_in_infer", "upscale_in_train"):
            self.fail(
                "there is no such dropout_implementation.",
                expected="'downgrade_in_infer' or 'upscale_in_train'",
                actual=repr(implementation),
            )
        return Meta(x.shape, x.dtype), Meta(() if self.attr["is_test"] else x.shape, VarType.UINT8)

    def run(self, x, out, mask_out):
        array = out(x.shape)
        if self.attr["is_test"]:
            mask = mask_out(())
            mask.fill(1)
            return np.multiply(x, x.dtype.type(_test_scale(self.attr)), out=array), mask
        mask = mask_out(x.shape)
        dropout_kernels.drop(
            np.ascontiguousarray(x),
            array,
            mask.reshape(-1),
            self.attr["dropout_prob"],
            _kept_scale(self.attr),
            seed=self.seed,
            stream=self.stream,
        )
        return array, mask

    def make_grad(self, spec):
        return [grad_spec(spec, outputs=() if self.attr["is_test"] else ("Mask",))]


@register_op
class DropoutGrad(OpDef):
    """Gradient of `dropout`: Out@GRAD times what X was multiplied by. With `is_test` there is no Mask."""

    type = "dropout_grad"
    inputs = (Slot("Mask", optional=True, dtypes=(VarType.UINT8,)), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    attrs = Dropout.attrs
    lod_from = "Out@GRAD"
    inplace = {"X@GRAD": "Out@GRAD"}
    differentiable = False

    def infer_shape(self, mask, out_grad):
        return Meta(out_grad.shape, out_grad.dtype)

    def run(self, mask, out_grad, out):
        array = out(out_grad.shape)
        if self.attr["is_test"]:
            return np.multiply(out_grad, out_grad.dtype.type(_test_scale(self.attr)), out=array)
        mask = np.ascontiguousarray(mask).reshape(-1)
        dropout_kernels.drop_grad(contiguous_in(array, out_grad), mask, array, _kept_scale(self.attr))
        return array


@register_op
class ShuffleBatch(OpDef):
    """Out = the rows of X in random order: Out[i] = X[ShuffleIdx[i]]; rows are X's last dimension.

    X: (..., D), N rows in all; ShuffleIdx: (N,) int64, a permutation, anew in each run. Seed: (1,) int64, says which
    permutation; SeedOut is Seed plus 1 where it lies, so what a Scope holds decides how a run goes on. LoD is kept.
    Source: Fluid's contrib.layers.shuffle_batch.
    """

    type = "shuffle_batch"
    inputs = (Slot("X"), Slot("Seed", dtypes=(VarType.INT64,)))
    outputs = (Slot("Out"), Slot("ShuffleIdx"), Slot("SeedOut"))
    attrs = {"startup_seed": 0}
    lod_from = "X"
    lod_to = ("Out",)
    updates = {"SeedOut": "Seed"}
    random = True

    def infer_shape(self, x, seed):
        n_rows = -1 if any(d < 0 for d in x.shape[:-1]) else int(np.prod(x.shape[:-1]))
        return Meta(x.shape, x.dtype), Meta((n_rows,), VarType.INT64), Meta(seed.shape, VarType.INT64)

    def run(self, x, seed, out, index_out, seed_out):
        rows = x.reshape(-1, x.shape[-1])
        keys, index = np.empty(len(rows)), index_out((len(rows),))
        random_kernels.fill_uniform(keys, 0.0, 1.0, seed=int(seed[0]) & 0xFFFFFFFFFFFFFFFF, stream=self.stream)
        index[...] = np.argsort(keys, kind="stable")
        array = out(x.shape)
        np.take(rows, index, axis=0, out=array.reshape(rows.shape), mode="clip")
        seed += 1
        return array, index, seed

    def make_grad(self, spec):
        return [grad_spec(spec, outputs=("ShuffleIdx",))]


@register_op
class ShuffleBatchGrad(OpDef):
    """Gradient of `shuffle_batch`: the rows of Out@GRAD back at their places, X@GRAD[ShuffleIdx[i]] = Out@GRAD[i]."""

    type = "shuffle_batch_grad"
    inputs = (Slot("ShuffleIdx", dtypes=(VarType.INT64,)), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    attrs = ShuffleBatch.attrs
    lod_from = "Out@GRAD"
    differentiable = False

    def infer_shape(self, index, out_grad):
        return Meta(out_grad.shape, out_grad.dtype)

    def run(self, index, out_grad, out):
        array = out(out_grad.shape)
        array.reshape(-1, array.shape[-1])[index] = out_grad.reshape(-1, out_grad.shape[-1])
        return array
