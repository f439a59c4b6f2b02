"""Training without waiting (sync_mode=False): what arrives counts, staleness is bounded, nothing hangs."""

from collections import Counter

import numpy as np
import pytest

from .launching import run_ranks

# --------------------------------------------------------------------------------------------------------- convergence

EXAMPLES = """
import sys
import numpy as np
import fluidlite as fluid
from fluidlite import distributed
from tests_values import keep

job = distributed.start()
sync = sys.argv[1] == "sync"
layers = fluid.layers

def ctr():
    "DeepFM on three fields: first order, pairs of fields, a layer above."
    ids = fluid.data("ids", [None, 3], "int64")
    label = fluid.data("label", [None, 1], "float32")
    normal = fluid.initializer.Normal(0.0, 0.01, seed=5)
    table = lambda name, width: fluid.embedding(
        ids, [1 << 40, width], is_sparse=True, is_distributed=True, param_attr=fluid.ParamAttr(name, normal))
    first, rows = layers.reduce_sum(table("first", 1), dim=1), table("rows", 5)
    square = layers.square(layers.reduce_sum(rows, dim=1))
    pairs = layers.reduce_sum(square - layers.reduce_sum(layers.square(rows), dim=1), dim=1, keep_dim=True)
    deep = layers.fc(layers.fc(layers.reshape(rows, [-1, 15]), 7, act="relu"), 1)
    score = first + pairs * 0.5 + deep
    loss = layers.mean(layers.sigmoid_cross_entropy_with_logits(score, label))
    return loss, fluid.optimizer.Adam(0.003, lazy_mode=True)

def ctr_data(n):
    draw = np.random.default_rng(11)
    weights = draw.normal(size=(3, 40))
    ids = draw.integers(0, 40, (n, 3))
    score = sum(weights[k, ids[:, k]] for k in range(3))
    label = draw.random(n) < 1 / (1 + np.exp(-score))
    return {"ids": ids * 3 + np.arange(3), "label": label[:, None].astype("float32")}

def words():
    "The next word from the two before it; the table is on every rank, its gradient sparse."
    before = fluid.data("before", [None, 2], "int64")
    word = fluid.data("word", [None, 1], "int64")
    rows = layers.reshape(fluid.embedding(before, [30, 6], is_sparse=True, param_attr="words"), [-1, 12])
    score = layers.fc(layers.fc(rows, 11, act="tanh"), 30)
    loss = layers.mean(layers.softmax_with_cross_entropy(score, word))
    return loss, fluid.optimizer.SGD(0.5)

def words_data(n):
    draw = np.random.default_rng(12)
    next_of = np.random.default_rng(2).permutation(30)
    text = [0, 1]
    for _ in range(n):
        text.append(int(next_of[text[-1]]) if draw.random() < 0.6 else int(draw.integers(0, 30)))
    text = np.array(text)
    return {"before": np.stack([text[:-2], text[1:-1]], 1), "word": text[2:, None]}

found = {}
exe = fluid.Executor()
problems = []
for build, data in ((ctr, ctr_data), (words, words_data)):
    main, startup = fluid.Program(), fluid.Program()
    main.random_seed = startup.random_seed = 7
    with fluid.program_guard(main, startup):
        loss, optimizer = build()
        test = main.clone(for_test=True)
        optimizer.minimize(loss)
    job.distribute(main, sync=sync, max_staleness=4)
    exe.run(startup)
    problems.append((build.__name__, main, test, loss, data(9000)))
for name, main, test, loss, data in problems:
    train, held = ({k: v[part] for k, v in data.items()} for part in (slice(5120), slice(5120, None)))
    def evaluate():
        return float(exe.run(test, feed=held, fetch_list=[loss])[0].item())
    first = evaluate() if job.rank == 1 else None
    for epoch in range(3):
        for begin in range(0, 5120, 64):
            mine = slice(begin + 32 * job.rank, begin + 32 * job.rank + 32)
            exe.run(main, feed={k: v[mine] for k, v in train.items()})
        job.end_epoch()
    job.barrier()
    found[name] = [first, evaluate() if job.rank == 1 else None]
job.finish()
keep({"found": found, "stats": job.stats()})
"""


def test_converges_as_training_in_step_does():
    losses, stats = {}, {}
    for mode in ("sync", "async"):
        # Ranks that wait for each other let others have the cores.
        outcome = run_ranks(2, EXAMPLES, mode, env={"OMPI_MCA_mpi_yield_when_idle": "1"}).checked()
        losses[mode], stats[mode] = outcome.values[1]["found"], [value["stats"] for value in outcome.values]
    for name in ("ctr", "words"):
        first, last = losses["sync"][name]
        assert last < 0.93 * first  # there is something to learn, and it was learned
        assert losses["async"][name][1] < 1.02 * last
    for counters in stats["async"]:
        assert counters["steps"] == 2 * 3 * 80
        assert counters["staleness_max"] <= 4
        assert 0 <= counters["staleness_mean"] <= counters["staleness_max"]


