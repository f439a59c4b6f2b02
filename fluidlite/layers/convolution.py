"""Layers of images: convolution and pooling."""

from ..errors import InvalidArgumentError, here
from ..initializer import Normal
from ..layer_helper import LayerHelper, check_variable
from .nn import _FLOATS


def _ints(value, count, argument):
    """`count` ints from one int or a list of them."""
    values = [value] * count if isinstance(value, int) else list(value) if isinstance(value, list | tuple) else []
    if len(values) != count or not all(isinstance(v, int) for v in values):
        raise InvalidArgumentError(f"{argument} is not one int or {count} of them.", actual=repr(value), where=here())
    return values


def _padding(padding, data_format):
    """(padding_algorithm, paddings) from what the layers accept."""
    if isinstance(padding, str):
        if padding.upper() not in ("SAME", "VALID"):
            raise InvalidArgumentError(
                "There is no such padding.", expected="'SAME', 'VALID' or numbers", actual=repr(padding), where=here()
            )
        return padding.upper(), [0, 0]
    if isinstance(padding, list | tuple) and len(padding) == 4:
        pads = padding
        if isinstance(padding[0], list | tuple):
            image = slice(2, 4) if data_format == "NCHW" else slice(1, 3)
            others = [p for k, p in enumerate(padding) if not image.start <= k < image.stop]
            if any(list(p) != [0, 0] for p in others):
                raise InvalidArgumentError(
                    "Only the height and the width of images can be padded.", actual=repr(padding), where=here()
                )
            pads = [p for pair in padding[image] for p in pair]
        pads = _ints(pads, 4, "padding")
        return "EXPLICIT", [pads[0], pads[2]] if pads[0] == pads[1] and pads[2] == pads[3] else pads
    return "EXPLICIT", _ints(padding, 2, "padding")


def _channels(input, data_format, layer):
    if data_format not in ("NCHW", "NHWC") or len(input.shape) != 4:
        raise InvalidArgumentError(
            f"The input {input.name!r} of {layer} is no batch of images.",
            expected="4 dimensions, and data_format 'NCHW' or 'NHWC'",
            actual=f"shape {list(input.shape)}, data_format={data_format!r}",
            where=here(),
        )
    return input.shape[1 if data_format == "NCHW" else 3]


def conv2d(
    input,
    num_filters,
    filter_size,
    stride=1,
    padding=0,
    dilation=1,
    groups=None,
    param_attr=None,
    bias_attr=None,
    use_cudnn=True,
    act=None,
    name=None,
    data_format="NCHW",
):
    """Convolution of images with filters, plus a bias for each filter; then the activation.

    Args:
        input: float (N, C, H, W), or with `data_format` 'NHWC' (N, H, W, C).
        num_filters: F, the channels of the result.
        filter_size, stride, dilation: an int, or [height, width].
        padding: an int, [height, width], [top, bottom, left, right], pairs for all four dimensions, 'VALID' (none), or
            'SAME' (ceil(H / stride) windows).
        groups: channels and filters are cut into so many groups that do not see each other.
        param_attr: of the filters (F, C / groups, KH, KW), default Normal(0, sqrt(2 / (KH KW C))).
        bias_attr: of the bias (F,), default 0; False for none.
        use_cudnn: accepted; without it, as many groups as channels make the op ``depthwise_conv2d``, as in Fluid.
        act: name of an activation.

    >>> import fluidlite as fluid
    >>> conv2d(fluid.data('x', [None, 3, 7, 9]), 5, 3, padding=1, act='relu').shape
    (-1, 5, 7, 9)
    """
    check_variable(input, "input", "conv2d", _FLOATS)
    channels = _channels(input, data_format, "conv2d")
    if channels < 0 or channels % (groups or 1):
        raise InvalidArgumentError(
            f"The channels of {input.name!r} cannot be cut into {groups or 1} groups.",
            actual=f"{channels} channels",
            where=here(),
        )
    if param_attr is False:
        raise InvalidArgumentError("conv2d cannot do without its filters: param_attr is False.", where=here())
    depthwise = channels == groups and num_filters % channels == 0 and not use_cudnn
    layer = "depthwise_conv2d" if depthwise else "conv2d"
    helper = LayerHelper(layer, name=name, param_attr=param_attr, bias_attr=bias_attr, act=act)
    kernel = _ints(filter_size, 2, "filter_size")
    algorithm, paddings = _padding(padding, data_format)
    filters = helper.create_parameter(
        helper.param_attr,
        [num_filters, channels // (groups or 1), *kernel],
        input.dtype,
        default_initializer=Normal(0.0, (2.0 / (kernel[0] * kernel[1] * channels)) ** 0.5),
    )
    out = helper.create_variable_for_type_inference(input.dtype)
    attrs = {
        "strides": _ints(stride, 2, "stride"),
        "paddings": paddings,
        "dilations": _ints(dilation, 2, "dilation"),
        "groups": groups or 1,
        "padding_algorithm": algorithm,
        "data_format": data_format,
    }
    helper.append_op(layer, {"Input": input, "Filter": filters}, {"Output": out}, attrs)
    axis = 1 if data_format == "NCHW" else 3
    return helper.append_activation(helper.append_bias_op(out, dim_start=axis, dim_end=axis + 1))


def pool2d(
    input,
    pool_size=-1,
    pool_type="max",
    pool_stride=1,
    pool_padding=0,
    global_pooling=False,
    use_cudnn=True,
    ceil_mode=False,
    name=None,
    exclusive=True,
    data_format="NCHW",
):
    """The largest or the mean of each window of images.

    Args:
        input: float (N, C, H, W), or with `data_format` 'NHWC' (N, H, W, C).
        pool_size, pool_stride: of the windows, an int or [height, width].
        pool_type: 'max' or 'avg'.
        pool_padding: as in `conv2d`; it is never the largest.
        global_pooling: one window, the whole image.
        use_cudnn: accepted for Fluid's sake.
        ceil_mode: round the number of windows up: the last may reach beyond the image.
        exclusive: a mean is taken over the image's part of a window only; with False padding counts as zeros.

    >>> import fluidlite as fluid
    >>> pool2d(fluid.data('x', [None, 3, 8, 6]), 2, 'avg', pool_stride=2).shape
    (-1, 3, 4, 3)
    """
    check_variable(input, "input", "pool2d", _FLOATS)
    _channels(input, data_format, "pool2d")
    if not global_pooling and pool_size == -1:
        raise InvalidArgumentError("pool2d needs a pool_size, or global_pooling=True.", where=here())
    algorithm, paddings = _padding(pool_padding, data_format)
    if algorithm == "VALID" and ceil_mode:
        raise InvalidArgumentError("pool2d takes no ceil_mode where pool_padding is 'VALID'.", where=here())
    helper = LayerHelper("pool2d", name=name)
    out = helper.create_variable_for_type_inference(input.dtype)
    attrs = {
        "pooling_type": pool_type,
        "ksize": _ints(pool_size, 2, "pool_size"),
        "global_pooling": global_pooling,
        "strides": _ints(pool_stride, 2, "pool_stride"),
        "paddings": paddings,
        "padding_algorithm": algorithm,
        "ceil_mode": ceil_mode,
        "exclusive": exclusive,
        "data_format": data_format,
    }
    helper.append_op("pool2d", {"X": input}, {"Out": out}, attrs)
    return out
