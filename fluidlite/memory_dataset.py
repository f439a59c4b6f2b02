"""InMemoryDataset: samples that are read once, shuffled, and mixed with those of other ranks."""

import contextlib
from operator import index

import numpy as np

from .dataset_base import DatasetBase, NotSupportedError, checked_batch, positive
from .distributed import current
from .errors import InvalidArgumentError, UnavailableError
from .prefetch import Prefetch
from .samples import Loader
from .shared_samples import exchange_samples

__all__ = ["InMemoryDataset"]


class InMemoryDataset(DatasetBase):
    """Reads its files into memory once, and can shuffle the samples before each epoch.

    Differs from Fluid: as QueueDataset does; and shuffles can be repeated (`set_shuffle_seed`).

    A sample takes 4 bytes for each float, 8 for each integer, and 8 more for each sequence. Without a shuffle, batches
    come in the order of the files, whatever `set_thread` says.
    """

    _data_feed = "MultiSlotInMemoryDataFeed"

    def __init__(self):
        super().__init__()
        self._samples = self._order = self._loading = None
        # Seeds of the exchanges with other ranks since the samples were loaded, and of those that are to be repeated.
        self._exchanges, self._repeats, self._n_loaded = [], [], 0
        self.set_shuffle_seed(0)

    def set_shuffle_seed(self, seed):
        """The seed of the shuffles to come, 0 at the start (fluidlite's own; Fluid's shuffles cannot be repeated).

        The same seed and the same sequence of shuffles give the same orders, in every process and on every machine:
        `numpy.random.Generator` (PCG64) draws one permutation per shuffle. A program's ``random_seed`` has no part
        in it.
        """
        try:
            self._generator = np.random.Generator(np.random.PCG64(index(seed)))
        except (TypeError, ValueError):
            raise InvalidArgumentError(
                "The shuffle seed is not usable.", expected="an int >= 0", actual=repr(seed)
            ) from None

    def state_dict(self):
        """As of QueueDataset, with the order of the samples and the state of the shuffles to come."""
        exchanges = [*self._exchanges, *self._repeats]
        state = {"samples": self._n_loaded, "generator": self._generator.bit_generator.state, "exchanges": exchanges}
        return super().state_dict() | state | {"order": self._order}

    def set_state_dict(self, state):
        """As of QueueDataset; the same files have been loaded before.

        Exchanges with other ranks are repeated at the beginning of the next epoch, which all ranks begin.
        """
        checked_batch(state)
        n, order, exchanges = self._n_loaded, state.get("order"), state.get("exchanges", [])
        order = None if order is None else np.asarray(order)
        known = exchanges[: len(self._exchanges)] == self._exchanges
        if not known or state.get("samples") != n or not (order is None or _is_order(order, None if exchanges else n)):
            raise InvalidArgumentError(
                "The saved state of an InMemoryDataset is that of other samples.",
                expected=f"the {n} samples that are in memory",
                actual=f"{state.get('samples')} samples",
                hint="set the same files and call load_into_memory() before the checkpoint is loaded.",
            )
        try:
            generator = np.random.Generator(np.random.PCG64(0))
            generator.bit_generator.state = state.get("generator")
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise InvalidArgumentError(f"The saved generator of an InMemoryDataset is not usable: {error}") from None
        super().set_state_dict(state)
        self._generator, self._order, self._repeats = generator, order, exchanges[len(self._exchanges) :]

    def load_into_memory(self):
        """Read all files. What was in memory before is replaced when everything has been read."""
        self._keep(next(iter(self._loader(self.thread_num))))

    def preload_into_memory(self, thread_num=None):
        """Read all files in the background; `wait_preload_done` waits for that, and takes the samples over."""
        n_threads = self.thread_num if thread_num is None else positive(thread_num, "number of threads")
        if self._loading is not None:
            raise UnavailableError("The dataset is being loaded already.", hint="call wait_preload_done() first.")
        loader = self._loader(n_threads)
        self._loading = loader, Prefetch(loader.__iter__, 1)

    def wait_preload_done(self):
        """Wait until `preload_into_memory` has read everything; raises what went wrong there."""
        if self._loading is None:
            raise UnavailableError("Nothing is being loaded.", hint="call preload_into_memory() first.")
        (loader, loading), self._loading = self._loading, None
        with contextlib.closing(loading), contextlib.closing(loader):
            self._keep(next(loading))

    def _loader(self, n_threads):
        slots = self._slots()
        self._check_files()
        return Loader(self.filelist, slots, self.pipe_command, n_threads)

    def _keep(self, samples):
        self._samples, self._order, self._given = samples, None, 0
        self._exchanges, self._repeats, self._n_loaded = [], [], len(samples)

    def release_memory(self):
        """Forget the samples."""
        self._samples = self._order = None
        self._exchanges, self._repeats, self._n_loaded = [], [], 0

    def local_shuffle(self):
        """Put the samples into a new random order; see `set_shuffle_seed`."""
        self._require_samples("shuffled")
        self._repeat_exchanges()
        self._order, self._given = self._generator.permutation(len(self._samples)), 0

    def global_shuffle(self, fleet=None, thread_num=12):
        """Mix the samples of all ranks: each sample goes to a rank that is drawn, and all have as many; then shuffle.

        All ranks call this at the same place. The seed is that of rank 0: with the same files on each rank, the orders
        are the same in every run. On one rank, or without `fleet`, this is `local_shuffle`.

        Args:
            fleet: any of `fluid.incubate.fleet`, after ``fleet.init()``.
            thread_num: accepted for Fluid's sake.
        """
        self._require_samples("shuffled")
        job = _job_of(fleet, "global_shuffle")
        if job is None:
            return self.local_shuffle()
        self._repeat_exchanges()
        seed = job.all_gather(int(self._generator.integers(1 << 62)))[0]
        self._exchange(job, seed)
        generator = np.random.Generator(np.random.PCG64([seed, job.size + job.rank]))
        self._order, self._given = generator.permutation(len(self._samples)), 0

    def _exchange(self, job, seed):
        self._samples = exchange_samples(job, self._samples, seed)
        self._exchanges.append(seed)

    def _repeat_exchanges(self):
        """Do what `set_state_dict` left to be done, together with the other ranks."""
        if not self._repeats:
            return
        job = current()
        if job is None or job.size == 1:
            raise UnavailableError("The saved state of the dataset is that of one of several ranks.")
        job.barrier()
        while self._repeats:
            self._exchange(job, self._repeats.pop(0))

    def get_memory_data_size(self, fleet=None):
        """The number of samples in memory: of this rank, or with `fleet` of all ranks, which all call this."""
        return _sum_over(fleet, 0 if self._samples is None else len(self._samples))

    def get_shuffle_data_size(self, fleet=None):
        """The number of samples that have been shuffled, all of them or none; with `fleet` of all ranks."""
        return _sum_over(fleet, 0 if self._order is None else len(self._samples))

    def set_queue_num(self, queue_num):
        """Accepted for Fluid's sake: there is one queue."""
        positive(queue_num, "number of queues")

    def set_fleet_send_batch_size(self, fleet_send_batch_size=1024):
        """Accepted for Fluid's sake: samples are sent in large pieces."""

    def set_fleet_send_sleep_seconds(self, fleet_send_sleep_seconds=0):
        """Accepted for Fluid's sake: ranks send in turn."""

    def _require_samples(self, what):
        if self._samples is None:
            raise UnavailableError(
                f"The dataset has no samples in memory that could be {what}.", hint="call load_into_memory() first."
            )

    def _parsed_batches(self, slots, thread):
        self._require_samples("used")
        self._repeat_exchanges()
        if slots != self._samples.slots:
            raise UnavailableError(
                "The dataset's variables have changed since the samples were loaded.",
                expected=", ".join(slot.name for slot in self._samples.slots),
                actual=", ".join(slot.name for slot in slots),
                hint="call load_into_memory() again.",
            )
        return self._samples.batches(self.batch_size, self._order)


def _job_of(fleet, call):
    """The job whose ranks are the workers of `fleet`; None if there is one alone."""
    workers, job = 1 if fleet is None else fleet.worker_num(), current()
    if workers == 1:
        return None
    if job is None or job.size != workers:
        raise NotSupportedError(
            f"{call} over {workers} workers is not possible.",
            expected="a fleet of fluid.incubate.fleet, in a job of that many ranks",
            actual=f"{type(fleet).__name__}, and {1 if job is None else job.size} ranks",
        )
    return job


def _sum_over(fleet, number):
    job = _job_of(fleet, "A sum")
    return number if job is None else sum(n for n in job.all_gather(number) if n is not None)


def _is_order(order, n):
    """Whether an array holds 0 to n - 1, or to any number, in some order."""
    n = order.size if n is None else n
    return order.shape == (n,) and np.array_equal(np.sort(order), np.arange(n))
