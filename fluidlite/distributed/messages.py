"""What ranks that are not in step send each other: requests to the servers of ranks, and their replies.

A message is one piece of bytes. It begins with int64 numbers, the first of which is its `Kind`; arrays follow, each of
them at a multiple of 8 bytes. Senders never wait for the other side: what is sent is copied, and looked after.
"""

import enum
import math
import pickle
import time
from collections import deque

import numpy as np

from .parcels import Scratch

# Tags. A request goes to the server of a rank, replies go to the thread that trains there.
REQUEST, ROWS, FRESH = 1, 2, 3

# Seconds between two looks at what may have arrived, first and at most.
SHORTEST_PAUSE, LONGEST_PAUSE = 20e-6, 200e-6


class Kind(enum.IntEnum):
    """What a request is. All begin with (kind, clock of the sender, whether its clock counts)."""

    # Nothing but the clock.
    CLOCK = 0
    # Ids of a training step, or ids to look at; rows are the reply.
    LOOKUP = 1
    FIND = 2
    # The gradients of a training step; fresh values of dense parameters are the reply.
    GRADIENTS = 3
    # An error has come up on the sender.
    FAIL = 4
    # To rank 0: the sender wants to meet all others; has finished; wants all ranks to do something.
    MEET = 5
    FINISHED = 6
    COMMAND = 7
    # From rank 0: all have met; do something together; the job has ended.
    MET = 8
    RUN = 9
    STOP = 10


def padded(n_bytes):
    """The next multiple of 8."""
    return (n_bytes + 7) & ~7


def size_of(arrays):
    """Bytes of arrays one after the other."""
    return sum(padded(array.nbytes) for array in arrays)


def pack(arrays, piece):
    """Write arrays one after the other into a piece of memory of their size, uint8."""
    begin = 0
    for array in arrays:
        into = piece[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
        np.copyto(into, array)
        begin += padded(array.nbytes)
    return piece


class Unpacked:
    """The arrays of a piece, one after the other: views, not copies."""

    def __init__(self, piece):
        self._piece, self._begin = piece, 0

    def take(self, shape, dtype=np.int64):
        """The next array."""
        dtype = np.dtype(dtype)
        n_bytes = (math.prod(shape) if isinstance(shape, tuple) else shape) * dtype.itemsize
        begin, self._begin = self._begin, self._begin + padded(n_bytes)
        return self._piece[begin : begin + n_bytes].view(dtype).reshape(shape)

    def rest(self):
        """All that is left, uint8."""
        return self._piece[self._begin :]


class Mail:
    """The messages of one thread. Bytes to and from other ranks are counted.

    Args:
        comm: an mpi4py communicator, of which several threads may have a Mail.
        check: called while it waits; raises what ends the waiting.
    """

    def __init__(self, mpi, comm, check):
        self._mpi, self._comm, self._check = mpi, comm, check
        self.sent = self.received = 0
        self._scratch, self._sending, self._small = Scratch(), {}, deque()

    def send(self, arrays, to, tag):
        """Send arrays as one message. The one before with the same tag to this rank has arrived, or is waited for."""
        before = self._sending.pop((to, tag), None)
        if before is not None:
            self.wait(before)
        piece = pack(arrays, self._scratch.take((to, tag), size_of(arrays)))
        self._sending[to, tag] = self._comm.Isend([piece, self._mpi.BYTE], to, tag)
        self.sent += piece.nbytes

    def tell(self, kind, value, to, clock=0, active=False):
        """Send a small object with a request, however many are on their way."""
        body = np.frombuffer(pickle.dumps(value), np.uint8) if value is not None else np.empty(0, np.uint8)
        arrays = [np.array([kind, clock, active], np.int64), body]
        piece = pack(arrays, np.empty(size_of(arrays), np.uint8))
        while self._small and self._small[0][0].Test():
            self._small.popleft()
        self._small.append((self._comm.Isend([piece, self._mpi.BYTE], to, REQUEST), piece))
        self.sent += piece.nbytes

    def expect(self, n_bytes, from_, tag):
        """A reply of so many bytes will come: ``(request, piece)``."""
        piece = self._scratch.take((from_, tag, "reply"), n_bytes)
        self.received += piece.nbytes
        return self._comm.Irecv([piece, self._mpi.BYTE], from_, tag), piece

    def poll(self):
        """The next request that has come, ``(rank, piece)``, or None. The piece is valid until the next one."""
        status = self._mpi.Status()
        if not self._comm.Iprobe(self._mpi.ANY_SOURCE, REQUEST, status):
            return None
        source, n_bytes = status.Get_source(), status.Get_count(self._mpi.BYTE)
        piece = self._scratch.take("request", n_bytes)
        self._comm.Recv([piece, self._mpi.BYTE], source, REQUEST)
        self.received += n_bytes
        return source, piece

    def wait(self, request):
        """Wait until a message has arrived, or is sent."""
        pause = SHORTEST_PAUSE
        while not request.Test():
            self._check()
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def flush(self, seconds):
        """Wait a while for what is still being sent."""
        until = time.monotonic() + seconds
        for request in [*self._sending.values(), *[request for request, _ in self._small]]:
            while not request.Test() and time.monotonic() < until:
                time.sleep(LONGEST_PAUSE)


def load(body):
    """The object that `Mail.tell` has sent."""
    return pickle.loads(body.tobytes()) if len(body) else None
