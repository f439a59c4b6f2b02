"""Arithmetic, comparisons and functions, element by element."""

from ..dtypes import canonical_dtype
from ..framework import Variable
from ..layer_helper import LayerHelper, append_layer, check_variable


def relu(x, name=None):
    """max(x, 0), element by element."""
    return append_layer("relu", {"X": x}, name=name)


def _unary(type, formula):
    def layer(x, name=None):
        return append_layer(type, {"X": x}, name=name)

    layer.__name__ = layer.__qualname__ = type
    layer.__doc__ = f"{formula}, element by element. Shape, dtype and LoD of x."
    return layer


sigmoid = _unary("sigmoid", "1 / (1 + exp(-x))")
tanh = _unary("tanh", "tanh(x)")
sqrt = _unary("sqrt", "The square root of x")
square = _unary("square", "x^2")
abs = _unary("abs", "|x|")
exp = _unary("exp", "e^x")
log = _unary("log", "The natural logarithm of x")
sign = _unary("sign", "-1, 0 or 1 by the sign of x")
ceil = _unary("ceil", "The next whole number from x up")
floor = _unary("floor", "The next whole number from x down")
round = _unary("round", "The nearest whole number, halves away from zero")
reciprocal = _unary("reciprocal", "1 / x")
rsqrt = _unary("rsqrt", "1 / the square root of x")
sin = _unary("sin", "sin(x), of radians")
cos = _unary("cos", "cos(x), of radians")
asin = _unary("asin", "The angle whose sine is x")
acos = _unary("acos", "The angle whose cosine is x")
atan = _unary("atan", "The angle whose tangent is x")
erf = _unary("erf", "The error function of x")
softplus = _unary("softplus", "log(1 + exp(x))")
softsign = _unary("softsign", "x / (1 + |x|)")
logsigmoid = _unary("logsigmoid", "log(1 / (1 + exp(-x)))")
tanh_shrink = _unary("tanh_shrink", "x - tanh(x)")


def pow(x, factor=1.0, name=None):
    """x ** factor, element by element. `factor` is a number or a Variable of shape (1,), which has no gradient."""
    if isinstance(factor, Variable):
        return append_layer("pow", {"X": x, "FactorTensor": factor}, name=name)
    return append_layer("pow", {"X": x}, {"factor": float(factor)}, name=name)


def clip(x, min, max, name=None):
    """min(max(x, min), max), element by element. With a `name`, that is the name of the result, as in Fluid."""
    helper = LayerHelper("clip", name=name)
    check_variable(x, "x", "clip")
    if name is None:
        out = helper.create_variable_for_type_inference(x.dtype)
    else:
        out = helper.main_program.current_block().create_var(name=name, dtype=x.dtype)
    helper.append_op("clip", {"X": x}, {"Out": out}, {"min": float(min), "max": float(max)})
    return out


def relu6(x, threshold=6.0, name=None):
    """min(max(x, 0), threshold), element by element."""
    return append_layer("relu6", {"X": x}, {"threshold": float(threshold)}, name=name)


def _elementwise(type, formula):
    def layer(x, y, axis=-1, act=None, name=None):
        helper = LayerHelper(type, name=name, act=act)
        check_variable(x, "x", type)
        check_variable(y, "y", type)
        out = helper.create_variable_for_type_inference(x.dtype)
        helper.append_op(type, {"X": x, "Y": y}, {"Out": out}, {"axis": axis})
        return helper.append_activation(out)

    layer.__name__ = layer.__qualname__ = type
    layer.__doc__ = f"""{formula}, element by element.

    y's dimensions are matched to x's from `axis` on (-1: to the trailing ones) and repeated over the others. Both have
    one dtype; shape and LoD are x's. `act` names an activation to apply.
    """
    return layer


elementwise_add = _elementwise("elementwise_add", "x + y")
elementwise_sub = _elementwise("elementwise_sub", "x - y")
elementwise_mul = _elementwise("elementwise_mul", "x * y")
elementwise_div = _elementwise("elementwise_div", "x / y (integers: cut toward zero)")
elementwise_max = _elementwise("elementwise_max", "max(x, y)")
elementwise_min = _elementwise("elementwise_min", "min(x, y)")
elementwise_pow = _elementwise("elementwise_pow", "x ** y")
elementwise_mod = _elementwise("elementwise_mod", "The remainder of x / y")
elementwise_floordiv = _elementwise("elementwise_floordiv", "x // y")


def _compare(type, formula):
    def layer(x, y, cond=None):
        helper = LayerHelper(type)
        check_variable(x, "x", type)
        check_variable(y, "y", type)
        if cond is None:
            cond = helper.create_variable_for_type_inference(canonical_dtype("bool"), stop_gradient=True)
        helper.append_op(type, {"X": x, "Y": y}, {"Out": cond})
        cond.stop_gradient = True
        return cond

    layer.__name__ = layer.__qualname__ = type
    layer.__doc__ = f"{formula}, element by element, as a bool tensor (`cond` if given)."
    return layer


equal = _compare("equal", "x == y")
not_equal = _compare("not_equal", "x != y")
less_equal = _compare("less_equal", "x <= y")
greater_than = _compare("greater_than", "x > y")
greater_equal = _compare("greater_equal", "x >= y")


def less_than(x, y, force_cpu=None, cond=None):
    """x < y, element by element, as a bool tensor (`cond` if given). `force_cpu` is accepted for Fluid's sake."""
    return _less_than(x, y, cond)


_less_than = _compare("less_than", "x < y")
