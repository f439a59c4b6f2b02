"""What the tests of loaders share: places, variables, generators, a look at batches and at threads."""

import threading
import time

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.io import DataLoader

PLACE = fluid.CPUPlace()
TWO = fluid.cpu_places(2)


def reader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("fluidlite")]


@pytest.fixture(autouse=True)
def no_thread_stays():
    assert not reader_threads()
    yield
    wait_until(lambda: not reader_threads())


def wait_until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never happens"
        time.sleep(0.002)


def variables():
    return [fluid.data("x", [None, 2]), fluid.data("y", [None, 1], "int64")]


def samples(count):
    """A reader of samples (full of i, i)."""
    return lambda: ((np.full(2, i, "float32"), i) for i in range(count))


def arrays(count):
    """A reader of batches of i + 1 rows."""
    return lambda: ((np.full((i + 1, 2), i, "float32"), np.full((i + 1, 1), i)) for i in range(count))


def loader(**options):
    return DataLoader.from_generator(variables(), capacity=2, **options)


def labels(feeds):
    """The labels of the batches of all places, and a look at the kinds of everything."""
    assert isinstance(feeds, list)
    for feed in feeds:
        assert isinstance(feed, dict)
        assert list(feed) == ["x", "y"]
        assert all(type(value) is fluid.LoDTensor for value in feed.values())
        assert feed["x"].value.dtype == "float32"
        np.testing.assert_array_equal(feed["x"].value, np.repeat(feed["y"].value, 2, axis=1).astype("float32"))
    return [feed["y"].value[:, 0].tolist() for feed in feeds]


def endless(closed):
    """An endless reader that notes that it was closed."""

    def read():
        try:
            i = 0
            while True:
                yield np.full((1, 2), i, "float32"), np.full((1, 1), i)
                i += 1
        finally:
            closed.append(i)

    return read
