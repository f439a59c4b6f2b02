"""Layers of networks: embedding, fully connected, products, shapes."""

import math
from operator import index

from ..dtypes import VarType, canonical_dtype
from ..errors import InvalidArgumentError, InvalidTypeError, here, warn_user
from ..framework import Variable
from ..initializer import NumpyArrayInitializer
from ..layer_helper import LayerHelper, append_layer, check_variable
from ..table_binding import mark_table
from ..variable import slice_bounds

_FLOATS = (VarType.FP32, VarType.FP64)


def append_embedding(
    type, input, size, is_sparse, is_distributed, padding_idx, param_attr, dtype, *, layer=None, attrs=None
):
    """All embedding layers; `type` is the op: lookup_table or lookup_table_v2. attrs: more attributes of the op."""
    helper = LayerHelper(layer.rpartition(".")[2] if layer else "embedding", param_attr=param_attr)
    if layer is None:
        layer = "fluid.layers.embedding" if type == "lookup_table" else "fluid.embedding"
    check_variable(input, "input", layer, (VarType.INT64,))
    if canonical_dtype(dtype) not in _FLOATS:
        raise InvalidTypeError(
            f"The data type of {layer} ({helper.name}) is not supported.",
            expected="float32 or float64",
            actual=str(dtype),
            where=here(),
        )
    try:
        n_rows, width = (index(d) for d in size)
    except (TypeError, ValueError):
        n_rows = width = 0
    if n_rows <= 0 or width <= 0:
        raise InvalidArgumentError(
            f"The size of {layer} ({helper.name}) is not the shape of a table.",
            expected="[V, D]: the number of rows and their width, both positive ints",
            actual=repr(size),
            where=here(),
        )
    any_ids = bool(is_sparse and is_distributed)
    has_padding = any_ids and padding_idx is not None
    if is_distributed and not is_sparse:
        warn_user(f"is_distributed has no effect in {layer} ({helper.name}): it needs is_sparse=True as well.")
    if padding_idx is None:
        padding_idx = -1
    elif any_ids:
        if not -(1 << 63) <= padding_idx < 1 << 63:
            raise InvalidArgumentError(
                f"The padding_idx of {layer} ({helper.name}) is no id.",
                expected="an int64",
                actual=str(padding_idx),
                where=here(),
            )
    elif not -n_rows <= padding_idx < n_rows:
        raise InvalidArgumentError(
            f"The padding_idx of {layer} ({helper.name}) is not a row of the table.",
            expected=f"-{n_rows} <= padding_idx < {n_rows}",
            actual=str(padding_idx),
            where=here(),
        )
    elif padding_idx < 0:
        padding_idx += n_rows
    if param_attr is False:
        raise InvalidArgumentError(
            f"{layer} ({helper.name}) cannot do without its table: param_attr is False.", where=here()
        )
    if any_ids:
        check_row_initializer(helper, layer)
    table = helper.create_parameter(helper.param_attr, [n_rows, width], dtype, is_distributed=any_ids)
    if table.is_distributed != any_ids:
        raise InvalidArgumentError(
            f"{layer} ({helper.name}) shares the table {table.name!r} with a layer that does not say the same of "
            "is_sparse and is_distributed.",
            expected=f"is_sparse and is_distributed: {table.is_distributed}",
            actual=str(any_ids),
            where=here(),
            hint="with both, the table takes any ids; give all layers that share it the same, or different names.",
        )
    if any_ids:
        mark_table(helper.startup_program.global_block().var(table.name), table.name)
    out = helper.create_variable_for_type_inference(dtype)
    attrs = {
        "is_sparse": bool(is_sparse),
        "is_distributed": bool(is_distributed),
        "remote_prefetch": bool(is_sparse and not is_distributed),
        "padding_idx": padding_idx,
        **({"has_padding_idx": True} if has_padding else {}),
        **(attrs or {}),
    }
    helper.append_op(type, {"Ids": input, "W": table}, {"Out": out}, attrs)
    return out


