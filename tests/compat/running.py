"""Programs run in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import fluidlite

ROOT = Path(fluidlite.__file__).resolve().parent.parent


def run(arguments, folder, path=(), module=True, **options):
    """The finished process ``python -m fluidlite arguments``, or without ``-m fluidlite``, started in `folder`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *path]), **options.pop("env", {})}
    command = [options.pop("python", sys.executable), *(["-m", "fluidlite"] if module else []), *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=options.pop("timeout", 120)
    )
