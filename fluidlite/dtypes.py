"""Canonical data types: Fluid's `VarType` numbers and their NumPy dtypes, and the words for both."""

import enum

import numpy as np

from .errors import InvalidTypeError


class VarType(enum.IntEnum):
    """Fluid's ``core.VarDesc.VarType``: data types and kinds of variables share one numbering (that of its files)."""

    BOOL = 0
    INT16 = 1
    INT32 = 2
    INT64 = 3
    FP16 = 4
    FP32 = 5
    FP64 = 6
    LOD_TENSOR = 7
    SELECTED_ROWS = 8
    FEED_MINIBATCH = 9
    FETCH_LIST = 10
    STEP_SCOPES = 11
    LOD_RANK_TABLE = 12
    LOD_TENSOR_ARRAY = 13
    PLACE_LIST = 14
    READER = 15
    RAW = 17
    TUPLE = 18
    SIZE_T = 19
    UINT8 = 20
    INT8 = 21

    def __str__(self):
        return f"VarType.{self.name}"

    __repr__ = __str__


_NUMPY = {
    VarType.BOOL: np.dtype(np.bool_),
    VarType.INT16: np.dtype(np.int16),
    VarType.INT32: np.dtype(np.int32),
    VarType.INT64: np.dtype(np.int64),
    VarType.FP16: np.dtype(np.float16),
    VarType.FP32: np.dtype(np.float32),
    VarType.FP64: np.dtype(np.float64),
    VarType.UINT8: np.dtype(np.uint8),
    VarType.INT8: np.dtype(np.int8),
}
_BY_NUMPY = {dtype: vartype for vartype, dtype in _NUMPY.items()}
_FLOATS = frozenset({VarType.FP16, VarType.FP32, VarType.FP64})


def canonical_dtype(dtype):
    """The `VarType` of anything that names a data type: a VarType, 'float32', ``np.float32``, ``np.dtype(...)``.

    >>> canonical_dtype('int64')
    VarType.INT64
    """
    if isinstance(dtype, VarType):
        if dtype in _NUMPY:
            return dtype
    elif not isinstance(dtype, bool | int):
        try:
            found = _BY_NUMPY.get(np.dtype(dtype)) if dtype is not None else None
        except TypeError:
            found = None
        if found is not None:
            return found
    elif VarType(dtype) in _NUMPY:
        return VarType(dtype)
    raise InvalidTypeError(
        f"{dtype!r} is not a data type of tensors.", expected=", ".join(str(d) for d in _NUMPY.values())
    )


def numpy_dtype(dtype):
    """The NumPy dtype of anything that `canonical_dtype` understands."""
    return _NUMPY[canonical_dtype(dtype)]


def dtype_name(dtype):
    """The word for a data type in messages: 'float32', 'int64', ..."""
    return _NUMPY[canonical_dtype(dtype)].name


def is_float(dtype):
    """Whether a VarType is a floating point data type, the only ones that have gradients."""
    return dtype in _FLOATS
