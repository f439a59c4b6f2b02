"""Ranks that do different things at the same time; run by test_rounds.py on 3 ranks, and by one process."""

import time

import numpy as np
from tests_values import keep

import fluidlite as fluid
from fluidlite import distributed

N_RANKS, N, V = 3, 8, 1 << 40
layers = fluid.layers
job = distributed.start()
n, me = job.size, job.rank
alone = n == 1
exe = fluid.Executor()
kept = {}


def model(name, computed=False):
    main, startup = fluid.Program(), fluid.Program()
    main.random_seed = startup.random_seed = 5
    with fluid.program_guard(main, startup), fluid.unique_name.guard(name):
        ids, few = fluid.data("ids", [None, 5], "int64"), fluid.data("few", [None, 2], "int64")
        label = fluid.data("label", [None, 1], "float32")
        attr = fluid.ParamAttr(f"{name}_table", fluid.initializer.Uniform(-0.5, 0.5))
        looked_up = layers.scale(ids, 3.0, 1.0) if computed else ids
        one = fluid.embedding(looked_up, [V, 4], is_sparse=True, is_distributed=True, param_attr=attr)
        two = fluid.embedding(few, [50, 3], is_sparse=True)
        x = layers.concat([layers.reshape(one, [-1, 20]), layers.reshape(two, [-1, 6])], axis=1)
        loss = layers.mean(layers.square_error_cost(layers.fc(layers.fc(x, 5, act="tanh"), 1), label))
        test = main.clone(for_test=True)
        fluid.optimizer.Adam(0.02, lazy_mode=True, epsilon=1e-4).minimize(loss)
    job.distribute(main)
    exe.run(startup)
    return main, test, loss


def batches(seed, counts):
    """The batches of an epoch, by rank."""
    rng = np.random.default_rng(seed)

    def batch():
        return {
            "ids": rng.integers(-40, 40, (N, 5)),
            "few": rng.integers(0, 50, (N, 2)),
            "label": rng.normal(size=(N, 1)).astype(np.float32),
        }

    return [[batch() for _ in range(count)] for count in counts]


def joined(parts):
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def run(program, feed, loss):
    return exe.run(program, feed=feed, fetch_list=[loss])[0].item()


def epoch(of, parts, between=lambda step: None):
    """Train with the batches of this rank, or of all of them; `between` is called before each step and at the end."""
    main, _, loss = of
    if alone:
        steps = [joined([one[k] for one in parts if k < len(one)]) for k in range(max(map(len, parts)))]
    else:
        steps = parts[me]
    losses = []
    for step, feed in enumerate(steps):
        between(step)
        losses.append(run(main, feed, loss))
    between(len(steps))
    job.end_epoch()
    return losses


def values(of):
    names = sorted(var.name for var in of[0].all_parameters() if var.shape[0] != V)
    return [np.array(fluid.global_scope().find_var(name).get_tensor()).tolist() for name in names]


# Before any program is distributed, and at different times.
time.sleep(0.05 * me)
job.barrier()
time.sleep(0.05 * (n - me))
kept["gathered"] = job.all_gather({"rank": me, "array": list(range(me))})
kept["reduced"] = [job.all_reduce(np.arange(3.0) * (me - 1), mode).tolist() for mode in ("sum", "min", "max")]

first = model("first")
probe = batches(0, [1])[0][0]
evaluations = []


def evaluates(step):
    # Rank 2 has no data, and evaluates before the others have begun; rank 1 before its third step, and at its end.
    if alone and step in (0, 2, 4) or me == 1 and step in (2, 4) or not alone and me == 2:
        evaluations.append(run(first[1], probe, first[2]))
        evaluations.append(run(first[1], probe, first[2]))


kept["ragged"] = epoch(first, batches(1, (9, 4, 0)), evaluates)
kept["evaluations"] = evaluations
kept["another"] = epoch(first, batches(2, (1, 3, 5)))
kept["nothing"] = epoch(first, batches(3, (0, 0, 0)))
kept["one"] = epoch(first, batches(4, (0, 2, 0)))

# Rank 0 waits for the others, who train meanwhile.
kept["late"] = []
if me == 0 and not alone:
    kept["gathered late"] = job.all_gather(None)
parts = batches(5, (0, 3, 3))
for k in range(3):
    if alone or me:
        kept["late"].append(run(first[0], joined([parts[1][k], parts[2][k]]) if alone else parts[me][k], first[2]))
if me or alone:
    job.all_gather(len(kept["late"]))

# Errors that somebody catches: the batch is lost, and nothing else.
for name, computed in (("caught", False), ("computed", True)):
    one = model(name, computed)
    good = batches(6, (6, 6, 6))
    if not alone:
        bad = batches(7, (0, 0, 0) if me != 1 else (0, 9, 0))[1]
        for k, feed in enumerate(bad):
            if k % 3 == 0:
                feed["few"][3, 1] = 50  # an op fails, after rows have been fetched
            elif k % 3 == 1:
                feed["label"] = feed["label"][:, :0]  # nothing has been done
            else:
                feed["few"][0, 0] = -1
        for k, feed in enumerate(bad):
            good[1].insert(2 * k if k < 3 else len(good[1]), feed)

    losses = []
    steps = [joined([part[k] for part in good]) for k in range(6)] if alone else good[me]
    for feed in steps:
        try:
            losses.append(run(one[0], feed, one[2]))
        except fluid.core.EnforceNotMet:
            pass
    job.end_epoch()
    kept[name] = losses
    kept[f"{name} values"] = values(one)

# What one rank asks of all, while the others train or wait.


def told(job, comm, local, text):
    if text == "wrong" and (comm is None or comm.rank == 2):
        raise ValueError("no such thing")
    return [comm.rank if comm else 0, local, text]


distributed.commands["told"] = told
if not alone:
    asked = []

    def asks(step):
        if me == 1 and step == 1:
            asked.append(job.command("told", {"text": "one"}, "mine"))
            try:
                job.command("told", {"text": "wrong"})
            except distributed.RemoteError as error:
                asked.append(str(error))

    kept["commands"] = asked
else:
    asks = None
kept["with commands"] = epoch(first, batches(8, (3, 3, 1)), asks or (lambda step: None))
if not alone:
    kept["together"] = job.command("told", {"text": "all"}, me)

# Two ranks finish; rank 0 trains on.
kept["last"] = []
if me == 0:
    for feed in batches(9, (3, 0, 0))[0]:
        kept["last"].append(run(first[0], feed, first[2]))
    kept["evaluated last"] = run(first[1], probe, first[2])
    if not alone:
        kept["gathered last"] = job.all_gather("still here")
        kept["reduced last"] = job.all_reduce(np.ones(2)).tolist()
job.finish()
kept["values"] = values(first)
job.finish()
if not alone:
    kept["too late"] = []
    for late in (lambda: run(first[1], probe, first[2]), job.barrier, lambda: run(first[0], probe, first[2])):
        try:
            late()
        except fluid.core.EnforceNotMet as error:
            kept["too late"].append(error.summary)
keep(kept)
