"""After `kill -9` at any moment the newest checkpoint loads, and older ones are intact."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("checkpoint_crash.py")


def crash(tmp_path, n_kills, seed):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "checkpoints"), str(n_kills), str(seed)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_twenty_kills(tmp_path):
    assert "of 20 kills" in crash(tmp_path, 20, 1)


@pytest.mark.slow
def test_two_hundred_kills(tmp_path):
    assert "of 200 kills" in crash(tmp_path, 200, 2)
