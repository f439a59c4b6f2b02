"""append_backward and gradients: which gradients exist, how contributions add up, and what stops them."""

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.core import VarDesc
from fluidlite.errors import InvalidArgumentError, InvalidTypeError

layers = fluid.layers
V, D = 7, 3
X = np.array([[1.0, -2.0, 3.0], [0.5, 5.0, -1.5]], np.float32)


def op_types(program):
    return [op.type for op in program.global_block().ops]


def free(name, shape=(None, 3)):
    """An input that takes a gradient."""
    x = fluid.data(name, list(shape))
    x.stop_gradient = False
    return x


def test_parameters_come_with_their_gradients_in_order_of_creation(fresh):
    loss = layers.mean(layers.fc(layers.fc(fluid.data("x", [None, 3]), 2), 1))
    pairs = fluid.append_backward(loss)
    assert [(p.name, g.name) for p, g in pairs] == [
        (name, name + "@GRAD") for name in ("fc_0.w_0", "fc_0.b_0", "fc_1.w_0", "fc_1.b_0")
    ]
    assert all(p.shape == g.shape and p.dtype == g.dtype for p, g in pairs)


def test_a_loss_without_parameters_gives_an_empty_list(fresh):
    assert fluid.append_backward(layers.mean(fluid.data("x", [None, 3]))) == []


@pytest.mark.parametrize("as_name", [True, False])
def test_parameter_list_chooses_what_is_returned(fresh, as_name):
    loss = layers.mean(layers.fc(fluid.data("x", [None, 3]), 2, param_attr="w", bias_attr="b"))
    chosen = "b" if as_name else fresh.main.global_block().var("b")
    assert [p.name for p, _ in fluid.append_backward(loss, parameter_list=[chosen])] == ["b"]


def test_a_parameter_list_of_other_things_is_refused(fresh):
    x = fluid.data("x", [None, 3])
    loss = layers.mean(layers.fc(x, 2))
    with pytest.raises(InvalidTypeError, match="not a Parameter"):
        fluid.append_backward(loss, parameter_list=[x])


def test_frozen_parameters_get_no_gradient(fresh):
    frozen = fluid.ParamAttr("w", trainable=False)
    loss = layers.mean(layers.fc(fluid.data("x", [None, 3]), 2, param_attr=frozen, bias_attr="b"))
    assert [p.name for p, _ in fluid.append_backward(loss)] == ["b"]


def test_stop_gradient_cuts_the_path(fresh):
    x = fluid.data("x", [None, 3])
    hidden = layers.fc(x, 2, param_attr="before", bias_attr=False)
    hidden.stop_gradient = True
    loss = layers.mean(layers.fc(hidden, 2, param_attr="after", bias_attr=False))
    assert [p.name for p, _ in fluid.append_backward(loss)] == ["after"]
    assert "before@GRAD" not in fresh.main.global_block().vars


@pytest.mark.parametrize("as_name", [True, False])
def test_no_grad_set_cuts_the_path(fresh, as_name):
    hidden = layers.fc(fluid.data("x", [None, 3]), 2, param_attr="before", bias_attr=False)
    loss = layers.mean(layers.fc(hidden, 2, param_attr="after", bias_attr=False))
    constants = {hidden.name if as_name else hidden}
    assert [p.name for p, _ in fluid.append_backward(loss, no_grad_set=constants)] == ["after"]


def test_no_grad_set_of_other_things_is_refused(fresh):
    loss = layers.mean(layers.fc(fluid.data("x", [None, 3]), 2))
    with pytest.raises(InvalidTypeError, match="no_grad_set"):
        fluid.append_backward(loss, no_grad_set={5})


def test_data_gets_a_gradient_only_when_asked_for(fresh):
    x, y = free("x"), fluid.data("y", [None, 3])
    fluid.append_backward(layers.mean(layers.elementwise_mul(x, y)))
    assert fresh.main.global_block().has_var("x@GRAD")
    assert not fresh.main.global_block().has_var("y@GRAD")
    (grad,) = fresh.run({"x": X, "y": 2 * X}, ["x@GRAD"])
    np.testing.assert_allclose(grad, 2 * X / 6, rtol=1e-6)


