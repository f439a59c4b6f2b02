"""Small networks made of layers."""

from . import layers
from .dtypes import VarType, dtype_name
from .errors import InvalidArgumentError, InvalidTypeError, here
from .layer_helper import check_variable
from .missing import reporter as _reporter

_FLOATS = (VarType.FP32, VarType.FP64)


def simple_img_conv_pool(
    input,
    num_filters,
    filter_size,
    pool_size,
    pool_stride,
    pool_padding=0,
    pool_type="max",
    global_pooling=False,
    conv_stride=1,
    conv_padding=0,
    conv_dilation=1,
    conv_groups=1,
    param_attr=None,
    bias_attr=None,
    act=None,
    use_cudnn=True,
):
    """`layers.conv2d` and then `layers.pool2d`, whose arguments these are.

    >>> import fluidlite as fluid
    >>> image = fluid.data('image', [None, 1, 28, 28])
    >>> simple_img_conv_pool(image, num_filters=20, filter_size=5, pool_size=2, pool_stride=2, act='relu').shape
    (-1, 20, 12, 12)
    """
    convolved = layers.conv2d(
        input=input,
        num_filters=num_filters,
        filter_size=filter_size,
        stride=conv_stride,
        padding=conv_padding,
        dilation=conv_dilation,
        groups=conv_groups,
        param_attr=param_attr,
        bias_attr=bias_attr,
        act=act,
        use_cudnn=use_cudnn,
    )
    return layers.pool2d(
        input=convolved,
        pool_size=pool_size,
        pool_type=pool_type,
        pool_stride=pool_stride,
        pool_padding=pool_padding,
        global_pooling=global_pooling,
        use_cudnn=use_cudnn,
    )


def img_conv_group(
    input,
    conv_num_filter,
    pool_size,
    conv_padding=1,
    conv_filter_size=3,
    conv_act=None,
    param_attr=None,
    conv_with_batchnorm=False,
    conv_batchnorm_drop_rate=0.0,
    pool_stride=1,
    pool_type="max",
    use_cudnn=True,
):
    """Convolutions one after the other, each perhaps with batch norm and dropout, and one pooling at the end.

    Args:
        conv_num_filter: list with the number of filters of each convolution.
        conv_padding, conv_filter_size, param_attr, conv_with_batchnorm, conv_batchnorm_drop_rate: one value for all,
            or a list with one for each convolution. Dropout comes after batch norm alone.
        conv_act: activation of every convolution, applied after its batch norm where there is one.
        pool_size, pool_stride, pool_type: of `layers.pool2d`.

    >>> import fluidlite as fluid
    >>> image = fluid.data('image', [None, 1, 28, 28])
    >>> img_conv_group(image, [3, 5], pool_size=2, pool_stride=2, conv_act='relu').shape
    (-1, 5, 14, 14)
    """
    if not isinstance(conv_num_filter, list | tuple):
        raise InvalidTypeError(
            "conv_num_filter of img_conv_group is not a list.", actual=repr(conv_num_filter), where=here()
        )
    count = len(conv_num_filter)

    def each(name, value):
        if not isinstance(value, list | tuple):
            return [value] * count
        if len(value) != count:
            raise InvalidArgumentError(
                f"{name} of img_conv_group does not have one entry for each convolution.",
                expected=str(count),
                actual=str(len(value)),
                where=here(),
            )
        return value

    paddings, sizes = each("conv_padding", conv_padding), each("conv_filter_size", conv_filter_size)
    attrs, norms = each("param_attr", param_attr), each("conv_with_batchnorm", conv_with_batchnorm)
    rates = each("conv_batchnorm_drop_rate", conv_batchnorm_drop_rate)
    x = input
    for filters, size, padding, attr, norm, rate in zip(
        conv_num_filter, sizes, paddings, attrs, norms, rates, strict=True
    ):
        x = layers.conv2d(
            input=x,
            num_filters=filters,
            filter_size=size,
            padding=padding,
            param_attr=attr,
            act=None if norm else conv_act,
            use_cudnn=use_cudnn,
        )
        if norm:
            x = layers.batch_norm(input=x, act=conv_act)
            if abs(rate) > 1e-5:
                x = layers.dropout(x=x, dropout_prob=rate)
    return layers.pool2d(
        input=x, pool_size=pool_size, pool_type=pool_type, pool_stride=pool_stride, use_cudnn=use_cudnn
    )


