"""Gradient clipping: what becomes of gradients, dense and sparse, and who is clipped with whom."""

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.clip import (
    ErrorClipByValue,
    GradientClipByGlobalNorm,
    GradientClipByNorm,
    GradientClipByValue,
    set_gradient_clip,
)
from fluidlite.errors import EnforceNotMet, InvalidArgumentError, InvalidTypeError

layers = fluid.layers
V, D = 11, 3
IDS = np.array([[4], [0], [4], [10], [7]])
TARGET = np.random.RandomState(1).uniform(-9, 9, (5, 2)).astype(np.float32)


def model(sparse):
    """Loss of a table and a layer whose gradients are large."""
    rows = layers.embedding(fluid.data("ids", [None, 1], "int64"), [V, D], is_sparse=sparse, param_attr="table")
    out = layers.fc(rows, 2, param_attr="w", bias_attr=False)
    return layers.mean(layers.square_error_cost(out, fluid.data("target", [None, 2])))


def updates(fresh, sparse, clip=None, before=lambda: None, **options):
    """{parameter: what one step of SGD(1) takes away from it}."""
    loss = model(sparse)
    before()
    fluid.optimizer.SGD(1.0, grad_clip=clip, **options).minimize(loss)
    fresh.start()
    fresh.set("table", np.random.RandomState(2).uniform(-1, 1, (V, D)).astype(np.float32))
    fresh.set("w", np.random.RandomState(3).uniform(-1, 1, (D, 2)).astype(np.float32))
    start = {name: fresh.value(name) for name in ("table", "w")}
    fresh.run({"ids": IDS, "target": TARGET})
    return {name: start[name] - fresh.value(name) for name in start}


def norm(*arrays):
    return np.sqrt(sum(float((a.astype(np.float64) ** 2).sum()) for a in arrays))


CLIPS = {
    "value": (GradientClipByValue(0.5, min=-0.25), lambda g, _: np.clip(g, -0.25, 0.5)),
    "norm": (GradientClipByNorm(0.3), lambda g, _: g * min(1, 0.3 / norm(g))),
    "global norm": (GradientClipByGlobalNorm(0.7), lambda g, all: g * min(1, 0.7 / norm(*all))),
    "global norm that is large": (GradientClipByGlobalNorm(1e4), lambda g, _: g),
}


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("form", ["grad_clip", "set_gradient_clip"])
@pytest.mark.parametrize("name", CLIPS)
def test_the_formula(make_fresh, name, form, sparse):
    clip, expected = CLIPS[name]
    with make_fresh() as fresh:
        plain = updates(fresh, sparse)
    with make_fresh() as fresh:
        if form == "grad_clip":
            clipped = updates(fresh, sparse, clip)
        else:
            clipped = updates(fresh, sparse, before=lambda: set_gradient_clip(clip))
    for parameter, grad in plain.items():
        wanted = expected(grad, plain.values())
        np.testing.assert_allclose(clipped[parameter], wanted, rtol=1e-5, atol=1e-6, err_msg=parameter)


@pytest.mark.parametrize("name", CLIPS)
def test_a_sparse_gradient_stays_sparse(fresh, name):
    ops, _ = fluid.optimizer.SGD(1.0, grad_clip=CLIPS[name][0]).minimize(model(True))
    kinds = {op.input("Param")[0]: fresh.main.global_block().var(op.input("Grad")[0]).type for op in ops}
    assert kinds["table"] == fluid.core.VarDesc.VarType.SELECTED_ROWS


def test_need_clip_chooses(make_fresh):
    with make_fresh() as fresh:
        plain = updates(fresh, True)
    with make_fresh() as fresh:
        clip = GradientClipByGlobalNorm(0.1, need_clip=lambda parameter: parameter.name == "w")
        clipped = updates(fresh, True, clip)
    np.testing.assert_array_equal(clipped["table"], plain["table"])
    np.testing.assert_allclose(norm(clipped["w"]), 0.1, rtol=1e-5)


