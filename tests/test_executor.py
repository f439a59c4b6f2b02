"""Executor: what a run hands back, what it keeps, and what it forgets."""

import gc
import os
import select
import signal
import threading
import weakref

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.errors import UnavailableError

layers = fluid.layers
V, D = 11, 3


def word_model(optimizer=None):
    """ids (N, 1) -> loss, embedding and fc outputs."""
    ids = layers.data("ids", [1], dtype="int64")
    rows = layers.embedding(ids, [V, D], is_sparse=True, param_attr="table")
    out = layers.fc(rows, 2, param_attr="w", act="tanh")
    loss = layers.mean(layers.square(out))
    if optimizer is not None:
        optimizer.minimize(loss)
    return loss, rows, out


def ids_of(*numbers):
    return {"ids": np.array(numbers, np.int64).reshape(-1, 1)}


def test_results_come_in_the_order_of_the_fetch_list(fresh):
    loss, rows, out = word_model()
    fresh.start()
    feed = ids_of(3, 1, 4)
    shapes = [r.shape for r in fresh.run(feed, [out, loss, rows.name, loss])]
    assert shapes == [(3, 2), (1,), (3, 3), (1,)]
    assert fresh.run(feed, loss)[0].shape == (1,)
    assert fresh.run(feed, loss.name)[0].shape == (1,)
    assert fresh.run(feed, (loss, out))[1].shape == (3, 2)
    assert fresh.run(feed) == []


def test_the_default_main_program_and_global_scope_are_used(fresh):
    loss, _, _ = word_model()
    exe = fluid.Executor(fluid.CPUPlace())
    exe.run(fluid.default_startup_program())
    (one,) = exe.run(feed=ids_of(1, 2), fetch_list=[loss])
    np.testing.assert_array_equal(one, fresh.run(ids_of(1, 2), [loss])[0])


def test_optimizer_ops_in_the_fetch_list_are_left_out(fresh):
    loss, _, _ = word_model()
    ops, _ = fluid.optimizer.SGD(0.1).minimize(loss)
    fresh.start()
    assert len(fresh.run(ids_of(1, 2), [loss, *ops])) == 1


def test_fetched_arrays_are_the_users_own(fresh):
    loss, rows, out = word_model(fluid.optimizer.SGD(0.5))
    fresh.start()
    names = [rows, out, "table", "w", "w@GRAD", rows.name + "@GRAD"]
    first = fresh.run(ids_of(1, 2, 3), names)
    kept = [a.copy() for a in first]
    fresh.run(ids_of(4, 5, 6), names)
    for a, b in zip(first, kept, strict=True):
        np.testing.assert_array_equal(a, b)


def test_writing_into_fetched_arrays_changes_nothing(fresh, make_fresh):
    def losses(fresh, vandal):
        fresh.startup.random_seed = 3
        loss, rows, out = word_model(fluid.optimizer.SGD(0.5))
        fresh.start()
        names = [loss, rows, out, "table", "w", "w@GRAD", rows.name + "@GRAD"]
        found = []
        for _ in range(4):
            fetched = fresh.run(ids_of(1, 2, 1), names)
            found.append(fetched[0].item())
            if vandal:
                for array in fetched:
                    array[...] = np.nan
        return found

    with make_fresh() as other:
        undisturbed = losses(other, False)
    assert losses(fresh, True) == undisturbed


def test_fetching_the_same_variable_twice_gives_two_arrays(fresh):
    loss, _, out = word_model()
    fresh.start()
    one, two = fresh.run(ids_of(1, 2), [out, out])
    assert not np.shares_memory(one, two)


def test_a_sparse_gradient_is_fetched_as_selected_rows(fresh):
    word_model(fluid.optimizer.SGD(0.0))
    fresh.start()
    (grad,) = fresh.run(ids_of(5, 2, 5), ["table@GRAD"])
    assert isinstance(grad, fluid.SelectedRows)
    assert grad.rows.tolist() == [5, 2, 5]
    assert grad.height == V
    kept = grad.value.copy()
    fresh.run(ids_of(1, 1, 7), ["table@GRAD"])
    np.testing.assert_array_equal(grad.value, kept)
    assert grad.rows.tolist() == [5, 2, 5]


