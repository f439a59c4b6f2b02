"""What all datasets have in common: files, variables, batches, and where an epoch is."""

import contextlib
import math
import os
from operator import index

from .distributed import current
from .dtypes import VarType, dtype_name
from .errors import InvalidArgumentError, InvalidTypeError, UnavailableError, format_site
from .multislot import Slot, check_files
from .variable import Variable

__all__ = ["DatasetBase", "NotSupportedError", "checked_batch", "positive"]


class NotSupportedError(UnavailableError, NotImplementedError):
    """This kind of dataset cannot do that."""


def positive(value, what):
    """A setting as an int >= 1; `what` names it."""
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
        self.filelist, self._files_set = [], False
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
        self.batch_size = positive(batch_size, "batch size")

    def set_thread(self, thread_num):
        """How many files are read at the same time, 1 if not set.

        With 1, batches come in the order of the files, and a batch goes on in the next file. With n, stream k reads
        the files k, k + n, ... in this way, and batches are taken from the streams in turn. So their order depends on
        n, but never on which file is read faster; training itself is one step after the other, unlike Fluid's, where
        n threads update the parameters at the same time.
        """
        self.thread_num = positive(thread_num, "number of threads")

    def set_filelist(self, filelist):
        """The paths of the files, in the order in which they are read.

        In a job of several ranks the list of a rank may be empty, as ``fleet.split_files`` may leave it.
        """
        if isinstance(filelist, str | bytes | os.PathLike):
            raise InvalidTypeError(
                "The filelist of a dataset is not a list.", expected="[path, ...]", actual=repr(filelist)
            )
        self.filelist, self._files_set = [os.fspath(path) for path in filelist], True

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
        self._skipped, self._given = checked_batch(state), 0

    def _slots(self):
        if not self.use_vars:
            raise UnavailableError("The dataset has no variables.", hint="call dataset.set_use_var([...]) first.")
        return [_slot(variable, self.batch_size) for variable in self.use_vars]

    def _check_files(self):
        job = current()
        if not self.filelist and (not self._files_set or job is None or job.size == 1):
            raise UnavailableError("The dataset has no files.", hint="call dataset.set_filelist([...]) first.")
        check_files(self.filelist)


def checked_batch(state):
    """The number of batches in a saved state."""
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
