"""The stubs say what the modules say, and a type checker gets along with them."""

import ast
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fluidlite

PACKAGE = Path(fluidlite.__file__).resolve().parent
STUBS = sorted(PACKAGE.rglob("*.pyi"))
MODULES = sorted(path for path in (PACKAGE / "_kernels").iterdir() if path.suffix == ".so")
TYPED = Path(__file__).resolve().parent / "typed"
AGAIN = "python tools/make_stubs.py makes the stubs anew"


def module_of(stub):
    parts = ("fluidlite", *stub.relative_to(PACKAGE).with_suffix("").parts)
    return importlib.import_module(".".join(parts).removesuffix(".__init__"))


def stub_parameters(node):
    """[(name, has a default)] and how many of them come before the star, as a stub declares them."""
    a = node.args
    ordinary = [*a.posonlyargs, *a.args]
    defaults = [False] * (len(ordinary) - len(a.defaults)) + [True] * len(a.defaults)
    named = [(one.arg, default is not None) for one, default in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    stars = [one.arg for one in (a.vararg, a.kwarg) if one]
    return [(one.arg, default) for one, default in zip(ordinary, defaults, strict=True)], named, stars


def true_parameters(function):
    kinds = inspect.Parameter
    every = inspect.signature(function).parameters.values()
    stars = [one.name for one in every if one.kind in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)]
    named = [(one.name, one.default is not one.empty) for one in every if one.kind == kinds.KEYWORD_ONLY]
    ordinary = [one for one in every if one.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    return [(one.name, one.default is not one.empty) for one in ordinary], named, stars


def functions_of(body, owner):
    """(where, declaration, the function itself) of all functions and methods that a stub declares."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from functions_of(node.body, getattr(owner, node.name))
        elif isinstance(node, ast.FunctionDef):
            thing = inspect.getattr_static(owner, node.name)
            if not isinstance(thing, property):
                yield node, getattr(thing, "__func__", thing)


@pytest.mark.parametrize("stub", STUBS, ids=lambda stub: str(stub.relative_to(PACKAGE)))
def test_signatures_are_those_of_the_module(stub):
    for node, function in functions_of(ast.parse(stub.read_text()).body, module_of(stub)):
        try:
            expected = true_parameters(function)
        except ValueError:  # methods of compiled classes need not have one
            continue
        assert stub_parameters(node) == expected, f"{node.name}: {AGAIN}"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name.split(".")[0])
def test_compiled_modules_have_complete_stubs(module):
    name = module.name.split(".")[0]
    stub = module.with_name(name + ".pyi")
    assert stub.exists(), AGAIN
    declared = {node.name for node in ast.parse(stub.read_text()).body if hasattr(node, "name")}
    compiled = importlib.import_module(f"fluidlite._kernels.{name}")
    shown = {
        one
        for one, thing in vars(compiled).items()
        if not one.startswith("_") and getattr(thing, "__module__", None) == compiled.__name__
    }
    assert declared == shown, AGAIN


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").exists()
    assert "fluidlite/__init__.pyi" in {stub.relative_to(PACKAGE.parent).as_posix() for stub in STUBS}


def declared_names(stub):
    """Names that a stub shows to those who import it."""
    for node in ast.parse(stub.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            yield from (one.asname for one in node.names if one.asname == one.name)
        elif isinstance(node, ast.AnnAssign):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            yield node.targets[0].id
        else:
            yield node.name


@pytest.mark.parametrize("namespace", ["", ".layers", ".optimizer", ".initializer", ".io", ".nets", ".metrics"])
def test_every_public_name_is_declared(namespace):
    module = importlib.import_module("fluidlite" + namespace)
    path = Path(module.__file__)
    shown = {
        name
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(thing) or inspect.isroutine(thing))
        and thing.__module__.startswith("fluidlite")
        and (hasattr(module, "__path__") or thing.__module__ == module.__name__)
    }
    missing = shown - set(declared_names(path.with_suffix(".pyi")))
    assert not missing, AGAIN


def mypy(folder, *arguments):
    environment = {**os.environ, "MYPYPATH": str(folder)}
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        os.devnull,
        "--config-file=",
        *map(str, arguments),
    ]
    return subprocess.run(command, env=environment, cwd=TYPED, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A folder with the stubs alone, where mypy finds them however the package is installed, and looks into them."""
    folder = tmp_path_factory.mktemp("stubs")
    for path in [*STUBS, PACKAGE / "py.typed"]:
        copy = folder / path.relative_to(PACKAGE.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return folder


def test_a_strict_program_is_accepted(copied):
    done = mypy(copied, "program.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_stubs_themselves_are_strict(copied):
    done = mypy(copied, *sorted(copied.rglob("*.pyi")))
    assert done.returncode == 0, done.stdout + done.stderr


def test_mistakes_are_found(copied):
    done = mypy(copied, "mistakes.py")
    found = set(re.findall(r"mistakes\.py:(\d+): error: .*\[([\w-]+)\]", done.stdout))
    lines = (TYPED / "mistakes.py").read_text().splitlines()
    expected = {(str(i), line.split("# error ")[1]) for i, line in enumerate(lines, 1) if "# error" in line}
    assert found == expected, done.stdout + done.stderr


def test_the_strict_program_runs(monkeypatch, fresh):
    monkeypatch.syspath_prepend(str(TYPED))
    table = importlib.import_module("program").train()
    sys.modules.pop("program")
    assert sorted(set(table.nonzero()[0].tolist())) == [1, 2]
