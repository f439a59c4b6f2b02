"""Checkpoints: training goes on with the same bits, increments hold what was written, damage changes nothing."""

import contextlib
import errno
import json
import mmap
import os
import random
import resource
import shutil
import tempfile
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fluidlite as fluid
from fluidlite import tables
from fluidlite.errors import EnforceNotMet, InvalidArgumentError, InvalidTypeError, NotFoundError, UnavailableError
from fluidlite.io import (
    checkpoint_folder,
    checkpoint_values,
    checkpoint_write,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from fluidlite.selected_rows import SelectedRows
from fluidlite.tables import RowState

V, D = 211, 3


@pytest.fixture
def small(monkeypatch):
    """Tables of any size have a RowState and are written by rows."""
    monkeypatch.setattr(tables, "SMALLEST_STATE", 0)
    monkeypatch.setattr(checkpoint_values, "BY_ROWS_FROM", 0)


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "checkpoints")


OPTIMIZERS = {
    "lazy_adam": lambda rate: fluid.optimizer.Adam(rate, lazy_mode=True),
    "adam": lambda rate: fluid.optimizer.Adam(rate),
    "sparse_adam": lambda rate: fluid.optimizer.SparseAdam(rate),
    "sgd": lambda rate: fluid.optimizer.SGD(rate),
    "momentum": lambda rate: fluid.optimizer.Momentum(rate, 0.9),
    "lazy_rmsprop": lambda rate: fluid.optimizer.RMSProp(rate, momentum=0.5, centered=True, lazy_mode=True),
    "adagrad": lambda rate: fluid.optimizer.Adagrad(rate),
    "ftrl": lambda rate: fluid.optimizer.Ftrl(rate, l1=0.01),
}


def word_model(fresh, name="lazy_adam", table=True):
    """An embedding, dropout, a schedule: everything of which a training keeps some state."""
    fresh.startup.random_seed = 5
    ids = fluid.data("ids", [None], "int64")
    rows = fluid.layers.dropout(fluid.embedding(ids, [V, D], is_sparse=True, param_attr="table"), 0.3)
    if name == "sparse_adam":
        rows = fluid.layers.scale(rows, 1.5)
    else:
        rows = fluid.layers.fc(rows, 2, param_attr="dense", bias_attr="bias")
    loss = fluid.layers.reduce_mean(fluid.layers.square(rows))
    OPTIMIZERS[name](fluid.layers.exponential_decay(0.1, 3, 0.9)).minimize(loss)
    return ids, loss


def feeds(n, start=0):
    for step in range(start, n):
        yield {"ids": np.random.default_rng(step).integers(0, V, 11)}


def train(fresh, loss, n, start=0):
    return [fresh.run(feed, [loss])[0].tobytes() for feed in feeds(n, start)]


# ---------------------------------------------------------------------------------------------------------- going on


class Samples(fluid.io.Dataset):
    def __getitem__(self, i):
        return (np.array(i * 7 % V),)

    def __len__(self):
        return 90


def shuffled_loader(ids):
    return fluid.io.DataLoader(Samples(), [ids], fluid.CPUPlace(), batch_size=11, shuffle=True)


