"""Layers that make, copy, join and cast tensors."""

import numpy as np

from ..dtypes import VarType, canonical_dtype
from ..errors import InvalidArgumentError, InvalidTypeError
from ..framework import Variable
from ..initializer import Constant
from ..layer_helper import LayerHelper, check_variable
from ..param_attr import ParamAttr


def create_tensor(dtype, name=None, persistable=False):
    """A variable without a value, to be written by an op."""
    helper = LayerHelper("create_tensor", name=name)
    return helper.main_program.current_block().create_var(name=helper.name, dtype=dtype, persistable=persistable)


def create_parameter(shape, dtype, name=None, attr=None, is_bias=False, default_initializer=None):
    """A parameter of its own. Default initializer: Xavier, or 0 with `is_bias`.

    >>> create_parameter([3, 2], 'float32').shape
    (3, 2)
    """
    helper = LayerHelper("create_parameter", name=name)
    return helper.create_parameter(attr or ParamAttr(name=name), shape, dtype, is_bias, default_initializer)


def create_global_var(shape, value, dtype, persistable=False, force_cpu=False, name=None):
    """A variable of the global block, filled with `value` by the startup program.

    >>> create_global_var([1], 0.5, 'float32', persistable=True).shape
    (1,)
    """
    helper = LayerHelper("global_var")
    variable = helper.create_global_variable(
        dtype=dtype, shape=shape, persistable=persistable, name=name, stop_gradient=True
    )
    helper.set_variable_initializer(variable, Constant(float(value), force_cpu=force_cpu))
    return variable


def cast(x, dtype):
    """x in another dtype; fractions are cut off toward zero. Shape and LoD stay.

    >>> import fluidlite as fluid
    >>> cast(fluid.data('x', [None]), 'int64').dtype
    VarType.INT64
    """
    helper = LayerHelper("cast")
    check_variable(x, "x", "cast")
    out = helper.create_variable_for_type_inference(dtype)
    helper.append_op("cast", {"X": x}, {"Out": out}, {"in_dtype": x.dtype, "out_dtype": canonical_dtype(dtype)})
    return out


def concat(input, axis=0, name=None):
    """The inputs one after another along `axis` (default 0). All other dimensions and the dtypes are equal.

    >>> import fluidlite as fluid
    >>> a, b = fluid.data('a', [None, 2]), fluid.data('b', [None, 3])
    >>> concat([a, b], axis=1).shape
    (-1, 5)
    """
    helper = LayerHelper("concat", name=name)
    inputs = list(input) if isinstance(input, list | tuple) else [input]
    if not inputs:
        raise InvalidArgumentError("concat has no inputs.", expected="a list of Variables")
    for x in inputs:
        check_variable(x, "input", "concat")
    out = helper.create_variable_for_type_inference(inputs[0].dtype)
    helper.append_op("concat", {"X": inputs}, {"Out": out}, {"axis": axis})
    return out


def sums(input, out=None):
    """The sum of a list of Variables of one shape."""
    helper = LayerHelper("sum")
    inputs = list(input) if isinstance(input, list | tuple) else [input]
    for x in inputs:
        check_variable(x, "input", "sums")
    if out is None:
        out = helper.create_variable_for_type_inference(inputs[0].dtype)
    helper.append_op("sum", {"X": inputs}, {"Out": out})
    return out


def sum(x):
    """The sum of a list of Variables of one shape."""
    return sums(x)


def assign(input, output=None):
    """A copy of a Variable, or a Variable with the numbers of an array (float32 or int32)."""
    helper = LayerHelper("assign")
    if isinstance(input, Variable):
        if output is None:
            output = helper.create_variable_for_type_inference(input.dtype)
        helper.append_op("assign", {"X": input}, {"Out": output})
        return output
    if not isinstance(input, np.ndarray):
        raise InvalidTypeError("assign takes a Variable or an array.", actual=type(input).__name__)
    keys = {VarType.FP32: "fp32_values", VarType.INT32: "int32_values", VarType.INT64: "int64_values"}
    dtype = canonical_dtype(input.dtype)
    if dtype == VarType.BOOL:
        keys[dtype] = "bool_values"
    if dtype not in keys:
        raise InvalidTypeError(
            "assign takes arrays of float32, int32, int64 and bool.", actual=str(input.dtype), hint="use astype first."
        )
    if output is None:
        output = helper.create_variable_for_type_inference(dtype)
    attrs = {"dtype": dtype, "shape": list(input.shape), keys[dtype]: input.ravel().tolist()}
    helper.append_op("assign_value", outputs={"Out": output}, attrs=attrs)
    return output


def fill_constant(shape, dtype, value, force_cpu=False, out=None):
    """A tensor of the given shape, `value` everywhere.

    >>> fill_constant([2, 3], 'int64', 7).shape
    (2, 3)
    """
    helper = LayerHelper("fill_constant")
    inputs = {}
    if isinstance(shape, Variable):
        inputs["ShapeTensor"], shape = shape, [-1] * shape.shape[0]
    dtype = canonical_dtype(dtype)
    if out is None:
        out = helper.create_variable_for_type_inference(dtype, stop_gradient=True)
    attrs = {"shape": [int(d) for d in shape], "dtype": dtype, "value": float(value), "force_cpu": force_cpu}
    helper.append_op("fill_constant", inputs, {"Out": out}, attrs)
    out.stop_gradient = True
    return out


def fill_constant_batch_size_like(input, shape, dtype, value, input_dim_idx=0, output_dim_idx=0, force_cpu=False):
    """A tensor of the given shape, `value` everywhere, with one dimension taken from `input` at run time."""
    helper = LayerHelper("fill_constant_batch_size_like")
    check_variable(input, "input", "fill_constant_batch_size_like")
    out = helper.create_variable_for_type_inference(dtype, stop_gradient=True)
    attrs = {
        "shape": list(shape),
        "dtype": canonical_dtype(dtype),
        "value": float(value),
        "input_dim_idx": input_dim_idx,
        "output_dim_idx": output_dim_idx,
        "force_cpu": force_cpu,
    }
    helper.append_op("fill_constant_batch_size_like", {"Input": input}, {"Out": out}, attrs)
    return out


def ones(shape, dtype, force_cpu=False):
    """A tensor of ones."""
    return fill_constant(shape, dtype, 1.0, force_cpu)


def zeros(shape, dtype, force_cpu=False):
    """A tensor of zeros."""
    return fill_constant(shape, dtype, 0.0, force_cpu)