def test_a_sparse_and_a_dense_gradient_stand_for_the_same_array(fresh, make_fresh):
    found = {}
    for is_sparse in (True, False):
        with make_fresh() as one:
            one.startup.random_seed = 5
            ids = fluid.data("ids", [None, 2], "int64")
            rows = fluid.embedding(ids, [V, D], is_sparse=is_sparse, param_attr="table", padding_idx=4)
            fluid.append_backward(layers.mean(layers.square(rows)))
            one.start()
            (found[is_sparse],) = one.run({"ids": np.array([[3, 4], [3, 0], [10, 4]])}, ["table@GRAD"])
    np.testing.assert_allclose(found[True].to_dense(), found[False], rtol=1e-6)


def test_fetching_a_gradient_that_nothing_else_needs(fresh):
    x = fluid.data("x", [None, 3])
    x.stop_gradient = False
    y = layers.square(x)
    fluid.append_backward(layers.mean(y))
    fresh.start()
    x_grad, y_grad = fresh.run({"x": np.ones((2, 3), np.float32)}, ["x@GRAD", y.name + "@GRAD"])
    np.testing.assert_allclose(x_grad, np.full((2, 3), 2 / 6), rtol=1e-6)
    np.testing.assert_allclose(y_grad, np.full((2, 3), 1 / 6), rtol=1e-6)


def test_a_fetched_view_of_a_parameter_is_from_before_the_update(fresh):
    x = fluid.data("x", [None, 3])
    loss = layers.mean(layers.fc(x, 2, param_attr="w", bias_attr=False))
    view = layers.reshape(fresh.main.global_block().var("w"), [2, 3])
    fluid.optimizer.SGD(0.5).minimize(loss)
    fresh.start()
    before = fresh.value("w")
    (seen,) = fresh.run({"x": np.ones((2, 3), np.float32)}, [view])
    np.testing.assert_array_equal(seen, before.reshape(2, 3))


def test_an_op_after_the_update_reads_a_view_from_before_it(fresh):
    x = fluid.data("x", [None, 3])
    loss = layers.mean(layers.fc(x, 2, param_attr="w", bias_attr=False))
    view = layers.reshape(fresh.main.global_block().var("w"), [2, 3])
    fluid.optimizer.SGD(0.5).minimize(loss)
    late = layers.reduce_sum(view)
    fresh.start()
    before = fresh.value("w")
    (seen,) = fresh.run({"x": np.ones((2, 3), np.float32)}, [late])
    np.testing.assert_allclose(seen, before.sum(), rtol=1e-5)


def test_a_fetched_parameter_is_from_after_the_update(fresh):
    word_model(fluid.optimizer.SGD(0.5))
    fresh.start()
    (w,) = fresh.run(ids_of(1, 2), ["w"])
    np.testing.assert_array_equal(w, fresh.value("w"))


def test_lod_goes_through_embedding_and_fc_to_the_fetch(fresh):
    ids = layers.data("ids", [1], dtype="int64", lod_level=1)
    out = layers.fc(layers.embedding(ids, [V, D]), 2, act="relu")
    fresh.start()
    feed = {"ids": fluid.create_lod_tensor([[1, 2, 3], [4]], [[3, 1]])}
    (result,) = fresh.run(feed, [out], return_numpy=False)
    assert result.lod() == [[0, 3, 4]]
    assert np.array(result).shape == (4, 2)
    with pytest.raises(UnavailableError, match=f"'{out.name}'"):
        fresh.run(feed, [out])
    (result,) = fresh.run({"ids": fluid.create_lod_tensor([[1], [4, 2]], [[1, 2]])}, [out], return_numpy=False)
    assert result.lod() == [[0, 1, 3]]
    (plain,) = fresh.run(ids_of(1, 2), [out])
    assert plain.shape == (2, 2)


