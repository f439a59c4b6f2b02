"""Fused plans compute what unfused ones do, bit for bit, and only where nobody looks at what vanishes."""

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite import layers

V, E, H, C, B = 23, 5, 7, 11, 6


def plan_types(fresh, fetches=()):
    """The op types of the newest plan of the main program."""
    return [step.op.type for step in list(fresh.main._plans.values())[-1].steps]


def perceptron(act, loss="softmax_with_cross_entropy"):
    x = fluid.data("x", [None, E])
    label = fluid.data("label", [None, 1], "int64")
    hidden = layers.fc(x, H, act=act, param_attr="w0", bias_attr="b0")
    if loss == "cross_entropy":
        score = layers.fc(hidden, C, act="softmax", param_attr="w1", bias_attr="b1")
        return layers.mean(layers.cross_entropy(score, label))
    score = layers.fc(hidden, C, param_attr="w1", bias_attr="b1")
    return layers.mean(layers.softmax_with_cross_entropy(score, label))


def batch(seed):
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(size=(B, E)).astype("float32"), "label": rng.integers(0, C, (B, 1))}


def trained(make_fresh, monkeypatch, build, feeds, fuse):
    monkeypatch.setenv("FLUIDLITE_NO_FUSE", "0" if fuse else "1")
    with make_fresh() as fresh:
        fresh.startup.random_seed = 3
        loss = build()
        fluid.optimizer.Adam(0.1, lazy_mode=True).minimize(loss)
        fresh.start()
        losses = [fresh.run(feed, [loss])[0].tobytes() for feed in feeds]
        return losses, fresh.snapshot(), plan_types(fresh)


def assert_same_bits(make_fresh, monkeypatch, build, feeds, *fused):
    with_fusion = trained(make_fresh, monkeypatch, build, feeds, True)
    without = trained(make_fresh, monkeypatch, build, feeds, False)
    assert with_fusion[:2] == without[:2]
    assert not [type for type in without[2] if type.startswith("fused")]
    for type in fused:
        assert type in with_fusion[2], with_fusion[2]


@pytest.mark.parametrize("act", ["sigmoid", "tanh", "relu", "exp"])
def test_bias_and_activation(make_fresh, monkeypatch, act):
    feeds = [batch(seed) for seed in range(3)]
    fused = ("fused_bias_activation", "fused_bias_activation_grad", "fused_bias_softmax_cross_entropy")
    assert_same_bits(make_fresh, monkeypatch, lambda: perceptron(act), feeds, *fused)


def test_softmax_and_cross_entropy(make_fresh, monkeypatch):
    """The backward pass skips the inverse of the softmax: the same numbers, rounded fewer times."""
    feeds = [batch(seed) for seed in range(3)]
    build = lambda: perceptron("tanh", "cross_entropy")  # noqa: E731
    fused = trained(make_fresh, monkeypatch, build, feeds, True)
    without = trained(make_fresh, monkeypatch, build, feeds, False)
    assert "fused_softmax_cross_entropy_grad" in fused[2] and "cross_entropy_grad2" not in fused[2]
    for ours, other in zip(fused[0], without[0], strict=True):
        np.testing.assert_allclose(np.frombuffer(ours, "float32"), np.frombuffer(other, "float32"), rtol=1e-5)


@pytest.mark.parametrize("total", [layers.reduce_sum, layers.mean])
@pytest.mark.parametrize("n", [1, 20, 40000])
def test_sum_of_squares(make_fresh, monkeypatch, total, n):
    def build():
        rows = fluid.embedding(fluid.data("ids", [None], "int64"), [V, E], is_sparse=True, param_attr="table")
        return total(layers.square(rows))

    feeds = [{"ids": np.random.default_rng(seed).integers(0, V, n)} for seed in range(2)]
    assert_same_bits(make_fresh, monkeypatch, build, feeds, "fused_sum_of_squares", "fused_sum_of_squares_grad")


def test_what_is_fetched_is_not_fused_away(fresh):
    loss = perceptron("tanh")
    block = fresh.main.global_block()
    before = next(op.output("Out")[0] for op in block.ops if op.type == "elementwise_add")
    fresh.start()
    fresh.run(batch(0), [loss, before])
    assert "elementwise_add" in plan_types(fresh)
    fresh.run(batch(0), [loss])
    assert "elementwise_add" not in plan_types(fresh)


def test_what_is_read_elsewhere_is_not_fused_away(fresh):
    x = fluid.data("x", [None, E])
    sums = layers.elementwise_add(x, layers.create_parameter([E], "float32", name="bias"))
    out = layers.elementwise_mul(layers.tanh(sums), sums)
    fresh.start()
    fresh.run({"x": np.ones((2, E), "float32")}, [out])
    assert plan_types(fresh) == ["elementwise_add", "tanh", "elementwise_mul"]


def test_a_column_is_no_bias(fresh):
    x = fluid.data("x", [E, E])
    out = layers.tanh(layers.elementwise_add(x, layers.create_parameter([E], "float32", name="bias"), axis=0))
    fresh.start()
    fresh.run({"x": np.ones((E, E), "float32")}, [out])
    assert plan_types(fresh) == ["elementwise_add", "tanh"]


def test_soft_labels_and_other_axes_are_left_alone(fresh):
    scores = layers.elementwise_add(fluid.data("x", [None, C]), layers.create_parameter([C], "float32", name="bias"))
    soft = layers.softmax_with_cross_entropy(scores, fluid.data("soft", [None, C]), soft_label=True)
    fresh.start()
    fresh.run({"x": np.ones((2, C), "float32"), "soft": np.full((2, C), 1 / C, "float32")}, [soft])
    assert plan_types(fresh) == ["elementwise_add", "softmax_with_cross_entropy"]


def test_looking_for_nan_leaves_ops_as_they_are(fresh):
    loss = perceptron("tanh")
    fresh.start()
    fluid.set_flags({"FLAGS_check_nan_inf": True})
    try:
        fresh.run(batch(0), [loss])
    finally:
        fluid.set_flags({"FLAGS_check_nan_inf": False})
    assert not [type for type in plan_types(fresh) if type.startswith("fused")]


def test_a_label_that_is_no_class_is_named_in_a_fused_plan(fresh):
    loss = perceptron("tanh")
    fresh.start()
    bad = batch(0) | {"label": np.array([[1], [C], [0], [0], [0], [0]])}
    with pytest.raises(IndexError, match=rf"Label {C} at position 1 of 'label' is not one of the {C} classes"):
        fresh.run(bad, [loss])
