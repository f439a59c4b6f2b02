"""Runs the wheels of a folder: each in environments of its own, with a copy of the tests far from the checkout.

    python tools/test_wheels.py wheelhouse --arm64-root DIR

* x86-64, every Python found: pip chooses among the wheels of the folder, without a compiler on PATH the examples run,
  and then the whole test suite does; with the abi3 wheel the kernels' tests.
* x86-64 under qemu-user, as a Haswell and as a Nehalem: the CPU path chosen is the expected one, the kernels' tests
  pass, and every checksum is that of this machine, where that is promised.
* arm64 under qemu-user with the Python of --arm64-root: likewise, with the wheel for its version and with abi3.
* the sdist: built, installed and tested from its own contents alone. This needs a C compiler.

Exit status: 0 all of it passed, 1 something failed, 3 what ran passed but not all could run; the last lines say what.
qemu-x86_64 and qemu-aarch64 (or -static) are looked for on PATH and in --qemu. CONTRIBUTING.md says how to make DIR.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from pathlib import Path

from pythons import Python, ask_python, find_pythons

ROOT = Path(__file__).resolve().parent.parent
# What the tests read, but not the package: a test that finds `fluidlite` beside itself does not test the wheel.
COPIED = ("tests", "examples", "benchmarks", "docs", "tools")
SHOW = "import json, fluidlite; print(json.dumps(fluidlite.show_config(mode='dicts')))"
WHERE = "import fluidlite; print(fluidlite.__file__)"
# (name of the step, model for qemu, variables, the path that has to be chosen)
OLD_CPUS = [
    # Without what qemu warns that it lacks, since tests look at what their children print.
    ("Haswell", "Haswell,-pcid,-x2apic,-tsc-deadline,-hle,-invpcid,-rtm", {"OPENBLAS_CORETYPE": "Haswell"}, "avx2"),
    # qemu's model and OpenBLAS's detection disagree below Haswell, and OpenBLAS ends the process.
    ("Nehalem", "Nehalem", {"OPENBLAS_CORETYPE": "Nehalem"}, "baseline"),
]
# pow of the C library, which Ftrl takes with a power other than -1/2, chooses by CPU itself and rounds accordingly. In
# float32 the difference is rounded away.
NOT_PROMISED = re.compile(r"float64.*'lr_power': -0\.8")
KERNELS, WHOLE = ("tests/kernels",), ("-n", "2", "--dist", "loadfile")
PARTS = ("native", "old-cpus", "arm64", "sdist")
ARM64_PLATFORMS = ["manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64"]
ARM64_PLATFORMS += ["manylinux2014_aarch64", "any"]


class StepError(Exception):
    """A step failed; the message is what it printed."""


class Report:
    """What ran, what failed, and what could not run."""

    def __init__(self):
        self.failed, self.missing = [], []

    def step(self, name, function, *arguments):
        start = time.monotonic()
        try:
            said = function(*arguments)
        except StepError as error:
            self.failed.append(name)
            print(f"FAILED {name}\n{error}", flush=True)
            return
        print(f"ok     {name}: {said} ({time.monotonic() - start:.0f} s)", flush=True)

    def cannot(self, name, why):
        self.missing.append(f"{name}: {why}")

    def finish(self):
        for line in self.missing:
            print(f"NOT RUN {line}")
        if self.failed:
            print(f"FAILED: {', '.join(self.failed)}")
            return 1
        print("incomplete: not everything could run" if self.missing else "complete: everything ran and passed")
        return 3 if self.missing else 0


def run(command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        words = " ".join(str(word) for word in command)
        raise StepError(f"{words}\nexit status {done.returncode}\n{done.stdout[-5000:]}{done.stderr[-5000:]}")
    return done.stdout


def environment(**variables):
    """Of this process, without what would lead Python or our package elsewhere."""
    unwanted = ("PYTHON", "FLUIDLITE_", "OMP_")
    return {name: text for name, text in os.environ.items() if not name.startswith(unwanted)} | variables


def pytest(command, folder, *arguments, **variables):
    """Runs pytest in a folder; its last line."""
    command = [*command, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return run(command, cwd=folder, env=environment(**variables)).strip().splitlines()[-1]


def copy_tests(folder):
    """The tests and all that they read, without the package."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, folder)


def test_requirements(python: Python):
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["test"]
    # It has no wheels for a Python without the GIL.
    return [word for word in found if not (python.free_threaded and word.startswith("safetensors"))]


# ---- x86-64, natively


def new_environment(python: Python, folder):
    run([python.executable, "-m", "venv", folder])
    inside = folder / "bin" / "python"
    run([inside, "-m", "pip", "install", "-q", "numpy>=1.26", *test_requirements(python)])
    return inside