def take(fresh, loss, loader, n):
    """`n` steps over as many epochs as they take; the loop that was left stays open."""
    losses, epoch = [], getattr(fresh, "open_epoch", None)
    while len(losses) < n:
        epoch = iter(loader) if epoch is None else epoch
        for feed in epoch:
            losses.append(fresh.run(feed, [loss])[0].tobytes())
            if len(losses) == n:
                break
        else:
            epoch = None
    fresh.open_epoch = epoch
    return losses


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_going_on_gives_the_bits_of_never_having_stopped(make_fresh, small, threads, folder, name):
    random.seed(3)
    np.random.seed(4)
    with make_fresh() as one:
        ids, loss = word_model(one, name)
        one.start()
        loader = shuffled_loader(ids)
        take(one, loss, loader, 13)  # in the second epoch of 9 batches
        save_checkpoint(one.exe, folder, 13, readers=[loader])
        expected = take(one, loss, loader, 17)
        finally_ = one.snapshot()
        if name in ("lazy_adam", "sparse_adam", "lazy_rmsprop", "adagrad", "ftrl"):
            values = [v.cell.value for v in one.scope._vars.values()]
            assert any(isinstance(value, RowState) for value in values)
    random.seed(99)
    np.random.seed(99)
    with make_fresh() as other:
        ids, loss = word_model(other, name)
        loader = shuffled_loader(ids)
        assert load_checkpoint(other.exe, folder, readers=[loader]) == 13
        assert loader.state_dict()["epoch"] == 1 and loader.state_dict()["batch"] == 4
        assert take(other, loss, loader, 17) == expected
        assert other.snapshot() == finally_


def test_state_by_rows_comes_back_by_rows(make_fresh, small, folder):
    with make_fresh() as one:
        _, loss = word_model(one)
        one.start()
        train(one, loss, 3)
        save_checkpoint(one.exe, folder, 3)
        saved, store = one.snapshot(), one.scope.find_var("table_moment1_0").cell.value.store
    with make_fresh() as other:
        word_model(other)
        load_checkpoint(other.exe, folder)
        assert other.snapshot() == saved
        states = [other.scope.find_var(f"table_moment{k}_0").cell.value for k in (1, 2)]
        assert all(isinstance(state, RowState) for state in states)
        assert states[0].store is states[1].store and [state.column for state in states] == [0, 1]
        for part in ("slots", "data", "count"):
            np.testing.assert_array_equal(getattr(states[0].store, part), getattr(store, part))


def test_an_untouched_state_stays_empty(make_fresh, small, folder):
    with make_fresh() as one:
        word_model(one)
        one.start()
        save_checkpoint(one.exe, folder, 0)
        saved = one.snapshot()
        assert one.scope.find_var("table_moment1_0").cell.value.is_empty
    with make_fresh() as other:
        _, loss = word_model(other)
        load_checkpoint(other.exe, folder)
        assert other.snapshot() == saved and other.scope.find_var("table_moment1_0").cell.value.is_empty
        train(other, loss, 2)


def test_a_program_without_state_by_rows_gets_arrays(make_fresh, small, folder):
    with make_fresh() as one:
        _, loss = word_model(one)
        one.start()
        train(one, loss, 2)
        save_checkpoint(one.exe, folder, 2)
        expected = train(one, loss, 5, 2)
    with make_fresh() as other:
        _, loss = word_model(other)
        for name in ("table_moment1_0", "table_moment2_0"):
            other.main.global_block().var(name).row_state = False
        load_checkpoint(other.exe, folder)
        assert type(other.scope.find_var("table_moment1_0").cell.value) is np.ndarray
        assert train(other, loss, 5, 2) == expected


def test_the_random_seed(make_fresh, folder):
    with make_fresh() as one:
        _, loss = word_model(one, "sgd")
        one.start()
        train(one, loss, 2)
        save_checkpoint(one.exe, folder, 2)
        expected = train(one, loss, 4, 2)
    with make_fresh() as other:
        _, loss = word_model(other, "sgd")
        other.start()
        train(other, loss, 3)  # plans with another seed, and another number of draws
        load_checkpoint(other.exe, folder)
        assert train(other, loss, 4, 2) == expected
        assert other.main.drawn_seed == one.main.drawn_seed
    with make_fresh() as third:
        word_model(third, "sgd")
        third.main.random_seed = 8
        with pytest.warns(UserWarning, match="random_seed=8 and draws other numbers"):
            load_checkpoint(third.exe, folder)


