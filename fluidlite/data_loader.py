"""DataLoader and PyReader: batches made ahead on a thread, for a loop that feeds them or a program that reads them."""

import contextlib
import itertools
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from .batch_sampler import BatchSampler, default_collate_fn
from .data_feeder import batch_source, sample_list_source, sample_source
from .errors import InvalidArgumentError, PreconditionNotMetError, here
from .framework import default_main_program
from .layers.io import append_reader, double_buffer
from .loader_epochs import Epochs, by_places, epoch_of
from .lod_tensor import LoDTensor
from .prefetch import Prefetch, skipping
from .unique_name import NameGenerator

# Readers of loaders have one sequence of names, whatever guards are in force, as in Fluid.
_names = NameGenerator()


def _count(places):
    """How many places are named."""
    if places is None:
        raise PreconditionNotMetError(
            "Places cannot be None when DataLoader is iterable.", hint="pass places=fluid.CPUPlace().", where=here()
        )
    if not isinstance(places, list | tuple):
        return 1
    if not places:
        raise InvalidArgumentError("The list of places is empty.", where=here())
    return len(places)


class GeneratorLoader(Epochs):
    """What ``DataLoader.from_generator`` returns; its arguments are described there."""

    def __init__(
        self,
        feed_list=None,
        capacity=None,
        use_double_buffer=True,
        iterable=True,
        return_list=False,
        drop_last=True,
    ):
        super().__init__()
        if not capacity:
            raise InvalidArgumentError("Please give value to capacity.", where=here())
        if not isinstance(capacity, int) or capacity < 1:
            raise InvalidArgumentError("The capacity of a loader is no number of batches.", actual=repr(capacity))
        if not feed_list:
            raise InvalidArgumentError("Feed list must be given under static mode.", where=here())
        self._feed_list, self._capacity = list(feed_list), capacity
        self._iterable, self._return_list, self._drop_last = bool(iterable), return_list, drop_last
        self._source, self._n_places, self._reader = None, 1, None
        if not self._iterable:
            self._reader = self._append_reader(use_double_buffer)

    def _append_reader(self, use_double_buffer):
        names = [_names(key) for key in ("lod_tensor_blocking_queue", "create_py_reader", "double_buffer")]
        block = default_main_program().current_block()
        reader = append_reader(block, self._feed_list, self._capacity, names)
        if use_double_buffer:
            reader = double_buffer(reader, name=names[2])
        block.append_op(
            "read", inputs={"Reader": reader}, outputs={"Out": self._feed_list}, attrs={"drop_last": self._drop_last}
        )
        return reader.holder

    @property
    def queue(self):
        """Of a loader that is not iterable: ``queue.size()`` of ``queue.capacity()`` batches are made ahead."""
        return self._reader

    @property
    def iterable(self):
        """Whether a loop over the loader takes the batches, not the program."""
        return self._iterable

    def set_sample_generator(self, reader, batch_size, drop_last=True, places=None):
        """Take samples from `reader`, `batch_size` for a batch. Returns the loader.

        Args:
            reader: function without arguments that returns an iterable of samples: tuples with one field for each
                variable, see `DataFeeder`.
            batch_size: samples of a batch.
            drop_last: leave out a last batch with fewer samples.
            places: a place or a list of places; must be given if the loader is iterable.
        """
        return self._set(sample_source(self._feed_list, reader, batch_size, drop_last), places)

    def set_sample_list_generator(self, reader, places=None):
        """Take lists of samples from `reader`, as `fluid.io.batch` makes them. Returns the loader."""
        return self._set(sample_list_source(self._feed_list, reader), places)

    def set_batch_generator(self, reader, places=None):
        """Take batches from `reader`: tuples of arrays or LoDTensors, one for each variable. Returns the loader."""
        return self._set(batch_source(self._feed_list, reader), places)

    def _set(self, source, places):
        if self._iterable:
            self._n_places = _count(places)
        else:
            self._reader.set_source(source)
        self._source = source
        return self

    def _epoch(self, skipped):
        if not self._iterable:
            raise PreconditionNotMetError("DataLoader is not iterable.", hint="use start() and reset().", where=here())
        if self._source is None:
            raise PreconditionNotMetError(
                "Data source of DataLoader has not set yet.", hint="call one of its set_... methods.", where=here()
            )
        variables = None if self._return_list else self._feed_list
        capacity = self._capacity // self._n_places
        return epoch_of(self._source, variables, self._n_places, self._drop_last, capacity, skipped)

    def state_dict(self):
        return self._reader.state_dict() if self._reader is not None else super().state_dict()

    def set_state_dict(self, state):
        (super() if self._reader is None else self._reader).set_state_dict(state)

    def start(self):
        """Begin an epoch of a loader that is not iterable."""
        self._not_iterable("start").start()

    def reset(self):
        """End the epoch of a loader that is not iterable, at its end or before."""
        self._not_iterable("reset").reset()

    def _not_iterable(self, method):
        if self._iterable:
            raise PreconditionNotMetError(f"{method}() cannot be called when DataLoader is iterable.", where=here())
        return self._reader


