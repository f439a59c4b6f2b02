"""``python -m fluidlite launch``: finds mpiexec and hands a program over to it.

The job itself needs nothing of this: ``mpiexec -n 4 python train.py`` starts the same ranks.
"""

import os
import shutil
import subprocess
import sys
import sysconfig

from ..errors import InvalidArgumentError, NotFoundError
from .communicator import is_launched, launched_rank

__all__ = ["as_root", "command", "find_mpiexec", "implementation", "launch", "tell_rank"]

USAGE = """\
usage: python -m fluidlite launch [-n RANKS] [MPIEXEC_OPTION ... --] SCRIPT [ARGS ...]
       python -m fluidlite launch [-n RANKS] [MPIEXEC_OPTION ... --] -m MODULE [ARGS ...]

Runs SCRIPT as RANKS processes of one job, as `mpiexec -n RANKS python -m fluidlite SCRIPT` does. Options before a `--`
go to mpiexec as they are; without -n it is mpiexec, its host file or the batch system that says how many ranks.
Fluid's PADDLE_TRAINER_ID, PADDLE_TRAINERS_NUM and TRAINING_ROLE=TRAINER are set for each rank, where they are not set.
For root, as in most containers, OMPI_ALLOW_RUN_AS_ROOT is set, without which Open MPI refuses to run.
"""

_INSTALL = 'pip install "fluidlite[mpi]" brings one, for this Python alone; or load the MPI module of your cluster.'
_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS")
# Open MPI refuses to run for root, as in most containers, unless the environment has both.
_AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def find_mpiexec():
    """The path of mpiexec: beside this Python, where a package of the index puts it, or else on PATH.

    Raises:
        NotFoundError: there is none.
    """
    folders = [os.path.dirname(sys.executable), sysconfig.get_path("scripts")]
    for name in ("mpiexec", "mpirun"):
        for folder in (*folders, None):
            found = shutil.which(name, path=folder)
            if found:
                return found
    raise NotFoundError(
        "mpiexec is missing: without it there is one rank only.",
        expected=f"mpiexec in {folders[0]} or on PATH",
        hint=_INSTALL,
    )


def implementation(mpiexec):
    """'openmpi', 'mpich' (and what is made of it), or 'unknown': what `mpiexec` says of itself."""
    said = subprocess.run([mpiexec, "--version"], capture_output=True, text=True, check=False, timeout=60)
    text = (said.stdout + said.stderr).lower()
    if "open mpi" in text or "openrte" in text:
        return "openmpi"
    return "mpich" if "hydra" in text or "mpich" in text or "intel(r) mpi" in text else "unknown"


def as_root():
    """Variables for the environment of mpiexec that let it run for root; none for anybody else."""
    return dict(_AS_ROOT) if hasattr(os, "geteuid") and os.geteuid() == 0 else {}


def command(n_ranks, program, options=()):
    """The command line that runs `program`, a list, as the ranks of a job.

    Args:
        n_ranks: how many; None leaves that to mpiexec.
        options: further options of mpiexec.
    """
    count = [] if n_ranks is None else ["-n", str(n_ranks)]
    return [find_mpiexec(), *count, *options, *program]


def launch(arguments):
    """What `USAGE` says. This process becomes mpiexec, so that signals and the exit status are mpiexec's own."""
    if not arguments or arguments[0] in ("-h", "--help"):
        (sys.stdout if arguments else sys.stderr).write(USAGE)
        return 0 if arguments else 2
    try:
        n_ranks, options, program = _parsed(list(arguments))
        line = command(n_ranks, [sys.executable, "-m", "fluidlite", *program], options)
    except (InvalidArgumentError, NotFoundError) as error:
        sys.stderr.write(f"python -m fluidlite launch: {error}\n")
        return 2 if isinstance(error, InvalidArgumentError) else 127
    environment = {**os.environ, **as_root()}
    if os.name == "posix":
        os.execve(line[0], line, environment)
    return subprocess.run(line, env=environment, check=False).returncode


def tell_rank(environment=os.environ):
    """Set, in a process that mpiexec has started, the variables by which programs of Fluid find out who they are.

    PADDLE_TRAINER_ID, PADDLE_TRAINERS_NUM, TRAINING_ROLE and PADDLE_TRAINING_ROLE; those that are set stay as they are.
    """
    if not is_launched():
        return
    size = next((environment[name] for name in _SIZES if environment.get(name, "").isdecimal()), None)
    told = {"PADDLE_TRAINER_ID": str(launched_rank()), "PADDLE_TRAINERS_NUM": size}
    told |= {"TRAINING_ROLE": "TRAINER", "PADDLE_TRAINING_ROLE": "TRAINER"}
    for name, value in told.items():
        if value is not None:
            environment.setdefault(name, value)


def _parsed(arguments):
    """(number of ranks or None, options of mpiexec, script or module with its arguments)."""
    n_ranks = None
    if arguments[0] in ("-n", "-np"):
        count = arguments[1] if len(arguments) > 1 else ""
        if not count.isascii() or not count.isdecimal() or int(count) < 1:
            raise InvalidArgumentError(
                f"The number of ranks after {arguments[0]} is not usable.", expected="a number >= 1", actual=repr(count)
            )
        n_ranks, arguments = int(count), arguments[2:]
    options = []
    if arguments and arguments[0].startswith("-") and arguments[0] != "-m":
        if "--" not in arguments:
            raise InvalidArgumentError(
                f"Where the program begins cannot be told: {arguments[0]} is no script.",
                expected="options of mpiexec, --, and the script",
                actual=" ".join(arguments),
            )
        end = arguments.index("--")
        options, arguments = arguments[:end], arguments[end + 1 :]
    if not arguments or arguments == ["-m"]:
        raise InvalidArgumentError("There is no program to launch.", expected="SCRIPT or -m MODULE")
    return n_ranks, options, arguments