def test_branches_that_do_not_lead_to_the_loss_get_no_grad_ops(fresh):
    x = free("x")
    layers.tanh(x)
    fluid.append_backward(layers.mean(layers.relu(x)))
    assert "tanh_grad" not in op_types(fresh.main)


def test_callbacks_see_every_grad_op(fresh):
    loss = layers.mean(layers.relu(free("x")))
    seen = []
    fluid.append_backward(loss, callbacks=[lambda block, context: seen.append(context["grad_op"].type)])
    assert seen == ["mean_grad", "relu_grad"]


def test_contributions_to_one_variable_add_up(fresh):
    x = free("x")
    fluid.append_backward(layers.mean(layers.sums([layers.square(x), x * 3.0, layers.elementwise_mul(x, x), x])))
    (grad,) = fresh.run({"x": X}, ["x@GRAD"])
    np.testing.assert_allclose(grad, (4 * X + 4) / 6, rtol=1e-6)


def test_a_variable_used_twice_by_one_op_gets_both_contributions(fresh):
    x = free("x")
    fluid.append_backward(layers.mean(layers.elementwise_sub(layers.elementwise_mul(x, x), x)))
    (grad,) = fresh.run({"x": X}, ["x@GRAD"])
    np.testing.assert_allclose(grad, (2 * X - 1) / 6, rtol=1e-6)


def test_the_same_variable_twice_in_a_list_gets_both_contributions(fresh):
    x = free("x")
    fluid.append_backward(layers.mean(layers.square(layers.concat([x, x, x * 2.0], axis=1))))
    (grad,) = fresh.run({"x": X}, ["x@GRAD"])
    np.testing.assert_allclose(grad, (4 * X + 8 * X) / 18, rtol=1e-6)


@pytest.mark.parametrize("kinds", [(True,), (False,), (True, True), (True, False), (False, False), (True, True, True)])
def test_every_mix_of_look_ups_of_one_table_gives_the_same_gradient(fresh, kinds):
    loss_parts = []
    for k, is_sparse in enumerate(kinds):
        ids = fluid.data(f"ids{k}", [None], "int64")
        rows = fluid.embedding(ids, [V, D], is_sparse=is_sparse, param_attr="table")
        loss_parts.append(layers.mean(layers.square(rows * float(k + 1))))
    ((_, grad),) = fluid.append_backward(layers.sums(loss_parts))
    sparse = all(kinds)
    assert grad.type == (VarDesc.VarType.SELECTED_ROWS if sparse else VarDesc.VarType.LOD_TENSOR)
    fresh.start()
    rng = np.random.default_rng(0)
    feed = {f"ids{k}": rng.integers(0, V, 5 + k) for k in range(len(kinds))}
    (seen,) = fresh.run(feed, [grad])
    table = fresh.value("table").astype(np.float64)
    expected = np.zeros((V, D))
    for k in range(len(kinds)):
        ids = feed[f"ids{k}"]
        np.add.at(expected, ids, 2 * (k + 1) ** 2 * table[ids] / (len(ids) * D))
    assert isinstance(seen, fluid.SelectedRows) == sparse
    np.testing.assert_allclose(seen.to_dense() if sparse else seen, expected, rtol=1e-5, atol=1e-7)


def test_a_table_that_is_also_a_weight_gets_a_dense_gradient(fresh):
    ids = fluid.data("ids", [None], "int64")
    rows = fluid.embedding(ids, [V, D], is_sparse=True, param_attr="table")
    table = fresh.main.global_block().var("table")
    scores = layers.matmul(rows, table, transpose_y=True)
    ((_, grad),) = fluid.append_backward(layers.mean(scores))
    assert grad.type == VarDesc.VarType.LOD_TENSOR
    fresh.start()
    ids = np.array([1, 1, 4])
    (seen,) = fresh.run({"ids": ids}, [grad])
    w = fresh.value("table").astype(np.float64)
    expected = np.tile(w[ids].sum(0), (V, 1))
    np.add.at(expected, ids, w.sum(0))
    np.testing.assert_allclose(seen, expected / (3 * V), rtol=1e-5, atol=1e-7)