class PyReader(GeneratorLoader):
    """A loader of batches, as ``DataLoader.from_generator`` with other names for the methods that set its source.

    Args:
        feed_list, capacity, use_double_buffer, iterable, return_list: as of ``DataLoader.from_generator``.

    >>> import fluidlite as fluid
    >>> x = fluid.data('x', [None, 1], 'int64')
    >>> reader = PyReader([x], capacity=2)
    >>> reader.decorate_sample_generator(lambda: ((i,) for i in range(4)), batch_size=2, places=fluid.CPUPlace())
    >>> [np.asarray(feed['x']).tolist() for (feed,) in reader()]
    [[[0], [1]], [[2], [3]]]
    """

    def __init__(self, feed_list=None, capacity=None, use_double_buffer=True, iterable=True, return_list=False):
        super().__init__(feed_list, capacity, use_double_buffer, iterable, return_list)

    def decorate_sample_generator(self, sample_generator, batch_size, drop_last=True, places=None):
        """Take samples, `batch_size` for a batch; see `DataLoader`'s set_sample_generator."""
        self.set_sample_generator(sample_generator, batch_size, drop_last, places)

    def decorate_sample_list_generator(self, reader, places=None):
        """Take lists of samples; see `DataLoader`'s set_sample_list_generator."""
        self.set_sample_list_generator(reader, places)

    def decorate_batch_generator(self, reader, places=None):
        """Take tuples of arrays or LoDTensors; see `DataLoader`'s set_batch_generator."""
        self.set_batch_generator(reader, places)


class DatasetLoader(Epochs):
    """What ``DataLoader.from_dataset`` returns.

    A dataset is here whatever has a ``batch_size`` and ``_counted_batches()``, a generator of (number of samples, feed
    dict).
    """

    def __init__(self, dataset, places, drop_last=True):
        super().__init__()
        if not hasattr(dataset, "_counted_batches"):
            raise PreconditionNotMetError(
                "dataset must be type of DatasetBase.",
                expected="what fluid.DatasetFactory().create_dataset() returns",
                actual=type(dataset).__name__,
                where=here(),
            )
        self._dataset, self._n_places, self._drop_last = dataset, _count(places), drop_last

    def state_dict(self):
        # The thread is some batches ahead: the dataset's own position is not that of the loop.
        return super().state_dict() | {"dataset": self._dataset.state_dict() | {"batch": 0}}

    def set_state_dict(self, state):
        self._position.check(state, "the DatasetLoader")
        self._dataset.set_state_dict(state.get("dataset"))
        super().set_state_dict(state)

    def _epoch(self, skipped):
        dataset, n_places, drop_last = self._dataset, self._n_places, self._drop_last

        def items():
            with contextlib.closing(dataset._counted_batches()) as counted:
                feeds = (
                    {name: _tensor(value) for name, value in feed.items()}
                    for n_samples, feed in counted
                    if n_samples == dataset.batch_size or not drop_last
                )
                yield from by_places(feeds, n_places, drop_last)

        return Prefetch(skipping(items, skipped), 2, skipped)


