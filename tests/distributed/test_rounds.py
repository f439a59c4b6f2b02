"""Ranks that do different things at the same time: none waits for ever, and the sums are those of one process."""

from pathlib import Path

import numpy as np
import pytest

from .launching import run_alone, run_ranks

SCRIPT = Path(__file__).with_name("ragged.py")


@pytest.fixture(scope="module")
def alone():
    return run_alone(SCRIPT).checked().values[0]


@pytest.fixture(scope="module")
def ranks():
    return run_ranks(3, SCRIPT, timeout=240).checked().values


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def test_barriers_and_sums_before_there_is_a_program(ranks):
    for rank in ranks:
        assert rank["gathered"] == [{"rank": k, "array": list(range(k))} for k in range(3)]
        assert rank["reduced"] == [[0, 0, 0], [0, -1, -2], [0, 1, 2]]


@pytest.mark.parametrize(
    "epoch, counts",
    {
        "ragged": (9, 4, 0),
        "another": (1, 3, 5),
        "nothing": (0, 0, 0),
        "one": (0, 2, 0),
        "with commands": (3, 3, 1),
    }.items(),
)
def test_a_rank_without_batches_serves_the_others(alone, ranks, epoch, counts):
    assert len(alone[epoch]) == max(counts)
    for rank, count in zip(ranks, counts, strict=True):
        close(rank[epoch], alone[epoch][:count])


def test_one_rank_evaluates_while_the_others_train(alone, ranks):
    first, second, third = alone["evaluations"][::2]
    assert len({first, second, third}) == 3
    assert ranks[0]["evaluations"] == []
    close(ranks[1]["evaluations"], [second, second, third, third])
    close(ranks[2]["evaluations"], [first, first])


def test_a_rank_that_waits_serves_the_others(alone, ranks):
    assert ranks[0]["gathered late"] == [None, 3, 3]
    for rank in ranks[1:]:
        close(rank["late"], alone["late"])


@pytest.mark.parametrize("model", ["caught", "computed"])
def test_a_batch_whose_error_is_caught_is_left_out(alone, ranks, model):
    for rank in ranks:
        close(rank[model], alone[model])
        assert rank[f"{model} values"] == ranks[0][f"{model} values"]
    for value, expected in zip(ranks[1][f"{model} values"], alone[f"{model} values"], strict=True):
        close(value, expected)


def test_one_rank_asks_all_of_them(ranks):
    asked, error = ranks[1]["commands"]
    assert asked == [[0, None, "one"], [1, "mine", "one"], [2, None, "one"]]
    assert error == "Rank 2: ValueError: no such thing"
    for rank in ranks:
        assert rank["together"] == [[k, k, "all"] for k in range(3)]


def test_ranks_that_have_finished_serve_the_others(alone, ranks):
    close(ranks[0]["last"], alone["last"])
    close(ranks[0]["evaluated last"], alone["evaluated last"])
    assert ranks[0]["gathered last"] == ["still here", None, None]
    assert ranks[0]["reduced last"] == [1, 1]


def test_what_needs_the_others_is_refused_when_they_have_gone(ranks):
    for rank in ranks:
        assert rank["too late"] == ["The job has finished on this rank: the other ranks are out of reach."] * 3


def test_all_ranks_end_with_the_same_parameters(alone, ranks):
    assert ranks[0]["values"] == ranks[1]["values"] == ranks[2]["values"]
    for value, expected in zip(ranks[0]["values"], alone["values"], strict=True):
        close(value, expected)
