"""Prefetching: items of a generator, made on one background thread, a bounded number of them ahead."""

import atexit
import threading
import time
import weakref
from collections import deque

from .errors import EOFException, PreconditionNotMetError, UnavailableError, warn_user
from .reader_position import Position

# How long an end waits for a generator that is in the middle of an item. After that its thread is left to finish that
# item alone: a generator that waits for ever (for a socket) cannot be interrupted from outside.
_PATIENCE = 10.0
_PATIENCE_AT_EXIT = 1.0

_live = weakref.WeakSet()


class _Pipe:
    """What the thread and the one who takes its items share.

    The thread holds this and never the `Prefetch` itself, so that one which nobody has any more is collected and ends
    the thread.
    """

    def __init__(self, capacity):
        self.capacity = capacity
        self.items = deque()
        self.changed = threading.Condition()
        self.stopped = self.ended = False
        self.error = None
        self.thread = None
        # Items that were taken, or passed over by `skip`; and whether the end has been told.
        self.taken, self.over = 0, False

    def put(self, item):
        """Whether the item was wanted; waits while the pipe is full."""
        with self.changed:
            while len(self.items) >= self.capacity and not self.stopped:
                self.changed.wait()
            if not self.stopped:
                self.items.append(item)
                self.changed.notify_all()
            return not self.stopped

    def end(self, error=None):
        with self.changed:
            self.ended, self.error = True, error
            self.changed.notify_all()

    def take(self):
        """The next item, or the generator's own error; StopIteration at the end."""
        with self.changed:
            while not self.items and not self.ended and not self.stopped:
                if not self.thread.is_alive():  # in a forked child
                    raise UnavailableError("The thread that reads the data is not in this process.")
                self.changed.wait(1.0)
            if self.items:
                item = self.items.popleft()
                self.taken += 1
                self.changed.notify_all()
                return item
        self.over = True
        if self.error is not None:
            raise self.error
        raise StopIteration

    def is_empty(self):
        """Whether everything that the generator yielded was taken."""
        return self.ended and not self.items

    def stop(self):
        with self.changed:
            self.stopped = True
            self.items.clear()
            self.changed.notify_all()

    def join(self, patience):
        """Whether the thread has ended."""
        if self.thread is not threading.current_thread():
            self.thread.join(max(patience, 0.0))
        return not self.thread.is_alive()


def _fill(pipe, make):
    items, error = None, None
    try:
        items = make()
        for item in items:
            if not pipe.put(item):
                break
    except BaseException as raised:  # whatever it is belongs to who takes the items
        error = raised
    try:
        if hasattr(items, "close"):
            items.close()
    except BaseException as raised:
        error = error or raised
    pipe.end(error)


@atexit.register
def _stop_all():
    pipes = list(_live)
    for pipe in pipes:
        pipe.stop()
    end = time.monotonic() + _PATIENCE_AT_EXIT
    for pipe in pipes:
        pipe.join(end - time.monotonic())


class Prefetch:
    """An iterator over the items of ``make()``, which a background thread makes, at most `capacity` ahead.

    Args:
        make: function that returns a generator. It must not hold this object.
        capacity: items that wait to be taken.
        taken: items that `make` leaves out, because they were taken in an earlier process.

    An error of the generator is raised, with its traceback, where its item would have been taken. The thread ends with
    the generator, with `close`, and when nobody has this object any more; the generator is closed on it.

    >>> list(Prefetch(lambda: (i * i for i in range(4)), capacity=2))
    [0, 1, 4, 9]
    """

    def __init__(self, make, capacity, taken=0):
        self.pipe = pipe = _Pipe(capacity)
        pipe.taken = taken
        pipe.thread = threading.Thread(target=_fill, args=(pipe, make), name="fluidlite reader", daemon=True)
        _live.add(pipe)
        weakref.finalize(self, pipe.stop).atexit = False
        pipe.thread.start()

    def __iter__(self):
        return self

    def __next__(self):
        return self.pipe.take()

    def close(self):
        """Make no more items and wait for the thread; a generator that does not come back is left alone."""
        self.pipe.stop()
        wait_for(self.pipe)


def skipping(make, n):
    """A function like `make` whose generator passes over the first `n` items."""

    def rest():
        items = make()
        try:
            for i, item in enumerate(items):
                if i >= n:
                    yield item
        finally:
            if hasattr(items, "close"):
                items.close()

    return rest if n else make


def wait_for(pipe):
    """Wait for the thread of a pipe that was stopped."""
    if not pipe.join(_PATIENCE):
        warn_user(
            f"The generator of a reader has not come back for {_PATIENCE:.0f} s. Its thread ends when it yields or "
            "returns."
        )


class BatchReader:
    """Batches of a generator, epoch after epoch: what a variable of kind READER holds, and what the op `read` reads.

    Args:
        name: for messages.
        variables: what a batch consists of.
        capacity: batches made ahead.
    """

    def __init__(self, name, variables, capacity):
        self.name, self.variables, self._capacity = name, list(variables), capacity
        self._make = self._prefetch = None
        self._position = Position()

    def set_source(self, make):
        """`make` returns a generator of batches: lists of LoDTensors that fit the variables."""
        self._make = make

    def start(self):
        """Begin an epoch."""
        if self._make is None:
            raise PreconditionNotMetError(
                f"Data source of reader {self.name!r} has not set yet.",
                hint="call one of its decorate_... or set_... methods before start().",
            )
        if self._prefetch is not None:
            if not self._prefetch.pipe.is_empty():
                raise UnavailableError(
                    f"Reader {self.name!r} is started already.", hint="call its reset() before it starts again."
                )
            self._prefetch.close()
        skipped = self._position.begin()
        self._prefetch = Prefetch(skipping(self._make, skipped), self._capacity, skipped)
        self._position.follow(self._prefetch.pipe)

    def state_dict(self):
        """Which batch of which epoch comes next, for a checkpoint; see `DataLoader`."""
        return self._position.state_dict()

    def set_state_dict(self, state):
        """Let the next `start` go on where another reader was."""
        self._position.set_state_dict(state, f"reader {self.name!r}")

    def reset(self):
        """End the epoch, if one is going on, wherever it is."""
        prefetch, self._prefetch = self._prefetch, None
        if prefetch is not None:
            prefetch.close()

    def next_batch(self):
        """The next batch.

        Raises:
            EOFException: there is none; whatever the generator raised, if it raised.
        """
        prefetch = self._prefetch
        if prefetch is None:
            raise UnavailableError(
                f"Reader {self.name!r} is not started.", hint="call its start() before the first run of an epoch."
            )
        try:
            return next(prefetch)
        except StopIteration:
            raise EOFException(f"There is no next data: reader {self.name!r} is at the end of its epoch.") from None

    def size(self):
        """Batches that wait to be read."""
        return 0 if self._prefetch is None else len(self._prefetch.pipe.items)

    def capacity(self):
        """Batches that are made ahead at most."""
        return self._capacity
