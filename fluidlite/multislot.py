"""Files of MultiSlot text as batches of arrays: reading, pipe commands, threads that read ahead.

Everything here knows slots; programs and variables are the business of `dataset`.
"""

import collections
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
from typing import NamedTuple

from ._kernels.multislot import MultiSlotError, MultiSlotParser
from .errors import InvalidArgumentError, NotFoundError, UnavailableError
from .lod_tensor import LoDTensor
from .prefetch import Prefetch

_CHUNK = 1 << 20  # bytes read at once, and what a pipe may hold where the system allows it
AHEAD = 4  # chunks that are parsed before anybody asks for them
_TAIL = 12  # last lines that a pipe command said, in the message of its failure
_PATIENCE = 2.0  # seconds for a process to end when it is asked to


class Slot(NamedTuple):
    """One slot of a line.

    width: the number of values in every line; 0 for a sequence, which has any number but zero and brings a LoD.
    shape: the shape of a batch, its first dimension -1.
    """

    name: str
    is_float: bool
    width: int
    shape: tuple

    def value(self, values, offsets):
        """What is fed: an array for a dense slot, a LoDTensor for a sequence, which takes `offsets` over."""
        array = values.reshape(self.shape)
        if self.width:
            return array
        tensor = LoDTensor(array)
        if offsets.flags.writeable:
            offsets.flags.writeable = False
        tensor.lod_offsets = (offsets,)
        return tensor


def check_files(paths):
    """Refuse a list with a file that is not there or empty, before the first line of any file has been used."""
    for path in paths:
        if path.startswith(("hdfs:", "afs:")):
            raise UnavailableError(
                f"The dataset cannot read {path!r}: only local files are read.",
                hint="mount or download it, or give a local list to a pipe command that fetches the data.",
            )
        if not os.path.exists(path):
            raise NotFoundError(f"The dataset's file {path!r} does not exist.", where=os.path.abspath(path))
        if os.path.isdir(path):
            raise InvalidArgumentError(f"The dataset's file {path!r} is a directory.", expected="a file")
        if os.path.isfile(path) and not os.path.getsize(path):  # pipes and devices have no size
            raise InvalidArgumentError(
                f"The dataset's file {path!r} is empty.",
                expected="at least one line",
                actual="0 bytes",
                where=f'File "{path}", line 1',
                hint="make it anew, or leave it out of set_filelist.",
            )


