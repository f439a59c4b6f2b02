"""Sequence layers, with empty sequences and several levels of LoD where Fluid has them; LoD after other layers."""

import numpy

from .case import Input, Run, case, grad_name, integers, op_case, parameters, uniform, variants, weighted_loss

LENS = [[2, 0, 3, 1]]
TWO = [[2, 1], [2, 0, 4]]


def steps(*shape, **options):
    options.setdefault("lens", LENS)
    return Input(*shape, **options)


def pool_case(suffix, kind, x, shape, **options):
    return op_case(
        "sequence_pool_" + suffix, lambda fluid, x: fluid.layers.sequence_pool(x, kind, **options), shapes=[shape], x=x
    )


for _kind in ("sum", "average", "sqrt", "max", "first", "last"):
    pool_case(_kind, _kind, steps(6, 3), (4, 3), pad_value=0.5)
    pool_case(_kind + "_two_levels", _kind, steps(6, 3, lens=TWO), (3, 3))
pool_case("upper_case", "SUM", steps(6, 2), (4, 2))
pool_case("rank_3", "max", steps(6, 2, 3, lens=[[4, 2]]), (2, 2, 3))
pool_case("ties", "max", steps(4, 2, lens=[[3, 1]], values=[[1, 5], [4, 5], [4, 3], [0, 9]]), (2, 2))
for _kind in ("sum", "max"):
    op_case(
        "sequence_pool_is_test_" + _kind,
        lambda fluid, x, kind=_kind: fluid.layers.sequence_pool(x, kind, is_test=True),
        backward=False,
        x=steps(6, 3, grad=False),
    )
op_case("sequence_first_step", lambda fluid, x: fluid.layers.sequence_first_step(x), shapes=[(4, 3)], x=steps(6, 3))
op_case("sequence_last_step", lambda fluid, x: fluid.layers.sequence_last_step(x), shapes=[(4, 3)], x=steps(6, 3))


def conv_case(suffix, x=None, **options):
    options.setdefault("num_filters", 5)
    return op_case(
        "sequence_conv_" + suffix, lambda fluid, x: fluid.layers.sequence_conv(x, **options), x=x or steps(6, 3)
    )


conv_case("default")
conv_case("wide", filter_size=4, bias_attr=False)
conv_case("one", filter_size=1, param_attr="w", bias_attr="b")
conv_case("from_here", filter_size=2, padding_start=0)
conv_case("before", filter_size=3, padding_start=-2, act="tanh")
# In Fluid the gradient of the filter goes wrong where a sequence is not longer than padding_start.
conv_case("behind", x=steps(6, 3, lens=[[2, 0, 4]]), filter_size=2, padding_start=1)
conv_case("padding_false", padding=False, act="relu")
conv_case("long", x=steps(11, 2, lens=[[11]]), filter_size=5, name="named")


@variants(middle={"start": -1, "length": 3}, before={"start": -2, "length": 3}, behind={"start": 0, "length": 4})
def sequence_conv_padding_data(fluid, start, length):
    """Rows of a parameter around every sequence, which the layer does not offer."""
    x = steps(9, 2, lens=[[4, 5]]).declare(fluid, "x")
    rows = max(-start, 0) + max(start + length - 1, 0)
    inputs = {
        "X": x,
        "Filter": fluid.layers.create_parameter([length * 2, 3], "float32", name="w"),
        "PaddingData": fluid.layers.create_parameter([rows, 2], "float32", name="padding"),
    }
    block = fluid.default_main_program().global_block()
    out = block.create_var(name="out", dtype="float32")
    attrs = {"contextLength": length, "contextStart": start, "contextStride": 1, "paddingTrainable": True}
    block.append_op(type="sequence_conv", inputs=inputs, outputs={"Out": out}, attrs=attrs)
    loss, feeds = weighted_loss(fluid, [out], [(9, 3)])
    fluid.backward.append_backward(loss)
    feeds["x"] = (uniform("padding_data", 9, 2), [[4, 5]])
    return Run([feeds], [out, "x@GRAD", "w@GRAD", "padding@GRAD"])


op_case("sequence_softmax", lambda fluid, x: fluid.layers.sequence_softmax(x), x=steps(6, 1))
op_case("sequence_softmax_rank_1", lambda fluid, x: fluid.layers.sequence_softmax(x, name="s"), x=steps(6))
op_case(
    "sequence_softmax_two_levels",
    lambda fluid, x: fluid.layers.sequence_softmax(x, use_cudnn=True),
    x=steps(6, 1, lens=TWO),
)


def pad_case(suffix, x, value, shape, **options):
    def build(fluid, x):
        pad_value = fluid.layers.assign(numpy.array(value, x_dtype))
        return fluid.layers.sequence_pad(x, pad_value, **options)

    x_dtype = x.dtype
    return op_case("sequence_pad_" + suffix, build, shapes=[shape], backward=x_dtype == "float32", x=x)


