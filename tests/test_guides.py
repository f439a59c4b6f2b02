"""The guides' programs are run: plain ones in order, page by page, and those with a file name as scripts of Fluid."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fluidlite as fluid

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted((ROOT / "docs").glob("guide_*.md")), ROOT / "docs" / "distributed.md"]


def programs(page):
    """(name of the script or None, source) of every Python block of a page."""
    for source in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        name = re.match(r"# (\w+\.py)\n", source)
        yield name and name[1], source


def test_there_are_guides():
    assert [page.stem for page in PAGES] == ["guide_fluid", "guide_pytorch", "distributed"]
    assert all(len(list(programs(page))) >= 3 for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_programs_run(page, tmp_path, monkeypatch, fresh):
    monkeypatch.chdir(tmp_path)
    names = {}
    for script, source in programs(page):
        if script is None:
            exec(compile(source, page.name, "exec"), names)
            continue
        (tmp_path / script).write_text(source, encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": str(Path(fluid.__file__).parent.parent)}
        for arguments in ([script], ["check", script]):
            done = subprocess.run(
                [sys.executable, "-m", "fluidlite", *arguments],
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert "fluidlite lacks 0" in done.stdout


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.stem
)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
