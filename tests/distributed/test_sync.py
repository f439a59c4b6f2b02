"""n ranks with parts of a batch do what one process does with the batch, and send no more than they need."""

from pathlib import Path

import numpy as np
import pytest

from .launching import run_alone, run_ranks

SCRIPT = Path(__file__).with_name("parity.py")
TOLERANCE = 1e-5
CASES = [
    *("sgd", "momentum lazy", "momentum", "adagrad", "adam lazy", "adam", "rmsprop", "ftrl", "sparse adam"),
    *(
        "global norm",
        "global norm, adam",
        "global norm, often",
        "clip by value",
        "decay",
        "often",
        "ways",
        "ways, adam",
    ),
    *("float64", "dense only", "replicated only", "unequal"),
]
FEW = ["momentum lazy", "adam lazy", "sparse adam", "global norm, adam", "ways, adam", "float64", "unequal"]


def checked(outcome):
    return outcome.checked().values


@pytest.fixture(scope="module")
def alone():
    """What one process has, by the number of ranks that it is compared with."""
    return {2: checked(run_alone(SCRIPT, "all", 2))[0], 4: checked(run_alone(SCRIPT, "few", 4))[0]}


@pytest.fixture(scope="module")
def two():
    return checked(run_ranks(2, SCRIPT, "all", timeout=240))


@pytest.fixture(scope="module")
def four_over_tcp():
    return checked(run_ranks(4, SCRIPT, "few", tcp=True, timeout=240))


def rows(ranks, case, name):
    """{id: row} of a table that lives on all ranks."""
    found = {}
    for rank in ranks:
        ids, values = rank[case]["shards"][name]
        assert not found.keys() & set(ids), "a row has two owners"
        found.update(zip(ids, values, strict=True))
    return found


def check_parity(one, ranks, case):
    expected = one[case]
    np.testing.assert_allclose(ranks[0][case]["losses"], expected["losses"], rtol=0, atol=TOLERANCE)
    for name, value in expected["values"].items():
        np.testing.assert_allclose(ranks[0][case]["values"][name], value, rtol=0, atol=TOLERANCE, err_msg=name)
    for name in expected["shards"]:
        together, alone = rows(ranks, case, name), rows([one], case, name)
        assert together.keys() == alone.keys()
        assert all(rank[case]["shards"][name][0] for rank in ranks), "a rank owns nothing"
        ids = sorted(alone)
        np.testing.assert_allclose(
            [together[i] for i in ids], [alone[i] for i in ids], rtol=0, atol=TOLERANCE, err_msg=name
        )
    losses = expected["losses"]
    assert len(losses) == 50 and len(set(losses)) == 50


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_do_what_one_process_does(alone, two, case):
    check_parity(alone[2], two, case)


@pytest.mark.parametrize("case", FEW)
def test_four_ranks_over_tcp_do_what_one_process_does(alone, four_over_tcp, case):
    check_parity(alone[4], four_over_tcp, case)


def test_all_ranks_have_the_same_bits(two, four_over_tcp):
    for ranks in (two, four_over_tcp):
        for case in ranks[0].keys() - {"traffic"}:
            for rank in ranks[1:]:
                assert rank[case]["losses"] == ranks[0][case]["losses"]
                assert rank[case]["values"] == ranks[0][case]["values"]


def test_a_run_can_be_repeated_bit_for_bit(two):
    again = checked(run_ranks(2, SCRIPT, "few", tcp=True, timeout=240))
    for case in FEW:
        assert [rank[case] for rank in again] == [rank[case] for rank in two]


def test_a_step_sends_what_it_needs_and_no_more(two, four_over_tcp):
    for ranks in (two, four_over_tcp):
        (low, needed), (high, _) = ranks[0]["traffic"]
        assert 0.9 * needed < low <= 1.1 * needed
        assert high == low, "bytes depend on the height of a table"
