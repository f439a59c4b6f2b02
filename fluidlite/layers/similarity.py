"""Layers that compare pairs of rows."""

from ..layer_helper import LayerHelper, check_variable
from .nn import _FLOATS


def cos_sim(X, Y):
    """The cosine of the angle between each row of X and that of Y: (N, 1), LoD of X.

    Args:
        X: float (N, D). Y: (N, D), or (1, D) to compare all rows with one. A row of zeros has the cosine 0.

    >>> import fluidlite as fluid
    >>> cos_sim(fluid.data('x', [None, 5]), fluid.data('y', [None, 5])).shape
    (-1, 1)
    """
    helper = LayerHelper("cos_sim")
    check_variable(X, "X", "cos_sim", _FLOATS)
    check_variable(Y, "Y", "cos_sim", _FLOATS)
    out, x_norm, y_norm = (helper.create_variable_for_type_inference(X.dtype) for _ in range(3))
    helper.append_op("cos_sim", {"X": X, "Y": Y}, {"Out": out, "XNorm": x_norm, "YNorm": y_norm})
    return out


def bilinear_tensor_product(x, y, size, act=None, name=None, param_attr=None, bias_attr=None):
    """act(x[n] W[k] y[n]^T + b[k]) for each of `size` matrices W[k]: (N, size).

    Args:
        x: float (N, M); y: (N, D).
        param_attr: of the weight (size, M, D). bias_attr: of the bias (1, size); False for none.

    >>> import fluidlite as fluid
    >>> bilinear_tensor_product(fluid.data('x', [None, 3]), fluid.data('y', [None, 5]), size=7).shape
    (-1, 7)
    """
    helper = LayerHelper("bilinear_tensor_product", name=name, param_attr=param_attr, bias_attr=bias_attr, act=act)
    check_variable(x, "x", "bilinear_tensor_product", _FLOATS)
    check_variable(y, "y", "bilinear_tensor_product", _FLOATS)
    weight = helper.create_parameter(helper.param_attr, [size, x.shape[1], y.shape[1]], x.dtype)
    bias = helper.create_parameter(helper.bias_attr, [1, size], x.dtype, is_bias=True)
    out = helper.create_variable_for_type_inference(x.dtype)
    inputs = {"X": x, "Y": y, "Weight": weight, "Bias": bias}
    helper.append_op("bilinear_tensor_product", inputs, {"Out": out})
    return helper.append_activation(out)
