"""Layers that draw random numbers, anew in each run."""

from ..dtypes import VarType, canonical_dtype
from ..framework import Variable
from ..layer_helper import LayerHelper, check_variable
from .tensor import fill_constant


def _draw(type, shape, dtype, attrs, number):
    """One op that draws; `number` makes a Variable of an int in a shape that has Variables."""
    helper = LayerHelper(type)
    dtype = canonical_dtype(dtype)
    inputs, attrs = {}, {**attrs, "dtype": dtype}
    if isinstance(shape, Variable):
        inputs["ShapeTensor"] = shape
    else:
        attrs["shape"] = [-1 if isinstance(d, Variable) else int(d) for d in shape]
        if any(isinstance(d, Variable) for d in shape):
            inputs["ShapeTensorList"] = [d if isinstance(d, Variable) else number(helper, d) for d in shape]
    out = helper.create_variable_for_type_inference(dtype)
    helper.append_op(type, inputs, {"Out": out}, attrs)
    return out


def _int64(helper, value):
    out = helper.create_variable_for_type_inference(VarType.INT64, stop_gradient=True)
    return fill_constant([1], VarType.INT64, value, force_cpu=True, out=out)


def _int32(helper, value):
    return fill_constant([1], VarType.INT32, value, force_cpu=True)


def uniform_random(shape, dtype="float32", min=-1.0, max=1.0, seed=0):
    """Numbers from U[min, max).

    Args:
        shape: ints and int Variables of shape (1,), or an int Variable.
        seed: 0 for the program's.

    >>> uniform_random([2, 3]).shape
    (2, 3)
    """
    attrs = {"min": float(min), "max": float(max), "seed": seed}
    return _draw("uniform_random", shape, dtype, attrs, _int64)


def gaussian_random(shape, mean=0.0, std=1.0, seed=0, dtype="float32"):
    """Numbers from N(mean, std^2); `shape` and `seed` as in `uniform_random`.

    >>> gaussian_random([2, 3], std=0.5).shape
    (2, 3)
    """
    attrs = {"mean": float(mean), "std": float(std), "seed": seed}
    return _draw("gaussian_random", shape, dtype, attrs, _int32)


def _draw_like(type, input, shape, dtype, input_dim_idx, output_dim_idx, attrs):
    helper = LayerHelper(type)
    check_variable(input, "input", type)
    dtype = canonical_dtype(dtype)
    out = helper.create_variable_for_type_inference(dtype)
    attrs = {
        **attrs,
        "shape": [int(d) for d in shape],
        "dtype": dtype,
        "input_dim_idx": input_dim_idx,
        "output_dim_idx": output_dim_idx,
    }
    helper.append_op(type, {"Input": input}, {"Out": out}, attrs)
    return out


def uniform_random_batch_size_like(
    input, shape, dtype="float32", input_dim_idx=0, output_dim_idx=0, min=-1.0, max=1.0, seed=0
):
    """Numbers from U[min, max), of the given shape with one dimension taken from `input` at run time.

    >>> import fluidlite as fluid
    >>> uniform_random_batch_size_like(fluid.data('x', [None, 3]), [-1, 5]).shape
    (-1, 5)
    """
    attrs = {"min": float(min), "max": float(max), "seed": seed}
    type = "uniform_random_batch_size_like"
    return _draw_like(type, input, shape, dtype, input_dim_idx, output_dim_idx, attrs)


def gaussian_random_batch_size_like(
    input, shape, input_dim_idx=0, output_dim_idx=0, mean=0.0, std=1.0, seed=0, dtype="float32"
):
    """Numbers from N(mean, std^2), of the given shape with one dimension taken from `input` at run time."""
    attrs = {"mean": float(mean), "std": float(std), "seed": seed}
    type = "gaussian_random_batch_size_like"
    return _draw_like(type, input, shape, dtype, input_dim_idx, output_dim_idx, attrs)


def sampling_id(x, min=0.0, max=1.0, seed=0, dtype="float32"):
    """For each row a class drawn from its distribution: int64 (N,).

    Args:
        x: probabilities (N, C) float.
        min, max: bounds of the random number that is compared with the cumulated probabilities.
        dtype: accepted; classes are int64, as those of Fluid are whatever it says.

    >>> import fluidlite as fluid
    >>> sampling_id(fluid.layers.softmax(fluid.data('x', [None, 5]))).shape
    (-1,)
    """
    helper = LayerHelper("sampling_id")
    check_variable(x, "x", "sampling_id")
    out = helper.create_variable_for_type_inference(VarType.INT64, stop_gradient=True)
    helper.append_op("sampling_id", {"X": x}, {"Out": out}, {"min": float(min), "max": float(max), "seed": seed})
    return out
