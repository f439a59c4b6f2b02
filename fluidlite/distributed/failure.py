"""How a job of several ranks ends when something goes wrong: rank 0 says it, once, and nobody goes on or hangs."""

import atexit
import os
import sys
import threading
import time
import traceback

from ..errors import EnforceNotMet, UnavailableError

# Seconds that a rank waits for others to hear of its error, and then for them to end. They may be reading data.
_PATIENCE, _FAREWELL = 15.0, 10.0
# How much later than the first rank of a machine the others fail, where they cannot talk.
_HEAD_START = 3.0


class RemoteError(UnavailableError):
    """An error on another rank."""


def text_of(error):
    """What ranks say of each other's errors."""
    notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
    return (str(error) if isinstance(error, EnforceNotMet) else f"{type(error).__name__}: {error}") + notes


def agreed(error):
    """An error that all ranks find at the same point, so that they can meet in spite of it."""
    error.agreed = True
    return error


def leave_it_to_the_first(error):
    """Say nothing of an error that all ranks of a machine have, and that the first of them says."""
    hook = sys.excepthook

    def wait(kind, raised, trace):
        if raised is error:
            time.sleep(_HEAD_START)  # launchers end a job as soon as one rank fails
        else:
            hook(kind, raised, trace)

    sys.excepthook = wait


class _Alarm:
    """Calls a function after some seconds, once, unless it is stopped.

    Its thread is there from the beginning, because Python 3.12 starts no threads when the program has ended.
    """

    def __init__(self):
        self._is_set, self._stopped = threading.Event(), threading.Event()
        threading.Thread(target=self._wait, name="fluidlite alarm", daemon=True).start()

    def _wait(self):
        self._is_set.wait()
        if not self._stopped.is_set() and not self._stopped.wait(self._seconds):
            self._call()

    def set(self, seconds, call):
        self._seconds, self._call = seconds, call
        self._is_set.set()

    def stop(self):
        self._stopped.set()
        self._is_set.set()


class Failure:
    """What has gone wrong in a Job.

    An error that nothing catches is told to all ranks in the next round; so is, at once, an error that came up in what
    a rank did for others, since they go on with wrong rows. From then on `error` is set on every rank, and whoever
    wants to train is told so again: there is no going on.

    Args:
        job: a Job of several ranks, with `comm`, `exchange` and `watch`.
    """

    def __init__(self, job):
        self.job, self.error = job, None
        self._told = [None] * job.size
        self._left = None
        self._process = os.getpid()
        self._alarm = _Alarm()
        self._hook, sys.excepthook = sys.excepthook, self.on_error
        self._exit, sys.exit = sys.exit, self._exit_by
        atexit.register(self._at_exit)

    def stop(self):
        """The job has ended well: errors are this rank's own."""
        if sys.excepthook == self.on_error:
            sys.excepthook = self._hook
        if sys.exit == self._exit_by:
            sys.exit = self._exit
        self._alarm.stop()

    def check(self):
        """Raise what has gone wrong before; called before each round."""
        self._left = None
        if self.error is not None:
            raise self.error

    # ------------------------------------------------------------------------------------------------- between ranks

    def tell(self, error, whole=None):
        """Tell all ranks of an error on this one."""
        told = self.job.exchange.report_error((text_of(error), whole or _whole(error)))
        self.error, self._told = error, told

    def hear(self, told):
        """Raise the errors that other ranks tell of: [(summary, whole text) or None], by rank."""
        texts = (f"Rank {rank}: {pair[0]}" for rank, pair in enumerate(told) if pair)
        self.error, self._told = RemoteError("; ".join(texts)), told
        raise self.error

    # ---------------------------------------------------------------------------------------------------- on this rank

    def on_error(self, kind, error, trace):
        """sys.excepthook of a rank."""
        if self._process != os.getpid() or self.job._closed:
            self._hook(kind, error, trace)
        else:
            self._end(error, lambda: self._hook(kind, error, trace))

    def _exit_by(self, status=None, /):
        """sys.exit that remembers the status: the interpreter tells it to nobody."""
        self._left = status
        self._exit(status)

    def _at_exit(self):
        if self._process != os.getpid() or self.job._closed:
            return
        if self.error is None and self._left not in (None, 0, False):
            left = UnavailableError(f"The program has left by sys.exit({self._left!r}) before the job was done.")
            self._end(left, lambda: None, left.summary + "\n")
            return
        try:
            self.job.finish()
        except BaseException as raised:
            error = raised
            self._end(error, lambda: self._hook(type(error), error, error.__traceback__))
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(1)

    def _end(self, error, say, whole=None):
        """End this rank by an error. say: says it here."""
        job = self.job
        job._closed = True
        job.watch.leave()
        if not isinstance(error, Exception) or not _can_meet(job.exchange, error):
            # In the middle of something: the others wait for this rank, and cannot be told.
            self._abort(say)
            return
        if self.error is None:
            self._alarm.set(_PATIENCE, lambda: self._abort(say))
            try:
                self.tell(error, whole)
            except Exception:
                self._abort(say)
            self._alarm.stop()
        if job.is_first:
            self._say_all(error, say)
        try:
            alone = not job.comm.farewell(_FAREWELL)
        except Exception:
            alone = True
        if alone:
            self._abort(lambda: None if job.is_first else say())
        job.exchange.close()

    def _say_all(self, error, say):
        """On rank 0: this rank's error, and those of others, if they are other ones."""
        said = set()
        if error is not self.error or self._told[0]:
            say()
            said.add(text_of(error))
            if self.error in _chain(error) and not self._told[0]:
                return
        for rank, pair in enumerate(self._told):
            if rank and pair and pair[0] not in said:
                said.add(pair[0])
                sys.stderr.write(f"Rank {rank}: {pair[1]}")
        sys.stderr.flush()

    def _abort(self, say):
        """Say what is wrong on this rank, and end all of them at once."""
        sys.stderr.write(f"Rank {self.job.rank}:\n")
        say()
        sys.stderr.write(self.job.resume_text() + "\n")
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        try:
            self.job.comm.abort()
        finally:
            os._exit(1)


def _can_meet(exchange, error):
    return exchange.intact or getattr(error, "agreed", False)


def _whole(error):
    return "".join(traceback.format_exception(error))


def _chain(error):
    """An error and those that it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
