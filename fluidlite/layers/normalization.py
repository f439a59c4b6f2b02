"""Layers that normalize: by the statistics of a batch, or of each row."""

import math

from ..errors import InvalidArgumentError, here, warn_user
from ..initializer import Constant
from ..layer_helper import LayerHelper, check_variable
from ..param_attr import ParamAttr
from .nn import _FLOATS


def _refuse_missing(layer, argument, attr):
    if attr is False:
        raise InvalidArgumentError(f"{layer} cannot do without its parameter: {argument} is False.", where=here())


def batch_norm(
    input,
    act=None,
    is_test=False,
    momentum=0.9,
    epsilon=1e-05,
    param_attr=None,
    bias_attr=None,
    data_layout="NCHW",
    in_place=False,
    name=None,
    moving_mean_name=None,
    moving_variance_name=None,
    do_model_average_for_mean_and_var=True,
    use_global_stats=False,
):
    """scale (x - mean) / sqrt(variance + epsilon) + bias, for each channel; then the activation.

    While training, mean and variance (biased) are those of the batch, and the moving ones follow them:
    ``moving = momentum * moving + (1 - momentum) * batch``. In a test the moving ones are used.

    Args:
        input: float (N, C) or (N, C, H, W); with `data_layout` 'NHWC' (N, H, W, C).
        act: name of an activation.
        is_test: use the moving statistics; ``Program.clone(for_test=True)`` sets it.
        momentum: of the moving statistics, a number.
        param_attr, bias_attr: of scale (C,), default 1, and bias (C,), default 0.
        in_place: accepted; the result is a new Variable either way.
        moving_mean_name, moving_variance_name: names of the moving statistics, parameters that are not trained.
        do_model_average_for_mean_and_var: kept in their `do_model_average`.
        use_global_stats: use the moving statistics while training too, and leave them as they are.

    >>> import fluidlite as fluid
    >>> batch_norm(fluid.data('x', [None, 7]), act='relu').shape
    (-1, 7)
    """
    helper = LayerHelper("batch_norm", name=name, param_attr=param_attr, bias_attr=bias_attr, act=act)
    check_variable(input, "input", "batch_norm", _FLOATS)
    _refuse_missing("batch_norm", "bias_attr", bias_attr)
    _refuse_missing("batch_norm", "param_attr", param_attr)
    if data_layout not in ("NCHW", "NHWC") or len(input.shape) < 2:
        raise InvalidArgumentError(
            f"batch_norm ({helper.name}) does not find the channels of {input.name!r}.",
            expected="data_layout 'NCHW' or 'NHWC', and 2 dimensions or more",
            actual=f"data_layout={data_layout!r}, shape {list(input.shape)}",
            where=here(),
        )
    shape, dtype = [input.shape[1 if data_layout == "NCHW" else -1]], input.dtype
    scale = helper.create_parameter(helper.param_attr, shape, dtype, default_initializer=Constant(1.0))
    bias = helper.create_parameter(helper.bias_attr, shape, dtype, is_bias=True)
    moving = []
    for moving_name, value in ((moving_mean_name, 0.0), (moving_variance_name, 1.0)):
        attr = ParamAttr(
            name=moving_name,
            initializer=Constant(value),
            trainable=False,
            do_model_average=do_model_average_for_mean_and_var,
        )
        moving.append(helper.create_parameter(attr, shape, dtype))
        moving[-1].stop_gradient = True
    saved_mean = helper.create_variable_for_type_inference(dtype, stop_gradient=True)
    saved_variance = helper.create_variable_for_type_inference(dtype, stop_gradient=True)
    out = helper.create_variable_for_type_inference(dtype)
    mean, variance = moving
    helper.append_op(
        "batch_norm",
        {"X": input, "Scale": scale, "Bias": bias, "Mean": mean, "Variance": variance},
        {
            "Y": out,
            "MeanOut": mean,
            "VarianceOut": variance,
            "SavedMean": saved_mean,
            "SavedVariance": saved_variance,
        },
        {
            "momentum": float(momentum),
            "epsilon": float(epsilon),
            "is_test": bool(is_test),
            "data_layout": data_layout,
            "use_global_stats": bool(use_global_stats),
        },
    )
    return helper.append_activation(out)


def layer_norm(
    input,
    scale=True,
    shift=True,
    begin_norm_axis=1,
    epsilon=1e-05,
    param_attr=None,
    bias_attr=None,
    act=None,
    name=None,
):
    """scale (x - mean) / sqrt(variance + epsilon) + shift, for each row by its own statistics; then the activation.

    Args:
        input: float; the dimensions before `begin_norm_axis` count the rows, those from there on (D numbers) are
            normalized together.
        scale, shift: whether there are such parameters, (D,) each, at first 1 and 0.
        param_attr, bias_attr: of scale and shift.

    >>> import fluidlite as fluid
    >>> layer_norm(fluid.data('x', [None, 3, 5]), begin_norm_axis=2).shape
    (-1, 3, 5)
    """
    helper = LayerHelper("layer_norm", name=name, param_attr=param_attr, bias_attr=bias_attr, act=act)
    check_variable(input, "input", "layer_norm", _FLOATS)
    if not 0 < begin_norm_axis < len(input.shape) or any(d < 0 for d in input.shape[begin_norm_axis:]):
        raise InvalidArgumentError(
            f"{input.name!r} cannot be normalized from dimension {begin_norm_axis} on ({helper.name}).",
            expected="0 < begin_norm_axis < the number of dimensions, and those from there on known",
            actual=f"shape {list(input.shape)}",
            where=here(),
        )
    inputs, shape = {"X": input}, [math.prod(input.shape[begin_norm_axis:])]
    for wanted, argument, attr in ((scale, "param_attr", param_attr), (shift, "bias_attr", bias_attr)):
        if wanted:
            _refuse_missing("layer_norm", argument, attr)
        elif attr:
            warn_user(f"layer_norm makes no parameter for its {argument}: scale or shift is False.")
    if scale:
        initializer = Constant(1.0)
        inputs["Scale"] = helper.create_parameter(
            helper.param_attr, shape, input.dtype, default_initializer=initializer
        )
    if shift:
        inputs["Bias"] = helper.create_parameter(helper.bias_attr, shape, input.dtype, is_bias=True)
    mean = helper.create_variable_for_type_inference(input.dtype, stop_gradient=True)
    variance = helper.create_variable_for_type_inference(input.dtype, stop_gradient=True)
    out = helper.create_variable_for_type_inference(input.dtype)
    helper.append_op(
        "layer_norm",
        inputs,
        {"Y": out, "Mean": mean, "Variance": variance},
        {"epsilon": float(epsilon), "begin_norm_axis": begin_norm_axis},
    )
    return helper.append_activation(out)
