"""Small networks made of layers."""

from .case import Input, Run, grad_name, op_case, parameters, variants, weighted_loss

op_case("nets_glu", lambda fluid, x: fluid.nets.glu(x), x=Input(5, 6))
op_case("nets_glu_rows", lambda fluid, x: fluid.nets.glu(x, dim=0), x=Input(4, 3, fixed=True))


@variants(one_head={}, two_heads={"num_heads": 2})
def nets_attention(fluid, **options):
    """Fetches no gradient of a bias: that of the keys' is 0, so that its recorded value is rounding alone."""
    inputs = {"q": Input(2, 3, 8), "k": Input(2, 5, 8), "v": Input(2, 5, 4)}
    out = fluid.nets.scaled_dot_product_attention(*[x.declare(fluid, name) for name, x in inputs.items()], **options)
    feeds = {name: x.feed("attention/" + name) for name, x in inputs.items()}
    loss, weights = weighted_loss(fluid, [out], [(2, 3, 4)])
    fluid.backward.append_backward(loss)
    trained = [name for name in parameters(fluid) if ".w_" in name]
    return Run([dict(feeds, **weights)], [out] + [grad_name(name) for name in list(inputs) + trained])


op_case(
    "nets_simple_img_conv_pool",
    lambda fluid, x: fluid.nets.simple_img_conv_pool(x, 3, 3, pool_size=2, pool_stride=2, conv_padding=1, act="relu"),
    x=Input(2, 1, 6, 8),
)
op_case(
    "nets_img_conv_group",
    lambda fluid, x: fluid.nets.img_conv_group(x, [2, 3], pool_size=2, pool_stride=2, conv_act="tanh"),
    x=Input(2, 1, 6, 8),
)
op_case(
    "nets_img_conv_group_batch_norm",
    lambda fluid, x: fluid.nets.img_conv_group(
        x, (2, 3), pool_size=2, conv_with_batchnorm=[True, False], conv_padding=[1, 0], pool_type="avg"
    ),
    backward=False,
    x=Input(2, 1, 6, 8),
)
