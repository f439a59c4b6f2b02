"""Layers over sequences: data with LoD, whose rows are the steps of all sequences of a batch, one after the other."""

from ..dtypes import VarType, canonical_dtype
from ..errors import InvalidArgumentError, InvalidTypeError, here
from ..framework import Variable
from ..layer_helper import LayerHelper, check_variable

_FLOATS = (VarType.FP32, VarType.FP64)
_INTS = (VarType.INT32, VarType.INT64)
_NUMBERS = _FLOATS + _INTS


def _append(type, inputs, attrs=None, *, name=None, layer=None, out="Out", stop_gradient=False):
    """One op from checked Variables to one new temporary of the first one's dtype."""
    helper = LayerHelper(layer or type, name=name)
    dtype = next(iter(inputs.values())).dtype
    result = helper.create_variable_for_type_inference(dtype, stop_gradient=stop_gradient)
    helper.append_op(type, inputs, {out: result}, attrs)
    return result


def sequence_pool(input, pool_type, is_test=False, pad_value=0.0):
    """One row for each sequence; the innermost level of LoD ends here.

    Args:
        input: float (T, ...) with LoD.
        pool_type: 'sum', 'average' (sum / length), 'sqrt' (sum / sqrt(length)), 'max', 'first' or 'last' (row).
        is_test: accepted for Fluid's sake.
        pad_value: what a sequence without rows gives.

    Returns:
        Variable: (N, ...), one row for each sequence.

    Raises:
        InvalidArgumentError: the input has no LoD, or (when it runs) LoD that does not fit its rows.

    >>> import fluidlite as fluid
    >>> word = fluid.data('word', [None, 1], 'int64', lod_level=1)
    >>> sequence_pool(fluid.layers.embedding(word, [100, 8]), 'sum').shape
    (-1, 8)
    """
    helper = LayerHelper("sequence_pool")
    check_variable(input, "input", "sequence_pool", _FLOATS)
    if not isinstance(pool_type, str):
        raise InvalidTypeError("The pool_type of sequence_pool is not a name.", actual=repr(pool_type), where=here())
    out = helper.create_variable_for_type_inference(input.dtype)
    index = helper.create_variable_for_type_inference(input.dtype)
    attrs = {"pooltype": pool_type.upper(), "is_test": is_test, "pad_value": float(pad_value)}
    helper.append_op("sequence_pool", {"X": input}, {"Out": out, "MaxIndex": index}, attrs)
    index.stop_gradient = True
    return out


def sequence_first_step(input):
    """The first row of each sequence: ``sequence_pool(input, 'first')``."""
    return sequence_pool(input, "first")


def sequence_last_step(input):
    """The last row of each sequence: ``sequence_pool(input, 'last')``."""
    return sequence_pool(input, "last")


