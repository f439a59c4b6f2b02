"""Positions of readers in checkpoints: the next epoch goes on at the same batch, shuffles included."""

import json
import random

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.errors import InvalidArgumentError
from fluidlite.io import load_checkpoint, save_checkpoint
from fluidlite.io.checkpoint_manifest import pack_state, unpack_state

N = 23


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "checkpoints")


@pytest.fixture
def ids(fresh):
    fluid.layers.create_parameter([2, 3], "float32", name="w")
    fresh.start()
    return fluid.data("ids", [None, 1], "int64")


def through_json(state):
    """What a manifest makes of a state."""
    arrays = []
    return unpack_state(json.loads(json.dumps(pack_state(state, arrays))), arrays)


class Numbers(fluid.io.Dataset):
    def __init__(self):
        self.read = []

    def __getitem__(self, i):
        self.read.append(i)
        return (np.array([i]),)

    def __len__(self):
        return N


def samples():
    yield from ((i,) for i in range(N))


def random_samples():
    for i in range(N):
        yield (int(np.random.randint(1000)) * 100 + i,)


def from_generator(ids, reader, places=None):
    loader = fluid.io.DataLoader.from_generator([ids], capacity=3)
    return loader.set_sample_generator(reader, 4, drop_last=False, places=places or fluid.CPUPlace())


LOADERS = {
    "generator": lambda ids: from_generator(ids, samples),
    "shuffled": lambda ids: from_generator(ids, fluid.io.shuffle(samples, 10)),
    "random": lambda ids: from_generator(ids, random_samples),
    "two places": lambda ids: from_generator(ids, fluid.io.shuffle(samples, 10), fluid.cpu_places(2)),
    "numbered": lambda ids: fluid.io.DataLoader(Numbers(), [ids], fluid.CPUPlace(), batch_size=4),
    "numbered, shuffled": lambda ids: fluid.io.DataLoader(
        Numbers(), [ids], fluid.CPUPlace(), batch_size=4, shuffle=True, num_workers=2
    ),
    "numbered, two places": lambda ids: fluid.io.DataLoader(
        Numbers(), [ids], fluid.cpu_places(2), batch_size=4, shuffle=True
    ),
}


def ids_of(batch):
    return [np.asarray(feed["ids"]).tolist() for feed in batch]


def epochs(loader, n):
    return [[ids_of(batch) for batch in loader] for _ in range(n)]


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("taken", [0, 1, 3, "all", "over"])
def test_the_next_loop_goes_on(fresh, ids, folder, name, taken):
    random.seed(1)
    np.random.seed(2)
    loader = LOADERS[name](ids)
    epochs(loader, 1)
    epoch = iter(loader)
    n_batches = len(LOADERS[name](ids).batch_sampler) if name.startswith("numbered") else 6
    n_batches //= 2 if "two" in name else 1
    for _ in range(n_batches if taken in ("all", "over") else min(taken, n_batches)):
        next(epoch)
    if taken == "over":
        assert next(epoch, None) is None
    save_checkpoint(fresh.exe, folder, 0, readers=[loader])
    expected = ([] if taken == "over" else [[ids_of(batch) for batch in epoch]]) + epochs(loader, 2)
    random.seed(8)
    np.random.seed(9)
    other = LOADERS[name](ids)
    load_checkpoint(fresh.exe, folder, readers=[other])
    assert other.state_dict()["epoch"] == 1 + (taken == "over")
    assert epochs(other, len(expected)) == expected
    assert other.state_dict()["epoch"] == 4 and other.state_dict()["batch"] == 0


def test_samples_that_were_used_are_not_read_again(ids):
    loader = fluid.io.DataLoader(Numbers(), [ids], fluid.CPUPlace(), batch_size=4)
    epoch = iter(loader)
    for _ in range(3):
        next(epoch)
    other = fluid.io.DataLoader(Numbers(), [ids], fluid.CPUPlace(), batch_size=4)
    other.set_state_dict(through_json(loader.state_dict()))
    list(other)
    assert other.dataset.read == list(range(12, N))


def test_a_loop_that_was_left_is_an_epoch_of_its_own(ids):
    loader = from_generator(ids, samples)
    for _ in loader:
        break
    assert loader.state_dict()["epoch"] == 1 and loader.state_dict()["batch"] == 0


