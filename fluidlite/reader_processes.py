"""The processes behind `fluid.io.multiprocess_reader`."""

import traceback
import warnings
from queue import Empty

from .errors import InvalidArgumentError

__all__ = ["Processes"]


def _send_samples(reader, send):
    """In a process of its own: send ("sample", sample) for each, then ("end", None) or ("error", text)."""
    try:
        for sample in reader():
            if sample is None:
                raise ValueError("a reader of multiprocess_reader() yielded None")
            send(("sample", sample))
        send(("end", None))
    except BaseException:
        send(("error", traceback.format_exc()))
        raise SystemExit(1) from None


def _as_lists(sample):
    return [_as_lists(one) for one in sample] if isinstance(sample, tuple | list) else sample


class Processes:
    """Forked processes, one for each of `readers`, and the two ways in which their samples come."""

    def __init__(self, context, readers, queue_size):
        self.context, self.readers, self.queue_size = context, readers, queue_size

    def _start(self, reader, send):
        process = self.context.Process(target=_send_samples, args=(reader, send), daemon=True)
        with warnings.catch_warnings():
            # Python warns of any fork beside threads. Those of kernels and of BLAS are made for it; readers take no
            # lock that another thread could hold.
            warnings.filterwarnings("ignore", message=".*multi-threaded", category=DeprecationWarning)
            process.start()
        return process

    def read_queue(self):
        queue, processes = self.context.Queue(self.queue_size), []
        try:
            processes += [self._start(reader, queue.put) for reader in self.readers]
            working = len(processes)
            while working:
                kind, sample = _take(queue, processes)
                if kind == "sample":
                    yield sample
                working -= kind == "end"
                _check(kind, sample)
        finally:
            queue.close()
            _end(processes)

    def read_pipes(self):
        pipes, processes = [], []
        try:
            for reader in self.readers:
                receiver, sender = self.context.Pipe(duplex=False)
                pipes.append(receiver)
                processes.append(self._start(reader, sender.send))
                sender.close()
            while pipes:
                for pipe in list(pipes):
                    kind, sample = _receive(pipe)
                    if kind == "sample":
                        yield _as_lists(sample)
                    elif kind == "end":
                        pipe.close()
                        pipes.remove(pipe)
                    _check(kind, sample)
        finally:
            for pipe in pipes:
                pipe.close()
            _end(processes)


_KILLED = "error", "it ended without a word, as a process does that is killed"


def _take(queue, processes):
    """The next message; the end of a killed process is an error."""
    while True:
        try:
            return queue.get(timeout=1)
        except Empty:
            if any(process.exitcode for process in processes):
                return _KILLED


def _receive(pipe):
    try:
        return pipe.recv()
    except EOFError:
        return _KILLED


def _check(kind, text):
    if kind == "error":
        raise InvalidArgumentError(f"A reader of multiprocess_reader() raised an exception in its process:\n{text}")


def _end(processes):
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()
