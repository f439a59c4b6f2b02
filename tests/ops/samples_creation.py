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


def _uniform_check(low, high, shape, dtype):
    def check(results, inputs):
        out = results["Out"]
        assert out.shape == shape and out.dtype == dtype
        assert out.min() >= low and out.max() < high
        # Ten standard errors of the mean.
        assert abs(out.mean() - (low + high) / 2) < 10 * (high - low) / (12 * out.size) ** 0.5

    return check


def _normal_check(mean, std, shape, dtype, limit=None):
    def check(results, inputs):
        out = results["Out"]
        assert out.shape == shape and out.dtype == dtype
        width = std if limit is None else 0.8796 * std
        assert abs(out.mean() - mean) < 10 * width / out.size**0.5
        assert abs(out.std() / width - 1) < 10 / out.size**0.5
        assert limit is None or np.abs(out - mean).max() <= limit * std * (1 + 1e-6)

    return check


_WHERE = {"shape": [101, 97]}
_GIVEN = {"ShapeTensor": np.array([101, 97])}
_SIZE = (101, 97)
for _inputs in ({}, _GIVEN):
    add("uniform_random", _inputs, attrs=_WHERE, check=_uniform_check(-1, 1, _SIZE, np.float32))
    add("gaussian_random", _inputs, attrs=_WHERE, check=_normal_check(0, 1, _SIZE, np.float32))
    add("truncated_gaussian_random", _inputs, attrs=_WHERE, check=_normal_check(0, 1, _SIZE, np.float32, 2))
_DOUBLE = {**_WHERE, "dtype": VarType.FP64, "seed": 5}
add(
    "uniform_random",
    {},
    attrs={**_DOUBLE, "min": 2.0, "max": 5.0},
    check=_uniform_check(2, 5, _SIZE, np.float64),
)
_MOVED = {**_DOUBLE, "mean": 3.0, "std": 0.5}
add("gaussian_random", {}, attrs=_MOVED, check=_normal_check(3, 0.5, _SIZE, np.float64))
add("truncated_gaussian_random", {}, attrs=_MOVED, check=_normal_check(3, 0.5, _SIZE, np.float64, 2))
