"""Dataset: training data in files of MultiSlot text, for `Executor.train_from_dataset`.

A line is one sample: for every variable of `set_use_var`, in order, ``count v1 ... vn``. A pipe command may make such
lines from whatever the files hold (see `fluidlite.incubate.data_generator`).
"""

import contextlib
import math
import os
from operator import index

import numpy as np

from .dtypes import VarType, dtype_name
from .errors import InvalidArgumentError, InvalidTypeError, UnavailableError, format_site
from .multislot import Slot, check_files, read_batches
from .prefetch import Prefetch
from .samples import Loader
from .variable import Variable

__all__ = ["DatasetFactory", "InMemoryDataset", "QueueDataset"]


class NotSupportedError(UnavailableError, NotImplementedError):
    """This kind of dataset cannot do that."""


class DatasetFactory:
    """Makes datasets by the name of their class.

    >>> DatasetFactory().create_dataset('InMemoryDataset').get_memory_data_size()
    0
    """

    def create_dataset(self, datafeed_class="QueueDataset"):
        """A new dataset.

        Args:
            datafeed_class: 'QueueDataset' (default), which streams its files, or 'InMemoryDataset', which can shuffle.

        Raises:
            InvalidArgumentError: any other name.
        """
        kinds = {"QueueDataset": QueueDataset, "InMemoryDataset": InMemoryDataset}
        if not isinstance(datafeed_class, str) or datafeed_class not in kinds:
            raise InvalidArgumentError(
                f"datafeed class {datafeed_class} does not exist", expected=" or ".join(map(repr, kinds))
            )
        return kinds[datafeed_class]()


def _positive(value, what):
    try:
        number = index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise InvalidArgumentError(
            f"The {what} of a dataset is not usable.", expected="an int >= 1", actual=repr(value)
        )
    return number


class DatasetBase:
    """What all datasets have in common: which files, which variables, how many lines in a batch."""

    _data_feed = "MultiSlotDataFeed"

    def __init__(self):
        self.pipe_command = "cat"
        self.batch_size = 32
        self.thread_num = 1
        self.filelist = []
        self.use_vars = []
        self._fs_config = None
        # Batches given in this epoch, and those that the next one is to pass over.
        self._given = self._skipped = 0

    def set_pipe_command(self, pipe_command):
        """A shell command that gets each file as stdin and writes MultiSlot text to stdout.

        The default, 'cat', reads the files without any process. A command that ends with another exit code than 0
        stops the training. What it writes to stderr appears there.
        """
        if not isinstance(pipe_command, str) or not pipe_command.strip():
            raise InvalidTypeError("The pipe command is not a command.", expected="str", actual=repr(pipe_command))
        self.pipe_command = pipe_command

    def set_batch_size(self, batch_size):
        """Lines in a batch, 32 if not set. The last batch may have fewer; it is used as well."""
        self.batch_size = _positive(batch_size, "batch size")

    def set_thread(self, thread_num):
        """How many files are read at the same time, 1 if not set.

        With 1, batches come in the order of the files, and a batch goes on in the next file. With n, stream k reads
        the files k, k + n, ... in this way, and batches are taken from the streams in turn. So their order depends on
        n, but never on which file is read faster; training itself is one step after the other, unlike Fluid's, where
        n threads update the parameters at the same time.
        """
        self.thread_num = _positive(thread_num, "number of threads")

    def set_filelist(self, filelist):
        """The paths of the files, in the order in which they are read."""
        if isinstance(filelist, str | bytes | os.PathLike):
            raise InvalidTypeError(
                "The filelist of a dataset is not a list.", expected="[path, ...]", actual=repr(filelist)
            )
        self.filelist = [os.fspath(path) for path in filelist]

    def set_use_var(self, var_list):
        """The variables that the slots of a line are fed to, in the order of the slots.

        A variable with lod_level 0 is a dense slot: each line has as many values as one row of its shape. One with
        lod_level > 0 is a sequence: any number of values but zero, which become a LoDTensor of shape (sum, 1) with one
        level of offsets. dtype: float32 or int64; unsigned numbers from 2**63 on keep their 64 bits.
        """
        slots = [_slot(variable) for variable in var_list]
        names = [slot.name for slot in slots]
        if len(set(names)) != len(names):
            raise InvalidArgumentError("A variable fills two slots of the dataset.", actual=", ".join(names))
        self.use_vars = list(var_list)

    def set_hdfs_config(self, fs_name, fs_ugi):
        """Kept for Fluid's sake; files on HDFS are refused when they are opened."""
        self._fs_config = (fs_name, fs_ugi)

    def desc(self):
        """The settings as Fluid's DataFeedDesc, in protobuf's text format."""
        lines = [f'name: "{self._data_feed}"', f"batch_size: {self.batch_size}"]
        if self.use_vars:
            lines.append("multi_slot_desc {")
            for variable in self.use_vars:
                kind = "uint64" if variable.dtype == VarType.INT64 else "float"
                lines += ["  slots {", f'    name: "{variable.name}"', f'    type: "{kind}"']
                lines += [] if variable.lod_level else ["    is_dense: true"]
                lines += ["    is_used: true"]
                lines += [] if variable.lod_level else [f"    shape: {d}" for d in variable.shape]
                lines += ["  }"]
            lines.append("}")
        command = self.pipe_command.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return "\n".join([*lines, f'pipe_command: "{command}"', ""])

    def batches(self, thread=0):
        """An iterator over feed dicts, ``{name: array or LoDTensor}``: what `train_from_dataset` feeds, batch by batch.

        Args:
            thread: instead of `set_thread`, if it is more than 0.

        Raises:
            NotFoundError: a file is missing (before the first batch).
            InvalidArgumentError: a line is no sample; the message names file, line and slot.
            UnavailableError: nothing was set to be read, or the pipe command failed.
        """
        with contextlib.closing(self._counted_batches(thread)) as counted:
            for _, feed in counted:
                yield feed

    def _counted_batches(self, thread=0):
        """(number of samples, feed dict) of each batch."""
        slots = self._slots()
        skipped, self._skipped, self._given = self._skipped, 0, 0
        with contextlib.closing(self._parsed_batches(slots, thread if thread > 0 else self.thread_num)) as parsed:
            for n_lines, arrays in parsed:
                self._given += 1
                if self._given > skipped:
                    yield n_lines, {s.name: s.value(*a) for s, a in zip(slots, arrays, strict=True)}
        self._given = 0

    def state_dict(self):
        """How many batches the epoch that is going on, or was broken off, has given: for `fluid.io.save_checkpoint`.

        A `FetchHandler` may save checkpoints within ``Executor.train_from_dataset``.
        """
        return {"batch": max(self._given, self._skipped)}

    def set_state_dict(self, state):
        """Let the next epoch begin where another dataset with these files and settings was."""
        self._skipped, self._given = _checked_batch(state), 0

    def _slots(self):
        if not self.use_vars:
            raise UnavailableError("The dataset has no variables.", hint="call dataset.set_use_var([...]) first.")
        return [_slot(variable, self.batch_size) for variable in self.use_vars]

    def _check_files(self):
        if not self.filelist:
            raise UnavailableError("The dataset has no files.", hint="call dataset.set_filelist([...]) first.")
        check_files(self.filelist)