def check_row_initializer(helper, layer):
    """Refuse an initializer that cannot make the rows of a table of any ids one by one."""
    given = helper.param_attr.initializer
    if isinstance(given, NumpyArrayInitializer):
        raise InvalidArgumentError(
            f"The table of {layer} ({helper.name}) cannot begin as a given array: with is_distributed=True its rows "
            "are made one by one, from their ids.",
            expected="Constant, Uniform, Normal, TruncatedNormal, Xavier or MSRA",
            actual=type(given).__name__,
            where=here(),
            hint="set rows after the startup program: scope.find_var(name).get_table().set(ids, values).",
        )


def embedding(input, size, is_sparse=False, is_distributed=False, padding_idx=None, param_attr=None, dtype="float32"):
    """Rows of a table by id: out[..., :] = table[input[..., 0], :].

    Args:
        input: int64 ids in [0, V), last dimension 1, which the output drops: (..., 1) -> (..., D). LoD is kept.
        size: [V, D], rows and width of the table.
        is_sparse: the table's gradient is a SelectedRows of the batch's rows, and with a row-wise optimizer
            (SGD, SparseAdam, Adam(lazy_mode=True)) a step costs what the batch's rows cost, whatever V is.
        is_distributed: with is_sparse, the table takes any int64 ids, and V bounds how many different ones there may
            be: a row is made when training first meets its id, from the initializer, the seed and the id alone, and
            memory follows the ids seen. An id that has no row reads as zeros in ``clone(for_test=True)`` and in
            programs without a backward pass. Without is_sparse it has no effect, and warns.
        padding_idx: an id whose output is zero and whose row is never trained; negative counts from V, unless the
            table takes any ids: then it is the id itself.
        param_attr: name (to share the table), initializer (default Xavier) and so on.
        dtype: 'float32' or 'float64'.

    Raises:
        InvalidTypeError: the ids are not int64.
        InvalidArgumentError: size is not [V, D], or the ids' last dimension is not 1.
        OutOfRangeError (when it runs): an id lies outside the table; its position is named. Or there would be more
            than V different ids.

    >>> import fluidlite as fluid
    >>> word = fluid.layers.data('word', [1], dtype='int64')
    >>> embedding(word, size=[1000, 50], is_sparse=True).shape
    (-1, 50)
    """
    return append_embedding("lookup_table", input, size, is_sparse, is_distributed, padding_idx, param_attr, dtype)


def fc(input, size, num_flatten_dims=1, param_attr=None, bias_attr=None, act=None, name=None):
    """Fully connected: act(sum over inputs of x W + b).

    Args:
        input: Variable or list of Variables, float; dimensions from `num_flatten_dims` on are flattened to K.
        size: width of the output: (..., size).
        num_flatten_dims: leading dimensions that stay, default 1; -1 keeps all but the last.
        param_attr: of the weight (K, size), default Xavier uniform; a list for several inputs.
        bias_attr: of the bias (size,), default 0; False for none.
        act: name of an activation.

    >>> import fluidlite as fluid
    >>> fc(fluid.data('x', [None, 7]), 3, act='relu').shape
    (-1, 3)
    """
    helper = LayerHelper("fc", name=name, input=input, param_attr=param_attr, bias_attr=bias_attr, act=act)
    inputs = helper.multiple_input()
    for x in inputs:
        check_variable(x, "input", "fc", _FLOATS)
    dtype = helper.input_dtype()
    try:
        size = index(size)
    except TypeError:
        raise InvalidTypeError(f"The size of {helper.name} is not an int.", actual=repr(size), where=here()) from None
    if size <= 0:
        raise InvalidArgumentError(f"The size of {helper.name} is not positive.", actual=repr(size), where=here())
    products = []
    for x, attr in zip(inputs, helper.multiple_param_attr(len(inputs)), strict=True):
        keep = len(x.shape) - 1 if num_flatten_dims == -1 else num_flatten_dims
        if not 0 < keep < len(x.shape) or any(d < 0 for d in x.shape[keep:]):
            raise InvalidArgumentError(
                f"Input {x.name!r} of {helper.name} has no known width: dimensions {keep} and after make the "
                "rows of the weight.",
                expected="at least one dimension after num_flatten_dims, all of them known",
                actual=f"shape {list(x.shape)}, num_flatten_dims={num_flatten_dims}",
                where=here(),
            )
        weight = helper.create_parameter(attr, [math.prod(x.shape[keep:]), size], dtype)
        out = helper.create_variable_for_type_inference(dtype)
        attrs = {"x_num_col_dims": keep, "y_num_col_dims": 1}
        helper.append_op("mul", {"X": x, "Y": weight}, {"Out": out}, attrs)
        products.append(out)
    if len(products) == 1:
        total = products[0]
    else:
        total = helper.create_variable_for_type_inference(dtype)
        helper.append_op("sum", {"X": products}, {"Out": total})
    keep = len(total.shape) - 1
    return helper.append_activation(helper.append_bias_op(total, dim_start=keep))


