"""Ranks of a job as threads of one process, and a model that they train, for the tests of files."""

import itertools
import pickle
import queue
import threading
import types

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite import distributed
from fluidlite.contrib.layers import sparse_embedding
from fluidlite.distributed import owner_of
from fluidlite.hash_table import HashTable, TableState
from fluidlite.io import (
    checkpoint_parts,
    load_checkpoint,
    save_checkpoint,
)
from fluidlite.io.checkpoint_manifest import read_manifest

V, D = 1 << 40, 3
POOL = np.array([0, -1, -(1 << 63), (1 << 63) - 1, *range(7, 4000, 13)])


class Communicator:
    """What handlers use of a communicator, between threads. Objects are pickled, as they are on the way."""

    def __init__(self, rank, size, shared):
        self.rank, self.size, self.shared = rank, size, shared

    def all_gather(self, value):
        self.shared.values[self.rank] = pickle.dumps(value)
        self.shared.barrier.wait()
        found = [pickle.loads(data) for data in self.shared.values]
        self.shared.barrier.wait()
        return found

    def broadcast(self, value, root=0):
        return self.all_gather(value if self.rank == root else None)[root]

    def send_array(self, array, to):
        assert array.flags.c_contiguous
        self.shared.arrays[self.rank, to].put(array.copy())

    def receive_array(self, from_, dtype, shape):
        array = self.shared.arrays[from_, self.rank].get(timeout=20)
        assert (array.dtype, array.shape) == (dtype, tuple(shape))
        return array


class Job:
    """What the files know of a job. Ranks that do not ask for a command `serve` it."""

    def __init__(self, rank, size, shared, program, scope):
        self.rank, self.size, self.scope = rank, size, scope
        self.comm = Communicator(rank, size, shared)
        self.programs = [types.SimpleNamespace(program=program, sync=True)]

    def settle(self, comm):
        assert comm is self.comm

    def note_checkpoints(self, dirname, newest):
        pass

    def command(self, name, arguments, local=None):
        asked = self.comm.all_gather(None if name is None else (name, arguments))
        name, wanted = next(one for one in asked if one)
        mine = arguments == wanted
        result = error = None
        try:
            result = distributed.commands[name](self, self.comm, local if mine else None, **wanted)
        except Exception as raised:
            error = raised
        results = self.comm.all_gather(result)
        if error is not None and mine:
            raise error
        return results

    def serve(self):
        self.command(None, None)


