"""DataLoader of generators: what is yielded, in which order, what is refused, and threads that end."""

import subprocess
import sys
import textwrap
import threading
import time
import traceback

import loader_sources
import numpy as np
import pytest
from loader_sources import (
    PLACE,
    TWO,
    arrays,
    endless,
    labels,
    loader,
    reader_threads,
    samples,
    variables,
    wait_until,
)

import fluidlite as fluid
from fluidlite.io import DataLoader
from fluidlite.reader import batch

no_thread_stays = loader_sources.no_thread_stays


# What an iterable loader yields


def test_samples_become_batches_of_one_place(fresh):
    made = loader()
    assert made.set_sample_generator(samples(5), 2, places=PLACE) is made
    assert made() is made
    assert made.iterable
    for _ in range(2):
        assert [labels(feeds) for feeds in made] == [[[0, 1]], [[2, 3]]]
    made.set_sample_generator(samples(5), 2, drop_last=False, places=[PLACE])
    assert [labels(feeds) for feeds in made()] == [[[0, 1]], [[2, 3]], [[4]]]


def test_lists_of_samples_and_batches(fresh):
    made = loader()
    assert made.set_sample_list_generator(batch(samples(5), 2), PLACE) is made
    assert [labels(feeds) for feeds in made] == [[[0, 1]], [[2, 3]], [[4]]]
    assert made.set_batch_generator(arrays(3), PLACE) is made
    assert [labels(feeds) for feeds in made] == [[[0]], [[1, 1]], [[2, 2, 2]]]


@pytest.mark.parametrize(("drop_last", "expected"), [(True, [[0, 1], [2, 3]]), (False, [[0, 1], [2, 3], [4]])])
@pytest.mark.parametrize("return_list", [True, False])
def test_several_places_get_one_batch_after_the_other(fresh, drop_last, expected, return_list):
    made = loader(drop_last=drop_last, return_list=return_list)
    made.set_sample_list_generator(batch(samples(5), 1), TWO)
    if return_list:
        epoch = list(made)
        assert all(type(t) is fluid.LoDTensor for group in epoch for tensors in group for t in tensors)
        found = [[int(y.value[0, 0]) for _, y in group] for group in epoch]
    else:
        found = [[y for (y,) in labels(group)] for group in made]
    assert found == expected


def test_what_is_yielded_is_fed(fresh):
    made = loader().set_sample_generator(samples(4), 2, places=PLACE)
    z = fluid.layers.scale(made._feed_list[0], 2.0)
    assert [fresh.run(feeds, [z])[0].tolist() for feeds in made] == [[[0, 0], [2, 2]], [[4, 4], [6, 6]]]


def test_lod(fresh):
    ids = fluid.data("ids", [None, 1], "int64", lod_level=1)
    made = DataLoader.from_generator([ids], capacity=2)
    made.set_sample_generator(lambda: (([i] * i,) for i in range(4)), 2, places=PLACE)
    assert [feed["ids"].lod() for (feed,) in made] == [[[0, 0, 1]], [[0, 2, 5]]]
    tensor = fluid.create_lod_tensor([[1, 2], [3]], [[2, 1]])
    made.set_batch_generator(lambda: iter([[tensor]]), PLACE)
    ((feed,),) = list(made)
    assert feed["ids"].lod() == [[0, 2, 3]]
    assert feed["ids"].value is not tensor.value


def test_a_generator_may_use_its_arrays_again(fresh):
    def reuse():
        x, y = np.zeros((1, 2), "float32"), np.zeros((1, 1), "int64")
        for i in range(4):
            x[...], y[...] = i, i
            yield x, y

    assert [labels(f) for f in loader().set_batch_generator(reuse, PLACE)] == [[[0]], [[1]], [[2]], [[3]]]


def test_batches_are_converted_on_the_thread(fresh):
    made = loader().set_batch_generator(lambda: iter([(np.ones((2, 2)), np.ones((2, 1), "int32"))]), PLACE)
    ((feed,),) = list(made)
    assert feed["x"].value.dtype == "float32"
    assert feed["y"].value.dtype == "int64"


def test_next_of_the_loader_itself(fresh):
    made = loader().set_sample_generator(samples(3), 1, places=PLACE)
    assert labels(next(made)) == [[0]]
    assert labels(made.next()) == [[1]]
    assert labels(next(made)) == [[2]]
    with pytest.raises(StopIteration):
        next(made)
    assert labels(next(made)) == [[0]]


def test_two_loops_over_one_loader_are_two_epochs(fresh):
    made = loader().set_sample_generator(samples(3), 1, places=PLACE)
    assert [labels(a) == labels(b) for a, b in zip(made, made, strict=True)] == [True] * 3


def test_the_thread_is_capacity_batches_ahead(fresh):
    made, count = [], threading.Semaphore(0)

    def endless():
        while True:
            made.append(len(made))
            count.release()
            yield np.zeros((1, 2), "float32"), np.zeros((1, 1), "int64")

    epoch = iter(DataLoader.from_generator(variables(), capacity=3).set_batch_generator(endless, PLACE))
    for _ in range(4):
        assert count.acquire(timeout=10)
    # Three wait, and the fourth is held by the thread.
    assert not count.acquire(timeout=0.05)
    next(epoch)
    assert count.acquire(timeout=10)
    assert len(made) == 5