def test_draws_that_never_were_are_taken_back(make_fresh, folder):
    with make_fresh() as one:
        _, loss = word_model(one, "sgd")
        one.start()
        save_checkpoint(one.exe, folder, 0)
        expected = train(one, loss, 3)
        load_checkpoint(one.exe, folder)
        assert train(one, loss, 3) == expected


def test_another_program(make_fresh, folder):
    with make_fresh() as one:
        _, loss = word_model(one)
        one.start()
        train(one, loss, 1)
        save_checkpoint(one.exe, folder, 1)
        table = one.value("table")
    with make_fresh() as other:
        fluid.embedding(fluid.data("ids", [None], "int64"), [V, D], param_attr="table")
        with pytest.warns(UserWarning, match="other ops, attributes or variables"):
            load_checkpoint(other.exe, folder)
        assert set(other.scope.local_var_names()) == {"table", "@RANDOM_STEP@"}
        assert other.value("table").tobytes() == table.tobytes()
    with make_fresh() as other:
        fluid.embedding(fluid.data("ids", [None], "int64"), [V + 1, D], param_attr="table")
        with pytest.raises(InvalidArgumentError, match=r"(?s)'table' does not fit.*\(212, 3\).*\(211, 3\)"):
            load_checkpoint(other.exe, folder)
        fluid.embedding(fluid.data("ids", [None], "int64"), [V, D], param_attr="tables")
        assert not other.scope.local_var_names()
    with make_fresh() as other:
        fluid.embedding(fluid.data("ids", [None], "int64"), [V, D], param_attr="tables")
        with pytest.raises(NotFoundError, match="(?s)'tables' is not in.*did you mean 'table'"):
            load_checkpoint(other.exe, folder)


def test_values_of_every_kind(fresh, folder):
    block = fresh.main.global_block()
    arrays = {
        "float64": np.linspace(0, 1, 6).reshape(2, 3),
        "int64": np.array([1 << 62, -1]),
        "int32": np.zeros((0, 3), np.int32),
        "bool": np.array([True, False, True]),
        "float32": np.asfortranarray(np.arange(35, dtype=np.float32).reshape(5, 7)),
    }
    for dtype, array in arrays.items():
        block.create_var(name=dtype, shape=array.shape, dtype=dtype, persistable=True)
        fresh.scope.var(dtype).cell.value = array
    block.create_var(name="sequences", shape=(-1, 2), dtype="float32", persistable=True, lod_level=2)
    sequences = fluid.LoDTensor(np.arange(10, dtype=np.float32).reshape(5, 2), [[0, 1, 3], [0, 2, 2, 5]])
    cell = fresh.scope.var("sequences").cell
    cell.value, cell.lod_offsets = sequences.value, sequences.lod_offsets
    block.create_var(
        name="rows", shape=(7, 2), dtype="float32", persistable=True, type=fluid.core.VarDesc.VarType.SELECTED_ROWS
    )
    fresh.scope.var("rows").cell.value = SelectedRows([5, 0, 5], np.ones((3, 2), np.float32), 7)
    save_checkpoint(fresh.exe, folder, 0)
    saved = fresh.snapshot()
    for name in fresh.scope.local_var_names():
        fresh.scope.find_var(name).cell.value, fresh.scope.find_var(name).cell.lod_offsets = None, ()
    load_checkpoint(fresh.exe, folder)
    assert fresh.snapshot() == saved
    for name, array in arrays.items():
        value = fresh.scope.find_var(name).cell.value
        assert value.dtype == array.dtype and value.shape == array.shape and value.flags.c_contiguous
    assert fresh.scope.find_var("sequences").cell.lod() == sequences.lod()
    rows = fresh.scope.find_var("rows").cell.value
    assert rows.rows.tolist() == [5, 0, 5] and rows.height == 7


# --------------------------------------------------------------------------------------------------------- increments


def sizes(folder, step):
    path = os.path.join(folder, f"checkpoint-{step}")
    return sum(os.path.getsize(os.path.join(path, name)) for name in os.listdir(path) if name != "manifest.json")


