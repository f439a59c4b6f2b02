"""Samples of batch_norm and layer_norm."""

import numpy as np

from .grid import add, uniform

_EPSILON = 1e-5


def _batch_norm(x, scale, bias, mean, variance, attrs):
    axis = 1 if attrs.get("data_layout", "NCHW") == "NCHW" else x.ndim - 1
    others = tuple(i for i in range(x.ndim) if i != axis)
    shape = [-1 if i == axis else 1 for i in range(x.ndim)]
    momentum, epsilon = attrs.get("momentum", 0.9), attrs.get("epsilon", _EPSILON)
    used = mean, variance
    if not attrs.get("is_test") and not attrs.get("use_global_stats") and x.size:
        used = x.mean(axis=others), x.var(axis=others)
        mean = momentum * mean + (1 - momentum) * used[0]
        variance = momentum * variance + (1 - momentum) * used[1]
    inverse = 1 / np.sqrt(used[1] + epsilon)
    hat = (x - used[0].reshape(shape)) * inverse.reshape(shape)
    return {
        "Y": hat * scale.reshape(shape) + bias.reshape(shape),
        "MeanOut": mean,
        "VarianceOut": variance,
        "SavedMean": used[0],
        "SavedVariance": inverse,
    }


for _x, _layout in (
    (uniform(7, 3), "NCHW"),
    (uniform(5, 3), "NHWC"),
    (uniform(7, 3, 2, 5), "NCHW"),
    (uniform(7, 2, 5, 3), "NHWC"),
    (uniform(7, 3, 5), "NCHW"),
):
    for _options in (
        {},
        {"momentum": 0.75, "epsilon": 0.25},
        {"is_test": True},
        {"use_global_stats": True, "epsilon": 0.5},
        {"use_global_stats": True, "is_test": True},
    ):
        _attrs = {**_options, **({} if _layout == "NCHW" else {"data_layout": _layout})}
        add(
            "batch_norm",
            {
                "X": _x,
                "Scale": uniform(3, seed=1, low=0.5),
                "Bias": uniform(3, seed=2),
                "Mean": uniform(3, seed=3),
                "Variance": uniform(3, seed=4, low=0.25),
            },
            lambda X, Scale, Bias, Mean, Variance, a=_attrs: _batch_norm(X, Scale, Bias, Mean, Variance, a),
            attrs=_attrs,
            batch=("X",),
            constants=("Mean", "Variance"),
        )


def _layer_norm(x, scale, bias, attrs):
    rows = x.reshape(-1, scale.size)
    mean, variance = rows.mean(axis=1), rows.var(axis=1)
    y = (rows - mean[:, None]) / np.sqrt(variance + attrs.get("epsilon", _EPSILON))[:, None]
    return {"Y": (y * scale + bias).reshape(x.shape), "Mean": mean, "Variance": variance}


for _x, _width, _attrs in (
    (uniform(5, 7), 7, {}),
    (uniform(5, 3, 2), 6, {"epsilon": 0.25}),
    (uniform(2, 3, 5), 5, {"begin_norm_axis": 2}),
    (uniform(2, 3, 5, 7), 35, {"begin_norm_axis": 2}),
):
    _scale, _bias = uniform(_width, seed=1, low=0.5), uniform(_width, seed=2)
    for _given in ({"Scale": _scale, "Bias": _bias}, {"Scale": _scale}, {"Bias": _bias}, {}):
        add(
            "layer_norm",
            {"X": _x, **_given},
            lambda X, Scale=None, Bias=None, w=_width, a=_attrs: _layer_norm(
                X, np.ones(w) if Scale is None else Scale, np.zeros(w) if Bias is None else Bias, a
            ),
            attrs=_attrs,
            batch=("X",),
        )
