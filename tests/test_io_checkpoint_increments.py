"""Increments of checkpoints: they hold what was written, are as small as that, and keep what they build on."""

import errno
import os
import tempfile

import checkpoint_models
import numpy as np
import pytest
from checkpoint_models import OPTIMIZERS, D, V, feeds, manifest_of, refuse, sizes, train, word_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fluidlite as fluid
from fluidlite.errors import UnavailableError
from fluidlite.io import checkpoint_write, load_checkpoint, save_checkpoint

small = checkpoint_models.small
folder = checkpoint_models.folder


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_increments_hold_what_was_written(make_fresh, small, threads, folder, name):
    saved = {}
    with make_fresh() as one:
        _, loss = word_model(one, name)
        one.start()
        for step in range(5):
            train(one, loss, step + 1, step)
            save_checkpoint(one.exe, folder, step, incremental=True, keep=None)
            saved[step] = one.snapshot()
        by_row = manifest_of(folder, 1)["variables"]["table"]["kind"] == "rows"
        assert by_row == (name not in ("adam", "momentum"))
        assert manifest_of(folder, 0)["base"] is None
    for step in saved:
        with make_fresh() as other:
            word_model(other, name)
            load_checkpoint(other.exe, folder, step=step)
            assert other.snapshot() == saved[step]


def test_an_increment_is_as_small_as_what_was_written(fresh, folder):
    ids = fluid.data("ids", [None], "int64")
    rows = fluid.embedding(ids, [1 << 16, 8], is_sparse=True, param_attr="table")
    other = fluid.embedding(ids, [1 << 16, 8], is_sparse=True, param_attr="frozen")
    loss = fluid.layers.reduce_sum(fluid.layers.square(rows)) + fluid.layers.reduce_sum(other)
    fluid.optimizer.SGD(0.1).minimize(loss, parameter_list=["table"])
    fresh.start()
    save_checkpoint(fresh.exe, folder, 0, incremental=True)
    fresh.run({"ids": np.arange(100)})
    save_checkpoint(fresh.exe, folder, 1, incremental=True)
    assert sizes(folder, 0) > 2 * (1 << 16) * 32
    assert sizes(folder, 1) < 100 * 40 + 1000
    entries = manifest_of(folder, 1)["variables"]
    assert entries["table"]["parts"][0] == ["int64", [100]] and entries["frozen"]["parts"][0] == ["int64", [0]]
    before = fresh.snapshot()
    fresh.run({"ids": np.arange(100)})
    load_checkpoint(fresh.exe, folder)
    assert fresh.snapshot() == before


def test_training_goes_on_in_increments(make_fresh, small, folder):
    """After a load, the next save adds to what was loaded."""
    with make_fresh() as one:
        _, loss = word_model(one)
        one.start()
        save_checkpoint(one.exe, folder, 0, incremental=True)
        train(one, loss, 1)
        save_checkpoint(one.exe, folder, 1, incremental=True)
    with make_fresh() as other:
        _, loss = word_model(other)
        load_checkpoint(other.exe, folder)
        train(other, loss, 2, 1)
        save_checkpoint(other.exe, folder, 2, incremental=True)
        assert manifest_of(folder, 2)["base"]["step"] == 1
        saved = other.snapshot()
        train(other, loss, 3, 2)
        load_checkpoint(other.exe, folder, step=2)
        assert other.snapshot() == saved


def _set(one, loss):
    one.set("table", np.full((V, D), 0.25, np.float32))


def _start_again(one, loss):
    one.start()


def _train_in_a_kid(one, loss):
    one.exe.run(one.main, feed=next(feeds(9, 8)), scope=one.kid)


def _train_in_a_new_kid(one, loss):
    one.exe.run(one.main, feed=next(feeds(9, 8)), scope=one.scope.new_scope())


def _train_by_another(one, loss):
    fluid.Executor().run(one.copy, feed=next(feeds(8, 7)), scope=one.scope)


def _load_variables(one, loss):
    with tempfile.TemporaryDirectory() as path:
        fluid.io.save_persistables(one.exe, path, one.main)
        train(one, loss, 3, 2)
        fluid.io.load_persistables(one.exe, path, one.main)


def _fail(one, loss):
    with pytest.raises(IndexError):
        one.run({"ids": np.array([V - 1, V])})


