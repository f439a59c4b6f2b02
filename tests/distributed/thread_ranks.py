"""Ranks that are threads of one process: a Communicator without MPI, for tests of what ranks send each other."""

import threading

import numpy as np

SECONDS = 30


class ThreadCommunicator:
    """The verbs of `Communicator`; all ranks share `board`, where each leaves what the others are to have."""

    def __init__(self, rank, board):
        self.rank, self.size, self._board = rank, board.size, board
        self.sent = self.received = 0

    def all_gather(self, value):
        board = self._board
        board.values[self.rank] = value
        board.barrier.wait(SECONDS)
        values = list(board.values)
        board.barrier.wait(SECONDS)
        return values

    def broadcast(self, value, root=0):
        return self.all_gather(value)[root]

    def trade(self, send, receive):
        receive[:] = [other[self.rank] for other in self.all_gather(send.copy())]

    def exchange(self, send, send_counts, receive, receive_counts):
        assert send_counts.sum() == send.size and receive_counts.sum() == receive.size
        pieces = self.all_gather(np.split(send.copy(), np.cumsum(send_counts)[:-1]))
        mine = [pieces[p][self.rank] for p in range(self.size)]
        assert [len(piece) for piece in mine] == receive_counts.tolist()
        receive[:] = np.concatenate(mine)
        others = np.arange(self.size) != self.rank
        self.sent += int(send_counts[others].sum())
        self.received += int(receive_counts[others].sum())

    def begin_exchange(self, *args):
        """What comes is not there before `Wait`."""
        send, send_counts, receive, receive_counts = args
        kept = np.empty_like(receive)
        self.exchange(send, send_counts, kept, receive_counts)

        class Request:
            def Wait(self):  # noqa: N802, the name in MPI
                receive[:] = kept

        return Request()

    def sum(self, parts, factor):
        total, *others = self.all_gather(parts.copy())
        for other in others:
            total = total + other
        parts[:] = total * factor

    def gather_bytes(self, send, receive, counts):
        receive[:] = np.concatenate(self.all_gather(send.copy()))


class _Board:
    def __init__(self, size):
        self.size, self.values, self.barrier = size, [None] * size, threading.Barrier(size)


def run_ranks(n_ranks, work):
    """[work(comm) of each rank]; what one raises is raised here."""
    board, results, errors = _Board(n_ranks), [None] * n_ranks, []

    def run(rank):
        try:
            results[rank] = work(ThreadCommunicator(rank, board))
        except BaseException as error:
            errors.append(error)
            board.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(n_ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    errors.sort(key=lambda error: isinstance(error, threading.BrokenBarrierError))
    if errors:
        raise errors[0]
    return results
