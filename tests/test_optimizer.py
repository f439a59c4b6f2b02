"""Optimizers: their formulas, which rows they touch, and how they are put into a program."""

import math

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.optimizer import SGD, Adam, SparseAdam

layers = fluid.layers
V, D = 50, 5


def table_model(optimizer, *, look_ups=1, padding_idx=None, dtype="float32", is_sparse=True):
    """A table whose gradient is given: loss = sum(rows * target), so that d loss / d row is the target."""
    parts = []
    for k in range(look_ups):
        ids = fluid.data(f"ids{k}", [None], "int64")
        target = fluid.data(f"target{k}", [None, D], dtype)
        rows = fluid.embedding(
            ids, [V, D], is_sparse=is_sparse, param_attr="table", padding_idx=padding_idx, dtype=dtype
        )
        parts.append(layers.reduce_sum(layers.elementwise_mul(rows, target)))
    loss = layers.sums(parts)
    optimizer.minimize(loss)
    return loss


def batches(steps, rng, *, dtype=np.float32):
    """(ids, gradients) with duplicates, hot rows 0 and 1, and a row, 49, that comes back after 50 steps."""
    for step in range(steps):
        n = int(rng.integers(1, 30))
        ids = np.concatenate([rng.integers(2, 40, n), [0, 0, 1], [49] if step % 50 == 0 else []]).astype(np.int64)
        scale = 10.0 ** rng.integers(-3, 2)
        yield rng.permutation(ids), (scale * rng.standard_normal((len(ids), D))).astype(dtype)


def summed(ids, grads):
    """{row: its gradient in float64}, duplicates summed."""
    rows = np.unique(ids)
    total = np.zeros((len(rows), D))
    np.add.at(total, np.searchsorted(rows, ids), grads.astype(np.float64))
    return rows, total


class SparseAdamReference:
    """The formula in float64."""

    def __init__(self, table, lr, beta1=0.9, beta2=0.999, epsilon=1e-8):
        self.p = table.astype(np.float64)
        self.m, self.v, self.t = np.zeros_like(self.p), np.zeros_like(self.p), 0
        self.lr, self.b1, self.b2, self.epsilon = lr, beta1, beta2, epsilon

    def step(self, ids, grads):
        self.t += 1
        i, g = summed(ids, grads)
        self.m[i] = self.b1 * self.m[i] + (1 - self.b1) * g
        self.v[i] = self.b2 * self.v[i] + (1 - self.b2) * g**2
        m, v = self.m[i] / (1 - self.b1**self.t), self.v[i] / (1 - self.b2**self.t)
        self.p[i] -= self.lr * m / (np.sqrt(v) + self.epsilon)


class LazyAdamReference(SparseAdamReference):
    """Fluid's form: epsilon beside the uncorrected root."""

    def step(self, ids, grads):
        self.t += 1
        i, g = summed(ids, grads)
        self.m[i] = self.b1 * self.m[i] + (1 - self.b1) * g
        self.v[i] = self.b2 * self.v[i] + (1 - self.b2) * g**2
        rate = self.lr * math.sqrt(1 - self.b2**self.t) / (1 - self.b1**self.t)
        self.p[i] -= rate * self.m[i] / (np.sqrt(self.v[i]) + self.epsilon)


