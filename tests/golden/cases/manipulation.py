"""Shapes, types and constants: the ops that move or make values."""

import numpy

from .case import Input, Run, case, grad_name, op_case, uniform, variants


def concat_case(suffix, *specs, **options):
    inputs = {"x" + str(index): spec for index, spec in enumerate(specs)}
    return op_case(
        "concat_" + suffix,
        lambda fluid, **inputs: fluid.layers.concat(list(inputs.values()), **options),
        shapes=options.pop("shapes", None),
        **inputs,
    )


concat_case("axis0_default", Input(2, 3), Input(5, 3), shapes=[(7, 3)])
concat_case("axis0", Input(2, 3, fixed=True), Input(5, 3, fixed=True), axis=0)
concat_case("axis1", Input(2, 3), Input(2, 5), axis=1)
concat_case("axis_minus1", Input(2, 3, 5), Input(2, 3, 2), axis=-1)
concat_case("four", Input(2, 3), Input(2, 1), Input(2, 5), Input(2, 2), axis=1)
concat_case("one", Input(2, 3), axis=1)
concat_case("3d_axis1", Input(2, 3, 5), Input(2, 4, 5), axis=1)
concat_case("lod", Input(5, 3, lens=[[2, 3]]), Input(5, 2, lens=[[2, 3]]), axis=1)
concat_case("float64", Input(2, 3, dtype="float64"), Input(2, 5, dtype="float64"), axis=1)
op_case(
    "concat_int64",
    lambda fluid, x, y: fluid.layers.concat([x, y], axis=1),
    backward=False,
    x=Input(2, 3, dtype="int64", high=9),
    y=Input(2, 2, dtype="int64", high=9),
)
op_case("concat_itself", lambda fluid, x: fluid.layers.concat([x, x], axis=1), x=Input(2, 3))


def reshape_case(suffix, spec, result, **options):
    return op_case("reshape_" + suffix, lambda fluid, x: fluid.layers.reshape(x, **options), shapes=[result], x=spec)


reshape_case("flat", Input(2, 3, 5), (2, 15), shape=[-1, 15])
reshape_case("zero", Input(2, 3, 5), (2, 15), shape=[0, 15])
reshape_case("zero_and_infer", Input(2, 3, 5), (2, 3, 5, 1), shape=[0, 0, -1, 1])
reshape_case("infer_last", Input(2, 6), (4, 3), shape=[4, -1])
reshape_case("merge_batch", Input(2, 3, 5), (6, 5), shape=[-1, 5])
reshape_case("fixed", Input(2, 6, fixed=True), (3, 4), shape=[3, 4])
reshape_case("act", Input(2, 6), (4, 3), shape=[-1, 3], act="relu")
reshape_case("lod", Input(5, 6, lens=[[2, 3]]), (5, 2, 3), shape=[-1, 2, 3])
_NUMBERS = {"dtype": "int32", "grad": False, "fixed": True}
op_case(
    "reshape_variable",
    lambda fluid, x, dims: fluid.layers.reshape(x, dims),
    shapes=[(3, 4)],
    x=Input(2, 6),
    dims=Input(2, values=[3, 4], **_NUMBERS),
)
op_case(
    "reshape_variable_dims",
    lambda fluid, x, rows: fluid.layers.reshape(x, [rows, 2, -1]),
    shapes=[(3, 2, 2)],
    x=Input(2, 6),
    rows=Input(1, values=[3], **_NUMBERS),
)
op_case(
    "reshape_actual_shape",
    lambda fluid, x, dims: fluid.layers.reshape(x, [-1, 4], actual_shape=dims),
    shapes=[(3, 4)],
    x=Input(2, 6),
    dims=Input(2, values=[3, 4], **_NUMBERS),
)
op_case(
    "reshape_int64",
    lambda fluid, x: fluid.layers.reshape(x, [-1, 1]),
    backward=False,
    x=Input(2, 3, dtype="int64", high=9),
)


def shape_case(layer, suffix, spec, **options):
    """A layer of one input that changes its shape; every input has known dimensions unless the case says otherwise."""
    shapes = options.pop("shapes", None)
    return op_case(
        layer + "_" + suffix, lambda fluid, x: getattr(fluid.layers, layer)(x, **options), shapes=shapes, x=spec
    )


