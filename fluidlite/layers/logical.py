"""Logic of bool tensors, and questions about whole tensors, answered by one bool."""

from ..dtypes import VarType
from ..layer_helper import LayerHelper, check_variable

_BOOL = (VarType.BOOL,)


def _logical(type, inputs, out, name):
    helper = LayerHelper(type, name=name)
    for slot, x in inputs.items():
        check_variable(x, slot.lower(), type, _BOOL)
    if out is None:
        out = helper.create_variable_for_type_inference(VarType.BOOL, stop_gradient=True)
    else:
        check_variable(out, "out", type, _BOOL)
    helper.append_op(type, inputs, {"Out": out})
    return out


def logical_and(x, y, out=None, name=None):
    """Where both x and y are true: bool, of their shape (into `out` if given).

    >>> import fluidlite as fluid
    >>> x, y = fluid.data('x', [None], 'int64'), fluid.data('y', [None], 'int64')
    >>> logical_and(x > 2, y < 5).dtype
    VarType.BOOL
    """
    return _logical("logical_and", {"X": x, "Y": y}, out, name)


def logical_or(x, y, out=None, name=None):
    """Where x or y or both are true: bool, of their shape (into `out` if given)."""
    return _logical("logical_or", {"X": x, "Y": y}, out, name)


def logical_xor(x, y, out=None, name=None):
    """Where exactly one of x and y is true: bool, of their shape (into `out` if given)."""
    return _logical("logical_xor", {"X": x, "Y": y}, out, name)


def logical_not(x, out=None, name=None):
    """Where x is not true: bool, of its shape (into `out` if given)."""
    return _logical("logical_not", {"X": x}, out, name)


def _question(type, layer, x, out=None):
    helper = LayerHelper(type)
    check_variable(x, "x", layer)
    if out is None:
        out = helper.create_variable_for_type_inference(VarType.BOOL, stop_gradient=True)
    else:
        check_variable(out, "cond", layer, _BOOL)
    helper.append_op(type, {"X": x}, {"Out": out})
    return out


def isfinite(x):
    """Whether no element of x is NaN or infinite: bool (1,)."""
    return _question("isfinite", "isfinite", x)


def has_nan(x):
    """Whether an element of x is NaN: bool (1,)."""
    return _question("isnan", "has_nan", x)


def has_inf(x):
    """Whether an element of x is infinite: bool (1,)."""
    return _question("isinf", "has_inf", x)


def is_empty(x, cond=None):
    """Whether x has no elements: bool (1,), into `cond` if given."""
    return _question("is_empty", "is_empty", x, cond)
