"""Trains many small models, as one process with whole batches or as n ranks with their parts; run by test_sync.py.

What each rank has at the end is kept: losses, the parameters that all ranks have, the rows of its shards; and the
bytes that steps have taken. Arguments: "all" or "few" models; the number of ranks that one process is to compare with.
"""

import sys

import numpy as np
from tests_values import keep

import fluidlite as fluid
from fluidlite import distributed
from fluidlite.contrib import layers as contrib

N_STEPS, N, V = 50, 24, 1 << 40
layers, optimizers = fluid.layers, fluid.optimizer

job = distributed.start()
n, me = job.size, job.rank


def attr_of(name):
    return fluid.ParamAttr(name=name, initializer=fluid.initializer.Uniform(-0.5, 0.5))


def rows_of(ids, name, size=(V, 4), *, spread=True, **options):
    """Rows of a table, spread over the ranks or not, summed over the ids of an example."""
    rows = fluid.embedding(ids, list(size), is_sparse=True, is_distributed=spread, param_attr=attr_of(name), **options)
    return layers.reduce_sum(rows, dim=1)


def admitted_rows_of(ids, name, entry):
    rows = contrib.sparse_embedding(ids, [V, 4], entry=entry, param_attr=attr_of(name))
    return layers.reduce_sum(rows, dim=1)


def default(name, data, dtype="float32"):
    """A table that is spread, one that is not, dense layers."""
    one = rows_of(data["ids"], name, dtype=dtype)
    two = rows_of(data["few"], f"{name}_few", (50, 3), spread=False, dtype=dtype)
    return layers.fc(layers.fc(layers.concat([one, two], axis=1), 5, act="tanh"), 1)


def one_table(name, data):
    return layers.reduce_sum(rows_of(data["ids"], name), dim=1, keep_dim=True)


def dense_only(name, data):
    return layers.fc(layers.fc(data["x"], 7, act="tanh"), 1)


def replicated_only(name, data):
    one = rows_of(data["few"], f"{name}_a", (50, 3), spread=False)
    two = rows_of(data["few"], f"{name}_b", (50, 2), spread=False)
    return layers.fc(layers.concat([one, two], axis=1), 1)


def looked_up_often(name, data):
    computed = layers.cast(layers.scale(layers.cast(data["ids"], "float32"), 0.5), "int64")
    parts = [rows_of(ids, name) for ids in (data["ids"], data["more"], computed, data["ids"])]
    return layers.fc(layers.concat(parts, axis=1), 1)


def ways(name, data):
    """Look-ups of all kinds."""
    ids, more, ids_1 = data["ids"], data["more"], data["ids_1"]
    counted, drawn = fluid.contrib.CountFilterEntry(5), fluid.contrib.ProbabilityEntry(0.3)
    parts = [
        rows_of(layers.scale(ids, 2.0, 3.0), f"{name}_computed"),
        rows_of(ids, f"{name}_padded", padding_idx=7),
        *(rows_of(x, f"{name}_partly", padding_idx=padding) for x, padding in ((ids, 7), (ids, None), (more, None))),
        admitted_rows_of(ids_1, f"{name}_counted", counted),
        admitted_rows_of(ids_1, f"{name}_drawn", drawn),
        *(rows_of(ids, f"{name}_alike_{width}", (V, width)) for width in (1, 2, 3)),
    ]
    return layers.fc(layers.concat(parts, axis=1), 1)


def double(name, data):
    return default(name, data, "float64")


def adam(**options):
    return optimizers.Adam(0.01, lazy_mode=True, epsilon=1e-4, **options)


CASES = {
    "sgd": (default, lambda: optimizers.SGD(0.1)),
    "momentum lazy": (default, lambda: optimizers.Momentum(0.05, 0.9, lazy_mode=True)),
    "momentum": (default, lambda: optimizers.Momentum(0.05, 0.9, use_nesterov=True)),
    "adagrad": (default, lambda: optimizers.Adagrad(0.05, initial_accumulator_value=0.1)),
    "adam lazy": (default, adam),
    "adam": (default, lambda: optimizers.Adam(0.01, epsilon=1e-4)),
    "rmsprop": (default, lambda: optimizers.RMSProp(0.01, epsilon=1e-3, centered=True)),
    "ftrl": (default, lambda: optimizers.Ftrl(0.05, l1=1e-4, l2=1e-4)),
    "sparse adam": (one_table, lambda: optimizers.SparseAdam(0.01, epsilon=1e-4)),
    "global norm": (default, lambda: optimizers.SGD(0.5, grad_clip=fluid.clip.GradientClipByGlobalNorm(0.3))),
    "global norm, adam": (default, lambda: adam(grad_clip=fluid.clip.GradientClipByGlobalNorm(0.3))),
    "global norm, often": (
        looked_up_often,
        lambda: optimizers.SGD(0.1, grad_clip=fluid.clip.GradientClipByGlobalNorm(0.3)),
    ),
    "clip by value": (default, lambda: optimizers.SGD(0.5, grad_clip=fluid.clip.GradientClipByValue(0.01))),
    "decay": (default, lambda: optimizers.SGD(layers.exponential_decay(0.2, 10, 0.5, staircase=True))),
    "often": (looked_up_often, lambda: optimizers.SGD(0.05)),
    "ways": (ways, lambda: optimizers.SGD(0.02)),
    "ways, adam": (ways, adam),
    "float64": (double, adam),
    "dense only": (dense_only, adam),
    "replicated only": (replicated_only, adam),
}
FEW = ("momentum lazy", "adam lazy", "sparse adam", "global norm, adam", "ways, adam", "float64")
# Parts of a batch of 24 examples that are not equal, for 1, 2 and 4 ranks.
UNEQUAL = {1: [24], 2: [17, 7], 4: [13, 1, 8, 2]}


