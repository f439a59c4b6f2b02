"""Checkpoints of several ranks: any number of them to any other, one that saves for all, what fails on one."""

import errno
import os
import shutil
import tracemalloc

import io_ranks
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from io_ranks import OPTIMIZERS, D, Ranks, load_all, manifest_of, model, others_of, rows_of, save_all, whole

import fluidlite as fluid
from fluidlite.distributed import owner_of
from fluidlite.entry import CountFilterEntry
from fluidlite.errors import EnforceNotMet, UnavailableError
from fluidlite.formats import sections
from fluidlite.io import (
    checkpoint_parts,
    checkpoint_write,
    latest_checkpoint,
    save_checkpoint,
)
from fluidlite.io.checkpoint_folder import locked

as_ranks = io_ranks.as_ranks
folder = io_ranks.folder
ranks = io_ranks.ranks

# ---------------------------------------------------------------------------------------------- any number to any other


@settings(max_examples=25, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(1, 4),
    m=st.integers(1, 4),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    entry=st.sampled_from([None, CountFilterEntry(2)]),
    increments=st.lists(st.integers(0, 3), max_size=3),
    first=st.integers(0, 4),
    lead=st.integers(0, 2),
)
def test_all_rows_come_back_once(make_fresh, as_ranks, tmp_path, n, m, optimizer, entry, increments, first, lead):
    folder = str(tmp_path / os.urandom(8).hex())
    with make_fresh() as fresh:
        ranks = Ranks(fresh, model(fresh, optimizer, entry), n)
        ranks.train(first)
        ranks.train(lead, rank=n - 1)  # the others have counted fewer updates
        for step, more in enumerate([0, *increments]):
            ranks.train(more)
            save_all(as_ranks, ranks, folder, step, incremental=bool(increments))
        saved = [rows_of(scope) for scope in ranks.scopes]
        tables = [scope.find_var("table").get_table() for scope in ranks.scopes]
        before = [whole(scope) for scope in ranks.scopes]
        loaded = load_all(as_ranks, fresh, folder, m)
        if n == m:
            assert [whole(scope) for scope in loaded] == before
        steps = max(table.steps for table in tables)
        late = [0 if n == m else steps - table.steps for table in tables]
        expected = {
            id: [seen + d, *row] for d, (r, _) in zip(late, saved, strict=True) for id, (seen, *row) in r.items()
        }
        waiting = {id: (seen + d, k) for d, (_, w) in zip(late, saved, strict=True) for id, (seen, k) in w.items()}
        got = [rows_of(scope) for scope in loaded]
        assert sum(len(rows) for rows, _ in got) == len(expected)
        assert {id: row for rows, _ in got for id, row in rows.items()} == expected
        assert {id: one for _, waits in got for id, one in waits.items()} == waiting
        for rank, scope in enumerate(loaded):
            table = scope.find_var("table").get_table()
            assert table.share == ((rank, m) if m > 1 else None)
            assert n == m or table.steps == steps
            assert table.initializer == tables[0].initializer
            assert (owner_of(np.array(list(got[rank][0]), np.int64), m) == rank).all()
            assert (owner_of(np.array(list(got[rank][1]), np.int64), m) == rank).all()
            assert others_of(scope) == others_of(ranks.scopes[rank if n == m else 0])
        for counter in ("places", "misses"):
            count = [sum(getattr(s.find_var("table").get_table(), counter) for s in loaded)]
            assert count == [sum(getattr(table, counter) for table in tables)]


def test_rows_beyond_a_slab(make_fresh, as_ranks, folder, monkeypatch):
    monkeypatch.setattr(sections, "SLAB", 1 << 9)
    with make_fresh() as fresh:
        ranks = Ranks(fresh, model(fresh), 2)
        for rank, scope in enumerate(ranks.scopes):
            ids = np.arange(9000)
            scope.find_var("table").get_table().set(
                ids[owner_of(ids, 2) == rank], np.ones(((owner_of(ids, 2) == rank).sum(), D))
            )
        ranks.train(3)
        save_all(as_ranks, ranks, folder, 3)
        expected = {id: row for scope in ranks.scopes for id, row in rows_of(scope)[0].items()}
        assert len(expected) > 9000
        for m in (1, 3):
            got = [rows_of(scope)[0] for scope in load_all(as_ranks, fresh, folder, m)]
            assert {id: row for rows in got for id, row in rows.items()} == expected


