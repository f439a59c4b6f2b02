"""Ops of two variables with Fluid's broadcasting, scale, sum, and comparisons by name."""

from .case import Input, op_case

_NAMES = ("add", "sub", "mul", "div", "max", "min", "pow")


def inputs(name, x, y, **options):
    """Values that every op can take: bases of pow and divisors of div are positive."""
    low = 0.3 if name in ("pow", "div") else -2.0
    return {"x": Input(*x, low=low, high=2.0, **options), "y": Input(*y, low=low, high=2.0, fixed=True, **options)}


def binary_case(name, suffix, x, y, dtype="float32", **options):
    def build(fluid, x, y):
        return getattr(fluid.layers, "elementwise_" + name)(x, y, **options)

    return op_case(f"elementwise_{name}_{suffix}", build, **inputs(name, x, y, dtype=dtype))


for _name in _NAMES:
    binary_case(_name, "same", (2, 3, 5), (2, 3, 5))
    binary_case(_name, "trailing", (2, 3, 5), (3, 5))
    binary_case(_name, "axis0", (2, 3, 5), (2,), axis=0)
    binary_case(_name, "axis1", (2, 3, 5), (3,), axis=1)
for _name in ("add", "sub", "mul", "div"):
    binary_case(_name, "last", (2, 3, 5), (5,))
    binary_case(_name, "axis0_two_dims", (2, 3, 5), (2, 3), axis=0)
    binary_case(_name, "scalar", (2, 3), (1,))
    binary_case(_name, "act", (2, 3), (3,), act="relu")
    binary_case(_name, "ones_in_y", (2, 3, 5), (2, 1, 5))
    binary_case(_name, "column", (2, 3), (2, 1))
binary_case("mul", "float64", (2, 3), (2, 3), dtype="float64")
binary_case("add", "act_tanh", (2, 3, 5), (2,), axis=0, act="tanh")
binary_case("add", "ones_in_x", (2, 1, 5), (2, 3, 5))
binary_case("mul", "ones_in_x", (2, 1, 5), (2, 3, 5))
op_case(
    "elementwise_add_lod",
    lambda fluid, x, y: fluid.layers.elementwise_add(x, y),
    x=Input(5, 3, lens=[[2, 3]]),
    y=Input(5, 3),
)
op_case("elementwise_mul_itself", lambda fluid, x: fluid.layers.elementwise_mul(x, x), x=Input(2, 3))
op_case("elementwise_add_itself", lambda fluid, x: fluid.layers.elementwise_add(x, x), x=Input(2, 3))
op_case(
    "elementwise_max_ties",
    lambda fluid, x, y: fluid.layers.elementwise_max(x, y),
    x=Input(4, values=[1.0, 2.0, 3.0, 0.0]),
    y=Input(4, values=[1.0, 3.0, 2.0, 0.0]),
)
op_case(
    "elementwise_min_ties",
    lambda fluid, x, y: fluid.layers.elementwise_min(x, y),
    x=Input(4, values=[1.0, 2.0, 3.0, 0.0]),
    y=Input(4, values=[1.0, 3.0, 2.0, 0.0]),
)
for _dtype, _names in (("int64", "add sub mul div mod floordiv max min"), ("int32", "add mod")):
    for _name in _names.split():
        op_case(
            f"elementwise_{_name}_{_dtype}",
            lambda fluid, x, y, name="elementwise_" + _name: getattr(fluid.layers, name)(x, y),
            backward=False,
            x=Input(2, 3, dtype=_dtype, low=1, high=20),
            y=Input(2, 3, dtype=_dtype, low=1, high=4),
        )
for _name in ("mod", "floordiv"):
    op_case(
        f"elementwise_{_name}_axis0",
        lambda fluid, x, y, name="elementwise_" + _name: getattr(fluid.layers, name)(x, y, axis=0),
        backward=False,
        x=Input(3, 2, dtype="int64", values=[[7, -7], [8, -8], [9, -1]]),
        y=Input(3, dtype="int64", values=[2, 3, 5], fixed=True),
    )


def scale_case(name, spec=None, **options):
    backward = spec is None
    return op_case(
        name,
        lambda fluid, x: fluid.layers.scale(x, **options),
        backward=backward,
        x=spec or Input(2, 3, low=-2.0, high=2.0),
    )


scale_case("scale_default")
scale_case("scale_factor", scale=-2.5)
scale_case("scale_bias_after", scale=2.0, bias=0.75)
scale_case("scale_bias_before", scale=2.0, bias=0.75, bias_after_scale=False)
op_case(
    "scale_variable",
    lambda fluid, x, factor: fluid.layers.scale(x, factor, bias=0.5),
    x=Input(2, 3),
    factor=Input(1, values=[2.5], fixed=True, grad=False),
)
scale_case("scale_act", scale=2.0, bias=0.1, act="relu")
scale_case("scale_int64", Input(2, 3, dtype="int64", high=9), scale=2.0, bias=1.0)

op_case("sum_list", lambda fluid, x, y: fluid.layers.sum([x, y, x]), x=Input(2, 3), y=Input(2, 3))
op_case("sum_one", lambda fluid, x: fluid.layers.sum(x), x=Input(2, 3))
op_case("sums", lambda fluid, x, y: fluid.layers.sums([x, y]), x=Input(2, 3), y=Input(2, 3))
op_case("sums_int64", lambda fluid, x: fluid.layers.sums([x, x]), backward=False, x=Input(2, 3, dtype="int64", high=9))


def _sums_out(fluid, x, y):
    out = fluid.layers.create_tensor("float32", name="total")
    fluid.layers.sums([x, y], out=out)
    return out


op_case("sums_out", _sums_out, backward=False, x=Input(2, 3), y=Input(2, 3))

for _dtype in ("float32", "int64"):
    op_case(
        "compare_" + _dtype,
        lambda fluid, x, y: [
            getattr(fluid.layers, name)(x, y)
            for name in ("less_than", "less_equal", "greater_than", "greater_equal", "equal", "not_equal")
        ],
        backward=False,
        x=Input(2, 3, dtype=_dtype, values=[[1, 2, 3], [4, 5, 6]], grad=False),
        y=Input(2, 3, dtype=_dtype, values=[[1, 3, 2], [4, 0, 9]], grad=False),
    )
