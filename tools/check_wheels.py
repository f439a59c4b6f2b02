"""Checks wheels that are about to be published, however they were made.

    python tools/check_wheels.py wheelhouse

What a wheel has to contain is read off the checkout: every Python file and stub of the package, one module for each
.pyx. Nothing of the wheels is run. The checks of binaries are in binaries.py.
"""

import argparse
import base64
import csv
import hashlib
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from functools import cache
from pathlib import Path

import binaries
from packaging.tags import cpython_tags, parse_tag
from packaging.utils import parse_wheel_filename
from pythons import find_pythons

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "fluidlite"
MAX_BYTES = 3_000_000

# The platform tags a wheel may have, and what pip calls the systems on which it has to be chosen or refused.
PLATFORMS = {
    **{f"manylinux_2_{minor}_x86_64": "linux-x86_64" for minor in range(17, 29)},
    **{f"manylinux_2_{minor}_aarch64": "linux-aarch64" for minor in range(17, 29)},
    "macosx_11_0_arm64": "macos-arm64",
    "macosx_10_13_x86_64": "macos-x86_64",
    "macosx_10_15_x86_64": "macos-x86_64",
}
SYSTEMS = {
    "linux-x86_64": ["manylinux_2_17_x86_64", "manylinux_2_40_x86_64"],
    "linux-aarch64": ["manylinux_2_17_aarch64", "manylinux_2_40_aarch64"],
    "macos-arm64": ["macosx_11_0_arm64", "macosx_26_0_arm64"],
    "macos-x86_64": ["macosx_10_15_x86_64", "macosx_15_0_x86_64"],
}
TOO_OLD = [
    "manylinux_2_12_x86_64",
    "manylinux_2_16_aarch64",
    "macosx_10_12_x86_64",
    "win_amd64",
    "musllinux_1_2_x86_64",
]
PYTHONS = [(3, minor) for minor in range(11, 16)]
OLDEST_GLIBC = 17  # the 17 of 2.17
NEWER_GLIBC_SINCE = (3, 14)  # NumPy has no wheels of this Python and newer ones for glibc 2.17


# ---- what a wheel has to contain


def expected_files(abi, platform):
    """(files of the package that come from the checkout, files of modules) as paths in the wheel."""
    found = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.suffix in (".py", ".pyi") or path.name in ("py.typed", "fluid_names.txt")
    }
    suffix = binaries.suffix(abi, platform)
    return found, {p.relative_to(ROOT).with_suffix("").as_posix() + suffix for p in PACKAGE.rglob("*.pyx")}


def check_contents(archive, info, abi, platform):
    sources, modules = expected_files(abi, platform)
    metadata = {f"{info}/{part}" for part in ("METADATA", "WHEEL", "RECORD", "top_level.txt", "licenses/LICENSE")}
    found = {member for member in archive.namelist() if not member.endswith("/")}
    expected = sources | modules | metadata
    for path in sorted(expected - found):
        yield f"lacks {path}"
    for path in sorted(found - expected):
        yield f"has {path}, which is not in the manifest"
    for path in sorted(sources & found):
        if archive.read(path) != (ROOT / path).read_bytes():
            yield f"{path} is not that of the checkout"


def check_record(archive, info):
    """Every file but RECORD is in RECORD with its size and hash."""
    rows = list(csv.reader(io.StringIO(archive.read(f"{info}/RECORD").decode())))
    recorded = {path: (digest, size) for path, digest, size in rows}
    found = {path for path in archive.namelist() if not path.endswith("/")}
    if set(recorded) != found:
        yield f"RECORD and the archive differ in {sorted(set(recorded) ^ found)}"
    for path, (digest, size) in recorded.items():
        if path == f"{info}/RECORD" or path not in found:
            continue
        data = archive.read(path)
        sha = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        if digest != f"sha256={sha}" or int(size) != len(data):
            yield f"RECORD is wrong of {path}"


