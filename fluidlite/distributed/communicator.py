"""The ranks of a job and what they send each other: mpi4py behind a few verbs, with every byte to another rank counted.

mpi4py is imported only where a launcher of MPI has started the process, so that one process never needs it.
"""

import importlib
import os
import socket
import time

import numpy as np

from ..errors import UnavailableError, warn_user

# What the launchers of Open MPI, MPICH, Intel MPI, and Slurm's PMI and PMIx put into the environment of each rank.
_LAUNCHED = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "PMIX_RANK", "PMI_RANK")
_RANKS = ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID")

INSTALL = 'pip install "fluidlite[mpi]" brings mpi4py and an MPI library with mpiexec.'


def is_launched():
    """Whether a launcher of MPI has started this process."""
    return any(name in os.environ for name in _LAUNCHED)


def launched_rank():
    """The rank that the launcher says this process has among those of its machine, or of all, or 0 if it says none."""
    return next((int(os.environ[name]) for name in _RANKS if os.environ.get(name, "").isdigit()), 0)


def connect():
    """The Communicator of all ranks, or None where there is one rank alone.

    Raises UnavailableError: started by a launcher, but mpi4py or the MPI library is missing, or they do not belong
    together.
    """
    if not is_launched():
        if int(os.environ.get("SLURM_STEP_NUM_TASKS") or 1) > 1:
            warn_user(
                "srun has started several processes, but without MPI: each of them trains alone. Use "
                "`srun --mpi=pmix`, or mpiexec in a batch script."
            )
        return None
    try:
        mpi = importlib.import_module("mpi4py.MPI")
    except Exception as error:  # without a library, mpi4py raises RuntimeError
        missing = "mpi4py" if isinstance(error, ModuleNotFoundError) else "An MPI library that mpi4py can load"
        raise UnavailableError(
            f"{missing} is missing, but this process was started as one rank of several.",
            actual=f"{type(error).__name__}: {error}",
            hint=INSTALL,
        ) from None
    if mpi.COMM_WORLD.Get_size() == 1:
        if any(int(os.environ.get(name, "1")) > 1 for name in _LAUNCHED[:2]):
            raise UnavailableError(
                "The ranks do not find each other: each of them is alone in its MPI library.",
                actual=mpi.Get_library_version().split("\n")[0],
                hint="start the job with the mpiexec of the same MPI that mpi4py loads. " + INSTALL,
            )
        return None
    return Communicator(mpi, mpi.COMM_WORLD.Dup())


class Communicator:
    """All ranks of a job.

    Attributes: rank, size; sent, received: bytes from and to other ranks.
    """

    def __init__(self, mpi, comm):
        self.mpi, self.comm = mpi, comm
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self.sent = self.received = 0

    def duplicate(self):
        """Another communicator of the same ranks, whose messages never meet those of this one."""
        return Communicator(self.mpi, self.comm.Dup())

    def _count(self, sent, received):
        self.sent += int(sent)
        self.received += int(received)

    # ------------------------------------------------------------------------------------------- arrays, all at once

    def trade(self, send, receive):
        """receive[p] = the row `send[this rank]` of rank p; int64 (size, L) each."""
        self.comm.Alltoall(send, receive)
        others = send.nbytes - send[0].nbytes
        self._count(others, others)

    def exchange(self, send, send_counts, receive, receive_counts):
        """Bytes for each rank, one after the other in `send`, against bytes from each rank; uint8, counts (size,)."""
        mpi = self.mpi
        self.comm.Alltoallv([send, send_counts, mpi.BYTE], [receive, receive_counts, mpi.BYTE])
        self._count(send_counts.sum() - send_counts[self.rank], receive_counts.sum() - receive_counts[self.rank])

    def begin_exchange(self, send, send_counts, receive, receive_counts):
        """`exchange` that goes on while the ranks compute: a request with ``Wait()``. Leave the arrays alone."""
        mpi, me = self.mpi, self.rank
        request = self.comm.Ialltoallv([send, send_counts, mpi.BYTE], [receive, receive_counts, mpi.BYTE])
        self._count(send_counts.sum() - send_counts[me], receive_counts.sum() - receive_counts[me])
        return request

    def sum(self, parts, factor):
        """Replace `parts` (size * n,) on every rank by its sum over all ranks, times a factor.

        Values are added in the order of the ranks.

        Each rank adds up one part, so that every rank gets the same bits, and each byte crosses once in each direction.
        """
        n = parts.size // self.size
        others = np.empty((self.size, n), parts.dtype)
        self.comm.Alltoall(parts, others)
        total = others[0]
        for part in others[1:]:
            total += part
        total *= factor
        self.comm.Allgather(total, parts)
        crossed = 2 * (self.size - 1) * total.nbytes
        self._count(crossed, crossed)

    def gather_bytes(self, send, receive, counts):
        """receive = the bytes `send` of every rank, in the order of the ranks; counts (size,)."""
        self.comm.Allgatherv(send, [receive, counts, self.mpi.BYTE])
        self._count(send.nbytes * (self.size - 1), counts.sum() - counts[self.rank])

    # ----------------------------------------------------------------------------------------------- objects, arrays

    def all_gather(self, value):
        """The values of all ranks, any objects that can be pickled."""
        return self.comm.allgather(value)

    def broadcast(self, value, root=0):
        """The value of rank `root`, on every rank."""
        return self.comm.bcast(value, root)

    def broadcast_array(self, array, root=0):
        """Overwrite a contiguous array by that of rank `root`."""
        if array.nbytes:
            flat = array.reshape(-1).view(np.uint8)
            for begin in range(0, flat.size, 1 << 30):  # counts are ints
                self.comm.Bcast(flat[begin : begin + (1 << 30)], root)

    def barrier(self):
        """Return when all ranks are here."""
        self.comm.Barrier()

    def send_array(self, array, to):
        """Send an array, at most 1 GB, to a rank that calls `receive_array`."""
        array = np.ascontiguousarray(array)
        self.comm.Send([array.reshape(-1).view(np.uint8), self.mpi.BYTE], to)
        self._count(array.nbytes, 0)

    def receive_array(self, from_, dtype, shape):
        """The array that rank `from_` sends."""
        array = np.empty(shape, dtype)
        self.comm.Recv([array.reshape(-1).view(np.uint8), self.mpi.BYTE], from_)
        self._count(0, array.nbytes)
        return array

    def abort(self):
        """End all ranks at once."""
        self.comm.Abort(1)

    def farewell(self, seconds):
        """A barrier that waits no longer than this; whether all ranks have come."""
        request, until = self.comm.Ibarrier(), time.monotonic() + seconds
        while not request.Test():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    def hosts(self):
        """The host name and the process id of each rank: [(host, pid)]."""
        return self.comm.allgather((socket.gethostname(), os.getpid()))
