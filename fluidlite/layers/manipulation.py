"""Layers that change shapes, join, take apart and repeat: all of them keep the dtype."""

from ..dtypes import VarType
from ..errors import InvalidArgumentError, here
from ..framework import Variable
from ..layer_helper import LayerHelper, append_layer, check_variable


def _append_shaping(type, layer, x, attrs, name=None, inputs=None, helper=None):
    """An op with Out and XShape, which carries x's shape to the gradient."""
    check_variable(x, "input" if layer == "squeeze" else "x", layer)
    helper = helper or LayerHelper(layer, name=name)
    out = helper.create_variable_for_type_inference(x.dtype)
    x_shape = helper.create_variable_for_type_inference(x.dtype)
    helper.append_op(type, {"X": x, **(inputs or {})}, {"Out": out, "XShape": x_shape}, attrs)
    return out


def _numbers(helper, values):
    """A list of ints and Variables as Variables of int32 (1,)."""
    variables = []
    for value in values:
        if not isinstance(value, Variable):
            number, value = value, helper.create_variable_for_type_inference(VarType.INT32, stop_gradient=True)
            attrs = {"shape": [1], "dtype": VarType.INT32, "value": float(number), "force_cpu": True}
            helper.append_op("fill_constant", {}, {"Out": value}, attrs)
        variables.append(value)
    return variables


def squeeze(input, axes, name=None):
    """input without the dimensions `axes`, all of length 1; with ``axes=[]``, without all of length 1. LoD is kept.

    >>> import fluidlite as fluid
    >>> squeeze(fluid.data('x', [None, 1, 5]), axes=[1]).shape
    (-1, 5)
    """
    return _append_shaping("squeeze2", "squeeze", input, {"axes": list(axes)}, name)


def unsqueeze(input, axes, name=None):
    """input with dimensions of length 1 put in at `axes`, one after another in the order given. LoD is kept.

    Args:
        axes: an int, a list of ints and int Variables of shape (1,), or an int Variable.

    >>> import fluidlite as fluid
    >>> unsqueeze(fluid.data('x', [None, 5]), axes=[1, 3]).shape
    (-1, 1, 5, 1)
    """
    helper = LayerHelper("unsqueeze2", name=name)
    if isinstance(axes, Variable):
        return _append_shaping("unsqueeze2", "unsqueeze", input, {}, inputs={"AxesTensor": axes}, helper=helper)
    axes = [axes] if isinstance(axes, int) else list(axes)
    if any(isinstance(axis, Variable) for axis in axes):
        inputs = {"AxesTensorList": _numbers(helper, axes)}
        return _append_shaping("unsqueeze2", "unsqueeze", input, {}, inputs=inputs, helper=helper)
    return _append_shaping("unsqueeze2", "unsqueeze", input, {"axes": axes}, helper=helper)


def transpose(x, perm, name=None):
    """x with its dimensions in another order: dimension i of the result is dimension perm[i] of x. LoD is dropped.

    >>> import fluidlite as fluid
    >>> transpose(fluid.data('x', [None, 3, 5]), perm=[0, 2, 1]).shape
    (-1, 5, 3)
    """
    return _append_shaping("transpose2", "transpose", x, {"axis": [int(d) for d in perm]}, name)


def flatten(x, axis=1, name=None):
    """x as a matrix: the dimensions before `axis` are the rows, the others the columns.

    >>> import fluidlite as fluid
    >>> flatten(fluid.data('x', [None, 3, 5])).shape
    (-1, 15)
    """
    return _append_shaping("flatten2", "flatten", x, {"axis": axis}, name)


def stack(x, axis=0):
    """The Variables of the list `x`, all of one shape, beside one another along a new dimension `axis`.

    >>> import fluidlite as fluid
    >>> a, b = fluid.data('a', [None, 5]), fluid.data('b', [None, 5])
    >>> stack([a, b], axis=1).shape
    (-1, 2, 5)
    """
    helper = LayerHelper("stack")
    inputs = list(x) if isinstance(x, list | tuple) else [x]
    if not inputs:
        raise InvalidArgumentError("stack has no inputs.", expected="a list of Variables", where=here())
    for one in inputs:
        check_variable(one, "x", "stack")
    out = helper.create_variable_for_type_inference(inputs[0].dtype)
    helper.append_op("stack", {"X": inputs}, {"Y": out}, {"axis": axis})
    return out


