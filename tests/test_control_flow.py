"""Blocks under a condition, step counters, and the schedules that are made of them."""

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.errors import EnforceNotMet, InvalidArgumentError, InvalidTypeError, OutOfRangeError

layers = fluid.layers


def choose(x, limits):
    """out = k for the first limit k that x lies below, else -1."""
    out = layers.create_global_var([1], 0.0, "float32", persistable=True, name="out")
    with layers.Switch() as switch:
        for k, limit in enumerate(limits):
            with switch.case(layers.less_than(x, layers.fill_constant([1], "float32", limit))):
                layers.assign(layers.fill_constant([1], "float32", float(k)), out)
        with switch.default():
            layers.assign(layers.fill_constant([1], "float32", -1.0), out)
    return out


@pytest.mark.parametrize("n_limits", [1, 2, 5])
def test_the_first_case_that_holds_runs(fresh, n_limits):
    limits = [float(k) for k in range(n_limits)]
    out = choose(fluid.data("x", [1]), limits)
    fresh.start()
    for x in (-0.5, 0.0, 0.5, 1.5, 3.5, 7.0, -0.5):
        (found,) = fresh.run({"x": np.array([x], np.float32)}, [out])
        assert found[0] == next((k for k, limit in enumerate(limits) if x < limit), -1)


def test_what_a_block_leaves_behind_is_its_own(fresh):
    """A constant that a block assigns to a persistable variable is copied: adding to the variable leaves it alone."""
    out = choose(fluid.data("x", [1]), [0.0])
    layers.increment(out)
    fresh.start()
    for _ in range(3):
        (found,) = fresh.run({"x": np.array([-1.0], np.float32)}, [out])
        assert found[0] == 1.0


def test_a_block_that_does_not_run_leaves_its_outputs(fresh):
    out = layers.create_global_var([1], 7.0, "float32", persistable=True, name="out")
    x = fluid.data("x", [1])
    with layers.Switch() as switch:
        with switch.case(layers.less_than(x, layers.fill_constant([1], "float32", 0.0))):
            layers.assign(layers.scale(x, 2.0), out)
    fresh.start()
    values = [fresh.run({"x": np.array([x], np.float32)}, [out])[0][0] for x in (1.0, -3.0, 1.0)]
    assert values == [7.0, -6.0, -6.0]


def test_errors_inside_a_block_name_their_op(fresh):
    x = fluid.data("x", [1])
    table_of_three = layers.create_global_var([1, 2], 0.0, "float32", persistable=True)
    ids = fluid.data("ids", [None, 1], "int64")
    out = layers.create_global_var([1, 2], 0.0, "float32", persistable=True)
    with layers.Switch() as switch:
        with switch.case(layers.less_than(x, layers.fill_constant([1], "float32", 0.0))):
            layers.assign(layers.gather(table_of_three, layers.reshape(ids, [-1])), out)
    fresh.start()
    feed = {"x": np.array([1.0], np.float32), "ids": np.array([[5]])}
    fresh.run(feed)
    with pytest.raises((OutOfRangeError, InvalidArgumentError), match="Index 5") as caught:
        fresh.run(feed | {"x": np.array([-1.0], np.float32)})
    assert __file__ in caught.value.where


def test_a_program_with_blocks_is_cloned_whole(fresh):
    out = choose(fluid.data("x", [1]), [0.0, 1.0])
    copy = fresh.main.clone()
    fresh.start()
    (found,) = fresh.exe.run(copy, feed={"x": np.array([0.5], np.float32)}, fetch_list=[out.name], scope=fresh.scope)
    assert found[0] == 1 and copy.num_blocks == fresh.main.num_blocks == 4
    assert all(block.program is copy for block in copy.blocks)
    inner = [op.attr("sub_block") for op in copy.global_block().ops if op.type == "conditional_block"]
    assert inner == copy.blocks[1:], "a block of the copy, not of the original"


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: layers.Switch().case(fluid.data("c", [1], "bool")), InvalidArgumentError),
        (lambda: layers.Switch().__enter__().default(), InvalidArgumentError),
        (lambda: layers.Switch().__enter__().case(fluid.data("x", [1])).__enter__(), EnforceNotMet),
        (lambda: layers.autoincreased_step_counter(step=0.5), InvalidTypeError),
        (lambda: layers.piecewise_decay([1, 2], [0.1, 0.2]), InvalidArgumentError),
        (lambda: layers.linear_lr_warmup("0.1", 3, 0.0, 0.1), InvalidTypeError),
    ],
)
def test_mistakes(fresh, make, error):
    with pytest.raises(error):
        make()


def test_a_condition_of_several_values_is_refused(fresh):
    x = fluid.data("x", [None])
    out = layers.create_global_var([1], 0.0, "float32", persistable=True)
    with layers.Switch() as switch:
        with switch.case(layers.less_than(x, layers.fill_constant([1], "float32", 0.0))):
            layers.assign(layers.fill_constant([1], "float32", 1.0), out)
    fresh.start()
    with pytest.raises(InvalidArgumentError, match="is not one value"):
        fresh.run({"x": np.zeros(2, np.float32)})


def test_one_counter_serves_two_schedules(fresh):
    a = layers.exponential_decay(0.1, 2, 0.5)
    b = layers.inverse_time_decay(0.1, 2, 0.5)
    fresh.start()
    found = np.array([fresh.run(fetch_list=[a, b]) for _ in range(3)])[..., 0]
    t = np.arange(3) / 2
    np.testing.assert_allclose(found, 0.1 * np.stack([0.5**t, 1 / (1 + 0.5 * t)], axis=1), rtol=1e-6)
    assert fresh.value("@LR_DECAY_COUNTER@") == [2]


def test_the_counter_goes_on_from_what_the_scope_holds(fresh):
    rate = layers.exponential_decay(0.1, 1, 0.5)
    fresh.start()
    fresh.set("@LR_DECAY_COUNTER@", np.array([9], np.int64))
    np.testing.assert_allclose(fresh.run(fetch_list=[rate]), [[0.1 * 0.5**10]], rtol=1e-6)


def test_an_evaluation_does_not_advance_the_schedule(fresh):
    loss = layers.mean(layers.fc(fluid.data("x", [None, 2]), 1))
    fluid.optimizer.SGD(layers.piecewise_decay([2], [0.1, 0.01])).minimize(loss)
    test = fresh.main.clone(for_test=True)
    fresh.start()
    x = {"x": np.ones((3, 2), np.float32)}
    for _ in range(3):
        fresh.exe.run(test, feed=x, fetch_list=[loss.name], scope=fresh.scope)
    assert fresh.value("@LR_DECAY_COUNTER@") == [-1]
    for _ in range(3):
        fresh.run(x)
    assert fresh.value("@LR_DECAY_COUNTER@") == [2]
    np.testing.assert_allclose(fresh.value("learning_rate"), [0.01])