def manifest_of(folder, step):
    with open(os.path.join(folder, f"checkpoint-{step}", "manifest.json")) as file:
        return json.load(file)


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
        patch.setattr(os, "rename", _refuse(errno.ENOSPC))
        with pytest.raises(UnavailableError, match="No space left"):
            save_checkpoint(fresh.exe, folder, 1, incremental=True)
    train(fresh, loss, 2, 1)
    save_checkpoint(fresh.exe, folder, 2, incremental=True)
    assert manifest_of(folder, 2)["base"]["step"] == 0
    saved = fresh.snapshot()
    train(fresh, loss, 3, 2)
    load_checkpoint(fresh.exe, folder)
    assert fresh.snapshot() == saved


# ------------------------------------------------------------------------------------------------------------- damage


@pytest.fixture
def chain(fresh, small, folder):
    """Checkpoints 0 (whole), 1 and 2 (rows), 3 (whole), and a scope that has gone on."""
    _, loss = word_model(fresh)
    fresh.start()
    fresh.saved = {}
    for step in range(4):
        train(fresh, loss, step + 1, step)
        save_checkpoint(fresh.exe, folder, step, incremental=step < 3, keep=None)
        fresh.saved[step] = fresh.snapshot()
    train(fresh, loss, 5, 4)
    fresh.folder = folder
    return fresh


def _refused(chain, step=None, error=EnforceNotMet, match=None):
    before, version = chain.snapshot(), chain.main._version
    with pytest.raises(error, match=match) as caught:
        load_checkpoint(chain.exe, chain.folder, step=step)
    assert chain.snapshot() == before and chain.main._version == version
    return str(caught.value)


def _change_manifest(folder, step, change):
    path = os.path.join(folder, f"checkpoint-{step}", "manifest.json")
    manifest = manifest_of(folder, step)
    change(manifest)
    del manifest["checksum"]
    manifest["checksum"] = zlib.crc32(json.dumps(manifest, sort_keys=True).encode())
    with open(path, "w") as file:
        json.dump(manifest, file)