@pytest.mark.parametrize("incremental", [False, True])
def test_going_on_with_as_many_ranks_gives_the_same_bits(make_fresh, as_ranks, folder, incremental, monkeypatch):
    monkeypatch.setattr(checkpoint_write, "_LARGEST_CHAIN", 9.0)
    with make_fresh() as fresh:
        loss = model(fresh)
        ranks = Ranks(fresh, loss, 3)
        for step in (4, 7):
            ranks.train(step - ranks.steps[0])
            save_all(as_ranks, ranks, folder, step, incremental=incremental)
        other = Ranks(fresh, loss, 3)
        other.scopes, other.steps = load_all(as_ranks, fresh, folder, 3), list(ranks.steps)
        assert ranks.train(5) == other.train(5)
        assert [whole(scope) for scope in other.scopes] == [whole(scope) for scope in ranks.scopes]
        # Each part has what its rank has of its own, and the first one what they have in common.
        parts = [set(part["variables"]) for part in manifest_of(folder, 7)["parts"]]
        own = {"table", "table_moment1_0", "table_moment2_0", "mean", "batch_norm_0.w_2", "@RANDOM_STEP@"}
        assert parts[1] == parts[2] and own <= parts[0] | {"batch_norm_0.w_2"}
        assert "dense" in parts[0] and not {"dense", "dense_moment1_0", "learning_rate_0"} & parts[1]
        assert {"table", "table_moment1_0", "mean", "@RANDOM_STEP@"} <= parts[1]
        # What was loaded is what the next increment adds to.
        save_all(as_ranks, other, folder, 12, incremental=incremental)
        base = manifest_of(folder, 12)["base"]
        assert (base and base["step"]) == (7 if incremental else None)
        assert [whole(scope) for scope in load_all(as_ranks, fresh, folder, 3)] == [whole(s) for s in ranks.scopes]


def test_another_number_of_ranks_begins_a_new_chain(make_fresh, as_ranks, folder):
    with make_fresh() as fresh:
        loss = model(fresh)
        ranks = Ranks(fresh, loss, 2)
        for step in (1, 2):
            ranks.train(1)
            save_all(as_ranks, ranks, folder, step, incremental=True)
        assert manifest_of(folder, 2)["base"]["step"] == 1
        for n in (3, 1):
            other = Ranks(fresh, loss, n)
            other.scopes = load_all(as_ranks, fresh, folder, n)
            other.train(1)
            step = latest_checkpoint(folder) + 1
            save_all(as_ranks, other, folder, step, incremental=True)
            assert manifest_of(folder, step)["base"] is None
            before = [whole(scope) for scope in other.scopes]
            assert [whole(scope) for scope in load_all(as_ranks, fresh, folder, n)] == before


# -------------------------------------------------------------------------------------------------------------- saving


@pytest.mark.parametrize("alone", [0, 1])
def test_one_rank_saves_for_all(ranks, as_ranks, folder, alone):
    def save(job):
        if job.rank != alone:
            return job.serve()
        return save_checkpoint(fluid.Executor(), folder, 2, ranks.fresh.main, scope=job.scope, incremental=True)

    results = as_ranks(ranks.fresh.main, ranks.scopes, save)
    assert results == [os.path.join(folder, "checkpoint-2") if k == alone else None for k in range(3)]
    before = [whole(scope) for scope in ranks.scopes]
    assert [whole(scope) for scope in load_all(as_ranks, ranks.fresh, folder, 3)] == before
    # Ranks that were asked within a step have not noted what they wrote since.
    ranks.train(1)
    save_all(as_ranks, ranks, folder, 3, incremental=True)
    assert manifest_of(folder, 3)["base"] is None
    ranks.train(1)
    save_all(as_ranks, ranks, folder, 4, incremental=True)
    assert manifest_of(folder, 4)["base"]["step"] == 3
    before = [whole(scope) for scope in ranks.scopes]
    assert [whole(scope) for scope in load_all(as_ranks, ranks.fresh, folder, 3)] == before


def test_ranks_that_come_one_after_the_other_save_once(ranks, as_ranks, folder):
    def save(job):
        for k in range(3):
            if k != job.rank:
                job.serve()
                continue
            save_checkpoint(fluid.Executor(), folder, 2, ranks.fresh.main, scope=job.scope)
            if k == 0:
                first.append(manifest_of(folder, 2)["id"])

    first = []
    assert as_ranks(ranks.fresh.main, ranks.scopes, save) == [None] * 3
    assert manifest_of(folder, 2)["id"] == first[0]