# ------------------------------------------------------------------------------------- nothing is lost, nobody waits

SUMS = """
import sys, time
import numpy as np
import fluidlite as fluid
from fluidlite import distributed
from tests_values import keep

job = distributed.start()
steps = [int(n) for n in sys.argv[1].split(",")][job.rank]
width = 5
layers = fluid.layers

# A loss that is linear in all parameters: gradients do not depend on them, and sums of them are exact in float32.
ids = fluid.data("ids", [None, 3], "int64")
x = fluid.data("x", [None, 7], "float32")
zero = fluid.initializer.Constant(0.0)

def shared(ids, name, width, **more):
    return fluid.embedding(
        ids, [1 << 40, width], is_sparse=True, is_distributed=True, param_attr=fluid.ParamAttr(name, zero), **more)

far, twice = shared(ids, "far", width), shared(ids + 1, "twice", 2)  # ids that are fed, and that are computed
often = fluid.contrib.layers.sparse_embedding(
    layers.unsqueeze(ids, [2]), [1 << 40, 2], entry=fluid.contrib.CountFilterEntry(11),
    param_attr=fluid.ParamAttr("often", zero))
near = fluid.embedding(ids, [50, 3], is_sparse=True, param_attr=fluid.ParamAttr("near", zero))
full = fluid.embedding(ids, [50, 2], is_sparse=False, param_attr=fluid.ParamAttr("full", zero))
score = layers.fc(layers.fc(x, 4, param_attr=fluid.ParamAttr("w", zero), bias_attr=False), 1,
                  param_attr=fluid.ParamAttr("v", fluid.initializer.Constant(1.0), trainable=False), bias_attr=False)
loss = layers.reduce_sum(score) + layers.reduce_sum(far) + layers.reduce_sum(near) * 2.0 + layers.reduce_sum(full) \\
    + layers.reduce_sum(twice) + layers.reduce_sum(often)
test = fluid.default_main_program().clone(for_test=True)
fluid.optimizer.SGD(0.125).minimize(loss)
job.distribute(fluid.default_main_program(), sync=False, max_staleness=3)
exe = fluid.Executor()
exe.run(fluid.default_startup_program())
job.attach()

def batch(rank, step):
    draw = np.random.default_rng(100 * rank + step)
    n = 1 + step % 4
    return {"ids": draw.integers(0, 50, (n, 3)), "x": draw.integers(-3, 4, (n, 7)).astype("float32")}

def wait_for_clock(rank, steps):
    while job.exchange.server.clocks.steps[rank] < steps:
        job.exchange.server.check()
        time.sleep(0.005)

job.barrier()
evaluated = stood = None
for step in range(steps):
    if job.size == 2 and job.rank == 0 and step == 0:
        wait_for_clock(1, 1)
    if job.size == 2 and job.rank == 1 and step == 1:
        # Rank 0 may be three steps ahead when it begins a step, and four when it has done it; then it waits.
        wait_for_clock(0, 5)
        time.sleep(0.3)
        stood = job.exchange.server.clocks.steps[0]
    exe.run(feed=batch(job.rank, step))
    if job.rank == 1 and step == 5:
        evaluated = exe.run(test, feed=batch(9, 9), fetch_list=[loss])[0].item()
job.end_epoch()
met = job.all_gather(job.rank) if job.rank < 2 or job.size == 2 else None
stats = job.stats()
job.finish()

scope = fluid.global_scope()
shapes = {"far": (50, width), "twice": (51, 2), "near": (50, 3), "full": (50, 2), "w": (7, 4)}
expected = {name: np.zeros(shape) for name, shape in shapes.items()}
for rank, n in enumerate(int(n) for n in sys.argv[1].split(",")):
    for step in range(n):
        data = batch(rank, step)
        for name, times_ in (("far", 1), ("near", 2), ("full", 1)):
            np.add.at(expected[name], data["ids"].reshape(-1), -0.125 * times_)
        np.add.at(expected["twice"], data["ids"].reshape(-1) + 1, -0.125)
        expected["w"] -= 0.125 * data["x"].sum(0)[:, None]
wrong = [n for n in ("near", "full", "w") if not np.array_equal(np.array(scope.find_var(n).get_tensor()), expected[n])]
for name in ("far", "twice"):
    table = scope.find_var(name).get_table()
    if not np.array_equal(table.lookup(table.ids), expected[name][table.ids]):
        wrong.append(name)
rows = {name: sorted(scope.find_var(name).get_table().ids.tolist()) for name in ("far", "twice", "often")}
keep({"wrong": wrong, "rows": rows, "met": met, "evaluated": evaluated, "stats": stats, "stood": stood})
"""