def test_every_truncation(chain):
    path = os.path.join(chain.folder, "checkpoint-3")
    for name in os.listdir(path):
        file = os.path.join(path, name)
        with open(file, "rb") as f:
            data = f.read()
        for n in range(0, len(data), max(1, len(data) // 200)):
            with open(file, "wb") as f:
                f.write(data[:n])
            text = _refused(chain, 3, match=name.replace(".", r"\."))
            assert "step=2 is complete" in text
        with open(file, "wb") as f:
            f.write(data + b"\0")
        _refused(chain, 3)
        os.remove(file)
        _refused(chain, 3, NotFoundError, name)
        with open(file, "wb") as f:
            f.write(data)
    load_checkpoint(chain.exe, chain.folder, step=3)
    assert chain.snapshot() == chain.saved[3]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    step=st.sampled_from([0, 1, 2, 3]),
    name=st.sampled_from(["values", "manifest.json"]),
    place=st.floats(0, 1),
    change=st.integers(1, 255),
)
def test_flipped_bytes(chain, step, name, place, change):
    path = os.path.join(chain.folder, f"checkpoint-{step}", name)
    with open(path, "rb") as file:
        data = bytearray(file.read())
    good = bytes(data)
    data[int(place * (len(data) - 1))] ^= change
    with open(path, "wb") as file:
        file.write(data)
    try:
        before = chain.snapshot()
        for above in range(step, 3 if step < 3 else 4):
            try:
                load_checkpoint(chain.exe, chain.folder, step=above)
            except EnforceNotMet:
                assert chain.snapshot() == before
            else:
                # Spaces between the words of a manifest, or a link that does not read this file.
                assert chain.snapshot() == chain.saved[above]
                before = chain.snapshot()
    finally:
        with open(path, "wb") as file:
            file.write(good)


def _first(manifest, kind="tensor"):
    return next(entry for entry in manifest["variables"].values() if entry["kind"] == kind)


LIES = {
    "a path that escapes": lambda m: m["files"].update({"../values": m["files"].pop("values")}),
    "an absolute path": lambda m: m["files"].update({"/etc/passwd": m["files"].pop("values")}),
    "the manifest itself": lambda m: m["files"].update({"manifest.json": m["files"].pop("values")}),
    "a size": lambda m: m["files"]["values"].update(size=m["files"]["values"]["size"] + 1),
    "a negative size": lambda m: m["files"]["values"].update(size=-1),
    "a sum": lambda m: m["files"]["values"].update(crc32=m["files"]["values"]["crc32"] ^ 1),
    "2^60 elements": lambda m: _first(m)["parts"][0].__setitem__(1, [1 << 60]),
    "2^60 rows of nothing": lambda m: _first(m)["parts"][0].__setitem__(1, [1 << 60, 0]),
    "a negative dimension": lambda m: _first(m)["parts"][0].__setitem__(1, [-1]),
    "33 dimensions": lambda m: _first(m)["parts"][0].__setitem__(1, [1] * 33),
    "an unknown dtype": lambda m: _first(m)["parts"][0].__setitem__(0, "object"),
    "an offset": lambda m: _first(m).update(offset=_first(m)["offset"] + 1),
    "no parts": lambda m: _first(m).update(parts=[]),
    "an unknown kind": lambda m: _first(m).update(kind="pickle"),
    "no variable": lambda m: m["variables"].pop("table"),
    "a tall state": lambda m: _first(m, "row_state").update(shape=[1 << 40, D]),
    "a tall store": lambda m: m["stores"]["table_moment1_0"].update(height=1 << 40),
    "a store of more lines": lambda m: m["stores"]["table_moment1_0"].update(count=V),
    "a store that is not there": lambda m: _first(m, "row_state").update(store="w"),
    "a column": lambda m: _first(m, "row_state").update(column=7),
    "a column of a name": lambda m: _first(m, "row_state").update(column="1"),
    "an added store without a base": lambda m: m["stores"]["table_moment1_0"].update(added=True),
    "rows without a base": lambda m: m["variables"]["table"].update(kind="rows", shape=[V, D]),
    "another step": lambda m: m.update(step=1),
    "a step that is a list": lambda m: m.update(step=[]),
    "a base above": lambda m: m.update(base={"step": 9, "id": ""}),
    "a base that is itself": lambda m: m.update(base={"step": 3, "id": m["id"]}),
    "a base without an id": lambda m: m.update(base={"step": 2}),
    "another format": lambda m: m.update(format="zip"),
    "another version": lambda m: m.update(version=2),
    "no seed": lambda m: m.pop("seed"),
    "no files": lambda m: m.update(files=[]),
    "variables that are a list": lambda m: m.update(variables=[]),
    "readers with an array": lambda m: m.update(readers=[{"@array": 0}]),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_lies(chain, lie):
    _change_manifest(chain.folder, 3, LIES[lie])
    text = _refused(chain, 3)
    assert "checkpoint-3" in text and "step=2 is complete" in text


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"null", b"[" * 100_000, b"\xff", b"9" * 10_000, b'{"format": NaN}']
)
def test_no_manifest(chain, text):
    with open(os.path.join(chain.folder, "checkpoint-3", "manifest.json"), "wb") as file:
        file.write(text)
    _refused(chain, 3, InvalidArgumentError, "manifest.json")


