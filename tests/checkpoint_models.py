"""A model that keeps some state of every kind, and a look into checkpoints, for their tests."""

import json
import os

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite import tables
from fluidlite.io import checkpoint_values

V, D = 211, 3


@pytest.fixture
def small(monkeypatch):
    """Tables of any size have a RowState and are written by rows."""
    monkeypatch.setattr(tables, "SMALLEST_STATE", 0)
    monkeypatch.setattr(checkpoint_values, "BY_ROWS_FROM", 0)


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "checkpoints")


OPTIMIZERS = {
    "lazy_adam": lambda rate: fluid.optimizer.Adam(rate, lazy_mode=True),
    "adam": lambda rate: fluid.optimizer.Adam(rate),
    "sparse_adam": lambda rate: fluid.optimizer.SparseAdam(rate),
    "sgd": lambda rate: fluid.optimizer.SGD(rate),
    "momentum": lambda rate: fluid.optimizer.Momentum(rate, 0.9),
    "lazy_rmsprop": lambda rate: fluid.optimizer.RMSProp(rate, momentum=0.5, centered=True, lazy_mode=True),
    "adagrad": lambda rate: fluid.optimizer.Adagrad(rate),
    "ftrl": lambda rate: fluid.optimizer.Ftrl(rate, l1=0.01),
}


def word_model(fresh, name="lazy_adam"):
    """An embedding, dropout, a schedule: everything of which a training keeps some state."""
    fresh.startup.random_seed = 5
    ids = fluid.data("ids", [None], "int64")
    rows = fluid.layers.dropout(fluid.embedding(ids, [V, D], is_sparse=True, param_attr="table"), 0.3)
    if name == "sparse_adam":
        rows = fluid.layers.scale(rows, 1.5)
    else:
        rows = fluid.layers.fc(rows, 2, param_attr="dense", bias_attr="bias")
    loss = fluid.layers.reduce_mean(fluid.layers.square(rows))
    OPTIMIZERS[name](fluid.layers.exponential_decay(0.1, 3, 0.9)).minimize(loss)
    return ids, loss


def feeds(n, start=0):
    for step in range(start, n):
        yield {"ids": np.random.default_rng(step).integers(0, V, 11)}


def train(fresh, loss, n, start=0):
    return [fresh.run(feed, [loss])[0].tobytes() for feed in feeds(n, start)]


def sizes(folder, step):
    path = os.path.join(folder, f"checkpoint-{step}")
    return sum(os.path.getsize(os.path.join(path, name)) for name in os.listdir(path) if name != "manifest.json")


def manifest_of(folder, step):
    with open(os.path.join(folder, f"checkpoint-{step}", "manifest.json")) as file:
        return json.load(file)


def refuse(number):
    """A function that always raises the OSError of this number."""

    def raising(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return raising
