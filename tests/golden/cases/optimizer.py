"""Update rules on dense and sparse gradients: SGD, Adam, decay, multipliers, and what minimize can be told."""

from .case import Run, case, integers, state, steps, uniform, variants

V, D = 7, 3
# Row 4 is never looked up, so a rule that touches absent rows shows there.
_USED_IDS = (0, 1, 2, 3, 5, 6)


def feed(step):
    index = integers("optimizer_ids" + step, len(_USED_IDS), 5, 1)
    ids = index.copy()
    for position, value in enumerate(index[:, 0]):
        ids[position, 0] = _USED_IDS[value]
    return {"word": ids, "target": uniform("optimizer_target" + step, 5, 2)}


def model(fluid, sparse, table_attr=None, fc_attr=None, bias_attr=False):
    """Squared error of a table of words and one layer: a dense and, if asked, a sparse gradient."""
    word = fluid.layers.data("word", [1], dtype="int64")
    target = fluid.layers.data("target", [2])
    table_attr = table_attr or fluid.ParamAttr(name="table")
    table = fluid.layers.embedding(word, [V, D], is_sparse=sparse, param_attr=table_attr)
    out = fluid.layers.fc(table, 2, param_attr=fc_attr or fluid.ParamAttr(name="w"), bias_attr=bias_attr)
    return fluid.layers.mean(fluid.layers.square_error_cost(out, target))


def training(fluid, loss, optimizer, count=2, oracle_values=None, powers=False, **options):
    """minimize, then fetch the loss and the table in every step, all gradients and the state after the last one."""
    _, pairs = optimizer.minimize(loss, **options)
    names = [[parameter.name, grad.name if grad is not None else None] for parameter, grad in pairs]
    last = [grad for _, grad in names if grad]
    last += [name for name in state(fluid) if powers or "_pow_acc" not in name]
    return Run(steps(count, feed), [loss, "table"], last, results={"params_grads": names}, oracle_values=oracle_values)


BOTH = {"dense": {"sparse": False}, "sparse": {"sparse": True}}


@variants(**BOTH)
def sgd(fluid, sparse):
    return training(fluid, model(fluid, sparse, bias_attr="b"), fluid.optimizer.SGD(0.1))


@case
def sgd_optimizer_name(fluid):
    return training(fluid, model(fluid, False), fluid.optimizer.SGDOptimizer(learning_rate=0.1, name="mine"))