def _assign(one, loss):
    program = fluid.Program()
    with fluid.program_guard(program):
        table = program.global_block().create_parameter([V, D], "float32", name="table")
        fluid.layers.assign(fluid.layers.scale(table, 2.0), table)
    one.exe.run(program, scope=one.scope)


def _train(one, loss):
    train(one, loss, 5, 4)


def _save_elsewhere(one, loss):
    train(one, loss, 6, 5)
    with tempfile.TemporaryDirectory() as path:
        save_checkpoint(one.exe, path, 6, one.main)


ACTIONS = [
    _set,
    _start_again,
    _train_in_a_kid,
    _train_in_a_new_kid,
    _train_by_another,
    _load_variables,
    _fail,
    _assign,
    _train,
    _save_elsewhere,
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    rounds=st.lists(st.tuples(st.lists(st.sampled_from(ACTIONS), max_size=3), st.booleans()), min_size=2, max_size=5)
)
def test_whatever_writes_a_table_is_in_the_next_increment(make_fresh, small, rounds):
    with make_fresh() as one, tempfile.TemporaryDirectory() as folder:
        _, loss = word_model(one)
        one.copy, one.kid = one.main.clone(), one.scope.new_scope()
        one.start()
        one.exe.run(one.main, feed=next(feeds(9, 8)), scope=one.kid)
        saved = []
        for step, (actions, incremental) in enumerate(rounds):
            for action in actions:
                action(one, loss)
            save_checkpoint(one.exe, folder, step, one.main, keep=None, incremental=incremental)
            saved.append(one.snapshot())
        for step, expected in enumerate(saved):
            load_checkpoint(one.exe, folder, one.main, step=step)
            assert {name: value for name, value in one.snapshot().items() if name in expected} == expected


def test_keep(make_fresh, small, folder):
    with make_fresh() as one:
        _, loss = word_model(one)
        one.start()
        for step in range(5):
            save_checkpoint(one.exe, folder, step, keep=2)
        assert sorted(os.listdir(folder)) == ["checkpoint-3", "checkpoint-4"]
        # An increment needs the whole one below it, whatever `keep` says.
        save_checkpoint(one.exe, folder, 5, keep=1, incremental=True)
        for step in (6, 7):
            train(one, loss, step + 1, step)
            save_checkpoint(one.exe, folder, step, keep=1, incremental=True)
            assert manifest_of(folder, step)["base"]["step"] == step - 1
        assert sorted(os.listdir(folder)) == ["checkpoint-5", "checkpoint-6", "checkpoint-7"]
        save_checkpoint(one.exe, folder, 8, keep=1)
        assert os.listdir(folder) == ["checkpoint-8"]
        save_checkpoint(one.exe, folder, 9, keep=None, incremental=True)
        assert manifest_of(folder, 9)["base"]["step"] == 8


def test_a_chain_ends_when_it_is_as_large_as_its_beginning(fresh, small, folder, monkeypatch):
    monkeypatch.setattr(checkpoint_write, "_LONGEST_CHAIN", 7)
    _, loss = word_model(fresh)
    fresh.start()
    whole = []
    for step in range(40):
        train(fresh, loss, step % 2 + 1, step % 2)
        save_checkpoint(fresh.exe, folder, step, keep=None, incremental=True)
        if manifest_of(folder, step)["base"] is None:
            whole.append(step)
    gaps = np.diff(whole)
    assert 2 <= gaps.min() and gaps.max() <= 8
    load_checkpoint(fresh.exe, folder)


def test_a_failed_save_forgets_no_row(fresh, small, folder, monkeypatch):
    _, loss = word_model(fresh)
    fresh.start()
    save_checkpoint(fresh.exe, folder, 0, incremental=True)
    train(fresh, loss, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse(errno.ENOSPC))
        with pytest.raises(UnavailableError, match="No space left"):
            save_checkpoint(fresh.exe, folder, 1, incremental=True)
    train(fresh, loss, 2, 1)
    save_checkpoint(fresh.exe, folder, 2, incremental=True)
    assert manifest_of(folder, 2)["base"]["step"] == 0
    saved = fresh.snapshot()
    train(fresh, loss, 3, 2)
    load_checkpoint(fresh.exe, folder)
    assert fresh.snapshot() == saved