@pytest.mark.parametrize(
    ("make", "reference"),
    [(SparseAdam, SparseAdamReference), (lambda lr, **o: Adam(lr, lazy_mode=True, **o), LazyAdamReference)],
    ids=["SparseAdam", "lazy Adam"],
)
@pytest.mark.parametrize("options", [{}, {"beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3}], ids=["defaults", "others"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_hundred_steps_stay_within_2e_6_of_the_float64_formula(fresh, make, reference, options, seed):
    fresh.startup.random_seed = 3
    table_model(make(0.01, **options))
    fresh.start()
    expected = reference(fresh.value("table"), 0.01, **options)
    for ids, grads in batches(100, np.random.default_rng(seed)):
        fresh.run({"ids0": ids, "target0": grads})
        expected.step(ids, grads)
    worst = np.abs(fresh.value("table") - expected.p).max() / np.abs(expected.p).max()
    assert worst < 2e-6


def test_float64_tables_stay_much_closer(fresh):
    fresh.startup.random_seed = 3
    table_model(SparseAdam(0.01), dtype="float64")
    fresh.start()
    expected = SparseAdamReference(fresh.value("table"), float(fresh.value("learning_rate_0")[0]))
    for ids, grads in batches(100, np.random.default_rng(0), dtype=np.float64):
        fresh.run({"ids0": ids, "target0": grads})
        expected.step(ids, grads)
    np.testing.assert_allclose(fresh.value("table"), expected.p, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "make", [SGD, SparseAdam, lambda lr: Adam(lr, lazy_mode=True)], ids=["SGD", "SparseAdam", "lazy Adam"]
)
def test_untouched_rows_and_moments_keep_their_bits(fresh, make, threads):
    table_model(make(0.1))
    fresh.start()
    names = [n for n in fresh.scope.local_var_names() if n.startswith("table") and fresh.value(n).shape == (V, D)]
    for ids, grads in batches(20, np.random.default_rng(5)):
        before = {n: fresh.value(n) for n in names}
        fresh.run({"ids0": ids, "target0": grads})
        absent = np.setdiff1d(np.arange(V), ids)
        for n in names:
            after = fresh.value(n)
            assert after[absent].tobytes() == before[n][absent].tobytes(), n
            assert (after[ids] != before[n][ids]).all(), n


def test_the_step_counter_counts_steps_of_the_parameter(fresh):
    table_model(SparseAdam(0.1))
    fresh.start()
    assert fresh.value("table_step_0").tolist() == [0]
    assert fresh.value("table_step_0").dtype == np.int64
    for n, (ids, grads) in enumerate(batches(5, np.random.default_rng(0)), 1):
        fresh.run({"ids0": ids, "target0": grads})
        assert fresh.value("table_step_0").tolist() == [n]


def test_an_empty_batch_changes_no_row(fresh):
    table_model(SparseAdam(0.1))
    fresh.start()
    before = fresh.value("table")
    fresh.run({"ids0": np.zeros(0, np.int64), "target0": np.zeros((0, D), np.float32)})
    assert fresh.value("table").tobytes() == before.tobytes()
    fresh.run({"ids0": np.array([3]), "target0": np.ones((1, D), np.float32)})
    assert (fresh.value("table")[3] != before[3]).all()


def test_a_table_shared_by_look_ups_trains_as_one_look_up_of_all_ids(make_fresh):
    (ids, grads), (more, more_grads) = batches(2, np.random.default_rng(4))
    found = []
    for look_ups in (1, 2):
        with make_fresh() as fresh:
            fresh.startup.random_seed = 3
            table_model(SparseAdam(0.1), look_ups=look_ups)
            fresh.start()
            for _ in range(3):
                if look_ups == 2:
                    fresh.run({"ids0": ids, "target0": grads, "ids1": more, "target1": more_grads})
                else:
                    fresh.run({"ids0": np.r_[ids, more], "target0": np.r_[grads, more_grads]})
            found.append((fresh.value("table"), fresh.value("table_step_0")))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5, atol=1e-6)
    assert found[0][1] == found[1][1] == 3


@pytest.mark.parametrize("make", [SGD, SparseAdam, Adam, lambda lr: Adam(lr, lazy_mode=True)])
@pytest.mark.parametrize("padding", [4, -1, 0])
def test_the_padding_row_is_never_trained(fresh, make, padding):
    table_model(make(0.1), padding_idx=padding)
    fresh.start()
    before = fresh.value("table")
    row = padding % V
    for _ in range(3):
        fresh.run({"ids0": np.array([row, 1, row, 7]), "target0": np.ones((4, D), np.float32)})
    after = fresh.value("table")
    assert after[row].tobytes() == before[row].tobytes()
    assert (after[[1, 7]] != before[[1, 7]]).all()


def test_a_batch_of_padding_alone_trains_nothing(fresh):
    table_model(SparseAdam(0.1), padding_idx=4)
    fresh.start()
    before = fresh.value("table")
    fresh.run({"ids0": np.array([4, 4]), "target0": np.ones((2, D), np.float32)})
    assert fresh.value("table").tobytes() == before.tobytes()


def test_the_function_on_arrays_does_what_the_op_does_bit_for_bit(fresh):
    table_model(SparseAdam(0.01, beta1=0.8, epsilon=1e-6), padding_idx=None)
    fresh.start()
    p = fresh.value("table")
    m, v = np.zeros_like(p), np.zeros_like(p)
    rate = float(fresh.value("learning_rate_0")[0])
    for t, (ids, grads) in enumerate(batches(30, np.random.default_rng(6)), 1):
        fresh.run({"ids0": ids, "target0": grads})
        grad = fluid.SelectedRows(rows=ids, value=grads, height=V)
        fluid.functional.sparse_adam_(p, m, v, grad, t, learning_rate=rate, beta1=0.8, epsilon=1e-6)
        assert p.tobytes() == fresh.value("table").tobytes()
    assert m.tobytes() == fresh.value("table_moment1_0").tobytes()
    assert v.tobytes() == fresh.value("table_moment2_0").tobytes()


@pytest.mark.parametrize("make", [SGD, Adam])
def test_sparse_and_dense_gradients_train_alike(make_fresh, make):
    found = []
    for is_sparse in (True, False):
        with make_fresh() as fresh:
            fresh.startup.random_seed = 3
            table_model(make(0.1), is_sparse=is_sparse)
            fresh.start()
            for ids, grads in batches(10, np.random.default_rng(7)):
                fresh.run({"ids0": ids, "target0": grads})
            found.append(fresh.value("table"))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-5)


def weight_model(optimizer, attr="w", **options):
    """loss = mean(x w); the gradient of w (3, 1) is the mean of x."""
    loss = layers.mean(layers.fc(fluid.data("x", [None, 3]), 1, param_attr=attr, bias_attr=False))
    return optimizer.minimize(loss, **options), loss


X = np.array([[1.0, 2.0, -3.0], [3.0, 0.0, 5.0]], np.float32)
G = X.mean(axis=0).reshape(3, 1)


def test_sgd_steps_down_the_gradient(fresh):
    weight_model(SGD(0.1))
    fresh.start()
    before = fresh.value("w")
    fresh.run({"x": X})
    np.testing.assert_allclose(fresh.value("w"), before - 0.1 * G, rtol=1e-6)


def test_adam_puts_epsilon_beside_the_uncorrected_root(fresh):
    weight_model(Adam(0.1, epsilon=0.1))
    fresh.start()
    before = fresh.value("w")
    fresh.run({"x": X})
    m, v = 0.1 * G, 0.001 * G**2
    expected = before - 0.1 * math.sqrt(0.001) / 0.1 * m / (np.sqrt(v) + 0.1)
    np.testing.assert_allclose(fresh.value("w"), expected, rtol=1e-4)
    np.testing.assert_allclose(fresh.value("w_beta1_pow_acc_0"), [0.81], rtol=1e-6)


def test_betas_may_be_variables(make_fresh):
    found = []
    for as_variable in (False, True):
        with make_fresh() as fresh:
            fresh.startup.random_seed = 3
            betas = 0.8, 0.95
            if as_variable:
                betas = [layers.fill_constant([1], "float32", beta) for beta in betas]
            # The powers of a Variable's beta start at the defaults, so only the moments agree from the first step on.
            weight_model(Adam(0.1, *betas))
            fresh.start()
            for _ in range(3):
                fresh.run({"x": X})
            found.append(fresh.value("w_moment1_0"))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def test_a_factor_of_the_parameter_multiplies_the_learning_rate(fresh):
    weight_model(SGD(0.1), fluid.ParamAttr("w", learning_rate=0.25))
    fresh.start()
    before = fresh.value("w")
    fresh.run({"x": X})
    np.testing.assert_allclose(fresh.value("w"), before - 0.025 * G, rtol=1e-5)


def test_a_learning_rate_may_be_a_variable(fresh):
    rate = layers.create_global_var([1], 0.5, "float32", persistable=True, name="rate")
    weight_model(SGD(rate))
    fresh.start()
    for value in (0.5, 0.25):
        fresh.set("rate", np.array([value], np.float32))
        before = fresh.value("w")
        fresh.run({"x": X})
        np.testing.assert_allclose(fresh.value("w"), before - value * G, rtol=1e-5)


def test_a_learning_rate_may_be_computed_in_the_program(fresh):
    step = fluid.data("step", [1])
    weight_model(SGD(0.5 / step))
    fresh.start()
    before = fresh.value("w")
    fresh.run({"x": X, "step": np.array([10.0], np.float32)})
    np.testing.assert_allclose(fresh.value("w"), before - 0.05 * G, rtol=1e-5)


@pytest.mark.parametrize("where", ["constructor", "minimize"])
def test_parameter_list_limits_what_is_trained(fresh, where):
    loss = layers.mean(layers.fc(fluid.data("x", [None, 3]), 1, param_attr="w", bias_attr="b"))
    mine = {"parameter_list": ["b"]}
    optimizer = SGD(0.1, **(mine if where == "constructor" else {}))
    ops, pairs = optimizer.minimize(loss, **(mine if where == "minimize" else {}))
    assert [op.input("Param") for op in ops] == [["b"]]
    assert [p.name for p, _ in pairs] == ["b"]
    fresh.start()
    before = fresh.value("w"), fresh.value("b")
    fresh.run({"x": X})
    np.testing.assert_array_equal(fresh.value("w"), before[0])
    np.testing.assert_allclose(fresh.value("b"), before[1] - 0.1, rtol=1e-6)


def test_frozen_parameters_are_not_trained(fresh):
    loss = layers.mean(
        layers.fc(fluid.data("x", [None, 3]), 1, param_attr=fluid.ParamAttr("w", trainable=False), bias_attr="b")
    )
    ops, _ = Adam(0.1).minimize(loss)
    assert [op.input("Param") for op in ops] == [["b"]]
    assert "w_moment1_0" not in fresh.main.global_block().vars


def test_minimize_returns_one_op_for_each_parameter_and_the_pairs(fresh):
    (ops, pairs), _ = weight_model(Adam(0.1))
    assert [op.type for op in ops] == ["adam"]
    assert [(p.name, g.name) for p, g in pairs] == [("w", "w@GRAD")]


def test_state_has_fluids_names_shapes_and_first_values(fresh):
    weight_model(Adam(0.1, beta1=0.8))
    fresh.start()
    assert sorted(fresh.scope.local_var_names()) == [
        "learning_rate_0",
        "w",
        "w_beta1_pow_acc_0",
        "w_beta2_pow_acc_0",
        "w_moment1_0",
        "w_moment2_0",
    ]
    assert fresh.value("w_beta1_pow_acc_0").tolist() == [np.float32(0.8)]
    assert fresh.value("w_moment1_0").shape == (3, 1)
    assert not fresh.value("w_moment1_0").any()


def test_a_name_goes_into_the_names_of_the_state(fresh):
    weight_model(Adam(0.1, name="mine"))
    assert "w_mine_moment1_0" in fresh.main.global_block().vars


def test_params_grads_may_be_split_between_two_optimizers(fresh):
    fresh.startup.random_seed = 3
    ids = fluid.data("ids", [None], "int64")
    rows = fluid.embedding(ids, [V, D], is_sparse=True, param_attr="table")
    loss = layers.mean(layers.square(layers.fc(rows, 2, param_attr="w", bias_attr="b")))
    pairs = fluid.append_backward(loss)
    tables = [pg for pg in pairs if pg[0].name == "table"]
    rest = [pg for pg in pairs if pg[0].name != "table"]
    ops = SparseAdam(0.05).apply_gradients(tables) + Adam(0.05).apply_gradients(rest)
    assert [op.type for op in ops] == ["sparse_adam", "adam", "adam"]
    fresh.start()
    assert fresh.value("learning_rate_1") == np.float32(0.05)
    losses = [fresh.run({"ids": np.array([1, 2, 2, 9])}, [loss])[0].item() for _ in range(60)]
    assert losses[-1] < losses[0] / 10


def test_one_optimizer_serves_two_programs(make_fresh):
    optimizer = Adam(0.1)
    found = []
    for _ in range(2):
        with make_fresh() as fresh:
            fresh.startup.random_seed = 3
            weight_model(optimizer)
            fresh.start()
            fresh.run({"x": X})
            found.append(fresh.value("w"))
    np.testing.assert_array_equal(*found)


def test_a_grad_clip_sees_the_pairs_before_the_update(fresh):
    def halve(pairs):
        return [(p, g * 0.5) for p, g in pairs]

    weight_model(SGD(0.1, grad_clip=halve))
    fresh.start()
    before = fresh.value("w")
    fresh.run({"x": X})
    np.testing.assert_allclose(fresh.value("w"), before - 0.05 * G, rtol=1e-5)


def test_an_error_in_a_grad_clip_leaves_the_program_as_it_was(fresh):
    def fail(pairs):
        layers.mean(pairs[0][1])
        raise ValueError("no")

    loss = layers.mean(layers.fc(fluid.data("x", [None, 3]), 1))
    before = fresh.main.to_string(), fresh.startup.to_string()
    with pytest.raises(ValueError, match="no"):
        SGD(0.1, grad_clip=fail).minimize(loss)
    assert (fresh.main.to_string(), fresh.startup.to_string()) == before


# What reaches the update is not always a plain array: broadcast, sliced and reversed gradients are views.
GRADIENTS = {
    "mean of the parameter": (lambda w, x: layers.mean(w), (3, 2)),
    "bias with a batch of one": (lambda w, x: layers.mean(layers.elementwise_add(x, w)), (4,)),
    "part of a concat": (lambda w, x: layers.mean(layers.square(layers.concat([w, w * 2.0], axis=1))), (3, 2)),
    "reversed": (lambda w, x: layers.mean(layers.square(w[::-1])), (3, 2)),
    "sliced": (lambda w, x: layers.mean(layers.square(w[:, 1])), (3, 2)),
    "reshaped": (lambda w, x: layers.mean(layers.square(layers.reshape(w, [2, 3]))), (3, 2)),
    "transposed product": (lambda w, x: layers.mean(layers.matmul(x, w, transpose_y=True)), (3, 4)),
}


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("make", [SGD, Adam])
def test_gradients_of_any_layout_are_applied(fresh, make, name):
    formula, shape = GRADIENTS[name]
    w = layers.create_parameter(list(shape), "float32", name="w")
    loss = formula(w, fluid.data("x", [None, 4]))
    make(0.1).minimize(loss)
    fresh.start()
    feed = {"x": np.ones((1, 4), np.float32)}
    before = fresh.value("w")
    (grad,) = fresh.exe.run(fresh.main.clone(), feed=feed, fetch_list=["w@GRAD"], scope=fresh.scope)
    after = fresh.value("w")
    if make is SGD:
        np.testing.assert_allclose(after, before - 0.1 * grad, rtol=1e-6)
    else:
        np.testing.assert_allclose(after, before - 0.1 * np.sign(grad), rtol=1e-3, atol=1e-4)


def test_training_falls_to_the_same_loss_with_every_optimizer(make_fresh):
    """A word model with a batch of one row, a short batch and a long one."""
    for make in (lambda: SGD(0.5), lambda: Adam(0.05), lambda: Adam(0.05, lazy_mode=True)):
        with make_fresh() as fresh:
            fresh.startup.random_seed = 3
            word = layers.data("word", [1], dtype="int64")
            label = layers.data("label", [1], dtype="int64")
            score = layers.fc(layers.embedding(word, [V, D], is_sparse=True), V, act="softmax")
            loss = layers.mean(layers.cross_entropy(score, label))
            make().minimize(loss)
            fresh.start()
            rng = np.random.default_rng(0)
            losses = []
            for step in range(200):
                words = rng.integers(0, V, (1, 1) if step == 3 else (64, 1))
                losses.append(fresh.run({"word": words, "label": (words + 1) % V}, [loss])[0].item())
            assert losses[0] == pytest.approx(math.log(V), rel=0.1)
            assert losses[-1] < losses[0]


def test_a_state_of_another_shape_is_refused_before_anything_is_updated(fresh):
    hidden = layers.fc(fluid.data("x", [None, 3]), 2, param_attr="a", bias_attr=False)
    loss = layers.mean(layers.fc(hidden, 1, param_attr="b", bias_attr=False))
    Adam(0.1).minimize(loss)
    fresh.start()
    fresh.set("b_moment1_0", np.zeros((5, 5), np.float32))
    before = fresh.snapshot()
    with pytest.raises(ValueError, match="b_moment1_0"):
        fresh.run({"x": X})
    assert fresh.snapshot() == before


def test_the_learning_rate_of_a_program_can_be_asked_for(fresh):
    """Fluid programs fetch it by this method to print it."""
    optimizer = fluid.optimizer.SGD(0.25)
    assert optimizer._global_learning_rate() is None
    loss = fluid.layers.mean(fluid.layers.fc(fluid.data("x", [None, 3]), 1))
    optimizer.minimize(loss)
    fresh.start()
    (rate,) = fresh.run({"x": np.ones((2, 3), "float32")}, [optimizer._global_learning_rate()])
    assert rate.tolist() == [0.25]


def test_apply_optimize_is_the_second_half_of_minimize(fresh):
    loss = layers.mean(layers.fc(fluid.data("x", [None, 3]), 2))
    optimizer = Adam(0.1)
    params_grads = optimizer.backward(loss)
    ops = optimizer.apply_optimize(loss, fresh.startup, params_grads)
    assert [op.type for op in ops] == ["adam", "adam"]
    assert [op.type for op in fresh.main.global_block().ops[-2:]] == ["adam", "adam"]


def test_a_grad_clip_that_is_no_clip():
    with pytest.raises(TypeError, match="'grad_clip' should be an instance of GradientClipBase's derived class"):
        SGD(0.1, grad_clip=1.0)
