"""The parts of tools/ that decide something, without compilers and wheels."""

import gzip
import importlib
import io
import re
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

import fluidlite

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / "tools"


@pytest.fixture
def load(monkeypatch):
    """Imports a module of tools/."""
    monkeypatch.syspath_prepend(str(TOOLS))
    loaded = []
    yield lambda name: loaded.append(name) or importlib.import_module(name)
    for name in loaded:
        sys.modules.pop(name, None)


def test_linux_modules_are_linked_as_they_are(load):
    words = load("zig_cc").arguments_for("x86_64-linux-gnu.2.17", ["-shared", "-s", "a.o", "-o", "b/rows.so"])
    assert words == ["cc", "-target", "x86_64-linux-gnu.2.17", "-shared", "-s", "a.o", "-o", "b/rows.so"]


def test_macos_modules_have_no_path_in_them(load):
    arguments = ["-shared", "a.o", "-L/usr/lib", "-Wl,-rpath,/usr/lib", "-o", "/tmp/b/rows.cpython-311-darwin.so"]
    words = load("zig_cc").arguments_for("aarch64-macos.11.0", arguments)
    assert "-Wl,-install_name,@rpath/rows.cpython-311-darwin.so" in words
    assert not [word for word in words if "rpath," in word or word.startswith("-L")]
    assert words[words.index("-undefined") + 1] == "dynamic_lookup"
    compiled = load("zig_cc").arguments_for("aarch64-macos.11.0", ["-c", "a.c", "-o", "a.o"])
    assert compiled == ["cc", "-target", "aarch64-macos.11.0", "-c", "a.c", "-o", "a.o"]


def test_suffixes_are_those_of_python(load):
    linux, arm, mac, intel = load("build_wheels").TARGETS
    assert linux.suffix("cp312") == ".cpython-312-x86_64-linux-gnu.so"
    assert linux.suffix("cp314t") == ".cpython-314t-x86_64-linux-gnu.so"
    assert arm.suffix("cp311") == ".cpython-311-aarch64-linux-gnu.so"
    assert mac.suffix("cp315") == intel.suffix("cp315") == ".cpython-315-darwin.so"


def make_sdist(path, mtime, names, mode=0o644, owner="somebody"):
    with gzip.GzipFile(path, "wb", mtime=mtime) as compressed, tarfile.open(fileobj=compressed, mode="w") as archive:
        folder = tarfile.TarInfo("x-1")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name in names:
            member = tarfile.TarInfo(f"x-1/{name}")
            member.size, member.mtime, member.mode, member.uname = len(name), mtime, mode, owner
            archive.addfile(member, io.BytesIO(name.encode()))


def test_sdists_do_not_depend_on_when_and_by_whom_they_were_made(load, tmp_path):
    one, two = tmp_path / "one.tar.gz", tmp_path / "two.tar.gz"
    make_sdist(one, 1000, ["b.py", "a.py"])
    make_sdist(two, 2000, ["a.py", "b.py"], mode=0o664, owner="other")
    for path in (one, two):
        load("build_wheels").normalise_sdist(path, 1_700_000_000)
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one) as archive:
        assert [(m.name, m.mtime, m.mode, m.uname) for m in archive.getmembers()] == [
            (f"x-1/{name}", 1_700_000_000, 0o644, "") for name in ("a.py", "b.py")
        ]


def test_release_requirements_are_pinned(load):
    pins = load("build_wheels").pinned_requirements()
    assert {"ziglang", "auditwheel", "cython", "setuptools", "build"} <= set(pins)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert all("==" in requirement for requirement in extras["release"])


def test_licence_is_the_one_that_is_stated():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]
    assert "license: Apache-2.0" in (ROOT / "CITATION.cff").read_text()


def test_changelog_begins_with_the_version():
    version = re.search(r'__version__ = "(.*)"', Path(fluidlite.__file__).read_text())[1]
    assert re.search(r"^## (\S+) \(", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == version
