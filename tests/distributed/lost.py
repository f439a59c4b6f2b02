"""A training that saves checkpoints and goes on from the newest one; run by test_lost_ranks.py, which kills its ranks.

Arguments: the number of steps; "drop" for a model that draws random numbers. Each rank appends a line for each step to
losses.<rank>, and leaves its process id in pid.<rank>.
"""

import os
import sys
import time

import numpy as np

import fluidlite as fluid
from fluidlite import distributed

N_STEPS, drops, FOLDER, N = int(sys.argv[1]), "drop" in sys.argv, "checkpoints", 24
layers = fluid.layers
job = distributed.start()
n, me = job.size, job.rank

fluid.default_main_program().random_seed = fluid.default_startup_program().random_seed = 5
ids, few = fluid.data("ids", [None, 5], "int64"), fluid.data("few", [None, 2], "int64")
label = fluid.data("label", [None, 1], "float32")
attr = fluid.ParamAttr("table", fluid.initializer.Uniform(-0.5, 0.5))
one = fluid.embedding(ids, [1 << 40, 4], is_sparse=True, is_distributed=True, param_attr=attr)
two = fluid.embedding(few, [50, 3], is_sparse=True)
x = layers.concat([layers.reshape(one, [-1, 20]), layers.reshape(two, [-1, 6])], axis=1)
if drops:
    x = layers.dropout(x, 0.3)
loss = layers.mean(layers.square_error_cost(layers.fc(layers.fc(x, 5, act="tanh"), 1), label))
fluid.optimizer.Adam(0.02, lazy_mode=True, epsilon=1e-4).minimize(loss)
job.distribute(fluid.default_main_program())
exe = fluid.Executor()
exe.run(fluid.default_startup_program())

begin = 0
if fluid.io.latest_checkpoint(FOLDER) is not None:
    begin = fluid.io.load_checkpoint(exe, FOLDER)
job.barrier()
with open(f"pid.{me}.part", "w") as file:
    file.write(str(os.getpid()))
os.rename(f"pid.{me}.part", f"pid.{me}")
with open(f"losses.{me}", "a") as losses:
    for step in range(begin, N_STEPS):
        rng = np.random.default_rng(step)
        batch = {
            "ids": rng.integers(-40, 40, (N, 5)),
            "few": rng.integers(0, 50, (N, 2)),
            "label": rng.normal(size=(N, 1)).astype(np.float32),
        }
        batch = {key: value[me * N // n : (me + 1) * N // n] for key, value in batch.items()}
        value = exe.run(feed=batch, fetch_list=[loss])[0].item()
        losses.write(f"{step} {value!r}\n")
        losses.flush()
        time.sleep(0.01)
        if step % 3 == 2:
            fluid.io.save_checkpoint(exe, FOLDER, step + 1, incremental=step % 2 == 0)
job.finish()
