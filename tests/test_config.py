"""What show_config says is what is used."""

import os
import subprocess
import sys

import numpy as np
import pytest

import fluidlite
from fluidlite._kernels import _cpu


def test_it_prints_what_it_returns(capsys):
    found = fluidlite.show_config(mode="dicts")
    assert found["threads"] == fluidlite.get_num_threads()
    assert found["cpu"] == _cpu.cpu_level() and found["cpu"] in found["cpu_levels"]
    assert found["numpy"] == np.__version__
    fluidlite.show_config()
    printed = capsys.readouterr().out
    assert f"cpu:            {found['cpu']}\n" in printed and str(found["threads"]) in printed


@pytest.mark.parametrize("level", _cpu.cpu_levels())
def test_a_level_and_a_number_of_threads_can_be_forced(level):
    code = "import fluidlite; c = fluidlite.show_config(mode='dicts'); print(c['cpu'], c['threads'])"
    env = os.environ | {"FLUIDLITE_CPU": level, "FLUIDLITE_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert run.stdout.split() == [level, "1"]