def sequence_conv(
    input,
    num_filters,
    filter_size=3,
    filter_stride=1,
    padding=True,
    padding_start=None,
    bias_attr=None,
    param_attr=None,
    act=None,
    name=None,
):
    """Convolution over the steps of each sequence: out[t] = act([x[t + s], ... x[t + s + filter_size - 1]] W + b).

    Rows outside of the sequence of row t count as zeros.

    Args:
        input: float (T, D) with one level of LoD, which is kept.
        num_filters: width of the output.
        filter_size: rows in a window.
        filter_stride: 1.
        padding: accepted for Fluid's sake; windows always reach out of the sequence.
        padding_start: s above, where a window starts; -(filter_size // 2) if None.
        param_attr: of the weight W (filter_size D, num_filters), default Xavier uniform.
        bias_attr: of the bias (num_filters,), default 0; False for none.
        act: name of an activation.

    >>> import fluidlite as fluid
    >>> x = fluid.data('x', [None, 7], lod_level=1)
    >>> sequence_conv(x, num_filters=5, act='tanh').shape
    (-1, 5)
    """
    helper = LayerHelper("sequence_conv", name=name, param_attr=param_attr, bias_attr=bias_attr, act=act)
    check_variable(input, "input", "sequence_conv", _FLOATS)
    if len(input.shape) != 2 or input.shape[1] < 1:
        raise InvalidArgumentError(
            f"The input {input.name!r} of {helper.name} has no known width.",
            expected="(T, D)",
            actual=str(input.shape),
            where=here(),
        )
    weight = helper.create_parameter(helper.param_attr, [filter_size * input.shape[1], num_filters], input.dtype)
    product = helper.create_variable_for_type_inference(input.dtype)
    attrs = {
        "contextStride": filter_stride,
        "contextStart": -(filter_size // 2) if padding_start is None else padding_start,
        "contextLength": filter_size,
    }
    helper.append_op("sequence_conv", {"X": input, "Filter": weight}, {"Out": product}, attrs)
    return helper.append_activation(helper.append_bias_op(product))


def sequence_softmax(input, use_cudnn=False, name=None):
    """Softmax within each sequence. `input`: float (T, 1) or (T,) with LoD, which is kept."""
    check_variable(input, "input", "sequence_softmax", _FLOATS)
    return _append("sequence_softmax", {"X": input}, {"use_cudnn": use_cudnn}, name=name)


def sequence_pad(x, pad_value, maxlen=None, name=None):
    """Sequences of one length, filled up with `pad_value`.

    Args:
        x: (T, D...) with one level of LoD.
        pad_value: Variable of x's dtype, one number or a row (D...).
        maxlen: the length; that of the longest sequence if None. No sequence may be longer.

    Returns:
        tuple: the padded Variable (N, maxlen, D...), and the lengths, int64 (N,).

    >>> import fluidlite as fluid
    >>> x = fluid.data('x', [None, 7], lod_level=1)
    >>> padded, length = sequence_pad(x, fluid.layers.fill_constant([1], 'float32', 0.0), maxlen=5)
    >>> padded.shape, length.shape
    ((-1, 5, 7), (-1,))
    """
    helper = LayerHelper("sequence_pad", name=name)
    check_variable(x, "x", "sequence_pad", _NUMBERS)
    check_variable(pad_value, "pad_value", "sequence_pad", _NUMBERS)
    out = helper.create_variable_for_type_inference(x.dtype)
    length = helper.create_variable_for_type_inference(VarType.INT64, stop_gradient=True)
    pad_value.stop_gradient = True
    attrs = {"padded_length": -1 if maxlen is None else maxlen}
    helper.append_op("sequence_pad", {"X": x, "PadValue": pad_value}, {"Out": out, "Length": length}, attrs)
    length.stop_gradient = True
    return out, length


def sequence_unpad(x, length, name=None):
    """The inverse of `sequence_pad`: the first length[n] rows of x[n], as sequences with LoD.

    Args:
        x: (N, M, D...), or (N, M), whose rows are one number wide.
        length: int64 (N,), each at most M.
    """
    check_variable(x, "x", "sequence_unpad", _NUMBERS)
    check_variable(length, "length", "sequence_unpad", (VarType.INT64,))
    length.stop_gradient = True
    return _append("sequence_unpad", {"X": x, "Length": length}, name=name)


def sequence_reshape(input, new_dim):
    """Rows of width `new_dim`: every sequence keeps its numbers, and its length changes with the width.

    `input`: (T, D) with one level of LoD; the numbers of every sequence must fill whole rows.

    >>> import fluidlite as fluid
    >>> sequence_reshape(fluid.data('x', [None, 2], lod_level=1), 4).shape
    (-1, 4)
    """
    check_variable(input, "input", "sequence_reshape", _NUMBERS)
    return _append("sequence_reshape", {"X": input}, {"new_dim": new_dim})


def sequence_expand(x, y, ref_level=-1, name=None):
    """Sequence n of x, or row n where x has no LoD, as often as sequence n of y has members.

    Args:
        x: (T, ...) with one level of LoD, or none; then the output has none either.
        y: anything with LoD; only its LoD counts.
        ref_level: the level of y, -1 for the innermost.
    """
    check_variable(x, "x", "sequence_expand", _NUMBERS)
    check_variable(y, "y", "sequence_expand")
    return _append("sequence_expand", {"X": x, "Y": y}, {"ref_level": ref_level}, name=name)


def sequence_expand_as(x, y, name=None):
    """Row n of x as often as sequence n of y is long; the output has y's LoD.

    >>> import fluidlite as fluid
    >>> x, y = fluid.data('x', [None, 7]), fluid.data('y', [None, 1], lod_level=1)
    >>> sequence_expand_as(x, y).lod_level
    1
    """
    check_variable(x, "x", "sequence_expand_as", _NUMBERS)
    check_variable(y, "y", "sequence_expand_as")
    return _append("sequence_expand_as", {"X": x, "Y": y}, name=name)


def sequence_concat(input, name=None):
    """Sequence n of the output = the sequences n of all inputs, one after the other.

    `input`: list of Variables (T_k, ...), each with one level of LoD of as many sequences.
    """
    if not isinstance(input, list | tuple) or not input:
        raise InvalidTypeError(
            f"The type of 'input' in sequence_concat must be list, but received {type(input)}.",
            expected="a list of Variables",
            actual=type(input).__name__,
            where=here(),
        )
    helper = LayerHelper("sequence_concat", name=name, input=input)
    out = helper.create_variable_for_type_inference(helper.input_dtype())
    helper.append_op("sequence_concat", {"X": list(input)}, {"Out": out})
    return out


def sequence_reverse(x, name=None):
    """x with the rows of every sequence in reverse order. x: (T, ...) with one level of LoD, which is kept."""
    check_variable(x, "x", "sequence_reverse")
    return _append("sequence_reverse", {"X": x}, name=name, out="Y")


def sequence_enumerate(input, win_size, pad_value=0, name=None):
    """out[t] = input[t], ... input[t + win_size - 1], with `pad_value` beyond the end of the sequence.

    `input`: int32 or int64 (T, 1) with one level of LoD, which is kept; out: (T, win_size).
    """
    check_variable(input, "input", "sequence_enumerate", _INTS)
    attrs = {"win_size": win_size, "pad_value": pad_value}
    return _append("sequence_enumerate", {"X": input}, attrs, name=name, stop_gradient=True)


def sequence_slice(input, offset, length, name=None):
    """length[n] rows of sequence n from its row offset[n] on.

    Args:
        input: (T, ...) with one level of LoD.
        offset, length: integer Variables (N, 1).
    """
    check_variable(input, "input", "sequence_slice", _NUMBERS)
    check_variable(offset, "offset", "sequence_slice", _INTS)
    check_variable(length, "length", "sequence_slice", _INTS)
    offset.stop_gradient = length.stop_gradient = True
    return _append("sequence_slice", {"X": input, "Offset": offset, "Length": length}, name=name)


def sequence_scatter(input, index, updates, name=None):
    """`input` (N, D), to whose row n at column `index` every update of sequence n is added.

    Args:
        index: int32 or int64 (T, 1) with one level of LoD of N sequences.
        updates: (T, 1) of input's dtype, with the LoD of `index`.
    """
    check_variable(input, "input", "sequence_scatter", _NUMBERS)
    check_variable(index, "index", "sequence_scatter", _INTS)
    check_variable(updates, "updates", "sequence_scatter", _NUMBERS)
    return _append("sequence_scatter", {"X": input, "Ids": index, "Updates": updates}, name=name)


def sequence_mask(x, maxlen=None, dtype="int64", name=None):
    """out[..., j] = 1 where j < x[...], else 0.

    Args:
        x: lengths, of any shape.
        maxlen: the last dimension of the output: an int, a Variable with one integer, or None for the largest of x.
        dtype: of the output.

    >>> import fluidlite as fluid
    >>> sequence_mask(fluid.data('length', [None], 'int64'), maxlen=5).shape
    (-1, 5)
    """
    check_variable(x, "x", "sequence_mask")
    helper = LayerHelper("sequence_mask", name=name)
    out = helper.create_variable_for_type_inference(canonical_dtype(dtype), stop_gradient=True)
    inputs, attrs = {"X": x}, {"out_dtype": out.dtype}
    if isinstance(maxlen, Variable):
        inputs["MaxLenTensor"] = maxlen
    elif maxlen is not None:
        attrs["maxlen"] = maxlen
    helper.append_op("sequence_mask", inputs, {"Y": out}, attrs)
    out.stop_gradient = True
    return out


def lod_reset(x, y=None, target_lod=None):
    """x with another LoD.

    Args:
        y: Variable whose LoD it gets; one without LoD holds offsets, int32 (n,).
        target_lod: offsets as a list, such as [0, 2, 5]; counts where y is None.

    >>> import fluidlite as fluid
    >>> lod_reset(fluid.data('x', [6, 2]), target_lod=[0, 4, 6]).lod_level
    1
    """
    check_variable(x, "x", "lod_reset", _NUMBERS)
    if y is not None:
        check_variable(y, "y", "lod_reset")
        return _append("lod_reset", {"X": x, "Y": y})
    if target_lod is None:
        raise InvalidArgumentError("lod_reset: y and target_lod should not be both none.", where=here())
    return _append("lod_reset", {"X": x}, {"target_lod": [int(offset) for offset in target_lod]})


def lod_append(x, level):
    """x with one more level of LoD, the innermost: offsets as a list, or an int32 Variable (n,) that holds them."""
    check_variable(x, "x", "lod_append", _NUMBERS)
    if isinstance(level, Variable):
        return _append("lod_reset", {"X": x, "Y": level}, {"append": True}, layer="lod_append")
    if not isinstance(level, list | tuple):
        raise InvalidArgumentError(
            "The level of lod_append is no list of offsets.", expected="list, tuple or Variable", actual=repr(level)
        )
    attrs = {"append": True, "target_lod": [int(offset) for offset in level]}
    return _append("lod_reset", {"X": x}, attrs, layer="lod_append")