pad_case("longest", steps(6, 2), [0.5], (4, 3, 2))
pad_case("maxlen", steps(6, 2), [0.5, 0.25], (4, 5, 2), maxlen=5, name="padded")
pad_case("rank_3", steps(6, 2, 3, lens=[[4, 2]]), [[0.5, 0.25, 1], [2, 3, 4]], (2, 4, 2, 3), maxlen=4)
pad_case("int64", steps(6, 2, dtype="int64", high=9), [7], (4, 3, 2), maxlen=3)


def without_grad_op(fluid, out, shape, feeds):
    """The gradient of x. The descriptions leave out its op, which in Fluid reads LoD of the gradient of the output."""
    loss, weights = weighted_loss(fluid, [out], [shape])
    fluid.backward.append_backward(loss)
    return Run([dict(feeds, **weights)], [out, "x@GRAD"], hidden=["x@GRAD"])


@variants(
    rank_3={"shape": (2, 3, 2), "lengths": [2, 3], "out_shape": (5, 2)},
    empty={"shape": (3, 2, 2), "lengths": [2, 0, 1], "out_shape": (3, 2)},
    rank_2={"shape": (4, 3), "lengths": [1, 0, 3, 2], "out_shape": (6, 1)},
)
def sequence_unpad(fluid, shape, lengths, out_shape):
    x, length = Input(*shape), Input(len(lengths), dtype="int64", values=lengths)
    out = fluid.layers.sequence_unpad(x.declare(fluid, "x"), length.declare(fluid, "length"))
    feeds = {"x": x.feed("sequence_unpad"), "length": length.feed("length")}
    return without_grad_op(fluid, out, out_shape, feeds)


op_case(
    "sequence_reshape_wider",
    lambda fluid, x: fluid.layers.sequence_reshape(x, 4),
    shapes=[(3, 4)],
    x=steps(6, 2, lens=[[2, 0, 4]]),
)
op_case(
    "sequence_reshape_narrower", lambda fluid, x: fluid.layers.sequence_reshape(x, 1), shapes=[(12, 1)], x=steps(6, 2)
)


def expand_case(suffix, x, y, rows, **options):
    return op_case(
        "sequence_expand_" + suffix,
        lambda fluid, x, y: fluid.layers.sequence_expand(x, y, **options),
        shapes=[(rows, *x.shape[1:])],
        x=x,
        y=y,
    )


def like(*lens):
    return Input(sum(lens[-1]), 1, lens=list(lens), grad=False)


expand_case("plain", Input(3, 2), like([2, 0, 3]), 5)
expand_case("plain_two_levels", Input(3, 2), like([1, 2], [2, 0, 3]), 5)
expand_case("plain_level_0", Input(2, 3), like([1, 2], [2, 0, 3]), 3, ref_level=0, name="e")
expand_case("lod", steps(6, 2, lens=[[2, 1, 3]]), like([2, 0, 1], [2, 1, 2]), 7, ref_level=0)
expand_case("lod_empty", steps(6, 2, lens=[[2, 0, 4]]), like([2, 2, 1]), 8)
expand_case("lod_two_levels", steps(6, 2, lens=[[2, 1, 3]]), like([1, 2], [2, 0, 3]), 13)
for _name, _x in (("plain", Input(3, 2)), ("lod", steps(3, 2, lens=[[2, 1]])), ("rank_3", Input(3, 2, 4))):
    op_case(
        "sequence_expand_as_" + _name,
        lambda fluid, x, y: fluid.layers.sequence_expand_as(x, y),
        shapes=[(5, *_x.shape[1:])],
        x=_x,
        y=like([2, 0, 3]),
    )
op_case(
    "sequence_concat",
    lambda fluid, x, y: fluid.layers.sequence_concat([x, y]),
    shapes=[(9, 2)],
    x=steps(6, 2, lens=[[2, 0, 4]]),
    y=steps(3, 2, lens=[[0, 1, 2]]),
)


@variants(matrix={"shape": (6, 2)}, rank_3={"shape": (6, 2, 3)}, int64={"shape": (6, 1), "dtype": "int64"})
def sequence_reverse(fluid, shape, dtype="float32"):
    x = steps(*shape, dtype=dtype)
    out = fluid.layers.sequence_reverse(x.declare(fluid, "x"), name="backwards")
    feeds = {"x": x.feed("sequence_reverse")}
    return without_grad_op(fluid, out, shape, feeds) if dtype == "float32" else Run([feeds], [out])


