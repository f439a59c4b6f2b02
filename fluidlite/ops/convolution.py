"""Convolution and pooling of images, by windows: an image's windows are a view of it, whose copy is a matrix."""

from collections import namedtuple

import numpy as np

from .registry import Meta, OpDef, Slot, grad_spec, register_op

# Bytes of copied windows at a time: few enough to stay in cache, enough for a matrix product to be worth its call.
_WINDOW_BYTES = 1 << 22

Axis = namedtuple("Axis", ["size", "kernel", "stride", "dilation", "before", "after", "out"])
Axis.__doc__ = """How windows lie along one axis: `before` and `after` are its padding, `out` counts the windows."""


def plan_axis(size, kernel, stride, dilation, pads, algorithm, ceil_mode=False):
    """An `Axis`; `out` is -1 where `size` is. 'SAME' pads until out = ceil(size / stride), and does not dilate."""
    before, after = (0, 0) if algorithm == "VALID" else pads
    if size < 0:
        return Axis(size, kernel, stride, dilation, before, after, -1)
    if algorithm == "SAME":
        out = -(-size // stride)
        total = max((out - 1) * stride + kernel - size, 0)
        return Axis(size, kernel, stride, 1, total // 2, total - total // 2, out)
    room = size + before + after - (dilation * (kernel - 1) + 1)
    out = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    return Axis(size, kernel, stride, dilation, before, after, max(out, 0) if room >= 0 or ceil_mode else 0)


class Windowed(OpDef):
    """What convolution and pooling share: the layout of images, and the windows on them."""

    def channels_first(self, array):
        """(N, C, H, W), a view of either layout."""
        return array.transpose(0, 3, 1, 2) if self.attr["data_format"] == "NHWC" else array

    def shape_of(self, n, channels, height, width):
        """The shape of an image batch in the op's layout."""
        return (n, height, width, channels) if self.attr["data_format"] == "NHWC" else (n, channels, height, width)

    def hw(self, shape):
        """The height and width in a shape."""
        return shape[1:3] if self.attr["data_format"] == "NHWC" else shape[2:4]

    def pads(self):
        """Padding ((top, bottom), (left, right)) as given."""
        p = list(self.attr["paddings"])
        return ((p[0], p[0]), (p[1], p[1])) if len(p) == 2 else ((p[0], p[1]), (p[2], p[3]))

    def check(self, slot, meta):
        layout, algorithm = self.attr["data_format"], self.attr["padding_algorithm"]
        if layout not in ("NCHW", "NHWC"):
            self.fail("there is no such data_format.", expected="'NCHW' or 'NHWC'", actual=repr(layout))
        if algorithm not in ("EXPLICIT", "SAME", "VALID"):
            self.fail("there is no such padding_algorithm.", actual=repr(algorithm))
        if len(meta.shape) != 4:
            self.fail(f"{self.var(slot)} holds no images.", expected="4 dimensions", actual=str(meta.shape))

    def check_windows(self, slot, axes, shape):
        if any(axis.out == 0 for axis in axes):
            self.fail(
                f"no window fits into the images {self.var(slot)}.",
                expected="height and width of at least a window, padding counted",
                actual=f"shape {list(shape)}, windows of {[axis.kernel for axis in axes]}",
            )


def _padded(x, axes, value):
    """`x` (N, C, H, W) with its padding, and as much more as the last windows need."""
    ends = [max(a.size + a.before + a.after, (a.out - 1) * a.stride + a.dilation * (a.kernel - 1) + 1) for a in axes]
    if ends == [a.size for a in axes]:
        return x
    array = np.full((*x.shape[:2], *ends), value, x.dtype)
    array[_inside(axes)] = x
    return array


def _inside(axes):
    """Where the image lies in what `_padded` gave."""
    return (slice(None), slice(None), *[slice(a.before, a.before + a.size) for a in axes])


def _place(axes, offsets):
    """What all windows see at one place of theirs, as an index of what `_padded` gave."""
    starts = [o * a.dilation for o, a in zip(offsets, axes, strict=True)]
    spans = [slice(s, s + (a.out - 1) * a.stride + 1, a.stride) for s, a in zip(starts, axes, strict=True)]
    return (slice(None), slice(None), *spans)


# -------------------------------------------------------------------------------------------------------- convolution


class _Conv2d(Windowed):
    attrs = {
        "strides": [1, 1],
        "paddings": [0, 0],
        "dilations": [1, 1],
        "groups": 1,
        "padding_algorithm": "EXPLICIT",
        "data_format": "NCHW",
    }

    def axes(self, shape, kernel):
        a = self.attr
        planned = zip(self.hw(shape), kernel, a["strides"], a["dilations"], self.pads(), strict=True)
        return [plan_axis(*each, a["padding_algorithm"]) for each in planned]

    def columns(self, padded, axes):
        """Pieces (begin, end, columns): the windows of images begin:end as (n, groups, C/groups KH KW, OH OW)."""
        n, channels = padded.shape[:2]
        high, wide = axes
        sn, sc, sh, sw = padded.strides
        windows = np.lib.stride_tricks.as_strided(
            padded,
            (n, channels, high.kernel, wide.kernel, high.out, wide.out),
            (sn, sc, sh * high.dilation, sw * wide.dilation, sh * high.stride, sw * wide.stride),
            writeable=False,
        )
        groups, depth = self.attr["groups"], channels // self.attr["groups"] * high.kernel * wide.kernel
        per_image = channels * high.kernel * wide.kernel * high.out * wide.out * padded.itemsize
        step = max(_WINDOW_BYTES // max(per_image, 1), 1)
        for begin in range(0, n, step):
            end = min(begin + step, n)
            yield begin, end, windows[begin:end].reshape(end - begin, groups, depth, high.out * wide.out)

    def by_group(self, filters):
        """(groups, F/groups, C/groups KH KW)."""
        groups = self.attr["groups"]
        return np.ascontiguousarray(filters).reshape(groups, len(filters) // groups, -1)


class _ConvForward(_Conv2d):
    inputs = (Slot("Input", dtypes="float"), Slot("Filter", dtypes="float"))
    outputs = (Slot("Output"),)

    def infer_shape(self, x, filters):
        self.check("Input", x)
        groups, channels = self.attr["groups"], self.channels_of(x.shape)
        if len(filters.shape) != 4 or channels != filters.shape[1] * groups or filters.shape[0] % groups:
            self.fail(
                f"the filters {self.var('Filter')} do not fit {self.var('Input')}.",
                expected=f"(F, {channels} / {groups}, KH, KW), F a multiple of {groups} groups",
                actual=str(filters.shape),
            )
        axes = self.axes(x.shape, filters.shape[2:])
        self.check_windows("Input", axes, x.shape)
        return Meta(self.shape_of(x.shape[0], filters.shape[0], axes[0].out, axes[1].out), x.dtype)

    def channels_of(self, shape):
        return shape[3 if self.attr["data_format"] == "NHWC" else 1]

    def run(self, x, filters, out):
        axes = self.axes(x.shape, filters.shape[2:])
        self.check_windows("Input", axes, x.shape)
        weight, n_filters = self.by_group(filters), len(filters)
        result = out(self.shape_of(len(x), n_filters, axes[0].out, axes[1].out))
        last = self.attr["data_format"] == "NHWC"
        planes = np.empty((len(x), n_filters, axes[0].out, axes[1].out), x.dtype) if last else result
        grouped = planes.reshape(len(x), *weight.shape[:2], axes[0].out * axes[1].out)
        for begin, end, columns in self.columns(_padded(self.channels_first(x), axes, 0), axes):
            np.matmul(weight, columns, out=grouped[begin:end])
        if last:
            self.channels_first(result)[...] = planes
        return result

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("Input", "Filter"), out_grads=("Output",), in_grads=("Filter", "Input"))]


@register_op
class Conv2d(_ConvForward):
    """Output[n, f, i, j] = sum over c, k, l of Filter[f, c, k, l] Input[n, c, i stride + k dilation - padding, ...].

    Input: (N, C, H, W), or with `data_format` 'NHWC' (N, H, W, C); Filter: (F, C / groups, KH, KW). Filters and
    channels are cut into `groups`, and a group of filters sees its group of channels. Padding counts as 0: `paddings` =
    [h, w] or [top, bottom, left, right], none for 'VALID', and for 'SAME' as much as makes ceil(H / stride) windows.
    Source: Fluid's layers.conv2d.
    """

    type = "conv2d"


@register_op
class DepthwiseConv2d(_ConvForward):
    """`conv2d` with one group for each channel."""

    type = "depthwise_conv2d"


class _ConvGrad(_Conv2d):
    inputs = (Slot("Input", dtypes="float"), Slot("Filter", dtypes="float"), Slot("Output@GRAD", dtypes="float"))
    outputs = (Slot("Input@GRAD"), Slot("Filter@GRAD"))
    differentiable = False

    def infer_shape(self, x, filters, out_grad):
        return Meta(x.shape, x.dtype), Meta(filters.shape, filters.dtype)

    def run(self, x, filters, out_grad, x_out, filters_out):
        axes = self.axes(x.shape, filters.shape[2:])
        weight = self.by_group(filters)
        grad = np.ascontiguousarray(self.channels_first(out_grad))
        grad = grad.reshape(len(x), *weight.shape[:2], axes[0].out * axes[1].out)
        padded = _padded(self.channels_first(x), axes, 0)
        x_grad = filters_grad = None
        if filters_out is not None:
            filters_grad = filters_out.zeros(filters.shape)
            total = filters_grad.reshape(weight.shape)
            for begin, end, columns in self.columns(padded, axes):
                total += np.add.reduce(np.matmul(grad[begin:end], columns.swapaxes(2, 3)), axis=0)
        if x_out is not None:
            x_grad = x_out(x.shape)
            spread = np.zeros(padded.shape, x.dtype)
            self._scatter(weight, grad, spread, axes)
            self.channels_first(x_grad)[...] = spread[_inside(axes)]
        return x_grad, filters_grad

    def _scatter(self, weight, grad, spread, axes):
        """Add to each place of the padded images what every window that sees it passes back."""
        high, wide = axes
        for n in range(len(grad)):
            columns = np.matmul(weight.swapaxes(1, 2), grad[n])
            columns = columns.reshape(1, spread.shape[1], high.kernel, wide.kernel, high.out, wide.out)
            for k in range(high.kernel):
                for m in range(wide.kernel):
                    spread[n : n + 1][_place(axes, (k, m))] += columns[:, :, k, m]


@register_op
class Conv2dGrad(_ConvGrad):
    """Gradient of `conv2d`: Filter@GRAD from the windows, Input@GRAD summed over all windows that see a place."""

    type = "conv2d_grad"


@register_op
class DepthwiseConv2dGrad(_ConvGrad):
    """Gradient of `depthwise_conv2d`."""

    type = "depthwise_conv2d_grad"


# ------------------------------------------------------------------------------------------------------------ pooling


class _Pool2d(Windowed):
    attrs = {
        "pooling_type": "max",
        "ksize": [1, 1],
        "global_pooling": False,
        "strides": [1, 1],
        "paddings": [0, 0],
        "exclusive": True,
        "ceil_mode": False,
        "padding_algorithm": "EXPLICIT",
        "data_format": "NCHW",
    }

    def axes(self, shape):
        a, size = self.attr, self.hw(shape)
        if a["global_pooling"]:
            return [Axis(d, d, 1, 1, 0, 0, 1) for d in size]
        planned = zip(size, a["ksize"], a["strides"], (1, 1), self.pads(), strict=True)
        return [plan_axis(*each, a["padding_algorithm"], a["ceil_mode"]) for each in planned]

    def counts(self, axes, dtype):
        """How many places of each window an average is taken over: (OH, OW), or one number."""
        if not self.attr["exclusive"]:
            return dtype.type(axes[0].kernel * axes[1].kernel)
        along = []
        for a in axes:
            begins = np.arange(a.out) * a.stride - a.before
            along.append(np.maximum(np.minimum(begins + a.kernel, a.size) - np.maximum(begins, 0), 1))
        return np.multiply.outer(*along).astype(dtype)

    def places(self, axes):
        """The index of what windows see, for each place of a window, in order."""
        for k in range(axes[0].kernel):
            for m in range(axes[1].kernel):
                yield _place(axes, (k, m))


@register_op
class Pool2d(_Pool2d):
    """The largest ('max') or the mean ('avg') of each window of each channel.

    X: (N, C, H, W), or with `data_format` 'NHWC' (N, H, W, C). Windows of `ksize` every `strides`; `global_pooling`
    takes one window, the whole image. Padding as in `conv2d`; it is never the largest, and counts in a mean as zeros
    where `exclusive` is False and not at all otherwise. With `ceil_mode` a last window may reach beyond the padding.
    Source: Fluid's layers.pool2d.
    """

    type = "pool2d"
    inputs = (Slot("X", dtypes="float"),)
    outputs = (Slot("Out"),)

    def infer_shape(self, x):
        self.check("X", x)
        if self.attr["pooling_type"] not in ("max", "avg"):
            kind = self.attr["pooling_type"]
            self.fail("there is no such pooling_type.", expected="'max' or 'avg'", actual=repr(kind))
        axes = self.axes(x.shape)
        self.check_windows("X", axes, x.shape)
        channels = x.shape[3 if self.attr["data_format"] == "NHWC" else 1]
        return Meta(self.shape_of(x.shape[0], channels, axes[0].out, axes[1].out), x.dtype)

    def run(self, x, out):
        axes, largest = self.axes(x.shape), self.attr["pooling_type"] == "max"
        self.check_windows("X", axes, x.shape)
        planes = self.channels_first(x)
        padded = _padded(planes, axes, -np.inf if largest else 0)
        array = out(self.shape_of(*planes.shape[:2], axes[0].out, axes[1].out))
        result = self.channels_first(array)
        places = self.places(axes)
        np.copyto(result, padded[next(places)])
        for place in places:
            (np.maximum if largest else np.add)(result, padded[place], out=result)
        if not largest:
            np.divide(result, self.counts(axes, x.dtype), out=result)
        return array

    def make_grad(self, spec):
        return [grad_spec(spec, inputs=("X",), outputs=("Out",))]


@register_op
class Pool2dGrad(_Pool2d):
    """Gradient of `pool2d`: to the first of the largest in each window, or to all of its places alike."""

    type = "pool2d_grad"
    inputs = (Slot("X", dtypes="float"), Slot("Out", dtypes="float"), Slot("Out@GRAD", dtypes="float"))
    outputs = (Slot("X@GRAD"),)
    differentiable = False

    def infer_shape(self, x, y, out_grad):
        return Meta(x.shape, x.dtype)

    def run(self, x, y, out_grad, out):
        axes, largest = self.axes(x.shape), self.attr["pooling_type"] == "max"
        planes, y, grad = (self.channels_first(a) for a in (x, y, out_grad))
        padded = _padded(planes, axes, -np.inf if largest else 0)
        spread = np.zeros(padded.shape, x.dtype)
        if largest:
            free = np.ones(grad.shape, bool)
            for place in self.places(axes):
                found = (padded[place] == y) & free
                spread[place] += np.where(found, grad, 0)
                free &= ~found
        else:
            share = grad / self.counts(axes, x.dtype)
            for place in self.places(axes):
                spread[place] += share
        array = out(x.shape)
        self.channels_first(array)[...] = spread[_inside(axes)]
        return array