def build(name, make, optimizer, unequal):
    main, startup = fluid.Program(), fluid.Program()
    main.random_seed = startup.random_seed = 7
    dtype = "float64" if make is double else "float32"
    # Names, of which initial values depend, are the same whatever else is trained.
    with fluid.program_guard(main, startup), fluid.unique_name.guard(f"{name} "):
        data = {
            "ids": fluid.data("ids", [None, 5], "int64"),
            "ids_1": fluid.data("ids_1", [None, 5, 1], "int64"),  # as lookup_table has them
            "more": fluid.data("more", [None, 3], "int64"),
            "few": fluid.data("few", [None, 2], "int64"),
            "x": fluid.data("x", [None, 3], dtype),
        }
        label, weight = fluid.data("label", [None, 1], dtype), fluid.data("weight", [None, 1], dtype)
        cost = layers.square_error_cost(make(name, data), label)
        loss = layers.reduce_sum(cost * weight) if unequal else layers.mean(cost)
        optimizer().minimize(loss)
    job.distribute(main)
    return main, startup, loss


def batches(dtype, unequal):
    """The part of this rank of each batch."""
    rng = np.random.default_rng(3)
    ends = np.cumsum(UNEQUAL[n] if unequal else [N // n] * n)
    begin = ends[me] - (UNEQUAL[n][me] if unequal else N // n)
    for _ in range(N_STEPS):
        whole = {
            "ids": rng.integers(-40, 40, (N, 5)),
            "more": rng.integers(-60, 60, (N, 3)),
            "few": rng.integers(0, 50, (N, 2)),
            "x": rng.normal(size=(N, 3)).astype(dtype),
            "label": rng.normal(size=(N, 1)).astype(dtype),
        }
        whole["ids_1"] = whole["ids"][:, :, None]
        part = {key: value[begin : ends[me]] for key, value in whole.items()}
        # The loss of all is the mean over the ranks, so one process gives examples the weights that they have there.
        n_parts = int(sys.argv[2]) if n == 1 else n
        weights = np.repeat(1 / np.array(UNEQUAL[n_parts]), UNEQUAL[n_parts])[:, None] / (n_parts / n)
        part["weight"] = weights[begin : ends[me]].astype(dtype)
        yield part


def train(name, make, optimizer, unequal=False):
    main, startup, loss = build(name, make, optimizer, unequal)
    exe = fluid.Executor()
    exe.run(startup)
    dtype = np.float64 if make is double else np.float32
    losses = [exe.run(main, feed=part, fetch_list=[loss])[0].item() for part in batches(dtype, unequal)]
    values, shards = {}, {}
    for var in main.all_parameters():
        holder = fluid.global_scope().find_var(var.name)
        if var.shape[0] == V:
            table = holder.get_table()
            ids = np.sort(table.ids)
            shards[var.name] = [ids.tolist(), table.lookup(ids).tolist()]
        else:
            values[var.name] = np.array(holder.get_tensor()).tolist()
    return {"losses": losses, "values": values, "shards": shards}


def traffic(heights, width=16, n_ids=9, n_steps=5):
    """[(bytes that all ranks have sent in some steps, the bytes that steps need)] for tables of these heights."""
    trained = []
    for height in heights:
        main, startup = fluid.Program(), fluid.Program()
        with fluid.program_guard(main, startup):
            ids = fluid.data("ids", [None, n_ids], "int64")
            one = layers.fc(layers.fc(rows_of(ids, f"high_{height}", (height, width)), 20, act="relu"), 1)
            loss = layers.mean(layers.square(one))
            optimizers.Adagrad(0.1).minimize(loss)
        job.distribute(main)
        exe = fluid.Executor()
        exe.run(startup)
        exe.run(main, feed={"ids": np.zeros((1, n_ids), np.int64)})
        trained.append((exe, main, loss))
    found = []
    for exe, main, loss in trained:
        rng, remote, sent = np.random.default_rng(me), 0, -job.stats()["bytes_sent"]
        for _ in range(n_steps):
            batch = rng.integers(0, 900, (128, n_ids))
            exe.run(main, feed={"ids": batch}, fetch_list=[loss])
            remote += int((distributed.owner_of(np.unique(batch), n) != me).sum())
        sent += job.stats()["bytes_sent"]
        n_dense = sum(int(np.prod(var.shape)) for var in main.all_parameters() if not var.name.startswith("high"))
        remote, sent = (int(job.all_reduce(np.int64(value))) for value in (remote, sent))
        found.append((sent, remote * (8 + 2 * 4 * width) + n_steps * 2 * (n - 1) * 4 * n_dense))
    return found


few = sys.argv[1] == "few"
kept = {name: train(name, *case) for name, case in CASES.items() if not few or name in FEW}
kept["unequal"] = train("unequal", default, lambda: optimizers.SGD(0.1), unequal=True)
if n > 1:
    kept["traffic"] = traffic([1000, V])
job.finish()
keep(kept)