def test_an_unneeded_branch_needs_no_feed(fresh):
    x, y = fluid.data("x", [None, 2]), fluid.data("y", [None, 2])
    wanted = x * 2.0
    layers.mean(layers.fc(y, 3))
    (result,) = fresh.run({"x": [[1.0, 2.0]]}, [wanted])
    np.testing.assert_array_equal(result, [[2, 4]])


def test_persistable_counters_advance_although_nobody_fetches_them(fresh):
    x = fluid.data("x", [None, 2])
    counter = layers.create_global_var([1], 0, "float32", persistable=True, name="counter")
    layers.assign(counter + 1.0, output=counter)
    wanted = x * 2.0
    fresh.start()
    for _ in range(3):
        fresh.run({"x": [[1.0, 2.0]]}, [wanted])
    fresh.run()
    assert fresh.value("counter") == 4


def test_batches_of_changing_size_give_what_a_fresh_executor_gives(fresh):
    loss, rows, out = word_model(fluid.optimizer.SGD(0.0))
    fresh.start()
    names = [loss, rows, out, "w@GRAD", rows.name + "@GRAD"]
    rng = np.random.default_rng(0)
    for n in (4, 7, 2, 7, 1, 0, 9, 3):
        feed = {"ids": rng.integers(0, V, (n, 1))}
        mine = fresh.run(feed, names)
        theirs = fluid.Executor().run(fresh.main, feed=feed, fetch_list=names, scope=fresh.scope)
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.shape == b.shape


def test_several_programs_share_parameters_by_name(fresh):
    loss, _, _ = word_model(fluid.optimizer.SGD(0.5))
    test = fresh.main.clone(for_test=True)
    fresh.start()
    feed = ids_of(1, 2, 3)
    for _ in range(3):
        (tested,) = fresh.exe.run(test, feed=feed, fetch_list=[loss.name], scope=fresh.scope)
        (trained,) = fresh.run(feed, [loss])
        np.testing.assert_array_equal(tested, trained)
    before = fresh.snapshot()
    fresh.exe.run(test, feed=feed, fetch_list=[loss.name], scope=fresh.scope)
    assert fresh.snapshot() == before


def test_scopes_do_not_see_each_other(fresh):
    loss, _, _ = word_model(fluid.optimizer.SGD(0.5))
    one, two = fluid.Scope(), fluid.Scope()
    for scope in (one, two):
        fresh.exe.run(fresh.startup, scope=scope)
    np.testing.assert_array_equal(one.find_var("w").get_tensor(), two.find_var("w").get_tensor())
    for _ in range(3):
        fresh.exe.run(fresh.main, feed=ids_of(1, 2), scope=one)
    (untrained,) = fresh.exe.run(fresh.main, feed=ids_of(1, 2), fetch_list=[loss], scope=two)
    (trained,) = fresh.exe.run(fresh.main, feed=ids_of(1, 2), fetch_list=[loss], scope=one)
    assert trained < untrained
    assert fresh.scope.find_var("w") is None


def test_a_value_set_between_runs_is_seen(fresh):
    loss, rows, _ = word_model()
    fresh.start()
    fresh.run(ids_of(2), [rows])
    table = np.arange(V * D, dtype=np.float32).reshape(V, D)
    fresh.set("table", table)
    np.testing.assert_array_equal(fresh.run(ids_of(2), [rows])[0], table[2:3])
    fresh.set("table", table[:4])
    np.testing.assert_array_equal(fresh.run(ids_of(3), [rows])[0], table[3:4])
    with pytest.raises(IndexError):
        fresh.run(ids_of(4), [rows])


def test_a_value_of_another_dtype_is_refused_by_name(fresh):
    _, rows, _ = word_model()
    fresh.start()
    fresh.set("table", np.zeros((V, D)))
    with pytest.raises(TypeError, match="'table'") as caught:
        fresh.run(ids_of(2), [rows])
    assert (caught.value.expected, caught.value.actual) == ("float32", "float64")


def test_temporaries_are_not_found_in_the_scope(fresh):
    loss, rows, out = word_model()
    fresh.start()
    fresh.run(ids_of(2), [loss, rows])
    for variable in (loss, rows, out):
        assert fresh.scope.find_var(variable.name) is None


