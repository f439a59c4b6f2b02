"""Scripts run as the ranks of a job: under mpiexec, or as one process without MPI.

A launch takes a second or more, so a script checks many things. It may leave a value for the test:
``from tests_values import keep; keep({...})`` writes what can be written as JSON; `Outcome.values` has it, by rank.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path

import fluidlite
from fluidlite.distributed.launch import as_root, find_mpiexec, implementation

ROOT = Path(__file__).resolve().parent.parent.parent  # of the tests; the package may be installed elsewhere
# What tells a process that it is a rank; a test may itself be run under a launcher.
RANK_VARIABLES = ("OMPI_", "PMI_", "PMIX_", "PRTE_", "MPI_LOCAL", "SLURM_PROC", "HYDRA_")

# How long mpiexec may go on when none of its ranks lives.
_LAUNCHER_SECONDS = 10

_VALUES = '''
"""What the scripts of the tests leave for them."""

import json
import os


def keep(value):
    """Leave a value of this rank; the last one counts."""
    rank = next((os.environ[n] for n in ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK") if n in os.environ), "0")
    with open(os.path.join(os.environ["TESTS_VALUES"], rank), "w") as file:
        json.dump(value, file)
'''


@dataclass
class Outcome:
    """How a job ended, after how many seconds. `values[rank]` is what `keep` got, or None."""

    code: int
    out: str
    err: str
    values: list = field(default_factory=list)
    seconds: float = 0.0

    def checked(self):
        """Itself, if the job ended well."""
        assert self.code == 0, f"exit status {self.code}\n{self.out}\n{self.err}"
        return self


class Job:
    """A job that runs: ``with started(2, script) as job``; `process` is mpiexec's, `wait` gives the Outcome."""

    def __init__(self, command, folder, environment, n_ranks):
        self.folder, self.n_ranks = Path(folder), n_ranks
        self.values = self.folder / "values"
        self.values.mkdir(exist_ok=True)
        for old in self.values.iterdir():
            old.unlink()
        (self.folder / "tests_values.py").write_text(_VALUES)
        # The package's folder may hold other packages, which come after what a test puts in their place.
        package = Path(fluidlite.__file__).resolve().parent
        path = [str(self.folder), environment.get("PYTHONPATH", ""), str(package.parent)]
        environment = {
            **environment,
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "TESTS_VALUES": str(self.values),
            "PYTHONFAULTHANDLER": "1",  # for `ask_where`
        }
        self.began = time.monotonic()
        # Files, not pipes: a rank that outlives mpiexec would hold a pipe open. A session of its own is ended whole.
        self.out, self.err = (open(self.folder / name, "w+") for name in ("stdout", "stderr"))
        self.process = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=self.out, stderr=self.err, start_new_session=True
        )

    def wait(self, timeout=60, launcher_ends=True):
        """The Outcome. A job that takes longer is ended, and fails.

        launcher_ends: False where mpiexec may go on after the last rank: then the status is what it says of a rank.
        """
        until, look, seen, ended, hangs = self.began + timeout, 0.0, False, None, False
        while self.process.poll() is None:
            time.sleep(0.02)
            now = time.monotonic()
            if now < min(look, until):
                continue
            look, alive = now + 0.25, self.ranks_alive()
            if now > until:
                self.ask_where(alive or [])
                self.end()
                said = f"{self._text(self.out)}\n{self._text(self.err)}"
                raise AssertionError(f"no end after {timeout} s of the processes {alive}: {self.process.args}\n{said}")
            # prterun of Open MPI 5.0 may wait for ever after its ranks have ended, when one of them has failed while
            # another was about to connect (PMIX_ERR_UNREACH). What is tested are the ranks.
            seen = seen or bool(alive)
            ended = (ended or now) if seen and not alive else None
            if not launcher_ends and ended is not None and now - ended > _LAUNCHER_SECONDS:
                self.end()
                hangs = True
                break
        code, seconds = self.process.returncode, (ended if hangs else time.monotonic()) - self.began
        if hangs:
            code = int(re.search(r"Exit code: +(\d+)", self._text(self.err))[1])
        kept = [self.values / str(rank) for rank in range(self.n_ranks)]
        values = [json.loads(path.read_text()) if path.exists() else None for path in kept]
        return Outcome(code, self._text(self.out), self._text(self.err), values, seconds)

    def ranks_alive(self):
        """The process ids of its ranks that have not ended; None where the system does not tell."""
        if not Path("/proc/self/environ").exists():
            return None
        alive, mine = [], f"TESTS_VALUES={self.values}".encode()
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                variables = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if mine in variables and any(v.startswith((b"OMPI_COMM_WORLD_RANK=", b"PMI_RANK=")) for v in variables):
                alive.append(int(path.parent.name))
        return alive

    @staticmethod
    def ask_where(ranks):
        """Let ranks that hang write the stacks of their threads to their stderr, which ends them."""
        for pid in ranks:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGABRT)
        time.sleep(1)

    def end(self):
        """End what is left of it: mpiexec is asked first, because its ranks are in sessions of their own."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    @staticmethod
    def _text(file):
        return Path(file.name).read_text(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.end()
        self.out.close()
        self.err.close()


def started(n_ranks, script, *arguments, folder, env=None, tcp=False, fluid=False):
    """A `Job` of that many ranks, which runs on while the test goes on; arguments as of `run_ranks`."""
    mpiexec = find_mpiexec()
    options, variables = _settings(implementation(mpiexec), tcp)
    program = _program(script, folder, fluid)
    command = [mpiexec, "-n", str(n_ranks), *options, *program, *map(str, arguments)]
    environment = {**_environment(), **as_root(), **variables, **(env or {})}
    return Job(command, folder, environment, n_ranks)


def run_ranks(
    n_ranks, script, *arguments, timeout=60, env=None, tcp=False, folder=None, fluid=False, launcher_ends=True
):
    """The `Outcome` of a script that mpiexec runs as `n_ranks` ranks.

    Args:
        script: the text of a script, or its path.
        arguments: of the script.
        timeout: seconds after which the job is ended, and the test fails.
        env: variables to add to the environment.
        tcp: ranks talk over TCP alone, as on several machines.
        folder: where it runs and `script` is written; a temporary one if None.
        fluid: run it by ``python -m fluidlite``, for scripts that import paddle.fluid.
        launcher_ends: see `Job.wait`.
    """
    with _folder(folder) as place:
        with started(n_ranks, script, *arguments, folder=place, env=env, tcp=tcp, fluid=fluid) as job:
            return job.wait(timeout, launcher_ends)


def run_alone(script, *arguments, timeout=60, env=None, folder=None, fluid=False):
    """The `Outcome` of a script in one process that no launcher started; arguments as of `run_ranks`."""
    with _folder(folder) as place:
        command = [*_program(script, place, fluid), *map(str, arguments)]
        with Job(command, place, {**_environment(), **(env or {})}, 1) as job:
            return job.wait(timeout)


def _folder(folder):
    if folder is None:
        return tempfile.TemporaryDirectory(prefix="fluidlite-ranks-", ignore_cleanup_errors=True)
    return _Given(str(folder))


class _Given(str):
    """A folder that somebody else makes and removes."""

    def __enter__(self):
        return str(self)

    def __exit__(self, *error):
        pass


def _program(script, folder, fluid):
    if isinstance(script, str) and "\n" in script:
        path = Path(folder) / "script.py"
        path.write_text(textwrap.dedent(script))
    else:
        path = Path(script).resolve()
    return [sys.executable, *(["-m", "fluidlite"] if fluid else []), str(path)]


def _environment():
    kept = {name: value for name, value in os.environ.items() if not name.startswith(RANK_VARIABLES)}
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "FLUIDLITE_NUM_THREADS": "1"}


def _settings(kind, tcp):
    """(options of mpiexec, variables) for more ranks than cores, and for TCP alone."""
    if kind == "openmpi":
        # Ranks that wait let others run: the machine may have fewer cores than ranks, and other work.
        patient = {"OMPI_MCA_mpi_yield_when_idle": "1"}
        return ["--oversubscribe", *(["--mca", "pml", "ob1", "--mca", "btl", "tcp,self"] if tcp else [])], patient
    # MPICH kills the others at once when a rank is lost, before they can say what happened.
    options = ["-disable-auto-cleanup"] if kind == "mpich" else []
    return options, {"FI_PROVIDER": "tcp", "MPIR_CVAR_NOLOCAL": "1", "UCX_TLS": "tcp"} if tcp else {}
