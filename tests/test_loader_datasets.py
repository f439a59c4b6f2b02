"""DataLoader of datasets: numbered samples, workers, samplers, collate functions, and datasets of files."""

import time

import loader_sources
import numpy as np
import pytest
from loader_sources import PLACE, TWO, labels, variables

import fluidlite as fluid
from fluidlite.io import BatchSampler, DataLoader, Dataset, default_collate_fn

no_thread_stays = loader_sources.no_thread_stays


class Squares(Dataset):
    def __len__(self):
        return 5

    def __getitem__(self, i):
        return np.full(2, i, "float32"), np.array([i])


def test_a_dataset_with_numbered_samples(fresh):
    made = DataLoader(Squares(), variables(), PLACE, batch_size=2)
    assert len(made) == 3
    for _ in range(2):
        assert [labels(feeds) for feeds in made()] == [[[0, 1]], [[2, 3]], [[4]]]
    made = DataLoader(Squares(), made.feed_list, TWO, drop_last=True)
    assert [labels(feeds) for feeds in made] == [[[0], [1]], [[2], [3]]]


@pytest.mark.parametrize("num_workers", [1, 3])
def test_workers_keep_the_order(fresh, num_workers):
    started = []

    class Slow(Squares):
        def __len__(self):
            return 23

        def __getitem__(self, i):
            time.sleep(0.003 * (i % 3 == 0))
            return super().__getitem__(i)

    options = {"num_workers": num_workers, "worker_init_fn": started.append, "timeout": 60}
    made = DataLoader(Slow(), variables(), PLACE, batch_size=2, **options)
    assert [y for feeds in made for y in labels(feeds)[0]] == list(range(23))
    assert set(started) <= set(range(num_workers))
    assert started
    for _ in made:
        break


def test_errors_of_a_dataset(fresh):
    class Failing(Squares):
        def __getitem__(self, i):
            if i == 3:
                raise KeyError("mine")
            return super().__getitem__(i)

    x = variables()
    for num_workers in (0, 2):
        found = []
        with pytest.raises(KeyError, match="mine"):
            for feeds in DataLoader(Failing(), x, PLACE, num_workers=num_workers):
                found.append(labels(feeds))
        assert found == [[[0]], [[1]], [[2]]]


def test_shuffled_samples_samplers_and_collate(fresh):
    x = variables()
    np.random.seed(7)
    made = DataLoader(Squares(), x, PLACE, batch_size=2, shuffle=True)
    epochs = [[y for feeds in made for y in labels(feeds)[0]] for _ in range(3)]
    assert all(sorted(epoch) == list(range(5)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) > 1
    sampler = BatchSampler(indices=[4, 1, 0], batch_size=2)
    assert [labels(feeds) for feeds in DataLoader(Squares(), x, PLACE, batch_sampler=sampler)] == [[[4, 1]], [[0]]]
    made = DataLoader(Squares(), x, PLACE, batch_size=3, collate_fn=lambda batch: default_collate_fn(batch[:1]))
    assert [labels(feeds) for feeds in made] == [[[0]], [[3]]]
    (((x, y),), _, _) = list(DataLoader(Squares(), places=PLACE, return_list=True, batch_size=2))
    assert (x.shape(), y.shape()) == ([2, 2], [2, 1])


@pytest.mark.parametrize(
    ("count", "options", "expected"),
    [
        (5, {}, [[0, 1], [2, 3], [4]]),
        (5, {"drop_last": True}, [[0, 1], [2, 3]]),
        (4, {}, [[0, 1], [2, 3]]),
        (0, {}, []),
    ],
)
def test_batch_sampler(count, options, expected):
    sampler = BatchSampler(dataset=range(count), batch_size=2, **options)
    assert list(sampler) == expected
    assert len(sampler) == len(expected)


@pytest.mark.parametrize(
    "act",
    [
        lambda: BatchSampler(),
        lambda: BatchSampler(dataset=[1], indices=[0]),
        lambda: BatchSampler(indices=3),
        lambda: BatchSampler(indices=[0], batch_size=0),
        lambda: BatchSampler(indices=[0], shuffle=1),
        lambda: DataLoader(Squares(), places=PLACE),
        lambda: DataLoader(Squares(), variables()),
        lambda: DataLoader(Squares(), variables(), PLACE, num_workers=-1),
        lambda: DataLoader(Squares(), variables(), PLACE, batch_sampler=[[0]], shuffle=True),
        lambda: DataLoader.from_dataset(Squares(), PLACE),
    ],
)
def test_what_datasets_and_samplers_refuse(fresh, act):
    with pytest.raises(AssertionError) as caught:
        act()
    assert isinstance(caught.value, fluid.EnforceNotMet)


class Files:
    """As far as a loader is concerned, a dataset of files."""

    batch_size = 2

    def __init__(self):
        self.begun = 0

    def _counted_batches(self):
        self.begun += 1
        for i, n in enumerate([2, 2, 2, 1]):
            yield n, {"x": np.full((n, 2), i, "float32"), "y": fluid.LoDTensor(np.full((n, 1), i))}


@pytest.mark.parametrize(
    ("places", "drop_last", "expected"),
    [
        (PLACE, True, [[[0, 0]], [[1, 1]], [[2, 2]]]),
        ([PLACE], False, [[[0, 0]], [[1, 1]], [[2, 2]], [[3]]]),
        (TWO, True, [[[0, 0], [1, 1]]]),
        (TWO, False, [[[0, 0], [1, 1]], [[2, 2], [3]]]),
    ],
)
def test_a_dataset_of_files(places, drop_last, expected):
    dataset = Files()
    made = DataLoader.from_dataset(dataset, places, drop_last)
    for _ in range(2):
        assert [labels(feeds) for feeds in made()] == expected
    assert dataset.begun == 2
