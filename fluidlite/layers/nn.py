"""Layers of networks: embedding, fully connected, products, reductions, shapes."""

import math
from operator import index

from ..dtypes import VarType, canonical_dtype
from ..errors import InvalidArgumentError, here
from ..layer_helper import LayerHelper, check_variable

_FLOATS = (VarType.FP32, VarType.FP64)


def append_embedding(type, input, size, is_sparse, is_distributed, padding_idx, param_attr, dtype):
    """Both embedding layers; `type` is the op: lookup_table or lookup_table_v2."""
    helper = LayerHelper("embedding", param_attr=param_attr)
    layer = "fluid.layers.embedding" if type == "lookup_table" else "fluid.embedding"
    check_variable(input, "input", layer, (VarType.INT64,))
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
    if padding_idx is None:
        padding_idx = -1
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
    table = helper.create_parameter(helper.param_attr, [n_rows, width], dtype)
    table.is_distributed = is_distributed
    out = helper.create_variable_for_type_inference(dtype)
    attrs = {
        "is_sparse": bool(is_sparse),
        "is_distributed": bool(is_distributed),
        "remote_prefetch": bool(is_sparse and not is_distributed),
        "padding_idx": padding_idx,
    }
    helper.append_op(type, {"Ids": input, "W": table}, {"Out": out}, attrs)
    return out


def embedding(input, size, is_sparse=False, is_distributed=False, padding_idx=None, param_attr=None, dtype="float32"):
    """Rows of a table by id: out[..., :] = table[input[..., 0], :].

    Args:
        input: int64 ids in [0, V), last dimension 1, which the output drops: (..., 1) -> (..., D). LoD is kept.
        size: [V, D], rows and width of the table.
        is_sparse: the table's gradient is a SelectedRows of the batch's rows, and with a row-wise optimizer
            (SGD, SparseAdam, Adam(lazy_mode=True)) a step costs what the batch's rows cost, whatever V is.
        is_distributed: accepted; the table is an ordinary one.
        padding_idx: an id whose output is zero and whose row is never trained; negative counts from V.
        param_attr: name (to share the table), initializer (default Xavier) and so on.
        dtype: 'float32' or 'float64'.

    Raises:
        InvalidTypeError: the ids are not int64.
        InvalidArgumentError: size is not [V, D], or the ids' last dimension is not 1.
        OutOfRangeError (when it runs): an id lies outside the table; its position is named.

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
    if not isinstance(size, int) or size <= 0:
        raise InvalidArgumentError(f"The size of {helper.name} is not a positive int.", actual=repr(size), where=here())
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
    return _append("mul", {"X": x, "Y": y}, attrs, name=name)


def matmul(x, y, transpose_x=False, transpose_y=False, alpha=1.0, name=None):
    """alpha * x @ y, of vectors, matrices, or stacks of matrices, transposed (last two dimensions) where asked.

    >>> import fluidlite as fluid
    >>> matmul(fluid.data('x', [None, 2, 3]), fluid.data('y', [None, 5, 3]), transpose_y=True).shape
    (-1, 2, 5)
    """
    attrs = {"transpose_X": transpose_x, "transpose_Y": transpose_y, "alpha": float(alpha)}
    return _append("matmul", {"X": x, "Y": y}, attrs, name=name)


def mean(x, name=None):
    """The mean of all elements, shape (1,)."""
    return _append("mean", {"X": x}, name=name)


def scale(x, scale=1.0, bias=0.0, bias_after_scale=True, act=None, name=None):
    """scale * x + bias, or scale * (x + bias) with ``bias_after_scale=False``; then the activation, if given."""
    attrs = {"scale": float(scale), "bias": float(bias), "bias_after_scale": bias_after_scale}
    helper = LayerHelper("scale", name=name, act=act)
    check_variable(x, "x", "scale")
    out = helper.create_variable_for_type_inference(x.dtype)
    helper.append_op("scale", {"X": x}, {"Out": out}, attrs)
    return helper.append_activation(out)


def _append(type, inputs, attrs=None, name=None, out="Out"):
    """One op from Variables to one new temporary of the first one's dtype."""
    helper = LayerHelper(type, name=name)
    for slot, x in inputs.items():
        check_variable(x, slot.lower(), type)
    result = helper.create_variable_for_type_inference(next(iter(inputs.values())).dtype)
    helper.append_op(type, inputs, {out: result}, attrs)
    return result


def _reduce(type, input, dim, keep_dim, name):
    dims = [] if dim is None else list(dim) if isinstance(dim, list | tuple) else [dim]
    attrs = {"dim": dims or [0], "keep_dim": keep_dim, "reduce_all": not dims}
    check_variable(input, "input", type)
    if dims and len(dims) == len(input.shape):
        attrs["reduce_all"] = True
    return _append(type, {"X": input}, attrs, name=name)


def reduce_sum(input, dim=None, keep_dim=False, name=None):
    """Sum over the dimensions `dim` (int, list, or None for all; all give shape (1,)). Kept as 1 with `keep_dim`.

    >>> import fluidlite as fluid
    >>> reduce_sum(fluid.data('x', [None, 3, 5]), dim=1).shape
    (-1, 5)
    """
    return _reduce("reduce_sum", input, dim, keep_dim, name)


def reduce_mean(input, dim=None, keep_dim=False, name=None):
    """Mean over the dimensions `dim`; arguments as in `reduce_sum`."""
    return _reduce("reduce_mean", input, dim, keep_dim, name)


def reduce_max(input, dim=None, keep_dim=False, name=None):
    """Largest element over the dimensions `dim`; arguments as in `reduce_sum`."""
    return _reduce("reduce_max", input, dim, keep_dim, name)


