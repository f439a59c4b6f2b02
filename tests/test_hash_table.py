"""Tables of any ids as values: rows by id, growth, eviction, loading, memory."""

import threading

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import fluidlite as fluid
from fluidlite import hash_table
from fluidlite.entry import CountFilterEntry, ProbabilityEntry, parse_entry
from fluidlite.hash_table import HashTable, TableState
from fluidlite.lod_tensor import LoDTensor
from fluidlite.row_initializer import RowInitializer

LOW, HIGH = -(2**63), 2**63 - 1
UNIFORM = RowInitializer("uniform", -1.0, 1.0, 5, 6)
D = 3


def table_of(n=1000, initializer=UNIFORM, dtype=np.float32):
    return HashTable((n, D), dtype, initializer, "t")


def admit(table, ids, padding=None, entry=None):
    numbers = np.empty(len(ids), np.int64)
    table.admit(np.array(ids, np.int64), numbers, padding, entry)
    return numbers.tolist()


def state_of(table, initial=0.0):
    state = TableState(table.shape, table.dtype, initial, LoDTensor(table), "m")
    assert state.live_rows().shape == (len(table) + 1, D)
    return state


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["constant", "uniform", "gaussian", "truncated_gaussian"])
def test_rows_come_from_seed_and_id_alone(threads, kind, dtype):
    initializer = RowInitializer(kind, 0.25, 0.5, 9, 2**64 - 1)
    ids = np.random.default_rng(0).integers(LOW, HIGH, 9000, endpoint=True)
    whole, parts = (HashTable((2**62, D), dtype, initializer) for _ in range(2))
    admit(whole, ids)
    for part in np.array_split(ids[::-1], 7):
        admit(parts, part)
    expected = np.empty((9000, D), dtype)
    initializer.fill(expected, ids)
    for table in (whole, parts):
        np.testing.assert_array_equal(table.lookup(ids), expected)
    assert len(np.unique(expected)) == (1 if kind == "constant" else 9000 * D) or dtype == np.float32


def test_unseen_ids_and_paddings_read_as_zeros():
    table = table_of()
    assert admit(table, [7, -1, 7, 5], padding=-1) == [1, 0, 1, 2]
    assert table.ids.tolist() == [7, 5] and len(table) == 2
    assert not table.lookup([-1, 8]).any() and len(table) == 2
    assert table.lookup([]).shape == (0, D)
    # -1 is an id like others where it is no padding.
    assert admit(table, [-1]) == [3]


def test_one_id_too_many_names_the_table_and_changes_nothing():
    table = table_of(3)
    admit(table, [1, 2])
    before, stats = table.live_rows().copy(), table.stats()
    with pytest.raises(IndexError, match="Table 't' is full.*dict_size 3") as error:
        admit(table, [1, 8, 9])
    assert error.value.actual == "2 rows, and 2 new ids in this batch"
    assert (table.live_rows() == before).all() and table.stats() == stats
    assert admit(table, [9]) == [3]


def test_more_rows_than_memory_is_another_error(monkeypatch):
    monkeypatch.setattr(hash_table, "room_for", lambda row_bytes: 0)
    table = HashTable((2**62, D), np.float32, UNIFORM, "big")
    table.limit = 2
    with pytest.raises(MemoryError, match="Table 'big' is full: 3 rows"):
        admit(table, [1, 2, 3])
    assert len(table) == 0


def test_the_limit_of_a_table_is_its_address_space_not_memory():
    table = table_of(2**62)
    admit(table, range(1000))
    assert table.nbytes < 100_000 and table.stats()["capacity"] == 2**62