def _rewrite(folder, step, name, part, change):
    """Change the numbers of a part of an entry, and the sum of the file."""
    manifest = manifest_of(folder, step)
    entry = manifest["variables"].get(name) if name == "table" else manifest["stores"][name]
    start = entry["offset"] + sum(
        int(np.prod(shape)) * np.dtype(dtype).itemsize for dtype, shape in entry["parts"][:part]
    )
    path = os.path.join(folder, f"checkpoint-{step}", entry["file"])
    data = np.fromfile(path, np.uint8)
    dtype, shape = entry["parts"][part]
    numbers = data[start : start + int(np.prod(shape)) * np.dtype(dtype).itemsize].view(dtype)
    change(numbers)
    data.tofile(path)
    _change_manifest(folder, step, lambda m: m["files"][entry["file"]].update(crc32=zlib.crc32(data)))


@pytest.mark.parametrize("value", [-1, V, 1 << 30])
@pytest.mark.parametrize(("name", "part"), [("table", 0), ("table_moment1_0", 0), ("table_moment1_0", 1)])
def test_numbers_out_of_range(chain, name, part, value):
    def change(numbers):
        numbers[0] = value

    _rewrite(chain.folder, 1, name, part, change)
    _refused(chain, 1, InvalidArgumentError, "out of range")


def test_two_rows_of_one_line(chain):
    """Threads would write to the same memory."""

    def change(numbers):
        numbers[0] = numbers[1]

    _rewrite(chain.folder, 1, "table_moment1_0", 1, change)
    _refused(chain, 1, InvalidArgumentError, "do not belong together")


def test_a_broken_link_names_the_file_and_what_is_complete(chain):
    file = os.path.join(chain.folder, "checkpoint-0", "values")
    os.rename(file, file + "-away")
    text = _refused(chain, 2, NotFoundError, r"(?s)Checkpoint 1 .*since step 0.*checkpoint-0/values'")
    assert "step=3 is complete" in text
    os.rename(file + "-away", file)
    os.rename(os.path.join(chain.folder, "checkpoint-1"), os.path.join(chain.folder, "away"))
    _refused(chain, 2, NotFoundError, "Checkpoint 2 .*since step 1.*is broken: There is no checkpoint of step 1")
    shutil.copytree(os.path.join(chain.folder, "away"), os.path.join(chain.folder, "checkpoint-1"))
    _change_manifest(chain.folder, 1, lambda m: m.update(id="other"))
    _refused(chain, 2, InvalidArgumentError, "another checkpoint of that step")


def test_the_newest_complete_one_is_loaded(chain):
    os.remove(os.path.join(chain.folder, "checkpoint-3", "values"))
    assert latest_checkpoint(chain.folder) == 2
    with pytest.warns(UserWarning, match="checkpoint 3 .*passed over: .*values' does not exist"):
        assert load_checkpoint(chain.exe, chain.folder) == 2
    assert chain.snapshot() == chain.saved[2]
    os.remove(os.path.join(chain.folder, "checkpoint-0", "manifest.json"))
    assert latest_checkpoint(chain.folder) is None
    text = _refused(chain, None, NotFoundError, "no complete checkpoint")
    assert all(f"checkpoint {step}" in text for step in range(4))


def test_an_incomplete_one_makes_room(chain):
    os.remove(os.path.join(chain.folder, "checkpoint-3", "values"))
    save_checkpoint(chain.exe, chain.folder, 3)
    saved = chain.snapshot()
    chain.start()
    load_checkpoint(chain.exe, chain.folder)
    assert chain.snapshot() == saved


def test_nothing_there(fresh, folder):
    fluid.layers.create_parameter([2, 3], "float32", name="w")
    assert latest_checkpoint(folder) is None
    for path in (folder, os.path.dirname(folder)):
        with pytest.raises(NotFoundError, match="(?s)no complete checkpoint.*latest_checkpoint"):
            load_checkpoint(fresh.exe, path)
    with pytest.raises(NotFoundError, match="There is no checkpoint of step 4"):
        load_checkpoint(fresh.exe, folder, step=4)
    assert not fresh.scope.local_var_names()


# -------------------------------------------------------------------------------------------- what the system refuses