# Ends of threads


def test_a_loop_that_is_left_ends_its_thread_and_its_generator(fresh):
    closed = []
    made = loader().set_batch_generator(endless(closed), PLACE)
    for feeds in made:
        if labels(feeds) == [[2]]:
            break
    wait_until(lambda: not reader_threads())
    assert len(closed) == 1
    for feeds in made:
        assert labels(feeds) == [[0]]
        break
    wait_until(lambda: len(closed) == 2)


def test_the_generator_of_a_loop_that_was_left_rests_before_the_next_is_made(fresh):
    running = []

    def slow():
        running.append(1)
        assert len(running) == 1
        try:
            while True:
                time.sleep(0.02)
                yield np.zeros((1, 2), "float32"), np.zeros((1, 1), "int64")
        finally:
            running.pop()

    made = loader().set_batch_generator(slow, PLACE)
    for _ in range(3):
        for _ in made:
            break


def test_a_loader_that_nobody_has_ends_its_thread(fresh):
    closed = []
    made = loader().set_batch_generator(endless(closed), PLACE)
    next(made)
    assert reader_threads()
    del made
    wait_until(lambda: closed)


@pytest.mark.parametrize("batches", [0, 1])
def test_an_error_of_the_generator_comes_with_its_traceback(fresh, batches):
    class MyError(Exception):
        pass

    def failing():
        yield from arrays(batches)()
        raise MyError("mine")

    made, taken = loader().set_batch_generator(failing, PLACE), []
    with pytest.raises(MyError, match="mine") as caught:
        taken.extend(made)
    assert len(taken) == batches
    assert "failing" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


def run_script(text, **options):
    """The exit code and the output of a program of its own."""
    script = "import time, numpy as np, fluidlite as fluid\nx = fluid.data('x', [None, 1])\n" + textwrap.dedent(text)
    return subprocess.run([sys.executable, "-c", script], timeout=60, capture_output=True, text=True, **options)


def test_the_interpreter_exits_with_an_epoch_going_on():
    done = run_script(
        """
        def endless():
            try:
                while True:
                    yield np.zeros((1, 1), "float32"),
            finally:
                print("closed")

        loader = fluid.io.DataLoader.from_generator([x], capacity=2)
        epoch = iter(loader.set_batch_generator(endless, fluid.CPUPlace()))
        next(epoch)
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed\n", "")


def test_the_interpreter_exits_although_a_generator_never_comes_back():
    done = run_script(
        """
        def stuck():
            yield np.zeros((1, 1), "float32"),
            time.sleep(1000)

        loader = fluid.io.DataLoader.from_generator([x], capacity=2)
        epoch = iter(loader.set_batch_generator(stuck, fluid.CPUPlace()))
        next(epoch)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_while_a_batch_is_waited_for():
    done = run_script(
        """
        import os, signal, threading

        def stuck():
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            time.sleep(1000)
            yield

        loader = fluid.io.DataLoader.from_generator([x], capacity=2, iterable=False)
        loader.set_batch_generator(stuck)
        loader.start()
        try:
            fluid.Executor().run(fetch_list=[x])
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


# What is refused


@pytest.mark.parametrize(
    ("act", "error", "match"),
    [
        (lambda: DataLoader.from_generator(variables()), ValueError, "Please give value to capacity."),
        (lambda: DataLoader.from_generator(capacity=2), ValueError, "Feed list must be given under static mode."),
        (lambda: DataLoader.from_generator(variables(), -1), ValueError, "capacity"),
        (lambda: loader().set_batch_generator(arrays(1)), AssertionError, "Places cannot be None"),
        (lambda: loader().set_batch_generator(arrays(1), []), ValueError, "places is empty"),
        (lambda: iter(loader()), AssertionError, "Data source of DataLoader has not set yet"),
        (lambda: loader().start(), AssertionError, r"start\(\) cannot be called when DataLoader is iterable"),
        (lambda: loader().reset(), AssertionError, r"reset\(\) cannot be called when DataLoader is iterable"),
        (lambda: iter(loader(iterable=False)), AssertionError, "DataLoader is not iterable"),
        (lambda: loader(iterable=False).start(), AssertionError, "Data source of reader"),
        (lambda: loader().set_sample_generator(samples(1), 0, places=PLACE), AssertionError, "larger than 0"),
        (lambda: loader().set_batch_generator(arrays(1)(), PLACE), TypeError, "is not a function"),
        (lambda: list(loader().set_batch_generator(lambda: [([1],)], PLACE)), AssertionError, "are not equal"),
        (lambda: list(loader().set_sample_list_generator(lambda: [[(1,)]], PLACE)), AssertionError, "number of fields"),
        (lambda: list(loader().set_sample_list_generator(lambda: [[(1, 1)]], PLACE)), ValueError, "Sample 0 .*'x'"),
        (lambda: list(loader().set_batch_generator(lambda: [([[1.0]], [[1]])], PLACE)), ValueError, "'x'"),
        (lambda: list(loader().set_batch_generator(lambda: [([[1, 2]], [[0.5]])], PLACE)), TypeError, "'y'"),
    ],
)
def test_what_is_refused(fresh, act, error, match):
    with pytest.raises(error, match=match) as caught:
        act()
    assert isinstance(caught.value, fluid.EnforceNotMet)
