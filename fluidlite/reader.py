"""Readers: functions without arguments that return an iterable of samples; and what turns readers into others.

`fluid.io` has these functions under the same names, `paddle.reader` in programs run by ``python -m fluidlite``. A
decorated reader is a reader again: every call starts from the beginning.

>>> def count():
...     return iter(range(5))
>>> list(batch(firstn(count, 3), batch_size=2)())
[[0, 1], [2]]
"""

import itertools
import random
import threading
from collections import deque

from .errors import InvalidArgumentError, InvalidTypeError, UnavailableError, here
from .reader_processes import Processes

__all__ = [
    "ComposeNotAligned",
    "batch",
    "buffered",
    "cache",
    "chain",
    "compose",
    "firstn",
    "map_readers",
    "multiprocess_reader",
    "shuffle",
    "xmap_readers",
]

_END = object()


class ComposeNotAligned(InvalidArgumentError):
    """The readers given to `compose` do not yield equally many samples."""


def batch(reader, batch_size, drop_last=False):
    """Lists of `batch_size` samples each.

    Args:
        reader: yields samples.
        batch_size: samples of a batch, at least 1.
        drop_last: leave out a last batch that is shorter. Default False.

    >>> list(batch(lambda: range(5), 2)()), list(batch(lambda: range(5), 2, drop_last=True)())
    ([[0, 1], [2, 3], [4]], [[0, 1], [2, 3]])
    """
    size = int(batch_size)
    if size <= 0:
        raise InvalidArgumentError(
            f"The batch_size of batch() must be positive, but got batch_size={batch_size}.", where=here()
        )

    def batch_reader():
        samples = []
        for sample in reader():
            samples.append(sample)
            if len(samples) == size:
                yield samples
                samples = []
        if samples and not drop_last:
            yield samples

    return batch_reader


def cache(reader):
    """The samples of `reader`, read once, at this call, and kept in memory.

    >>> list(cache(lambda: range(3))())
    [0, 1, 2]
    """
    samples = tuple(reader())
    return lambda: iter(samples)


def map_readers(func, *readers):
    """``func(a, b, ...)`` of samples a, b, ... of the readers, as long as all have one.

    >>> list(map_readers(lambda a, b: a * b, lambda: range(3), lambda: range(5, 10))())
    [0, 6, 14]
    """
    return lambda: map(func, *[reader() for reader in readers])


def shuffle(reader, buf_size):
    """The samples in random order: `buf_size` of them are read, shuffled and passed on, then the next ones.

    The order is that of Python's ``random``, so ``random.seed`` decides it.

    >>> random.seed(7)
    >>> list(shuffle(lambda: range(10), 4)())
    [3, 1, 0, 2, 5, 6, 7, 4, 8, 9]
    """

    def shuffled_reader():
        samples = []
        for sample in reader():
            samples.append(sample)
            if len(samples) >= buf_size:
                random.shuffle(samples)
                yield from samples
                samples = []
        random.shuffle(samples)
        yield from samples

    return shuffled_reader


def chain(*readers):
    """The samples of the readers one after the other.

    >>> list(chain(lambda: range(2), lambda: "ab")())
    [0, 1, 'a', 'b']
    """
    return lambda: itertools.chain(*[reader() for reader in readers])


def compose(*readers, check_alignment=True):
    """One tuple from a sample of each reader; samples that are tuples are joined, others are elements.

    Args:
        check_alignment: raise `ComposeNotAligned` when one reader ends before the others (default); False drops what
            the longer ones have left.

    Differs from Fluid: None is a sample like any other. Fluid takes it for the end of a reader.

    >>> list(compose(lambda: [(1, 2), (3, 4)], lambda: "ab")())
    [(1, 2, 'a'), (3, 4, 'b')]
    """

    def composed_reader():
        for number, samples in enumerate(itertools.zip_longest(*[reader() for reader in readers], fillvalue=_END)):
            ended = [place for place, sample in enumerate(samples) if sample is _END]
            if ended and check_alignment:
                raise ComposeNotAligned(
                    "The outputs of the readers given to compose() are not aligned.",
                    expected="equally many samples from every reader",
                    actual=f"readers {ended} of {len(readers)} ended after {number} samples, the others did not",
                    hint="check_alignment=False drops what the longer ones have left.",
                )
            if ended:
                return
            yield tuple(itertools.chain(*[s if isinstance(s, tuple) else (s,) for s in samples]))

    return composed_reader


def firstn(reader, n):
    """The first `n` samples; all of them if `n` is negative.

    >>> list(firstn(lambda: range(100), 3)())
    [0, 1, 2]
    """
    return lambda: itertools.islice(reader(), n if n >= 0 else None)


class _Failure:
    """An exception on its way from the thread where it was raised to the consumer."""

    def __init__(self, error):
        self.error = error


class _Channel:
    """A bounded queue that either side can close: then nobody waits any more, and what is in it is dropped."""

    def __init__(self, capacity):
        self._items, self._capacity, self._closed = deque(), capacity, False
        self._changed = threading.Condition()

    def put(self, item):
        """Wait for room and add the item; False if the channel is closed. A capacity below 1 is no bound."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not 0 < self._capacity <= len(self._items))
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()
            return not self._closed

    def get(self):
        """Wait for an item and take it; `_END` if the channel is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._items)
            if self._closed:
                return _END
            self._changed.notify_all()
            return self._items.popleft()

    def close(self):
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()


