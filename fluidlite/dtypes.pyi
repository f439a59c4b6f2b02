# Made by tools/make_stubs.py.
from enum import IntEnum
from typing import Any

class VarType(IntEnum):
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
def canonical_dtype(dtype: Any) -> Any: ...
def numpy_dtype(dtype: Any) -> Any: ...
def dtype_name(dtype: Any) -> Any: ...
def is_float(dtype: Any) -> Any: ...