def _refuse(number):
    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.fixture
def one_saved(fresh, folder):
    _, loss = word_model(fresh)
    fresh.start()
    train(fresh, loss, 2)
    save_checkpoint(fresh.exe, folder, 2)
    fresh.saved, fresh.folder = fresh.snapshot(), folder
    train(fresh, loss, 3, 2)
    return fresh


def _check_intact(fresh):
    assert os.listdir(fresh.folder) == ["checkpoint-2"]
    load_checkpoint(fresh.exe, fresh.folder)
    assert fresh.snapshot() == fresh.saved


@pytest.mark.parametrize("function", ["fsync", "rename", "mkdir"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES])
def test_the_system_refuses(one_saved, monkeypatch, function, number):
    with monkeypatch.context() as patch:
        patch.setattr(os, function, _refuse(number))
        with pytest.raises(UnavailableError, match=f"(?s)could not be saved.*{os.strerror(number)}.*is that of step 2"):
            save_checkpoint(one_saved.exe, one_saved.folder, 3)
    _check_intact(one_saved)


@pytest.mark.parametrize("limit", [0, 1, 1000, 3000])
def test_a_file_that_may_not_grow(one_saved, limit):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(UnavailableError, match="(?s)could not be saved.*File too large"):
            save_checkpoint(one_saved.exe, one_saved.folder, 3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    _check_intact(one_saved)


@contextlib.contextmanager
def _nobody(folder):
    """As a user who may read the folder alone."""
    os.chmod(folder, 0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(0)
        os.chmod(folder, 0o755)


def test_a_folder_that_may_not_be_written(one_saved):
    path = tempfile.mkdtemp()  # not below a folder that only this user may enter
    os.rename(os.path.join(one_saved.folder, "checkpoint-2"), os.path.join(path, "checkpoint-2"))
    one_saved.folder = path
    try:
        with _nobody(path), pytest.raises(UnavailableError, match="(?s)could not be saved.*Permission denied"):
            save_checkpoint(one_saved.exe, path, 3)
        _check_intact(one_saved)
    finally:
        shutil.rmtree(path)


def test_a_folder_that_is_none(one_saved, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UnavailableError, match="could not be saved"):
            save_checkpoint(one_saved.exe, path, 3)
    with pytest.raises(UnavailableError, match="embedded null"):
        save_checkpoint(one_saved.exe, "a\0b", 3)


def test_a_folder_that_somebody_saves_to(one_saved):
    with (
        checkpoint_folder.locked(one_saved.folder),
        pytest.raises(UnavailableError, match="Another process or thread is saving"),
    ):
        save_checkpoint(one_saved.exe, one_saved.folder, 3)
    _check_intact(one_saved)
    save_checkpoint(one_saved.exe, one_saved.folder, 3)


def test_what_killed_saves_left_is_removed(one_saved):
    os.mkdir(os.path.join(one_saved.folder, ".saving-0123"))
    with open(os.path.join(one_saved.folder, ".saving-0123", "values"), "wb") as file:
        file.write(b"x")
    with open(os.path.join(one_saved.folder, "notes.txt"), "wb") as file:
        file.write(b"mine")
    save_checkpoint(one_saved.exe, one_saved.folder, 3)
    assert sorted(os.listdir(one_saved.folder)) == ["checkpoint-2", "checkpoint-3", "notes.txt"]


def test_saving_takes_no_second_copy(fresh, folder):
    fluid.layers.create_parameter(
        [1 << 20, 16], "float32", name="w", default_initializer=fluid.initializer.Constant(2.0)
    )
    fresh.start()
    tracemalloc.start()
    try:
        save_checkpoint(fresh.exe, folder, 0)
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()
    assert sizes(folder, 0) == 64 << 20


@pytest.mark.parametrize(
    ("call", "error", "why"),
    [
        (lambda f: save_checkpoint(f.folder, f.exe, 3), InvalidTypeError, "executor comes first"),
        (lambda f: save_checkpoint(f.exe, f.folder, 2), InvalidArgumentError, "(?s)has one of step 2.*a step above 2"),
        (lambda f: save_checkpoint(f.exe, f.folder, 1), InvalidArgumentError, "folder of its own"),
        (lambda f: save_checkpoint(f.exe, f.folder, -1), InvalidArgumentError, "no step number"),
        (lambda f: save_checkpoint(f.exe, f.folder, True), InvalidArgumentError, "no step number"),
        (lambda f: save_checkpoint(f.exe, f.folder, "3"), InvalidArgumentError, "no step number"),
        (lambda f: save_checkpoint(f.exe, f.folder, 3, keep=0), InvalidArgumentError, "int >= 1"),
        (lambda f: save_checkpoint(f.exe, f.folder, 3, "main"), InvalidTypeError, "fluid.Program"),
        (lambda f: save_checkpoint(f.exe, f.folder, 3, scope="s"), InvalidTypeError, "not a Scope"),
        (lambda f: save_checkpoint(f.exe, f.folder, 3, readers=[3]), InvalidTypeError, "has no position"),
        (lambda f: save_checkpoint(f.exe, f.folder, 3, scope=fluid.Scope()), UnavailableError, "startup program first"),
        (lambda f: load_checkpoint(f.folder, f.exe), InvalidTypeError, "executor comes first"),
        (lambda f: load_checkpoint(f.exe, f.folder, step=-1), InvalidArgumentError, "no step number"),
        (
            lambda f: load_checkpoint(f.exe, f.folder, readers=[fluid.DatasetFactory().create_dataset()]),
            InvalidArgumentError,
            "(?s)does not fit the readers.*0 readers.*1 readers",
        ),
    ],
)
def test_wrong_calls(one_saved, call, error, why):
    before = one_saved.snapshot()
    with pytest.raises(error, match=why):
        call(one_saved)
    assert one_saved.snapshot() == before
    _check_intact(one_saved)


def test_large_tables_in_files(make_fresh, folder, tmp_path):
    """FLAGS_table_mmap_dir: what is loaded lies in a file as well."""
    with make_fresh() as one:
        rows = fluid.embedding(fluid.data("ids", [None], "int64"), [1 << 21, 8], is_sparse=True, param_attr="table")
        fluid.optimizer.SparseAdam(0.1).minimize(fluid.layers.reduce_sum(rows))
        one.start()
        one.run({"ids": np.array([3, 5, (1 << 21) - 1])})
        save_checkpoint(one.exe, folder, 1)
        (tmp_path / "map").mkdir()
        fluid.set_flags({"FLAGS_table_mmap_dir": str(tmp_path / "map")})
        try:
            scope = fluid.Scope()
            load_checkpoint(one.exe, folder, scope=scope)
            table = scope.find_var("table").cell.value
            assert table.tobytes() == one.value("table").tobytes()
            memory = table
            while isinstance(memory, np.ndarray | memoryview):
                memory = memory.base if isinstance(memory, np.ndarray) else memory.obj
            assert isinstance(memory, mmap.mmap)
            for where in (scope, one.scope):
                one.exe.run(one.main, feed={"ids": np.array([3, 4])}, scope=where)
            np.testing.assert_array_equal(table[:6], one.value("table")[:6])
        finally:
            fluid.set_flags({"FLAGS_table_mmap_dir": ""})


def test_numbers_of_numpy_and_paths(fresh, tmp_path):
    fluid.layers.create_parameter([2, 3], "float32", name="w")
    fresh.start()
    assert save_checkpoint(fresh.exe, tmp_path / "c", np.int64(7)) == str(tmp_path / "c" / "checkpoint-7")
    assert load_checkpoint(fresh.exe, tmp_path / "c", fluid.CompiledProgram(fresh.main)) == 7
