"""examples/distributed_ctr.py as a user runs it: one process, ranks in step, ranks at their own pace, and again."""

import re

import numpy as np
import pytest

import fluidlite as fluid

from .launching import ROOT, run_alone, run_ranks

EXAMPLE = ROOT / "examples" / "distributed_ctr.py"
SHORT = ["--samples", 16_000, "--batch-size", 100, "--save", 30, "--report", 20]


def ended(outcome):
    """(steps, test loss, area under the curve) of a run that ended well; nothing is said twice."""
    outcome.checked()
    (found,) = re.findall(r"after ([\d,]+) steps  test loss ([\d.]+)  auc ([\d.]+)", outcome.out)
    steps, loss, auc = (float(number.replace(",", "")) for number in found)
    return int(steps), loss, auc


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process says, and its folder, which has the data."""
    folder = tmp_path_factory.mktemp("alone")
    return run_alone(EXAMPLE, "--output", folder / "out", *SHORT), folder / "out"


@pytest.fixture(scope="module")
def two(alone, tmp_path_factory):
    """The same of two ranks."""
    folder = tmp_path_factory.mktemp("two")
    return run_ranks(2, EXAMPLE, "--output", folder / "out", "--data", alone[1] / "data", *SHORT), folder / "out"


def test_one_process_learns(alone):
    outcome, folder = alone
    steps, loss, auc = ended(outcome)
    assert steps == 160 and loss < 0.52 and auc > 0.65
    assert "rank 0 of 1: {'bytes_sent': 0" in outcome.out
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == [
        "checkpoint-120",
        "checkpoint-150",
        "checkpoint-90",
    ]


def test_two_ranks_learn_as_one_process_does(alone, two):
    steps, loss, auc = ended(two[0])
    assert steps == 80 and loss < 0.55 and auc > 0.6
    assert re.search(r"rank 0 of 2: {'bytes_sent': [1-9]", two[0].out)
    assert (two[1] / "checkpoints" / "checkpoint-60" / "rank-0001" / "manifest.json").exists()


def test_the_model_predicts(alone, two):
    for _, folder in (alone, two):
        with fluid.inference.Predictor(str(folder / "model")) as predictor:
            ids = np.stack([np.arange(1, 27) << 40, np.full(26, -7)])[..., None]
            (scores,) = predictor.run({"ids": ids, "counts": np.ones((2, 13), np.float32)}).values()
        assert scores.shape == (2, 1) and 0 < scores.min() and scores.max() < 1


def test_it_goes_on_from_its_checkpoint(alone, two):
    # Again with two ranks: the same bits. Then one process goes on with what two ranks have saved.
    again = run_ranks(2, EXAMPLE, "--output", two[1], "--data", alone[1] / "data", *SHORT)
    assert "goes on after step 60" in again.out and ended(again) == ended(two[0])
    (last,) = re.findall(r"step +80  loss .*", two[0].out)
    assert last in again.out
    other = run_alone(EXAMPLE, "--output", two[1], "--data", alone[1] / "data", *SHORT, "--steps", 90)
    assert "goes on after step 60" in other.out and "readers begin at the start of their epoch" in other.err
    assert ended(other)[0] == 90


def test_each_at_its_own_pace(alone, two, tmp_path):
    arguments = ["--output", tmp_path / "out", "--data", alone[1] / "data", *SHORT, "--async"]
    outcome = run_ranks(2, EXAMPLE, *arguments)
    steps, loss, _ = ended(outcome)
    # Here every batch is a step of the optimizer, and so few of them leave more to learn.
    assert steps == 80 and loss < 1.02 * ended(two[0])[1]
    assert "'staleness_max'" in outcome.out


def test_data_that_are_not_there(tmp_path):
    outcome = run_ranks(2, EXAMPLE, "--output", tmp_path / "out", "--data", tmp_path / "nothing")
    assert outcome.code != 0 and outcome.err.count("FileNotFoundError: There are no files") == 1
    assert not (tmp_path / "nothing").exists()


@pytest.mark.slow
def test_the_loss_without_waiting_is_that_in_step(tmp_path):
    losses = {}
    for mode in ("sync", "async"):
        arguments = ["--output", tmp_path / mode, "--data", tmp_path / "sync" / "data"] if losses else []
        arguments = arguments or ["--output", tmp_path / mode]
        more = ["--async"] if mode == "async" else []
        losses[mode] = ended(run_ranks(2, EXAMPLE, *arguments, *more, timeout=300))[1]
    assert losses["async"] == pytest.approx(losses["sync"], rel=0.02)
