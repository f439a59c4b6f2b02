"""fluid.contrib: shuffled batches, and the estimate of memory."""

import numpy as np
import pytest

import fluidlite as fluid


def shuffled(fresh_seed=None, count=3, n=40, scope=None, layers=1, **options):
    """What `count` runs of a new program give, its shuffle_batch layers side by side."""
    main, startup = fluid.Program(), fluid.Program()
    main.random_seed = fresh_seed or 0
    scope = scope or fluid.Scope()
    with fluid.program_guard(main, startup), fluid.unique_name.guard():
        x = fluid.data("x", [None, 3])
        outs = [fluid.contrib.layers.shuffle_batch(x, **options) for _ in range(layers)]
    exe = fluid.Executor()
    exe.run(startup, scope=scope)
    rows = np.arange(3 * n, dtype=np.float32).reshape(n, 3)
    return np.array([exe.run(main, feed={"x": rows}, fetch_list=outs, scope=scope) for _ in range(count)]), rows


def test_every_run_is_another_permutation():
    runs, rows = shuffled(count=4, layers=2)
    found = runs.reshape(8, *rows.shape)
    assert len({one.tobytes() for one in found}) == 8
    for one in found:
        np.testing.assert_array_equal(one[np.argsort(one[:, 0])], rows)


def test_a_seed_repeats_the_runs():
    for options in ({"seed": 5}, {"fresh_seed": 5}):
        first, _ = shuffled(**options)
        second, _ = shuffled(**options)
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(shuffled(seed=6)[0], first)


def test_every_place_is_equally_likely():
    """Of 500 permutations of 8 rows, how often each row comes first: 7 degrees of freedom, a fixed seed."""
    runs, rows = shuffled(seed=1, count=500, n=8)
    first = np.bincount((runs[:, 0, 0, 0] / 3).astype(int), minlength=8)
    assert ((first - 62.5) ** 2 / 62.5).sum() < 24.3  # one in a thousand


def test_the_seed_is_a_variable_and_goes_on(fresh):
    x = fluid.data("x", [None, 3])
    out = fluid.contrib.layers.shuffle_batch(x, seed=7)
    op = fluid.default_main_program().global_block().ops[-1]
    assert op.attr("startup_seed") == 7
    assert op.input("Seed") == op.output("SeedOut") == ["shuffle_batch_seed_0"]
    exe, rows = fluid.Executor(), np.arange(30, dtype=np.float32).reshape(10, 3)
    exe.run(fluid.default_startup_program())
    seed = fluid.global_scope().find_var("shuffle_batch_seed_0").get_tensor()
    runs = [exe.run(feed={"x": rows}, fetch_list=[out])[0] for _ in range(3)]
    assert np.array(seed) == 10
    seed.set(np.array([8]))
    np.testing.assert_array_equal(exe.run(feed={"x": rows}, fetch_list=[out])[0], runs[1])


def test_a_variable_as_seed(fresh):
    x, seed = fluid.data("x", [None, 3]), fluid.data("seed", [1], "int64")
    out = fluid.contrib.layers.shuffle_batch(x, seed=seed)
    exe, given = fluid.Executor(), np.array([3])
    feed = {"x": np.arange(30, dtype=np.float32).reshape(10, 3), "seed": given}
    value, after = exe.run(feed=feed, fetch_list=[out, seed])
    assert after == 4 and given == 3
    np.testing.assert_array_equal(value[np.argsort(value[:, 0])], feed["x"])
    assert not fluid.default_startup_program().global_block().ops


def test_the_gradient_goes_back_in_order(fresh):
    """LoD is kept; rows are those of the last dimension."""
    x = fluid.data("x", [None, 2, 3], lod_level=1)
    x.stop_gradient = False
    out = fluid.contrib.layers.shuffle_batch(x)
    weight = fluid.data("weight", [None, 2, 3])
    loss = fluid.layers.reduce_sum(fluid.layers.elementwise_mul(fluid.layers.square(out), weight))
    (grad,) = fluid.gradients(loss, x)
    assert out.lod_level == 1
    exe, rows = fluid.Executor(), np.arange(1, 31, dtype=np.float32).reshape(5, 2, 3)
    exe.run(fluid.default_startup_program())
    ones = np.ones_like(rows)
    feed = {"x": fluid.create_lod_tensor(rows, [[2, 0, 3]]), "weight": ones}
    value, given = exe.run(feed=feed, fetch_list=[out, grad], return_numpy=False)
    assert value.recursive_sequence_lengths() == [[2, 0, 3]]
    np.testing.assert_array_equal(np.array(given), 2 * rows)


def test_memory_usage():
    """What Fluid 1.8.5 says."""
    main = fluid.Program()
    with fluid.program_guard(main, fluid.Program()):
        fluid.layers.fc(fluid.data("x", [-1, 10]), 1000)
    assert fluid.contrib.memory_usage(main, 7) == pytest.approx((57.421875, 60.15625000000001, "KB"))
    assert fluid.contrib.memory_usage(main, 1000) == pytest.approx((8.0108642578125, 8.392333984375, "MB"))
    with pytest.raises(TypeError, match="requires Program as its Parameter"):
        fluid.contrib.memory_usage("x", 3)
    with pytest.raises(ValueError, match="batch size need to be positive"):
        fluid.contrib.memory_usage(main, 0)
    with fluid.program_guard(main, fluid.Program()):
        fluid.layers.relu(fluid.data("images", [-1, -1, 3]))
    with pytest.raises(ValueError, match="not known for a batch size"):
        fluid.contrib.memory_usage(main, 3)


def test_ctr_metric_bundle_wants_one_shape(fresh):
    with pytest.raises(ValueError, match="The shapes of 'p' and 'y' differ"):
        fluid.contrib.layers.ctr_metric_bundle(fluid.data("p", [None, 1]), fluid.data("y", [None, 2]))
    with pytest.raises(TypeError, match="float64"):
        fluid.contrib.layers.ctr_metric_bundle(fluid.data("q", [None, 1], "float64"), fluid.data("z", [None, 1]))
