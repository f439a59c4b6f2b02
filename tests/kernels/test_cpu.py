"""The choice of the CPU level, and that all levels give the same bits."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fluidlite._kernels import _cpu

SHOW = "from fluidlite._kernels import _cpu; print(_cpu.cpu_level(), *_cpu.cpu_levels())"


def run_python(*arguments, level=None):
    env = {name: value for name, value in os.environ.items() if name != "FLUIDLITE_CPU"}
    env["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    if level is not None:
        env["FLUIDLITE_CPU"] = level
    return subprocess.run(
        [sys.executable, *arguments], env=env, capture_output=True, text=True, timeout=120, check=False
    )


def test_levels_are_what_the_cpu_has():
    """NumPy asks CPUID too."""
    core = np._core if hasattr(np, "_core") else np.core
    features = core._multiarray_umath.__cpu_features__
    if platform.machine().lower() in ("x86_64", "amd64"):
        expected = ["baseline"]
        if features["AVX2"] and features["FMA3"]:
            expected.append("avx2")
            if all(features[f"AVX512{part}"] for part in ("F", "BW", "DQ", "VL")):
                expected.append("avx512")
    else:
        expected = ["neon" if platform.machine() in ("aarch64", "arm64") else "baseline"]
    assert list(_cpu.cpu_levels()) == expected


@pytest.mark.parametrize("level", [None, ""])
def test_the_best_level_is_the_default(level):
    result = run_python("-c", SHOW, level=level)
    assert result.stderr == ""
    assert result.stdout.split() == [_cpu.cpu_levels()[-1], *_cpu.cpu_levels()]


@pytest.mark.parametrize("level", _cpu.cpu_levels())
def test_a_level_can_be_forced(level):
    result = run_python("-c", SHOW, level=level)
    assert result.stderr == ""
    assert result.stdout.split() == [level, *_cpu.cpu_levels()]


@pytest.mark.parametrize("word", ["sse9", "AVX2", " avx2", "1", "avx2,avx512"])
def test_an_unknown_word_warns_once(word):
    result = run_python("-c", SHOW, level=word)
    assert result.stdout.split()[0] == _cpu.cpu_levels()[-1]
    assert result.stderr.count("RuntimeWarning: FLUIDLITE_CPU is ignored") == 1
    assert f"but is {word!r}; {_cpu.cpu_levels()[-1]} is used" in result.stderr


def test_all_levels_and_thread_counts_give_the_same_bits():
    script = str(Path(__file__).with_name("checksums.py"))
    expected = None
    for level in _cpu.cpu_levels():
        result = run_python(script, level=level)
        assert result.returncode == 0 and result.stderr == "", result.stderr
        found = json.loads(result.stdout)
        expected = expected or found["1"]
        assert len(expected) == 2 * 5 * 60
        for threads, checksums in found.items():
            different = [name for name in expected if checksums[name] != expected[name]]
            assert not different, f"{level}, {threads} threads"