# What makes the temporary, of shape (2, 4), from x of shape (2, 4). A view is the interesting case.
TEMPORARIES = {
    "computed": lambda x: layers.tanh(x),
    "view of a temporary": lambda x: layers.reshape(x * 2.0, [0, 2, 2]),
    "slice of a temporary": lambda x: (x * 2.0)[:, 1:],
    "reversed temporary": lambda x: (x * 2.0)[::-1],
    "view of the feed": lambda x: layers.reshape(x, [0, 2, 2]),
    "view of a view": lambda x: layers.reshape(layers.reshape(x * 2.0, [0, 2, 2]), [0, 4]),
}


@pytest.mark.parametrize("make", TEMPORARIES.values(), ids=TEMPORARIES)
def test_a_persistable_temporary_is_right_after_the_run_and_owns_its_memory(fresh, make):
    x = fluid.data("x", [None, 4])
    kept = make(x)
    value = np.arange(8, dtype=np.float32).reshape(2, 4) / 8
    (expected,) = fresh.run({"x": value}, [kept])
    kept.persistable = True
    # Work after it, of the same size, that would gladly take its memory.
    out = layers.elementwise_add(layers.tanh(x * 3.0), layers.sigmoid(x * 5.0))
    fresh.run({"x": value}, [out])
    held = fresh.scope.find_var(kept.name).cell.value
    np.testing.assert_array_equal(held, expected)
    assert not np.shares_memory(held, value)
    fresh.run({"x": value + 1}, [out])
    np.testing.assert_array_equal(held, expected)


def test_a_persistable_temporary_can_be_read_by_another_program(fresh):
    y = fluid.data("x", [None, 2]) * 2.0
    y.persistable = True
    fresh.run({"x": [[1.0, 2.0]]})
    other = fluid.Program()
    with fluid.program_guard(other):
        again = other.global_block().create_var(name=y.name, shape=[-1, 2], dtype="float32", persistable=True)
        z = again + 1.0
    (result,) = fresh.exe.run(other, fetch_list=[z], scope=fresh.scope)
    np.testing.assert_array_equal(result, [[3, 5]])


def test_a_plan_is_made_once_for_each_program_version_and_kind_of_call(fresh):
    loss, rows, _ = word_model()
    fresh.start()
    plans = fresh.main._plans
    start = len(plans)
    fresh.run(ids_of(1, 2), [loss])
    assert len(plans) == start + 1
    first = list(plans.values())[-1]
    for n in (1, 5, 2):
        fresh.run(ids_of(*range(n)), [loss])
    assert list(plans.values())[-1] is first
    fresh.run(ids_of(1, 2), [rows])
    assert len(plans) == start + 2


def test_a_changed_program_gets_a_new_plan_and_loses_its_old_ones(fresh):
    loss, rows, _ = word_model()
    fresh.start()
    fresh.run(ids_of(1, 2), [loss])
    fresh.run(ids_of(1, 2), [rows])
    held = len(fresh.main._plans)
    twice = loss * 2.0
    before, after = fresh.run(ids_of(1, 2), [loss, twice])
    np.testing.assert_array_equal(before * 2, after)
    assert len(fresh.main._plans) == held - 1


def test_an_attribute_set_between_runs_is_seen(fresh):
    y = layers.scale(fluid.data("x", [None]), 2.0)
    assert fresh.run({"x": [1.0]}, [y])[0] == 2
    y.op._set_attr("scale", 5.0)
    assert fresh.run({"x": [1.0]}, [y])[0] == 5


def test_a_seed_set_between_runs_is_seen(fresh):
    layers.create_parameter([2, 3], "float32", name="w")
    fresh.start()
    fresh.startup.random_seed = 7
    fresh.start()
    mine = fresh.value("w")
    fluid.Executor().run(fresh.startup, scope=fresh.scope)
    np.testing.assert_array_equal(mine, fresh.value("w"))