def _tensor(value):
    return value if isinstance(value, LoDTensor) else LoDTensor(np.asarray(value))


class DataLoader(Epochs):
    """Batches of a dataset whose samples have numbers (see `Dataset`), for a loop that feeds them.

    Args:
        dataset: has ``__getitem__`` and ``__len__``.
        feed_list: the Variables to which the fields of a sample belong; needed unless `return_list`.
        places: a place or a list of places.
        return_list: yield lists of LoDTensors instead of feed dicts, for each place.
        batch_sampler: a `BatchSampler`, or another iterable of lists of numbers, instead of the next three.
        batch_size, shuffle, drop_last: see `BatchSampler`.
        collate_fn: makes a tuple of arrays of a list of samples; `default_collate_fn` if None.
        num_workers: 0 reads samples on one background thread, more on as many threads (not processes), which helps
            where reading leaves Python's lock (files, NumPy). The order of batches is the same.
        timeout: seconds to wait for one batch of the workers; 0 waits as long as it takes.
        worker_init_fn: called with the number of each worker on its thread.
        use_buffer_reader, use_shared_memory: accepted for Fluid's sake.

    Yields lists with one entry for each place. Generators are read by ``DataLoader.from_generator``.

    >>> import fluidlite as fluid
    >>> x = fluid.data('x', [None, 2])
    >>> loader = DataLoader([(np.full(2, i),) for i in range(3)], [x], fluid.CPUPlace(), batch_size=2)
    >>> [np.asarray(feed['x']).tolist() for (feed,) in loader]
    [[[0.0, 0.0], [1.0, 1.0]], [[2.0, 2.0]]]
    """

    def __init__(
        self,
        dataset,
        feed_list=None,
        places=None,
        return_list=False,
        batch_sampler=None,
        batch_size=1,
        shuffle=False,
        drop_last=False,
        collate_fn=None,
        num_workers=0,
        use_buffer_reader=True,
        use_shared_memory=True,
        timeout=0,
        worker_init_fn=None,
    ):
        super().__init__()
        if not return_list and feed_list is None:
            raise PreconditionNotMetError("feed_list should be set when return_list=False", where=here())
        for name, value in (("num_workers", num_workers), ("timeout", timeout)):
            if value < 0:
                raise PreconditionNotMetError(f"{name} should be a non-negative value", where=here())
        if batch_sampler is None:
            batch_sampler = BatchSampler(dataset, None, shuffle, batch_size, drop_last)
        elif batch_size != 1 or shuffle or drop_last:
            raise PreconditionNotMetError(
                "batch_size/shuffle/drop_last should not be set when batch_sampler is given", where=here()
            )
        self.dataset, self.feed_list, self.batch_sampler = dataset, feed_list, batch_sampler
        self.return_list, self.collate_fn = return_list, collate_fn or default_collate_fn
        self.num_workers, self.timeout, self.worker_init_fn = num_workers, timeout, worker_init_fn
        self._n_places = _count(places)

    def __len__(self):
        """The number of batches."""
        return len(self.batch_sampler)

    def state_dict(self):
        sampler = self._order if self._position.is_going_on() else self._sampler_state()
        return super().state_dict() | {"sampler": sampler}

    def _sampler_state(self):
        return self.batch_sampler.state_dict() if hasattr(self.batch_sampler, "state_dict") else {}

    def set_state_dict(self, state):
        self._position.check(state, "the DataLoader")
        if hasattr(self.batch_sampler, "set_state_dict"):
            self.batch_sampler.set_state_dict(state.get("sampler", {}))
        super().set_state_dict(state)

    def _epoch(self, skipped):
        self._order = self._sampler_state()
        # Samples that were used are not read again.
        numbers = itertools.islice(self.batch_sampler, skipped * self._n_places, None)
        make = partial(_collated, self.dataset, self.collate_fn)
        if self.num_workers:
            batches = partial(_in_order, make, numbers, self.num_workers, self.timeout, self.worker_init_fn)
        else:
            batches = partial(map, make, numbers)
        return _prefetch(batches, self.feed_list, self.return_list, self._n_places, skipped)

    @staticmethod
    def from_generator(
        feed_list=None,
        capacity=None,
        use_double_buffer=True,
        iterable=True,
        return_list=False,
        use_multiprocess=False,
        drop_last=True,
    ):
        """A loader of what a generator yields; set it with one of ``set_sample_generator(reader, batch_size, ...)``,
        ``set_sample_list_generator(reader, places)``, ``set_batch_generator(reader, places)``.

        Args:
            feed_list: Variables, one for each field of a sample.
            capacity: batches that a background thread makes ahead of those taken.
            iterable: True: a loop over the loader takes the batches and feeds them; every loop is an epoch. False: the
                program reads them itself, with ops that are appended here, so layers that use the variables come later.
                An epoch is then ``start()``, runs until one raises ``fluid.core.EOFException``, ``reset()``.
            return_list: of an iterable loader, yield lists of LoDTensors instead of feed dicts, for each place.
            drop_last: with several places, leave out the last batches if there is not one for each place.
            use_double_buffer, use_multiprocess: accepted for Fluid's sake: one thread makes the batches ahead.

        An iterable loader yields lists with one entry for each place, which ``Executor.run(feed=...)`` takes. Batches
        come in the order of the generator. What it raises is raised where its batch would have been taken. The thread
        ends with the epoch, and when the loop is left early.

        >>> import fluidlite as fluid
        >>> x = fluid.data('x', [None, 1], 'int64')
        >>> loader = DataLoader.from_generator([x], capacity=4)
        >>> loader = loader.set_sample_generator(lambda: ((i,) for i in range(5)), 2, places=fluid.CPUPlace())
        >>> [fluid.Executor().run(feed=feed, fetch_list=[x])[0].tolist() for feed in loader]
        [[[0], [1]], [[2], [3]]]
        """
        return GeneratorLoader(feed_list, capacity, use_double_buffer, iterable, return_list, drop_last)

    @staticmethod
    def from_dataset(dataset, places, drop_last=True):
        """A loader of the batches of a Dataset of files, for loops instead of ``Executor.train_from_dataset``.

        Args:
            dataset: from ``fluid.DatasetFactory().create_dataset()``.
            places: a place or a list of places.
            drop_last: leave out a last batch that is shorter than the others, and the last batches if there is not one
                for each place.
        """
        return DatasetLoader(dataset, places, drop_last)


def _collated(dataset, collate, numbers):
    return collate([dataset[i] for i in numbers])


def _in_order(make, numbers, n_workers, timeout, init):
    """``make(n)`` of all numbers, in their order, on several threads that are a few of them ahead."""
    counter, pending = itertools.count(), deque()
    workers = ThreadPoolExecutor(n_workers, "fluidlite loader", (lambda: init(next(counter))) if init else None)
    try:
        for n in numbers:
            pending.append(workers.submit(make, n))
            if len(pending) > 2 * n_workers:
                yield pending.popleft().result(timeout or None)
        while pending:
            yield pending.popleft().result(timeout or None)
    finally:
        workers.shutdown(wait=False, cancel_futures=True)


def _prefetch(batches, variables, as_list, n_places, taken):
    def tensors():
        if variables is not None:
            return batch_source(variables, batches)()
        return ([_tensor(np.array(value)) for value in batch] for batch in batches())

    return epoch_of(tensors, None if as_list else variables, n_places, True, 2, taken, left_out=taken)