def test_counters():
    table = table_of()
    admit(table, [1, 2, 1])
    table.updated()
    admit(table, [1, 3])
    stats = table.stats()
    assert (stats["live_rows"], stats["steps"], stats["hit_rate"]) == (3, 1, pytest.approx(1 - 3 / 5))
    assert stats["nbytes"] == 4 * (D * 4 + 12) + table.index.nbytes
    state = state_of(table)
    assert len(state) == 3 and table.nbytes == stats["nbytes"] + 4 * D * 4
    assert table_of().stats()["hit_rate"] is None
    assert "3 of at most 1000 rows" in repr(table)


# ---------------------------------------------------------------------------------------------------------- moving rows


@hypothesis.given(st.data())
def test_what_is_erased_is_gone_and_the_rest_stays(data):
    table, model = table_of(), {}
    state, other = state_of(table), state_of(table, 0.5)
    for _ in range(data.draw(st.integers(1, 6))):
        ids = data.draw(st.lists(st.integers(-30, 30), unique=True, max_size=20))
        if data.draw(st.booleans()):
            gone = table.erase(ids)
            assert gone == sum(model.pop(id, None) is not None for id in ids)
        else:
            values = np.random.default_rng(len(model)).normal(size=(len(ids), D)).astype(np.float32)
            table.set(ids, values)
            state.set(ids, values + 1)
            for id, value in zip(ids, values, strict=True):
                model[id] = value
        assert sorted(table.ids) == sorted(model) and len(table) == len(model)
        for id, value in model.items():
            assert (table.lookup([id])[0] == value).all() and (state.lookup([id])[0] == value + 1).all()
        assert (other.live_rows()[1:] == 0.5).all()
        # What comes next finds memory as it was at first.
        for rows in (table.rows, state.rows, other.rows):
            assert not rows[0].any() and not rows[len(table) + 1 :].any()


def test_an_id_that_comes_back_begins_anew():
    table = table_of()
    admit(table, [4, 5, 6])
    state, first = state_of(table, 0.25), table.lookup([4])
    table.set([4], np.ones((1, D)))
    state.set([4], np.ones((1, D)))
    assert table.erase([4, 99]) == 1
    admit(table, [4])
    assert (table.lookup([4]) == first).all() and (state.lookup([4]) == 0.25).all()


def test_erasing_many_gives_memory_back():
    def pages():
        with open("/proc/self/statm") as f:
            return int(f.read().split()[1])

    table = HashTable((10**9, 64), np.float32, UNIFORM)
    admit(table, range(200_000))
    before = pages()
    assert table.shrink(0) == 0
    table.updated()
    admit(table, [0, 199_999])
    assert table.shrink(0) == 199_998
    assert (before - pages()) * 4096 > 0.8 * 200_000 * 64 * 4
    assert table.ids.tolist() == [0, 199_999] and table.index.nbytes < 100_000


def test_shrink_drops_rows_not_seen_for_long():
    table = table_of()
    for step in range(6):
        admit(table, [step, 100])
        table.updated()
    assert table.shrink(unseen_steps=3) == 3
    assert sorted(table.ids) == [3, 4, 5, 100]
    assert table.shrink(unseen_steps=3) == 0


# ---------------------------------------------------------------------------------------------------------- entry


def test_count_filter():
    table, entry = table_of(), CountFilterEntry(3)
    assert admit(table, [5, 6, 5], entry=entry) == [0, 0, 0]
    assert admit(table, [6, 5, 8], entry=entry, padding=8) == [0, 1, 0]
    assert admit(table, [8, 8, 8, 6, 5], entry=entry) == [2, 2, 2, 3, 1]
    assert table.ids.tolist() == [5, 8, 6]
    np.testing.assert_array_equal(table.lookup([5]), admitted_row(5))


def admitted_row(id):
    other = table_of()
    admit(other, [id])
    return other.lookup([id])


def test_waiting_ids_are_forgotten_with_the_rows():
    table, entry = table_of(), CountFilterEntry(2)
    admit(table, [1, 2], entry=entry)
    for _ in range(3):
        table.updated()
        admit(table, [2], entry=entry)
    table.shrink(unseen_steps=1)
    assert admit(table, [1], entry=entry) == [0]  # counted anew
    assert admit(table, [2, 1], entry=entry) == [1, 2]
    assert len(table._waiting.index) == 1