def check_metadata(archive, info, tags):
    wheel = message_from_bytes(archive.read(f"{info}/WHEEL"))
    said = {str(tag) for line in wheel.get_all("Tag", []) for tag in parse_tag(line)}
    if said != {str(tag) for tag in tags}:
        yield f"WHEEL says the tags {sorted(said)}, the file name {sorted(map(str, tags))}"
    if wheel["Root-Is-Purelib"] != "false":
        yield "WHEEL says Root-Is-Purelib: " + str(wheel["Root-Is-Purelib"])
    metadata = message_from_bytes(archive.read(f"{info}/METADATA"))
    version = re.search(r'__version__ = "(.*)"', (PACKAGE / "__init__.py").read_text())[1]
    needed = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    for field, found, expected in (
        ("Version", metadata["Version"], version),
        ("Requires-Python", metadata["Requires-Python"], ">=3.11"),
        ("License-Expression", metadata["License-Expression"], "Apache-2.0"),
        ("Requires-Dist without extras", needed, ["numpy>=1.26"]),
    ):
        if found != expected:
            yield f"METADATA: {field} is {found!r}, expected {expected!r}"


# ---- names of Python's C API


@cache
def names_in_headers(python):
    """All words that start like Python's in the headers of `python`, if this machine has them; else None."""
    for found in every_python():
        if found.version == python:
            texts = [path.read_text(errors="replace") for path in Path(found.include).rglob("*.h")]
            return set(re.findall(r"\b_?Py\w+", "\n".join(texts)))
    return None


every_python = cache(find_pythons)


def allowed_python_names(limited_api, python):
    if not limited_api:
        return names_in_headers(python)
    import abi3info
    from abi3info.models import PyVersion, Symbol

    tables = (abi3info.FUNCTIONS, abi3info.DATAS)
    known = {s.name: thing for table in tables for s, thing in table.items() if isinstance(s, Symbol)}
    return {name for name, thing in known.items() if thing.added <= PyVersion(*python)}


# ---- one wheel


def check_wheel(path):
    """What is wrong with a wheel, one sentence each."""
    name, version, _, tags = parse_wheel_filename(path.name)
    interpreters, abis = {tag.interpreter for tag in tags}, {tag.abi for tag in tags}
    platforms = {PLATFORMS.get(tag.platform) for tag in tags} - {None}
    (interpreter,), (abi,) = interpreters, abis
    limited_api = abi == "abi3"
    python = python_of(path)
    if abi not in ("abi3", interpreter, interpreter + "t") or len(platforms) != 1:
        yield f"has unexpected tags: {sorted(map(str, tags))}"
        return
    if limited_api and python != (3, 11):
        yield f"is an abi3 wheel of {interpreter}, expected cp311"
    if path.stat().st_size > MAX_BYTES:
        yield f"is {path.stat().st_size:,} bytes, more than {MAX_BYTES:,}"
    (platform,) = platforms
    glibc = oldest_glibc(tags)
    if platform.startswith("linux") and glibc > OLDEST_GLIBC and (limited_api or python < NEWER_GLIBC_SINCE):
        yield f"needs glibc 2.{glibc}, expected 2.{OLDEST_GLIBC}"
    with zipfile.ZipFile(path) as archive:
        info = f"{name}-{version}.dist-info"
        yield from check_contents(archive, info, abi, platform)
        yield from check_record(archive, info)
        yield from check_metadata(archive, info, tags)
        known = allowed_python_names(limited_api, python)
        for member in archive.namelist():
            if member.endswith((".so", ".dylib")):
                for problem in binaries.check(member, archive.read(member), platform, known, (2, glibc)):
                    yield f"{member}: {problem}"


def oldest_glibc(tags):
    """The minor version of the oldest glibc 2 that the tags of a wheel ask for."""
    found = [re.match(r"manylinux_2_(\d+)_", tag.platform) for tag in tags]
    return min((int(match[1]) for match in found if match), default=OLDEST_GLIBC)


def python_of(path):
    """The version of Python, (major, minor), that the name of a wheel states."""
    interpreter = path.name.split("-")[2]
    return int(interpreter[2]), int(interpreter[3:])


def check_sdist(path):
    """An sdist has every source that a build and the tests need, and nothing that was built."""
    with tarfile.open(path) as archive:
        found = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    kinds = (".py", ".pyi", ".pyx", ".pxd", ".h", ".npz", ".json", ".c", ".md", ".png", ".txt")
    for folder in ("fluidlite", "tests", "tools", "examples", "benchmarks", "docs"):
        for source in (ROOT / folder).rglob("*"):
            name = source.relative_to(ROOT).as_posix()
            hidden = any(part.startswith(".") or part == "__pycache__" for part in source.relative_to(ROOT).parts)
            if source.is_file() and source.suffix in kinds and not hidden and name not in found:
                yield f"lacks {name}"
    for name in (
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "CITATION.cff",
        "pyproject.toml",
        "setup.py",
    ):
        if name not in found:
            yield f"lacks {name}"
    for name in sorted(found):
        if name.endswith((".so", ".pyc", ".dylib")) or name.startswith("fluidlite/") and name.endswith(".c"):
            yield f"has {name}"


