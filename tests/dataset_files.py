"""What the tests of datasets share: variables, lines, files, and a look at processes and threads."""

import os
import threading
import time

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.lod_tensor import LoDTensor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LINES = ["2 5 6 2 0.5 1.5 1 1", "1 7 2 2.5 3.5 1 0", "3 1 2 3 2 4 5 1 1"]


def variables():
    """Ids as a sequence, a dense slot of two floats, a label."""
    ids = fluid.layers.data("ids", [1], dtype="int64", lod_level=1)
    dense = fluid.layers.data("dense", [2])
    label = fluid.layers.data("label", [1], dtype="int64")
    return [ids, dense, label]


def numbered(n, start=0):
    """Lines for `variables`, whose label counts."""
    rng = np.random.default_rng(start)
    lines = []
    for i in range(start, start + n):
        ids = " ".join(map(str, rng.integers(0, 11, rng.integers(1, 5))))
        lines.append(f"{len(ids.split())} {ids} 2 {i}.25 -{i} 1 {i}")
    return lines


@pytest.fixture(name="write")
def write_fixture(tmp_path):
    """A function that writes lines to a file and returns its path."""

    def write(name, lines, end="\n"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + (end if lines else ""))
        return str(path)

    return write


@pytest.fixture(autouse=True)
def no_threads_are_left():
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before and t.name.startswith("fluidlite")]
    for thread in left:
        thread.join(5)
    assert not [thread for thread in left if thread.is_alive()]


def make(use_vars, files, batch_size=2, kind="QueueDataset", **settings):
    dataset = fluid.DatasetFactory().create_dataset(kind)
    dataset.set_batch_size(batch_size)
    dataset.set_use_var(use_vars)
    dataset.set_filelist(files)
    for name, value in settings.items():
        getattr(dataset, f"set_{name}")(value)
    return dataset


def labels(dataset, **options):
    return [feed["label"].ravel().tolist() for feed in dataset.batches(**options)]


def lists(feed):
    """A batch as plain lists."""
    return {k: (v.value.tolist(), v.lod()) if isinstance(v, LoDTensor) else v.tolist() for k, v in feed.items()}


def is_gone(pid):
    for _ in range(100):
        try:
            with open(f"/proc/{pid}/stat") as f:
                if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
        time.sleep(0.05)
    return False
