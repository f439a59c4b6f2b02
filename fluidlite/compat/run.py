"""Runs a program as Python itself would, but with a `paddle` package that fluidlite answers for.

The program is `__main__`, with its own arguments, path and tracebacks. The processes that it starts find the same
package, and this Python under the name `python`, through PYTHONPATH and PATH.
"""

import atexit
import io
import os
import runpy
import shutil
import stat
import sys
import sysconfig
import tempfile
import types
from importlib.machinery import SourceFileLoader
from pathlib import Path

import fluidlite
from fluidlite.distributed.launch import tell_rank

from . import bridge

SHIM = Path(__file__).resolve().parent / "shim"
_PACKAGE = Path(fluidlite.__file__).resolve().parent
_HERE = (str(_PACKAGE) + os.sep, "<frozen runpy>")
# What Python says of programs that were written for Python 2.
_PYTHON2 = (
    "Missing parentheses in call to",
    "multiple exception types must be parenthesized",
    "leading zeros in decimal",
)
_PYTHON2 += ("inconsistent use of tabs",)


def run_script(script, *arguments):
    """Run the file `script` as the main program; 2 if it cannot be read."""
    path = os.path.abspath(script)
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        sys.stderr.write(f"python -m fluidlite: can't open file {path!r}: [Errno {error.errno}] {error.strerror}\n")
        return 2
    prepare(os.path.dirname(os.path.realpath(path)))
    sys.argv[:] = [script, *arguments]
    main = _new_main()
    main.__file__, main.__loader__, main.__cached__ = path, SourceFileLoader("__main__", path), None
    exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)


def run_module(module, *arguments):
    """Run a module as the main program, as ``python -m`` does."""
    prepare(os.getcwd())
    sys.argv[:] = [module, *arguments]
    _new_main()
    runpy._run_module_as_main(module)


def _new_main():
    """A main module of the program's own, which also pickle and multiprocessing will find."""
    main = types.ModuleType("__main__")
    main.__builtins__ = sys.modules["builtins"]
    main.__spec__ = None
    sys.modules["__main__"] = main
    return main


def prepare(folder):
    """Set up this process, and the environment of those it starts, for a program that lies in `folder`."""
    entries = [str(SHIM), *_needed_on_path()]
    if not sys.flags.safe_path:
        sys.path[0] = folder
    place = 0 if sys.flags.safe_path else 1
    sys.path[place:place] = [entry for entry in entries if entry not in sys.path]
    _prepend("PYTHONPATH", entries)
    _prepend("PATH", _folders_of_python())
    sys.excepthook = _excepthook
    tell_rank()
    bridge.install()


def _needed_on_path():
    """The folder that has fluidlite, unless every process of this Python finds it by itself."""
    folder = str(_PACKAGE.parent)
    known = {os.path.realpath(path) for path in sysconfig.get_paths().values()}
    return [] if folder in known else [folder]


def _prepend(variable, entries):
    given = [entry for entry in os.environ.get(variable, "").split(os.pathsep) if entry]
    os.environ[variable] = os.pathsep.join([*entries, *(entry for entry in given if entry not in entries)])


def _folders_of_python():
    """Folders for PATH in which `python` and `python3` are this Python."""
    folder, this = os.path.dirname(sys.executable), os.path.realpath(sys.executable)
    found = [shutil.which(name, path=folder) for name in ("python", "python3")]
    if all(one is not None and os.path.realpath(one) == this for one in found):
        return [folder]
    made, owner = tempfile.mkdtemp(prefix="fluidlite-"), os.getpid()
    # A script and not a link: Python finds a virtual environment by the place that it is called at.
    for name in ("python", "python3"):
        path = os.path.join(made, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nexec '{}' \"$@\"\n".format(sys.executable.replace("'", "'\\''")))
        os.chmod(path, stat.S_IRWXU)

    def remove():
        if os.getpid() == owner:  # a forked child leaves it to its parent
            shutil.rmtree(made, ignore_errors=True)

    atexit.register(remove)
    return [made, folder]


def _excepthook(kind, error, trace):
    """Python's own report without the frames between Python and the program."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_HERE):
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)
    if isinstance(error, SyntaxError) and any(text in str(error) for text in _PYTHON2):
        sys.stderr.write(
            f"fluidlite needs Python 3, and {error.filename} is written for Python 2: convert it first, "
            "for instance by the program 2to3 that comes with Python 3.12 and older.\n"
        )