def _check_sums(outcome, steps):
    values = outcome.checked().values
    seen = Counter(
        int(i)
        for rank, n in enumerate(steps)
        for step in range(n)
        for i in np.random.default_rng(100 * rank + step).integers(0, 50, (1 + step % 4, 3)).ravel()
    )
    assert [value["wrong"] for value in values] == [[]] * len(steps)
    for name, shift in (("far", 0), ("twice", 1)):
        owned = [i for value in values for i in value["rows"][name]]
        assert sorted(owned) == sorted(i + shift for i in seen)
    often = [i for value in values for i in value["rows"]["often"]]
    assert sorted(often) == sorted(i for i, n in seen.items() if n >= 11)
    return values


def test_every_gradient_counts_and_a_slow_rank_is_waited_for_within_the_bound_alone():
    steps = (60, 43)
    values = _check_sums(run_ranks(2, SUMS, ",".join(map(str, steps))), steps)
    fast, slow = values
    assert fast["met"] == slow["met"] == [0, 1]
    assert np.isfinite(slow["evaluated"])
    assert slow["stood"] == 5
    assert fast["stats"]["steps"] == 60 and slow["stats"]["steps"] == 43
    assert fast["stats"]["staleness_max"] == 3
    assert fast["stats"]["waits"] >= 1 and fast["stats"]["wait_seconds"] > 0.2
    assert slow["stats"]["staleness_max"] <= 3
    # The last messages may be on their way.
    assert abs(fast["stats"]["bytes_sent"] - slow["stats"]["bytes_received"]) < 500 < fast["stats"]["bytes_sent"]


def test_four_ranks_over_tcp_of_which_one_has_no_data():
    steps = (31, 17, 0, 24)
    values = _check_sums(run_ranks(4, SUMS, ",".join(map(str, steps)), tcp=True), steps)
    # Ranks 2 and 3 had finished.
    assert values[0]["met"] == values[1]["met"] == [0, 1, None, None]
    assert [value["stats"]["steps"] for value in values] == list(steps)
    assert all(value["stats"]["staleness_max"] <= 3 for value in values)


# -------------------------------------------------------------------------------------------------- commands, bytes

TOGETHER = """
import time
import numpy as np
import fluidlite as fluid
from fluidlite import distributed
from tests_values import keep

job = distributed.start()
layers = fluid.layers
D, B, F = 16, 64, 8
ids = fluid.data("ids", [None, F], "int64")
label = fluid.data("label", [None, 1], "float32")
rows = fluid.embedding(ids, [1 << 40, D], is_sparse=True, is_distributed=True, param_attr="table")
hidden = layers.fc(layers.reshape(rows, [-1, F * D]), 9, act="tanh", param_attr="w")
loss = layers.mean(layers.square_error_cost(layers.fc(hidden, 1, param_attr="v"), label))
rate = layers.exponential_decay(0.01, 20, 0.5)
clip = fluid.clip.GradientClipByGlobalNorm(1.0)
fluid.optimizer.Adam(rate, lazy_mode=True, grad_clip=clip, regularization=None).minimize(loss)
job.distribute(fluid.default_main_program(), sync=False)
exe = fluid.Executor()
exe.run(fluid.default_startup_program())
job.attach()

def settled(job, comm, local, *, what):
    job.settle(comm)
    scope = fluid.global_scope()
    names = [n for n in scope.local_var_names() if n.startswith(("w", "v", "fc_")) and "@" not in n]
    dense = {n: np.array(scope.find_var(n).get_tensor()) for n in sorted(names)}
    same = [
        [n for n in dense if not np.array_equal(dense[n], other[n])] for other in comm.all_gather(dense)
    ]
    if what == "fail" and comm.rank == 1:
        raise ValueError("no room")
    return {"local": local, "different": sum(same, []), "moments": sorted(n for n in dense if "moment" in n)}

distributed.commands["settled"] = settled
draw = np.random.default_rng(job.rank)
results = {}
def counters():
    "Of a moment when nothing is on its way."
    job.barrier()
    stats = job.stats()
    job.barrier()
    return stats

for step in range(60):
    if step == 30:
        before = counters()
    exe.run(feed={"ids": draw.integers(0, 100000, (B, F)), "label": draw.normal(size=(B, 1)).astype("float32")})
    if step == 9:
        results["all"] = job.command("settled", {"what": "all"}, local=f"rank {job.rank}")
    if step == 14 and job.rank == 1:
        results["one"] = job.command("settled", {"what": "one"}, local="alone")
    if step == 24 and job.rank == 0:
        try:
            job.command("settled", {"what": "fail"})
        except distributed.RemoteError as error:
            results["error"] = str(error)
after = counters()
job.finish()
scope = fluid.global_scope()
final = {n: np.array(scope.find_var(n).get_tensor()).tolist() for n in ("w", "v")}
per_step = {name: (after[name] - before[name]) / 30 for name in ("bytes_sent", "bytes_received", "rows_fetched")}
powers = [n for n in scope.local_var_names() if "beta1_pow" in n and "table" in n]
beta = [np.array(scope.find_var(n).get_tensor()).item() for n in powers]
keep({"results": results, "per_step": per_step, "final": final, "beta": beta})
"""