def test_what_was_loaded_can_be_saved_before_it_is_used(ids):
    loader, other = LOADERS["numbered, shuffled"](ids), LOADERS["numbered, shuffled"](ids)
    epoch = iter(loader)
    next(epoch)
    state = through_json(loader.state_dict())
    other.set_state_dict(state)
    assert str(through_json(other.state_dict())) == str(state)


def program_reader(kind):
    if kind == "py_reader":
        reader = fluid.layers.py_reader(4, [(-1, 1)], ["int64"], name="r")
        x = fluid.layers.read_file(reader)
        reader.decorate_sample_list_generator(fluid.io.batch(fluid.io.shuffle(samples, 10), 4))
    else:
        x = fluid.data("x", [None, 1], "int64")
        reader = fluid.io.DataLoader.from_generator([x], capacity=4, iterable=False)
        reader.set_sample_list_generator(fluid.io.batch(fluid.io.shuffle(samples, 10), 4))
    return reader, fluid.layers.scale(x, 1.0)


def runs(fresh, out, n):
    got = []
    for _ in range(n):
        try:
            got.append(fresh.run(None, [out])[0].tolist())
        except fluid.core.EOFException:
            got.append("end")
    return got


@pytest.mark.parametrize("kind", ["py_reader", "loader"])
@pytest.mark.parametrize("taken", [0, 2, 6, 7])
def test_readers_of_programs(make_fresh, folder, kind, taken):
    random.seed(4)
    with make_fresh() as one:
        reader, out = program_reader(kind)
        reader.start()
        runs(one, out, taken)
        save_checkpoint(one.exe, folder, 0, readers=[reader])
        expected = runs(one, out, 7 - taken)
        reader.reset()
        reader.start()
        expected += runs(one, out, 7)
        reader.reset()
    random.seed(5)
    with make_fresh() as other:
        reader, out = program_reader(kind)
        load_checkpoint(other.exe, folder, readers=[reader])
        got = []
        if taken < 7:
            reader.start()
            got = runs(other, out, 7 - taken)
            reader.reset()
        reader.start()
        assert got + runs(other, out, 7) == expected
        reader.reset()


# ------------------------------------------------------------------------------------------------------------ datasets


@pytest.fixture
def files(tmp_path):
    paths = []
    for k in range(2):
        path = tmp_path / f"{k}.txt"
        path.write_text("".join(f"1 {k * 100 + i}\n" for i in range(13 + k)))
        paths.append(str(path))
    return paths


def dataset_of(kind, ids, files):
    dataset = fluid.DatasetFactory().create_dataset(kind)
    dataset.set_use_var([ids])
    dataset.set_batch_size(4)
    dataset.set_filelist(files)
    if kind == "InMemoryDataset":
        dataset.load_into_memory()
    return dataset


def lists(batches):
    return [np.asarray(feed["ids"]).tolist() for feed in batches]


@pytest.mark.parametrize("kind", ["QueueDataset", "InMemoryDataset"])
def test_a_dataset_goes_on(fresh, ids, files, folder, kind):
    dataset = dataset_of(kind, ids, files)
    if kind == "InMemoryDataset":
        dataset.set_shuffle_seed(3)
        dataset.local_shuffle()
    batches = dataset.batches()
    for _ in range(2):
        next(batches)
    save_checkpoint(fresh.exe, folder, 0, readers=[dataset])
    expected = lists(batches)
    if kind == "InMemoryDataset":
        dataset.local_shuffle()
    expected += lists(dataset.batches())
    other = dataset_of(kind, ids, files)
    load_checkpoint(fresh.exe, folder, readers=[other])
    got = lists(other.batches())
    if kind == "InMemoryDataset":
        other.local_shuffle()
    assert got + lists(other.batches()) == expected
    assert other.state_dict()["batch"] == 0


@pytest.mark.parametrize("kind", ["QueueDataset", "InMemoryDataset"])
def test_a_loader_of_a_dataset_goes_on(fresh, ids, files, folder, kind):
    def loader_of(dataset):
        return fluid.io.DataLoader.from_dataset(dataset, fluid.CPUPlace(), drop_last=False)

    dataset = dataset_of(kind, ids, files)
    if kind == "InMemoryDataset":
        dataset.local_shuffle()
    loader = loader_of(dataset)
    epoch = iter(loader)
    for _ in range(3):
        next(epoch)
    save_checkpoint(fresh.exe, folder, 0, readers=[loader])
    expected = [[ids_of(batch) for batch in epoch], *epochs(loader, 1)]
    other = loader_of(dataset_of(kind, ids, files))
    load_checkpoint(fresh.exe, folder, readers=[other])
    assert epochs(other, 2) == expected


