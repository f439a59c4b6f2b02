"""Elementwise functions of one variable, and softmax."""

from .case import Input, op_case

_X = Input(2, 3, 5, low=-2.0, high=2.0)
_AWAY_FROM_ZERO = Input(
    3, 5, values=[-2.0, -1.5, -0.3, -0.01, 0.2, 0.7, 1.1, 2.5, -0.8, 0.05, 3.0, -3.5, 0.6, 6.5, 8.0]
)
_POSITIVE = Input(2, 3, 5, low=0.1, high=3.0)


def layer_case(name, spec, layer=None, **options):
    return op_case(name, lambda fluid, x: getattr(fluid.layers, layer or name)(x, **options), x=spec)


for _name in ("sigmoid", "tanh", "square", "exp"):
    layer_case(_name, _X)
for _name in ("relu", "abs", "relu6"):
    layer_case(_name, _AWAY_FROM_ZERO)
for _name in ("sqrt", "log"):
    layer_case(_name, _POSITIVE)
layer_case("sigmoid_large", Input(5, values=[-100.0, -40.0, 0.0, 40.0, 100.0]), "sigmoid")
layer_case("tanh_large", Input(5, values=[-100.0, -9.0, 0.0, 9.0, 100.0]), "tanh")
layer_case("relu_zero", Input(5, values=[-1.0, -0.0, 0.0, 1e-30, 1.0]), "relu")
layer_case("abs_zero", Input(5, values=[-1.0, -0.0, 0.0, 1e-30, 1.0]), "abs")
layer_case("tanh_float64", Input(2, 3, dtype="float64"), "tanh")
layer_case("sigmoid_lod", Input(5, 3, lens=[[2, 0, 3]]), "sigmoid")
layer_case("relu6_threshold", _AWAY_FROM_ZERO, "relu6", threshold=2.0)
layer_case("pow_default", _X, "pow")
op_case(
    "pow_variable",
    lambda fluid, x, factor: fluid.layers.pow(x, factor),
    x=Input(2, 3, low=0.3, high=2.0),
    factor=Input(1, values=[2.5], fixed=True, grad=False),
)
op_case("clip_named", lambda fluid, x: fluid.layers.clip(x, min=-0.5, max=0.25, name="clipped"), x=_X)
layer_case("pow_factor", _POSITIVE, "pow", factor=2.5)
layer_case("pow_factor_3", _X, "pow", factor=3.0)
layer_case("clip", _AWAY_FROM_ZERO, min=-1.0, max=2.0)

layer_case("softmax", Input(2, 5))
layer_case("softmax_3d", _X, "softmax")
layer_case("softmax_axis0", _X, "softmax", axis=0)
layer_case("softmax_axis1", _X, "softmax", axis=1)
layer_case("softmax_axis_minus2", _X, "softmax", axis=-2)
layer_case("softmax_1d", Input(5), "softmax")
layer_case("softmax_float64", Input(2, 5, dtype="float64"), "softmax")
layer_case("softmax_large", Input(2, 3, values=[[1000.0, 999.0, -1000.0], [-80.0, 0.0, 80.0]]), "softmax")
layer_case("softmax_lod", Input(5, 3, lens=[[2, 0, 3]]), "softmax")

for _name in ("logsigmoid", "softplus", "softsign", "sin", "cos", "atan", "tanh_shrink", "gelu", "erf", "stanh"):
    layer_case(_name, _X)
for _name in ("asin", "acos"):
    layer_case(_name, Input(2, 3, low=-0.9, high=0.9))
for _name in ("rsqrt", "reciprocal"):
    layer_case(_name, _POSITIVE)
for _name in ("ceil", "floor"):
    layer_case(_name, _AWAY_FROM_ZERO)
layer_case("round", _X)
# Six of them: where Fluid rounds eight at a time, it rounds halves to even.
layer_case("round_halves", Input(6, values=[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]), "round")
for _name in ("elu", "leaky_relu", "thresholded_relu", "hard_sigmoid", "hard_swish", "swish", "soft_relu", "brelu"):
    layer_case(_name, _AWAY_FROM_ZERO)
for _name in ("hard_shrink", "softshrink", "selu"):
    layer_case(_name, _AWAY_FROM_ZERO)
layer_case("elu_alpha", _AWAY_FROM_ZERO, "elu", alpha=0.5)
layer_case("leaky_relu_alpha", _AWAY_FROM_ZERO, "leaky_relu", alpha=0.25)
layer_case("thresholded_relu_threshold", _AWAY_FROM_ZERO, "thresholded_relu", threshold=0.4)
layer_case("hard_sigmoid_options", _AWAY_FROM_ZERO, "hard_sigmoid", slope=0.3, offset=0.25)
layer_case("hard_swish_options", _AWAY_FROM_ZERO, "hard_swish", threshold=5.0, scale=5.0, offset=2.0)
layer_case("gelu_approximate", _X, "gelu", approximate=True)
layer_case("soft_relu_threshold", _AWAY_FROM_ZERO, "soft_relu", threshold=1.75)
layer_case("brelu_bounds", _AWAY_FROM_ZERO, "brelu", t_min=-1.0, t_max=2.0)
layer_case("hard_shrink_threshold", _AWAY_FROM_ZERO, "hard_shrink", threshold=1.0)
layer_case("softshrink_alpha", _AWAY_FROM_ZERO, "softshrink", alpha=1.0)
layer_case("stanh_scales", _X, "stanh", scale_a=0.5, scale_b=2.0)
layer_case("selu_options", _AWAY_FROM_ZERO, "selu", scale=1.5, alpha=0.5)
layer_case("sign", _AWAY_FROM_ZERO)
layer_case("softplus_large", Input(5, values=[-100.0, -40.0, 0.0, 40.0, 100.0]), "softplus")
layer_case("logsigmoid_large", Input(5, values=[-100.0, -40.0, 0.0, 40.0, 100.0]), "logsigmoid")
layer_case("swish_large", Input(5, values=[-100.0, -40.0, 0.0, 40.0, 100.0]), "swish")
layer_case("gelu_float64", Input(2, 3, dtype="float64"), "gelu")
layer_case("erf_float64", Input(2, 3, low=-4.0, high=4.0, dtype="float64"), "erf")
for _name, _high in (("clip_by_norm", 1.0), ("clip_by_norm_within", 0.1)):
    # Fluid has no gradient of it.
    op_case(
        _name,
        lambda fluid, x: fluid.layers.clip_by_norm(x, max_norm=1.5),
        backward=False,
        x=Input(2, 3, 5, high=_high, low=-_high, grad=False),
    )
