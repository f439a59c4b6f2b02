"""Jobs save checkpoints and files; jobs of as many ranks, of more, and one process go on from them."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.distributed import owner_of
from fluidlite.io import latest_checkpoint
from fluidlite.io.checkpoint_manifest import read_chain

from .launching import run_alone, run_ranks

SCRIPT = str(Path(__file__).with_name("files_of_ranks.py"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(folder, what two ranks saw) of a job that trained 8 steps and saved after 4 and 8."""
    folder = str(tmp_path_factory.mktemp("job") / "checkpoints")
    return folder, run_ranks(2, SCRIPT, "train", folder, 0, 8, "sync").checked().values


def rows(values, key):
    return {id: row for one in values for id, row in one[key]["rows"].items()}


@pytest.fixture(scope="module")
def again(trained):
    """What two ranks saw that went on after step 4."""
    return run_ranks(2, SCRIPT, "resume", trained[0], 4, 8, "sync").checked().values


def test_as_many_ranks_go_on_with_the_same_bits(trained, again):
    _, saw = trained
    for before, after in zip(saw, again, strict=True):
        assert after["loaded"] == before["at 4"]
        assert after["losses"] == before["losses"][4:] and after["noise"] == before["noise"][4:]
        for key in ("rows", "order", "share", "steps"):
            assert after["end"][key] == before["end"][key]
    assert saw[0]["losses"] == saw[1]["losses"] and len(saw[0]["losses"]) == 8


def test_ranks_go_on_with_the_counters_that_they_had(trained, again):
    _, saw = trained
    assert saw[0]["end"]["others"] != saw[1]["end"]["others"]
    for before, after in zip(saw, again, strict=True):
        assert after["end"]["others"] == before["end"]["others"]


def test_more_ranks_share_the_rows_anew(trained):
    folder, saw = trained
    got = run_ranks(3, SCRIPT, "resume", folder, 8, 10, "sync").checked().values
    assert rows(got, "loaded") == rows(saw, "end") and len(rows(saw, "end")) > 50
    assert sum(len(one["loaded"]["rows"]) for one in got) == len(rows(saw, "end"))
    for rank, one in enumerate(got):
        ids = np.array(list(map(int, one["loaded"]["rows"])), np.int64)
        assert (owner_of(ids, 3) == rank).all() and one["loaded"]["share"] == [rank, 3]
        assert one["loaded"]["others"] == saw[0]["end"]["others"]
    alone = run_alone(SCRIPT, "resume", folder, 8, 10, "sync").checked().values[0]
    assert alone["loaded"]["rows"] == rows(saw, "end") and alone["loaded"]["share"] is None
    losses = [[float.fromhex(loss) for loss in one["losses"]] for one in (*got, alone)]
    np.testing.assert_allclose(losses[0], losses[-1], rtol=1e-5)


def test_ranks_go_on_where_one_process_was(tmp_path):
    folder = str(tmp_path / "checkpoints")
    one = run_alone(SCRIPT, "alone", folder, 0, 5, "sync").checked().values[0]
    got = run_ranks(2, SCRIPT, "resume", folder, 5, 7, "sync").checked().values
    assert rows(got, "loaded") == one["end"]["rows"]
    assert sum(len(rank["loaded"]["rows"]) for rank in got) == len(one["end"]["rows"]) > 50
    assert all(rank["loaded"]["others"] == one["end"]["others"] for rank in got)
    on = run_alone(SCRIPT, "resume", folder, 5, 7, "sync").checked().values[0]
    losses = [[float.fromhex(loss) for loss in one["losses"]] for one in (got[0], on)]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_ranks_that_are_not_in_step(tmp_path):
    folder = str(tmp_path / "checkpoints")
    saw = run_ranks(2, SCRIPT, "train", folder, 0, 8, "async").checked().values
    assert [name for name in sorted(os.listdir(folder)) if "-" in name] == [f"checkpoint-{k}" for k in (4, 8, 9)]
    assert latest_checkpoint(folder) == 9
    for n in (2, 3):
        got = run_ranks(n, SCRIPT, "resume", folder, 9, 11, "async").checked().values
        assert rows(got, "loaded") == rows(saw, "end") and len(rows(saw, "end")) > 50
        assert all(len(one["losses"]) == 2 for one in got)


def test_increments(tmp_path):
    folder = str(tmp_path / "checkpoints")
    saw = run_ranks(2, SCRIPT, "train", folder, 0, 8, "increments").checked().values
    chain = read_chain(folder, 9)
    assert [manifest["step"] for manifest in chain][-2:] == [8, 9]
    again = run_ranks(2, SCRIPT, "resume", folder, 9, 10, "increments").checked().values
    assert [one["loaded"] for one in again] == [one["end"] for one in saw]
    more = run_ranks(3, SCRIPT, "resume", folder, 9, 10, "increments").checked().values
    assert rows(more, "loaded") == rows(saw, "end") and len(rows(saw, "end")) > 50


def test_files_are_those_of_one_process(trained):
    folder, saw = trained
    assert all(one["alone"] for one in saw) and latest_checkpoint(folder) == 9
    for one in saw:
        assert one["from files"]["others"] == saw[0]["end"]["others"]
        assert one["from files"]["rows"].keys() == one["end"]["rows"].keys()
    program, scope = fluid.Program(), fluid.Scope()
    with fluid.program_guard(program, fluid.Program()), fluid.scope_guard(scope):
        exe = fluid.Executor()
        model, feeds, targets = fluid.io.load_inference_model(os.path.join(folder, "model"), exe)
        ids = np.array([[int(id), int(id)] for id in rows(saw, "end")], np.int64)
        (score,) = exe.run(model, {"ids": ids}, targets)
        assert score.shape == (len(ids), 2) and len(np.unique(score[:, 0])) > 50
        assert len(scope.find_var("table").get_table()) == len(ids)
    both = [sorted(os.listdir(os.path.join(folder, name))) for name in ("files", "alone")]
    assert {"table", "dense", "table_moment1_0"} <= set(both[0]) and both[1] == ["all"]


def test_errors_reach_every_rank_that_calls(trained):
    folder, saw = trained
    for one in saw:
        first, second, third, fourth = one["errors"]
        assert "is not whole here: it has only the rows that rank" in first and "is not whole here" in second
        assert "Checkpoint 8 cannot be saved" in third and "could not be saved" in fourth
        assert not one["bad"]


def test_a_missing_part_is_passed_over(trained, tmp_path):
    folder, saw = trained
    copy = str(tmp_path / "copy")
    shutil.copytree(folder, copy)
    shutil.rmtree(os.path.join(copy, "checkpoint-8", "rank-0001"))
    os.remove(os.path.join(copy, "checkpoint-9", "rank-0000", "values"))
    assert latest_checkpoint(copy) == 4 and latest_checkpoint(folder) == 9
