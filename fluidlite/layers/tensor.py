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
    return helper.main_program.current_block().create_var(
        name=helper.name, shape=(), dtype=dtype, persistable=persistable
    )


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

    Args:
        shape: ints and int Variables of shape (1,), or an int Variable.
        value: a number, or a Variable of shape (1,) and of the same dtype.

    >>> fill_constant([2, 3], 'int64', 7).shape
    (2, 3)
    """
    helper = LayerHelper("fill_constant")
    inputs, attrs = {}, {"dtype": canonical_dtype(dtype), "force_cpu": force_cpu}
    if isinstance(value, Variable):
        inputs["ValueTensor"] = value
    else:
        attrs["value"] = float(value)
    if isinstance(shape, Variable):
        inputs["ShapeTensor"], shape = shape, [-1] * shape.shape[0]
    elif any(isinstance(d, Variable) for d in shape):
        numbers = [d if isinstance(d, Variable) else fill_constant([1], "int32", d, force_cpu=True) for d in shape]
        inputs["ShapeTensorList"] = numbers
    attrs["shape"] = [-1 if isinstance(d, Variable) else int(d) for d in shape]
    if out is None:
        out = helper.create_variable_for_type_inference(dtype, stop_gradient=True)
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


def _as_variable(value, dtype):
    return value if isinstance(value, Variable) else fill_constant([1], dtype, value)


def range(start, end, step, dtype):
    """start, start + step, ... as long as that is before end: (count,) of `dtype`. Numbers or Variables of shape (1,).

    >>> range(0, 10, 3, 'int64').shape
    (-1,)
    """
    helper = LayerHelper("range")
    dtype = canonical_dtype(dtype)
    start, end, step = [
        cast(x, dtype) if isinstance(x, Variable) and x.dtype != dtype else _as_variable(x, dtype)
        for x in (start, end, step)
    ]
    out = helper.create_variable_for_type_inference(dtype, stop_gradient=True)
    helper.append_op("range", {"Start": start, "End": end, "Step": step}, {"Out": out})
    return out


def linspace(start, stop, num, dtype):
    """`num` numbers in equal steps from start to stop, both included: float (num,). Numbers or Variables of shape (1,).

    >>> linspace(0, 10, 5, 'float32').shape
    (-1,)
    """
    helper = LayerHelper("linspace")
    dtype = canonical_dtype(dtype)
    start, stop, num = _as_variable(start, dtype), _as_variable(stop, dtype), _as_variable(num, "int32")
    out = helper.create_variable_for_type_inference(start.dtype)
    helper.append_op("linspace", {"Start": start, "Stop": stop, "Num": num}, {"Out": out})
    return out


def _like(type, layer, x, out, attrs):
    helper = LayerHelper(layer)
    check_variable(x, "x", layer)
    if out is None:
        out = helper.create_variable_for_type_inference(x.dtype, stop_gradient=True)
    helper.append_op(type, {"X": x}, {"Out": out}, attrs)
    return out


def zeros_like(x, out=None):
    """Zeros of the shape, dtype and LoD of x (into `out` if given)."""
    return _like("fill_zeros_like", "zeros_like", x, out, {})


def ones_like(x, out=None):
    """Ones of the shape, dtype and LoD of x (into `out` if given)."""
    return _like("fill_any_like", "ones_like", x, out, {"value": 1.0})


def eye(num_rows, num_columns=None, batch_shape=None, dtype="float32"):
    """The matrix with ones on its diagonal: (num_rows, num_columns), square by default.

    `batch_shape`, a list of positive ints, puts as many copies of it into further leading dimensions.

    >>> eye(2, 3, batch_shape=[5]).shape
    (5, 2, 3)
    """
    helper = LayerHelper("eye")
    dtype = canonical_dtype(dtype)
    out = helper.create_variable_for_type_inference(dtype, stop_gradient=True)
    columns = num_rows if num_columns is None else num_columns
    attrs = {"num_rows": num_rows, "num_columns": columns, "dtype": dtype}
    helper.append_op("eye", {}, {"Out": out}, attrs)
    for count in reversed(batch_shape or ()):
        stacked = LayerHelper("stack")
        block = out
        out = stacked.create_variable_for_type_inference(dtype, stop_gradient=True)
        stacked.append_op("stack", {"X": [block] * count}, {"Y": out}, {"axis": 0})
    return out


def diag(diagonal):
    """The square matrix with `diagonal`, a Variable or an array (N,), on its diagonal: (N, N).

    >>> import fluidlite as fluid
    >>> diag(fluid.data('x', [3])).shape
    (3, 3)
    """
    helper = LayerHelper("diag")
    if not isinstance(diagonal, Variable):
        diagonal = assign(diagonal)
    out = helper.create_variable_for_type_inference(diagonal.dtype, stop_gradient=True)
    helper.append_op("diag", {"Diagonal": diagonal}, {"Out": out})
    return out


def increment(x, value=1.0, in_place=True):
    """x + value, of one element: x itself, which then has the new value, or without `in_place` a new Variable.

    >>> import fluidlite as fluid
    >>> i = fluid.layers.fill_constant([1], 'int64', 0)
    >>> increment(i) is i
    True
    """
    helper = LayerHelper("increment")
    check_variable(x, "x", "increment")
    out = x if in_place else helper.create_variable_for_type_inference(x.dtype)
    helper.append_op("increment", {"X": x}, {"Out": out}, {"step": float(value)})
    return out
