"""A training in which a rank makes the mistake that the first argument names; run by test_mistakes.py.

Each rank has a file for what it says: stderr.0, stderr.1 ...
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

RANK = int(next(os.environ[name] for name in ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK") if name in os.environ))
mistake, N_STEPS = sys.argv[1], 12
os.dup2(os.open(f"stderr.{RANK}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)


class Bad(ValueError):
    """What user code raises."""


def wrong(text):
    raise Bad(text[::-1])


def only(name):
    """Whether rank 1 makes this mistake."""
    return RANK == 1 and mistake == name


if only("before the start"):
    wrong("trats eht erofeb")

import fluidlite as fluid  # noqa: E402
from fluidlite import distributed  # noqa: E402
from fluidlite.distributed import failure  # noqa: E402
from fluidlite.distributed.sync_exchange import SyncExchange  # noqa: E402

if only("a version"):
    fluid.__version__ = "0.0.1"

job = distributed.start()
if mistake.startswith("a late"):
    failure._PATIENCE, failure._FAREWELL = 1.0, 1.0
if only("half an update"):
    end_update, calls = SyncExchange.end_update, []

    def fail_at_the_sixth(exchange):
        calls.append(1)
        if len(calls) == 6:
            wrong("etadpu na flah")
        end_update(exchange)

    SyncExchange.end_update = fail_at_the_sixth
if only("after the start"):
    wrong("trats eht retfa")


def program(table, hidden, main, startup):
    """A small model, marked as trained by all ranks; its loss."""
    with fluid.program_guard(main, startup):
        ids, small = fluid.data("ids", [None, 3], "int64"), fluid.data("small", [None, 2], "int64")
        label = fluid.data("label", [None, 1], "float32")
        rows = fluid.embedding(ids, table, is_sparse=True, is_distributed=True, param_attr="emb")
        others = fluid.embedding(small, [50, 3], is_sparse=True)
        x = [fluid.layers.reshape(rows, [-1, 3 * table[1]]), fluid.layers.reshape(others, [-1, 6])]
        x = fluid.layers.fc(fluid.layers.concat(x, axis=1), hidden)
        loss = fluid.layers.mean(fluid.layers.square_error_cost(fluid.layers.fc(x, 1), label))
        fluid.optimizer.Adam(0.01, lazy_mode=True).minimize(loss)
    if not only("a program that is not distributed"):
        job.distribute(main)
    return loss


size = [2000 if only("a height") else 1000, 5 if only("a width") else 4]
known = np.arange(1000)
if mistake.startswith("a full table"):  # on rank 1: none of these is rank 0's
    size, known = [9, 4], known[distributed.owner_of(known, 2) == 1]
loss = program(size, 7 if only("ops") else 8, fluid.default_main_program(), fluid.default_startup_program())
if mistake == "two programs":
    program([2000, 4], 8, fluid.Program(), fluid.Program())
if only("before training"):
    wrong("gniniart erofeb")
exe = fluid.Executor()
if not only("no startup"):
    exe.run(fluid.default_startup_program())

rng = np.random.default_rng(3 + RANK)


def batch():
    return {
        "ids": rng.choice(known, (6, 3)),
        "small": rng.integers(0, 50, (6, 2)),
        "label": np.ones((6, 1), np.float32),
    }


def spoil(feed):
    """Rank 1 makes its mistake."""
    if mistake == "between steps":
        wrong("spets neewteb")
    elif mistake == "an id":
        feed["small"][4, 1] = 50
    elif mistake == "a dtype":
        feed["ids"] = feed["ids"] + 0.5
    elif mistake == "a shape":
        feed["label"] = feed["label"][:, :0]
    elif mistake == "a missing feed":
        del feed["label"]
    elif mistake == "sys.exit":
        sys.exit(3)
    elif mistake == "sys.exit with a text":
        sys.exit("this is why")
    elif mistake == "an interrupt":
        raise KeyboardInterrupt
    elif mistake == "an update":
        cell = fluid.global_scope().find_var("fc_0.w_0_moment1_0").get_tensor()
        cell.set(np.zeros((2, 2), np.float32))


def train():
    for step in range(N_STEPS):
        feed = batch()
        if step == 5 and RANK == 1:
            spoil(feed)
        if mistake == "everywhere" and step == 5:
            wrong(f"{RANK} knar no")
        if mistake == "a late listener" and step == 5:
            if RANK == 1:
                wrong("renetsil a")
            time.sleep(60)
        exe.run(feed=feed, fetch_list=[loss])


try:
    if mistake.startswith("a full table, caught"):
        for _ in range(3):
            try:
                train()
            except (fluid.core.EnforceNotMet, distributed.RemoteError):
                pass
    elif mistake == "a late catcher":
        try:
            if RANK == 1:
                wrong("rehctac a")
            train()
        except distributed.RemoteError:
            time.sleep(60)
    elif only("half an update"):
        try:
            train()
        except fluid.core.EnforceNotMet:
            train()
    else:
        train()
finally:
    if mistake == "between steps":
        job.finish()
if only("at the end"):
    wrong("dne eht ta")
job.finish()
if only("after the end"):
    wrong("dne eht retfa")
Path(f"done.{RANK}").touch()
