"""batch_norm and layer_norm: layouts, statistics, parameters and gradients."""

from .case import Input, Run, case, grad_name, op_case, steps, uniform, variants, weighted_loss

_PARAMETERS = ("scale", "shift")


def _batch_norm(fluid, input, **options):
    return fluid.layers.batch_norm(
        input,
        param_attr=fluid.ParamAttr(name="scale"),
        bias_attr=fluid.ParamAttr(name="shift"),
        moving_mean_name="mean",
        moving_variance_name="variances",
        **options,
    )


@variants(
    matrix={"shape": (6, 3)},
    image={"shape": (4, 3, 2, 5)},
    last={"shape": (4, 2, 5, 3), "data_layout": "NHWC"},
    cube={"shape": (4, 3, 5)},
    options={"shape": (6, 3), "momentum": 0.6, "epsilon": 1e-3, "act": "tanh", "name": "bn"},
    float64={"shape": (6, 3), "dtype": "float64"},
)
def batch_norm(fluid, shape, dtype="float32", **options):
    """The statistics of the batch, and the moving ones after two steps."""
    x = fluid.data("x", [-1] + list(shape[1:]), dtype)
    x.stop_gradient = False
    out = _batch_norm(fluid, x, **options)
    loss, weights = weighted_loss(fluid, [out], [shape])
    fluid.backward.append_backward(loss)
    prefix = options.get("name", "batch_norm_0")
    fetch = [out, "mean", "variances", prefix + ".tmp_0", prefix + ".tmp_1", grad_name(x)]
    fetch += [grad_name(name) for name in _PARAMETERS]
    feeds = steps(
        2, lambda step: dict(weights, x=uniform("batch_norm" + step, *shape, low=-2.0, high=5.0, dtype=dtype))
    )
    return Run(feeds, fetch)


# Recorded parameters lie in [-0.5, 0.5), by their names; those of "variances" are positive.
@variants(
    matrix={"shape": (6, 3)},
    image={"shape": (4, 3, 2, 5)},
    last={"shape": (4, 2, 5, 3), "data_layout": "NHWC"},
)
def batch_norm_global(fluid, shape, **options):
    """The moving statistics while training: they stay, and the gradient does not pass through them."""
    x = fluid.data("x", [-1] + list(shape[1:]))
    x.stop_gradient = False
    out = _batch_norm(fluid, x, use_global_stats=True, **options)
    loss, weights = weighted_loss(fluid, [out], [shape])
    fluid.backward.append_backward(loss)
    fetch = [out, "mean", "variances", grad_name(x)] + [grad_name(name) for name in _PARAMETERS]
    return Run([dict(weights, x=uniform("batch_norm_global", *shape))], fetch)


@variants(matrix={"shape": (6, 3)}, image={"shape": (4, 3, 2, 5)})
def batch_norm_test(fluid, shape):
    x = fluid.data("x", [-1] + list(shape[1:]))
    out = _batch_norm(fluid, x, is_test=True)
    return Run([{"x": uniform("batch_norm_test", *shape)}], [out, "mean", "variances"])


@case
def batch_norm_lod(fluid):
    x = fluid.data("x", [-1, 3], lod_level=1)
    out = fluid.layers.batch_norm(x)
    return Run([{"x": (uniform("batch_norm_lod", 5, 3), [[2, 0, 3]])}], [out])


@case
def batch_norm_training(fluid):
    """Two layers in a program that trains, and its clone for tests."""
    x = fluid.data("x", [-1, 3])
    hidden = fluid.layers.batch_norm(fluid.layers.fc(x, 4), act="relu")
    loss = fluid.layers.mean(fluid.layers.square(fluid.layers.batch_norm(fluid.layers.fc(hidden, 2), momentum=0.5)))
    test = fluid.default_main_program().clone(for_test=True)
    fluid.optimizer.SGD(0.5).minimize(loss)
    last = [p.name for p in fluid.default_main_program().all_parameters()]
    feeds = steps(3, lambda step: {"x": uniform("batch_norm_training" + step, 6, 3)})
    return Run(feeds, [loss], last=last, programs={"test": test})


def layer_norm_case(suffix, *shape, **options):
    fixed = options.pop("fixed", False)
    return op_case(
        "layer_norm_" + suffix,
        lambda fluid, x: fluid.layers.layer_norm(x, **options),
        fetch=["layer_norm_0.tmp_0", "layer_norm_0.tmp_1"] if "name" not in options else (),
        x=Input(*shape, low=-2.0, high=5.0, fixed=fixed),
    )


layer_norm_case("matrix", 4, 5)
layer_norm_case("cube", 4, 5, 3)
# Fluid loses the rows of an unknown batch here.
layer_norm_case("axis", 2, 3, 5, begin_norm_axis=2, fixed=True)
layer_norm_case("no_scale", 4, 5, scale=False)
layer_norm_case("no_shift", 4, 5, shift=False)
layer_norm_case("neither", 4, 5, scale=False, shift=False)
layer_norm_case("options", 4, 5, epsilon=1e-3, act="tanh", name="norm")
op_case("layer_norm_lod", lambda fluid, x: fluid.layers.layer_norm(x), x=Input(4, 5, lens=[[3, 0, 1]]))
