"""Samples of the ops that make values."""

import numpy as np

from fluidlite.dtypes import VarType

from .grid import add, uniform

_SHAPE = np.array([2, 3, 5], np.int32)

for _dtype, _value in (
    (VarType.FP32, 1.5),
    (VarType.FP64, -0.1),
    (VarType.INT32, 7),
    (VarType.INT64, 2**40),
    (VarType.BOOL, True),
):
    add(
        "fill_constant",
        {},
        lambda v=_value, d=_dtype: np.full((2, 3), v, np.float32 if d == VarType.FP32 else None),
        attrs={"shape": [2, 3], "dtype": _dtype, "value": _value},
    )
add("fill_constant", {}, lambda: np.zeros((0, 3)), attrs={"shape": [0, 3], "value": 1.0})
add("fill_constant", {}, lambda: np.zeros((2, 3)), attrs={"shape": [2, 3]})
add(
    "fill_constant",
    {"ShapeTensor": _SHAPE},
    lambda ShapeTensor: np.full((2, 3, 5), 2.5),
    attrs={"shape": [2, 3, 5], "value": 2.5},
)
add(
    "fill_constant",
    {"ShapeTensorList": (np.array([2], "int32"), np.array([5]))},
    lambda ShapeTensorList: np.full((2, 5), 2.5),
    attrs={"shape": [2, 5], "value": 2.5},
)
add(
    "fill_constant",
    {"ValueTensor": np.array([7])},
    lambda ValueTensor: np.full((2, 3), 7),
    attrs={"shape": [2, 3], "dtype": VarType.INT64},
)
for _value in (0.0, 3.0):
    add(
        "fill_constant_batch_size_like",
        {"Input": uniform(5, 3)},
        lambda Input, v=_value: np.full((len(Input), 7), v),
        attrs={"shape": [-1, 7], "value": _value},
        batch=("Input",),
    )
add(
    "fill_constant_batch_size_like",
    {"Input": uniform(2, 5)},
    lambda Input: np.full((3, 5), 4),
    attrs={"shape": [3, -1], "value": 4, "dtype": VarType.INT64, "input_dim_idx": 1, "output_dim_idx": 1},
    batch=("Input",),
)
add("fill_zeros_like", {"X": uniform(5, 3)}, lambda X: 0 * X, batch=("X",))
add("fill_zeros_like", {"X": np.arange(6).reshape(2, 3)}, lambda X: 0 * X, batch=("X",))

for _dtype, _slot, _values in (
    (VarType.FP32, "fp32_values", [0.5, 1.0, -2.0, 3.0, 4.0, 5.0]),
    (VarType.FP64, "fp64_values", [0.1, 1.0, -2.0, 3.0, 4.0, 5.0]),
    (VarType.INT32, "int32_values", [1, 2, 3, 4, 5, 6]),
    (VarType.INT64, "int64_values", [1, 2, 3, 4, 5, 2**40]),
    (VarType.BOOL, "bool_values", [True, False, True, True, False, False]),
):
    add(
        "assign_value",
        {},
        lambda v=_values: np.array(v).reshape(2, 3),
        attrs={"shape": [2, 3], "dtype": _dtype, _slot: _values},
    )
add("assign_value", {}, lambda: np.zeros((0, 3)), attrs={"shape": [0, 3]})

add("fill_any_like", {"X": uniform(5, 3)}, lambda X: np.full(X.shape, 2.5), attrs={"value": 2.5}, batch=("X",))
add("fill_any_like", {"X": np.arange(6).reshape(2, 3)}, lambda X: 0 * X, batch=("X",))
add(
    "fill_any_like",
    {"X": uniform(5, 3)},
    lambda X: np.full(X.shape, 7),
    attrs={"value": 7.0, "dtype": VarType.INT32},
    batch=("X",),
)


def _one(number, dtype=np.int64):
    return np.array([number], dtype)


for _start, _end, _step, _values in (
    (0, 10, 3, [0, 3, 6, 9]),
    (5, -2, -2, [5, 3, 1, -1]),
    (2, 2, 1, []),
    (2, 5, -1, []),
    (0.5, 2.0, 0.5, [0.5, 1.0, 1.5]),
    (0.0, 1.0, 0.375, [0.0, 0.375, 0.75]),
):
    for _dtype in (np.int64, np.int32) if isinstance(_start, int) else (np.float64,):
        add(
            "range",
            {"Start": _one(_start, _dtype), "End": _one(_end, _dtype), "Step": _one(_step, _dtype)},
            lambda Start, End, Step, v=_values: np.array(v, Start.dtype),
            value_shapes=True,
        )
# The distance is no int32.
_LOW, _HIGH = -(2**31), 2**31 - 1
add(
    "range",
    {"Start": _one(_LOW, np.int32), "End": _one(_HIGH, np.int32), "Step": _one(2**30, np.int32)},
    lambda Start, End, Step: np.array([_LOW, _LOW // 2, 0, 2**30]),
    value_shapes=True,
)
for _start, _stop, _num, _values in (
    (0.0, 10.0, 5, [0, 2.5, 5, 7.5, 10]),
    (1.0, -1.0, 3, [1, 0, -1]),
    (2.0, 5.0, 1, [2]),
):
    add(
        "linspace",
        {"Start": np.array([_start]), "Stop": np.array([_stop]), "Num": _one(_num, np.int32)},
        lambda Start, Stop, Num, v=_values: np.array(v, np.float64),
        value_shapes=True,
    )

for _rows, _columns, _dtype in (
    (3, 3, VarType.FP32),
    (2, 5, VarType.INT64),
    (5, 2, VarType.FP64),
    (0, 3, VarType.FP32),
):
    add(
        "eye",
        {},
        lambda r=_rows, c=_columns: np.array([[1.0 * (i == j) for j in range(c)] for i in range(r)]).reshape(r, c),
        attrs={"num_rows": _rows, "num_columns": _columns, "dtype": _dtype},
    )
add("eye", {}, lambda: np.eye(3), attrs={"num_rows": 3})
for _diagonal in (np.array([3.0, -1.0, 0.5]), np.array([4, 2])):
    add(
        "diag",
        {"Diagonal": _diagonal},
        lambda Diagonal: Diagonal * (np.arange(len(Diagonal))[:, None] == np.arange(len(Diagonal))),
        batch=("Diagonal",),
    )

for _x in (np.array([2.5]), np.array([7]), np.array([7], np.int32)):
    add("increment", {"X": _x}, lambda X: X + 1)
    add("increment", {"X": _x}, lambda X: X + np.array(-2.5).astype(X.dtype), attrs={"step": -2.5})