def sequence_conv_pool(
    input, num_filters, filter_size, param_attr=None, act="sigmoid", pool_type="max", bias_attr=None
):
    """`layers.sequence_conv` and then `layers.sequence_pool`: one row of `num_filters` numbers for each sequence.

    >>> import fluidlite as fluid
    >>> word = fluid.data('word', [None, 1], 'int64', lod_level=1)
    >>> sequence_conv_pool(fluid.layers.embedding(word, [100, 8]), num_filters=5, filter_size=3).shape
    (-1, 5)
    """
    check_variable(input, "input", "sequence_conv_pool", _FLOATS)
    convolved = layers.sequence_conv(
        input=input,
        num_filters=num_filters,
        filter_size=filter_size,
        param_attr=param_attr,
        bias_attr=bias_attr,
        act=act,
    )
    return layers.sequence_pool(input=convolved, pool_type=pool_type)


def glu(input, dim=-1):
    """Gated linear unit: a * sigmoid(b), where a and b are the halves of the input along `dim`.

    Source: Dauphin, Fan, Auli, Grangier, 2016.

    >>> import fluidlite as fluid
    >>> glu(fluid.data('x', [None, 6])).shape
    (-1, 3)
    """
    check_variable(input, "input", "glu", _FLOATS)
    a, b = layers.split(input, num_or_sections=2, dim=dim)
    return layers.elementwise_mul(x=a, y=layers.sigmoid(b))


def scaled_dot_product_attention(queries, keys, values, num_heads=1, dropout_rate=0.0):
    """softmax(Q K^T / sqrt(d)) V, by head, where d is the width of a head's keys.

    With several heads, queries, keys and values each go through `layers.fc` first and are cut into heads.

    Args:
        queries: (N, M, Dk). keys: (N, L, Dk). values: (N, L, Dv). All of one float dtype.
        num_heads: divides Dk and Dv.
        dropout_rate: of the weights, 0 for none; it is there in programs that are not cloned for test.

    Returns:
        Variable: (N, M, Dv).

    Source: Vaswani and others, "Attention Is All You Need", 2017.

    >>> import fluidlite as fluid
    >>> q, k, v = fluid.data('q', [2, 3, 8]), fluid.data('k', [2, 5, 8]), fluid.data('v', [2, 5, 4])
    >>> scaled_dot_product_attention(q, k, v).shape
    (2, 3, 4)
    """
    given = {"queries": queries, "keys": keys, "values": values}
    for name, x in given.items():
        check_variable(x, name, "scaled_dot_product_attention", _FLOATS)
    _check_attention(given, num_heads)
    if num_heads > 1:
        given = {k: layers.fc(input=x, size=x.shape[-1], num_flatten_dims=2) for k, x in given.items()}
    q, k, v = [_split_heads(x, num_heads) for x in given.values()]
    scaled = layers.scale(x=q, scale=(keys.shape[-1] // num_heads) ** -0.5)
    product = layers.matmul(x=scaled, y=k, transpose_y=True)
    flat = layers.reshape(x=product, shape=[-1, product.shape[-1]], act="softmax")
    weights = layers.reshape(x=flat, shape=list(product.shape))
    if dropout_rate:
        weights = layers.dropout(weights, dropout_prob=dropout_rate, is_test=False)
    context = layers.matmul(weights, v)
    if num_heads == 1:
        return context
    joined = layers.transpose(context, perm=[0, 2, 1, 3])
    return layers.reshape(x=joined, shape=[*joined.shape[:2], joined.shape[2] * joined.shape[3]])


def _check_attention(given, num_heads):
    queries, keys, values = given.values()

    def refuse(summary, error=InvalidArgumentError):
        raise error(
            f"scaled_dot_product_attention: {summary}",
            expected="queries (N, M, Dk), keys (N, L, Dk), values (N, L, Dv), where num_heads divides Dk and Dv",
            actual=", ".join(f"{name} {list(x.shape)} {dtype_name(x.dtype)}" for name, x in given.items())
            + f", num_heads {num_heads}",
            where=here(),
        )

    if not queries.dtype == keys.dtype == values.dtype:
        refuse("The dtype of keys, values and queries should be the same.", InvalidTypeError)
    if not len(queries.shape) == len(keys.shape) == len(values.shape) == 3:
        refuse("Inputs queries, keys and values should all be 3-D tensors.")
    if queries.shape[-1] != keys.shape[-1]:
        refuse("The hidden size of queries and keys should be the same.")
    if keys.shape[-2] != values.shape[-2]:
        refuse("The max sequence length in value batch and in key batch should be the same.")
    if num_heads < 1 or keys.shape[-1] % num_heads or values.shape[-1] % num_heads:
        refuse("The hidden sizes of keys and values must be divisible by the number of attention heads.")


def _split_heads(x, num_heads):
    if num_heads == 1:
        return x
    parts = layers.reshape(x=x, shape=[*x.shape[:-1], num_heads, x.shape[-1] // num_heads])
    return layers.transpose(x=parts, perm=[0, 2, 1, 3])


__getattr__ = _reporter(__name__)