def test_a_step_that_is_not_new(ranks, as_ranks, folder):
    assert save_all(as_ranks, ranks, folder, 2) == [os.path.join(folder, "checkpoint-2")] * 3
    for step in (2, 1):
        results = save_all(as_ranks, ranks, folder, step)
        assert all(isinstance(error, EnforceNotMet) for error in results)
        assert all("the folder has one of step 2" in str(error) for error in results)
    assert latest_checkpoint(folder) == 2 and os.listdir(folder) == ["checkpoint-2"]


@pytest.mark.parametrize("where", ["write_part", "sync_folder", "name_folder", "new_folder"])
@pytest.mark.parametrize("bad", [0, 2])
def test_a_disk_that_is_full_on_one_rank(ranks, as_ranks, folder, monkeypatch, where, bad):
    save_all(as_ranks, ranks, folder, 1)
    if where in ("name_folder", "new_folder") and bad:
        bad = 0
    real = getattr(checkpoint_parts, where)

    def fail(*arguments):
        real(*arguments)
        if f"rank-{bad:04}" in arguments[0] or where in ("name_folder", "new_folder"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if where == "name_folder":
            real = lambda *_: None  # noqa: E731
        patch.setattr(checkpoint_parts, where, fail)
        results = save_all(as_ranks, ranks, folder, 2)
    for rank, error in enumerate(results):
        assert isinstance(error, UnavailableError)
        assert "No space left on device" in str(error) and "step 1" in str(error)
        assert (f"Rank {bad}: " in str(error)) == (rank != bad)
    assert latest_checkpoint(folder) == 1
    assert save_all(as_ranks, ranks, folder, 2) == [os.path.join(folder, "checkpoint-2")] * 3
    assert sorted(os.listdir(folder)) == ["checkpoint-1", "checkpoint-2"]


def test_a_folder_that_ranks_do_not_share(ranks, as_ranks, folder, monkeypatch):
    real = checkpoint_parts.new_folder
    monkeypatch.setattr(checkpoint_parts, "new_folder", lambda dirname: shutil.rmtree(new := real(dirname)) or new)
    for error in save_all(as_ranks, ranks, folder, 2):
        assert "is not the one that rank 0 sees" in str(error)


def test_what_other_processes_save_is_waited_for_by_no_rank(ranks, as_ranks, folder):
    os.mkdir(folder)
    with locked(folder):
        results = save_all(as_ranks, ranks, folder, 2)
    assert all("Another process or thread is saving" in str(error) for error in results)


def test_a_table_that_was_not_divided(ranks, as_ranks, folder):
    ranks.scopes[1].find_var("table").get_table().share = None
    results = save_all(as_ranks, ranks, folder, 2)
    assert all("have not been divided among the ranks" in str(error) for error in results)


def test_old_checkpoints_go(ranks, as_ranks, folder):
    for step in range(4):
        save_all(as_ranks, ranks, folder, step, keep=2)
    assert sorted(os.listdir(folder)) == ["checkpoint-2", "checkpoint-3"]


def test_increments_of_ranks_that_are_not_in_step(ranks, as_ranks, folder):
    def save(job):
        job.programs[0].sync = False
        save_checkpoint(fluid.Executor(), folder, 2, ranks.fresh.main, scope=job.scope, incremental=True)

    results = as_ranks(ranks.fresh.main, ranks.scopes, save)
    assert all("Increments cannot be saved" in str(error) for error in results) and not os.path.exists(folder)


def test_reading_parts_takes_a_few_slabs(make_fresh, as_ranks, folder):
    """Rows of tables lie in memory that the tracer does not see; what it sees is what reading takes beside them."""
    with make_fresh() as fresh:
        ranks, n = Ranks(fresh, model(fresh), 2), 1 << 21
        for rank, scope in enumerate(ranks.scopes):
            table = scope.find_var("table").get_table()
            mine = np.arange(n)[owner_of(np.arange(n), 2) == rank]
            table.set(mine, np.ones((len(mine), D), np.float32))
        save_all(as_ranks, ranks, folder, 1)
        tracemalloc.start()
        scopes = load_all(as_ranks, fresh, folder, 1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(scopes[0].find_var("table").get_table()) == n
        assert peak < 24 << 20 < n * 40  # of ids, rows and states
