"""append_backward and gradients: names, accumulation, and what is cut off."""

from .case import Run, case, grad_name, integers, parameters, uniform, variants


def data(fluid, name, *shape):
    var = fluid.data(name, [-1] + list(shape[1:]))
    var.stop_gradient = False
    return var


def backward_run(fluid, loss, feed, fetch, **options):
    """append_backward, with the pairs it returns as a result of the case."""
    pairs = fluid.backward.append_backward(loss, **options)
    names = [[parameter.name, grad.name] for parameter, grad in pairs]
    return Run([feed], [loss] + list(fetch), results={"params_grads": names})


def squares(fluid, var):
    return fluid.layers.mean(fluid.layers.square(var))


@case
def backward_used_twice(fluid):
    x = data(fluid, "x", 2, 3)
    hidden = fluid.layers.tanh(x)
    loss = squares(fluid, fluid.layers.elementwise_mul(fluid.layers.sigmoid(hidden), fluid.layers.exp(hidden)))
    return backward_run(fluid, loss, {"x": uniform("twice", 2, 3)}, [grad_name(hidden), grad_name(x)])


@case
def backward_used_three_times(fluid):
    x = data(fluid, "x", 2, 3)
    hidden = fluid.layers.tanh(x)
    total = fluid.layers.sums([fluid.layers.sigmoid(hidden), fluid.layers.exp(hidden), fluid.layers.square(hidden)])
    loss = squares(fluid, total)
    return backward_run(fluid, loss, {"x": uniform("three", 2, 3)}, [grad_name(hidden), grad_name(x)])


@case
def backward_residual(fluid):
    """A variable goes on beside the op that reads it, twice in a row."""
    x = data(fluid, "x", 2, 3)
    one = fluid.layers.elementwise_add(x, fluid.layers.fc(x, 3, act="tanh"))
    two = fluid.layers.elementwise_add(one, fluid.layers.fc(one, 3, act="tanh"))
    loss = squares(fluid, two)
    fetch = [grad_name(x), grad_name(one)]
    run = backward_run(fluid, loss, {"x": uniform("residual", 2, 3)}, fetch)
    run.fetch += [grad_name(name) for name in parameters(fluid)]
    return run


@case
def backward_operators_twice(fluid):
    x = data(fluid, "x", 2, 3)
    loss = fluid.layers.mean(x * x + x * 2.0 - x)
    return backward_run(fluid, loss, {"x": uniform("operators", 2, 3)}, [grad_name(x)])


@case
def backward_shared_parameter_three(fluid):
    x = data(fluid, "x", 2, 3)
    out = x
    for _ in range(3):
        out = fluid.layers.fc(out, 3, param_attr="w", bias_attr=False, act="tanh")
    return backward_run(fluid, squares(fluid, out), {"x": uniform("shared", 2, 3)}, ["w@GRAD", grad_name(x)])


def two_layers(fluid, **options):
    x = data(fluid, "x", 5, 3)
    hidden = fluid.layers.fc(x, 4, act="tanh", param_attr="first_w", bias_attr="first_b")
    if options.get("cut"):
        hidden.stop_gradient = True
    out = fluid.layers.fc(hidden, 2, param_attr="second_w", bias_attr="second_b")
    return {"x": uniform("two_layers", 5, 3)}, hidden, out, squares(fluid, out)


@case
def backward_plain(fluid):
    feed, hidden, out, loss = two_layers(fluid)
    fetch = [grad_name(name) for name in parameters(fluid) + [hidden, out, "x"]]
    return backward_run(fluid, loss, feed, fetch)


@variants(
    names={"chosen": ["second_w", "first_b"]},
    one={"chosen": ["first_w"]},
    last={"chosen": ["second_b"]},
)
def backward_parameter_list(fluid, chosen):
    feed, hidden, out, loss = two_layers(fluid)
    return backward_run(fluid, loss, feed, [grad_name(name) for name in chosen], parameter_list=list(chosen))