def test_only_the_listed_parameters_are_clipped(make_fresh):
    with make_fresh() as fresh:
        plain = updates(fresh, False)
    with make_fresh() as fresh:
        clipped = updates(fresh, False, before=lambda: set_gradient_clip(GradientClipByNorm(0.1), ["w"]))
    np.testing.assert_array_equal(clipped["table"], plain["table"])
    np.testing.assert_allclose(norm(clipped["w"]), 0.1, rtol=1e-5)


def test_groups_have_norms_of_their_own(make_fresh):
    def two_groups():
        for name in ("table", "w"):
            set_gradient_clip(GradientClipByGlobalNorm(0.1, group_name=name), [name])

    with make_fresh() as fresh:
        clipped = updates(fresh, True, before=two_groups)
    for grad in clipped.values():
        np.testing.assert_allclose(norm(grad), 0.1, rtol=1e-5)


def test_the_optimizers_clip_wins_over_the_programs(make_fresh):
    with make_fresh() as fresh:
        clipped = updates(
            fresh, False, GradientClipByNorm(0.2), before=lambda: set_gradient_clip(GradientClipByNorm(0.1))
        )
    np.testing.assert_allclose(norm(clipped["w"]), 0.2, rtol=1e-5)


def test_an_error_clip_acts_where_the_gradient_is_made(make_fresh):
    def clip_the_rows():
        main = fluid.default_main_program().global_block()
        main.var("embedding_0.tmp_0").error_clip = ErrorClipByValue(0.01)

    with make_fresh() as fresh:
        clipped = updates(fresh, False, before=clip_the_rows)
    assert np.abs(clipped["table"]).max() <= 0.0201, "row 4 occurs twice"
    assert norm(clipped["w"]) > 1


def test_set_gradient_clip_after_minimize_warns(fresh):
    fluid.optimizer.SGD(0.1).minimize(model(False))
    with pytest.warns(UserWarning, match="has no effect on the minimize that came before"):
        set_gradient_clip(GradientClipByNorm(0.1))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: GradientClipByNorm(0.0), InvalidArgumentError),
        (lambda: GradientClipByGlobalNorm(float("nan")), InvalidArgumentError),
        (lambda: GradientClipByValue(-1.0), InvalidArgumentError),
        (lambda: GradientClipByValue(1.0, min=2.0), InvalidArgumentError),
        (lambda: GradientClipByNorm(1.0, need_clip=3), InvalidTypeError),
        (lambda: set_gradient_clip(3.0), InvalidTypeError),
        (lambda: set_gradient_clip(GradientClipByNorm(1.0), [3]), InvalidTypeError),
    ],
)
def test_wrong_arguments(fresh, make, error):
    with pytest.raises(error) as caught:
        make()
    assert isinstance(caught.value, EnforceNotMet)


def test_a_wrong_error_clip_is_named(fresh):
    loss = model(False)
    fresh.main.global_block().var("embedding_0.tmp_0").error_clip = 3.0
    with pytest.raises(InvalidTypeError, match="embedding_0.tmp_0"):
        fluid.optimizer.SGD(0.1).minimize(loss)


def test_append_gradient_clip_ops_by_keyword(fresh):
    loss = model(sparse=False)
    set_gradient_clip(GradientClipByNorm(0.5))
    params_grads = fluid.backward.append_backward(loss)
    clipped = fluid.clip.append_gradient_clip_ops(param_grads=params_grads)
    assert [p.name for p, _ in clipped] == [p.name for p, _ in params_grads]
    assert [op.type for op in fresh.main.global_block().ops[-2:]] == ["clip_by_norm"] * 2


def test_an_error_clip_set_by_fluids_method(fresh):
    x = fluid.data("x", [None, 3])
    x._set_error_clip(ErrorClipByValue(max=0.5))
    assert x.error_clip.max == 0.5