def install(inside, wheels, what):
    """Installs `what` from the folder of wheels alone; the tag of the wheel that pip chose."""
    run([inside, "-m", "pip", "install", "-q", "--force-reinstall", "--no-index", "--no-deps", "-f", wheels, what])
    site = Path(run([inside, "-c", WHERE], cwd=inside.parent).strip()).parent.parent
    (info,) = site.glob("fluidlite-*.dist-info/WHEEL")
    return [line.split(": ")[1] for line in info.read_text().splitlines() if line.startswith("Tag: ")][0]


def run_without_compiler(inside, tests, folder):
    """The examples in a process whose PATH has nothing but the environment."""
    alone = environment(PATH=str(inside.parent))
    if any(shutil.which(name, path=alone["PATH"]) for name in ("cc", "gcc", "clang", "ld")):
        raise StepError("the environment has a compiler")
    folder.mkdir()
    run([inside, tests / "examples" / "sparse_adam.py"], cwd=folder, env=alone)
    short = ["--epochs", "1", "--dict-size", "300", "--embed-size", "16"]
    run([inside, tests / "examples" / "word_emb.py", *short], cwd=folder, env=alone)
    return "both examples, no compiler on PATH"


def run_natively(report, pythons, wheels, tests, work, quick):
    for python in pythons:
        inside = new_environment(python, work / f"env-{python.abi}")

        def chosen(inside=inside, python=python):
            tag = install(inside, wheels, "fluidlite")
            if tag.split("-")[1] != python.abi:
                raise StepError(f"pip took the wheel {tag}, not that of {python.abi}")
            return f"{tag}; {run([inside, '-c', SHOW], cwd=work).strip()}"

        def abi3(inside=inside):
            (path,) = wheels.glob("*-abi3-manylinux*x86_64.whl")
            return f"{install(inside, wheels, path)}; {pytest([inside], tests, *KERNELS)}"

        name = f"x86-64, Python {python}"
        report.step(f"{name}, install", chosen)
        report.step(f"{name}, examples", run_without_compiler, inside, tests, work / f"out-{python.abi}")
        report.step(f"{name}, tests", pytest, [inside], tests, *(KERNELS if quick else WHOLE))
        if not python.free_threaded:
            report.step(f"{name}, abi3", abi3)


# ---- under qemu-user


def find_qemu(machine, folder):
    places = os.pathsep.join(filter(None, [folder and str(folder), os.environ.get("PATH", "")]))
    found = shutil.which(f"qemu-{machine}-static", path=places) or shutil.which(f"qemu-{machine}", path=places)
    return found and os.path.abspath(found)


def emulated_python(folder, emulator, python, *paths):
    """A command that runs a Python under an emulator, and that stands in its sys.executable: so do its children."""
    folder.mkdir()
    command = folder / "python"
    words = " ".join(f"'{word}'" for word in [*emulator, python])
    command.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    command.chmod(0o755)
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(f"import sys\nsys.executable = {str(command)!r}\n")
    return command, os.pathsep.join(str(path) for path in (site, *paths))


def checksums(command, tests, **variables):
    """{check: checksum} of every kernel with one and with two threads, which have to agree."""
    found = json.loads(run([command, tests / "tests" / "kernels" / "checksums.py"], env=environment(**variables)))
    if found["1"] != found["2"]:
        raise StepError("one thread and two threads give different bits")
    return found["1"]


def compare(found, expected):
    different = sorted(name for name in expected if found[name] != expected[name])
    broken = [name for name in different if not NOT_PROMISED.search(name)]
    if broken:
        raise StepError(f"{len(broken)} of {len(expected)} checksums differ, the first: {broken[:3]}")
    return f"{len(expected) - len(different)} of {len(expected)} checksums are those of this machine"


def run_as_old_cpus(report, python, wheels, tests, work, qemu):
    inside = work / f"env-{python.abi}" / "bin" / "python"
    install(inside, wheels, "fluidlite")
    expected = checksums(inside, tests)

    def emulate(name, model, variables, path):
        command, paths = emulated_python(work / name, [qemu, "-cpu", model], inside)
        variables = {"PYTHONPATH": paths, **variables}
        said = json.loads(run([command, "-c", SHOW], env=environment(**variables), cwd=work))
        if said["cpu"] != path:
            raise StepError(f"the CPU path is {said['cpu']}, expected {path}")
        bits = compare(checksums(command, tests, **variables), expected)
        return f"path {path}; {bits}; {pytest([command], tests, *KERNELS, **variables)}"

    for name, model, variables, path in OLD_CPUS:
        report.step(f"x86-64 as {name}", emulate, name, model, variables, path)
    return expected


