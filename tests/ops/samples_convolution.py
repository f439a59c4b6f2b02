"""Samples of convolution and pooling, window by window in float64."""

import itertools

import numpy as np

from .grid import add, uniform


def _first(x, attrs):
    return x.transpose(0, 3, 1, 2) if attrs.get("data_format") == "NHWC" else x


def _back(x, attrs):
    return x.transpose(0, 2, 3, 1) if attrs.get("data_format") == "NHWC" else x


def _windows(size, kernel, stride, dilation, pads, attrs):
    """For each window along an axis, the places that it sees; places of padding lie outside."""
    if attrs.get("padding_algorithm") == "VALID":
        pads = (0, 0)
    if attrs.get("padding_algorithm") == "SAME":
        dilation, count = 1, int(np.ceil(size / stride))
        total = max((count - 1) * stride + kernel - size, 0)
        pads = (total // 2, total - total // 2)
    last = size + pads[1] - dilation * (kernel - 1) - 1
    starts = range(-pads[0], last + (stride if attrs.get("ceil_mode") and (last + pads[0]) % stride else 1), stride)
    return [[start + k * dilation for k in range(kernel)] for start in starts]


def _plan(shape, kernel, attrs):
    p = attrs.get("paddings", [0, 0])
    pads = ((p[0], p[0]), (p[1], p[1])) if len(p) == 2 else (p[:2], p[2:])
    strides, dilations = attrs.get("strides", [1, 1]), attrs.get("dilations", [1, 1])
    return [_windows(shape[2 + i], kernel[i], strides[i], dilations[i], pads[i], attrs) for i in (0, 1)]


def _conv(x, filters, attrs):
    x, groups = _first(x, attrs), attrs.get("groups", 1)
    rows, columns = _plan(x.shape, filters.shape[2:], attrs)
    out = np.zeros((len(x), len(filters), len(rows), len(columns)))
    per_group, depth = len(filters) // groups, filters.shape[1]
    for f, (i, hs), (j, ws) in itertools.product(range(len(filters)), enumerate(rows), enumerate(columns)):
        group = f // per_group
        seen = x[:, group * depth : (group + 1) * depth]
        for (k, h), (m, w) in itertools.product(enumerate(hs), enumerate(ws)):
            if 0 <= h < x.shape[2] and 0 <= w < x.shape[3]:
                out[:, f, i, j] += (seen[:, :, h, w] * filters[f, :, k, m]).sum(axis=1)
    return _back(out, attrs)


_FILTERS = uniform(5, 2, 3, 1, seed=1), uniform(4, 1, 2, 3, seed=2), uniform(6, 2, 3, 1, seed=3)
for _x, _filters, _attrs in (
    (uniform(3, 2, 5, 4), _FILTERS[0], {}),
    (uniform(3, 2, 7, 4), _FILTERS[0], {"strides": [2, 3], "paddings": [1, 2]}),
    (uniform(3, 2, 4, 5), _FILTERS[0], {"paddings": [0, 2, 1, 0], "dilations": [2, 3]}),
    (uniform(3, 4, 6, 5), _FILTERS[2], {"groups": 2, "paddings": [1, 0]}),
    (uniform(2, 4, 5, 7), _FILTERS[1], {"groups": 4, "padding_algorithm": "SAME", "strides": [2, 3]}),
    (uniform(3, 2, 5, 4), _FILTERS[0], {"padding_algorithm": "VALID", "paddings": [1, 1]}),
    (uniform(3, 5, 4, 2), _FILTERS[0], {"data_format": "NHWC", "paddings": [1, 0, 0, 2]}),
    (uniform(3, 6, 5, 4), _FILTERS[2], {"data_format": "NHWC", "groups": 2, "strides": [2, 2]}),
):
    add(
        "conv2d",
        {"Input": _x, "Filter": _filters},
        lambda Input, Filter, a=_attrs: _conv(Input, Filter, a),
        attrs=_attrs,
        batch=("Input",),
    )
for _x, _attrs in (
    (uniform(2, 4, 5, 7), {"groups": 4, "strides": [2, 1]}),
    (uniform(2, 4, 5, 7), {"groups": 4, "dilations": [1, 2], "paddings": [1, 0]}),
    (uniform(2, 5, 7, 4), {"groups": 4, "data_format": "NHWC", "padding_algorithm": "SAME"}),
    (uniform(2, 1, 5, 7), {}),
):
    add(
        "depthwise_conv2d",
        {"Input": _x, "Filter": _FILTERS[1]},
        lambda Input, Filter, a=_attrs: _conv(Input, Filter, a),
        attrs=_attrs,
        batch=("Input",),
    )


def _pool(x, attrs):
    x = _first(x, attrs)
    kernel = x.shape[2:] if attrs.get("global_pooling") else attrs.get("ksize", [1, 1])
    rows, columns = _plan(x.shape, kernel, {} if attrs.get("global_pooling") else attrs)
    out = np.zeros((*x.shape[:2], len(rows), len(columns)))
    for (i, hs), (j, ws) in itertools.product(enumerate(rows), enumerate(columns)):
        inside = np.ix_([h for h in hs if 0 <= h < x.shape[2]], [w for w in ws if 0 <= w < x.shape[3]])
        seen = x[(slice(None), slice(None), *inside)]
        if attrs.get("pooling_type", "max") == "max":
            out[:, :, i, j] = seen.max(axis=(2, 3))
        else:
            count = seen.shape[2] * seen.shape[3] if attrs.get("exclusive", True) else kernel[0] * kernel[1]
            out[:, :, i, j] = seen.sum(axis=(2, 3)) / count
    return _back(out, attrs)


# Distinct numbers, far enough apart for a numeric gradient of the largest.
_IMAGES = np.random.RandomState(3).permutation(2 * 3 * 5 * 7).reshape(2, 3, 5, 7) / 50.0
for _type in ("max", "avg"):
    for _attrs in (
        {},
        {"ksize": [2, 3]},
        {"ksize": [3, 2], "strides": [2, 3], "paddings": [1, 1]},
        {"ksize": [3, 2], "strides": [2, 2], "paddings": [1, 0, 0, 1], "exclusive": False},
        {"ksize": [2, 4], "strides": [2, 3], "ceil_mode": True},
        {"ksize": [2, 4], "strides": [2, 2], "ceil_mode": True, "exclusive": False, "paddings": [0, 1]},
        {"ksize": [3, 2], "strides": [2, 2], "padding_algorithm": "SAME"},
        {"ksize": [3, 2], "paddings": [1, 1], "padding_algorithm": "VALID"},
        {"global_pooling": True, "ksize": [-1, -1], "paddings": [1, 1]},
        {"ksize": [2, 2], "strides": [1, 2], "data_format": "NHWC"},
    ):
        _attrs = {**_attrs, **({} if _type == "max" else {"pooling_type": "avg"})}
        add("pool2d", {"X": _IMAGES}, lambda X, a=_attrs: _pool(X, a), attrs=_attrs, batch=("X",))
add("pool2d", {"X": np.zeros((1, 1, 2, 3))}, lambda X: np.zeros((1, 1, 1, 2)), attrs={"ksize": [2, 2]}, gradient=False)