@variants(
    parameter={"names": ["first_w"], "fetch": ["first_b", "second_w", "second_b"]},
    parameters={"names": ["first_w", "first_b", "second_b"], "fetch": ["second_w"]},
    hidden={"names": ["fc_0.tmp_2"], "fetch": ["second_w", "second_b"]},
    input={"names": ["x"], "fetch": ["first_w", "first_b", "second_w"]},
)
def backward_no_grad_set(fluid, names, fetch):
    feed, hidden, out, loss = two_layers(fluid)
    return backward_run(fluid, loss, feed, [grad_name(name) for name in fetch], no_grad_set=set(names))


@case
def backward_stop_gradient_in_the_middle(fluid):
    feed, hidden, out, loss = two_layers(fluid, cut=True)
    return backward_run(fluid, loss, feed, ["second_w@GRAD", "second_b@GRAD"])


@case
def backward_stop_gradient_on_one_path(fluid):
    """x reaches the loss on two paths, one of which is cut."""
    x = data(fluid, "x", 2, 3)
    cut = fluid.layers.tanh(x)
    cut.stop_gradient = True
    loss = squares(fluid, fluid.layers.elementwise_mul(cut, fluid.layers.sigmoid(x)))
    return backward_run(fluid, loss, {"x": uniform("one_path", 2, 3)}, [grad_name(x)])


@case
def backward_unused_branch(fluid):
    """Ops that the loss does not need get no gradient."""
    x = data(fluid, "x", 2, 3)
    hidden = fluid.layers.fc(x, 4, act="tanh", param_attr="w", bias_attr="b")
    unused = fluid.layers.fc(hidden, 2, param_attr="unused_w", bias_attr="unused_b")
    fluid.layers.mean(unused)
    loss = squares(fluid, hidden)
    return backward_run(fluid, loss, {"x": uniform("unused", 2, 3)}, ["w@GRAD", "b@GRAD", grad_name(x)])


@case
def backward_second_output_unused(fluid):
    x = data(fluid, "x", 2, 6)
    label = fluid.data("label", [-1, 1], "int64")
    loss, softmax = fluid.layers.softmax_with_cross_entropy(fluid.layers.fc(x, 5), label, return_softmax=True)
    feed = {"x": uniform("second", 2, 6), "label": integers("second", 5, 2, 1)}
    return backward_run(fluid, fluid.layers.mean(loss), feed, [softmax, grad_name(x), "fc_0.w_0@GRAD"])


@case
def backward_integer_path(fluid):
    """A cast to integers ends the gradient."""
    x = data(fluid, "x", 2, 3)
    whole = fluid.layers.cast(fluid.layers.cast(x, "int64"), "float32")
    whole.stop_gradient = True
    loss = squares(fluid, fluid.layers.elementwise_mul(x, whole))
    return backward_run(fluid, loss, {"x": uniform("whole", 2, 3, low=-9.0, high=9.0)}, [grad_name(x)])


@case
def backward_frozen_parameter(fluid):
    x = data(fluid, "x", 2, 3)
    frozen = fluid.layers.fc(x, 4, param_attr=fluid.ParamAttr(name="frozen", trainable=False), bias_attr=False)
    out = fluid.layers.fc(frozen, 2, param_attr="w", bias_attr="b")
    return backward_run(fluid, squares(fluid, out), {"x": uniform("frozen", 2, 3)}, ["w@GRAD", "b@GRAD", grad_name(x)])


@case
def backward_all_inputs_stopped(fluid):
    """Data needs no gradient, so none is made for it: the common case."""
    x = fluid.data("x", [-1, 3])
    out = fluid.layers.fc(x, 2, param_attr="w", bias_attr="b")
    return backward_run(fluid, squares(fluid, out), {"x": uniform("stopped", 2, 3)}, ["w@GRAD", "b@GRAD"])