shape_case("squeeze", "axis1", Input(3, 1, 5), axes=[1])
shape_case("squeeze", "two", Input(3, 1, 5, 1), axes=[1, 3])
shape_case("squeeze", "negative", Input(3, 5, 1), axes=[-1])
shape_case("squeeze", "all", Input(3, 1, 5, 1), axes=[])
shape_case("squeeze", "batch", Input(1, 3, 5, fixed=True), axes=[0], shapes=[(3, 5)])
shape_case("squeeze", "named", Input(3, 1, 5), axes=[1], name="narrow")
shape_case("squeeze", "lod", Input(5, 1, 3, lens=[[2, 0, 3]]), axes=[1])
shape_case("unsqueeze", "axis1", Input(3, 5), axes=[1])
shape_case("unsqueeze", "int", Input(3, 5), axes=2)
shape_case("unsqueeze", "two", Input(3, 5), axes=[1, 3])
shape_case("unsqueeze", "unsorted", Input(3, 5), axes=[2, 1])
shape_case("unsqueeze", "negative", Input(3, 5), axes=[-1])
shape_case("unsqueeze", "negative_two", Input(3, 5), axes=[-1, -2])
shape_case("unsqueeze", "batch", Input(3, 5, fixed=True), axes=[0], shapes=[(1, 3, 5)])
shape_case("unsqueeze", "lod", Input(5, 3, lens=[[2, 0, 3]]), axes=[1])
op_case(
    "unsqueeze_variable",
    lambda fluid, x: fluid.layers.unsqueeze(x, fluid.layers.fill_constant([1], "int32", 1)),
    shapes=[(3, 1, 5)],
    x=Input(3, 5),
)
op_case(
    "unsqueeze_variables",
    lambda fluid, x: fluid.layers.unsqueeze(x, [fluid.layers.fill_constant([1], "int32", 1), 2]),
    shapes=[(3, 1, 1, 5)],
    x=Input(3, 5),
)
shape_case("transpose", "matrix", Input(3, 5, fixed=True), perm=[1, 0])
shape_case("transpose", "inner", Input(3, 5, 2), perm=[0, 2, 1])
shape_case("transpose", "4d", Input(2, 3, 5, 7, fixed=True), perm=[2, 0, 3, 1], shapes=[(5, 2, 7, 3)])
shape_case("transpose", "lod", Input(5, 2, 3, lens=[[2, 0, 3]]), perm=[0, 2, 1])
shape_case("flatten", "axis1", Input(2, 3, 5))
shape_case("flatten", "axis0", Input(2, 3, 5, fixed=True), axis=0)
shape_case("flatten", "axis2", Input(2, 3, 5, fixed=True), axis=2)
shape_case("flatten", "rank", Input(2, 3, fixed=True), axis=2)
shape_case("flatten", "batch", Input(2, 3, 5), axis=2, shapes=[(6, 5)])
shape_case("flatten", "lod", Input(5, 2, 3, lens=[[2, 0, 3]]))
shape_case("expand", "columns", Input(3, 5), expand_times=[1, 2])
shape_case("expand", "both", Input(3, 5, fixed=True), expand_times=[2, 3])
shape_case("expand", "batch", Input(3, 5), expand_times=[2, 1], shapes=[(6, 5)])
shape_case("expand", "3d", Input(2, 1, 5), expand_times=[1, 7, 1])
shape_case("expand", "named", Input(3, 5), expand_times=[1, 2], name="wide")
shape_case("expand", "lod", Input(5, 3, lens=[[2, 0, 3]]), expand_times=[1, 2])
op_case(
    "expand_variable",
    lambda fluid, x: fluid.layers.expand(x, fluid.layers.assign(numpy.array([2, 3], "int32"))),
    shapes=[(6, 15)],
    x=Input(3, 5),
)
op_case(
    "expand_variables",
    lambda fluid, x: fluid.layers.expand(x, [1, fluid.layers.fill_constant([1], "int32", 2)]),
    shapes=[(3, 10)],
    x=Input(3, 5),
)
op_case(
    "expand_as",
    lambda fluid, x, target_tensor: fluid.layers.expand_as(x, target_tensor),
    shapes=[(6, 10)],
    x=Input(3, 5, fixed=True),
    target_tensor=Input(6, 10, fixed=True, grad=False),
)
shape_case("reverse", "int", Input(2, 3, 5), axis=1)
shape_case("reverse", "list", Input(2, 3, 5), axis=[0, 2])
shape_case("reverse", "negative", Input(2, 3, 5), axis=-1)
shape_case("pad", "sides", Input(2, 3, fixed=True), paddings=[1, 0, 2, 3])
shape_case("pad", "value", Input(2, 3), paddings=[0, 0, 1, 2], pad_value=1.5)


def stack_case(suffix, *specs, **options):
    inputs = {"x" + str(index): spec for index, spec in enumerate(specs)}
    return op_case(
        "stack_" + suffix,
        lambda fluid, **inputs: fluid.layers.stack(list(inputs.values()), **options),
        shapes=options.pop("shapes", None),
        **inputs,
    )


