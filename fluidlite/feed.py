"""What is fed: from what users give to arrays that a plan can use, or an error that says what is wrong with it."""

import numpy as np

from ._kernels.sequence import first_misfit
from .dtypes import is_float
from .errors import InvalidArgumentError, InvalidTypeError, format_site
from .framework import Variable
from .lod_tensor import concat_lod_tensors, lod_misfit


def as_feed(feed):
    """A feed dict from None, a dict, or the list with one dict that data loaders yield."""
    if feed is None:
        return {}
    if isinstance(feed, list | tuple) and feed and all(isinstance(part, dict) for part in feed):
        return feed[0] if len(feed) == 1 else _joined(feed)
    if isinstance(feed, dict):
        return dict(feed)
    raise InvalidTypeError("The feed is not a dict.", expected="{name: array}", actual=type(feed).__name__)


def _joined(feeds):
    """One feed from those of several places: their batches, one after the other."""
    for feed in feeds[1:]:
        if set(feed) != set(feeds[0]):
            raise InvalidArgumentError(
                "The parts of a feed do not name the same variables.",
                expected=", ".join(sorted(feeds[0])),
                actual=", ".join(sorted(feed)),
            )
    return {name: concat_lod_tensors([feed[name] for feed in feeds]) for name in feeds[0]}


def checked_offsets(variable, tensor):
    """The offsets of a fed LoDTensor, if they describe the rows that it has."""
    lod = tensor.lod_offsets
    if len(lod) == 1 and first_misfit(lod[0], len(tensor)) < 0:
        return lod
    misfit = lod_misfit(lod, len(tensor))
    if misfit is not None:
        raise InvalidArgumentError(
            f"The LoD of fed Variable {variable.name!r} does not fit its rows: {misfit}.",
            expected=f"a partition of {len(tensor)} rows",
            actual=f"lengths {tensor.recursive_sequence_lengths()}",
            where=format_site(variable.site),
            hint="call set_recursive_sequence_lengths after set: a new array keeps the old lengths.",
        )
    return lod


def checked_feed(variable, dtype, value):
    """The fed value as a C-contiguous array of the variable's dtype, or an error that says what is wrong with it."""
    if value.__class__ is not np.ndarray or value.dtype is not dtype or not value.flags.c_contiguous:
        value = _converted_feed(variable, value, dtype)
    if variable.need_check_feed:
        declared, shape = variable.shape, value.shape
        fits = len(shape) == len(declared)
        if fits:
            for d, n in zip(declared, shape, strict=True):
                if d != n and d != -1:
                    fits = False
        if not fits:
            raise InvalidArgumentError(
                f"The fed Variable {variable.name!r} should have dimensions = {len(declared)}, shape = {declared}, "
                f"but received fed shape {list(shape)}.",
                expected=str(declared),
                actual=str(shape),
                where=format_site(variable.site),
            )
    return value


def _converted_feed(variable, value, dtype):
    def refuse(actual, hint=None, error=InvalidTypeError):
        raise error(
            f"The data type of fed Variable {variable.name!r} must be {dtype.name!r}, but received {actual!r}.",
            expected=dtype.name,
            actual=actual,
            where=format_site(variable.site),
            hint=hint,
        )

    if isinstance(value, Variable):
        refuse("Variable", "feed an array; Variables have values only inside a run.")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InvalidArgumentError(
            f"The value fed to {variable.name!r} is not an array: {error}",
            where=format_site(variable.site),
            hint="sequences of different lengths are fed as a LoDTensor (fluid.create_lod_tensor).",
        ) from None
    if array.dtype == dtype:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "biuf":
        refuse(str(array.dtype))
    if not is_float(variable.dtype) and array.dtype.kind == "f" and array.size:
        refuse(str(array.dtype), f"convert it yourself if that is meant: array.astype({dtype.name!r}).")
    if array.dtype.kind in "iu" and dtype.kind in "iu" and array.size:
        # By value: a cast wraps around, and casting back wraps to the same number.
        limits = np.iinfo(dtype)
        for bad in (array.max(), array.min()):
            if not limits.min <= int(bad) <= limits.max:
                refuse(f"{array.dtype} with the value {bad}", f"{bad} does not fit {dtype.name}.", InvalidArgumentError)
        return np.ascontiguousarray(array, dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        converted = np.ascontiguousarray(array, dtype)
        # An integer at the edge of its range may come back as anything; floats compare exactly.
        exact = array.dtype.kind not in "iu" or _same_numbers(converted, array)
    if array.dtype.kind == "f":
        overflown = np.isinf(converted) & ~np.isinf(array)
        if overflown.any():
            bad = array[overflown].flat[0]
            refuse(f"{array.dtype} with the value {bad}", f"{bad} does not fit {dtype.name}.", InvalidArgumentError)
    elif not exact:
        bad = next(x for x in array.flat if int(dtype.type(int(x))) != int(x))
        refuse(f"{array.dtype} with the value {bad}", f"{bad} is not exact in {dtype.name}.", InvalidArgumentError)
    return converted


def _same_numbers(floats, integers):
    """Whether integers survived the conversion to floats: all below 2^p for p bits of mantissa, or each by itself."""
    exact_below = 1 << (np.finfo(floats.dtype).nmant + 1) if floats.dtype.kind == "f" else 1
    if not integers.size or (int(integers.max()) <= exact_below and int(integers.min()) >= -exact_below):
        return True
    return all(int(a) == int(b) for a, b in zip(floats.flat, integers.flat, strict=True))
