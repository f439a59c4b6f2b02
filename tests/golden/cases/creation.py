"""Values made from numbers: ranges, copies of a shape, counters, random numbers."""

import numpy

from .case import Input, Run, case, op_case, uniform, variants


@variants(
    int64={"start": 0, "end": 10, "step": 3, "dtype": "int64"},
    down={"start": 5, "end": -2, "step": -2, "dtype": "int32"},
    float32={"start": 0.5, "end": 3.0, "step": 0.5, "dtype": "float32"},
    float64={"start": 0, "end": 1, "step": 0.25, "dtype": "float64"},
)
def range(fluid, **options):
    return Run(fetch=[fluid.layers.range(**options)])


@case
def range_variable(fluid):
    end = fluid.layers.fill_constant([1], "int64", 4)
    return Run(fetch=[fluid.layers.range(0, end, 1, "int64")])


@variants(
    float32={"start": 0, "stop": 10, "num": 5, "dtype": "float32"},
    float64={"start": 1.0, "stop": -1.0, "num": 4, "dtype": "float64"},
    one={"start": 2.0, "stop": 5.0, "num": 1, "dtype": "float32"},
)
def linspace(fluid, **options):
    return Run(fetch=[fluid.layers.linspace(**options)])


@case
def linspace_variables(fluid):
    fill = fluid.layers.fill_constant
    points = fluid.layers.linspace(
        fill([1], "float32", 0.0), fill([1], "float32", 1.0), fill([1], "int32", 3), "float32"
    )
    return Run(fetch=[points])


for _name in ("zeros_like", "ones_like"):
    for _suffix, _x in (
        ("float32", Input(2, 3, grad=False)),
        ("int64", Input(2, 3, dtype="int64", high=9)),
        ("lod", Input(5, 3, lens=[[2, 0, 3]], grad=False)),
    ):
        op_case(_name + "_" + _suffix, lambda fluid, x, n=_name: getattr(fluid.layers, n)(x), backward=False, x=_x)


@variants(zeros={"layer": "zeros_like"}, ones={"layer": "ones_like"})
def like_out(fluid, layer):
    x = fluid.data("x", [-1, 3])
    out = fluid.layers.create_tensor("float32", name="out")
    getattr(fluid.layers, layer)(x, out=out)
    return Run([{"x": uniform("like_out", 2, 3)}], [out])


@variants(
    square={"num_rows": 3},
    wide={"num_rows": 2, "num_columns": 5, "dtype": "int64"},
    batch={"num_rows": 2, "batch_shape": [3]},
)
def eye(fluid, **options):
    return Run(fetch=[fluid.layers.eye(**options)])


op_case(
    "diag",
    lambda fluid, diagonal: fluid.layers.diag(diagonal),
    backward=False,
    diagonal=Input(3, fixed=True, grad=False),
)
op_case(
    "diag_int64",
    lambda fluid, diagonal: fluid.layers.diag(diagonal),
    backward=False,
    diagonal=Input(3, dtype="int64", high=9, fixed=True),
)


@case
def diag_array(fluid):
    return Run(fetch=[fluid.layers.diag(numpy.array([3.0, 5.0], "float32"))])


@variants(
    value={"dtype": "float32", "shape": [2, 3]},
    value_int64={"dtype": "int64", "shape": [2, 3]},
    rows={"dtype": "float32", "shape": [-1, 3, 2], "value": 2.5},
    rows_int64={"dtype": "int64", "shape": [-1, 3], "value": 7},
)
def fill_constant_variable(fluid, dtype, shape, value=None):
    """The value, or the dimension that is -1, is a Variable."""
    if value is None:
        value = fluid.layers.fill_constant([1], dtype, 4)
    rows = fluid.layers.fill_constant([1], "int32", 5)
    shape = [rows if dim < 0 else dim for dim in shape]
    return Run(fetch=[fluid.layers.fill_constant(shape, dtype, value)])


@case
def create_tensor(fluid):
    fluid.layers.create_tensor("float32", name="made")
    return Run([])


@variants(
    float32={"dtype": "float32", "value": 0.5},
    int64={"dtype": "int64"},
    int32_down={"dtype": "int32", "value": -2},
    apart={"dtype": "int64", "in_place": False},
    apart_float64={"dtype": "float64", "value": 2.5, "in_place": False},
)
def increment(fluid, dtype, **options):
    """A persistable counter."""
    counter = fluid.layers.create_global_var([1], 3.0, dtype, persistable=True, name="counter")
    out = fluid.layers.increment(counter, **options)
    return Run([{}, {}], [out, counter])


@case
def increment_constant(fluid):
    """In place on a temporary, twice."""
    i = fluid.layers.fill_constant([1], "int64", 0)
    fluid.layers.increment(i, value=1)
    fluid.layers.increment(i, value=4, in_place=True)
    return Run(fetch=[i])


@variants(
    uniform={"layer": "uniform_random", "shape": [2, 3]},
    uniform_options={"layer": "uniform_random", "shape": [2, 3], "min": 0.5, "max": 2.0, "seed": 7},
    gaussian={"layer": "gaussian_random", "shape": [2, 3]},
    gaussian_options={
        "layer": "gaussian_random",
        "shape": [2, 3],
        "dtype": "float64",
        "mean": 1.0,
        "std": 0.5,
        "seed": 7,
    },
)
def random(fluid, layer, **options):
    """The program only; the numbers are nobody's to expect."""
    getattr(fluid.layers, layer)(**options)
    return Run([])


@variants(
    uniform={"layer": "uniform_random"},
    gaussian={"layer": "gaussian_random"},
)
def random_shapes(fluid, layer):
    """A shape known at run time only: a Variable, or a list with one."""
    fill = getattr(fluid.layers, layer)
    fill(fluid.layers.assign(numpy.array([2, 3], "int32")))
    fill([2, fluid.layers.fill_constant([1], "int32", 3)])
    return Run([])


@variants(
    uniform={"layer": "uniform_random_batch_size_like", "shape": [-1, 5]},
    uniform_options={
        "layer": "uniform_random_batch_size_like",
        "shape": [5, -1],
        "dtype": "float64",
        "input_dim_idx": 0,
        "output_dim_idx": 1,
        "min": 0.5,
        "max": 2.0,
        "seed": 7,
    },
    gaussian={"layer": "gaussian_random_batch_size_like", "shape": [-1, 5]},
    gaussian_options={
        "layer": "gaussian_random_batch_size_like",
        "shape": [5, -1],
        "input_dim_idx": 0,
        "output_dim_idx": 1,
        "mean": 1.0,
        "std": 0.5,
        "seed": 7,
    },
)
def random_like(fluid, layer, **options):
    getattr(fluid.layers, layer)(fluid.data("x", [-1, 3]), **options)
    return Run([])


@variants(plain={}, options={"min": 0.25, "max": 0.75, "seed": 7, "dtype": "int64"})
def sampling_id(fluid, **options):
    fluid.layers.sampling_id(fluid.data("x", [-1, 3]), **options)
    return Run([])
