"""Samples of the ops that draw random numbers."""

import numpy as np

from fluidlite.dtypes import VarType

from .grid import add, uniform


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
_LISTED = {"ShapeTensorList": (np.array([101], np.int32), np.array([97]))}
for _inputs in ({}, _GIVEN, _LISTED):
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
add(
    "uniform_random",
    {},
    lambda: np.array([[7.0, 0, 0], [0, 7.0, 0]]),
    attrs={"shape": [2, 3], "min": 0.0, "max": 0.0, "diag_num": 2, "diag_step": 3, "diag_val": 7.0},
)
add(
    "uniform_random_batch_size_like",
    {"Input": uniform(2, 5)},
    lambda Input: np.array([[7.0, 0, 0], [0, 7.0, 0]]),
    attrs={"shape": [-1, 3], "min": 0.0, "max": 0.0, "diag_num": 2, "diag_step": 3, "diag_val": 7.0},
)
_MOVED = {**_DOUBLE, "mean": 3.0, "std": 0.5}
add("gaussian_random", {}, attrs=_MOVED, check=_normal_check(3, 0.5, _SIZE, np.float64))
add("truncated_gaussian_random", {}, attrs=_MOVED, check=_normal_check(3, 0.5, _SIZE, np.float64, 2))

_BATCH = uniform(101, 3)
for _type, _check, _attrs, _other in (
    ("uniform_random_batch_size_like", _uniform_check, {"min": 2.0, "max": 5.0}, (-1, 1)),
    ("gaussian_random_batch_size_like", _normal_check, {"mean": 3.0, "std": 0.5}, (0, 1)),
):
    add(
        _type,
        {"Input": _BATCH},
        attrs={"shape": [-1, 97]},
        check=_check(*_other, (101, 97), np.float32),
    )
    add(
        _type,
        {"Input": uniform(3, 101)},
        attrs={
            "shape": [97, -1],
            "dtype": VarType.FP64,
            "input_dim_idx": 1,
            "output_dim_idx": 1,
            "seed": 5,
            **_attrs,
        },
        check=_check(*_attrs.values(), (97, 101), np.float64),
    )


def _classes_check(shares):
    def check(results, inputs):
        found = np.bincount(results["Out"], minlength=len(shares)) / len(results["Out"])
        # Ten standard errors.
        assert np.all(np.abs(found - shares) <= 10 * np.sqrt(np.multiply(shares, np.subtract(1, shares)) / 5003))

    return check


_SHARES = [0.2, 0.0, 0.3, 0.5]
_DISTRIBUTIONS = np.tile(_SHARES, (5003, 1))
add("sampling_id", {"X": _DISTRIBUTIONS}, check=_classes_check(_SHARES))
add(
    "sampling_id",
    {"X": _DISTRIBUTIONS},
    attrs={"min": 0.25, "max": 0.75, "seed": 3},
    check=_classes_check([0.0, 0.0, 0.5, 0.5]),
)
# A rest that no probability covers is the last class's.
add("sampling_id", {"X": np.zeros((3, 2))}, lambda X: np.ones(len(X)), batch=("X",))