for _name, _options in (("default", {"win_size": 3}), ("padded", {"win_size": 2, "pad_value": 9, "name": "windows"})):
    op_case(
        "sequence_enumerate_" + _name,
        lambda fluid, x, options=_options: fluid.layers.sequence_enumerate(x, **options),
        backward=False,
        x=steps(6, 1, dtype="int64", high=7),
    )
for _name, _first, _count, _rows in (("usual", [1, 0, 0], [1, 1, 2], 4), ("empty", [2, 0, 1], [0, 1, 2], 3)):
    op_case(
        "sequence_slice_" + _name,
        lambda fluid, x, offset, length: fluid.layers.sequence_slice(x, offset, length),
        shapes=[(_rows, 2)],
        x=steps(6, 2, lens=[[2, 1, 3]]),
        offset=Input(3, 1, dtype="int64", values=_first),
        length=Input(3, 1, dtype="int64", values=_count),
    )
op_case(
    "sequence_scatter",
    lambda fluid, x, ids, updates: fluid.layers.sequence_scatter(x, ids, updates),
    x=Input(3, 6),
    ids=steps(5, 1, dtype="int64", lens=[[3, 0, 2]], values=[0, 1, 2, 5, 5]),
    updates=steps(5, 1, lens=[[3, 0, 2]]),
)


def mask_case(suffix, x=None, **options):
    return op_case(
        "sequence_mask_" + suffix,
        lambda fluid, x: fluid.layers.sequence_mask(x, **options),
        backward=False,
        x=x or Input(3, dtype="int64", values=[3, 0, 1]),
    )


mask_case("default")
mask_case("maxlen", maxlen=2, dtype="float32")
mask_case("wide", maxlen=5, dtype="bool", name="mask")
mask_case("rank_2", x=Input(2, 3, dtype="int32", values=[[3, 0, 1], [1, 2, 5]]), dtype="int32")
op_case(
    "sequence_mask_variable",
    lambda fluid, x: fluid.layers.sequence_mask(x, fluid.layers.fill_constant([1], "int32", 5)),
    backward=False,
    x=Input(3, dtype="int64", values=[3, 0, 1]),
)


def lod_case(name, layer, x, **inputs):
    return op_case(name, layer, x=x, **inputs)


lod_case("lod_reset_target", lambda fluid, x: fluid.layers.lod_reset(x, target_lod=[0, 4, 4, 6]), Input(6, 2))
lod_case("lod_reset_of_lod", lambda fluid, x: fluid.layers.lod_reset(x, target_lod=[0, 4, 6]), steps(6, 2))
lod_case("lod_reset_like", lambda fluid, x, y: fluid.layers.lod_reset(x, y), Input(6, 2), y=like([2, 0, 4]))
lod_case(
    "lod_reset_like_two_levels",
    lambda fluid, x, y: fluid.layers.lod_reset(x, y),
    steps(6, 2),
    y=like([1, 2], [2, 0, 4]),
)
lod_case(
    "lod_reset_offsets",
    lambda fluid, x, y: fluid.layers.lod_reset(x, y),
    steps(6, 2),
    y=Input(3, dtype="int32", values=[0, 2, 6]),
)
lod_case("lod_append", lambda fluid, x: fluid.layers.lod_append(x, [0, 1, 2, 2, 3, 5, 6]), steps(6, 2, lens=[[2, 4]]))
lod_case("lod_append_to_plain", lambda fluid, x: fluid.layers.lod_append(x, (0, 1, 6)), Input(6, 2))
lod_case(
    "lod_append_variable",
    lambda fluid, x, y: fluid.layers.lod_append(x, y),
    steps(6, 2, lens=[[2, 4]]),
    y=Input(7, dtype="int32", values=[0, 1, 2, 3, 4, 5, 6]),
)


@variants(sum={"kind": "sum"}, max={"kind": "max"}, average={"kind": "average"})
def sequence_model(fluid, kind):
    """A sparse embedding of words, pooled, and two steps of SGD: only rows that are present change."""
    word = fluid.data("word", [-1, 1], "int64", lod_level=1)
    table = fluid.layers.embedding(word, [7, 3], is_sparse=True, param_attr="w")
    pooled = fluid.layers.sequence_pool(table, kind)
    loss = fluid.layers.mean(fluid.layers.square(fluid.layers.fc(pooled, 2, act="tanh")))
    fluid.optimizer.SGD(0.5).minimize(loss)
    feeds = [
        {"word": (integers("model0", 7, 6, 1), [[2, 0, 3, 1]])},
        {"word": (integers("model1", 7, 4, 1), [[3, 1]])},
    ]
    return Run(feeds, [pooled, loss, "w@GRAD", "w"])