def test_a_handler_saves_while_a_dataset_is_trained(make_fresh, files, folder):
    def model():
        ids = fluid.data("ids", [None, 1], "int64")
        rows = fluid.embedding(ids, [200, 3], is_sparse=True, param_attr="table")
        loss = fluid.layers.reduce_mean(fluid.layers.dropout(rows, 0.3))
        fluid.optimizer.Adagrad(0.1).minimize(loss)
        return ids, loss

    with make_fresh() as one:
        ids, loss = model()
        one.start()
        dataset = dataset_of("QueueDataset", ids, files)

        class Saves(fluid.executor.FetchHandler):
            n_calls = 0

            def handler(self, res_dict):
                self.n_calls += 1
                if self.n_calls == 3:
                    save_checkpoint(one.exe, folder, 3, readers=[dataset])

        handler = Saves({"loss": loss}, period_secs=0)
        one.exe.train_from_dataset(one.main, dataset, fetch_handler=handler)
        expected = one.snapshot()
    with make_fresh() as other:
        ids, loss = model()
        dataset = dataset_of("QueueDataset", ids, files)
        load_checkpoint(other.exe, folder, readers=[dataset])
        assert dataset.state_dict() == {"batch": 3}
        other.exe.train_from_dataset(other.main, dataset)
        assert other.snapshot() == expected


# ------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "change",
    [
        lambda s: None,
        lambda s: [],
        lambda s: s | {"epoch": -1},
        lambda s: s | {"batch": "3"},
        lambda s: s | {"batch": True},
        lambda s: {"epoch": 0, "batch": 0},
        lambda s: s | {"random": {}},
        lambda s: s | {"random": s["random"] | {"python": {"version": 3, "words": [1], "gauss": None}}},
        lambda s: s | {"random": s["random"] | {"numpy": {"bit_generator": "PCG64"}}},
        lambda s: s | {"sampler": {"indices": [1, 2]}},
        lambda s: s | {"sampler": {"indices": [0] * N}},
        lambda s: s | {"sampler": {}},
    ],
)
def test_states_that_are_none(ids, change):
    loader = LOADERS["numbered, shuffled"](ids)
    good = through_json(loader.state_dict())
    with pytest.raises(InvalidArgumentError, match="The saved (state|order)"):
        loader.set_state_dict(change(good))
    assert loader.state_dict()["batch"] == 0
    assert len(list(loader)) == 6


@pytest.mark.parametrize(
    "change",
    [
        lambda s: {},
        lambda s: s | {"batch": -1},
        lambda s: s | {"samples": 3},
        lambda s: s | {"order": [0, 0, 1]},
        lambda s: s | {"order": [0] * 27},
        lambda s: s | {"generator": {"bit_generator": "MT19937"}},
        lambda s: s | {"generator": None},
    ],
)
def test_states_that_are_none_of_a_dataset(ids, files, change):
    dataset = dataset_of("InMemoryDataset", ids, files)
    dataset.local_shuffle()
    good = through_json(dataset.state_dict())
    expected = lists(dataset.batches())
    with pytest.raises(InvalidArgumentError, match="The saved (state|generator)"):
        dataset.set_state_dict(change(good))
    assert lists(dataset.batches()) == expected
    other = dataset_of("InMemoryDataset", ids, files)
    other.set_state_dict(good)
    assert lists(other.batches()) == expected


def test_a_reader_that_does_not_fit_leaves_the_scope_alone(fresh, ids, folder):
    loader = LOADERS["numbered, shuffled"](ids)
    save_checkpoint(fresh.exe, folder, 0, readers=[loader])
    fresh.set("w", np.ones((2, 3), np.float32))
    before = fresh.snapshot()
    other = fluid.io.DataLoader([(np.array([1]),)], [ids], fluid.CPUPlace(), shuffle=True)
    with pytest.raises(InvalidArgumentError, match="order of a BatchSampler is that of other samples"):
        load_checkpoint(fresh.exe, folder, readers=[other])
    assert fresh.snapshot() == before
