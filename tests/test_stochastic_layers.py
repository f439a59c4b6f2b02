"""Dropout in programs: what changes from run to run, what repeats, and what a test does."""

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.scope import RANDOM_STEP

ONES = np.ones((40, 50), np.float32)


def program(*probabilities, random_seed=3, **options):
    """A program of one dropout for each probability, on one input; and its outputs."""
    main, startup = fluid.Program(), fluid.Program()
    main.random_seed = random_seed
    with fluid.program_guard(main, startup), fluid.unique_name.guard():
        x = fluid.data("x", [None, 50])
        outs = [fluid.layers.dropout(x, p, **options) for p in probabilities]
    return main, outs


def runs(main, outs, count=3, scope=None):
    exe, scope = fluid.Executor(), scope or fluid.Scope()
    return np.array([exe.run(main, feed={"x": ONES}, fetch_list=outs, scope=scope) for _ in range(count)])


@pytest.mark.parametrize("seed", [None, 5])
def test_every_run_and_every_layer_draws_another_mask(seed):
    masks = runs(*program(0.5, 0.5, seed=seed), count=4).reshape(8, -1)
    assert len({mask.tobytes() for mask in masks}) == 8
    correlation = np.corrcoef(masks) - np.eye(8)
    assert np.abs(correlation).max() < 5 / np.sqrt(ONES.size)  # the seed is fixed


def test_a_seed_repeats_the_runs():
    first = runs(*program(0.5))
    np.testing.assert_array_equal(runs(*program(0.5)), first)
    np.testing.assert_array_equal(runs(*program(0.5, random_seed=0, seed=3)), first)
    assert not np.array_equal(runs(*program(0.5, random_seed=4)), first)
    assert not np.array_equal(runs(*program(0.5, random_seed=0)), runs(*program(0.5, random_seed=0)))


@pytest.mark.parametrize("probability", [0.1, 0.6])
def test_the_share_of_zeros_and_the_mean(probability):
    """5 standard deviations, and a fixed seed."""
    deviation = np.sqrt(probability * (1 - probability) / (20 * ONES.size))
    for name, scale in (("downgrade_in_infer", 1), ("upscale_in_train", 1 / (1 - probability))):
        values = runs(*program(probability, dropout_implementation=name), count=20)
        kept = values != 0
        assert abs(kept.mean() - (1 - probability)) < 5 * deviation
        np.testing.assert_allclose(values[kept], scale, rtol=1e-6)


def test_the_gradient_has_the_mask_of_its_run(fresh):
    x = fluid.data("x", [None, 50])
    x.stop_gradient = False
    out = fluid.layers.dropout(x, 0.4, dropout_implementation="upscale_in_train")
    (grad,) = fluid.gradients(fluid.layers.reduce_sum(out), x)
    for _ in range(3):
        value, given = fresh.run({"x": ONES}, [out, grad])
        np.testing.assert_array_equal(given, value)
        assert 0.5 < (value == 0).mean() / 0.4 < 1.5


def test_a_test_draws_nothing():
    main, outs = program(0.25)
    scope, test = fluid.Scope(), main.clone(for_test=True)
    values = runs(test, [outs[0].name], scope=scope)
    np.testing.assert_allclose(values, 0.75)
    assert scope.find_var(RANDOM_STEP) is None
    np.testing.assert_array_equal(runs(*program(0.25, is_test=True)), values)
    upscaled, outs = program(0.25, dropout_implementation="upscale_in_train", is_test=True)
    np.testing.assert_array_equal(runs(upscaled, outs), 1)


@pytest.mark.parametrize(("name", "scale"), [("downgrade_in_infer", 0.75), ("upscale_in_train", 1.0)])
def test_a_test_has_a_gradient(fresh, name, scale):
    """Fluid refuses it; what is frozen may stand before what is trained."""
    x = fluid.data("x", [None, 50])
    x.stop_gradient = False
    out = fluid.layers.dropout(x, 0.25, is_test=True, dropout_implementation=name)
    (grad,) = fluid.gradients(fluid.layers.reduce_sum(out), x)
    np.testing.assert_array_equal(fresh.run({"x": ONES}, [grad])[0], np.full_like(ONES, scale))


@pytest.mark.parametrize("threads_used", [1, 2])
def test_the_mask_does_not_depend_on_threads(with_threads, threads_used):
    main, outs = program(0.5)
    feed = {"x": np.ones((3000, 50), np.float32)}
    with_threads(threads_used)
    (value,) = fluid.Executor().run(main, feed=feed, fetch_list=outs, scope=fluid.Scope())
    (first,) = fluid.Executor().run(main, feed={"x": ONES}, fetch_list=outs, scope=fluid.Scope())
    np.testing.assert_array_equal(value[:40], first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout_prob": 1.5}, "dropout_prob is no probability"),
        ({"dropout_prob": -0.1}, "dropout_prob is no probability"),
        ({"dropout_prob": float("nan")}, "dropout_prob is no probability"),
        ({"dropout_prob": 0.5, "dropout_implementation": "none"}, "no such dropout_implementation"),
    ],
)
def test_refusals(fresh, options, message):
    with pytest.raises(ValueError, match=message):
        fluid.layers.dropout(fluid.data("x", [None, 50]), **options)
    with pytest.raises(TypeError, match="must be Variable"):
        fluid.layers.dropout(ONES, 0.5)
    with pytest.raises(TypeError, match="int64"):
        fluid.layers.dropout(fluid.data("ids", [None, 1], "int64"), 0.5)
