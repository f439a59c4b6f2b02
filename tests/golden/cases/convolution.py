"""conv2d and pool2d: padding, strides, groups, layouts and gradients."""

from .case import Input, op_case

_X = Input(2, 4, 5, 6)
_LAST = Input(2, 5, 6, 4)


def conv_case(suffix, x=_X, num_filters=6, filter_size=3, **options):
    return op_case(
        "conv2d_" + suffix,
        lambda fluid, x: fluid.layers.conv2d(x, num_filters, filter_size, **options),
        x=x,
    )


conv_case("default")
conv_case("act", act="tanh", filter_size=[2, 3], name="conv")
conv_case("no_bias", bias_attr=False, stride=2, padding=1)
conv_case("stride_dilation", stride=[2, 1], padding=[2, 1], dilation=[2, 2])
conv_case("four_pads", padding=[1, 0, 2, 1])
conv_case("pairs", padding=[[0, 0], [0, 0], [1, 1], [2, 2]])
conv_case("same", padding="SAME", stride=[2, 3], filter_size=[3, 2])
conv_case("same_dilation", padding="same", dilation=2)
conv_case("valid", padding="VALID", filter_size=2)
conv_case("groups", groups=2)
conv_case("depthwise", groups=4, num_filters=8, filter_size=2)
conv_case("depthwise_op", groups=4, num_filters=8, filter_size=2, use_cudnn=False)
conv_case("last", _LAST, data_format="NHWC", padding=[[0, 0], [1, 2], [0, 1], [0, 0]])
conv_case("float64", Input(2, 4, 5, 6, dtype="float64"), filter_size=2)


def pool_case(suffix, x=_X, **options):
    return op_case("pool2d_" + suffix, lambda fluid, x: fluid.layers.pool2d(x, **options), x=x)


for _type in ("max", "avg"):
    pool_case(_type, pool_size=2, pool_type=_type)
    pool_case(_type + "_padding", pool_size=[3, 2], pool_type=_type, pool_stride=2, pool_padding=1)
    pool_case(_type + "_ceil", pool_size=[2, 3], pool_type=_type, pool_stride=[2, 2], ceil_mode=True)
    pool_case(_type + "_global", pool_type=_type, global_pooling=True)
    pool_case(_type + "_same", pool_size=3, pool_type=_type, pool_stride=2, pool_padding="SAME")
    pool_case(_type + "_last", _LAST, pool_size=2, pool_type=_type, data_format="NHWC")
pool_case("valid", pool_size=2, pool_padding="VALID", name="pool")
pool_case("inclusive", pool_size=3, pool_type="avg", pool_stride=2, pool_padding=1, exclusive=False)
pool_case("inclusive_ceil", pool_size=3, pool_type="avg", pool_stride=2, ceil_mode=True, exclusive=False)
pool_case("four_pads", pool_size=3, pool_type="avg", pool_padding=[1, 0, 2, 1])
pool_case("ties", Input(1, 1, 2, 3, values=[0.0] * 6), pool_size=2)