@case
def sequence_conv_pool(fluid):
    """Text classification: two convolutions of different widths over one embedding."""
    word = fluid.data("word", [-1, 1], "int64", lod_level=1)
    label = fluid.data("label", [-1, 1], "int64")
    table = fluid.layers.embedding(word, [7, 3], is_sparse=True, param_attr="w")
    parts = [
        fluid.nets.sequence_conv_pool(table, num_filters=4, filter_size=3, act="tanh", pool_type="sqrt"),
        fluid.nets.sequence_conv_pool(table, num_filters=5, filter_size=4, bias_attr=False),
    ]
    prediction = fluid.layers.fc(parts, 2, act="softmax")
    loss = fluid.layers.mean(fluid.layers.cross_entropy(prediction, label))
    fluid.optimizer.SGD(0.5).minimize(loss)
    feeds = [
        {"word": (integers("conv_pool" + step, 7, 6, 1), [[2, 0, 3, 1]]), "label": integers("label" + step, 2, 4, 1)}
        for step in "01"
    ]
    return Run(feeds, parts + [prediction, loss], last=parameters(fluid))


def _kept(fluid, x):
    """Layers after which rows are still the steps of x."""
    layers = fluid.layers
    return {
        "relu": layers.relu(x),
        "scale": layers.scale(x, 2.0, bias=1.0),
        "cast": layers.cast(x, "int64"),
        "softmax": layers.softmax(x),
        "clip": layers.clip(x, -0.5, 0.5),
        "operators": x * 2.0 + 1.0,
        "pow": layers.pow(x, 2.0),
        "assign": layers.assign(x),
        "reshape": layers.reshape(x, [-1, 2, 1]),
        "reduce_sum": layers.reduce_sum(x, 1),
        "reduce_mean": layers.reduce_mean(x, 1, keep_dim=True),
        "reduce_max": layers.reduce_max(x, [1]),
        "topk": layers.topk(x, 1)[0],
        "slice": layers.slice(x, [1], [0], [1]),
        "fc": layers.fc(x, 3),
        "dropout": layers.dropout(x, 0.5, is_test=True),
    }


def _dropped(fluid, x):
    """Layers after which they are not."""
    layers = fluid.layers
    return {
        "mean": layers.mean(x),
        "reduce_sum_all": layers.reduce_sum(x),
        "reduce_sum_0": layers.reduce_sum(x, 0),
        "reduce_min_0": layers.reduce_min(x, 0, keep_dim=True),
        "shape": layers.shape(x),
        "slice_0": layers.slice(x, [0], [0], [3]),
        "transpose": layers.transpose(x, [1, 0]),
    }


@variants(kept={"make": _kept}, dropped={"make": _dropped})
def lod_through(fluid, make):
    """LoD after layers of one input."""
    x = fluid.data("x", [-1, 2], lod_level=1)
    outputs = make(fluid, x)
    return Run([{"x": (uniform("lod_through", 6, 2), LENS)}], [outputs[name] for name in sorted(outputs)])


@variants(
    both={"levels": (1, 1)},
    first={"levels": (1, 0)},
    second={"levels": (0, 1)},
)
def lod_of_two(fluid, levels):
    """LoD after layers of two inputs: that of the first one."""
    x, y = [fluid.data(name, [-1, 2], lod_level=level) for name, level in zip("xy", levels)]  # noqa: B905
    layers = fluid.layers
    outputs = [
        layers.elementwise_add(x, y),
        layers.elementwise_mul(x, y),
        layers.elementwise_max(x, y),
        layers.square_error_cost(x, y),
        layers.less_than(x, y),
        layers.sigmoid_cross_entropy_with_logits(x, y),
        layers.matmul(x, y, transpose_y=True),
        layers.sum([x, y]),
        layers.concat([x, y], axis=1),
        layers.fc([x, y], 3),
    ]
    lens = [LENS, [[3, 3]]]
    feeds = {}
    for name, level, of in zip("xy", levels, lens):  # noqa: B905
        array = uniform("lod_of_two" + name, 6, 2, low=0.0)
        feeds[name] = (array, of) if level else array
    return Run([feeds], outputs)


@case
def lod_of_labels(fluid):
    """Look-ups and losses of steps."""
    x = fluid.data("x", [-1, 2], lod_level=1)
    y = fluid.data("y", [-1, 1], "int64", lod_level=1)
    outputs = [
        fluid.layers.embedding(y, [5, 3], param_attr="v1"),
        fluid.embedding(y, [5, 3], param_attr="v2"),
        fluid.layers.cross_entropy(fluid.layers.softmax(x), y),
        fluid.layers.softmax_with_cross_entropy(x, y),
    ]
    loss = fluid.layers.mean(outputs[-1])
    fluid.backward.append_backward(loss)
    feed = {"x": (uniform("lod_of_labels", 6, 2), LENS), "y": (integers("lod_of_labels", 2, 6, 1), LENS)}
    return Run([feed], outputs + [loss, grad_name(outputs[-1])])