class _Input:
    """An open file, or what a pipe command makes of it."""

    def __init__(self, path, command):
        self.path, self.command = path, command.strip()
        self.process, self.tail = None, collections.deque(maxlen=_TAIL)
        file = open(path, "rb", buffering=0)
        if self.command == "cat":
            self.stream = file
            return
        with file:
            # A group of its own: Ctrl-C is for the training program, which then ends the whole pipeline.
            self.process = subprocess.Popen(
                self.command,
                shell=True,
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        self.stream = self.process.stdout
        with contextlib.suppress(AttributeError, OSError):  # not this system, or no more for this user
            fcntl.fcntl(self.stream, fcntl.F_SETPIPE_SZ, _CHUNK)
        self.listener = threading.Thread(target=self._listen, name="fluidlite pipe command's stderr", daemon=True)
        self.listener.start()

    def _listen(self):
        """What the command says goes on to our own stderr, and its end is kept for the message of a failure."""
        with self.process.stderr as stream:
            for line in iter(stream.readline, b""):
                text = line.decode(errors="replace")
                self.tail.append(text)
                with contextlib.suppress(ValueError, OSError, AttributeError):  # no stderr, or a closed one
                    sys.stderr.write(text)

    def finish(self):
        """Wait for the command, whose output has ended, and refuse one that failed."""
        if self.process is None:
            return
        code = self.process.wait()
        self.listener.join(_PATIENCE)
        if code == 0:
            return
        ended = f"exit code {code}" if code > 0 else f"signal {signal.Signals(-code).name}"
        said = "".join(self.tail).strip()
        raise UnavailableError(
            f"The pipe command {self.command!r} failed on {self.path!r}.",
            expected="exit code 0",
            actual=ended + (f", after it said:\n{said}" if said else " without a word"),
            hint=f"try it by itself: {self.command} < {self.path} | head",
        )

    def stop(self):
        """End the command if it runs, from any thread; a read that waits for it then comes to its end."""
        process = self.process
        if process is None or process.poll() is not None:
            return
        for how in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
                return

    def close(self):
        self.stop()
        self.stream.close()
        if self.process is not None:
            self.listener.join(_PATIENCE)


class Reader:
    """Batches of the lines of some files, one file after the other; a batch goes on in the next file.

    Args:
        paths: the files. slots: the Slots of each line, in order.
        batch_size: lines in a batch; the last one may have fewer.
        command: a shell command that gets a file as stdin and writes MultiSlot text; 'cat' reads the file itself.
    """

    def __init__(self, paths, slots, batch_size, command="cat"):
        self.paths, self.slots, self.batch_size, self.command = paths, slots, batch_size, command
        self._parser = MultiSlotParser([(slot.is_float, slot.width) for slot in slots])
        self._lock, self._input, self._closed = threading.Lock(), None, False

    def __iter__(self):
        """Lists of batches ``(lines, [(values, offsets) of each slot])``, as many as one read brought in."""
        for path in self.paths:
            source = None if self._closed else self._open(path)
            if source is None:
                return
            try:
                yield from self._read(source)
            finally:
                source.close()
        if self._parser.n_lines and not self._closed:
            yield [self._take()]

    def close(self):
        """End it, from any thread: the pipe command is stopped and the iteration ends."""
        with self._lock:
            self._closed = True
            if self._input is not None:
                self._input.stop()

    def _open(self, path):
        try:
            source = _Input(path, self.command)
        except OSError as error:
            raise UnavailableError(f"The dataset's file {path!r} cannot be read: {error.strerror or error}.") from error
        with self._lock:
            if not self._closed:
                self._input = source
                return source
        source.close()
        return None

    def _read(self, source):
        buffer, end, n_lines = bytearray(_CHUNK), 0, 0
        while not self._closed:
            if end == len(buffer):  # a line longer than everything before
                buffer.extend(bytes(len(buffer)))
            with memoryview(buffer) as view, view[end:] as room:
                try:
                    n_read = source.stream.readinto(room)
                except OSError as error:
                    raise UnavailableError(
                        f"Reading the dataset's file {source.path!r} failed: {error.strerror or error}."
                    ) from error
            if not n_read:
                break
            begin, n_lines = yield from self._parse(source, buffer, end + n_read, n_lines)
            rest = end + n_read - begin
            if begin:
                buffer[:rest] = buffer[begin : end + n_read]
            end = rest
        if self._closed:
            return
        source.finish()
        if end:
            yield from self._parse(source, buffer[:end] + b"\n", end + 1, n_lines)

    def _parse(self, source, buffer, end, n_lines):
        """Parse the whole lines of buffer[:end]; returns where the rest begins and the lines of the file so far."""
        parser, begin, failure = self._parser, 0, None
        before = parser.n_lines
        try:
            # All at once, since between two calls this thread may wait long for the GIL.
            begin = parser.parse(buffer, 0, end, end)
        except MultiSlotError as error:
            failure = self._failure(error, source, n_lines)
        n_lines += parser.n_lines - before
        # The batches before the bad line are good, however many of them came with the same read.
        batches = parser.take_batches(self.batch_size)
        if batches:
            yield [(self.batch_size, arrays) for arrays in batches]
        if failure is not None:
            raise failure
        return begin, n_lines

    def _take(self):
        n_lines = self._parser.n_lines
        return n_lines, self._parser.take()

    def _failure(self, error, source, n_lines):
        line = n_lines + error.line + 1
        where = f"line {line} of {source.path!r}"
        if source.process is not None:
            where = f"line {line} of what {source.command!r} made of {source.path!r}"
        if error.slot is None:
            summary = f"A sample {error}, {self.slots[-1].name!r}: {where}."
        else:
            summary = f"Slot {self.slots[error.slot].name!r} {error}: {where}."
        return InvalidArgumentError(
            summary,
            expected=error.expected,
            actual=error.actual,
            where=f'File "{source.path}", line {line}' if source.process is None else None,
            hint=f"a line is `count v1 ... vn` for each of {', '.join(s.name for s in self.slots)}, in this order.",
        )


def read_batches(paths, slots, batch_size, command="cat", n_streams=1):
    """Batches ``(lines, [(values, offsets) of each slot])`` of all files, read ahead by threads.

    Stream k of `n_streams` reads the files k, k + n_streams, ...; batches are taken from the streams in turn, one from
    each that has not ended. A batch never mixes streams.
    """
    n_streams = min(n_streams, len(paths))
    readers = [Reader(paths[k::n_streams], slots, batch_size, command) for k in range(n_streams)]
    streams = [Prefetch(reader.__iter__, AHEAD) for reader in readers]
    try:
        waiting = collections.deque(_each(stream) for stream in streams)
        while waiting:
            batches = waiting.popleft()
            for batch in batches:
                yield batch
                waiting.append(batches)
                break
    finally:
        for reader in readers:  # all of them first, because closing a stream waits for its thread
            reader.close()
        for stream in streams:
            stream.close()


def _each(groups):
    for group in groups:
        yield from group
