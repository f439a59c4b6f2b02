"""Files in Fluid's formats of tables that ranks share, written as a whole and loaded by what each rank owns."""

import contextlib
import os

import io_ranks
import numpy as np
import pytest
from io_ranks import Ranks, others_of

import fluidlite as fluid
from fluidlite import exchange
from fluidlite.distributed import owner_of
from fluidlite.errors import EnforceNotMet, UnavailableError
from fluidlite.io import (
    load_checkpoint,
    save_checkpoint,
    sharded,
)

as_ranks = io_ranks.as_ranks
folder = io_ranks.folder
ranks = io_ranks.ranks


def as_one(ranks):
    """The scope that one process would have: all rows, in the order in which they are written."""
    scope = fluid.Scope()
    with fluid.scope_guard(scope):
        ranks.fresh.exe.run(ranks.fresh.startup)
    for name, data in others_of(ranks.scopes[0]).items():
        cell = scope.var(name).cell
        like = ranks.scopes[0].find_var(name).cell.value
        cell.value = np.frombuffer(data, like.dtype).reshape(like.shape).copy()
    for name in ("table", "table_moment1_0", "table_moment2_0"):
        for one in ranks.scopes:
            scope.find_var(name).get_table().load(one.find_var(name).get_table().slabs())
    return scope


def files_in(folder):
    found = {}
    for root, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(root, name), "rb") as file:
                found[os.path.relpath(os.path.join(root, name), folder)] = file.read()
    return found


@contextlib.contextmanager
def scope_of(scope):
    with fluid.scope_guard(scope):
        yield


def saved_by_ranks(as_ranks, ranks, call, alone):
    """What `call()` gives on the rank that calls it, while the others serve."""

    def save(job):
        return call() if job.rank == alone else job.serve()

    with scope_of(ranks.scopes[alone]):  # of all threads; the others have their own in the job
        return as_ranks(ranks.fresh.main, ranks.scopes, save)


@pytest.mark.parametrize("filename", [None, "all"])
def test_one_rank_writes_what_one_process_would(ranks, as_ranks, tmp_path, monkeypatch, filename):
    monkeypatch.setattr(sharded, "_SLAB", 100)
    fresh, folders = ranks.fresh, [str(tmp_path / name) for name in "ab"]
    with scope_of(as_one(ranks)):
        fluid.io.save_persistables(fresh.exe, folders[0], fresh.main, filename)
    call = lambda: sharded.save_persistables(fresh.exe, folders[1], fresh.main, filename)  # noqa: E731
    assert saved_by_ranks(as_ranks, ranks, call, alone=0) == [None] * 3
    assert files_in(folders[1]) == files_in(folders[0])
    # A process of its own, and ranks, load it.
    with fluid.scope_guard(fluid.Scope()) as _:
        fresh.exe.run(fresh.startup)
        fluid.io.load_persistables(fresh.exe, folders[1], fresh.main, filename)
        got = fluid.global_scope().find_var("table").get_table()
        assert got.share is None and len(got) == sum(len(s.find_var("table").get_table()) for s in ranks.scopes)


@pytest.mark.parametrize("alone", [0, 2])
def test_a_model_for_inference(ranks, as_ranks, tmp_path, alone):
    fresh, folders = ranks.fresh, [str(tmp_path / name) for name in "ab"]
    target = fresh.main.global_block().var("dropout_0.tmp_0")
    one = as_one(ranks)
    for name, data in others_of(ranks.scopes[alone]).items():
        like = one.find_var(name).cell.value
        one.find_var(name).cell.value = np.frombuffer(data, like.dtype).reshape(like.shape)
    with scope_of(one):
        names = fluid.io.save_inference_model(folders[0], ["ids"], [target], fresh.exe, fresh.main)
    call = lambda: sharded.save_inference_model(folders[1], ["ids"], [target], fresh.exe, fresh.main)  # noqa: E731
    assert saved_by_ranks(as_ranks, ranks, call, alone)[alone] == names
    found, expected = files_in(folders[1]), files_in(folders[0])
    assert found.keys() == expected.keys() and found["__model__"] == expected["__model__"]
    assert found == expected


def test_errors_of_the_rank_that_writes(ranks, as_ranks, tmp_path):
    (tmp_path / "file").write_text("no folder")
    fresh = ranks.fresh
    call = lambda: sharded.save_persistables(fresh.exe, str(tmp_path / "file"), fresh.main)  # noqa: E731
    error, *others = saved_by_ranks(as_ranks, ranks, call, alone=0)
    assert isinstance(error, UnavailableError) and "could not be saved" in str(error) and others == [None, None]
    ranks.scopes[1].find_var("table").get_table().share = None
    call = lambda: sharded.save_persistables(fresh.exe, str(tmp_path / "new"), fresh.main)  # noqa: E731
    error, *others = saved_by_ranks(as_ranks, ranks, call, alone=0)
    assert isinstance(error, EnforceNotMet) and "rank 1 has no rows of it" in str(error) and others == [None, None]
    assert not os.path.exists(tmp_path / "new") or not files_in(tmp_path / "new")


