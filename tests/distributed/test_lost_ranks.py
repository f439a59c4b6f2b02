"""Ranks that are killed: the job ends, says who was lost and where to go on, and goes on from there."""

import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest

import fluidlite as fluid

from .launching import run_alone, run_ranks, started

SCRIPT = Path(__file__).with_name("lost.py")


def losses_of(folder, rank=0):
    """[(step, loss)] of all jobs that have run there, one after the other."""
    path = folder / f"losses.{rank}"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(step), float(value)) for step, value in (line.split() for line in lines)]


def wait_for(condition, job):
    until = time.monotonic() + 60
    while not condition():
        assert job.process.poll() is None and time.monotonic() < until, Path(job.err.name).read_text()
        time.sleep(0.005)


def lose_a_rank(folder, n_ranks, n_steps, draws, *arguments):
    """Start or resume the training, kill a rank at a random moment, and check how it ends."""
    for path in folder.glob("pid.*"):
        path.unlink()
    with started(n_ranks, SCRIPT, n_steps, *arguments, folder=folder) as job:
        pids = [folder / f"pid.{rank}" for rank in range(n_ranks)]
        wait_for(lambda: all(path.exists() for path in pids), job)
        before, wanted = len(losses_of(folder)), int(draws.integers(0, 9))
        wait_for(lambda: len(losses_of(folder)) >= before + wanted, job)
        time.sleep(draws.uniform(0, 0.03))
        victim = int(draws.integers(n_ranks))
        pid = int(pids[victim].read_text())
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        outcome = job.wait(30)
    assert time.monotonic() - killed < 30
    assert outcome.code != 0
    said = outcome.out + outcome.err
    assert re.search(rf"Rank {victim} \(process {pid} on .*\) was lost", said), said
    assert said.count("was lost") == 1 and "Traceback" not in said, said
    newest = fluid.io.latest_checkpoint(folder / "checkpoints")
    if newest is None:
        assert "There is no complete checkpoint" in said
    else:
        assert said.count(f"Resume from checkpoint {newest} in {str(folder / 'checkpoints')!r}") == 1, said


def end_of(folder, n_ranks, n_steps, *arguments):
    run = run_ranks if n_ranks > 1 else lambda _, *rest, **options: run_alone(*rest, **options)
    run(n_ranks, SCRIPT, n_steps, *arguments, folder=folder).checked()


def check_losses(folder, undisturbed, n_steps, tolerance=0.0):
    """Every step that was done, however often, had the loss of the undisturbed training."""
    expected, found = dict(losses_of(undisturbed)), losses_of(folder)
    assert sorted({step for step, _ in found}) == list(range(n_steps)) == sorted(expected)
    np.testing.assert_allclose([value for _, value in found], [expected[s] for s, _ in found], rtol=0, atol=tolerance)


def kill_often(tmp_path, n_kills, n_steps, seed):
    draws = np.random.default_rng(seed)
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "disturbed"
    undisturbed.mkdir()
    folder.mkdir()
    end_of(undisturbed, 2, n_steps, "drop")
    for _ in range(n_kills):
        lose_a_rank(folder, 2, n_steps, draws, "drop")
    end_of(folder, 2, n_steps, "drop")
    check_losses(folder, undisturbed, n_steps)


def test_training_goes_on_after_ranks_were_killed(tmp_path):
    kill_often(tmp_path, 2, 25, 0)


@pytest.mark.slow
def test_twenty_random_kills(tmp_path):
    kill_often(tmp_path, 20, 200, 1)


@pytest.mark.slow
def test_training_goes_on_with_another_number_of_ranks(tmp_path):
    draws = np.random.default_rng(2)
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "disturbed"
    undisturbed.mkdir()
    folder.mkdir()
    end_of(undisturbed, 1, 70)
    for n_ranks in (3, 2, 4):
        lose_a_rank(folder, n_ranks, 70, draws)
    end_of(folder, 1, 70)
    check_losses(folder, undisturbed, 70, 1e-5)