stack_case("axis0", Input(3, 5), Input(3, 5), shapes=[(2, 3, 5)])
stack_case("axis1", Input(3, 5), Input(3, 5), axis=1)
stack_case("last", Input(3, 5), Input(3, 5), axis=-1)
stack_case("one", Input(3, 5), axis=1)
stack_case("lod", Input(5, 3, lens=[[2, 0, 3]]), Input(5, 3, lens=[[2, 0, 3]]), axis=1)
op_case("stack_itself", lambda fluid, x: fluid.layers.stack([x, x], axis=1), x=Input(2, 3))
op_case("stack_variable", lambda fluid, x: fluid.layers.stack(x, axis=1), x=Input(2, 3))
shape_case("unstack", "axis0", Input(2, 3, 5, fixed=True), shapes=[(3, 5)] * 2)
shape_case("unstack", "axis1", Input(2, 3, 5), axis=1)
shape_case("unstack", "num", Input(2, 3, 5), axis=-2, num=3)
op_case("split_one_used", lambda fluid, x: [fluid.layers.split(x, 3)[1]], shapes=[(3, 2)], x=Input(3, 6))
shape_case("split", "num", Input(3, 6), num_or_sections=2)
shape_case("split", "num_dim", Input(3, 6, 5), num_or_sections=3, dim=1)
shape_case("split", "negative", Input(3, 6, 5), num_or_sections=3, dim=-2)
shape_case("split", "sections", Input(3, 7), num_or_sections=[2, 5], dim=1)
shape_case("split", "rest", Input(3, 7), num_or_sections=[2, -1, 1], dim=1)
shape_case("split", "batch", Input(6, 5, fixed=True), num_or_sections=[1, 5], dim=0)
shape_case("split", "lod", Input(5, 4, lens=[[2, 0, 3]]), num_or_sections=2)
_WHOLE = Input(3, 6, dtype="int64", high=9)
for _name, _layer in (
    ("split", lambda fluid, x: fluid.layers.split(x, 2)),
    ("squeeze", lambda fluid, x: fluid.layers.squeeze(fluid.layers.unsqueeze(x, [2]), [2])),
    ("transpose", lambda fluid, x: fluid.layers.transpose(x, [1, 0])),
    ("stack", lambda fluid, x: fluid.layers.stack([x, x], 1)),
    ("flatten", lambda fluid, x: fluid.layers.flatten(x)),
    ("expand", lambda fluid, x: fluid.layers.expand(x, [1, 2])),
):
    op_case(_name + "_int64", _layer, backward=False, x=_WHOLE)


def cast_case(suffix, spec, dtype):
    backward = spec.dtype.startswith("float") and dtype.startswith("float")
    return op_case("cast_" + suffix, lambda fluid, x: fluid.layers.cast(x, dtype), backward=backward, x=spec)


cast_case("float32_float64", Input(2, 3), "float64")
cast_case("float64_float32", Input(2, 3, dtype="float64"), "float32")
cast_case("float32_int64", Input(4, values=[-2.7, -0.2, 0.9, 3.5], grad=False), "int64")
cast_case("int64_float32", Input(2, 3, dtype="int64", high=9), "float32")
cast_case("int64_int32", Input(2, 3, dtype="int64", high=9), "int32")
cast_case("bool_float32", Input(2, 3, dtype="bool"), "float32")
cast_case("float32_bool", Input(4, values=[0.0, 1.0, -0.5, 2.0], grad=False), "bool")
cast_case("lod", Input(5, 1, dtype="int64", high=9, lens=[[2, 3]]), "float32")

for _name, _k, _spec in (
    ("topk_1", 1, Input(2, 5)),
    ("topk_3", 3, Input(2, 5)),
    ("topk_numpy", numpy.int64(2), Input(2, 5)),
    ("topk_1d", 2, Input(5)),
    ("topk_3d", 2, Input(2, 3, 5)),
):
    # Fluid stops the gradient of both outputs.
    op_case(_name, lambda fluid, x, k=_k: fluid.layers.topk(x, k), backward=False, x=_spec)


def slice_case(suffix, result, spec=None, **options):
    return op_case(
        "slice_" + suffix,
        lambda fluid, input: fluid.layers.slice(input, **options),
        shapes=[result],
        input=spec or Input(4, 3, 5, fixed=True),
    )


slice_case("one_axis", (4, 2, 5), axes=[1], starts=[1], ends=[3])
slice_case("batch", (2, 3, 5), axes=[0], starts=[1], ends=[3])
slice_case("two_axes", (3, 3, 2), axes=[0, 2], starts=[0, 2], ends=[3, 4])
slice_case("negative", (4, 3, 2), axes=[2], starts=[-3], ends=[-1])
slice_case("end_beyond", (4, 2, 5), axes=[1], starts=[-2], ends=[100])
_BOUNDS = Input(2, dtype="int32", values=[1, 0], fixed=True)
_ENDS = Input(2, dtype="int32", values=[3, 2], fixed=True)
op_case(
    "slice_variables",
    lambda fluid, input, i: fluid.layers.slice(input, axes=[0, 2], starts=[i, 1], ends=[i + 2, 4]),
    shapes=[(2, 3, 3)],
    input=Input(4, 3, 5, fixed=True),
    i=Input(1, dtype="int32", values=[1], fixed=True),
)
op_case(
    "slice_variable_list",
    lambda fluid, input, starts, ends: fluid.layers.slice(input, axes=[0, 1], starts=starts, ends=ends),
    shapes=[(2, 2, 5)],
    input=Input(4, 3, 5, fixed=True),
    starts=_BOUNDS,
    ends=_ENDS,
)
slice_case("batch_unknown", (4, 1, 5), Input(4, 3, 5), axes=[1], starts=[0], ends=[1])


