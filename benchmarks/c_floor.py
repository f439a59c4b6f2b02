"""Builds the C floor with the compiler of this machine, if there is one."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "row_adam_floor.c"
FLAGS = (
    ["-O3", "-march=native", "-ffast-math"],
    ["-O3", "-mcpu=native", "-ffast-math"],  # What some ARM compilers call it.
    ["-O3", "-ffast-math"],
)


def build_floor(folder, compiler=None):
    """(path of the shared library, None), or (None, a line that says why there is none)."""
    compiler = shlex.split(compiler or os.environ.get("CC", "")) or _find_compiler()
    if not compiler:
        return None, "C floor: no C compiler found (cc, gcc, clang, or the variable CC); its column is left out"
    if not SOURCE.exists():
        return None, f"C floor: {SOURCE.name} is not there; its column is left out"
    library, compiled = Path(folder) / "row_adam_floor.so", Path(folder) / "row_adam_floor.o"
    # Linked without -ffast-math, which would make whoever loads the library round denormal numbers to zero.
    link = [*compiler, "-shared", "-pthread", str(compiled), "-o", str(library), "-lm"]
    for flags in FLAGS:
        command = [*compiler, *flags, "-c", "-fPIC", "-pthread", str(SOURCE), "-o", str(compiled)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                done = subprocess.run(link, capture_output=True, text=True)
        except OSError as error:
            return None, f"C floor: cannot start {compiler[0]}: {error.strerror}; its column is left out"
        if done.returncode == 0:
            return library, None
    why = (done.stderr.strip().splitlines() or ["no message"])[0]
    return None, f"C floor: {compiler[0]} cannot build it: {why}; its column is left out"


def _find_compiler():
    return next(([name] for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