def _checked_batch(state):
    batch = state.get("batch") if isinstance(state, dict) else None
    if not isinstance(batch, int) or batch < 0:
        raise InvalidArgumentError(
            "The saved state of a dataset is not usable.",
            expected="a dict with the number 'batch'",
            actual=repr(state)[:200],
            hint="readers are given to load_checkpoint in the order in which save_checkpoint got them.",
        )
    return batch


def _slot(variable, batch_size=None):
    if not isinstance(variable, Variable):
        raise InvalidTypeError(
            "A dataset feeds Variables.",
            expected="[Variable, ...]",
            actual=f"an item of type {type(variable).__name__}",
        )

    def refuse(summary, expected, hint=None, error=InvalidArgumentError):
        actual = f"shape {variable.shape}, {dtype_name(variable.dtype)}, lod_level {variable.lod_level}"
        raise error(summary, expected=expected, actual=actual, where=format_site(variable.site), hint=hint)

    if variable.dtype not in (VarType.FP32, VarType.INT64):
        refuse(
            f"Variable {variable.name!r} cannot be a slot. "
            "Currently, fluid.dataset only supports dtype=float32 and dtype=int64",
            "float32 or int64",
        )
    is_float, (first, *dims) = variable.dtype == VarType.FP32, variable.shape or (-1,)
    row = math.prod(dims)
    if variable.lod_level:
        if abs(row) != 1:
            refuse(f"Sequence {variable.name!r} cannot be a slot: a step has one value.", "shape [-1, 1]")
        return Slot(variable.name, is_float, 0, (-1, *map(abs, dims)))
    if -1 in dims or row < 1 or first == 0:
        refuse(
            f"Dense slot {variable.name!r} has no fixed number of values in a line.",
            "a shape with known dimensions behind the first",
            hint="a slot with any number of values is a variable with lod_level=1.",
        )
    if first == -1:
        return Slot(variable.name, is_float, row, (-1, *dims))
    if batch_size is None:  # it may still be set
        batch_size = 1
    if first * row % batch_size:
        refuse(f"Dense slot {variable.name!r} cannot be filled evenly by {batch_size} lines.", "first dimension -1")
    return Slot(variable.name, is_float, first * row // batch_size, (-1, *dims))


class QueueDataset(DatasetBase):
    """Streams its files while the training runs; nothing is kept.

    Differs from Fluid: a line that is no sample is an error that names file, line and slot, where Fluid ends the
    process or, for a wrong number of dense values, reads on; dense slots have no LoD; threads only read.

    >>> import fluidlite as fluid
    >>> ids = fluid.data('ids', [None, 1], 'int64', lod_level=1)
    >>> label = fluid.data('label', [None, 1], 'float32')
    >>> dataset = fluid.DatasetFactory().create_dataset('QueueDataset')
    >>> dataset.set_use_var([ids, label]); dataset.set_batch_size(2); dataset.set_filelist(['day1.txt'])
    """

    def _parsed_batches(self, slots, thread):
        self._check_files()
        return read_batches(self.filelist, slots, self.batch_size, self.pipe_command, thread)

    def local_shuffle(self):
        """Not possible: the samples are not in memory."""
        self._refuse_shuffle("local")

    def global_shuffle(self, fleet=None):
        """Not possible: the samples are not in memory."""
        self._refuse_shuffle("global")

    def _refuse_shuffle(self, which):
        raise NotSupportedError(
            f"QueueDataset does not support {which} shuffle, please use InMemoryDataset for {which}_shuffle",
            hint="fluid.DatasetFactory().create_dataset('InMemoryDataset')",
        )


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
        state = {"samples": self.get_memory_data_size(), "generator": self._generator.bit_generator.state}
        return super().state_dict() | state | {"order": self._order}

    def set_state_dict(self, state):
        """As of QueueDataset; the same files have been loaded before."""
        _checked_batch(state)
        n, order = self.get_memory_data_size(), state.get("order")
        order = None if order is None else np.asarray(order)
        if state.get("samples") != n or not (
            order is None or (order.shape == (n,) and np.array_equal(np.sort(order), np.arange(n)))
        ):
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
        self._generator, self._order = generator, order

    def load_into_memory(self):
        """Read all files. What was in memory before is replaced when everything has been read."""
        self._keep(next(iter(self._loader(self.thread_num))))

    def preload_into_memory(self, thread_num=None):
        """Read all files in the background; `wait_preload_done` waits for that, and takes the samples over."""
        n_threads = self.thread_num if thread_num is None else _positive(thread_num, "number of threads")
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

    def release_memory(self):
        """Forget the samples."""
        self._samples = self._order = None

    def local_shuffle(self):
        """Put the samples into a new random order; see `set_shuffle_seed`."""
        self._require_samples("shuffled")
        self._order, self._given = self._generator.permutation(len(self._samples)), 0

    def global_shuffle(self, fleet=None, thread_num=12):
        """Shuffle the samples of all workers, of which there is one: the same as `local_shuffle`."""
        workers = 1 if fleet is None else fleet.worker_num()
        if workers > 1:
            raise NotSupportedError(
                f"global_shuffle over {workers} workers is not supported.",
                hint="give each worker files of its own and use local_shuffle().",
            )
        self.local_shuffle()

    def get_memory_data_size(self, fleet=None):
        """The number of samples in memory."""
        return 0 if self._samples is None else len(self._samples)

    def get_shuffle_data_size(self, fleet=None):
        """The number of samples that have been shuffled: all of them or none."""
        return 0 if self._order is None else len(self._samples)

    def set_queue_num(self, queue_num):
        """Accepted for Fluid's sake: there is one queue."""
        _positive(queue_num, "number of queues")

    def set_fleet_send_batch_size(self, fleet_send_batch_size=1024):
        """Accepted for Fluid's sake: no samples are sent."""

    def set_fleet_send_sleep_seconds(self, fleet_send_sleep_seconds=0):
        """Accepted for Fluid's sake: no samples are sent."""

    def _require_samples(self, what):
        if self._samples is None:
            raise UnavailableError(
                f"The dataset has no samples in memory that could be {what}.", hint="call load_into_memory() first."
            )

    def _parsed_batches(self, slots, thread):
        self._require_samples("used")
        if slots != self._samples.slots:
            raise UnavailableError(
                "The dataset's variables have changed since the samples were loaded.",
                expected=", ".join(slot.name for slot in self._samples.slots),
                actual=", ".join(slot.name for slot in slots),
                hint="call load_into_memory() again.",
            )
        return self._samples.batches(self.batch_size, self._order)