def reduce_min(input, dim=None, keep_dim=False, name=None):
    """Smallest element over the dimensions `dim`; arguments as in `reduce_sum`."""
    return _reduce("reduce_min", input, dim, keep_dim, name)


def reshape(x, shape, actual_shape=None, act=None, inplace=False, name=None):
    """x with another shape; 0 keeps x's dimension of that place, one -1 takes what is left. LoD is kept.

    Args:
        shape: list or tuple of ints, at most one -1.
        actual_shape: int Variable with the shape at run time, wins over `shape`.
        inplace: accepted; the result is a new Variable either way (in Fluid it is x itself, whose gradient then goes
            wrong), and its data is x's wherever that is safe.

    >>> import fluidlite as fluid
    >>> reshape(fluid.data('x', [None, 6]), [0, 3, 2]).shape
    (-1, 3, 2)
    """
    helper = LayerHelper("reshape2", name=name, act=act)
    check_variable(x, "x", "reshape")
    inputs = {"X": x}
    if actual_shape is not None:
        inputs["Shape"] = actual_shape
    out = helper.create_variable_for_type_inference(x.dtype)
    x_shape = helper.create_variable_for_type_inference(x.dtype)
    helper.append_op("reshape2", inputs, {"Out": out, "XShape": x_shape}, {"shape": [int(d) for d in shape]})
    return helper.append_activation(out)


def slice(input, axes, starts, ends):
    """input[starts:ends] along the axes named. Negative bounds count from the end; far ones are cut.

    >>> import fluidlite as fluid
    >>> slice(fluid.data('x', [None, 7]), axes=[1], starts=[-3], ends=[100]).shape
    (-1, 3)
    """
    attrs = {"axes": list(axes), "starts": list(starts), "ends": list(ends), "decrease_axis": []}
    return _append("slice", {"Input": input}, attrs)


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
    if isinstance(k, int):
        attrs["k"] = k
    else:
        inputs["K"] = k
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
    return _append("softmax", {"X": input}, {"axis": axis}, name=name)


def relu(x, name=None):
    """max(x, 0), element by element."""
    return _append("relu", {"X": x}, name=name)


def _unary(type, formula):
    def layer(x, name=None):
        return _append(type, {"X": x}, name=name)

    layer.__name__ = layer.__qualname__ = type
    layer.__doc__ = f"{formula}, element by element. Shape, dtype and LoD of x."
    return layer


sigmoid = _unary("sigmoid", "1 / (1 + exp(-x))")
tanh = _unary("tanh", "tanh(x)")
sqrt = _unary("sqrt", "The square root of x")
square = _unary("square", "x^2")
abs = _unary("abs", "|x|")
exp = _unary("exp", "e^x")
log = _unary("log", "The natural logarithm of x")
sign = _unary("sign", "-1, 0 or 1 by the sign of x")


def pow(x, factor=1.0, name=None):
    """x ** factor, element by element."""
    return _append("pow", {"X": x}, {"factor": float(factor)}, name=name)


def clip(x, min, max, name=None):
    """min(max(x, min), max), element by element."""
    return _append("clip", {"X": x}, {"min": float(min), "max": float(max)}, name=name)


def relu6(x, threshold=6.0, name=None):
    """min(max(x, 0), threshold), element by element."""
    return _append("relu6", {"X": x}, {"threshold": float(threshold)}, name=name)


def _elementwise(type, formula):
    def layer(x, y, axis=-1, act=None, name=None):
        helper = LayerHelper(type, name=name, act=act)
        check_variable(x, "x", type)
        check_variable(y, "y", type)
        out = helper.create_variable_for_type_inference(x.dtype)
        helper.append_op(type, {"X": x, "Y": y}, {"Out": out}, {"axis": axis})
        return helper.append_activation(out)

    layer.__name__ = layer.__qualname__ = type
    layer.__doc__ = f"""{formula}, element by element.

    y's dimensions are matched to x's from `axis` on (-1: to the trailing ones) and repeated over the others. Both have
    one dtype; shape and LoD are x's. `act` names an activation to apply.
    """
    return layer


elementwise_add = _elementwise("elementwise_add", "x + y")
elementwise_sub = _elementwise("elementwise_sub", "x - y")
elementwise_mul = _elementwise("elementwise_mul", "x * y")
elementwise_div = _elementwise("elementwise_div", "x / y (integers: cut toward zero)")
elementwise_max = _elementwise("elementwise_max", "max(x, y)")
elementwise_min = _elementwise("elementwise_min", "min(x, y)")
elementwise_pow = _elementwise("elementwise_pow", "x ** y")
elementwise_mod = _elementwise("elementwise_mod", "The remainder of x / y")
elementwise_floordiv = _elementwise("elementwise_floordiv", "x // y")


def _compare(type, formula):
    def layer(x, y, cond=None):
        helper = LayerHelper(type)
        check_variable(x, "x", type)
        check_variable(y, "y", type)
        if cond is None:
            cond = helper.create_variable_for_type_inference(canonical_dtype("bool"), stop_gradient=True)
        helper.append_op(type, {"X": x, "Y": y}, {"Out": cond})
        cond.stop_gradient = True
        return cond

    layer.__name__ = layer.__qualname__ = type
    layer.__doc__ = f"{formula}, element by element, as a bool tensor (`cond` if given)."
    return layer


equal = _compare("equal", "x == y")
not_equal = _compare("not_equal", "x != y")
less_equal = _compare("less_equal", "x <= y")
greater_than = _compare("greater_than", "x > y")
greater_equal = _compare("greater_equal", "x >= y")


def less_than(x, y, force_cpu=None, cond=None):
    """x < y, element by element, as a bool tensor (`cond` if given). `force_cpu` is accepted for Fluid's sake."""
    return _less_than(x, y, cond)


_less_than = _compare("less_than", "x < y")