def test_commands_settled_values_and_bytes():
    first, second = run_ranks(2, TOGETHER).checked().values
    for value in (first, second):
        done = value["results"]["all"]
        assert [result["local"] for result in done] == ["rank 0", "rank 1"]
        assert [result["different"] for result in done] == [[], []]
        assert len(done[0]["moments"]) >= 8  # of both layers and their biases
    alone = second["results"]["one"]
    assert [result["local"] for result in alone] == [None, "alone"]
    assert first["results"]["error"] == "Rank 1: ValueError: no room"
    assert first["final"] == second["final"]
    # Every arrival is a step of the optimizer: two ranks, sixty steps.
    assert first["beta"] == second["beta"]
    np.testing.assert_allclose(first["beta"], [0.9 * 0.9**120], rtol=1e-4)
    dense = 4 * (8 * 16 * 9 + 9 + 9 + 1)
    for value in (first, second):
        per_step = value["per_step"]
        # About half of the unique ids are remote: ids out, gradients out, rows in; and the other rank's, the other way.
        remote = per_step["rows_fetched"] / 2
        least = remote * 8 + 2 * remote * 4 * 16 + dense
        assert per_step["bytes_sent"] <= 1.1 * least
        assert per_step["bytes_received"] <= 1.1 * least


# ---------------------------------------------------------------------------------------------------------- errors

TROUBLE = """
import sys, time
import numpy as np
import fluidlite as fluid
from fluidlite import distributed

job = distributed.start()
case = sys.argv[1]
ids = fluid.data("ids", [None, 2], "int64")
height = 20 if case == "full" else 1 << 40
rows = fluid.embedding(ids, [height, 3], is_sparse=True, is_distributed=True, param_attr="table")
loss = fluid.layers.mean(fluid.layers.fc(rows, 1))
fluid.optimizer.SGD(0.1).minimize(loss)
job.distribute(fluid.default_main_program(), sync=False)
if case == "mixed":
    other, startup = fluid.Program(), fluid.Program()
    with fluid.program_guard(other, startup):
        fluid.optimizer.SGD(0.1).minimize(fluid.layers.mean(fluid.layers.fc(fluid.data("x", [None, 2], "float32"), 1)))
    job.distribute(other, sync=True)
exe = fluid.Executor()
exe.run(fluid.default_startup_program())
if case == "late" and job.rank == 1:
    job.barrier()  # while the other one begins to train
for step in range(100000):
    if case == "waiting" and job.rank == 1 and step == 20:
        raise KeyError("what is wrong")
    if case == "waiting" and job.rank == 0 and step == 10:
        job.barrier()
    if case == "late" and step == 10:
        break
    exe.run(feed={"ids": np.arange(2 * step, 2 * step + 2)[None] * (1 + 2 * job.rank)})
if case == "late" and job.rank == 0:
    job.barrier()
job.finish()
print("finished")
"""


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("waiting", "KeyError: 'what is wrong'"),
        ("full", "Table 'table' is full"),
        ("mixed", "are to be trained in different modes"),
    ],
)
def test_an_error_on_one_rank_ends_the_job_and_is_said_once(case, text):
    outcome = run_ranks(2, TROUBLE, case, timeout=40)
    assert outcome.code != 0
    assert "finished" not in outcome.out
    said = [line for line in outcome.err.splitlines() if text in line]
    assert said and outcome.err.count("Traceback") <= 2, outcome.err


def test_a_rank_that_waits_while_others_begin_serves_them():
    outcome = run_ranks(2, TROUBLE, "late", timeout=40).checked()
    assert outcome.out.count("finished") == 2
