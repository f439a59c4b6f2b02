"""Kills processes that save checkpoints, at random moments, and looks at what they leave. Run by a test of that name.

Arguments: folder, number of kills, seed. Prints how often a kill left an unfinished save, and how many saves were done.
"""

import os
import random
import signal
import sys
import time
import warnings
import zlib

import numpy as np

import fluidlite as fluid
from fluidlite import tables
from fluidlite.io import checkpoint_values
from fluidlite.tables import as_array

V, D = 20_011, 3
tables.SMALLEST_STATE = checkpoint_values.BY_ROWS_FROM = 0


def model():
    rows = fluid.embedding(fluid.data("ids", [None], "int64"), [V, D], is_sparse=True, param_attr="table")
    rows = fluid.layers.dropout(fluid.layers.fc(rows, 2), 0.3)
    fluid.optimizer.Adam(0.1, lazy_mode=True).minimize(fluid.layers.reduce_mean(rows))


def digest(scope):
    names = sorted(name for name in scope.local_var_names() if scope.find_var(name).cell.value is not None)
    return zlib.crc32(b"".join(as_array(scope.find_var(name).cell.value).tobytes() for name in names))


def save_for_ever(folder, exe, report):
    """The child: goes on from the newest checkpoint and tells of each before and after it is saved."""
    scope = fluid.Scope()
    with fluid.scope_guard(scope):
        exe.run(fluid.default_startup_program())
        step = -1
        if fluid.io.latest_checkpoint(folder) is not None:
            step = fluid.io.load_checkpoint(exe, folder)
        while True:
            step += 1
            exe.run(feed={"ids": np.random.default_rng(step).integers(0, V, 50)})
            os.write(report, f"begun {step} {digest(scope)}\n".encode())
            fluid.io.save_checkpoint(exe, folder, step, keep=2, incremental=step % 5 > 0)
            os.write(report, f"done {step} 0\n".encode())


def kill_one(folder, exe, seconds):
    """{step: digest} of saves that were begun, and the newest that was done or None."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            save_for_ever(folder, exe, writing)
        finally:
            os._exit(1)
    os.close(writing)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status), "the child ended by itself"
    begun, done = {}, None
    with os.fdopen(reading) as lines:
        for line in lines:
            word, step, value = line.split()
            if word == "begun":
                begun[int(step)] = int(value)
            else:
                done = int(step)
    return begun, done


def check(folder, exe, begun, done):
    """Every checkpoint loads, and is what was to be saved; the newest is not older than the last that was done."""
    steps = sorted(int(name.removeprefix("checkpoint-")) for name in os.listdir(folder) if not name.startswith("."))
    assert done is None or steps[-1] >= done, (steps, done)
    for step in (*steps, None):
        scope = fluid.Scope()
        with fluid.scope_guard(scope):
            loaded = fluid.io.load_checkpoint(exe, folder, step=step)
            assert loaded == (steps[-1] if step is None else step)
            assert digest(scope) == begun[loaded], f"step {loaded} is another one"


def main(folder, n_kills, seed):
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
    fluid.set_num_threads(1)
    os.makedirs(folder)
    model()
    exe, rng = fluid.Executor(), random.Random(seed)
    begun, newest, n_left = {}, None, 0
    for _ in range(n_kills):
        more, done = kill_one(folder, exe, rng.uniform(0.01, 0.15))
        begun.update(more)
        newest = newest if done is None else done
        n_left += any(name.startswith(".") for name in os.listdir(folder))
        if os.listdir(folder) and newest is not None:
            check(folder, exe, begun, newest)
    fluid.io.load_checkpoint(exe, folder)
    fluid.io.save_checkpoint(exe, folder, max(begun) + 1, keep=2)
    left = [name for name in os.listdir(folder) if name.startswith(".")]
    assert not left, f"{left} were not removed"
    assert n_left, "no kill came while a checkpoint was being written"
    sys.stdout.write(f"{n_left} of {n_kills} kills left an unfinished save; {len(begun)} saves\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
