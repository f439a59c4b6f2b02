"""Learning-rate schedules, and the blocks that some of them run under a condition."""

from .case import Run, case, state, steps, uniform, variants
from .optimizer import feed, model

RATE = 0.1
SCHEDULES = {
    "exponential": lambda layers: layers.exponential_decay(RATE, 2, 0.5),
    "exponential_staircase": lambda layers: layers.exponential_decay(RATE, 2, 0.5, staircase=True),
    "natural_exp": lambda layers: layers.natural_exp_decay(RATE, 2, 0.5),
    "natural_exp_staircase": lambda layers: layers.natural_exp_decay(RATE, 2, 0.5, staircase=True),
    "inverse_time": lambda layers: layers.inverse_time_decay(RATE, 2, 0.5),
    "inverse_time_staircase": lambda layers: layers.inverse_time_decay(RATE, 2, 0.5, staircase=True),
    "polynomial": lambda layers: layers.polynomial_decay(RATE, 4, 0.01, 2.0),
    "polynomial_cycle": lambda layers: layers.polynomial_decay(RATE, 4, 0.01, 2.0, cycle=True),
    "piecewise": lambda layers: layers.piecewise_decay([2, 4], [0.1, 0.01, 0.001]),
    "piecewise_one": lambda layers: layers.piecewise_decay([3], [0.1, 0.01]),
    "noam": lambda layers: layers.noam_decay(16, 3),
    "noam_rate": lambda layers: layers.noam_decay(16, 3, learning_rate=0.5),
    "cosine": lambda layers: layers.cosine_decay(RATE, 2, 4),
    "warmup": lambda layers: layers.linear_lr_warmup(RATE, 3, 0.01, 0.1),
    "warmup_of_piecewise": lambda layers: layers.linear_lr_warmup(
        layers.piecewise_decay([2, 4], [0.1, 0.01, 0.001]), 3, 0.01, 0.1
    ),
}


def scheduled(fluid, schedule, sparse):
    loss = model(fluid, sparse)
    rate = SCHEDULES[schedule](fluid.layers)
    fluid.optimizer.SGD(rate).minimize(loss)
    return loss, rate


@variants(**{name: {"schedule": name} for name in SCHEDULES})
def learning_rate(fluid, schedule):
    loss, rate = scheduled(fluid, schedule, True)
    return Run(steps(6, feed), [loss, rate], state(fluid))


@case
def learning_rate_of_parameter(fluid):
    """A schedule times a parameter's own factor."""
    loss = model(fluid, True, table_attr=fluid.ParamAttr(name="table", learning_rate=0.5))
    rate = fluid.layers.exponential_decay(RATE, 2, 0.5)
    fluid.optimizer.SGD(rate).minimize(loss)
    return Run(steps(3, feed), [loss, rate, "table"], state(fluid))


@case
def learning_rate_test_clone(fluid):
    loss = model(fluid, True)
    before = fluid.default_main_program().clone(for_test=True)
    fluid.optimizer.SGD(fluid.layers.piecewise_decay([1], [0.1, 0.01])).minimize(loss)
    after = fluid.default_main_program().clone(for_test=True)
    return Run(steps(2, feed), [loss], programs={"before": before, "after": after})


@case
def switch(fluid):
    """Each of three ways out of a Switch, chosen by what is fed."""
    layers = fluid.layers
    x = layers.data("x", [1], append_batch_size=False)
    low = layers.fill_constant([1], "float32", 1.0)
    high = layers.fill_constant([1], "float32", 2.0)
    out = layers.create_global_var([1], 0.0, "float32", persistable=True, name="out")
    with layers.Switch() as switch:
        with switch.case(layers.less_than(x, low)):
            layers.assign(layers.scale(x, 10.0), out)
        with switch.case(layers.less_than(x, high)):
            layers.assign(layers.scale(x, 100.0), out)
        with switch.default():
            layers.assign(x, out)
    import numpy

    feeds = [{"x": numpy.array([value], "float32")} for value in (0.5, 1.5, 2.5, 1.0)]
    return Run(feeds, [out])


@case
def step_counter(fluid):
    """A counter of runs that begins where it is told to."""
    counter = fluid.layers.autoincreased_step_counter(counter_name="@COUNT@", begin=5, step=2)
    total = fluid.layers.cast(counter, "float32")
    return Run([{}, {}, {}], [total, counter])


@case
def printed(fluid):
    """Layers that write what they pass on; described, and passed on."""
    layers = fluid.layers
    x = fluid.data("x", [None, 2], lod_level=1)
    x.stop_gradient = False
    first = layers.Print(x, message="hello", summarize=3)
    second = layers.Print(layers.scale(first, 2.0), first_n=2, print_tensor_lod=False, print_phase="forward")
    loss = layers.mean(layers.square(second))
    fluid.backward.append_backward(loss)
    layers.Print(loss, print_tensor_name=False, print_tensor_type=False, print_tensor_shape=False, summarize=-1)
    return Run([{"x": (uniform("printed", 3, 2), [[1, 2]])}], [loss, first, "x@GRAD"])
