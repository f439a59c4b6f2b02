"""Momentum, Adagrad, RMSProp and Ftrl: which rows they touch, what they are told, and what they refuse."""

import inspect

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.errors import EnforceNotMet, InvalidArgumentError, InvalidTypeError, NonFiniteError
from fluidlite.optimizer import Adagrad, Ftrl, Momentum, RMSProp

layers = fluid.layers
V, D = 11, 3

MAKERS = {
    "Momentum": lambda rate=0.1, **o: Momentum(rate, 0.9, **o),
    "Nesterov": lambda rate=0.1, **o: Momentum(rate, 0.9, use_nesterov=True, **o),
    "Adagrad": lambda rate=0.1, **o: Adagrad(rate, **o),
    "RMSProp": lambda rate=0.1, **o: RMSProp(rate, momentum=0.5, **o),
    "centered RMSProp": lambda rate=0.1, **o: RMSProp(rate, centered=True, **o),
    "Ftrl": lambda rate=0.1, **o: Ftrl(rate, l1=0.01, l2=0.1, **o),
}
LAZY = {name: make for name, make in MAKERS.items() if "Momentum" in name or "RMSProp" in name or name == "Nesterov"}
every_optimizer = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
every_lazy_one = pytest.mark.parametrize("make", LAZY.values(), ids=LAZY)
# Those whose sparse gradients leave absent rows alone.
BY_ROW = {
    "Adagrad": MAKERS["Adagrad"],
    "Ftrl": MAKERS["Ftrl"],
    **{f"lazy {name}": lambda make=make: make(lazy_mode=True) for name, make in LAZY.items()},
}


def table_model(optimizer, *, is_sparse=True, dtype="float32"):
    """A table whose gradient is given: loss = sum(rows * target), so that d loss / d row is the target."""
    ids = fluid.data("ids", [None], "int64")
    target = fluid.data("target", [None, D], dtype)
    rows = fluid.embedding(ids, [V, D], is_sparse=is_sparse, param_attr="table", dtype=dtype)
    loss = layers.reduce_sum(layers.elementwise_mul(rows, target))
    return optimizer.minimize(loss)


def batch(step, *, every_row=False, dtype=np.float32):
    rng = np.random.default_rng(step)
    ids = rng.integers(1, V - 1, 6)
    ids = np.concatenate([rng.permutation(V), ids]) if every_row else ids
    return {"ids": ids, "target": rng.standard_normal((len(ids), D)).astype(dtype)}


def trained(make_fresh, optimizer, feeds, **options):
    """{name: value} of what the program keeps, before and after training."""
    with make_fresh() as fresh:
        fresh.startup.random_seed = 3
        table_model(optimizer, **options)
        fresh.start()
        names = sorted(fresh.scope.local_var_names())
        before = {name: fresh.value(name) for name in names}
        for feed in feeds:
            fresh.run(feed)
        return before, {name: fresh.value(name) for name in names}


@pytest.mark.parametrize("name", [*MAKERS, *(f"lazy {name}" for name in LAZY)])
def test_sparse_is_dense_where_every_row_is_touched(make_fresh, name):
    make, options = MAKERS[name.removeprefix("lazy ")], {"lazy_mode": True} if name.startswith("lazy ") else {}
    feeds = [batch(step, every_row=True) for step in range(5)]
    _, sparse = trained(make_fresh, make(**options), feeds)
    _, dense = trained(make_fresh, make(), feeds, is_sparse=False)
    for name, value in dense.items():
        np.testing.assert_allclose(sparse[name], value, rtol=2e-5, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "Ftrl"])
def test_sparse_is_dense_where_rows_are_absent(make_fresh, name):
    """By Fluid's meaning: absent rows have a gradient of zero."""
    feeds = [batch(step) for step in range(5)]
    _, sparse = trained(make_fresh, MAKERS[name](), feeds)
    _, dense = trained(make_fresh, MAKERS[name](), feeds, is_sparse=False)
    for key, value in dense.items():
        np.testing.assert_allclose(sparse[key], value, rtol=2e-5, atol=2e-6, err_msg=key)


@pytest.mark.parametrize("make", BY_ROW.values(), ids=BY_ROW)
def test_absent_rows_and_their_state_keep_their_bits(fresh, make, threads):
    table_model(make())
    fresh.start()
    names = [name for name in fresh.scope.local_var_names() if fresh.value(name).shape == (V, D)]
    for step in range(6):
        feed = batch(step)
        before = {name: fresh.value(name) for name in names}
        fresh.run(feed)
        absent = np.setdiff1d(np.arange(V), feed["ids"])
        assert len(absent) > 2
        for name in names:
            assert fresh.value(name)[absent].tobytes() == before[name][absent].tobytes(), name
        present = np.unique(feed["ids"])
        assert (fresh.value("table")[present] != before["table"][present]).any(axis=1).all()