def test_programs_and_scopes_that_are_gone_are_forgotten(fresh):
    def run_one():
        program, scope = fluid.Program(), fluid.Scope()
        with fluid.program_guard(program):
            y = fluid.data("x", [None]) * 2.0
        fresh.exe.run(program, feed={"x": [1.0]}, fetch_list=[y], scope=scope)
        return weakref.ref(program), weakref.ref(scope)

    refs = [run_one() for _ in range(5)]
    gc.collect()
    assert [ref() for pair in refs for ref in pair] == [None] * 10


def test_a_closed_executor_forgets_its_plans_and_runs_no_more(fresh):
    loss, _, _ = word_model()
    fresh.start()
    fresh.run(ids_of(1), [loss])
    fresh.exe.close()
    assert not fresh.main._plans and not fresh.startup._plans
    with pytest.raises(UnavailableError, match="closed Executor"):
        fresh.run(ids_of(1), [loss])
    fresh.exe.close()
    assert fluid.Executor().run(fresh.main, feed=ids_of(1), fetch_list=[loss], scope=fresh.scope)


def test_startup_again_resets_parameters_and_optimizer_state(fresh):
    word_model(fluid.optimizer.Adam(0.1, lazy_mode=True))
    fresh.start()
    before = fresh.snapshot()
    for _ in range(3):
        fresh.run(ids_of(1, 2, 1))
    changed = fresh.snapshot()
    assert {name for name in before if before[name] == changed[name]} == {"learning_rate_0"}
    fresh.start()
    assert fresh.snapshot() == before


def test_a_whole_training_repeats_bit_for_bit(make_fresh, with_threads):
    def train(threads):
        with_threads(threads)
        with make_fresh() as fresh:
            fresh.startup.random_seed = 11
            loss, _, _ = word_model(fluid.optimizer.Adam(0.1, lazy_mode=True))
            fresh.start()
            rng = np.random.default_rng(1)
            losses = [fresh.run({"ids": rng.integers(0, V, (n, 1))}, [loss])[0] for n in (5, 9, 2, 9, 30)]
            return np.concatenate(losses).tobytes(), fresh.snapshot()

    assert train(1) == train(1) == train(2)


def test_two_threads_with_an_executor_and_a_scope_each_give_what_one_after_the_other_gives(make_fresh):
    with make_fresh() as fresh:
        fresh.startup.random_seed = 11
        loss, _, _ = word_model(fluid.optimizer.Adam(0.1, lazy_mode=True))

        def train(seed, found):
            exe, scope = fluid.Executor(), fluid.Scope()
            exe.run(fresh.startup, scope=scope)
            rng = np.random.default_rng(seed)
            losses = []
            for _ in range(60):
                feed = {"ids": rng.integers(0, V, (int(rng.integers(1, 40)), 1))}
                losses += exe.run(fresh.main, feed=feed, fetch_list=[loss], scope=scope)
            table = np.array(scope.find_var("table").get_tensor())
            found[seed] = np.concatenate(losses).tobytes(), table.tobytes()

        alone, together = {}, {}
        for seed in (1, 2):
            train(seed, alone)
        threads = [threading.Thread(target=train, args=(seed, together)) for seed in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert alone == together
    assert alone[1] != alone[2]


def test_one_executor_can_be_used_from_two_threads(fresh):
    y = fluid.data("x", [None]) * 2.0
    wrong = []

    def work(number):
        for n in range(1, 100):
            (result,) = fresh.exe.run(
                fresh.main, feed={"x": np.full(n, number, np.float32)}, fetch_list=[y], scope=fresh.scope
            )
            if not np.array_equal(result, np.full(n, 2 * number)):
                wrong.append((number, n))

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_runs_programs(fresh, with_threads):
    """The child has none of the parent's threads, and goes on where the parent was."""
    with_threads(2)
    loss, _, _ = word_model()
    fresh.start()
    fresh.run(ids_of(*range(4)), [loss])
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        value = fresh.run(ids_of(1, 2, 3), [loss])[0].tobytes()
        os.write(write, value)
        os._exit(0)
    ready, _, _ = select.select([read], [], [], 60)
    if not ready:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert ready, "the child hangs"
    assert os.read(read, 100) == fresh.run(ids_of(1, 2, 3), [loss])[0].tobytes()
