"""What sequence ops share: reading the sequences of an input, and rows by sequence without a loop over sequences."""

import math

import numpy as np

from ..lod_tensor import lod_misfit
from .registry import OpDef

_KEEPERS = "embedding, fc, activations, elementwise ops and other layers that keep the rows keep the LoD, too."


class SequenceOp(OpDef):
    """Base of the ops that read LoD."""

    def sequences(self, tensor, slot="X", *, one_level=False):
        """(array, innermost offsets) of a LoDTensor; refuses one without LoD, or with LoD that does not fit its rows.

        one_level: refuse more levels than one.
        """
        lod = tensor.lod_offsets
        if not lod:
            self.refuse_plain(slot)
        if one_level and len(lod) != 1:
            self.refuse_levels(len(lod), slot)
        value = tensor.value
        misfit = lod_misfit(lod, len(value))
        if misfit is not None:
            self.fail(
                f"the LoD of {self.var(slot)} does not fit its rows: {misfit}.",
                expected=f"a partition of {len(value)} rows",
                actual=f"shape {list(value.shape)}",
                hint="an op in between has changed the number of rows; say the new lengths with layers.lod_reset.",
            )
        return value, lod[-1]

    def refuse_plain(self, slot, *, built=True):
        """No LoD where sequences are needed; `built`: found when it runs, not when the program is built."""
        words = "".join(part.capitalize() for part in self.type.split("_"))
        feed = f"feed a LoDTensor (fluid.create_lod_tensor); {_KEEPERS}"
        declare = f"declare the data with lod_level=1; {_KEEPERS}"
        self.fail(
            f"Input({slot}) Tensor of {words}Op does not contain LoD information ({self.var(slot)}).",
            expected="a LoDTensor with sequence lengths" if built else "a variable whose lod_level is at least 1",
            actual="no LoD",
            hint=feed if built else declare,
        )

    def refuse_levels(self, count, slot):
        """More levels than an op takes."""
        self.fail(
            f"{self.var(slot)} has {count} levels of LoD.",
            expected="1 level: sequences of rows",
            actual=f"{count} levels",
            hint="make the rows of one level with sequence_pool, or name new lengths with layers.lod_reset.",
        )

    def check_lod_level(self, x, slot="X"):
        """Refuse, when the program is built, what cannot have LoD when it runs."""
        if x.lod_level < 1:
            self.refuse_plain(slot, built=False)


def as_matrix(array):
    """The rows of an array as (T, D), contiguous; D = 1 for an array of one dimension."""
    if array.ndim == 2 and array.flags.c_contiguous:
        return array
    return np.ascontiguousarray(array).reshape(len(array), row_size(array))


def row_size(array):
    """Elements in a row."""
    return math.prod(array.shape[1:])


def runs(starts, lengths):
    """The numbers of all runs, one after the other: run i has lengths[i] numbers from starts[i] on."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - (ends - lengths), lengths)


def offsets_of(lengths):
    """Offsets (N + 1) from lengths (N)."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def take_rows(array, rows, out):
    """out = array[rows], for rows that are known to exist."""
    return np.take(array, rows, axis=0, out=out, mode="clip")
