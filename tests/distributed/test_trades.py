"""What ranks send each other in a step: ids to owners, rows back, gradients in. Ranks are threads; no MPI is needed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidlite.distributed.gradient_trade import GradientTrade, Push
from fluidlite.distributed.parcels import Parcels, cut
from fluidlite.distributed.plan_binding import GradientCell, Gradients
from fluidlite.distributed.row_trade import RowTrade
from fluidlite.distributed.sharded_table import ShardedTable, StepIds, ask_all
from fluidlite.entry import CountFilterEntry
from fluidlite.hash_table import HashTable
from fluidlite.lod_tensor import LoDTensor
from fluidlite.ownership import owner_of
from fluidlite.row_initializer import RowInitializer
from fluidlite.selected_rows import Chunk, SelectedRows

from .thread_ranks import run_ranks

ids_arrays = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 12), max_size=40).map(
    lambda ids: np.array(ids, np.int64)
)


def test_owners_of_ids_do_not_depend_on_the_machine_or_the_process():
    ids = np.array([-(2**63), -1, 0, 1, 2, 1 << 40, 2**63 - 1])
    assert owner_of(ids, 2).tolist() == OWNERS_OF_2
    assert owner_of(ids, 5).tolist() == OWNERS_OF_5


OWNERS_OF_2 = [0, 1, 0, 0, 1, 0, 0]
OWNERS_OF_5 = [0, 3, 0, 1, 4, 0, 1]


@pytest.mark.parametrize("step", [1, 7, 64, 1 << 32, -1000003])
@pytest.mark.parametrize("n_ranks", [2, 3, 16])
def test_ids_in_any_pattern_spread_evenly(step, n_ranks):
    counts = np.bincount(owner_of(np.arange(30000) * step, n_ranks), minlength=n_ranks)
    assert counts.min() > 0.9 * 30000 / n_ranks and counts.max() < 1.1 * 30000 / n_ranks


@given(st.lists(st.tuples(ids_arrays, st.sampled_from([None, -1, 5])), min_size=1, max_size=4), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_ids_of_a_step_are_numbered_once_and_by_owner(wanted, n_ranks):
    ids = StepIds(n_ranks)
    half = len(wanted) // 2
    parts = [ids.add(part, count_copies=True) for part in (wanted[:half], wanted[half:])]
    copy = ids.copy()
    asked_for = [i for array, padding in wanted for i in array.tolist() if i != padding]
    assert sorted(ids.names[1 : len(ids) + 1].tolist()) == sorted(set(asked_for))
    for new, counts, copies in parts:
        assert (np.diff(owner_of(new, n_ranks)) >= 0).all()
        assert counts.tolist() == np.bincount(owner_of(new, n_ranks), minlength=n_ranks).tolist()
        assert len(copies) == len(new) and (copies >= 1).all()
    first = sum(int(copies.sum()) for _, _, copies in parts[:1])
    assert first == sum(
        (array != padding).sum() if padding is not None else len(array) for array, padding in wanted[:half]
    )
    for array, padding in wanted:
        for one in (ids, copy):
            numbers = one.numbers_of(array, padding)
            known = numbers > 0
            assert (array[~known] == padding).all() if padding is not None else known.all()
            assert (one.names[numbers[known]] == array[known]).all()
    assert ids.asked.sum() == len(ids)


def test_additions_to_a_copy_stay_its_own():
    first, more = np.array([4, 9]), np.array([9, 17])
    ids = StepIds(2)
    ids.add([(first, None)])
    copy = ids.copy()
    copy.add([(more, None)])
    assert (len(ids), len(copy)) == (2, 3)
    assert ids.numbers_of(more, None) is None and ids.asked.sum() == 2
    assert copy.names[copy.numbers_of(more, None)].tolist() == [9, 17]


class _Table:
    def __init__(self, width, dtype):
        self.width, self.dtype = width, np.dtype(dtype)
        self.row_bytes = width * self.dtype.itemsize


@given(st.integers(1, 4), st.data())
@settings(max_examples=40, deadline=None)
def test_sections_of_a_parcel_never_overlap_and_are_aligned(n_ranks, data):
    tables = [_Table(1, np.float32), _Table(3, np.float32), _Table(2, np.float64)]
    counts = np.array(
        data.draw(st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=n_ranks, max_size=n_ranks))
    )
    parcels = Parcels(tables, counts, 0)
    piece = np.zeros(parcels.nbytes, np.uint8)
    for p in range(1, n_ranks):
        for k, table in enumerate(tables):
            rows = parcels.rows(piece, p, k)
            assert rows.shape == (counts[p, k], table.width) and rows.ctypes.data % 8 == 0 or not rows.size
            assert not rows.any()
            rows[:] = 1 + p
    assert parcels.bytes_of[0] == 0 and parcels.nbytes == parcels.bytes_of.sum()


def test_cut_gives_parts_in_order():
    assert [part.tolist() for part in cut(np.arange(5), [2, 0, 3])] == [[0, 1], [], [2, 3, 4]]


# ------------------------------------------------------------------------------------------------- rows and gradients

WIDTHS = (3, 1)


def shards_of(rank, n_ranks, entry=None):
    """Two tables of which this rank has a share; rows begin at values that depend on the id alone."""
    tables = []
    for k, width in enumerate(WIDTHS):
        shard = HashTable((1 << 40, width), np.float32, RowInitializer("uniform", -1.0, 1.0, 7, k), f"table{k}")
        shard.share = rank, n_ranks
        table = ShardedTable(f"table{k}", shard.shape, np.float32, LoDTensor(shard), None, n_ranks)
        table.entry = entry
        tables.append(table)
    return tables


def counts_for(tables, asked, n_ranks):
    counts = np.zeros((n_ranks, len(tables)), np.int64)
    for k, table in enumerate(tables):
        if table in asked:
            counts[:, k] = asked[table][0][1]
    return counts


def traded(comm, counts):
    got = np.zeros_like(counts)
    comm.trade(counts, got)
    return got


def fetch(comm, tables, trade, wanted):
    asked = {t: (added, t.new_rows(len(added[0]))) for t, added in ask_all(wanted, ShardedTable.ask).items()}
    trade.trade(asked, traded(comm, counts_for(tables, asked, comm.size)), train=True)


@pytest.mark.parametrize("n_ranks", [1, 2, 3, 5])
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_any_ranks_see_the_rows_and_sum_the_gradients_of_one_process(n_ranks, data):
    """Two tables; the first is looked up twice, and every other row of the second has no gradient."""
    batches = [[data.draw(ids_arrays) for _ in range(3)] for _ in range(n_ranks)]

    def work(comm):
        tables = shards_of(comm.rank, n_ranks)
        trade = RowTrade(comm, tables)
        first, second, third = batches[comm.rank]
        fetch(comm, tables, trade, {tables[0]: [(first, None), (second, 5)], tables[1]: [(first, None)]})
        fetch(comm, tables, trade, {tables[0]: [(third, None)]})
        rows = [
            tables[0].rows[tables[0].ids.numbers_of(ids, pad)].copy()
            for ids, pad in ((first, None), (second, 5), (third, None))
        ]
        rows.append(tables[1].rows[tables[1].ids.numbers_of(first, None)].copy())
        cells = {}
        for table, parts in ((tables[0], [(first, None), (third, None)]), (tables[1], [(first[::2], None)])):
            chunks = []
            for ids, padding in parts:
                numbers = (
                    table.ids.numbers_of(first, None)[::2] if len(ids) != len(first) or table is tables[1] else None
                )
                numbers = numbers if table is tables[1] else table.ids.numbers_of(ids, padding)
                chunks.append(
                    Chunk(
                        numbers,
                        np.outer(numbers_to_values(table.names[numbers]), np.ones(table.width)).astype(np.float32),
                        0,
                    )
                )
            cells[table] = LoDTensor(SelectedRows.from_chunks(chunks, len(table) + 1, table.names))
        pushes = {table: Push(table, cell.value) for table, cell in cells.items()}
        counts = np.stack([pushes[table].counts for table in tables], axis=1)
        partial = any(comm.all_gather(any(push.positions is not None for push in pushes.values())))
        GradientTrade(comm, trade).trade(Gradients(0, cells, [], []), pushes, (), traded(comm, counts), 0.5, partial)
        sums = [cells[table].value.merge() for table in tables]
        return rows, [(s.rows, s.value) for s in sums], [(t.shard.ids, t.shard.lookup(t.shard.ids)) for t in tables]

    results = run_ranks(n_ranks, work)
    whole = [
        HashTable((1 << 40, w), np.float32, RowInitializer("uniform", -1.0, 1.0, 7, k)) for k, w in enumerate(WIDTHS)
    ]

    def expected(k, ids, padding=None):
        numbers = np.empty(len(ids), np.int64)
        whole[k].admit(ids, numbers, padding)
        return whole[k].lookup(ids) * (1 if padding is None else (ids != padding)[:, None])

    for rank, (rows, _, shards) in enumerate(results):
        first, second, third = batches[rank]
        for k, ids, padding, found in (
            (0, first, None, rows[0]),
            (0, second, 5, rows[1]),
            (0, third, None, rows[2]),
            (1, first, None, rows[3]),
        ):
            np.testing.assert_array_equal(found, expected(k, ids, padding))
        for ids, _ in shards:
            assert (owner_of(ids, n_ranks) == rank).all()
    for k, looked_up in enumerate(([0, 2], [0])):
        total = {}
        for first_second_third in batches:
            for which in looked_up:
                ids = first_second_third[which]
                for i in (ids[::2] if k else ids).tolist():
                    total[i] = total.get(i, 0) + 0.5 * float(numbers_to_values(np.array([i]))[0])
        found = {}
        for _, sums, _ in results:
            ids, values = sums[k]
            found.update(zip(ids.tolist(), values, strict=True))
        assert set(found) == set(total)
        for i, values in found.items():
            np.testing.assert_allclose(values, np.full(WIDTHS[k], total[i], np.float32), rtol=1e-5)


def numbers_to_values(ids):
    """A small number for each id."""
    return (ids.view(np.uint64) % np.uint64(13)).astype(np.float64) + 1


def test_entry_counts_every_occurrence_on_every_rank():
    """Two of the three occurrences are on one rank; only all together reach the filter."""
    batches = [np.array([8, 8, 11]), np.array([8, 11])]

    def work(comm):
        tables = shards_of(comm.rank, 2, CountFilterEntry(3))
        fetch(comm, tables, RowTrade(comm, tables), {tables[0]: [(batches[comm.rank], None)]})
        return tables[0].shard.ids.tolist()

    assert sorted(sum(run_ranks(2, work), [])) == [8]


def test_rows_that_come_ahead_are_those_before_the_update():
    def work(comm):
        tables = shards_of(comm.rank, 2)[:1]
        (table,), trade = tables, RowTrade(comm, tables)
        now, ahead = np.array([1, 2, 3]), np.array([3, 4])
        fetch(comm, tables, trade, {table: [(now, None)]})
        before = table.rows[table.ids.numbers_of(now, None)].copy()
        asked = {
            t: (added, t.ahead_rows()) for t, added in ask_all({table: [(ahead, None)]}, ShardedTable.ask_ahead).items()
        }
        trade.trade(asked, traded(comm, counts_for(tables, asked, 2)), train=True, ahead=np.array([True, True]))
        owned = table.shard.ids
        table.shard.set(owned, np.zeros((len(owned), 3), np.float32))
        trade.complete()
        trade.end_step()
        table.begin()
        late = table.rows[table.ids.numbers_of(ahead, None)]
        np.testing.assert_array_equal(late[0], before[2])
        assert late.any(axis=1).all()
        return [len(trade.fetched(table, p)) for p in range(2)]

    for fetched in run_ranks(2, work):
        assert fetched[0] == fetched[1]


def test_an_error_of_an_owner_is_kept_and_the_others_get_their_answer():
    def work(comm):
        tables = shards_of(comm.rank, 2)[:1]
        tables[0].shard.shape = (1, 3)
        if comm.rank == 0:
            tables[0].shard.limit = 1
        trade = RowTrade(comm, tables)
        fetch(comm, tables, trade, {tables[0]: [(np.arange(50), None)]})
        return trade.error

    first, second = run_ranks(2, work)
    assert "full" in str(first) and second is None


def test_dense_and_sparse_gradients_of_replicated_parameters_are_the_same_on_all_ranks():
    def work(comm):
        rng = np.random.default_rng(comm.rank)
        sparse = GradientCell(LoDTensor(), (10, 2), np.dtype(np.float32))
        dense = GradientCell(LoDTensor(), (5, 3), np.dtype(np.float32))
        loss = GradientCell(LoDTensor(), (1,), np.dtype(np.float64))
        merged = ()
        if comm.rank != 1:  # rank 1 has no batch
            value = rng.integers(-4, 5, (4, 2)).astype(np.float32)
            sparse.value = SelectedRows([3, 7, 3, comm.rank], value, 10)
            dense.value = rng.integers(-4, 5, (5, 3)).astype(np.float32)
            loss.value = np.array([comm.rank + 1.0])
            merged = [sparse.value.merge().chunks[0]]
        mine = (sparse.value.to_dense(), dense.value, loss.value) if merged else (0, 0, 0)
        counts = np.array([[len(merged[0].rows) if merged else 0]] * 3)
        gradients = Gradients(0, {}, [sparse], [dense, loss])
        GradientTrade(comm, RowTrade(comm, [])).trade(gradients, {}, merged, traded(comm, counts), 0.5, False)
        return mine, (sparse.value.to_dense(), dense.value, loss.value)

    results = run_ranks(3, work)
    for k in range(3):
        total = sum(mine[k] for mine, _ in results) * 0.5
        for _, found in results:
            np.testing.assert_array_equal(found[k], total)
