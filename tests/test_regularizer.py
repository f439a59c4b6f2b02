"""Weight decay: what it adds to the gradient, whose decay wins, and that it makes sparse gradients dense."""

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.core import VarDesc
from fluidlite.optimizer import SGD, Adam
from fluidlite.regularizer import L1Decay, L2Decay, append_regularization_ops

layers = fluid.layers
X = np.array([[1.0, 2.0, -3.0], [3.0, 0.0, 5.0]], np.float32)
G = X.mean(axis=0).reshape(3, 1)


def weight_model(optimizer, own=None):
    attr = fluid.ParamAttr("w", regularizer=own)
    loss = layers.mean(layers.fc(fluid.data("x", [None, 3]), 1, param_attr=attr, bias_attr=False))
    return optimizer.minimize(loss)


@pytest.mark.parametrize(
    ("decay", "term"), [(L2Decay(0.3), lambda w: 0.3 * w), (L1Decay(0.3), lambda w: 0.3 * np.sign(w))], ids=["L2", "L1"]
)
@pytest.mark.parametrize("whose", ["the optimizer's", "the parameter's"])
def test_the_decay_is_added_to_the_gradient(fresh, decay, term, whose):
    mine = decay if whose == "the optimizer's" else None
    weight_model(SGD(0.1, regularization=mine), None if mine else decay)
    fresh.start()
    before = fresh.value("w")
    fresh.run({"x": X})
    np.testing.assert_allclose(fresh.value("w"), before - 0.1 * (G + term(before)), rtol=1e-5)


def test_the_parameters_own_decay_wins(fresh):
    weight_model(SGD(0.1, regularization=L2Decay(100.0)), L2Decay(0.3))
    fresh.start()
    before = fresh.value("w")
    fresh.run({"x": X})
    np.testing.assert_allclose(fresh.value("w"), before - 0.1 * (G + 0.3 * before), rtol=1e-5)


def test_a_decay_of_zero_changes_nothing(fresh):
    weight_model(SGD(0.1, regularization=L2Decay()))
    fresh.start()
    before = fresh.value("w")
    fresh.run({"x": X})
    np.testing.assert_allclose(fresh.value("w"), before - 0.1 * G, rtol=1e-6)


def test_only_the_parameters_with_a_decay_get_ops(fresh):
    x = fluid.data("x", [None, 3])
    loss = layers.mean(layers.fc(x, 1, param_attr=fluid.ParamAttr("w", regularizer=L2Decay(0.1)), bias_attr="b"))
    pairs = fluid.append_backward(loss)
    regularized = {p.name: g for p, g in append_regularization_ops(pairs)}
    given = {p.name: g for p, g in pairs}
    assert regularized["b"] is given["b"]
    assert regularized["w"] is not None
    assert [op.type for op in fresh.main.global_block().ops].count("sum") == 1


@pytest.mark.parametrize("decay", [L2Decay(0.3), L1Decay(0.3)], ids=["L2", "L1"])
@pytest.mark.parametrize("make", [SGD, Adam])
def test_a_sparse_gradient_becomes_dense_and_every_row_decays_alike(make_fresh, decay, make):
    found = []
    for is_sparse in (True, False):
        with make_fresh() as fresh:
            fresh.startup.random_seed = 3
            ids = fluid.data("ids", [None], "int64")
            rows = fluid.embedding(ids, [7, 3], is_sparse=is_sparse, param_attr="table")
            loss = layers.mean(layers.square(rows))
            ops, _ = make(0.1, regularization=decay).minimize(loss)
            (name,) = ops[0].input("Grad")
            assert fresh.main.global_block().var(name).type == VarDesc.VarType.LOD_TENSOR
            fresh.start()
            before = fresh.value("table")
            for _ in range(3):
                fresh.run({"ids": np.array([1, 4, 1])})
            assert (fresh.value("table") != before).all()
            found.append(fresh.value("table"))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def test_decay_ops_are_left_out_of_a_clone_for_test(fresh):
    weight_model(SGD(0.1, regularization=L2Decay(0.1)))
    test = fresh.main.clone(for_test=True)
    assert [op.type for op in test.global_block().ops] == ["mul", "mean"]


def test_what_a_decay_says_of_itself():
    assert str(L2Decay(0.25)) == "L2Decay, regularization_coeff=0.250000"
    assert str(L1Decay(0.5)) == "L1Decay, regularization_coeff=0.500000"
