"""Elements and rows by index: gather, scatter, one-hot rows, and the indices themselves (where, arg...)."""

import numpy

from .case import Input, Run, case, op_case, uniform

_ROWS = Input(5, 3, fixed=True)


def gather_case(suffix, index, input=_ROWS, **options):
    return op_case(
        "gather_" + suffix,
        lambda fluid, input, index: fluid.layers.gather(input, index, **options),
        shapes=[(index.shape[0],) + tuple(input.shape[1:])],
        input=input,
        index=index,
    )


_INDEX = Input(4, dtype="int64", values=[4, 0, 4, 2])
gather_case("vector", _INDEX)
gather_case("column", Input(4, 1, dtype="int64", values=[4, 0, 4, 2]))
gather_case("int32", Input(4, dtype="int32", values=[4, 0, 4, 2]))
gather_case("distinct", Input(3, dtype="int64", values=[1, 4, 0]), overwrite=True)
gather_case("add", _INDEX, overwrite=False)
gather_case("3d", Input(2, dtype="int64", values=[1, 1]), Input(2, 3, 5, fixed=True))
gather_case("1d", _INDEX, Input(5, fixed=True))
gather_case("batch_unknown", _INDEX, Input(5, 3))
gather_case("lod", _INDEX, Input(5, 3, lens=[[2, 0, 3]]))
gather_case("float64", _INDEX, Input(5, 3, dtype="float64"))
op_case(
    "gather_int64",
    lambda fluid, input, index: fluid.layers.gather(input, index),
    backward=False,
    input=Input(5, 3, dtype="int64", high=9),
    index=_INDEX,
)


def gather_nd_case(suffix, values, result, dtype="int64", **options):
    values = numpy.array(values)
    return op_case(
        "gather_nd_" + suffix,
        lambda fluid, input, index: fluid.layers.gather_nd(input, index, **options),
        shapes=[result],
        input=Input(2, 3, 5, fixed=True),
        index=Input(*values.shape, dtype=dtype, values=values),
    )


gather_nd_case("elements", [[0, 2, 4], [1, 0, 0], [0, 2, 4]], (3,))
gather_nd_case("vectors", [[0, 2], [1, 0], [0, 2]], (3, 5))
gather_nd_case("matrices", [[1], [1], [0]], (3, 3, 5))
gather_nd_case("int32", [[[0, 2], [1, 1]]], (1, 2, 5), dtype="int32")
gather_nd_case("named", [[0, 2], [1, 0]], (2, 5), name="picked")


def scatter_case(suffix, index, **options):
    return op_case(
        "scatter_" + suffix,
        lambda fluid, input, index, updates: fluid.layers.scatter(input, index, updates, **options),
        shapes=[(5, 3)],
        input=Input(5, 3),
        index=index,
        updates=Input(index.shape[0], 3),
    )


scatter_case("overwrite", Input(2, dtype="int64", values=[3, 1]))
scatter_case("add", Input(4, dtype="int64", values=[3, 1, 3, 0]), overwrite=False)
scatter_case("int32", Input(2, dtype="int32", values=[0, 4]))
op_case(
    "scatter_nd_add",
    lambda fluid, ref, index, updates: fluid.layers.scatter_nd_add(ref, index, updates),
    shapes=[(5, 3)],
    ref=Input(5, 3, fixed=True),
    index=Input(4, 1, dtype="int64", values=[[3], [0], [3], [1]], fixed=True),
    updates=Input(4, 3, fixed=True),
)
op_case(
    "scatter_nd",
    lambda fluid, updates, index: fluid.layers.scatter_nd(index, updates, [2, 5]),
    shapes=[(2, 5)],
    updates=Input(3, fixed=True),
    index=Input(3, 2, dtype="int64", values=[[1, 4], [0, 0], [1, 4]], fixed=True),
)


def one_hot_case(suffix, spec, v2=False, **options):
    return op_case(
        "one_hot_" + suffix,
        lambda fluid, input: (fluid if v2 else fluid.layers).one_hot(input, **options),
        backward=False,
        input=spec,
    )


