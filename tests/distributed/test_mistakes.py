"""Mistakes on one rank or on all: rank 0 names them, once, every rank ends, and none of them hangs."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fluidlite.distributed import communicator

from .launching import run_alone, run_ranks, started

SCRIPT = Path(__file__).with_name("mistakes.py")

# What rank 0 says, once.
SAID = {
    "after the start": "Bad: after the start",
    "before training": "Bad: before training",
    "between steps": "Bad: between steps",
    "at the end": "Bad: at the end",
    "everywhere": "Bad: on rank 0",
    "an id": "Id 50 at position 9 of 'small' is not in the table 'embedding_1.w_0'",
    "a dtype": "The data type of fed Variable 'ids' must be 'int64'",
    "a shape": "The fed Variable 'label' should have",
    "a missing feed": "Variable 'label' is needed but was not fed",
    "a full table": "Table 'emb' is full: training has brought more distinct ids than its dict_size 9",
    "a full table, caught": "Table 'emb' is full: training has brought more distinct ids than its dict_size 9",
    "an update": "fc_0.w_0_moment1_0",
    "half an update": "The update of a step has failed on this rank, which has other values than the others since.",
    "sys.exit": "The program has left by sys.exit(3)",
    "sys.exit with a text": "The program has left by sys.exit('this is why')",
    "ops": "The ranks of this job have different programs (ops, attributes or persistable variables) in program 0.",
    "a program that is not distributed": "Rank 1 has other programs to train than rank 0.",
    "a version": "The ranks of this job run different versions of fluidlite.",
    "a height": "Table 'emb' has two sizes: the ranks of this job declare it differently.",
    "a width": "Table 'emb' has two sizes: the ranks of this job declare it differently.",
    "two programs": "Table 'emb' has two sizes: programs of this job declare it differently.",
    "no startup": "Variable 'emb' is not there on rank 1",
}
# What another rank says, because rank 0 cannot: it has not begun, has finished, or hears nothing.
SAID_ELSEWHERE = {
    "before the start": "Bad: before the start",
    "after the end": "Bad: after the end",
    "an interrupt": "\nKeyboardInterrupt\n",
    "a late listener": "Bad: a listener",
}
# Each is a job of its own: those that are much like others are only run with -m slow.
SLOW = {
    "after the start", "at the end", "a dtype", "a missing feed", "a full table, caught", "an update", "half an update",
    "a program that is not distributed", "a width", "two programs", "after the end", "a late listener",
    "a late catcher",
}  # fmt: skip
# What other tests of this module look at.
SHARED = {"everywhere", "between steps", "sys.exit", "sys.exit with a text"}
# These catch what rank 0 should say, and do something else for a long time.
CAUGHT = {"a late catcher": "Bad: a catcher"}


def marked(mistakes):
    return [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in mistakes]


@pytest.fixture(scope="module")
def outcomes(request, tmp_path_factory):
    """{mistake: (exit status, what each rank said, which ranks came to the end, seconds)}."""

    chosen = {getattr(item, "callspec", None) and item.callspec.params.get("mistake") for item in request.session.items}
    folders = tmp_path_factory.mktemp("mistakes")

    def run(mistake):
        folder = folders / mistake.replace(" ", "-")
        folder.mkdir()
        outcome = run_ranks(2, SCRIPT, mistake, folder=folder, timeout=35, launcher_ends=mistake != "before the start")
        said = [(folder / f"stderr.{rank}").read_text() for rank in range(2)]
        done = [rank for rank in range(2) if (folder / f"done.{rank}").exists()]
        return outcome.code, said, done, outcome.seconds

    with ThreadPoolExecutor(4) as pool:
        names = [name for name in (*SAID, *SAID_ELSEWHERE, *CAUGHT) if name in chosen | SHARED]
        return dict(zip(names, pool.map(run, names), strict=True))


@pytest.mark.parametrize("mistake", marked(SAID))
def test_rank_0_names_a_mistake_once(outcomes, mistake):
    code, said, done, seconds = outcomes[mistake]
    assert code != 0
    assert said[0].count(SAID[mistake]) == 1, said
    assert SAID[mistake] not in said[1]
    assert "was lost" not in "".join(said)
    assert not done
    assert seconds < 30


@pytest.mark.parametrize("mistake", marked([*SAID_ELSEWHERE, *CAUGHT]))
def test_a_rank_says_what_rank_0_cannot(outcomes, mistake):
    code, said, done, seconds = outcomes[mistake]
    text = {**SAID_ELSEWHERE, **CAUGHT}[mistake]
    assert code != 0
    assert said[1].count(text) == 1, said
    assert text not in said[0]
    assert "was lost" not in "".join(said)
    assert (0 in done) == (mistake == "after the end")
    assert seconds < 30


def test_errors_of_several_ranks_are_all_said(outcomes):
    _, said, _, _ = outcomes["everywhere"]
    assert said[0].count("Bad: on rank 1") == 1
    assert "Rank 1: Traceback" in said[0]


def test_the_traceback_is_of_the_rank_that_failed(outcomes):
    _, said, _, _ = outcomes["between steps"]
    assert "Rank 1: Traceback" in said[0] and "in spoil" in said[0]


def test_the_status_of_sys_exit_is_kept(outcomes):
    # The launcher gives the status of the rank that ended first: 3, or 1 of the rank that was told.
    assert outcomes["sys.exit"][0] in (1, 3)
    assert "this is why" in outcomes["sys.exit with a text"][1][1]


def test_ctrl_c_ends_the_job(tmp_path):
    script = """
        import sys, time
        from fluidlite import distributed
        job = distributed.start()
        job.barrier()
        open(f"started.{job.rank}", "w").close()
        if job.rank:
            job.barrier()
        time.sleep(60)
    """
    with started(2, script, folder=tmp_path) as job:
        until = time.monotonic() + 30
        while not all((tmp_path / f"started.{rank}").exists() for rank in range(2)):
            assert time.monotonic() < until
            time.sleep(0.05)
        began = time.monotonic()
        os.kill(job.process.pid, signal.SIGINT)
        outcome = job.wait(30)
    assert outcome.code != 0
    assert time.monotonic() - began < 20
    assert "was lost" not in outcome.err


STARTS = """
    from fluidlite import distributed
    distributed.start()