@variants(
    default={},
    options={"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3},
    lazy={"lazy_mode": True},
)
def adam_dense(fluid, **options):
    """No sparse gradient, so that lazy_mode says nothing."""
    return training(fluid, model(fluid, False, bias_attr="b"), fluid.optimizer.Adam(0.1, **options), powers=True)


@variants(
    lazy={"lazy_mode": True},
    default={},
    lazy_options={"lazy_mode": True, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3},
)
def adam_sparse(fluid, **options):
    """As Fluid does it: sparse rows with the bias correction of the step to come."""
    return training(fluid, model(fluid, True), fluid.optimizer.Adam(0.1, **options), 1, powers=True)


@variants(
    lazy={"lazy_mode": True},
    default={},
    lazy_options={"lazy_mode": True, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3},
)
def adam_sparse_corrected(fluid, **options):
    """Powers that start at 1 instead of beta undo Fluid's error: its sparse rows then use the step t, as dense ones."""
    powers = {"table_beta1_pow_acc_0": 1.0, "table_beta2_pow_acc_0": 1.0}
    optimizer = fluid.optimizer.Adam(0.1, **options)
    return training(fluid, model(fluid, True), optimizer, 3, oracle_values=powers)


@variants(**BOTH)
def learning_rate_variable(fluid, sparse):
    """The rate is a persistable variable that the program itself changes."""
    rate = fluid.layers.create_global_var([1], 0.2, "float32", persistable=True, name="rate")
    loss = model(fluid, sparse)
    run = training(fluid, loss, fluid.optimizer.SGD(rate))
    fluid.layers.assign(fluid.layers.scale(rate, 0.5), rate)
    return run


@case
def learning_rate_variable_adam(fluid):
    rate = fluid.layers.create_global_var([1], 0.2, "float32", persistable=True, name="rate")
    return training(fluid, model(fluid, False), fluid.optimizer.Adam(rate))


def _attrs(fluid, **options):
    return {
        "table_attr": fluid.ParamAttr(name="table", **options.get("table", {})),
        "fc_attr": fluid.ParamAttr(name="w", **options.get("fc", {})),
    }


@variants(**BOTH)
def learning_rate_multiplier_sgd(fluid, sparse):
    attrs = _attrs(fluid, table={"learning_rate": 0.5}, fc={"learning_rate": 2.0})
    return training(fluid, model(fluid, sparse, **attrs), fluid.optimizer.SGD(0.1))


@case
def learning_rate_multiplier_adam(fluid):
    attrs = _attrs(fluid, table={"learning_rate": 0.5}, fc={"learning_rate": 2.0})
    return training(fluid, model(fluid, False, **attrs), fluid.optimizer.Adam(0.1))


@case
def learning_rate_multiplier_variable(fluid):
    rate = fluid.layers.create_global_var([1], 0.2, "float32", persistable=True, name="rate")
    attrs = _attrs(fluid, fc={"learning_rate": 2.0})
    return training(fluid, model(fluid, False, **attrs), fluid.optimizer.SGD(rate))


def decay(fluid, name):
    return getattr(fluid.regularizer, name)(0.1)


@variants(
    l2_dense={"sparse": False, "kind": "L2Decay"},
    l2_sparse={"sparse": True, "kind": "L2Decay"},
    l1_dense={"sparse": False, "kind": "L1Decay"},
    l1_sparse={"sparse": True, "kind": "L1Decay"},
)
def decay_sgd(fluid, sparse, kind):
    return training(fluid, model(fluid, sparse), fluid.optimizer.SGD(0.1, regularization=decay(fluid, kind)))


@variants(
    l2_dense={"sparse": False, "kind": "L2Decay"},
    l2_sparse={"sparse": True, "kind": "L2Decay"},
    l2_sparse_lazy={"sparse": True, "kind": "L2Decay", "lazy_mode": True},
    l1_sparse={"sparse": True, "kind": "L1Decay"},
)
def decay_adam(fluid, sparse, kind, **options):
    """The decay makes the gradient dense, so Adam is the dense one."""
    return training(
        fluid, model(fluid, sparse), fluid.optimizer.Adam(0.1, regularization=decay(fluid, kind), **options)
    )


@variants(
    l2_on_table_dense={"sparse": False, "table": "L2Decay"},
    l2_on_table_sparse={"sparse": True, "table": "L2Decay"},
    l1_on_table_sparse={"sparse": True, "table": "L1Decay"},
    l2_on_fc={"sparse": True, "fc": "L2Decay"},
)
def decay_of_parameter(fluid, sparse, table=None, fc=None):
    attrs = _attrs(
        fluid,
        table={"regularizer": decay(fluid, table)} if table else {},
        fc={"regularizer": decay(fluid, fc)} if fc else {},
    )
    return training(fluid, model(fluid, sparse, **attrs), fluid.optimizer.SGD(0.1))


@case
def decay_of_parameter_wins(fluid):
    """The regularizer of the parameter replaces the one of the optimizer."""
    attrs = _attrs(fluid, fc={"regularizer": fluid.regularizer.L1Decay(0.05)})
    optimizer = fluid.optimizer.SGD(0.1, regularization=fluid.regularizer.L2Decay(0.2))
    return training(fluid, model(fluid, False, **attrs), optimizer)


@case
def decay_zero(fluid):
    return training(fluid, model(fluid, False), fluid.optimizer.SGD(0.1, regularization=fluid.regularizer.L2Decay(0.0)))


@variants(dense={"sparse": False}, sparse={"sparse": True})
def not_trainable_table(fluid, sparse):
    attrs = _attrs(fluid, table={"trainable": False})
    return training(fluid, model(fluid, sparse, **attrs), fluid.optimizer.Adam(0.1))


@case
def not_trainable_bias(fluid):
    bias = fluid.ParamAttr(name="b", trainable=False)
    return training(fluid, model(fluid, False, bias_attr=bias), fluid.optimizer.SGD(0.1))


@variants(
    names={"chosen": ["w", "table"]},
    table_only={"chosen": ["table"]},
)
def minimize_parameter_list(fluid, chosen):
    return training(fluid, model(fluid, True, bias_attr="b"), fluid.optimizer.SGD(0.1), parameter_list=list(chosen))


@case
def minimize_parameter_list_variables(fluid):
    loss = model(fluid, False, bias_attr="b")
    chosen = [p for p in fluid.default_main_program().all_parameters() if p.name != "b"]
    return training(fluid, loss, fluid.optimizer.SGD(0.1), parameter_list=chosen)


@case
def optimizer_parameter_list(fluid):
    return training(fluid, model(fluid, False, bias_attr="b"), fluid.optimizer.SGD(0.1, parameter_list=["w"]))


@variants(table={"names": ["table"]}, bias={"names": ["b"]})
def minimize_no_grad_set(fluid, names):
    return training(fluid, model(fluid, False, bias_attr="b"), fluid.optimizer.Adam(0.1), no_grad_set=set(names))


@variants(sgd={"name": "SGD"}, adam={"name": "Adam"})
def apply_gradients(fluid, name):
    """backward, a change of the gradients by the user, apply_gradients."""
    loss = model(fluid, False, bias_attr="b")
    optimizer = getattr(fluid.optimizer, name)(0.1)
    pairs = optimizer.backward(loss)
    pairs = [(parameter, fluid.layers.scale(grad, 0.5)) for parameter, grad in pairs]
    optimizer.apply_gradients(pairs)
    return Run(steps(2, feed), [loss, "table"], [grad for _, grad in pairs] + state(fluid))


@case
def apply_gradients_untouched(fluid):
    loss = model(fluid, True)
    optimizer = fluid.optimizer.SGD(0.1)
    pairs = fluid.backward.append_backward(loss)
    optimizer.apply_gradients(pairs)
    return Run(steps(2, feed), [loss, "table"], [grad for _, grad in pairs] + state(fluid))


@case
def two_optimizers(fluid):
    """Each trains its own parameters of one program, in turn in every step."""
    loss = model(fluid, False, bias_attr="b")
    fluid.optimizer.SGD(0.1).minimize(loss, parameter_list=["table"])
    fluid.optimizer.Adam(0.05).minimize(loss, parameter_list=["w", "b"])
    return Run(steps(2, feed), [loss, "table"], state(fluid))


@variants(
    dense={"sparse": False},
    sparse={"sparse": True},
    nesterov_dense={"sparse": False, "momentum": 0.7, "use_nesterov": True},
    nesterov_sparse={"sparse": True, "momentum": 0.7, "use_nesterov": True},
)
def momentum(fluid, sparse, momentum=0.9, **options):
    """A sparse gradient moves every row whose velocity is not 0."""
    return training(fluid, model(fluid, sparse, bias_attr="b"), fluid.optimizer.Momentum(0.1, momentum, **options), 3)


@variants(
    dense={"sparse": False},
    sparse={"sparse": True},
    options_dense={"sparse": False, "epsilon": 0.05, "initial_accumulator_value": 0.3},
    options_sparse={"sparse": True, "epsilon": 0.05, "initial_accumulator_value": 0.3},
)
def adagrad(fluid, sparse, **options):
    return training(fluid, model(fluid, sparse, bias_attr="b"), fluid.optimizer.Adagrad(0.1, **options), 3)


@variants(
    dense={"sparse": False},
    sparse={"sparse": True},
    options_dense={"sparse": False, "rho": 0.8, "epsilon": 1e-3, "momentum": 0.6},
    options_sparse={"sparse": True, "rho": 0.8, "epsilon": 1e-3, "momentum": 0.6},
    centered_dense={"sparse": False, "momentum": 0.6, "centered": True},
    centered_sparse={"sparse": True, "rho": 0.8, "epsilon": 1e-3, "centered": True},
)
def rmsprop(fluid, sparse, **options):
    """A sparse gradient moves every row whose last step is not 0, if there is momentum."""
    return training(fluid, model(fluid, sparse, bias_attr="b"), fluid.optimizer.RMSProp(0.05, **options), 3)


@variants(
    default={},
    penalties={"l1": 0.05, "l2": 0.05},
    power={"lr_power": -0.8},
    power_and_penalties={"l1": 0.2, "l2": 0.2, "lr_power": -0.3},
    flat={"lr_power": 0.0},
)
def ftrl(fluid, **options):
    """Dense alone: Fluid refuses sparse gradients. Row 4, which is not looked up, becomes 0.

    The penalties are equal because Fluid's optimizer gives its op l1 as both.
    """
    return training(fluid, model(fluid, False, bias_attr="b"), fluid.optimizer.Ftrl(0.1, **options), 3)


ADAPTIVE = {
    "momentum": {"name": "Momentum", "momentum": 0.9},
    "adagrad": {"name": "Adagrad"},
    "rmsprop": {"name": "RMSProp"},
    "ftrl": {"name": "Ftrl"},
}


@variants(**ADAPTIVE)
def learning_rate_schedule(fluid, name, **options):
    """The rate is computed in every step, and the layer has a factor of its own."""
    rate = fluid.layers.create_global_var([1], 0.2, "float32", persistable=True, name="rate")
    attrs = _attrs(fluid, fc={"learning_rate": 2.0})
    loss = model(fluid, False, **attrs)
    run = training(fluid, loss, getattr(fluid.optimizer, name)(rate, **options), 3)
    fluid.layers.assign(fluid.layers.scale(rate, 0.5), rate)
    return run


@variants(
    momentum={"name": "Momentum", "momentum": 0.9},
    ftrl={"name": "Ftrl"},
)
def decay_adaptive(fluid, name, **options):
    """The decay makes the sparse gradient dense, which Ftrl takes too."""
    optimizer = getattr(fluid.optimizer, name)(0.1, regularization=decay(fluid, "L2Decay"), **options)
    return training(fluid, model(fluid, True), optimizer)


@case
def optimizer_name_of_state(fluid):
    """The name of the optimizer is part of the names of its state."""
    return training(fluid, model(fluid, False), fluid.optimizer.RMSProp(0.1, name="mine"), 1)