def l2_normalize_case(suffix, **options):
    return op_case(
        "l2_normalize_" + suffix,
        lambda fluid, x: fluid.layers.l2_normalize(x, **options),
        x=Input(2, 3, 5, low=-2.0, high=2.0),
    )


l2_normalize_case("axis1", axis=1)
l2_normalize_case("last", axis=-1)
l2_normalize_case("axis0", axis=0)
l2_normalize_case("epsilon", axis=1, epsilon=0.5)
op_case("l2_normalize_2d", lambda fluid, x: fluid.layers.l2_normalize(x, axis=-1), x=Input(2, 3))
op_case("l2_normalize_1d", lambda fluid, x: fluid.layers.l2_normalize(x, axis=-1), x=Input(5))
op_case(
    "l2_normalize_zero_row",
    lambda fluid, x: fluid.layers.l2_normalize(x, axis=1),
    x=Input(2, 3, values=[[0.0, 0.0, 0.0], [3.0, 0.0, 4.0]]),
)


@variants(
    float32={"shape": [2, 3], "dtype": "float32", "value": 1.5},
    float64={"shape": [3], "dtype": "float64", "value": -0.25},
    int64={"shape": [1], "dtype": "int64", "value": 7},
    int32={"shape": [2], "dtype": "int32", "value": -3},
    bool={"shape": [2], "dtype": "bool", "value": True},
    force_cpu={"shape": [1], "dtype": "float32", "value": 0, "force_cpu": True},
    tuple={"shape": (2, 1), "dtype": "float32", "value": 3},
)
def fill_constant(fluid, **options):
    return Run(fetch=[fluid.layers.fill_constant(**options)])


@case
def fill_constant_out(fluid):
    out = fluid.layers.create_tensor("int64", name="out")
    fluid.layers.fill_constant([2], "int64", 5, out=out)
    return Run(fetch=[out])


@case
def zeros_ones(fluid):
    return Run(fetch=[fluid.layers.zeros([2, 3], "float32"), fluid.layers.ones([3], "int64")])


op_case("assign", lambda fluid, x: fluid.layers.assign(x), x=Input(2, 3))


@case
def assign_output(fluid):
    x = fluid.data("x", [-1, 3])
    out = fluid.layers.create_tensor("float32", name="out")
    fluid.layers.assign(x, out)
    return Run([{"x": uniform("assign_output", 2, 3)}], [out])


@variants(
    float32={"value": numpy.array([[1.5, -2.0, 0.25]], "float32")},
    int32={"value": numpy.array([[3, -1], [4, 1]], "int32")},
)
def assign_array(fluid, value):
    return Run(fetch=[fluid.layers.assign(value)])


@variants(
    plain={},
    named={"name": "weights"},
    attr={"attr": True},
    bias={"is_bias": True},
)
def create_parameter(fluid, **options):
    if options.get("attr"):
        options["attr"] = fluid.ParamAttr(name="scale", initializer=fluid.initializer.Constant(0.5), learning_rate=2.0)
    x = fluid.data("x", [-1, 3])
    x.stop_gradient = False
    weight = fluid.layers.create_parameter(shape=[3, 2], dtype="float32", **options)
    out = fluid.layers.mul(x, weight)
    loss = fluid.layers.mean(fluid.layers.square(out))
    fluid.backward.append_backward(loss)
    return Run([{"x": uniform("create_parameter", 5, 3)}], [out, loss, grad_name(weight), grad_name(x)])


@variants(
    persistable={"persistable": True},
    temporary={},
    named={"persistable": True, "name": "counter"},
    force_cpu={"persistable": True, "force_cpu": True, "name": "on_cpu"},
)
def create_global_var(fluid, **options):
    """A persistable one counts the steps; the other is read once, as its startup op does not keep it."""
    var = fluid.layers.create_global_var(shape=[1], value=2.5, dtype="float32", **options)
    if not options.get("persistable"):
        return Run()
    total = fluid.layers.elementwise_add(var, fluid.layers.fill_constant([1], "float32", 0.5))
    fluid.layers.assign(total, var)
    return Run([{}, {}], [var, total])
