"""Checkpoints of tables of any ids: rows, states, ids that wait for entry; increments; damage."""

import json
import os
import zlib

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.contrib.layers import sparse_embedding
from fluidlite.entry import CountFilterEntry
from fluidlite.errors import EnforceNotMet
from fluidlite.hash_table import HashTable, TableState
from fluidlite.io import load_checkpoint, save_checkpoint

V, D = 1 << 40, 3
POOL = np.array([0, -1, -(1 << 63), (1 << 63) - 1, *range(7, 4000, 13)])


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "checkpoints")


OPTIMIZERS = {
    "lazy_adam": lambda: fluid.optimizer.Adam(0.1, lazy_mode=True),
    "sparse_adam": lambda: fluid.optimizer.SparseAdam(0.1),
    "adagrad": lambda: fluid.optimizer.Adagrad(0.1, initial_accumulator_value=0.5),
    "sgd": lambda: fluid.optimizer.SGD(0.1),
    # These move every live row in every step.
    "adam": lambda: fluid.optimizer.Adam(0.1),
    "momentum": lambda: fluid.optimizer.Momentum(0.1, 0.9),
    "rmsprop": lambda: fluid.optimizer.RMSProp(0.1, momentum=0.5, centered=True),
}


def model(fresh, name="lazy_adam", entry=None):
    fresh.startup.random_seed = 5
    ids = fluid.data("ids", [None, 1], "int64")
    table = fluid.ParamAttr("table", initializer=fluid.initializer.Uniform(-0.3, 0.3))
    if entry is None:
        rows = fluid.embedding(ids, [V, D], is_sparse=True, is_distributed=True, param_attr=table)
    else:
        rows = sparse_embedding(ids, [V, D], entry=entry, param_attr=table)
    loss = fluid.layers.reduce_mean(fluid.layers.square(fluid.layers.dropout(rows, 0.3)))
    OPTIMIZERS[name]().minimize(loss)
    return loss


def train(fresh, loss, n, start=0):
    return [
        fresh.run({"ids": np.random.default_rng(step).choice(POOL, (11, 1))}, [loss])[0].tobytes()
        for step in range(start, n)
    ]


def contents(scope):
    """Everything in the scope, tables by row number."""
    found = {}
    for name in scope.local_var_names():
        value = scope.find_var(name).cell.value
        if isinstance(value, HashTable):
            used = slice(1, len(value) + 1)
            waiting = value._waiting
            n = len(waiting.index) if waiting else 0
            order = np.argsort(waiting.names[1 : n + 1]) + 1 if n else []
            found[name] = [array[used].tobytes() for array in (value.names, value.seen, value.rows)]
            found[name] += [value.steps, value.places, value.misses, value.initializer]
            found[name] += [getattr(waiting, part)[order].tolist() for part in ("names", "counts", "seen")] if n else []
        elif isinstance(value, TableState):
            found[name] = value.live_rows()[1:].tobytes()
        elif value is not None:
            found[name] = value.tobytes()
    return found


