"""``python -m fluidlite``: run a program of Fluid, or look at the names it uses."""

import sys

USAGE = """\
usage: python -m fluidlite SCRIPT [ARGS ...]      run a paddle.fluid program
       python -m fluidlite -m MODULE [ARGS ...]   the same for a module
       python -m fluidlite launch -n 4 SCRIPT ... run it as four ranks of one job, by mpiexec
       python -m fluidlite check SCRIPT ...       list the Fluid names that programs use, without running them
       python -m fluidlite api                    print the names of Fluid that fluidlite has, as Markdown
       python -m fluidlite --version

A script that is called check, api or launch is ./check, ./api or ./launch.
"""


def main(arguments):
    """Do what the arguments say; the exit status, or None."""
    first, rest = (arguments[0] if arguments else "--help"), arguments[1:]
    if first in ("-h", "--help"):
        sys.stdout.write(USAGE)
        return 0 if arguments else 2
    if first == "--version":
        from . import __version__
        from .version import FLUID_VERSION

        sys.stdout.write(f"fluidlite {__version__}, with the names of Fluid {FLUID_VERSION}\n")
        return 0
    if first == "check" and rest:
        from .compat.check import check

        return check(rest)
    if first == "api" and not rest:
        from .compat.api import page

        sys.stdout.write(page())
        return 0
    if first == "launch":
        from .distributed.launch import launch

        return launch(rest)
    if first == "-m" and rest:
        from .compat.run import run_module

        return run_module(*rest)
    if first.startswith("-") or first in ("check", "api"):
        sys.stderr.write(f"python -m fluidlite: cannot do {' '.join(arguments)}\n{USAGE}")
        return 2
    from .compat.run import run_script

    return run_script(first, *rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
