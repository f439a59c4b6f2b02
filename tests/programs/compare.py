"""Record what Fluid 1.8.5 prints for the programs, and compare fluidlite with it.

    python -m programs.compare record NAME ...     in the folder tests, with a Python that has Fluid
    python -m programs.compare compare NAME ...    the same with fluidlite's Python, against the recordings

Without names: all. Runs under Python 3.7 too.
"""

import os
import re
import subprocess
import sys
import tempfile

from .cases import CASES, DATA

# Fluid looks for the archives on the network unless their MD5 sums are right, and draws the ranges of the houses.
_ORACLE = """
import os, runpy, sys, warnings
warnings.simplefilter("ignore")
import paddle.dataset
common = paddle.dataset.common
common.download = lambda url, module, md5, save_name=None: os.path.join(common.DATA_HOME, module, url.split("/")[-1])
paddle.dataset.uci_housing.feature_range = lambda *ranges: None
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf)(?![\w.])", re.IGNORECASE)
RELATIVE, FIRST = 1e-3, 1e-5


def run(case, folder, command, env=None):
    """The finished process of a program below `folder`."""
    script = case.prepare(folder)
    folders = [os.path.dirname(sys.executable), os.environ.get("PATH", "")]
    environment = dict(os.environ, HOME=folder, CPU_NUM="1", PATH=os.pathsep.join(folders), **(env or {}))
    return subprocess.run(
        command + [script] + case.arguments,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def differences(printed, recorded, first_decimals=True):
    """What is printed otherwise than recorded: a list of sentences.

    The text around the numbers has to be the same; numbers agree within `RELATIVE` of themselves, and the first one
    that has decimals within `FIRST`: before training, rounding has had no steps to grow in.
    """
    found, exact = [], first_decimals
    lines, expected = printed.splitlines(), recorded.splitlines()
    if len(lines) != len(expected):
        found.append(f"{len(lines)} lines, not {len(expected)}")
    for number, (line, wanted) in enumerate(zip(lines, expected), 1):  # noqa: B905
        if _words(line) != _words(wanted):
            found.append(f"line {number}: {line!r}, not {wanted!r}")
            continue
        for one, other in zip(_NUMBER.findall(line), _NUMBER.findall(wanted)):  # noqa: B905
            decimals = len(other.partition(".")[2].partition("e")[0])
            tolerance = FIRST if exact and decimals else RELATIVE
            exact = exact and not decimals
            # Half a unit of the last digit that is printed goes to rounding.
            rounding = 1.01 * 10.0**-decimals if decimals and "e" not in other else 1e-7
            if not abs(float(one) - float(other)) <= tolerance * abs(float(other)) + rounding:
                found.append(f"line {number}: {one}, not {other}, in {line!r}")
    return found


def _words(line):
    """The line without what depends on the digits of its numbers: arrays are filled up with spaces."""
    return "".join(_NUMBER.sub("#", line).split())


def main(arguments):
    """Record or compare the programs named; the number of programs that differ or fail."""
    what, names = arguments[0], arguments[1:] or list(CASES)
    bad = 0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            if what == "record":
                done = run(CASES[name], folder, [sys.executable, "-u", "-c", _ORACLE])
            else:
                root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
                done = run(CASES[name], folder, [sys.executable, "-m", "fluidlite"], {"PYTHONPATH": root})
        path = os.path.join(DATA, name + ".txt")
        if done.returncode:
            sys.stdout.write(f"{name}: failed\n{done.stdout}{done.stderr}\n")
            bad += 1
        elif what == "record":
            with open(path, "w") as file:
                file.write(done.stdout)
            sys.stdout.write(f"{name}: {len(done.stdout.splitlines())} lines\n")
        else:
            with open(path) as file:
                found = differences(done.stdout, file.read())
            sys.stdout.write(f"{name}: {'differs' if found else 'agrees'}\n{done.stderr}")
            sys.stdout.write("".join("  " + text + "\n" for text in found[:20]))
            bad += bool(found)
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
