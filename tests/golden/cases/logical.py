"""Logic of bools, their reductions, and questions whose answer is one."""

from .case import Input, Run, case, integers, op_case

_X = Input(3, 5, dtype="bool")

for _name in ("logical_and", "logical_or", "logical_xor"):
    op_case(_name, lambda fluid, x, y, n=_name: getattr(fluid.layers, n)(x, y), backward=False, x=_X, y=_X)
op_case("logical_not", lambda fluid, x: fluid.layers.logical_not(x), backward=False, x=_X)
op_case(
    "logical_and_named", lambda fluid, x, y: fluid.layers.logical_and(x, y, name="both"), backward=False, x=_X, y=_X
)
op_case(
    "logical_not_lod",
    lambda fluid, x: fluid.layers.logical_not(x),
    backward=False,
    x=Input(5, 1, dtype="bool", lens=[[2, 0, 3]]),
)


@case
def logical_out(fluid):
    """Both write to a variable of the user."""
    x = fluid.data("x", [-1, 3], "bool")
    out = fluid.layers.create_tensor("bool", name="out")
    fluid.layers.logical_or(x, x, out=out)
    no = fluid.layers.create_tensor("bool", name="no")
    fluid.layers.logical_not(x, out=no)
    return Run([{"x": integers("logical_out", 2, 5, 3, dtype="bool")}], [out, no])


for _name in ("reduce_all", "reduce_any"):
    for _suffix, _options in (
        ("everything", {}),
        ("dim1", {"dim": 1}),
        ("negative", {"dim": -1}),
        ("two", {"dim": [0, 2]}),
        ("keep", {"dim": 1, "keep_dim": True}),
    ):
        op_case(
            _name + "_" + _suffix,
            lambda fluid, input, n=_name, o=_options: getattr(fluid.layers, n)(input, **o),
            backward=False,
            input=Input(2, 3, 5, dtype="bool"),
        )

_FINITE = Input(3, values=[1.0, -2.0, 0.0], grad=False)
_NAN = Input(3, values=[1.0, float("nan"), 0.0], grad=False)
_INFINITE = Input(3, values=[1.0, float("-inf"), 0.0], grad=False)
for _name in ("isfinite", "has_nan", "has_inf"):
    for _suffix, _x in (("finite", _FINITE), ("nan", _NAN), ("infinite", _INFINITE)):
        op_case(_name + "_" + _suffix, lambda fluid, x, n=_name: getattr(fluid.layers, n)(x), backward=False, x=_x)
op_case("is_empty", lambda fluid, x: fluid.layers.is_empty(x), backward=False, x=_FINITE)
op_case("is_empty_yes", lambda fluid, x: fluid.layers.is_empty(x), backward=False, x=Input(0, 3, grad=False))