def mul(x, y, x_num_col_dims=1, y_num_col_dims=1, name=None):
    """Matrix product of x and y flattened to matrices: the first `*_num_col_dims` dimensions are the rows.

    >>> import fluidlite as fluid
    >>> mul(fluid.data('x', [None, 3]), fluid.data('y', [3, 5])).shape
    (-1, 5)
    """
    attrs = {"x_num_col_dims": x_num_col_dims, "y_num_col_dims": y_num_col_dims}
    return append_layer("mul", {"X": x, "Y": y}, attrs, name=name)


def matmul(x, y, transpose_x=False, transpose_y=False, alpha=1.0, name=None):
    """alpha * x @ y, of vectors, matrices, or stacks of matrices, transposed (last two dimensions) where asked.

    >>> import fluidlite as fluid
    >>> matmul(fluid.data('x', [None, 2, 3]), fluid.data('y', [None, 5, 3]), transpose_y=True).shape
    (-1, 2, 5)
    """
    attrs = {"transpose_X": transpose_x, "transpose_Y": transpose_y, "alpha": float(alpha)}
    return append_layer("matmul", {"X": x, "Y": y}, attrs, name=name)


def mean(x, name=None):
    """The mean of all elements, shape (1,)."""
    return append_layer("mean", {"X": x}, name=name)


def scale(x, scale=1.0, bias=0.0, bias_after_scale=True, act=None, name=None):
    """scale * x + bias, or scale * (x + bias) with ``bias_after_scale=False``; then the activation, if given.

    `scale` is a number or a Variable of shape (1,), which has no gradient.
    """
    helper = LayerHelper("scale", name=name, act=act)
    check_variable(x, "x", "scale")
    inputs, attrs = {"X": x}, {"bias": float(bias), "bias_after_scale": bias_after_scale}
    if isinstance(scale, Variable):
        inputs["ScaleTensor"] = scale
    else:
        attrs["scale"] = float(scale)
    out = helper.create_variable_for_type_inference(x.dtype)
    helper.append_op("scale", inputs, {"Out": out}, attrs)
    return helper.append_activation(out)


def reshape(x, shape, actual_shape=None, act=None, inplace=False, name=None):
    """x with another shape; 0 keeps x's dimension of that place, one -1 takes what is left. LoD is kept.

    Args:
        shape: list or tuple of ints, at most one -1, and of int Variables of shape (1,), or an int Variable.
        actual_shape: int Variable with the shape at run time, wins over `shape`.
        inplace: accepted; the result is a new Variable either way (in Fluid it is x itself, whose gradient then goes
            wrong), and its data is x's wherever that is safe.

    >>> import fluidlite as fluid
    >>> reshape(fluid.data('x', [None, 6]), [0, 3, 2]).shape
    (-1, 3, 2)
    """
    helper = LayerHelper("reshape2", name=name, act=act)
    check_variable(x, "x", "reshape")
    inputs, attrs = {"X": x}, {}
    if isinstance(shape, Variable):
        inputs["Shape"] = shape
    else:
        attrs["shape"] = [-1 if isinstance(d, Variable) else int(d) for d in shape]
        if any(isinstance(d, Variable) for d in shape):
            inputs["ShapeTensor"] = [d if isinstance(d, Variable) else _number(helper, d) for d in shape]
        elif actual_shape is not None:
            inputs["Shape"] = actual_shape
    out = helper.create_variable_for_type_inference(x.dtype)
    x_shape = helper.create_variable_for_type_inference(x.dtype)
    helper.append_op("reshape2", inputs, {"Out": out, "XShape": x_shape}, attrs)
    return helper.append_activation(out)