def test_a_full_table_takes_counts_back():
    table, entry = table_of(1), CountFilterEntry(2)
    with pytest.raises(IndexError, match="full"):
        admit(table, [1, 1, 2, 2], entry=entry)
    assert admit(table, [1], entry=entry) == [0]
    assert admit(table, [1], entry=entry) == [1]


def test_probability():
    entry, ids = ProbabilityEntry(0.3), np.arange(20_000)
    tables = [HashTable((10**6, D), np.float32, UNIFORM) for _ in range(2)]
    admit(tables[0], ids, entry=entry)
    admit(tables[1], ids[::-1], entry=entry)
    assert abs(len(tables[0]) / 20_000 - 0.3) < 0.02
    assert sorted(tables[0].ids) == sorted(tables[1].ids)
    admit(tables[0], ids, entry=entry)
    assert sorted(tables[0].ids) == sorted(tables[1].ids), "one draw for an id in a step"
    tables[0].updated()
    admit(tables[0], ids, entry=entry)
    assert abs(len(tables[0]) / 20_000 - 0.51) < 0.02
    every = table_of()
    assert admit(every, [3, 3, 4], entry=ProbabilityEntry(1.0)) == [1, 1, 2]


def test_policies_as_text():
    for entry in (CountFilterEntry(10), ProbabilityEntry(0.125)):
        assert vars(parse_entry(entry.to_attr())) == vars(entry)
    assert parse_entry("none") is None
    for wrong in ("", "count_filter_entry:0", "count_filter_entry:x", "probability_entry:2", "none:1", "other:1"):
        with pytest.raises(ValueError, match="entry|count_filter|probability"):
            parse_entry(wrong)
    for wrong in (0, -1, 1.5, "3", None):
        with pytest.raises(ValueError, match="CountFilterEntry"):
            CountFilterEntry(wrong)
    for wrong in (0, 1.5, float("nan"), True, "0.5", None):
        with pytest.raises(ValueError, match="ProbabilityEntry"):
            ProbabilityEntry(wrong)


# ---------------------------------------------------------------------------------------------------------- in and out


def filled(ids, seed=0):
    table = table_of()
    table.set(ids, np.random.default_rng(seed).normal(size=(len(ids), D)))
    return table


@pytest.mark.parametrize("n_rows", [1, 2, 5, 100])
def test_slabs_go_out_and_in(n_rows):
    table = filled([3, -4, 2**62, 0, 9])
    slabs = list(table.slabs(n_rows))
    assert [len(slab.ids) for slab in slabs] == [min(n_rows, 5 - begin) for begin in range(0, 5, n_rows)]
    copy = table_of()
    copy.load(slabs)
    np.testing.assert_array_equal(copy.ids, table.ids)
    np.testing.assert_array_equal(copy.live_rows(), table.live_rows())
    slabs[0].values[:] = 7
    assert (table.lookup([3]) != 7).all()


def test_as_selected_rows():
    table = filled([3, -4, 2**62])
    rows = table.to_selected_rows()
    assert rows.rows.tolist() == [3, -4, 2**62] and rows.height == 1000 and np.shares_memory(rows.value, table.rows)
    np.testing.assert_array_equal(rows.value, table.lookup([3, -4, 2**62]))
    copy = table_of()
    copy.load([(rows.rows, rows.value)])
    np.testing.assert_array_equal(copy.live_rows(), table.live_rows())
    assert not table_of().to_selected_rows().rows.size