@every_lazy_one
def test_the_default_moves_rows_of_earlier_steps(fresh, make):
    if make is LAZY["centered RMSProp"]:
        make = lambda: RMSProp(0.1, momentum=0.5, centered=True)  # noqa: E731 - without momentum nothing moves
    table_model(make())
    fresh.start()
    one = {"ids": np.array([2]), "target": np.ones((1, D), np.float32)}
    other = {"ids": np.array([7]), "target": np.ones((1, D), np.float32)}
    fresh.run(one)
    before = fresh.value("table")
    fresh.run(other)
    after = fresh.value("table")
    assert (after[2] < before[2]).all()
    assert after[[0, 1, 10]].tobytes() == before[[0, 1, 10]].tobytes()


def test_ftrl_makes_rows_without_gradient_anew_when_dense_alone(make_fresh):
    feeds = [{"ids": np.array([2, 7]), "target": np.ones((2, D), np.float32)}]
    before, sparse = trained(make_fresh, Ftrl(0.1), feeds)
    _, dense = trained(make_fresh, Ftrl(0.1), feeds, is_sparse=False)
    absent = np.setdiff1d(np.arange(V), [2, 7])
    assert sparse["table"][absent].tobytes() == before["table"][absent].tobytes()
    assert not dense["table"][absent].any()
    np.testing.assert_array_equal(sparse["table"][[2, 7]], dense["table"][[2, 7]])


