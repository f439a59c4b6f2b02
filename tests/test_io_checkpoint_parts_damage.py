"""Checkpoints of several ranks: damaged and missing parts, and the positions of readers."""

import os
import shutil

import io_ranks
import numpy as np
import pytest
from io_ranks import D, load_all, save_all, whole

import fluidlite as fluid
from fluidlite.errors import EnforceNotMet, InvalidArgumentError, NotFoundError
from fluidlite.io import (
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from fluidlite.table_rows import Slab

as_ranks = io_ranks.as_ranks
folder = io_ranks.folder
ranks = io_ranks.ranks

# -------------------------------------------------------------------------------------------------------------- damage


def _no_part(path):
    shutil.rmtree(os.path.join(path, "rank-0001"))


def _no_manifest_of_a_part(path):
    os.remove(os.path.join(path, "rank-0001", "manifest.json"))


def _no_manifest(path):
    os.remove(os.path.join(path, "manifest.json"))


def _no_table(path):
    os.remove(os.path.join(path, "rank-0001", "table-0000"))


def _short_values(path):
    file = os.path.join(path, "rank-0001", "values")
    os.truncate(file, os.path.getsize(file) - 1)


def _parts_change_places(path):
    one, other = (os.path.join(path, name) for name in ("rank-0000", "rank-0001"))
    os.rename(one, one + "-")
    os.rename(other, one)
    os.rename(one + "-", other)


def _part_of_another_checkpoint(path):
    part = os.path.join(path, "rank-0001")
    shutil.rmtree(part)
    shutil.copytree(os.path.join(os.path.dirname(path), "other", "checkpoint-4", "rank-0001"), part)


def _a_part_alone(path):
    part = os.path.join(path, "rank-0001")
    os.rename(part, path + "-")
    shutil.rmtree(path)
    os.rename(path + "-", path)


DAMAGES = {
    _no_part: "rank-0001/manifest.json.* does not exist",
    _no_manifest_of_a_part: "rank-0001/manifest.json.* does not exist",
    _no_manifest: "checkpoint-4/manifest.json.* does not exist",
    _no_table: "rank-0001/table-0000.* does not exist",
    _short_values: "rank-0001/values.*another size than its manifest says",
    _parts_change_places: "is that of rank 1; was the folder renamed",
    _part_of_another_checkpoint: "the part of rank 1 is that of another checkpoint",
    _a_part_alone: "is that of rank 1; was the folder renamed",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("m", [1, 3])
def test_a_checkpoint_with_a_damaged_part_is_passed_over(ranks, as_ranks, folder, damage, m):
    save_all(as_ranks, ranks, folder, 2)
    before = [whole(scope) for scope in ranks.scopes]
    ranks.train(1)
    save_all(as_ranks, ranks, folder, 4)
    save_all(as_ranks, ranks, os.path.join(folder, "other"), 4)
    assert latest_checkpoint(folder) == 4
    damage(os.path.join(folder, "checkpoint-4"))
    assert latest_checkpoint(folder) == 2
    with pytest.raises(EnforceNotMet, match=f"(?s){DAMAGES[damage]}.*step=2 is complete"):
        load_checkpoint(fluid.Executor(), folder, ranks.fresh.main, step=4, scope=fluid.Scope())
    with pytest.warns(UserWarning, match=f"checkpoint 4 .*is passed over.*{DAMAGES[damage]}"):
        scopes = load_all(as_ranks, ranks.fresh, folder, m)
    if m == 3:
        assert [whole(scope) for scope in scopes] == before
    # A new save takes its place.
    save_all(as_ranks, ranks, folder, 4)
    assert latest_checkpoint(folder) == 4


@pytest.mark.parametrize("m", [2, 3])
def test_bytes_that_have_changed(ranks, as_ranks, folder, m):
    save_all(as_ranks, ranks, folder, 2)
    path = os.path.join(folder, "checkpoint-2", "rank-0001")
    for name in sorted(set(os.listdir(path)) - {"manifest.json"}):
        file = os.path.join(path, name)
        data = np.fromfile(file, np.uint8)
        for at in (0, len(data) // 2, len(data) - 1):
            changed = data.copy()
            changed[at] ^= 1
            changed.tofile(file)
            scopes = [fluid.Scope() for _ in range(m)]

            def load(job, scopes=scopes):
                load_checkpoint(fluid.Executor(), folder, ranks.fresh.main, scope=scopes[job.rank])

            results = as_ranks(ranks.fresh.main, scopes, load)
            # With as many ranks, the others read files of their own.
            if m == 3 or not name.startswith("values"):
                bad = results[1:2] if m == 3 else results
                assert all(isinstance(error, InvalidArgumentError) for error in bad), (name, at, results)
                assert not scopes[1].local_var_names()
        data.tofile(file)


def test_an_id_that_another_rank_owns(ranks, as_ranks, folder):
    table = ranks.scopes[1].find_var("table").get_table()
    foreign = ranks.scopes[0].find_var("table").get_table().ids[:1]
    table.load([Slab(foreign, np.ones((1, D)))])
    save_all(as_ranks, ranks, folder, 2)
    with pytest.raises(InvalidArgumentError, match="part of rank 1 .*has a row that another rank owns"):
        load_all(as_ranks, ranks.fresh, folder, 3)
    with pytest.raises(InvalidArgumentError, match="has two rows"):
        load_all(as_ranks, ranks.fresh, folder, 1)


def test_a_program_with_another_variable(ranks, as_ranks, folder):
    save_all(as_ranks, ranks, folder, 2)
    block = ranks.fresh.main.global_block()
    block.create_var(name="densed", shape=(2, 3), dtype="float32", persistable=True)
    for m in (1, 2, 3):
        with pytest.raises(NotFoundError, match="(?s)'densed' is not in checkpoint.*did you mean 'dense'"):
            load_all(as_ranks, ranks.fresh, folder, m)


# ------------------------------------------------------------------------------------------------------------- readers


class Samples(fluid.io.Dataset):
    def __getitem__(self, i):
        return (np.array([i]),)

    def __len__(self):
        return 30


def loader(program):
    ids = program.global_block().var("ids")
    return fluid.io.DataLoader(Samples(), [ids], fluid.CPUPlace(), batch_size=4)


def ids_of(epoch):
    return [np.asarray(feed["ids"]).tolist() for batch in epoch for feed in batch]


def test_readers_go_on(ranks, as_ranks, folder):
    program = ranks.fresh.main
    loaders = [loader(program) for _ in range(3)]
    list(loaders[0]), list(loaders[1]), list(loaders[2])
    epochs = [iter(one) for one in loaders]
    for rank, epoch in enumerate(epochs):
        for _ in range(rank + 1):
            next(epoch)

    def save(job):
        save_checkpoint(fluid.Executor(), folder, 2, program, scope=job.scope, readers=[loaders[job.rank]])

    assert as_ranks(program, ranks.scopes, save) == [None] * 3
    left = [ids_of(epoch) for epoch in epochs]
    others, scopes = [loader(program) for _ in range(3)], [fluid.Scope() for _ in range(3)]

    def load(job):
        load_checkpoint(fluid.Executor(), folder, program, scope=job.scope, readers=[others[job.rank]])

    assert as_ranks(program, scopes, load) == [None] * 3
    assert [ids_of(one) for one in others] == left
    one = loader(program)
    with pytest.warns(UserWarning, match="was saved by 3 ranks, and this job has one rank: readers begin at the start"):
        load_checkpoint(fluid.Executor(), folder, program, scope=fluid.Scope(), readers=[one])
    assert (one.state_dict()["epoch"], one.state_dict()["batch"]) == (1, 0)
    assert len(ids_of(one)) == 8
    with pytest.warns(UserWarning), pytest.raises(InvalidArgumentError, match="does not fit the readers"):
        load_checkpoint(fluid.Executor(), folder, program, scope=fluid.Scope(), readers=[one, one])


def test_readers_of_ranks_that_did_not_ask(ranks, as_ranks, folder):
    program = ranks.fresh.main
    first = loader(program)
    next(epoch := iter(first))

    def save(job):
        if job.rank:
            return job.serve()
        save_checkpoint(fluid.Executor(), folder, 2, program, scope=job.scope, readers=[first])

    assert as_ranks(program, ranks.scopes, save) == [None] * 3
    left = ids_of(epoch)
    others, scopes = [loader(program) for _ in range(3)], [fluid.Scope() for _ in range(3)]

    def load(job):
        load_checkpoint(fluid.Executor(), folder, program, scope=job.scope, readers=[others[job.rank]])

    with pytest.warns(UserWarning, match="no positions of readers of rank [12], which did not ask for it"):
        assert as_ranks(program, scopes, load) == [None] * 3
    assert ids_of(others[0]) == left and len(ids_of(others[1])) == 8
