"""The parts of training without waiting that need no MPI: messages, clocks, who is waited for."""

from types import SimpleNamespace

import numpy as np
import pytest

from fluidlite.distributed.async_exchange import AsyncExchange
from fluidlite.distributed.coordinator import Coordinator
from fluidlite.distributed.messages import Kind, Unpacked, load, pack, padded, size_of
from fluidlite.distributed.server import Clocks, Fetched, Server
from fluidlite.distributed.sharded_table import ShardedTable
from fluidlite.errors import UnavailableError
from fluidlite.hash_table import HashTable
from fluidlite.lod_tensor import LoDTensor


def test_messages_come_out_as_they_went_in():
    arrays = [
        np.array([7, -1, 3], np.int64),
        np.arange(5, dtype=np.float32)[::2],
        np.empty((0, 3)),
        np.broadcast_to(np.float64(2), (2, 3)),
        np.array(2.5, np.float32),
    ]
    piece = np.full(size_of(arrays), 255, np.uint8)
    message = Unpacked(pack(arrays, piece))
    for array in arrays:
        np.testing.assert_array_equal(message.take(array.shape, array.dtype), array)
    assert not len(message.rest())
    assert [padded(n) for n in (0, 1, 8, 9)] == [0, 8, 8, 16]
    assert load(np.empty(0, np.uint8)) is None


def test_clocks_count_those_that_train_alone():
    clocks = Clocks(1, 3)
    clocks.steps[:] = [4, 9, 6]
    assert (clocks.slowest(), clocks.ahead()) == (4, 5)
    clocks.counts[0] = False
    assert clocks.ahead() == 3
    clocks.steps[1] = 2
    assert clocks.ahead() == 0
    clocks.counts[2] = False
    assert (clocks.slowest(), clocks.ahead()) == (None, 0)


def _orders(coordinator, clocks):
    return [(order.kind, list(order.ranks), order.value) for order in coordinator.due(clocks)]


def test_a_command_waits_for_those_who_may_call_it_too():
    coordinator = Coordinator(3)
    coordinator.command(1, "save", {"step": 5}, 5)
    assert _orders(coordinator, [5, 5, 5]) == []
    assert _orders(coordinator, [6, 5, 5]) == []  # rank 0 has gone on without it
    coordinator.command(2, "save", {"step": 5}, 6)
    assert _orders(coordinator, [6, 5, 6]) == []
    assert _orders(coordinator, [7, 5, 6]) == [(Kind.RUN, [0, 1, 2], ([1, 2], "save", {"step": 5}))]
    assert _orders(coordinator, [7, 5, 6]) == []


def test_commands_that_differ_come_one_after_the_other():
    coordinator = Coordinator(2)
    coordinator.command(1, "save", {"step": 5}, 5)
    coordinator.command(0, "export", {}, 5)
    assert [value[:2] for _, _, value in _orders(coordinator, [5, 5])] == [([1], "save")]
    # Rank 1 may want it too, until it goes on.
    assert _orders(coordinator, [5, 5]) == []
    assert [value[:2] for _, _, value in _orders(coordinator, [5, 6])] == [([0], "export")]


def test_ranks_that_meet_or_have_finished_are_not_waited_for():
    coordinator = Coordinator(3)
    coordinator.meet(0, "barrier", "a")
    coordinator.finish(2)
    assert _orders(coordinator, [0, 0, 0]) == []
    coordinator.command(1, "save", {}, 9)
    assert [order[0] for order in _orders(coordinator, [0, 9, 0])] == [Kind.RUN]
    coordinator.meet(1, "barrier", "b")
    assert _orders(coordinator, [0, 9, 0]) == [(Kind.MET, [0, 1], ["a", "b", None])]
    coordinator.finish(0)
    coordinator.finish(1)
    assert _orders(coordinator, [0, 9, 0]) == [(Kind.STOP, [0, 1, 2], None)]
    assert _orders(coordinator, [0, 9, 0]) == []


def test_ranks_that_wait_for_different_things_are_told():
    coordinator = Coordinator(2)
    coordinator.meet(0, "barrier", None)
    coordinator.meet(1, "begin", True)
    ((kind, ranks, text),) = _orders(coordinator, [0, 0])
    assert kind == Kind.FAIL and ranks == [0, 1]
    assert "rank 0: barrier, rank 1: begin" in text
    assert _orders(coordinator, [0, 0]) == []


def test_gradients_find_their_rows_after_others_were_dropped():
    shard = HashTable((1000, 2), np.float32)
    shard.set(np.arange(10, 15), np.ones((5, 2)))
    ids, numbers = np.array([14, 11, 10]), np.empty(3, np.int64)
    shard.admit(ids, numbers)
    table = ShardedTable("table", shard.shape, shard.dtype, LoDTensor(shard), None, 2)
    server = SimpleNamespace(_fetched={1: {table: [Fetched(ids, numbers, shard.index)]}})
    assert Server._numbers(server, 1, table, None).tolist() == [5, 2, 1]
    assert Server._numbers(server, 1, table, np.array([2, 0])).tolist() == [1, 5]
    shard.erase([10])
    # The last row has taken the place of the one that is gone, which nobody has any more.
    assert Server._numbers(server, 1, table, None).tolist() == [1, 2, 0]
    assert shard.lookup([14]).tolist() == [[1.0, 1.0]]


def test_an_mpi_library_without_threads_is_refused():
    mpi = SimpleNamespace(
        Query_thread=lambda: 1, THREAD_MULTIPLE=3, Get_library_version=lambda: "Some MPI 1.0\nand more"
    )
    with pytest.raises(UnavailableError, match=r"(?s)sync_mode=False.*several threads.*Some MPI 1.0.*sync_mode=True"):
        AsyncExchange(None, SimpleNamespace(mpi=mpi))