def test_ftrl_uses_both_penalties(make_fresh):
    """Step 1 from zero state: z = g - |g| p / lr, p = (l1 sign(z) - z) / (|g| / lr + 2 l2)."""
    feed = batch(0, every_row=True, dtype=np.float64)
    feed["ids"], feed["target"] = feed["ids"][:V], feed["target"][:V]
    before, after = trained(make_fresh, Ftrl(0.5, l1=0.25, l2=0.75), [feed], dtype="float64")
    g = np.zeros((V, D))
    g[feed["ids"]] = feed["target"]
    z = g - np.abs(g) * before["table"] / 0.5
    weight = (0.25 * np.sign(z) - z) / (np.abs(g) / 0.5 + 1.5)
    weak = np.abs(z) <= 0.25
    assert weak.any()
    np.testing.assert_allclose(after["table"], np.where(weak, 0, weight), rtol=1e-12)
    np.testing.assert_allclose(after["table_linear_0"], z, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(after["table_squared_0"], g**2, rtol=1e-12)


@every_optimizer
def test_an_empty_batch(fresh, make):
    table_model(make())
    fresh.start()
    before = fresh.snapshot()
    fresh.run({"ids": np.zeros(0, np.int64), "target": np.zeros((0, D), np.float32)})
    assert fresh.snapshot() == before


@every_optimizer
def test_the_learning_rate_may_be_computed_in_the_program(make_fresh, make):
    found = []
    for scheduled in (False, True):
        with make_fresh() as fresh:
            fresh.startup.random_seed = 3
            rate = fluid.data("rate", [1]) * 0.5 if scheduled else 0.1
            table_model(make(rate))
            fresh.start()
            for step in range(3):
                feed = batch(step)
                fresh.run(feed | {"rate": np.array([0.2], np.float32)} if scheduled else feed)
            found.append(fresh.value("table"))
    np.testing.assert_allclose(*found, rtol=1e-6)


@every_optimizer
def test_a_learning_rate_that_is_no_number_changes_nothing(fresh, make):
    table_model(make())
    fresh.start()
    fresh.set("learning_rate_0", np.array([np.nan], np.float32))
    before = fresh.snapshot()
    with pytest.raises(NonFiniteError, match="learning_rate_0"):
        fresh.run(batch(0))
    assert fresh.snapshot() == before


@every_optimizer
def test_the_loss_of_a_word_model_falls(fresh, make):
    fresh.startup.random_seed = 3
    words = fluid.data("words", [None, 1], "int64")
    rows = layers.reshape(fluid.embedding(words, [V, D], is_sparse=True), [-1, D])
    loss = layers.mean(layers.softmax_with_cross_entropy(layers.fc(rows, V), (words + 1) * 1))
    make().minimize(loss)
    fresh.start()
    rng = np.random.default_rng(0)
    losses = [fresh.run({"words": rng.integers(0, V - 1, (64, 1))}, [loss])[0].item() for _ in range(60)]
    assert losses[-1] < 0.8 * losses[0]


def test_states_have_fluids_names(fresh):
    expected = {
        "Momentum": ["velocity"],
        "Adagrad": ["moment"],
        "RMSProp": ["momentum", "mean_square", "mean_grad"],
        "Ftrl": ["squared", "linear"],
    }
    loss = layers.mean(layers.fc(fluid.data("x", [None, 3]), 1, param_attr="w", bias_attr=False))
    for name, states in expected.items():
        MAKERS[name](name=name.lower()).minimize(loss)
        for state in states:
            variable = fresh.main.global_block().var(f"w_{name.lower()}_{state}_0")
            assert variable.persistable and variable.shape == (3, 1)


def test_adagrad_starts_where_it_is_told(fresh):
    table_model(Adagrad(0.1, initial_accumulator_value=0.25))
    fresh.start()
    assert (fresh.value("table_moment_0") == 0.25).all()


def test_every_optimizer_has_two_names():
    for name in ("SGD", "Momentum", "Adagrad", "Adam", "SparseAdam", "RMSProp", "Ftrl"):
        assert getattr(fluid.optimizer, name) is getattr(fluid.optimizer, name + "Optimizer")


# inspect.signature of Fluid 1.8.5.
SIGNATURES = {
    "Momentum": "learning_rate, momentum, parameter_list=None, use_nesterov=False, regularization=None, "
    "grad_clip=None, name=None",
    "Adagrad": "learning_rate, epsilon=1e-06, parameter_list=None, regularization=None, grad_clip=None, name=None, "
    "initial_accumulator_value=0.0",
    "RMSProp": "learning_rate, rho=0.95, epsilon=1e-06, momentum=0.0, centered=False, parameter_list=None, "
    "regularization=None, grad_clip=None, name=None",
    "Ftrl": "learning_rate, l1=0.0, l2=0.0, lr_power=-0.5, parameter_list=None, regularization=None, "
    "grad_clip=None, name=None",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_are_fluids(name):
    signature = inspect.signature(getattr(fluid.optimizer, name))
    positional = [str(p) for p in signature.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    assert ", ".join(positional) == SIGNATURES[name]
    assert {p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY} <= {"lazy_mode"}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Momentum(0.1, -0.5), "momentum of MomentumOptimizer is out of range"),
        (lambda: Momentum(0.1, float("nan")), "momentum of MomentumOptimizer is out of range"),
        (lambda: Adagrad(0.1, epsilon=-1e-6), "epsilon of AdagradOptimizer is out of range"),
        (lambda: Adagrad(0.1, initial_accumulator_value=-1), "initial_accumulator_value of AdagradOptimizer"),
        (lambda: RMSProp(0.1, rho=1.0), "rho of RMSPropOptimizer is out of range"),
        (lambda: RMSProp(0.1, rho=-0.1), "rho of RMSPropOptimizer is out of range"),
        (lambda: RMSProp(0.1, epsilon=-1), "epsilon of RMSPropOptimizer is out of range"),
        (lambda: RMSProp(0.1, momentum=-1), "momentum of RMSPropOptimizer is out of range"),
        (lambda: Ftrl(0.1, l1=-1), "l1 of FtrlOptimizer is out of range"),
        (lambda: Ftrl(0.1, l2=-1), "l2 of FtrlOptimizer is out of range"),
        (lambda: Ftrl(0.1, lr_power=0.5), "lr_power of FtrlOptimizer is positive"),
        (lambda: Ftrl(0.1, lr_power=float("inf")), "lr_power of FtrlOptimizer is out of range"),
        (lambda: Ftrl(float("nan")), "learning rate of FtrlOptimizer is not a finite number"),
    ],
)
def test_settings_out_of_range_are_refused(make, words):
    with pytest.raises(InvalidArgumentError, match=words):
        make()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Momentum(0.1, None), "momentum of MomentumOptimizer is not a number"),
        (lambda: Momentum("0.1", 0.9), "learning rate should be float or Variable"),
        (lambda: Adagrad(0.1, epsilon="small"), "epsilon of AdagradOptimizer is not a number"),
        (lambda: RMSProp(0.1, rho=None), "rho of RMSPropOptimizer is not a number"),
        (lambda: RMSProp(0.1, momentum=True), "momentum of RMSPropOptimizer is not a number"),
        (lambda: Ftrl(0.1, lr_power=None), "lr_power of FtrlOptimizer is not a number"),
    ],
)
def test_settings_that_are_no_numbers_are_refused(make, words):
    with pytest.raises(InvalidTypeError, match=words):
        make()


@every_optimizer
def test_a_state_of_another_shape_is_refused_before_anything_is_updated(fresh, make):
    table_model(make())
    fresh.start()
    state = next(name for name in sorted(fresh.scope.local_var_names()) if name.startswith("table_"))
    fresh.set(state, np.zeros((D, V), np.float32))
    before = fresh.snapshot()
    with pytest.raises(EnforceNotMet, match=state):
        fresh.run(batch(0))
    assert fresh.snapshot() == before