# ---- pip


def chosen_by_pip(folder, system, python):
    """The name of the file that pip takes on a system, or None."""
    # pip knows that a newer macOS runs what was made for an older one, but takes each manylinux tag as it is.
    systems = [system]
    if match := re.fullmatch(r"manylinux_2_(\d+)_(\w+)", system):
        systems = [f"manylinux_2_{minor}_{match[2]}" for minor in range(int(match[1]), 4, -1)]
    version = f"{python[0]}.{python[1]}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-index", "--isolated"]
    command += ["--disable-pip-version-check", "--no-cache-dir", "--only-binary=:all:", "--implementation=cp"]
    command += [f"--find-links={folder}", f"--python-version={version}"]
    command += [f"--platform={one}" for one in systems]
    command += [f"--abi={one}" for one in (f"cp{python[0]}{python[1]}", "abi3", "none")]
    with tempfile.TemporaryDirectory() as destination:
        done = subprocess.run([*command, "-d", destination, "fluidlite"], capture_output=True, check=False)
        found = [path.name for path in Path(destination).iterdir()]
    return found[0] if done.returncode == 0 else None


def check_free_threaded(wheels):
    """A Python without the GIL takes no wheel but one made for it. Asks `packaging`: older pips know no such Python."""
    for path in wheels:
        tags = parse_wheel_filename(path.name)[3]
        for python in PYTHONS[2:]:
            abi = f"cp{python[0]}{python[1]}t"
            taken = set(cpython_tags(python, [abi], [tag.platform for tag in tags])) & tags
            if taken and {tag.abi for tag in tags} != {abi}:
                yield f"{path.name} would be taken by Python {python[0]}.{python[1]} without the GIL"


def expected_choice(wheels, platform, system, python):
    """The wheel for this Python if there is one for such a system, else the abi3 wheel."""
    newest = re.match(r"manylinux_2_(\d+)_", system)
    for abi in (f"cp{python[0]}{python[1]}", "abi3"):
        for path in wheels:
            tags = parse_wheel_filename(path.name)[3]
            if newest and oldest_glibc(tags) > int(newest[1]):
                continue
            if {tag.abi for tag in tags} == {abi} and any(PLATFORMS.get(tag.platform) == platform for tag in tags):
                return path.name
    return None


def check_choices(folder, wheels):
    """What pip chooses in a folder of wheels; also how many cases were asked."""
    platforms = {PLATFORMS.get(tag.platform) for path in wheels for tag in parse_wheel_filename(path.name)[3]} - {None}
    cases = [
        (system, python, expected_choice(wheels, platform, system, python))
        for platform in sorted(platforms)
        for system in SYSTEMS[platform]
        for python in PYTHONS
    ]
    cases += [(system, (3, 13), None) for system in TOO_OLD]
    cases += [(SYSTEMS[platform][0], (3, 10), None) for platform in sorted(platforms)]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda case: chosen_by_pip(folder, *case[:2]), cases))
    problems = list(check_free_threaded(wheels))
    for (system, python, expected), choice in zip(cases, found, strict=True):
        if choice != expected:
            problems.append(f"pip for Python {python[0]}.{python[1]} on {system} takes {choice}, expected {expected}")
    return problems, len(cases)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with wheels, and perhaps the sdist")
    folder = parser.parse_args(argv).folder.resolve()
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if not wheels:
        parser.error(f"there are no wheels in {folder}")
    n_problems = 0
    for path in [*wheels, *sdists]:
        problems = list(check_sdist(path) if path in sdists else check_wheel(path))
        print(f"{'FAILED' if problems else 'ok':7}{path.stat().st_size:>10,} bytes  {path.name}")
        for problem in problems:
            print(f"       {problem}")
        n_problems += len(problems)
    versions = {python_of(path) for path in wheels if "-abi3-" not in path.name}
    for version in sorted(version for version in versions if names_in_headers(version) is None):
        print(f"note   no headers of Python {version[0]}.{version[1]}: what its modules import of it was not compared")
    problems, n_cases = check_choices(folder, wheels)
    print(f"{'FAILED' if problems else 'ok':7}pip's choice in {n_cases} cases")
    for problem in problems:
        print(f"       {problem}")
    return 1 if n_problems + len(problems) else 0


if __name__ == "__main__":
    sys.exit(main())
