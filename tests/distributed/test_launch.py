"""``python -m fluidlite launch``, and where it finds mpiexec."""

import os
import stat
import subprocess
import sys
import time

import pytest

from fluidlite.distributed import launch
from fluidlite.errors import NotFoundError

from .launching import run_alone, started

SCRIPT = """
import os, sys
from paddle.fluid.incubate.fleet.collective import fleet
names = ("PADDLE_TRAINER_ID", "PADDLE_TRAINERS_NUM", "TRAINING_ROLE", "PADDLE_TRAINING_ROLE")
print("arguments", sys.argv[1:], *[os.environ.get(name) for name in names], flush=True)
fleet.init()
fleet.barrier_worker()  # mpiexec ends the job when a rank has failed
sys.exit(5)
"""


def fake(folder, name="mpiexec", text="exit 0"):
    """A command that stands in for mpiexec."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def nothing(monkeypatch, tmp_path):
    """No mpiexec, beside Python or on PATH; the folder that is beside Python."""
    beside = tmp_path / "bin"
    beside.mkdir()
    monkeypatch.setattr(sys, "executable", str(beside / "python"))
    monkeypatch.setattr(launch.sysconfig, "get_path", lambda name: str(tmp_path / "scripts"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return beside


def test_mpiexec_is_found_beside_python_and_then_on_path(nothing, tmp_path):
    on_path = fake(tmp_path / "path", "mpirun")
    assert launch.find_mpiexec() == on_path
    on_path = fake(tmp_path / "path")
    assert launch.find_mpiexec() == on_path
    scripts = fake(tmp_path / "scripts")
    assert launch.find_mpiexec() == scripts
    beside = fake(nothing)
    assert launch.find_mpiexec() == beside


def test_a_missing_mpiexec_is_named_with_what_to_install(nothing, capsys):
    with pytest.raises(NotFoundError, match=r"(?s)mpiexec is missing.*pip install \"fluidlite\[mpi\]\""):
        launch.find_mpiexec()
    assert launch.launch(["-n", "2", "train.py"]) == 127
    assert "launch: mpiexec is missing" in capsys.readouterr().err


def test_what_mpiexec_says_of_itself(tmp_path):
    assert launch.implementation(fake(tmp_path / "a", text='echo "mpiexec (Open MPI) 5.0.11"')) == "openmpi"
    assert launch.implementation(fake(tmp_path / "b", text='echo "HYDRA build details:" >&2')) == "mpich"
    assert launch.implementation(fake(tmp_path / "c", text="exit 1")) == "unknown"


def test_the_command(nothing):
    mpiexec = fake(nothing)
    assert launch.command(3, ["python", "a.py"], ["--bind-to", "core"]) == [
        mpiexec, "-n", "3", "--bind-to", "core", "python", "a.py"
    ]  # fmt: skip
    assert launch.command(None, ["python", "a.py"]) == [mpiexec, "python", "a.py"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-n 4 train.py", (4, [], ["train.py"])),
        ("-np 4 train.py --lr 1 -- x", (4, [], ["train.py", "--lr", "1", "--", "x"])),
        ("train.py", (None, [], ["train.py"])),
        ("-n 2 --bind-to core -- train.py -x", (2, ["--bind-to", "core"], ["train.py", "-x"])),
        ("--hostfile h -- -m train -n 3", (None, ["--hostfile", "h"], ["-m", "train", "-n", "3"])),
        ("-n 2 -m train", (2, [], ["-m", "train"])),
    ],
)
def test_arguments(arguments, expected):
    assert launch._parsed(arguments.split()) == expected


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("-n", "number of ranks after -n"),
        ("-n 0 train.py", "number of ranks after -n"),
        ("-n two train.py", "number of ranks after -n"),
        ("-n 2", "There is no program"),
        ("-n 2 -m", "There is no program"),
        ("-n 2 --bind-to core --", "There is no program"),
        ("--bind-to core train.py", "Where the program begins"),
    ],
)
def test_arguments_that_cannot_be_understood(arguments, text, capsys):
    assert launch.launch(arguments.split()) == 2
    assert text in capsys.readouterr().err


def test_usage(capsys):
    assert (launch.launch(["--help"]), launch.launch([])) == (0, 2)
    said = capsys.readouterr()
    assert said.out == said.err == launch.USAGE


def test_a_process_that_nobody_launched_is_told_nothing():
    outcome = run_alone(SCRIPT, "x", fluid=True)
    assert (outcome.code, outcome.out) == (5, "arguments ['x'] None None None None\n")


def test_only_root_is_let_run_as_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert launch.as_root() == {}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert set(launch.as_root()) == {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"}


def test_a_launch_has_ranks_arguments_and_exit_status(tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT)
    options = ["--oversubscribe"] if launch.implementation(launch.find_mpiexec()) == "openmpi" else []
    command = [sys.executable, "-m", "fluidlite", "launch", "-n", "2", *options, "--", "train.py", "-n", "7"]
    runner = f"import subprocess, sys\nsys.exit(subprocess.run({command!r}, check=False).returncode)\n"
    outcome = run_alone(runner, folder=tmp_path, env={"PADDLE_TRAINING_ROLE": "kept"})
    assert outcome.code == 5, outcome.err
    said = sorted(line for line in outcome.out.splitlines() if line.startswith("arguments"))
    assert said == [f"arguments ['-n', '7'] {rank} 2 TRAINER kept" for rank in (0, 1)]


def test_the_usage_of_fluidlite_names_it():
    done = subprocess.run([sys.executable, "-m", "fluidlite", "--help"], capture_output=True, text=True, check=True)
    assert "launch -n 4 SCRIPT" in done.stdout


def test_a_job_that_does_not_end_says_which_ranks_live(tmp_path):
    script = "import sys, time\nopen('began-' + sys.argv[1], 'a').close()\ntime.sleep(60)\n"
    with started(2, script, "x", folder=tmp_path) as job:
        until = time.monotonic() + 30
        while len(job.ranks_alive() or [0, 0]) < 2 or not (tmp_path / "began-x").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        with pytest.raises(AssertionError, match=r"no end after 0.2 s of the processes (\[\d+, \d+\]|None)"):
            job.wait(0.2)