def unstack(x, axis=0, num=None):
    """The list of the parts of x in each place of dimension `axis`, without it. LoD is dropped.

    `num` is their number, needed where the dimension is unknown.

    >>> import fluidlite as fluid
    >>> [part.shape for part in unstack(fluid.data('x', [None, 2, 5]), axis=1)]
    [(-1, 5), (-1, 5)]
    """
    helper = LayerHelper("unstack")
    check_variable(x, "x", "unstack")
    if num is None:
        num = x.shape[axis]
        if num < 0:
            raise InvalidArgumentError(
                f"Into how many parts unstack takes {x.name!r} is unknown: dimension {axis} is.",
                expected="num",
                actual=f"shape {list(x.shape)}",
                where=here(),
            )
    outs = [helper.create_variable_for_type_inference(x.dtype) for _ in range(num)]
    helper.append_op("unstack", {"X": x}, {"Y": outs}, {"axis": axis, "num": num})
    return outs


def split(input, num_or_sections, dim=-1, name=None):
    """The list of the parts of input along dimension `dim`.

    Args:
        num_or_sections: the number of equal parts, or the list of their lengths, of which one may be -1.

    >>> import fluidlite as fluid
    >>> x = fluid.data('x', [None, 7])
    >>> [part.shape for part in split(x, [2, -1], dim=1)]
    [(-1, 2), (-1, 5)]
    """
    helper = LayerHelper("split", name=name)
    check_variable(input, "input", "split")
    rank = len(input.shape)
    if not isinstance(dim, int) or not -rank <= dim < rank:
        raise InvalidArgumentError(
            f"split cannot take {input.name!r} apart along dim.",
            expected=f"an int, -{rank} <= dim < {rank}",
            actual=repr(dim),
            where=here(),
        )
    attrs = {"axis": dim % rank, "num": 0, "sections": []}
    if isinstance(num_or_sections, int):
        attrs["num"] = count = num_or_sections
    else:
        attrs["sections"] = list(num_or_sections)
        count = len(attrs["sections"])
    if count < 1 or not all(isinstance(length, int) for length in attrs["sections"]):
        raise InvalidArgumentError(
            f"split cannot take {input.name!r} into these parts.",
            expected="the number of parts, or a list of their lengths, ints that are known when the program is built",
            actual=repr(num_or_sections),
            where=here(),
        )
    outs = [helper.create_variable_for_type_inference(input.dtype) for _ in range(count)]
    helper.append_op("split", {"X": input}, {"Out": outs}, attrs)
    return outs


def expand(x, expand_times, name=None):
    """x laid `expand_times[i]` times side by side along each dimension i. LoD is kept.

    Args:
        expand_times: a list of ints and int Variables of shape (1,), one for each dimension, or an int Variable.

    >>> import fluidlite as fluid
    >>> expand(fluid.data('x', [None, 5]), expand_times=[1, 3]).shape
    (-1, 15)
    """
    helper = LayerHelper("expand", name=name)
    check_variable(x, "x", "expand")
    inputs, attrs = {"X": x}, {}
    if isinstance(expand_times, Variable):
        inputs["ExpandTimes"] = expand_times
    else:
        attrs["expand_times"] = [-1 if isinstance(n, Variable) else int(n) for n in expand_times]
        if any(isinstance(n, Variable) for n in expand_times):
            inputs["expand_times_tensor"] = _numbers(helper, expand_times)
    out = helper.create_variable_for_type_inference(x.dtype)
    helper.append_op("expand", inputs, {"Out": out}, attrs)
    return out


def expand_as(x, target_tensor, name=None):
    """x repeated to the shape of `target_tensor`, whose dimensions are multiples of x's. LoD is dropped.

    >>> import fluidlite as fluid
    >>> expand_as(fluid.data('x', [3, 5]), fluid.data('y', [3, 10])).shape
    (3, 10)
    """
    return append_layer("expand_as", {"X": x, "target_tensor": target_tensor}, name=name)


def reverse(x, axis):
    """x read backwards along the dimension `axis`, or along each of a list of them. LoD is dropped."""
    return append_layer("reverse", {"X": x}, {"axis": [axis] if isinstance(axis, int) else list(axis)})


def pad(x, paddings, pad_value=0.0, name=None):
    """x with more places before and after, all `pad_value`.

    Args:
        paddings: [before, after] of dimension 0, then of dimension 1, and so on, in one list.

    >>> import fluidlite as fluid
    >>> pad(fluid.data('x', [None, 5]), paddings=[0, 0, 1, 2]).shape
    (-1, 8)
    """
    return append_layer("pad", {"X": x}, {"paddings": list(paddings), "pad_value": float(pad_value)}, name=name)