def _save_vars(fresh, path):
    fluid.io.save_vars(fresh.exe, path, fresh.main, vars=["table"])


def _save_state(fresh, path):
    fluid.io.save_vars(fresh.exe, path, fresh.main, vars=["table_moment1_0"])


def _save(fresh, path):
    fluid.save(fresh.main, os.path.join(path, "model"))


def _save_inference_model(fresh, path):
    target = fresh.main.global_block().var("dropout_0.tmp_0")
    fluid.io.save_inference_model(path, ["ids"], [target], fresh.exe, fresh.main)


def _save_checkpoint(fresh, path):
    save_checkpoint(fluid.Executor(), path, 0, fresh.main)


def _word2vec(fresh, path):
    os.mkdir(path)
    exchange.save_word2vec(os.path.join(path, "w"), fluid.global_scope().find_var("table").get_table(), {"a": 7})


def _npz(fresh, path):
    os.mkdir(path)
    exchange.save_npz(os.path.join(path, "w"), {"w": fluid.global_scope().find_var("table").get_tensor()})


@pytest.mark.parametrize(
    "save", [_save_vars, _save_state, _save, _save_inference_model, _save_checkpoint, _word2vec, _npz]
)
def test_a_part_is_never_written_as_a_whole(ranks, tmp_path, save):
    path = str(tmp_path / "new")
    with scope_of(ranks.scopes[1]), pytest.raises(UnavailableError, match="(?s)rank 1 of 3 owns.*fleet.save_persist"):
        save(ranks.fresh, path)
    assert not os.path.exists(path) or not files_in(path)


@pytest.mark.parametrize("how", ["files", "one file", "pickles", "state", "checkpoint"])
def test_ranks_load_what_they_own(ranks, as_ranks, tmp_path, how):
    """Each rank reads all of a file."""
    fresh, path, one = ranks.fresh, str(tmp_path / "model"), as_one(ranks)
    filename = "all" if how == "one file" else None
    with scope_of(one):
        if how in ("pickles", "state"):
            fluid.save(fresh.main, path)
        elif how == "checkpoint":
            save_checkpoint(fluid.Executor(), path, 0, fresh.main)
        else:
            fluid.io.save_persistables(fresh.exe, path, fresh.main, filename)
    new = Ranks(fresh, ranks.loss, 3)
    new.train(1)

    def load(job):
        if how == "pickles":
            fluid.load(fresh.main, path)
        elif how == "state":
            fluid.set_program_state(fresh.main, fluid.load_program_state(path))
        elif how == "checkpoint":
            load_checkpoint(fluid.Executor(), path, fresh.main, scope=job.scope)
        else:
            fluid.io.load_persistables(fresh.exe, path, fresh.main, filename)

    for rank in range(3):
        with scope_of(new.scopes[rank]):  # one after the other: threads have one global scope

            def turn(job, rank=rank):
                return load(job) if job.rank == rank else None

            assert as_ranks(fresh.main, new.scopes, turn) == [None] * 3
    for rank, scope in enumerate(new.scopes):
        assert others_of(scope) | {"@RANDOM_STEP@": 0} == others_of(ranks.scopes[0]) | {"@RANDOM_STEP@": 0}
        for name in ("table", "table_moment1_0"):
            table, expected = (s.find_var(name).get_table() for s in (scope, ranks.scopes[rank]))
            assert table.table.share == (rank, 3)
            assert sorted(table.ids) == sorted(expected.ids)
            np.testing.assert_array_equal(table.lookup(expected.ids), expected.lookup(expected.ids))


def test_words_of_the_rows_that_a_rank_owns(ranks):
    words = exchange.WordVectors(["a", "b", "c"], np.eye(3, dtype=np.float32))
    vocabulary, ids = {"a": 70_000, "b": 70_001, "c": 70_002}, np.arange(70_000, 70_003)
    for rank, scope in enumerate(ranks.scopes):
        table = scope.find_var("table").get_table()
        mine = owner_of(ids, 3) == rank
        assert words.fill(table, vocabulary).tolist() == ids[mine].tolist()
        np.testing.assert_array_equal(table.lookup(ids), np.eye(3) * mine[:, None])
