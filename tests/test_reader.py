"""Readers and what makes others of them; expected values come from Fluid 1.8.5."""

import random
import threading
import time

import numpy as np
import pytest

from fluidlite import reader as r


def count(n, start=0):
    return lambda: iter(range(start, start + n))


def failing(n):
    def reader():
        yield from range(n)
        raise KeyError("broken")

    return reader


def our_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("fluidlite-")]


def no_thread_is_left():
    deadline = time.monotonic() + 5
    while our_threads() and time.monotonic() < deadline:
        time.sleep(0.005)
    return not our_threads()


def test_batch():
    assert list(r.batch(count(5), 2)()) == [[0, 1], [2, 3], [4]]
    assert list(r.batch(count(5), 2, True)()) == [[0, 1], [2, 3]]
    assert list(r.batch(count(4), 2, drop_last=True)()) == [[0, 1], [2, 3]]
    assert list(r.batch(count(0), 2)()) == []
    # Fluid takes what int() takes.
    assert list(r.batch(count(5), 2.5)()) == [[0, 1], [2, 3], [4]]
    assert list(r.batch(count(5), "3")()) == [[0, 1, 2], [3, 4]]


@pytest.mark.parametrize("size", [0, -1, 0.5])
def test_batch_size_must_be_positive(size):
    with pytest.raises(ValueError, match=f"batch_size={size}"):
        r.batch(count(5), size)


def test_shuffle_draws_as_fluid_does():
    random.seed(7)
    assert list(r.shuffle(count(10), 4)()) == [3, 1, 0, 2, 5, 6, 7, 4, 8, 9]
    assert list(r.shuffle(count(3), 0)()) == [0, 1, 2]
    assert sorted(r.shuffle(count(7), 100)()) == list(range(7))


def test_chain_firstn_cache_map_readers():
    assert list(r.chain(count(2), count(0), count(3, 5))()) == [0, 1, 5, 6, 7]
    assert list(r.firstn(count(5), 3)()) == [0, 1, 2]
    assert list(r.firstn(count(5), 0)()) == []
    assert list(r.firstn(count(5), -1)()) == [0, 1, 2, 3, 4]
    calls = []
    cached = r.cache(lambda: calls.append(1) or range(3))
    assert list(cached()) == list(cached()) == [0, 1, 2]
    assert calls == [1]
    assert list(r.map_readers(lambda a, b: a * b, count(3), count(5, 5))()) == [0, 6, 14]


def test_compose():
    assert list(r.compose(count(2), lambda: [(3, 4), (5, 6)])()) == [(0, 3, 4), (1, 5, 6)]
    with pytest.raises(r.ComposeNotAligned, match="not aligned") as caught:
        list(r.compose(count(2), count(3))())
    assert "after 2 samples" in str(caught.value) and isinstance(caught.value, ValueError)
    assert list(r.compose(count(2), count(3), check_alignment=False)()) == [(0, 0), (1, 1)]
    assert list(r.compose(lambda: [None], count(1))()) == [(None, 0)]


@pytest.mark.parametrize("size", [0, 1, 3, 100])
def test_buffered(size):
    buffered = r.buffered(count(20), size)
    assert list(buffered()) == list(buffered()) == list(range(20))
    assert no_thread_is_left()


def test_buffered_passes_arrays():
    arrays = [np.arange(3), np.arange(2)]
    assert [len(one) for one in r.buffered(lambda: iter(arrays), 2)()] == [3, 2]


def test_buffered_reads_ahead_no_more_than_it_may():
    read = []
    samples = r.buffered(lambda: (read.append(i) or i for i in range(100)), 3)()
    next(samples)
    deadline = time.monotonic() + 5
    while len(read) < 5 and time.monotonic() < deadline:
        time.sleep(0.005)
    # One is consumed, three wait, and one is in the hands of the thread.
    assert len(read) == 5
    samples.close()
    assert no_thread_is_left() and len(read) == 5


def test_buffered_raises_where_the_sample_would_be():
    samples = r.buffered(failing(2), 10)()
    assert [next(samples), next(samples)] == [0, 1]
    with pytest.raises(KeyError, match="broken"):
        next(samples)
    assert no_thread_is_left()