def test_two_shards_are_merged():
    one, two = filled([1, 2, 3], 1), filled([3, 4], 2)
    both = table_of()
    both.load(one.slabs())
    with pytest.raises(ValueError, match="Id 3 is given"):
        both.load(two.slabs())
    assert len(both) == 3
    both.load(two.slabs(), on_duplicate="keep")
    np.testing.assert_array_equal(both.lookup([1, 2, 3]), one.lookup([1, 2, 3]))
    np.testing.assert_array_equal(both.lookup([4]), two.lookup([4]))
    both.load(two.slabs(), on_duplicate="replace")
    np.testing.assert_array_equal(both.lookup([3, 4]), two.lookup([3, 4]))


def test_wrong_rows_are_refused_and_nothing_changes():
    table = filled([1, 2])
    state = state_of(table)
    ones = np.ones((2, D))
    for ids, values, match in [
        ([3, 3], ones, "Id 3 is given twice"),
        ([3, 4], ones[:, :2], "do not fit"),
        ([3, 4, 5], ones, "do not fit"),
        ([3.0, 4.0], ones, "do not fit"),
        (list(range(1001)), np.ones((1001, D)), "full"),
    ]:
        with pytest.raises((ValueError, IndexError), match=match):
            table.set(ids, values)
        assert table.ids.tolist() == [1, 2]
    with pytest.raises(ValueError, match="Id 3 is given to State 'm', but Table 't' has no row"):
        state.set([1, 3], ones)
    assert not state.live_rows().any()
    with pytest.raises(ValueError, match="on_duplicate"):
        table.load([], on_duplicate="other")
    with pytest.raises(ValueError, match="has lost its table"):
        len(TableState((5, D), np.float32, 0.0, LoDTensor()))


def test_as_an_array():
    table = HashTable((6, D), np.float32, UNIFORM, "w")
    table.set([4, 0], [[1, 2, 3], [4, 5, 6]])
    dense = np.array(LoDTensor(table))
    assert dense.shape == (6, D) and dense[[0, 4], 0].tolist() == [4, 1] and not dense[[1, 2, 3, 5]].any()
    tensor = LoDTensor(table)
    tensor.set(np.ones((6, D), np.float32))
    assert table.ids.tolist() == [4, 0, 1, 2, 3, 5] and (np.array(tensor) == 1).all()
    other = HashTable((6, D), np.float32, UNIFORM, "w")
    admit(other, [6])
    with pytest.raises(ValueError, match="'w' cannot be read as an array"):
        np.array(LoDTensor(other))
    with pytest.raises(MemoryError, match="larger than memory"):
        HashTable((2**40, D), np.float32).to_dense()


def test_get_table_gives_every_table_the_same_verbs():
    scope = fluid.Scope()
    scope.var("w").get_tensor().set(np.arange(15, dtype=np.float32).reshape(5, D))
    scope.var("t").cell.value = filled([0, 1, 2, 3, 4])
    for name in ("w", "t"):
        table = scope.find_var(name).get_table()
        assert len(table) == 5 and table.ids.tolist() == [0, 1, 2, 3, 4] and table.shape[1] == D
        table.set([1, 3], np.ones((2, D)))
        assert (table.lookup([3, 1]) == 1).all() and table.stats()["live_rows"] == 5
        ids, values = zip(*table.slabs(2), strict=True)
        assert [len(part) for part in ids] == [2, 2, 1]
        np.testing.assert_array_equal(np.concatenate(values), table.lookup(table.ids))
    scope.var("v").get_tensor().set(np.ones(3, np.float32))
    for name in ("v", "nothing"):
        with pytest.raises(TypeError, match=f"{name!r} holds no table"):
            scope.var(name).get_table()


def test_threads_may_look_up_while_one_trains(threads):
    table, stop, wrong = HashTable((10**6, D), np.float32, UNIFORM), threading.Event(), []
    known = np.arange(500)
    admit(table, known)
    expected = table.lookup(known)

    def look():
        while not stop.is_set():
            if not (table.lookup(known) == expected).all():
                wrong.append(1)

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for k in range(40):
        admit(table, np.arange(1000) + 500 + 1000 * k)
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong and len(table) == 40_500
