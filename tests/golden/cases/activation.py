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
