"""What the operators of Variable append, and what they give."""

import operator

from .case import Input, op_case

_X = Input(2, 3, low=0.5, high=2.0)
_Y = Input(2, 3, low=0.5, high=2.0)
_I = Input(2, 3, dtype="int64", low=1, high=20)
_J = Input(2, 3, dtype="int64", low=1, high=4)

_ARITHMETIC = ("add", "sub", "mul", "truediv", "pow")
_COMPARISONS = (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne)


def with_variable(suffix, function, x, y, backward=True):
    op_case("operator_" + suffix, lambda fluid, x, y: function(x, y), backward=backward, x=x, y=y)


def with_one(suffix, function, x, backward=True, shapes=None):
    op_case("operator_" + suffix, lambda fluid, x: function(x), backward=backward, shapes=shapes, x=x)


for _name in _ARITHMETIC:
    _function = getattr(operator, _name)
    with_variable(_name, _function, _X, _Y)
    with_one(_name + "_float", lambda x, f=_function: f(x, 2.5), _X)
    with_one(_name + "_int", lambda x, f=_function: f(x, 2), _X)
    with_one("float_" + _name, lambda x, f=_function: f(2.5, x), _X)
    with_one("int_" + _name, lambda x, f=_function: f(3, x), _X)
for _name in ("add", "sub", "mul", "floordiv", "mod", "truediv"):
    _function = getattr(operator, _name)
    with_variable(_name + "_int64", _function, _I, _J, backward=False)
    with_one(_name + "_int64_scalar", lambda x, f=_function: f(x, 2), _I, backward=False)
    if _name in ("add", "sub", "mul"):
        with_one("scalar_" + _name + "_int64", lambda x, f=_function: f(7, x), _I, backward=False)
with_one("mod_float", lambda x: x % 0.75, _X, backward=False)
with_one("neg", lambda x: -x, _X)
with_one("neg_int64", lambda x: -x, _I, backward=False)
with_variable("broadcast_trailing", operator.add, Input(2, 3), Input(3, fixed=True))
with_variable("broadcast_column", operator.mul, Input(2, 3), Input(2, 1))
with_variable("int64_plus_float32", operator.add, _I, Input(2, 3, low=0.5, high=2.0, grad=False), backward=False)
with_variable("float32_plus_int64", operator.add, Input(2, 3, low=0.5, high=2.0, grad=False), _I, backward=False)
_LEFT = Input(2, 3, values=[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], grad=False)
_RIGHT = Input(2, 3, values=[[1.0, 3.0, 2.0], [4.0, 0.0, 9.0]], grad=False)
with_variable("compare", lambda x, y: [f(x, y) for f in _COMPARISONS], _LEFT, _RIGHT, backward=False)
with_one("compare_float", lambda x: [f(x, 3.0) for f in _COMPARISONS], _LEFT, backward=False)
with_one("compare_int64", lambda x: [f(x, 5) for f in _COMPARISONS], _I, backward=False)

_T = Input(4, 3, 5, fixed=True)
for _name, _key, _shape in (
    ("int", 1, (3, 5)),
    ("negative_int", -1, (3, 5)),
    ("slice", slice(1, 3), (2, 3, 5)),
    ("slice_open_end", slice(1, None), (3, 3, 5)),
    ("slice_open_start", slice(None, 2), (2, 3, 5)),
    ("slice_negative", slice(-3, -1), (2, 3, 5)),
    ("slice_beyond", slice(2, 100), (2, 3, 5)),
    ("step", slice(0, 4, 2), (2, 3, 5)),
    ("negative_step", slice(None, None, -1), (4, 3, 5)),
    ("negative_step_bounds", slice(3, 0, -2), (2, 3, 5)),
    ("colon_slice", (slice(None), slice(1, 3)), (4, 2, 5)),
    ("colon_int", (slice(None), 2), (4, 5)),
    ("int_int", (2, 1), (5,)),
    ("int_slice", (1, slice(0, 2)), (2, 5)),
    ("slices_and_int", (slice(1, 3), 0, slice(-2, None)), (2, 2)),
):
    with_one("getitem_" + _name, lambda x, key=_key: x[key], _T, shapes=[_shape])
with_one("getitem_batch_unknown", lambda x: x[:, 1], Input(4, 3, 5), shapes=[(4, 5)])

with_one("astype_float64", lambda x: x.astype("float64"), _X)
with_one("astype_int64", lambda x: x.astype("int64"), Input(2, 3, low=0.0, high=9.0, grad=False), backward=False)
with_one("chain", lambda x: (2.0 * x - 1.0) / (x + 1.0) ** 2.0, _X)

_AT = Input(1, dtype="int32", values=[1], fixed=True)
for _name, _function, _shape in (
    ("variable", lambda x, i: x[i], (3, 5)),
    ("variable_second", lambda x, i: x[:, i], (2, 5)),
    ("variable_stop", lambda x, i: x[0:i], (1, 3, 5)),
    ("variable_start", lambda x, i: x[i:, 1], (1, 5)),
    ("variable_both", lambda x, i: x[:, i : i + 2], (2, 2, 5)),
):
    op_case(
        "operator_getitem_" + _name,
        lambda fluid, x, i, f=_function: f(x, i),
        shapes=[_shape],
        x=Input(2, 3, 5, fixed=True),
        i=_AT,
    )
