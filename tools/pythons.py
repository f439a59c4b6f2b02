"""The Pythons of this machine that can build and test wheels."""

import dataclasses
import json
import os
import re
import subprocess
from pathlib import Path

OLDEST = (3, 11)  # the oldest supported, and the version of the limited API


@dataclasses.dataclass(frozen=True)
class Python:
    version: tuple  # major, minor
    full: tuple
    free_threaded: bool
    executable: str
    include: str  # a folder with the headers
    pyconfig: str  # the pyconfig.h it was built with

    @property
    def abi(self):
        """As in the tag of a wheel: cp314, or cp314t without the GIL."""
        return "cp{}{}".format(*self.version) + "t" * self.free_threaded

    def __str__(self):
        return ".".join(map(str, self.full)) + "t" * self.free_threaded


ASK_PYTHON = """\
import ensurepip, json, os, sys, sysconfig, venv
include = sysconfig.get_paths()["include"]
assert sys.implementation.name == "cpython" and os.path.exists(os.path.join(include, "Python.h"))
# Debian's is where its own compilers look; what lies beside Python.h includes it from there.
parent, name = os.path.split(include)
multiarch = os.path.join(parent, str(sysconfig.get_config_var("MULTIARCH")), name, "pyconfig.h")
pyconfig = multiarch if os.path.exists(multiarch) else os.path.join(include, "pyconfig.h")
free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
print(json.dumps([sys.version_info[:3], free_threaded, os.path.realpath(sys.executable), include, pyconfig]))
"""


def ask_python(executable):
    """What a Python says of itself; None if no wheels can be built with it."""
    done = subprocess.run([executable, "-c", ASK_PYTHON], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    full, *rest = json.loads(done.stdout)
    return Python(tuple(full[:2]), tuple(full), *rest) if tuple(full[:2]) >= OLDEST else None


def find_pythons():
    """The newest Python of each version, with and without the GIL, on PATH and among pyenv's."""
    places = os.environ.get("PATH", "").split(os.pathsep)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    places += [str(path) for path in pyenv.glob("versions/*/bin")]
    found = {}
    for place in places:
        for path in Path(place or ".").glob("python3.*"):
            if re.fullmatch(r"python3\.\d+t?", path.name) and "shims" not in path.parts:
                python = ask_python(str(path))
                if python and python.full > getattr(found.get(python.abi), "full", ()):
                    found[python.abi] = python
    return sorted(found.values(), key=lambda python: (python.version, python.free_threaded))
