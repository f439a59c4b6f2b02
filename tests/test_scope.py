"""Scope: where persistable values live."""

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.errors import InvalidTypeError

layers = fluid.layers


def test_find_var_of_an_unknown_name_is_none():
    assert fluid.Scope().find_var("w") is None


def test_var_makes_and_find_var_finds():
    scope = fluid.Scope()
    made = scope.var("w")
    assert scope.var("w") is made
    assert scope.find_var("w") is made
    assert scope.local_var_names() == ["w"]


def test_a_kid_finds_what_its_parents_hold_and_not_the_other_way_round():
    parent = fluid.Scope()
    kid = parent.new_scope()
    grandchild = kid.new_scope()
    parent.var("w").get_tensor().set(np.ones(2, np.float32))
    kid.var("v")
    assert grandchild.find_var("w") is parent.find_var("w")
    assert parent.find_var("v") is None
    parent.drop_kids()
    assert kid.find_var("w") is parent.find_var("w")


def test_a_kid_can_shade_its_parent():
    parent = fluid.Scope()
    kid = parent.new_scope()
    parent.var("w")
    assert kid.var("w") is not parent.var("w")
    assert kid.find_var("w") is kid.var("w")


def test_set_takes_a_copy():
    array = np.ones(3, np.float32)
    tensor = fluid.Scope().var("w").get_tensor()
    tensor.set(array, fluid.CPUPlace())
    array[:] = 7
    np.testing.assert_array_equal(np.array(tensor), np.ones(3))


def test_reading_as_array_copies_and_asarray_cannot_write():
    tensor = fluid.Scope().var("w").get_tensor()
    tensor.set(np.ones(3, np.float32))
    copy = np.array(tensor)
    copy[:] = 7
    np.testing.assert_array_equal(np.array(tensor), np.ones(3))
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(tensor)[0] = 7


def test_what_a_tensor_holds_is_not_the_users_array_even_after_training(fresh):
    layers.fc(fluid.data("x", [None, 2]), 1, param_attr="w", bias_attr=False)
    fluid.optimizer.SGD(0.5).minimize(layers.mean(fresh.main.global_block().var("fc_0.tmp_0")))
    fresh.start()
    mine = np.ones((2, 1), np.float32)
    fresh.set("w", mine)
    fresh.run({"x": np.ones((3, 2), np.float32)})
    np.testing.assert_array_equal(mine, np.ones((2, 1)))
    assert not np.array_equal(fresh.value("w"), mine)


def test_a_tensor_is_not_a_selected_rows_and_the_other_way_round(fresh):
    ids = fluid.data("ids", [None], "int64")
    loss = layers.mean(fluid.embedding(ids, [5, 2], is_sparse=True, param_attr="w"))
    ((_, grad),) = fluid.append_backward(loss)
    grad.persistable = True
    fresh.start()
    fresh.run({"ids": np.array([3, 1, 3])})
    rows = fresh.scope.find_var("w@GRAD").get_selected_rows()
    assert rows.rows() == [3, 1, 3]
    assert rows.height() == 5
    assert rows.numel() == 6
    np.testing.assert_allclose(np.array(rows.get_tensor()), np.full((3, 2), 1 / 6))
    with pytest.raises(InvalidTypeError, match="'w@GRAD'"):
        fresh.scope.find_var("w@GRAD").get_tensor()
    with pytest.raises(InvalidTypeError, match="'w'"):
        fresh.scope.find_var("w").get_selected_rows()


def test_scope_guard_changes_and_restores_the_global_scope():
    outer, scope = fluid.global_scope(), fluid.Scope()
    with pytest.raises(KeyError), fluid.scope_guard(scope):
        assert fluid.global_scope() is scope
        raise KeyError
    assert fluid.global_scope() is outer


def test_scope_guard_needs_a_scope():
    with pytest.raises(InvalidTypeError, match="scope_guard"):
        fluid.scope_guard({}).__enter__()


def test_a_kid_scope_trains_its_parents_parameters(fresh):
    loss = layers.mean(layers.fc(fluid.data("x", [None, 2]), 1, param_attr="w", bias_attr=False))
    fluid.optimizer.SGD(0.5).minimize(loss)
    fresh.start()
    before = fresh.value("w")
    kid = fresh.scope.new_scope()
    fresh.exe.run(fresh.main, feed={"x": np.ones((3, 2), np.float32)}, scope=kid)
    np.testing.assert_allclose(fresh.value("w"), before - 0.5, rtol=1e-5)
    assert "w" not in kid.local_var_names()
