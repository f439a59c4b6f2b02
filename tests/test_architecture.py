"""The house rules: imports go down only, names mirror each other, nothing hides in the kernels' sources."""

import ast
import re
from pathlib import Path

import pytest

import fluidlite

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(fluidlite.__file__).resolve().parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

# A module may import from its own level and from those below it.
LEVELS = {
    0: ["_kernels", "batch_sampler", "buffers", "config", "dtypes", "errors", "flags", "formats", "functional"]
    + [
        "lod_tensor",
        "memory",
        "missing",
        "multislot",
        "ownership",
        "places",
        "prefetch",
        "reader_position",
        "row_tracker",
    ]
    + ["samples", "scope", "selected_rows", "tables", "version"]
    + ["entry", "hash_table", "lazy_rows", "mapped", "row_initializer", "table_rows"],
    1: ["ops"],
    2: ["fingerprint", "framework", "operator", "program_desc", "unique_name", "variable"],
    3: ["clip", "initializer", "param_attr", "regularizer"],
    4: [
        "backward",
        "checks",
        "compiler",
        "distributed",
        "executor",
        "feed",
        "fusion",
        "layer_helper",
        "parallel_executor",
        "placement",
    ]
    + ["plan", "profile_recorder", "profiler", "step", "table_binding", "trainer"],
    5: ["contrib", "exchange", "metrics", "data_feeder", "data_loader", "dataset", "dataset_base", "inference", "input"]
    + [
        "io",
        "layers",
        "loader_epochs",
        "memory_dataset",
        "nets",
        "optimizer",
        "reader",
        "reader_processes",
        "shared_samples",
    ],
    6: ["__init__", "__main__", "compat", "core", "incubate", "transpiler"],
}
LEVEL_OF = {name: level for level, names in LEVELS.items() for name in names}


def module_of(path):
    """The part of the package that a file belongs to: the first name below fluidlite."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path):
    """The parts of the package that a file imports, wherever in the file."""
    package = ("fluidlite", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("fluidlite."):
                    yield alias.name.split(".")[1]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            parts = (*base, *(node.module.split(".") if node.module else ()))
            if parts[:1] == ("fluidlite",):
                names = parts[1:2] or tuple(alias.name for alias in node.names)
                yield from names


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down_only(path):
    module = module_of(path)
    assert module in LEVEL_OF, f"say in LEVELS where {module} stands"
    above = {name for name in imports_of(path) if LEVEL_OF.get(name, -1) > LEVEL_OF[module]}
    assert not above, f"{module} (level {LEVEL_OF[module]}) imports {sorted(above)}"


def test_every_level_entry_exists():
    found = {module_of(path) for path in SOURCES}
    assert set(LEVEL_OF) == found


@pytest.mark.parametrize("path", sorted((PACKAGE / "ops").glob("*.py")), ids=lambda p: p.name)
def test_ops_know_no_program(path):
    assert not {"framework", "operator", "variable", "plan", "executor"} & set(imports_of(path))


def test_tests_of_ops_and_kernels_mirror_the_modules():
    for folder in ("ops", "_kernels"):
        tested = {p.stem.removeprefix("test_") for p in (ROOT / "tests" / folder.strip("_")).glob("test_*.py")}
        sources = {p.name.split(".")[0].lstrip("_") for p in (PACKAGE / folder).iterdir()}
        assert tested - {"grid", "checks", "running"} <= sources, f"tests of {folder} that test no module"


@pytest.mark.parametrize("path", sorted((ROOT / "fluidlite" / "_kernels").glob("*.pyx")), ids=lambda p: p.name)
def test_directives_stand_in_setup_py_alone(path):
    # Cython ignores a misspelt directive in a header comment without a word.
    lines = path.read_text().splitlines()
    assert not [line for line in lines if line.lstrip().startswith("#") and "cython:" in line]


@pytest.mark.parametrize(
    "path", sorted(p for p in (ROOT / "fluidlite" / "_kernels").glob("*") if p.suffix in (".pyx", ".pxd", ".h"))
)
def test_kernels_do_not_ask_the_compiler_what_the_cpu_can(path):
    # Under some compilers these answer "nothing" without a word.
    text = re.sub(r"/\*.*?\*/|//[^\n]*|#(?!include|define)[^\n]*", "", path.read_text(), flags=re.DOTALL)
    for word in ("__builtin_cpu_supports", "target_clones", "omp.h", "prange"):
        assert word not in text


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_say_what_they_are(path):
    assert ast.get_docstring(ast.parse(path.read_text())), "a module without a docstring"


def test_version_is_said_once():
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()
    assert fluidlite.__version__.count(".") == 2
