"""Published programs, run unedited by ``python -m fluidlite``, print what they print under Fluid 1.8.5."""

import os
import re
from pathlib import Path

import pytest
from compat.running import run
from programs.cases import CASES, DATA, SCRIPTS
from programs.compare import differences

from fluidlite.compat.check import inspect_source


@pytest.mark.parametrize("name", CASES)
def test_prints_what_fluid_prints(name, tmp_path):
    case = CASES[name]
    script = case.prepare(str(tmp_path))
    done = run([script, *case.arguments], tmp_path, env={"HOME": str(tmp_path), "CPU_NUM": "1"})
    assert done.returncode == 0, done.stderr
    logged = re.sub(r"^[-0-9 :,]+ - INFO - .*\n", "", done.stderr, flags=re.MULTILINE)
    assert logged == "", "no warnings, no noise"
    recorded = (Path(DATA) / f"{name}.txt").read_text()
    assert differences(done.stdout, recorded) == []


def test_every_name_is_known():
    for script in sorted(Path(SCRIPTS).glob("*.py")):
        uses, problems = inspect_source(script.read_text(), script.name)
        assert uses and not problems, script.name
        assert [use.name for use in uses if use.lacks] == [], script.name


def test_check_of_all_programs(tmp_path):
    scripts = sorted(str(path) for path in Path(SCRIPTS).glob("*.py"))
    done = run(["check", *scripts], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    summaries = re.findall(r"^(.*): (\d+) names of Fluid, of which fluidlite lacks (\d+)$", done.stdout, re.MULTILINE)
    assert [path for path, _, _ in summaries] == scripts
    assert all(int(names) > 0 and lacks == "0" for _, names, lacks in summaries)
    assert "does not fit" not in done.stdout


def test_parameters_that_fluid_saved_are_needed(tmp_path):
    """The runs above start from these files: without one of them, or with one of another shape, none goes on."""
    case = CASES["word2vec"]
    script = case.prepare(str(tmp_path))
    os.remove(tmp_path / "first" / "shared_w")
    done = run([script, *case.arguments], tmp_path, env={"HOME": str(tmp_path)})
    assert done.returncode == 1 and "shared_w" in done.stderr


@pytest.mark.parametrize(
    ("printed", "recorded", "agrees"),
    [
        ("cost 0.5000012", "cost 0.5000013", True),
        ("cost 0.50002", "cost 0.50000", False),
        ("cost 0.50000\ncost 0.5002", "cost 0.50000\ncost 0.5000", True),
        ("cost 0.50000\ncost 0.5020", "cost 0.50000\ncost 0.5000", False),
        ("step 3 cost 0.5", "step 4 cost 0.5", False),
        ("a [0.25 1. ]", "a [ 0.25  1.]", True),
        ("a [0.25]", "b [0.25]", False),
        ("a nan", "a 0.5", False),
        ("a", "a\nb", False),
        ("-0.5", "0.5", False),
        ("1e-8", "2e-8", True),
    ],
)
def test_differences(printed, recorded, agrees):
    assert (differences(printed, recorded) == []) is agrees


def test_numbers_of_arrays_as_in_old_numpy(tmp_path):
    (tmp_path / "script.py").write_text(
        """
import math, numpy as np
import paddle.fluid as fluid

class Mine(np.ndarray):
    pass

loss = np.array([2.5], "float32")
print(float(loss), int(loss), "%f %d %.1f" % (loss, loss, loss), math.isnan(loss), math.exp(loss - 2.5))
print(float(np.array([[7]])), float(np.array(3)), float(np.float32(0.5)), float(loss.view(Mine)), int(np.array(["8"])))
print([np.float32(0.5), np.int64(3)], {"auc": np.float64(0.25)})
for bad in (np.ones(2), np.ones(0), np.ones((2, 1)), np.array(["x"])):
    for convert in (float, int):
        try:
            print(convert(bad))
        except (TypeError, ValueError) as error:
            print(type(error).__name__)
try:
    np.ndarray.mine = 1
except TypeError as error:
    print("protected")
"""
    )
    done = run(["script.py"], tmp_path)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "2.5 2 2.500000 2 2.5 False 1.0"
    assert lines[1] == "7.0 3.0 0.5 2.5 8"
    assert lines[2] == "[0.5, 3] {'auc': 0.25}"
    assert lines[3:] == ["TypeError"] * 6 + ["ValueError"] * 2 + ["protected"]