def test_gradients_of_a_vector_start_from_ones(fresh):
    x = free("x")
    (grad,) = fluid.gradients(layers.square(x), x)
    assert grad.shape == x.shape
    np.testing.assert_allclose(fresh.run({"x": X}, [grad])[0], 2 * X)


def test_gradients_take_given_target_gradients(fresh):
    x, start = free("x"), fluid.data("start", [None, 3])
    (grad,) = fluid.gradients(layers.square(x), x, target_gradients=start)
    np.testing.assert_allclose(fresh.run({"x": X, "start": 3 * X}, [grad])[0], 6 * X * X)


def test_gradients_sum_over_targets_and_answer_for_each_input(fresh):
    x, y, z = free("x"), free("y"), free("z")
    grads = fluid.gradients([layers.elementwise_mul(x, y), x * 2.0], [x, y, z])
    assert grads[2] is None
    seen = fresh.run({"x": X, "y": 5 * X}, grads[:2])
    np.testing.assert_allclose(seen[0], 5 * X + 2)
    np.testing.assert_allclose(seen[1], X)


def test_gradients_of_data_need_no_stop_gradient_switch(fresh):
    x = fluid.data("x", [None, 3])
    assert x.stop_gradient
    (grad,) = fluid.gradients(layers.square(x), [x])
    np.testing.assert_allclose(fresh.run({"x": X}, [grad])[0], 2 * X)


def test_gradients_with_respect_to_an_intermediate_variable(fresh):
    x = free("x")
    middle = layers.square(x)
    (grad,) = fluid.gradients(middle * 3.0, middle)
    np.testing.assert_allclose(fresh.run({"x": X}, [grad])[0], np.full_like(X, 3))


def test_gradients_refuse_target_gradients_that_do_not_fit(fresh):
    x, other = free("x"), fluid.data("other", [None, 5])
    y = layers.square(x)
    with pytest.raises(InvalidArgumentError, match=f"'{y.name}'"):
        fluid.gradients(y, x, target_gradients=other)
    with pytest.raises(InvalidArgumentError, match="one entry for each target"):
        fluid.gradients([y], x, target_gradients=[None, None])


def test_two_losses_of_one_program_have_gradients_of_their_own(fresh):
    out = layers.fc(fluid.data("x", [None, 3]), 1, param_attr="w", bias_attr=False)
    losses = [layers.mean(out * factor) for factor in (1.0, 5.0)]
    (first,), (second,) = (fluid.append_backward(loss) for loss in losses)
    assert first[1].name != second[1].name
    fresh.start()
    one, two = fresh.run({"x": X}, [first[1], second[1]])
    np.testing.assert_allclose(one, X.mean(0).reshape(3, 1), rtol=1e-6)
    np.testing.assert_allclose(two, 5 * X.mean(0).reshape(3, 1), rtol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 6])
def test_gradients_agree_with_finite_differences_for_any_batch(fresh, n):
    x = free("x")
    hidden = layers.fc(x, 4, act="tanh")
    out = layers.softmax(layers.concat([hidden[:, :2], layers.reshape(hidden, [0, 4])[:, 1:]], axis=1))
    loss = layers.mean(layers.square(out))
    fluid.append_backward(loss)
    fresh.start()
    value = np.random.default_rng(2).standard_normal((n, 3)).astype(np.float32)
    (grad,) = fresh.run({"x": value}, ["x@GRAD"])
    for i in range(n):
        for j in range(3):
            ends = []
            for sign in (1, -1):
                moved = value.copy()
                moved[i, j] += sign * 1e-2
                ends.append(fresh.run({"x": moved}, [loss])[0].item())
            np.testing.assert_allclose(grad[i, j], (ends[0] - ends[1]) / 2e-2, atol=2e-5)