@pytest.mark.parametrize("entry", [None, CountFilterEntry(2)], ids=["all ids", "ids seen twice"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_going_on_gives_the_same_bits(make_fresh, threads, folder, name, entry):
    with make_fresh() as one:
        loss = model(one, name, entry)
        one.start()
        for step in (0, 4, 9):
            train(one, loss, step, {0: 0, 4: 0, 9: 4}[step])
            save_checkpoint(one.exe, folder, step, incremental=True)
        saved = contents(one.scope)
        expected = train(one, loss, 20, 9)
        in_the_end = contents(one.scope)
    with make_fresh() as other:
        loss = model(other, name, entry)
        load_checkpoint(other.exe, folder)
        assert contents(other.scope) == saved
        assert train(other, loss, 20, 9) == expected
        assert contents(other.scope) == in_the_end


def _shrink(table, state):
    table.shrink(2)


def _erase(table, state):
    table.erase(table.ids[::3])


def _set(table, state):
    table.set([table.ids[0], 5, 6], np.full((3, D), 0.125))


def _set_state(table, state):
    state.set(table.ids[:4], np.full((4, D), 0.125))


def _set_and_erase(table, state):
    _set(table, state)
    _set_state(table, state)
    _erase(table, state)


def _load(table, state):
    state.load([(table.ids[-3:], np.full((3, D), 0.125))])
    table.load([(table.ids[:2], np.full((2, D), 0.25))], on_duplicate="replace")


def _nothing(table, state):
    pass


@pytest.mark.parametrize("change", [_shrink, _erase, _set, _set_state, _set_and_erase, _load, _nothing])
@pytest.mark.parametrize("loaded_before", [False, True])
@pytest.mark.parametrize("name", ["lazy_adam", "adam"])
def test_whatever_changes_a_table_is_in_the_next_increment(make_fresh, folder, change, loaded_before, name):
    with make_fresh() as one:
        loss = model(one, name)
        one.start()
        train(one, loss, 6)
        save_checkpoint(one.exe, folder, 6, incremental=True)
        if loaded_before:
            load_checkpoint(one.exe, folder)
        train(one, loss, 8, 6)
        change(one.scope.find_var("table").get_table(), one.scope.find_var("table_moment1_0").get_table())
        train(one, loss, 9, 8)
        save_checkpoint(one.exe, folder, 9, incremental=True)
        saved = contents(one.scope)
        expected = train(one, loss, 12, 9)
        load_checkpoint(one.exe, folder)
        assert contents(one.scope) == saved
        assert train(one, loss, 12, 9) == expected


def manifest_of(folder, step):
    with open(os.path.join(folder, f"checkpoint-{step}", "manifest.json")) as file:
        return json.load(file)


def test_an_increment_holds_the_rows_that_were_seen(fresh, folder):
    loss = model(fresh)
    fresh.start()
    fresh.run({"ids": np.arange(5000)[:, None]}, [loss])
    save_checkpoint(fresh.exe, folder, 0, incremental=True)
    fresh.run({"ids": np.array([[7], [3], [1 << 50], [7]])}, [loss])
    save_checkpoint(fresh.exe, folder, 1, incremental=True)
    entries = manifest_of(folder, 1)["variables"]
    assert entries["table"]["added"] and entries["table"]["parts"][-1] == ["float32", [3, D]]
    assert entries["table_moment1_0"]["parts"][-1] == ["float32", [3, D]] and entries["table"]["count"] == 5001


@pytest.mark.parametrize("name", ["adam", "momentum", "rmsprop"])
def test_an_increment_of_a_rule_that_moves_every_row_is_whole(fresh, folder, name):
    loss = model(fresh, name)
    fresh.start()
    fresh.run({"ids": np.arange(500)[:, None]}, [loss])
    save_checkpoint(fresh.exe, folder, 0, incremental=True)
    before = fresh.scope.find_var("table").get_table().lookup(np.arange(500))
    fresh.run({"ids": np.array([[7]])}, [loss])
    moved = (before != fresh.scope.find_var("table").get_table().lookup(np.arange(500))).any(axis=1)
    assert moved.sum() > 400
    save_checkpoint(fresh.exe, folder, 1, incremental=True)
    saved, entries = contents(fresh.scope), manifest_of(folder, 1)["variables"]
    assert not any(entry.get("added") for entry in entries.values())
    # Steps that touch nothing leave nothing to be written, and a table that was not trained has no new rows.
    save_checkpoint(fresh.exe, folder, 2, incremental=True)
    entries = manifest_of(folder, 2)["variables"]
    assert entries["table"]["added"] and entries["table"]["parts"][-1] == ["float32", [0, D]]
    load_checkpoint(fresh.exe, folder)
    assert contents(fresh.scope) == saved


def test_a_state_that_was_never_used(make_fresh, folder):
    with make_fresh() as one:
        loss = model(one, "adagrad")
        one.start()
        save_checkpoint(one.exe, folder, 0, incremental=True)
        expected = train(one, loss, 3)
        load_checkpoint(one.exe, folder)
        assert not len(one.scope.find_var("table").get_table())
        assert train(one, loss, 3) == expected


def test_the_table_alone(make_fresh, folder):
    """For prediction, a program without states."""
    with make_fresh() as one:
        loss = model(one)
        one.start()
        train(one, loss, 3)
        save_checkpoint(one.exe, folder, 3)
        table = one.scope.find_var("table").get_table()
        ids, rows = table.ids, table.lookup(table.ids)
        test_program = one.main.clone(for_test=True)
    scope = fluid.Scope()
    with pytest.warns(UserWarning, match="other ops"):
        load_checkpoint(fluid.Executor(), folder, test_program, scope=scope)
    np.testing.assert_array_equal(scope.find_var("table").get_table().lookup(ids), rows)


def _change(folder, step, change):
    manifest = manifest_of(folder, step)
    change(manifest["variables"])
    del manifest["checksum"]
    manifest["checksum"] = zlib.crc32(json.dumps(manifest, sort_keys=True).encode())
    with open(os.path.join(folder, f"checkpoint-{step}", "manifest.json"), "w") as file:
        json.dump(manifest, file)


LIES = {
    "count": lambda v: v["table"].update(count=v["table"]["count"] + 1),
    "2^60 rows": lambda v: v["table"].update(count=1 << 60),
    "height": lambda v: v["table"].update(shape=[1 << 41, D]),
    "width": lambda v: v["table"].update(shape=[V, D + 1]),
    "initializer": lambda v: v["table"].update(initializer=["exec", 0.0, 0.0, 0, 0]),
    "seed": lambda v: v["table"].update(initializer=["uniform", 0.0, 0.0, -1, 0]),
    "steps": lambda v: v["table"].update(steps=-1),
    "added": lambda v: v["table"].update(added=True),
    "added state": lambda v: v["table_moment1_0"].update(added=True),
    "no table": lambda v: v.pop("table"),
    "another table": lambda v: v["table_moment1_0"].update(table="table_moment2_0"),
    "a table that is not there": lambda v: v["table_moment1_0"].update(table=None),
    "initial": lambda v: v["table_moment1_0"].update(initial="0"),
}


@pytest.fixture
def saved(fresh, folder):
    loss = model(fresh)
    fresh.start()
    train(fresh, loss, 3)
    save_checkpoint(fresh.exe, folder, 3)
    train(fresh, loss, 4, 3)
    fresh.folder = folder
    return fresh


def refused(saved, match):
    before = contents(saved.scope)
    with pytest.raises(EnforceNotMet, match=match):
        load_checkpoint(saved.exe, saved.folder, step=3)
    assert contents(saved.scope) == before


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_lies(saved, lie):
    _change(saved.folder, 3, LIES[lie])
    refused(saved, "checkpoint-3")


def test_an_id_twice(saved):
    entry = manifest_of(saved.folder, 3)["variables"]["table"]
    path = os.path.join(saved.folder, "checkpoint-3", entry["file"])
    data = np.fromfile(path, np.uint8)
    data[8:16] = data[:8]
    data.tofile(path)
    manifest_path = os.path.join(saved.folder, "checkpoint-3", "manifest.json")
    manifest = manifest_of(saved.folder, 3)
    manifest["files"][entry["file"]]["crc32"] = zlib.crc32(data)
    with open(manifest_path, "w") as file:
        json.dump(manifest, file)
    _change(saved.folder, 3, lambda v: None)
    refused(saved, "(?s)table-0000.*is given twice")


def test_truncations(saved):
    for name in sorted(os.listdir(os.path.join(saved.folder, "checkpoint-3"))):
        path = os.path.join(saved.folder, "checkpoint-3", name)
        with open(path, "rb") as file:
            data = file.read()
        for n in range(0, len(data), max(1, len(data) // 50)):
            with open(path, "wb") as file:
                file.write(data[:n])
            refused(saved, name.replace(".", r"\."))
        with open(path, "wb") as file:
            file.write(data)
