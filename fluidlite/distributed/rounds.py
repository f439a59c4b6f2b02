"""Rounds: how ranks that do different things at the same time stay in step.

Every exchange begins with a round, in which each rank says what it wants, and how much it has for each other rank. The
highest want of all is the round's outcome, and all ranks take part in it: those that want something else with empty
hands, and then they ask again. So a rank whose data are at their end, or that evaluates or saves alone, serves the
others until it is their turn to meet its own want; nobody hangs. The lowest wants are those of ranks that wait: their
outcome comes when nobody wants more.
"""

import enum

import numpy as np


class Want(enum.IntEnum):
    """What a rank may want of a round, lowest first."""

    # The job has ended on this rank.
    STOP = 0
    # An object of each rank: a barrier, a sum.
    GATHER = 1
    # An epoch has ended on this rank.
    END = 2
    # The gradients of a training step.
    GRADIENTS = 3
    # A number that an optimizer sums over the shards.
    SUM = 4
    # Rows for a training step.
    LOOKUP = 5
    # To begin: programs are compared, values made equal.
    START = 6
    # All ranks are to do something: save.
    COMMAND = 7
    # Rows to look at.
    FIND = 8
    # An error has come up on this rank.
    ERROR = 9


class Rounds:
    """The rounds of a Communicator.

    Args:
        comm: a Communicator. n_counts: how many counts a rank has for each other.

    Attributes: intact: False from the beginning of a round until this rank has done what its outcome asks for, which
    whoever does it notes. Where an error leaves it False, this rank cannot take part in another round.
    """

    def __init__(self, comm, n_counts=0):
        self.comm, self.intact = comm, True
        self.resize(n_counts)

    def resize(self, n_counts):
        self._send = np.zeros((self.comm.size, 2 + n_counts), np.int64)
        self._got = np.zeros_like(self._send)

    def meet(self, want, flag=0, counts=None):
        """One round.

        Args:
            want: a Want. flag: an int for all. counts: ints for each rank (size, n_counts), zeros if None.

        Returns:
            ``(outcome, wants, flags, counts)``: arrays by rank; counts (size, n_counts) are what the ranks that want
            the outcome have for this one.
        """
        send, got = self._send, self._got
        send[:, 0], send[:, 1], send[:, 2:] = want, flag, 0 if counts is None else counts
        self.intact = False
        self.comm.trade(send, got)
        outcome = got[:, 0].max()
        got[got[:, 0] != outcome, 1:] = 0
        return int(outcome), got[:, 0], got[:, 1], got[:, 2:]
