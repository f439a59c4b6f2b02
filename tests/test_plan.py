"""Plan: sharing memory never changes a result, and an interrupted step leaves everything in agreement.

Random small programs are run three ways: with the plan's own placement, with a memory of its own for every variable,
and with the shared memory full of NaN before each step. All must agree bit for bit.
"""

import gc
import signal
import sys
import tracemalloc

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite import buffers, plan
from fluidlite.ops.registry import EMPTY, get_op
from fluidlite.optimizer import SGD, Adam, SparseAdam

layers = fluid.layers
V, D = 13, 4


class Builder:
    """A random program over (N, D) variables: layers on a pool of variables, with branches that join again."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.pool = [fluid.data(name, [None, D]) for name in ("x", "y")]
        for x in self.pool:
            x.stop_gradient = False
        ids = fluid.data("ids", [None], "int64")
        for is_sparse in (True, False):
            self.pool.append(fluid.embedding(ids, [V, D], is_sparse=is_sparse, param_attr=f"table{is_sparse}"))
        self.pool.append(fluid.embedding(ids, [V, D], is_sparse=True, param_attr="tableTrue", padding_idx=2))
        self.tables = self.pool[2:]

    def pick(self):
        # Young variables are picked more often: long chains are where memory is handed on.
        return self.pool[-1 - min(int(self.rng.exponential(2.5)), len(self.pool) - 1)]

    def unary(self):
        return [
            layers.relu,
            layers.tanh,
            layers.sigmoid,
            layers.square,
            layers.softmax,
            layers.abs,
            lambda x: x * 0.5 + 0.25,
            lambda x: 1.0 - x,
            lambda x: layers.clip(x, -0.5, 0.5),
            lambda x: layers.l2_normalize(x, axis=1),
            lambda x: layers.reshape(layers.relu(layers.reshape(x, [0, 2, 2])), [0, 4]),
            lambda x: layers.reshape(layers.reshape(x, [-1]), [-1, 4]),
            lambda x: x[::-1],
            lambda x: layers.concat([x[:, 2:], x[:, :2]], axis=1),
            lambda x: layers.concat([x, layers.tanh(x)], axis=1)[:, 1:5],
            lambda x: layers.fc(x, D, act="tanh"),
            lambda x: layers.elementwise_mul(x, layers.reduce_sum(x, dim=1, keep_dim=True)),
            lambda x: layers.elementwise_sub(x, layers.reduce_mean(x, dim=0)),
            lambda x: layers.elementwise_add(x, layers.reduce_max(x, dim=1), axis=0),
            lambda x: layers.elementwise_mul(layers.reshape(x, [0, 2, 2]), layers.mean(x)),
            layers.assign,
        ]

    def binary(self):
        return [
            layers.elementwise_add,
            layers.elementwise_sub,
            layers.elementwise_mul,
            layers.elementwise_max,
            layers.elementwise_min,
            lambda x, y: layers.fc([x, y], D),
            lambda x, y: layers.sums([x, y, x]),
            lambda x, y: layers.concat([x[:, :3], y[:, 3:]], axis=1),
            lambda x, y: layers.matmul(layers.softmax(layers.matmul(x, y, transpose_y=True)), y),
            lambda x, y: layers.elementwise_add(x, y[0]),
        ]

    def build(self, n_layers):
        for _ in range(n_layers):
            if self.rng.random() < 0.55:
                made = self.rng.choice(self.unary())(self.pick())
            else:
                made = self.rng.choice(self.binary())(self.pick(), self.pick())
            if len(made.shape) == 3:
                made = layers.reshape(made, [0, D])
            self.pool.append(made)
        parts = [layers.mean(layers.square(self.pick())) for _ in range(3)]
        return layers.sums([*parts, layers.mean(self.pool[-1]), layers.mean(self.tables[0]) * 0.5])


def feed_of(seed, n):
    rng = np.random.default_rng(seed)
    return {
        "x": rng.standard_normal((n, D)).astype(np.float32),
        "y": rng.standard_normal((n, D)).astype(np.float32),
        "ids": rng.integers(0, V, n),
    }


def bits(values):
    return [np.asarray(getattr(v, "value", v)).tobytes() for v in values]


def unshared(place_buffers):
    """`place_buffers` with a memory of its own for every output."""

    def place(block, ops, fetches):
        placed = place_buffers(block, ops, fetches)
        return {
            key: buffers.Buffer(buffer.dtype) if isinstance(buffer, buffers.Buffer) else buffer
            for key, buffer in placed.items()
        }

    return place


def recording(place_buffers, storages):
    """`place_buffers` that notes the storages it hands out."""

    def place(block, ops, fetches):
        placed = place_buffers(block, ops, fetches)
        kept = {id(op) for op in ops if op.definition.constant}  # computed once: its memory is nobody else's
        storages.extend(b.storage for (op, _), b in placed.items() if isinstance(b, buffers.Buffer) and op not in kept)
        return placed

    return place


def runner(fresh, monkeypatch, place):
    """An Executor whose plans place their buffers by `place`; it has to make them while the patch holds."""
    exe = fluid.Executor()

    def run(feed, fetch_list=None, program=None):
        with monkeypatch.context() as patch:
            patch.setattr(plan, "place_buffers", place)
            return exe.run(program or fresh.main, feed=feed, fetch_list=fetch_list, scope=fresh.scope)

    return run


@pytest.mark.parametrize("seed", range(40))
def test_every_variable_fetched_alone_is_what_it_is_when_all_are_fetched(fresh, monkeypatch, seed):
    fresh.startup.random_seed = 1
    fluid.append_backward(Builder(seed).build(9))
    fresh.start()
    names = list(dict.fromkeys(n for op in fresh.main.global_block().ops for n in op.output_arg_names if n != EMPTY))
    alone = runner(fresh, monkeypatch, plan.place_buffers)
    together = runner(fresh, monkeypatch, unshared(plan.place_buffers))
    feed = feed_of(seed, 5)
    expected = dict(zip(names, bits(together(feed, names)), strict=True))
    assert len(expected) > 30
    for name in names:
        assert bits(alone(feed, [name])) == [expected[name]], name


@pytest.mark.parametrize("seed", range(100, 160))
def test_training_with_shared_memory_is_training_without(make_fresh, monkeypatch, seed):
    def train(sharing):
        with make_fresh() as fresh:
            fresh.startup.random_seed = 1
            builder = Builder(seed)
            loss = builder.build(14)
            Adam(0.05, lazy_mode=True).minimize(loss)
            fresh.start()
            storages = []
            place = {
                "own": unshared(plan.place_buffers),
                "shared": plan.place_buffers,
                "poisoned": recording(plan.place_buffers, storages),
            }[sharing]
            run = runner(fresh, monkeypatch, place)
            grads = [n for op in fresh.main.global_block().ops for n in op.output_arg_names if n.endswith("@GRAD")]
            seen = []
            for step, n in enumerate((5, 3, 7, 7, 1, 4)):
                for storage in storages:
                    storage.bytes.fill(0xFF)
                fetch = [[loss], [loss, builder.pick(), *builder.rng.choice(grads, 3).tolist()], []][step % 3]
                seen += bits(run(feed_of(step, n), fetch))
            return seen, fresh.snapshot()

    own = train("own")
    assert train("shared") == own
    assert train("poisoned") == own


def test_temporaries_do_share_memory(fresh, monkeypatch):
    x = fluid.data("x", [None, D])
    for _ in range(20):
        x = layers.tanh(layers.fc(x, D))
    fresh.start()
    storages = []
    runner(fresh, monkeypatch, recording(plan.place_buffers, storages))({"x": np.ones((3, D), np.float32)}, [x])
    assert len(storages) == 40, "of every layer the product, and the bias with the activation"
    assert len({id(s) for s in storages}) <= 3


def test_a_variable_written_twice_ends_with_its_last_value(fresh):
    x = fluid.data("x", [None, D])
    y = layers.relu(x)
    first = y * 2.0
    layers.assign(layers.tanh(x), output=y)
    second = y * 2.0
    value = np.full((2, D), 0.5, np.float32)
    seen = fresh.run({"x": value}, [first, second, y])
    np.testing.assert_allclose(seen[0], value * 2)
    np.testing.assert_allclose(seen[1], np.tanh(value) * 2, rtol=1e-6)
    np.testing.assert_allclose(seen[2], np.tanh(value), rtol=1e-6)


def test_a_buffer_that_was_interrupted_gives_the_shape_asked_for():
    lines, stops = [], []

    def trace(frame, event, arg):
        if frame.f_code is not buffers.Buffer.__call__.__code__:
            return None
        if event == "line":
            lines.append(frame.f_lineno)
            if len(lines) == len(stops):
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    for stop in range(1, 12):
        stops.append(stop)
        buffer = buffers.Buffer("float32")
        buffer((2, 3))
        lines.clear()
        try:
            sys.settrace(trace)
            buffer((5, 7))
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        assert buffer((5, 7)).shape == (5, 7), f"interrupted at line {lines[-1]}"


# Interrupts. A parameter and its state are one group, which an update changes as a whole or not at all.


GROUPS = {
    "table": ["table", "table_moment1_0", "table_moment2_0", "table_step_0"],
    "w": ["w", "w_moment1_0", "w_moment2_0", "w_beta1_pow_acc_0", "w_beta2_pow_acc_0"],
}


def sparse_model(fresh):
    """One table under SparseAdam and one dense weight under Adam."""
    fresh.startup.random_seed = 5
    ids = fluid.data("ids", [None, 2], "int64")
    rows = fluid.embedding(ids, [V, D], is_sparse=True, param_attr="table")
    hidden = layers.fc(layers.reshape(rows, [0, 2 * D]), 3, act="tanh", param_attr="w", bias_attr=False)
    loss = layers.mean(layers.square(hidden))
    params_grads = fluid.append_backward(loss)
    SparseAdam(0.1).apply_gradients([pg for pg in params_grads if pg[0].name == "table"])
    Adam(0.1).apply_gradients([pg for pg in params_grads if pg[0].name != "table"])
    fresh.start()
    return loss


def state(fresh):
    return {name: fresh.value(name) for group in GROUPS.values() for name in group}


def groups_changed(before, after):
    """The groups of which every member changed; half-changed ones are an error."""
    changed = set()
    for group, names in GROUPS.items():
        moved = [not np.array_equal(before[n], after[n]) for n in names]
        assert all(moved) or not any(moved), f"{group}: {dict(zip(names, moved, strict=True))}"
        if all(moved):
            changed.add(group)
    return changed


def batch(seed, n):
    return {"ids": np.random.default_rng(seed).integers(0, V, (n, 2))}


@pytest.mark.parametrize("op_type", ["tanh", "lookup_table_v2_grad", "sparse_adam", "adam"])
def test_an_interrupt_in_an_op_leaves_each_parameter_with_its_own_state(fresh, monkeypatch, op_type):
    definition = get_op(op_type)
    run, calls = definition.run, []

    def interrupted(self, *args):
        calls.append(op_type)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return run(self, *args)

    monkeypatch.setattr(definition, "run", interrupted)
    loss = sparse_model(fresh)
    for step in range(2):
        fresh.run(batch(step, 3), [loss])
    before = state(fresh)
    with pytest.raises(KeyboardInterrupt):
        fresh.run(batch(2, 5), [loss])
    assert groups_changed(before, state(fresh)) == ({"table"} if op_type == "adam" else set())
    fresh.run(batch(2, 5), [loss])
    assert groups_changed(before, state(fresh)) == {"table", "w"}


def test_an_interrupt_at_any_line_of_a_step_leaves_each_parameter_with_its_own_state(fresh):
    loss = sparse_model(fresh)
    package = plan.__file__.removesuffix("plan.py")
    for step in range(2):
        fresh.run(batch(step, 3), [loss])
    before = state(fresh)

    def restore():
        for name, value in before.items():
            fresh.set(name, value)

    fresh.run(batch(7, 6), [loss])
    expected = state(fresh)
    counted, stop = [0], [-1]

    def trace(frame, event, arg):
        if not frame.f_code.co_filename.startswith(package):
            return None
        if event == "line":
            counted[0] += 1
            if counted[0] == stop[0]:
                raise KeyboardInterrupt
        return trace

    tracer = sys.gettrace()
    finished, outcomes = False, set()
    while not finished:
        # A batch of another size comes first, so that every buffer changes its shape within the interrupted step.
        restore()
        fresh.run(batch(1, 2), [loss])
        restore()
        stop[0] += 2
        counted[0] = 0
        try:
            sys.settrace(trace)
            fresh.run(batch(7, 6), [loss])
            finished = True
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(tracer)
        outcomes.add(frozenset(groups_changed(before, state(fresh))))
        restore()
        fresh.run(batch(7, 6), [loss])
        for name, value in state(fresh).items():
            np.testing.assert_array_equal(value, expected[name], err_msg=f"{name} after line {counted[0]}")
    assert stop[0] > 50
    assert frozenset() in outcomes
    assert frozenset({"table", "w"}) in outcomes


def test_ctrl_c_in_a_training_loop_leaves_rows_and_moments_in_agreement(fresh):
    loss = sparse_model(fresh)
    initial = fresh.value("table")

    def interrupt(signum, frame):
        raise KeyboardInterrupt

    # Made beforehand: the signal is to arrive in fluidlite and not in NumPy's generator.
    batches = [batch(0, n) for n in (1, 2, 3, 4)]
    before = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    # In a callback of the collector, of a test tool, an exception would be lost.
    gc.disable()
    try:
        for round in range(15):
            steps_before = int(fresh.value("table_step_0")[0])
            done = 0
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.002 + 0.0007 * round)
                for step in range(100_000):
                    fresh.run(batches[step % 4], [loss])
                    done += 1
            except KeyboardInterrupt:
                interrupted += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert int(fresh.value("table_step_0")[0]) - steps_before in (done, done + 1)
            moved = (fresh.value("table") != initial).any(axis=1)
            for name in ("table_moment1_0", "table_moment2_0"):
                np.testing.assert_array_equal((fresh.value(name) != 0).any(axis=1), moved)
    finally:
        gc.enable()
        signal.signal(signal.SIGALRM, before)
    assert interrupted == 15
    losses = [fresh.run(batch(0, 4), [loss])[0].item() for _ in range(5)]
    assert np.isfinite(losses).all()


# Cost follows the rows.


def test_a_steady_sparse_step_allocates_less_than_a_megabyte_whatever_the_tables_height(fresh):
    height, width, n = 1_000_000, 16, 512
    ids = fluid.data("ids", [None], "int64")
    rows = fluid.embedding(ids, [height, width], is_sparse=True, param_attr="table")
    loss = layers.mean(layers.square(rows))
    SparseAdam(0.1).minimize(loss)
    fresh.start()
    feeds = [{"ids": np.random.default_rng(k).integers(0, height, n)} for k in range(4)]
    fresh.run(feeds[0], [loss])
    tracemalloc.start()
    try:
        for feed in feeds[1:]:
            (value,) = fresh.run(feed, [loss])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
    assert np.isfinite(value).all()


def test_a_steady_step_keeps_its_buffers(fresh):
    loss = layers.mean(layers.fc(fluid.data("x", [None, 64]), 64, act="tanh"))
    SGD(0.1).minimize(loss)
    fresh.start()
    feed = {"x": np.ones((1000, 64), np.float32)}
    fresh.run(feed, [loss])
    tracemalloc.start()
    try:
        for _ in range(3):
            fresh.run(feed, [loss])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64_000