def test_buffered_ends_its_thread_and_the_reader_when_the_consumer_stops():
    ended = []

    def reader():
        try:
            yield from range(1000)
        finally:
            ended.append(True)

    for sample in r.buffered(reader, 2)():
        if sample == 3:
            break
    del sample
    assert no_thread_is_left() and ended == [True]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("buffer_size", [1, 5])
def test_xmap_readers(threads, buffer_size):
    def mapper(x):
        time.sleep(0.002 * (x % 3))
        return x * x

    expected = [x * x for x in range(20)]
    ordered = r.xmap_readers(mapper, count(20), threads, buffer_size, order=True)
    assert list(ordered()) == list(ordered()) == expected
    assert sorted(r.xmap_readers(mapper, count(20), threads, buffer_size)()) == expected
    assert no_thread_is_left()


@pytest.mark.parametrize("order", [False, True])
def test_xmap_readers_raises_what_the_mapper_raises(order):
    samples = r.xmap_readers(lambda x: 12 // (3 - x), count(100), 2, 2, order)()
    with pytest.raises(ZeroDivisionError):
        list(samples)
    assert no_thread_is_left()


def test_xmap_readers_in_order_raises_where_the_sample_would_be():
    samples, seen = r.xmap_readers(lambda x: x, failing(5), 3, 2, order=True)(), []
    with pytest.raises(KeyError, match="broken"):
        seen.extend(iter(lambda: next(samples), None))
    samples = r.xmap_readers(lambda x: x, failing(5), 3, 2, order=True)()
    assert [next(samples) for _ in range(5)] == list(range(5))
    with pytest.raises(KeyError):
        next(samples)
    assert no_thread_is_left()


@pytest.mark.parametrize("order", [False, True])
def test_xmap_readers_ends_its_threads_when_the_consumer_stops(order):
    samples = r.xmap_readers(lambda x: x, count(10**9), 3, 2, order)()
    next(samples)
    samples.close()
    assert no_thread_is_left()


def test_xmap_readers_needs_a_thread():
    with pytest.raises(ValueError, match="process_num=0"):
        r.xmap_readers(lambda x: x, count(3), 0, 3)


def test_multiprocess_reader_with_pipes():
    readers = [lambda: [(1, 2), (3, 4)], lambda: [(5, (6,))]]
    assert list(r.multiprocess_reader(readers)()) == [[1, 2], [5, [6]], [3, 4]]
    (found,) = r.multiprocess_reader([lambda: [np.arange(3)]])()
    np.testing.assert_array_equal(found, [0, 1, 2])


def test_multiprocess_reader_with_a_queue():
    readers = [lambda: [(1, 2), (3, 4)], lambda: [(5, (6,))]]
    assert sorted(r.multiprocess_reader(readers, use_pipe=False)()) == [(1, 2), (3, 4), (5, (6,))]


@pytest.mark.parametrize("use_pipe", [True, False])
def test_multiprocess_reader_raises_what_a_reader_raises(use_pipe):
    with pytest.raises(ValueError, match="(?s)raised an exception.*KeyError: 'broken'"):
        list(r.multiprocess_reader([failing(2)], use_pipe)())
    with pytest.raises(ValueError, match="yielded None"):
        list(r.multiprocess_reader([lambda: [None]], use_pipe)())


@pytest.mark.parametrize("use_pipe", [True, False])
def test_multiprocess_reader_notices_a_killed_process(use_pipe):
    import os
    import signal

    def killed():
        os.kill(os.getpid(), signal.SIGKILL)
        yield 1

    with pytest.raises(ValueError, match="killed"):
        list(r.multiprocess_reader([killed], use_pipe)())


@pytest.mark.parametrize("use_pipe", [True, False])
def test_multiprocess_reader_ends_its_processes_when_the_consumer_stops(use_pipe):
    import multiprocessing

    samples = r.multiprocess_reader([count(10**9), count(10**9)], use_pipe)()
    next(samples)
    samples.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("readers", "kind"), [([], ValueError), (count(3), TypeError)])
def test_multiprocess_reader_needs_a_list(readers, kind):
    with pytest.raises(kind, match="list of at least one reader"):
        r.multiprocess_reader(readers)