@case
def backward_twice_into_concat(fluid):
    x = data(fluid, "x", 2, 3)
    hidden = fluid.layers.tanh(x)
    out = fluid.layers.fc(fluid.layers.concat([hidden, x, hidden], axis=1), 2, param_attr="w", bias_attr=False)
    feed = {"x": uniform("concat", 2, 3)}
    return backward_run(fluid, squares(fluid, out), feed, ["w@GRAD", grad_name(hidden), grad_name(x)])


def gradients_run(feed, grads, fetch=()):
    return Run([feed], grads + list(fetch), results={"gradients": [grad.name if grad else None for grad in grads]})


@case
def gradients_one(fluid):
    x = data(fluid, "x", 2, 3)
    out = fluid.layers.tanh(x)
    return gradients_run({"x": uniform("one", 2, 3)}, fluid.gradients(fluid.layers.square(out), x))


@case
def gradients_several_inputs(fluid):
    x, y = data(fluid, "x", 2, 3), data(fluid, "y", 2, 3)
    out = fluid.layers.elementwise_mul(fluid.layers.tanh(x), fluid.layers.exp(y))
    feed = {"x": uniform("inputs_x", 2, 3), "y": uniform("inputs_y", 2, 3)}
    return gradients_run(feed, fluid.gradients([out], [x, y]))


@case
def gradients_several_targets(fluid):
    x = data(fluid, "x", 2, 3)
    hidden = fluid.layers.tanh(x)
    targets = [fluid.layers.square(hidden), fluid.layers.exp(x)]
    return gradients_run({"x": uniform("targets", 2, 3)}, fluid.gradients(targets, [x]))


@case
def gradients_of_intermediate(fluid):
    x = data(fluid, "x", 2, 3)
    hidden = fluid.layers.tanh(x)
    out = fluid.layers.fc(hidden, 2, param_attr="w", bias_attr=False)
    parameter = fluid.default_main_program().global_block().var("w")
    return gradients_run({"x": uniform("intermediate", 2, 3)}, fluid.gradients(out, [hidden, parameter]))


@case
def gradients_target_gradients(fluid):
    x = data(fluid, "x", 2, 3)
    weight = fluid.data("weight", [-1, 3])
    out = fluid.layers.square(fluid.layers.tanh(x))
    feed = {"x": uniform("target_x", 2, 3), "weight": uniform("target_weight", 2, 3)}
    return gradients_run(feed, fluid.gradients([out], [x], target_gradients=[weight]))


@case
def gradients_no_grad_set(fluid):
    x = data(fluid, "x", 2, 3)
    one, two = fluid.layers.tanh(x), fluid.layers.exp(x)
    out = fluid.layers.elementwise_mul(one, two)
    return gradients_run({"x": uniform("no_grad", 2, 3)}, fluid.gradients([out], [x], no_grad_set={one.name}))


@case
def gradients_unreachable(fluid):
    x, y = data(fluid, "x", 2, 3), data(fluid, "y", 2, 3)
    fluid.layers.exp(y)
    grads = fluid.gradients(fluid.layers.square(x), [x, y])
    run = gradients_run({"x": uniform("x", 2, 3), "y": uniform("y", 2, 3)}, grads[:1])
    run.results["gradients"] = [grad.name if grad else None for grad in grads]
    return run


def clone_run(fluid, when):
    x = fluid.data("x", [-1, 3])
    label = fluid.data("label", [-1, 1], "int64")
    prediction = fluid.layers.fc(x, 4, act="softmax")
    loss = fluid.layers.mean(fluid.layers.cross_entropy(prediction, label))
    main = fluid.default_main_program()
    programs = {"test": main.clone(for_test=True)} if when == "before" else {}
    fluid.optimizer.Adam(0.1).minimize(loss)
    if when == "after":
        programs = {"test": main.clone(for_test=True), "copy": main.clone()}
    feed = {"x": uniform("clone", 5, 3), "label": integers("clone", 4, 5, 1)}
    return Run([feed], [loss], programs=programs)


@case
def clone_before_minimize(fluid):
    return clone_run(fluid, "before")


@case
def clone_after_minimize(fluid):
    return clone_run(fluid, "after")