def run_as_arm64(report, python, wheels, tests, work, qemu, root, expected):
    """`python` is the path of an arm64 Python inside `root`, of version (major, minor)."""
    ask = "import sys; print(*sys.version_info[:2])"
    version = tuple(map(int, run([qemu, "-L", root, python, "-c", ask]).split()))
    short = f"cp{version[0]}{version[1]}"
    for abi in (short, "abi3"):
        found = list(wheels.glob(f"*-{abi}-*aarch64*.whl"))
        if not found:
            report.cannot(f"arm64, {abi}", f"there is no such wheel in {wheels}")
            continue

        def emulate(abi=abi, wheel=found[0]):
            site = work / f"site-{abi}"
            command = [sys.executable, "-m", "pip", "install", "-q", "--target", site, "--only-binary=:all:"]
            command += ["--implementation=cp", f"--python-version={version[0]}.{version[1]}"]
            command += [f"--abi={one}" for one in (short, "abi3", "none")]
            command += [f"--platform={one}" for one in ARM64_PLATFORMS]
            run([*command, "numpy", "pytest", "hypothesis", wheel])
            command, paths = emulated_python(work / f"arm64-{abi}", [qemu, "-L", root], python, site)
            variables = {"PYTHONPATH": paths}
            said = json.loads(run([command, "-c", SHOW], env=environment(**variables), cwd=work))
            if said["cpu"] != "neon":
                raise StepError(f"the CPU path is {said['cpu']}, expected neon")
            bits = compare(checksums(command, tests, **variables), expected) if expected else ""
            return f"path neon; {bits}; {pytest([command], tests, *KERNELS, **variables)}"

        report.step(f"arm64, Python {version[0]}.{version[1]}, {abi}", emulate)


# ---- the sdist


def run_sdist(path, python, work, quick):
    with tarfile.open(path) as archive:
        archive.extractall(work / "sdist", filter="data")
    (source,) = (work / "sdist").iterdir()
    run([python.executable, "-m", "venv", work / "env-sdist"])
    inside = work / "env-sdist" / "bin" / "python"
    run([inside, "-m", "pip", "install", "-q", "-e", ".[test]"], cwd=source, env=environment())
    return pytest([inside], source, *(KERNELS if quick else WHOLE))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with wheels and the sdist")
    parser.add_argument("--python", action="append", metavar="PATH", help="instead of all Pythons found")
    parser.add_argument("--qemu", type=Path, metavar="DIR", help="where qemu-x86_64 and qemu-aarch64 are")
    parser.add_argument("--arm64-root", type=Path, metavar="DIR", help="a system for arm64 with usr/bin/python3.*")
    parser.add_argument("--quick", action="store_true", help="the kernels' tests instead of all; counts as incomplete")
    parser.add_argument("--only", choices=PARTS, action="append")
    options = parser.parse_args(argv)
    wheels, parts = options.folder.resolve(), options.only or PARTS
    pythons = [ask_python(path) for path in options.python] if options.python else find_pythons()
    # A shell's background jobs ignore Ctrl-C, and so would the tests of it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    report = Report()
    for part in [part for part in PARTS if part not in parts]:
        report.cannot(part, "left out by --only")
    if options.quick:
        report.cannot("the tests outside tests/kernels", "left out by --quick")
    with tempfile.TemporaryDirectory(prefix="fluidlite-tests-") as folder:
        run_parts(report, parts, pythons, wheels, Path(folder), options)
    return report.finish()


def run_parts(report, parts, pythons, wheels, work, options):
    tests = work / "tests-alone"
    tests.mkdir()
    copy_tests(tests)
    if "native" in parts:
        run_natively(report, pythons, wheels, tests, work, options.quick)
    expected = None
    if "old-cpus" in parts:
        qemu = find_qemu("x86_64", options.qemu)
        if qemu:
            if "native" not in parts:
                new_environment(pythons[0], work / f"env-{pythons[0].abi}")
            expected = run_as_old_cpus(report, pythons[0], wheels, tests, work, qemu)
        else:
            report.cannot("x86-64 as Haswell and Nehalem", "qemu-x86_64 is neither on PATH nor in --qemu")
    if "arm64" in parts:
        qemu, root = find_qemu("aarch64", options.qemu), options.arm64_root
        pythons_there = sorted(root.resolve().glob("usr/bin/python3.*[0-9]")) if root else []
        if qemu and pythons_there:
            run_as_arm64(report, pythons_there[-1], wheels, tests, work, qemu, root.resolve(), expected)
        else:
            why = "--arm64-root has no usr/bin/python3.*" if qemu else "qemu-aarch64 is neither on PATH nor in --qemu"
            report.cannot("arm64 wheels", why)
    if "sdist" in parts:
        found = sorted(wheels.glob("*.tar.gz"))
        if found and shutil.which("cc"):
            report.step("sdist", run_sdist, found[0], pythons[0], work, options.quick)
        else:
            report.cannot("sdist", "there is none" if not found else "there is no C compiler (cc) on PATH")


if __name__ == "__main__":
    sys.exit(main())
