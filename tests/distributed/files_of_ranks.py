"""Trains a model as the ranks of a job, saves and loads: run by test_checkpoints.py. What each rank saw is kept."""

import os
import sys
import zlib

import numpy as np
from tests_values import keep

import fluidlite as fluid
from fluidlite import distributed
from fluidlite.errors import EnforceNotMet
from fluidlite.hash_table import TableState
from fluidlite.io import sharded

what, folder, start, n_steps, mode = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
job = distributed.start()
V = 1 << 40


class Batches(fluid.io.Dataset):
    """Lines of which each rank takes its share."""

    def __init__(self):
        draw = np.random.default_rng(3)
        self.ids = draw.integers(-(1 << 62), 1 << 62, 70)[draw.integers(0, 70, (240, 2))]
        self.label = (self.ids.sum(1, keepdims=True) > 0).astype(np.int64)
        self.mine = np.arange(240).reshape(-1, 12)[:, job.rank * 12 // job.size : (job.rank + 1) * 12 // job.size]

    def __getitem__(self, i):
        i = self.mine.reshape(-1)[i]
        return self.ids[i], self.label[i]

    def __len__(self):
        return self.mine.size


def model():
    fluid.default_startup_program().random_seed = 5
    ids, label = fluid.data("ids", [None, 2], "int64"), fluid.data("label", [None, 1], "int64")
    rows = fluid.embedding(ids, [V, 3], is_sparse=True, is_distributed=True, param_attr="table")
    score = fluid.layers.fc(fluid.layers.reduce_sum(rows, dim=1), 2, act="softmax", param_attr="dense")
    loss = fluid.layers.reduce_mean(fluid.layers.cross_entropy(score, label))
    # What ranks have of their own: counters of the forward pass, and random numbers.
    fluid.layers.auc(score, label, num_thresholds=100)
    noise = fluid.layers.uniform_random([2, 3])
    fluid.optimizer.Adam(0.1, lazy_mode=True).minimize(loss)
    return [ids, label], score, loss, noise


def digest(*arrays):
    return zlib.crc32(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays))


def contents():
    """What a rank has: {id: sum over its row, its states, when it was seen}, {name: sum} of what is no table."""
    scope = fluid.global_scope()
    values = {name: scope.find_var(name).cell.value for name in sorted(scope.local_var_names())}
    table = values.pop("table")
    states = [value for value in values.values() if isinstance(value, TableState)]
    rows = {
        str(table.names[k]): digest(table.rows[k], table.seen[k], *(state.rows[k] for state in states))
        for k in range(1, len(table) + 1)
    }
    persistable = {v.name for v in fluid.default_main_program().list_vars() if v.persistable} | {"@RANDOM_STEP@"}
    others = {
        name: digest(value)
        for name, value in values.items()
        if name in persistable and value is not None and not isinstance(value, TableState)
    }
    return {"rows": rows, "others": others, "share": table.share, "steps": table.steps, "order": list(rows)}


inputs, score, loss, noise = model()
sync, options = mode != "async", {"incremental": mode == "increments"}
if job.size > 1:
    job.distribute(fluid.default_main_program(), fluid.default_startup_program(), loss.name, sync=sync)
exe = fluid.Executor()
exe.run(fluid.default_startup_program())
loader = fluid.io.DataLoader(Batches(), inputs, fluid.CPUPlace(), batch_size=12 // job.size)
seen = {"losses": [], "noise": []}
if start:
    # Only where ranks train in step do all of them save after the same steps.
    readers = [loader] if start == 4 and sync else []
    assert fluid.io.load_checkpoint(exe, folder, step=start, readers=readers) == start
    seen["loaded"] = contents()
step = start
while step < n_steps:
    for feed in loader:
        value, drawn, *_ = exe.run(feed=feed, fetch_list=[loss, noise])
        seen["losses"].append(float(value.reshape(-1)[0]).hex())
        seen["noise"].append(digest(drawn))
        step += 1
        if what == "train" and step == 4:
            saved = fluid.io.save_checkpoint(exe, folder, step, readers=[loader], **options)
            assert saved == os.path.join(folder, "checkpoint-4")
            seen["at 4"] = contents()
        if step == n_steps:
            break

if what == "alone":
    fluid.io.save_checkpoint(exe, folder, step)
if what == "train":
    # One rank alone; the others wait in a barrier.
    if job.rank == 1:
        fluid.io.save_checkpoint(exe, folder, step)
    job.barrier()
    seen["alone"] = os.path.isdir(os.path.join(folder, f"checkpoint-{step}"))
    job.barrier()
    files = os.path.join(folder, "files")
    sharded.save_persistables(exe, files)
    if job.rank == 1:
        sharded.save_persistables(exe, os.path.join(folder, "alone"), filename="all")
    job.barrier()
    names = sharded.save_inference_model(os.path.join(folder, "model"), ["ids"], [score], exe)
    assert names == ["save_infer_model/scale_0.tmp_0"], names
    seen["errors"] = []
    bad = os.path.join(folder, "bad")
    for call in (
        lambda: fluid.io.save_persistables(exe, bad),
        lambda: fluid.save(fluid.default_main_program(), bad),
        lambda: fluid.io.save_checkpoint(exe, folder, step),
        lambda: sharded.save_persistables(exe, os.path.join(folder, "checkpoint-4", "manifest.json")),
    ):
        try:
            call()
        except EnforceNotMet as error:
            seen["errors"].append(f"{type(error).__name__}: {error.summary}")
        else:
            seen["errors"].append(None)
        job.barrier()
    seen["bad"] = os.path.exists(bad)
job.barrier()
seen["end"] = contents()
if what == "train":
    fluid.io.save_checkpoint(exe, folder, step + 1, **options)
    job.barrier()
if what == "train":
    # Each rank reads all of the files and keeps what it owns.
    fluid.io.load_persistables(exe, files)
    seen["from files"] = contents()
keep(seen)
job.finish()