"""


@pytest.mark.parametrize(
    "modules, said",
    [
        ({"__init__": "raise ModuleNotFoundError(\"No module named 'mpi4py'\")"}, "mpi4py is missing"),
        (
            {"__init__": "", "MPI": "raise RuntimeError('cannot load MPI library')"},
            "An MPI library that mpi4py can load is missing",
        ),
    ],
    ids=["mpi4py", "library"],
)
def test_what_is_missing_is_named_with_what_to_install(tmp_path, modules, said):
    package = tmp_path / "stub" / "mpi4py"
    package.mkdir(parents=True)
    for name, text in modules.items():
        (package / f"{name}.py").write_text(text + "\n")
    outcome = run_ranks(2, STARTS, env={"PYTHONPATH": str(package.parent)})
    assert outcome.code != 0
    assert outcome.err.count(said) == 1
    assert outcome.err.count(communicator.INSTALL) == 1


def test_ranks_that_are_alone_in_their_mpi_are_told_so():
    # As if the mpiexec of another MPI had started it.
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda rank: run_alone(STARTS, env={"PMI_SIZE": "2", "PMI_RANK": rank}), "01")
    assert first.code != 0 and second.code != 0
    assert first.err.count("The ranks do not find each other: each of them is alone in its MPI library.") == 1
    assert "start the job with the mpiexec of the same MPI" in first.err
    assert "The ranks do not find each other" not in second.err


def test_tasks_of_srun_without_mpi_are_warned_that_they_train_alone():
    script = """
    import warnings
    from fluidlite import distributed
    from tests_values import keep

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        size = distributed.start().size
    keep([size, [str(warning.message) for warning in caught]])
    """
    for tasks, n_warnings in (("4", 1), ("1", 0)):
        ((size, said),) = run_alone(script, env={"SLURM_STEP_NUM_TASKS": tasks}).checked().values
        assert size == 1 and len(said) == n_warnings
        assert all("srun --mpi=pmix" in text for text in said)