@pytest.fixture
def as_ranks(monkeypatch):
    """A function that calls ``function(job)`` as each rank of a job, at the same time, and returns the results by rank:
    exceptions where they were raised."""
    here = threading.local()
    monkeypatch.setattr(distributed, "current", lambda: getattr(here, "job", None))

    def run(program, scopes, function):
        n = len(scopes)
        arrays = {pair: queue.Queue() for pair in itertools.permutations(range(n), 2)}
        shared = types.SimpleNamespace(values=[None] * n, barrier=threading.Barrier(n, timeout=20), arrays=arrays)
        results = [None] * n

        def rank(k):
            here.job = Job(k, n, shared, program, scopes[k])
            try:
                results[k] = function(here.job)
            except Exception as error:
                results[k] = error

        threads = [threading.Thread(target=rank, args=(k,)) for k in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        assert all(one.empty() for one in arrays.values())
        return results

    return run


OPTIMIZERS = {
    "lazy_adam": lambda: fluid.optimizer.Adam(0.1, lazy_mode=True),
    "adagrad": lambda: fluid.optimizer.Adagrad(0.1, initial_accumulator_value=0.5),
    "momentum": lambda: fluid.optimizer.Momentum(0.1, 0.9),
}


def model(fresh, optimizer="lazy_adam", entry=None):
    """A table that is shared, a layer that every rank has, statistics that each rank has of its own, random numbers."""
    fresh.startup.random_seed = 5
    ids = fluid.data("ids", [None, 1], "int64")
    table = fluid.ParamAttr("table", initializer=fluid.initializer.Uniform(-0.3, 0.3))
    if entry is None:
        rows = fluid.embedding(ids, [V, D], is_sparse=True, is_distributed=True, param_attr=table)
    else:
        rows = sparse_embedding(ids, [V, D], entry=entry, param_attr=table)
    rows = fluid.layers.batch_norm(fluid.layers.reshape(rows, [-1, D]), moving_mean_name="mean")
    rows = fluid.layers.fc(fluid.layers.dropout(rows, 0.3), 2, param_attr="dense", bias_attr=False)
    loss = fluid.layers.reduce_mean(fluid.layers.square(rows))
    OPTIMIZERS[optimizer]().minimize(loss)
    return loss


class Ranks:
    """A scope for each of n ranks, which train the rows that they own."""

    def __init__(self, fresh, loss, n):
        self.fresh, self.loss, self.n, self.steps = fresh, loss, n, [0] * n
        self.scopes = [fluid.Scope() for _ in range(n)]
        for rank, scope in enumerate(self.scopes):
            fresh.exe.run(fresh.startup, scope=scope)
            if n > 1:
                scope.find_var("table").get_table().share = rank, n

    def train(self, n_steps, rank=None):
        losses = []
        for k in range(self.n) if rank is None else [rank]:
            ids = POOL[owner_of(POOL, self.n) == k]
            for _ in range(n_steps):
                feed = {"ids": np.random.default_rng([k, self.steps[k]]).choice(ids, (11, 1))}
                self.steps[k] += 1
                losses.append(self.fresh.exe.run(self.fresh.main, feed, [self.loss], scope=self.scopes[k])[0].tobytes())
        self.settle()
        return losses

    def settle(self):
        """All ranks have the same values where a job would have them."""
        own = {"@RANDOM_STEP@", *checkpoint_parts.written_forward(self.fresh.main)}
        for scope in self.scopes[1:]:
            for name in set(others_of(scope)) - own:
                scope.find_var(name).cell.value[...] = self.scopes[0].find_var(name).cell.value


def rows_of(scope):
    """{id: everything that is known of its row} and what is known of ids that wait."""
    table = scope.find_var("table").get_table()
    numbers = range(1, len(table) + 1)
    states = {name: scope.find_var(name).cell.value for name in scope.local_var_names()}
    states = {name: state.rows for name, state in sorted(states.items()) if isinstance(state, TableState)}
    rows = {}
    for k in numbers:
        values = [array[k].tobytes() for array in (table.rows, *states.values())]
        rows[int(table.names[k])] = [int(table.seen[k]), *values]
    waiting = table._waiting
    n = len(waiting.index) if waiting else 0
    waits = {int(waiting.names[k]): (int(waiting.seen[k]), int(waiting.counts[k])) for k in range(1, n + 1)}
    return rows, waits


def others_of(scope):
    """{name: bytes} of everything that is no table."""
    values = {name: scope.find_var(name).cell.value for name in scope.local_var_names()}
    return {
        name: value.tobytes()
        for name, value in values.items()
        if value is not None and not isinstance(value, HashTable | TableState)
    }


def whole(scope):
    """Everything in a scope, tables by row number."""
    table = scope.find_var("table").get_table()
    numbers = table.names[1 : len(table) + 1].tolist()
    return others_of(scope), numbers, rows_of(scope), (table.steps, table.places, table.misses, table.initializer)


def save_all(as_ranks, ranks, folder, step, **options):
    """All ranks save, or an ordinary save of one; returns what they got."""
    fresh = ranks.fresh

    def save(job):
        return save_checkpoint(fluid.Executor(), folder, step, fresh.main, scope=ranks.scopes[job.rank], **options)

    if ranks.n == 1:
        return [save_checkpoint(fluid.Executor(), folder, step, fresh.main, scope=ranks.scopes[0], **options)]
    return as_ranks(fresh.main, ranks.scopes, save)


def load_all(as_ranks, fresh, folder, m, **options):
    """New scopes of m ranks into which a checkpoint was loaded."""
    scopes = [fluid.Scope() for _ in range(m)]

    def load(job):
        return load_checkpoint(fluid.Executor(), folder, fresh.main, scope=scopes[job.rank], **options)

    if m == 1:
        load_checkpoint(fluid.Executor(), folder, fresh.main, scope=scopes[0], **options)
    else:
        for result in as_ranks(fresh.main, scopes, load):
            if isinstance(result, Exception):
                raise result
    return scopes


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "checkpoints")


@pytest.fixture
def ranks(fresh):
    """Three ranks that have trained two steps."""
    ranks = Ranks(fresh, model(fresh), 3)
    ranks.train(2)
    return ranks


def manifest_of(folder, step):
    return read_manifest(folder, step)