def _start(target, *args):
    threading.Thread(target=target, args=args, daemon=True, name=f"fluidlite-{target.__name__.strip('_')}").start()


def _read_samples(samples, channel, n_ends):
    """Put all samples, or the exception that ended them, and then `n_ends` ends into the channel."""
    try:
        for sample in samples:
            if not channel.put(sample):
                return
    except BaseException as error:  # whatever it is, the consumer would otherwise wait for ever
        channel.put(_Failure(error))
    finally:
        if hasattr(samples, "close"):
            samples.close()
    for _ in range(n_ends):
        channel.put(_END)


def buffered(reader, size):
    """The same samples, read ahead by a thread that keeps up to `size` of them.

    An exception in the reader is raised where its sample would have come. The thread ends with the reader, or when
    the consumer stops.

    >>> list(buffered(lambda: range(3), 2)())
    [0, 1, 2]
    """

    def buffered_reader():
        channel = _Channel(size)
        _start(_read_samples, iter(reader()), channel, 1)
        try:
            while (sample := channel.get()) is not _END:
                if isinstance(sample, _Failure):
                    raise sample.error
                yield sample
        finally:
            channel.close()

    return buffered_reader


class _Order:
    """Lets threads pass in the order of their numbers."""

    def __init__(self):
        self._next, self._changed = 0, threading.Condition()

    def put(self, number, result, results):
        with self._changed:
            self._changed.wait_for(lambda: self._next == number)
        # Nobody else passes before the number is counted up.
        kept = results.put(result)
        with self._changed:
            self._next += 1
            self._changed.notify_all()
        return kept


def _numbered(samples):
    """(number, sample) for each sample; an exception in the place of a sample is the last of them."""
    number = 0
    try:
        for sample in samples:
            yield number, sample
            number += 1
    except GeneratorExit:
        raise
    except BaseException as error:
        yield number, _Failure(error)


def _map_samples(mapper, samples, results, order):
    """Map what comes numbered from `samples` until it ends; an exception takes the place of its sample."""
    while (item := samples.get()) is not _END:
        number, result = item
        if not isinstance(result, _Failure):
            try:
                result = mapper(result)
            except BaseException as error:
                result = _Failure(error)
        if not (results.put(result) if order is None else order.put(number, result, results)):
            return
    results.put(_END)


def xmap_readers(mapper, reader, process_num, buffer_size, order=False):
    """``mapper(sample)`` of every sample, computed by threads.

    Args:
        mapper: a function of one sample. It runs in several threads at once.
        reader: yields samples; it runs in a thread of its own.
        process_num: number of mapping threads, at least 1.
        buffer_size: how many samples, and how many results, may wait.
        order: keep the order of the reader. Default False: results come as they are ready.

    An exception in reader or mapper is raised in the consumer. The threads end with the reader, or when the consumer
    stops.

    >>> list(xmap_readers(lambda x: x * x, lambda: range(5), 2, 4, order=True)())
    [0, 1, 4, 9, 16]
    """
    if process_num < 1:
        raise InvalidArgumentError(
            f"The process_num of xmap_readers() must be positive, but got process_num={process_num}.", where=here()
        )

    def mapped_reader():
        samples, results = _Channel(buffer_size), _Channel(buffer_size)
        turns = _Order() if order else None
        _start(_read_samples, _numbered(reader()), samples, process_num)
        for _ in range(process_num):
            _start(_map_samples, mapper, samples, results, turns)
        working = process_num
        try:
            while working:
                result = results.get()
                if result is _END:
                    working -= 1
                elif isinstance(result, _Failure):
                    raise result.error
                else:
                    yield result
        finally:
            samples.close()
            results.close()

    return mapped_reader


def multiprocess_reader(readers, use_pipe=True, queue_size=1000):
    """The samples of several readers, each read by a forked process of its own.

    Args:
        readers: a list or tuple of readers. None is no sample.
        use_pipe: one pipe for each process, and one sample from each in turn (default). False: one queue for all, and
            samples as they come.
        queue_size: how many samples may wait in the queue, default 1000.

    Raises:
        InvalidArgumentError, while reading: a process raised an exception; the text has its traceback.

    As in Fluid, tuples that went through a pipe are lists. The processes end when the consumer stops.

    Differs from Fluid: NumPy arrays pass through pipes, too, where Fluid, which sends JSON, refuses them.

    >>> list(multiprocess_reader([lambda: [(1, 2), (3, 4)]])())
    [[1, 2], [3, 4]]
    """
    if not isinstance(readers, list | tuple) or not readers:
        kind = InvalidArgumentError if isinstance(readers, list | tuple) else InvalidTypeError
        raise kind(
            "The readers of multiprocess_reader() must be a list of at least one reader.",
            actual=repr(readers),
            where=here(),
        )
    import multiprocessing  # here, since `import fluidlite` should be quick

    if "fork" not in multiprocessing.get_all_start_methods():
        raise UnavailableError("multiprocess_reader() needs processes that fork, which this system has not.")
    context = multiprocessing.get_context("fork")  # readers are closures, which no other way would pass on
    processes = Processes(context, tuple(readers), queue_size)
    return processes.read_pipes if use_pipe else processes.read_queue