_IDS = Input(4, 1, dtype="int64", values=[[3], [0], [4], [3]])
one_hot_case("column", _IDS, depth=5)
one_hot_case("outside", Input(3, 1, dtype="int64", values=[[5], [-1], [2]]), depth=5, allow_out_of_range=True)
one_hot_case("3d", Input(2, 3, 1, dtype="int64", high=4), depth=4)
one_hot_case("int32", Input(4, 1, dtype="int32", values=[[3], [0], [4], [3]]), depth=5)
one_hot_case("lod", Input(5, 1, dtype="int64", high=3, lens=[[2, 0, 3]]), depth=3)
one_hot_case("v2", Input(4, dtype="int64", values=[3, 0, 4, 3]), v2=True, depth=5)
one_hot_case("v2_column", _IDS, v2=True, depth=5)
one_hot_case("v2_outside", Input(3, dtype="int64", values=[5, -1, 2]), v2=True, depth=5, allow_out_of_range=True)
one_hot_case("v2_int32", Input(2, 3, dtype="int32", high=4), v2=True, depth=4)
one_hot_case("v2_lod", Input(5, 1, dtype="int64", high=3, lens=[[2, 0, 3]]), v2=True, depth=3)


@case
def one_hot_depth_variable(fluid):
    ids = fluid.data("ids", [-1, 1], "int64")
    depth = fluid.layers.fill_constant([1], "int32", 4)
    outputs = [fluid.layers.one_hot(ids, depth), fluid.one_hot(ids, depth)]
    return Run([{"ids": numpy.array([[3], [0]], "int64")}], outputs)


for _name, _values in (
    ("vector", [True, False, True]),
    ("matrix", [[True, False, True], [False, True, False]]),
):
    op_case(
        "where_" + _name,
        lambda fluid, condition: fluid.layers.where(condition),
        backward=False,
        condition=Input(*numpy.shape(_values), dtype="bool", values=_values),
    )

_TIES = Input(3, 5, values=[[1, 3, 3, 0, 2], [2, 2, 2, 2, 2], [-1, -5, 0, -5, 0]], grad=False)


def index_case(layer, suffix, spec=_TIES, **options):
    return op_case(
        layer + "_" + suffix, lambda fluid, x: getattr(fluid.layers, layer)(x, **options), backward=False, x=spec
    )


for _name in ("argmax", "argmin"):
    index_case(_name, "default")
    index_case(_name, "axis1", axis=1)
    index_case(_name, "last", Input(2, 3, 5, grad=False), axis=-1)
    index_case(_name, "int64", Input(3, 5, dtype="int64", high=9), axis=1)
    index_case(_name, "1d", Input(5, grad=False))
    index_case(_name, "lod", Input(5, 3, lens=[[2, 0, 3]], grad=False), axis=1)


def sort_case(suffix, spec, **options):
    """Fluid stops the gradient of what is sorted."""
    return op_case(
        "argsort_" + suffix, lambda fluid, input: fluid.layers.argsort(input, **options), backward=False, input=spec
    )


sort_case("last", Input(3, 5, grad=False))
sort_case("descending", Input(3, 5, grad=False), descending=True)
sort_case("axis0", Input(5, 3, grad=False), axis=0)
sort_case("3d", Input(2, 5, 3, grad=False), axis=1, descending=True)
sort_case("named", Input(3, 5, grad=False), name="order")
sort_case("int64", Input(3, 5, dtype="int64", values=[[4, 0, 9, 2, 7], [1, 5, 3, 8, 6], [9, 8, 7, 6, 5]]))


@case
def argmax_stops_nothing(fluid):
    """What argmax indexes takes part in training elsewhere."""
    x = fluid.data("x", [-1, 3])
    x.stop_gradient = False
    prediction = fluid.layers.fc(x, 4)
    best = fluid.layers.argmax(prediction, axis=1)
    loss = fluid.layers.mean(fluid.layers.square(prediction))
    fluid.backward.append_backward(loss)
    return Run([{"x": uniform("argmax_stops_nothing", 2, 3)}], [best, loss, "x@GRAD"])


for _name, _options in (
    ("default", {}),
    ("axis0", {"axis": 0}),
    ("exclusive", {"axis": 1, "exclusive": True}),
    ("reverse", {"axis": 1, "reverse": True}),
    ("both", {"axis": 0, "exclusive": True, "reverse": True}),
):
    op_case("cumsum_" + _name, lambda fluid, x, o=_options: fluid.layers.cumsum(x, **o), x=Input(2, 3, 5))
