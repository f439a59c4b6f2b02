"""What the README says is run: its programs, and the commands of its first screen."""

import re
import tomllib
from pathlib import Path

import pytest

import fluidlite as fluid

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_are_programs():
    assert len(PROGRAMS) >= 2


@pytest.mark.parametrize("source", PROGRAMS, ids=range(len(PROGRAMS)))
def test_program_runs(source, capsys):
    with (
        fluid.program_guard(fluid.Program(), fluid.Program()),
        fluid.unique_name.guard(),
        fluid.scope_guard(fluid.Scope()),
    ):
        exec(compile(source, "README.md", "exec"), {})


def test_commands_stand_on_the_first_screen():
    first_screen = README.splitlines()[:30]
    assert '    pip install ".[examples]" && python examples/word_emb.py' in first_screen
    assert '    pip install -e ".[test]" && pytest -n 2 --dist loadfile' in first_screen


def test_extras_of_the_commands_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"examples", "test"} <= set(project["optional-dependencies"])
    assert project["dependencies"] == ["numpy>=1.26"]