def _number(helper, value):
    """An int as a Variable of int32 (1,)."""
    made = helper.create_variable_for_type_inference(VarType.INT32, stop_gradient=True)
    attrs = {"shape": [1], "dtype": VarType.INT32, "value": float(value), "force_cpu": True}
    helper.append_op("fill_constant", outputs={"Out": made}, attrs=attrs)
    return made


def slice(input, axes, starts, ends):
    """input[starts:ends] along the axes named. Negative bounds count from the end; far ones are cut.

    Args:
        starts, ends: lists of ints and int Variables of shape (1,), or an int Variable of shape (len(axes),).

    >>> import fluidlite as fluid
    >>> slice(fluid.data('x', [None, 7]), axes=[1], starts=[-3], ends=[100]).shape
    (-1, 3)
    """
    helper = LayerHelper("slice")
    check_variable(input, "input", "slice")

    axes = list(axes)
    whole = {"StartsTensor": starts, "EndsTensor": ends}
    whole = {slot: bound for slot, bound in whole.items() if isinstance(bound, Variable)}
    starts, ends = ([-1] * len(axes) if isinstance(b, Variable) else list(b) for b in (starts, ends))
    inputs, attrs = slice_bounds(axes, starts, ends, lambda value: _number(helper, value))
    for slot, bound in whole.items():
        inputs[slot], attrs["infer_flags"] = bound, [-1] * len(axes)
        del attrs["starts" if slot == "StartsTensor" else "ends"]
    out = helper.create_variable_for_type_inference(input.dtype)
    helper.append_op("slice", {"Input": input, **inputs}, {"Out": out}, {**attrs, "decrease_axis": []})
    return out


def shape(input):
    """The dimensions at run time, int32 (rank,)."""
    helper = LayerHelper("shape")
    check_variable(input, "input", "shape")
    out = helper.create_variable_for_type_inference(VarType.INT32)
    helper.append_op("shape", {"Input": input}, {"Out": out})
    return out


def topk(input, k, name=None):
    """The k largest elements along the last dimension, largest first, and their indices (int64).

    >>> import fluidlite as fluid
    >>> values, indices = topk(fluid.data('x', [None, 5]), k=2)
    >>> indices.shape
    (-1, 2)
    """
    helper = LayerHelper("top_k", name=name)
    check_variable(input, "input", "topk")
    inputs, attrs = {"X": input}, {}
    if isinstance(k, Variable):
        inputs["K"] = k
    else:
        attrs["k"] = index(k)
    values = helper.create_variable_for_type_inference(input.dtype)
    indices = helper.create_variable_for_type_inference(VarType.INT64)
    helper.append_op("top_k", inputs, {"Out": values, "Indices": indices}, attrs)
    values.stop_gradient = indices.stop_gradient = True
    return values, indices


def l2_normalize(x, axis, epsilon=1e-12, name=None):
    """x / sqrt(sum over `axis` of x^2 + epsilon), shape of x.

    >>> import fluidlite as fluid
    >>> l2_normalize(fluid.data('x', [None, 5]), axis=1).shape
    (-1, 5)
    """
    helper = LayerHelper("l2_normalize", name=name)
    check_variable(x, "x", "l2_normalize")
    if len(x.shape) == 1:
        axis = 0
    out = helper.create_variable_for_type_inference(x.dtype)
    norm = helper.create_variable_for_type_inference(x.dtype)
    attrs = {"axis": 1 if axis is None else axis, "epsilon": float(epsilon)}
    helper.append_op("norm", {"X": x}, {"Out": out, "Norm": norm}, attrs)
    return out


def softmax(input, use_cudnn=False, name=None, axis=-1):
    """exp(x) / sum exp(x) along `axis`. `use_cudnn` is accepted for Fluid's sake."""
    return append_layer("softmax", {"X": input}, {"axis": axis}, name=name)
