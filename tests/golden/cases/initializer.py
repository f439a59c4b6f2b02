"""What initializers append to the startup program; values only where they are not random."""

import numpy

from .case import Run, case, uniform, variants

MATRIX = (3, 5)


def startup_run(fluid, initializer, shape=MATRIX, values=False):
    fluid.layers.create_parameter(
        shape=list(shape), dtype="float32", attr=fluid.ParamAttr(name="w", initializer=initializer)
    )
    return Run(feeds=[{}] if values else [], fetch=["w"] if values else [], set_parameters=not values)


@variants(default={}, value={"value": 2.5}, force_cpu={"value": -1.0, "force_cpu": True})
def init_constant(fluid, **options):
    return startup_run(fluid, fluid.initializer.Constant(**options), values=True)


@variants(
    default={},
    bounds={"low": -0.25, "high": 0.5},
    seed={"seed": 90},
    diagonal={"diag_num": 3, "diag_step": 5, "diag_val": 2.5},
)
def init_uniform(fluid, **options):
    return startup_run(fluid, fluid.initializer.Uniform(**options))


@variants(default={}, parameters={"loc": 0.5, "scale": 0.1}, seed={"seed": 90})
def init_normal(fluid, **options):
    return startup_run(fluid, fluid.initializer.Normal(**options))


@variants(default={}, parameters={"loc": 0.5, "scale": 0.1}, seed={"seed": 90})
def init_truncated_normal(fluid, **options):
    return startup_run(fluid, fluid.initializer.TruncatedNormal(**options))


@variants(
    uniform={},
    normal={"uniform": False},
    fans={"fan_in": 7, "fan_out": 2},
    normal_fan_in={"uniform": False, "fan_in": 11, "seed": 3},
)
def init_xavier(fluid, **options):
    return startup_run(fluid, fluid.initializer.Xavier(**options))


@variants(uniform={}, normal={"uniform": False}, fan_in={"fan_in": 7}, normal_seed={"uniform": False, "seed": 3})
def init_msra(fluid, **options):
    return startup_run(fluid, fluid.initializer.MSRA(**options))


@variants(
    xavier={"which": "Xavier"},
    msra={"which": "MSRA"},
)
def init_convolution_shape(fluid, which):
    """The fans of a weight of four dims count the window."""
    return startup_run(fluid, getattr(fluid.initializer, which)(), shape=(2, 3, 5, 7))


@variants(xavier={"which": "Xavier"}, msra={"which": "MSRA"})
def init_vector_shape(fluid, which):
    return startup_run(fluid, getattr(fluid.initializer, which)(), shape=(5,))


@variants(
    float32={"value": numpy.arange(15, dtype="float32").reshape(3, 5) / 4},
    float64={"value": numpy.arange(15, dtype="float64").reshape(3, 5) / 4},
)
def init_numpy_array(fluid, value):
    return startup_run(fluid, fluid.initializer.NumpyArrayInitializer(value), values=True)


@case
def init_aliases(fluid):
    names = ("ConstantInitializer", "UniformInitializer", "NormalInitializer", "TruncatedNormalInitializer")
    for name in names + ("XavierInitializer", "MSRAInitializer"):
        initializer = getattr(fluid.initializer, name)()
        attr = fluid.ParamAttr(name=name, initializer=initializer)
        fluid.layers.create_parameter(shape=[3, 5], dtype="float32", attr=attr)
    return Run()


@case
def init_defaults_of_layers(fluid):
    word = fluid.data("word", [-1, 1], "int64")
    table = fluid.layers.embedding(word, [7, 3])
    fluid.layers.fc(table, 5)
    fluid.layers.create_parameter(shape=[4], dtype="float32")
    fluid.layers.create_parameter(shape=[4], dtype="float32", is_bias=True)
    default = fluid.initializer.Normal(0.0, 2.0)
    fluid.layers.create_parameter(shape=[4, 2], dtype="float32", default_initializer=default)
    return Run(feeds=[])


@case
def init_startup_seed(fluid):
    """The seed of the startup program goes into the ops made after it is set."""
    fluid.default_startup_program().random_seed = 17
    word = fluid.data("word", [-1, 1], "int64")
    fluid.layers.fc(fluid.layers.embedding(word, [7, 3]), 5)
    return Run(feeds=[])


@case
def init_bias_attr(fluid):
    x = fluid.data("x", [-1, 3])
    bias = fluid.ParamAttr(initializer=fluid.initializer.Constant(0.75))
    weight = fluid.ParamAttr(initializer=fluid.initializer.Constant(0.5))
    out = fluid.layers.fc(x, 2, param_attr=weight, bias_attr=bias)
    return Run([{"x": uniform("bias_attr", 2, 3)}], [out, "fc_0.w_0", "fc_0.b_0"], set_parameters=False)
