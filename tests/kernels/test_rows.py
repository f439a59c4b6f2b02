"""gather_rows, merge_rows, scatter_add_rows: values against plain loops, laws, refusals."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluidlite._kernels.rows import IdOutOfRange, gather_rows, merge_rows, scatter_add_rows

DTYPES = [np.float32, np.float64]
HUGE = 2**62  # a height for which a row and a position do not fit into one 64-bit key


def random_chunk(rng, n, width, height, dtype=np.float32, padding_id=None):
    return rng.integers(0, height, n), rng.standard_normal((n, width)).astype(dtype), padding_id


def occurrences(chunks):
    for rows, value, padding_id in chunks:
        for row, occurrence in zip(rows, value, strict=True):
            if padding_id is None or row != padding_id:
                yield int(row), occurrence


def merge_by_loop(chunks):
    """Sums in the dtype of the values and in the order of the positions, as merge_rows promises, bit for bit."""
    sums = {}
    for row, occurrence in occurrences(chunks):
        sums[row] = sums[row] + occurrence if row in sums else occurrence.copy()
    rows = sorted(sums)
    width, dtype = chunks[0][1].shape[1], chunks[0][1].dtype
    value = np.array([sums[row] for row in rows], dtype).reshape(len(rows), width)
    return np.array(rows, np.int64), value


def assert_merges(chunks, height):
    rows, value = merge_rows(chunks, height)
    expected_rows, expected_value = merge_by_loop(chunks)
    assert rows.dtype == np.int64 and value.dtype == chunks[0][1].dtype
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_array_equal(value, expected_value, strict=True)


class TestGatherRows:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("n", [0, 1, 7, 5000])
    @pytest.mark.parametrize("width", [0, 1, 2, 5, 8, 16, 32, 50, 200])
    def test_equals_indexing(self, dtype, n, width, threads):
        rng = np.random.default_rng(n + width)
        table = rng.standard_normal((11, width)).astype(dtype)
        ids = rng.integers(0, 11, n)
        out = np.full((n, width), 7, dtype)
        gather_rows(table, ids, out)
        np.testing.assert_array_equal(out, table[ids])

    def test_padding_reads_as_zero(self, threads):
        rng = np.random.default_rng(0)
        table = rng.standard_normal((7, 3)).astype(np.float32)
        ids = np.array([2, 0, 2, 6, 0])
        out = np.full((5, 3), 9, np.float32)
        gather_rows(table, ids, out, 2)
        np.testing.assert_array_equal(out, np.where((ids == 2)[:, None], 0, table[ids]))

    def test_large_gather_with_padding(self, threads):
        rng = np.random.default_rng(1)
        table = rng.standard_normal((1003, 5)).astype(np.float32)
        ids = rng.integers(0, 1003, 200_000)
        out = np.empty((200_000, 5), np.float32)
        gather_rows(table, ids, out, padding_id=3)
        np.testing.assert_array_equal(out, np.where((ids == 3)[:, None], np.float32(0), table[ids]))

    def test_out_may_be_part_of_a_wider_array(self):
        rng = np.random.default_rng(2)
        table = rng.standard_normal((7, 3))
        wide = np.full((5, 11), 4.0)
        ids = np.array([6, 1, 0, 1, 5])
        gather_rows(table, ids, wide[:, 2:5])
        np.testing.assert_array_equal(wide[:, 2:5], table[ids])
        assert (wide[:, :2] == 4).all() and (wide[:, 5:] == 4).all()

    def test_read_only_and_strided_inputs(self):
        table = np.arange(21.0).reshape(7, 3)
        ids = np.array([[6, 9], [1, 9], [0, 9]])[:, 0]
        table.flags.writeable = ids.flags.writeable = False
        out = np.empty((3, 3))
        gather_rows(table, ids, out)
        np.testing.assert_array_equal(out, table[ids])

    @pytest.mark.parametrize("padding_id", [None, -1, 10])
    @pytest.mark.parametrize("bad", [-1, 10, 2**40, -(2**63)])
    def test_id_out_of_range(self, bad, padding_id, threads):
        table = np.ones((10, 3), np.float32)
        for n, position in ((5, 3), (5, 0), (200_000, 199_999)):
            ids = np.zeros(n, np.int64)
            ids[position] = bad
            out = np.full((n, 3), 9, np.float32)
            with pytest.raises(IdOutOfRange, match=rf"^id {bad} at position {position} is outside \[0, 10\)$") as info:
                gather_rows(table, ids, out, padding_id)
            assert (info.value.id, info.value.position, info.value.height) == (bad, position, 10)
            assert (out == 9).all()

    def test_boundary_ids(self):
        table = np.arange(20.0).reshape(10, 2)
        out = np.empty((2, 2))
        gather_rows(table, np.array([0, 9]), out)
        np.testing.assert_array_equal(out, table[[0, 9]])

    def test_empty_table_has_no_id(self):
        gather_rows(np.empty((0, 3)), np.empty(0, np.int64), np.empty((0, 3)))
        with pytest.raises(IdOutOfRange, match=r"id 0 at position 0 is outside \[0, 0\)"):
            gather_rows(np.empty((0, 3)), np.zeros(1, np.int64), np.empty((1, 3)))

    @pytest.mark.parametrize(
        ("error", "message", "change"),
        [
            (TypeError, "`table` must be an array of float32 or float64, but is", {"table": np.ones((7, 3), int)}),
            (TypeError, "`table` must be a NumPy array of float32 or float64, but is list", {"table": [[1.0]]}),
            (TypeError, "`table` .* but is float16", {"table": np.ones((7, 3), np.float16)}),
            (TypeError, "`table` .* but is >f8", {"table": np.ones((7, 3), ">f8")}),
            (TypeError, "`ids` must be an array of int64, but is int32", {"ids": np.zeros(5, np.int32)}),
            (TypeError, "`padding_id` must be an integer or None, but is 'x'", {"padding_id": "x"}),
            (TypeError, "`out` must be an array of float64, but is float32", {"out": np.ones((5, 3), np.float32)}),
            (ValueError, "`table` must have 2 axes, but its shape is \\(7,\\)", {"table": np.ones(7)}),
            (ValueError, "`ids` must have 1 axis", {"ids": np.zeros((5, 1), np.int64)}),
            (ValueError, "`table` must be C-contiguous", {"table": np.ones((7, 6))[:, ::2]}),
            (ValueError, "`table` must be C-contiguous", {"table": np.ones((14, 3))[::2]}),
            (ValueError, "`out` must have contiguous rows", {"out": np.ones((5, 6))[:, ::2]}),
            (ValueError, "`out` must have shape \\(5, 3\\)", {"out": np.ones((4, 3))}),
            (ValueError, "`out` must have shape \\(5, 3\\)", {"out": np.ones((5, 2))}),
        ],
    )
    def test_refuses(self, error, message, change):
        arguments = {"table": np.ones((7, 3)), "ids": np.zeros(5, np.int64), "out": np.full((5, 3), 9.0), **change}
        before = arguments["out"].copy()
        with pytest.raises(error, match=message):
            gather_rows(**arguments)
        np.testing.assert_array_equal(arguments["out"], before)

    def test_refuses_read_only_out(self):
        out = np.ones((5, 3))
        out.flags.writeable = False
        with pytest.raises(ValueError, match="`out` is read-only"):
            gather_rows(np.ones((7, 3)), np.zeros(5, np.int64), out)

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("width", [1, 5, 8, 16, 32, 50])
    @pytest.mark.parametrize("shift", [1, 2, 3, 7])
    def test_a_table_may_lie_at_any_address(self, dtype, width, shift, threads):
        values = np.random.default_rng(width).standard_normal((11, width)).astype(dtype)
        table = np.frombuffer(b"x" * shift + values.tobytes(), dtype, values.size, shift).reshape(values.shape)
        ids = np.array([10, 0, 3, 3, 1] * 500)
        out = np.full((len(ids), width), 7, dtype)
        gather_rows(table, ids, out, 3)
        np.testing.assert_array_equal(out, np.where((ids == 3)[:, None], 0, values[ids]))
        assert not table.flags.aligned or table.ctypes.data % dtype().itemsize == 0

    def test_refuses_unaligned_ids_and_out(self):
        ids = np.frombuffer(bytes(5 * 8 + 1), np.int64, 5, 1)
        out = np.zeros(5 * 3 * 8 + 1, np.uint8)[1:].view(np.float64).reshape(5, 3)
        with pytest.raises(ValueError, match="`ids` is not aligned"):
            gather_rows(np.ones((7, 3)), ids, np.ones((5, 3)))
        with pytest.raises(ValueError, match="`out` is not aligned"):
            gather_rows(np.ones((7, 3)), np.zeros(5, np.int64), out)

    def test_refuses_shared_memory(self):
        table = np.ones((7, 3))
        with pytest.raises(ValueError, match="`out` and `table` share memory"):
            gather_rows(table, np.zeros(5, np.int64), table[2:])
        with pytest.raises(ValueError, match="rows of `out` share memory"):
            gather_rows(np.ones((7, 3)), np.zeros(5, np.int64), np.lib.stride_tricks.as_strided(table, (5, 3), (8, 8)))


class TestMergeRows:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("height", [1, 2, 13, 1000, 2**31 + 7, HUGE, 2**63 - 1])
    @pytest.mark.parametrize("n", [0, 1, 2, 63, 64, 65, 255, 1023, 1024, 3000])
    def test_sums_duplicates_in_order(self, n, height, dtype, threads):
        rng = np.random.default_rng(n)
        assert_merges([random_chunk(rng, n, 3, height, dtype)], height)

    @pytest.mark.parametrize("width", [0, 1, 7, 63, 64, 65, 130])
    def test_widths(self, width):
        rng = np.random.default_rng(width)
        assert_merges([random_chunk(rng, 40, width, 9)], 9)

    @pytest.mark.parametrize("height", [50, 70_000, HUGE])
    def test_large_batches(self, height, threads):
        """Several blocks of packing, of sorting and of rows; rows that cross the borders of all three."""
        rng = np.random.default_rng(height % 1000)
        assert_merges([random_chunk(rng, 70_001, 2, height)], height)

    def test_one_hot_row_spans_all_chunks_of_work(self, threads):
        rng = np.random.default_rng(5)
        rows, value, _ = random_chunk(rng, 50_000, 3, 11)
        rows[:] = 4
        rows[[0, 777, -1]] = [10, 0, 3]
        assert_merges([(rows, value, None)], 11)

    @pytest.mark.parametrize("height", [500, HUGE])
    def test_sorted_ids_skip_the_sort(self, height):
        rng = np.random.default_rng(6)
        rows, value, _ = random_chunk(rng, 40_000, 2, 500)
        rows.sort()
        assert_merges([(rows, value, None)], height)
        rows[16_384] = 0  # the only disorder lies on the border of two blocks
        rows[16_383] = 499
        rows[16_385:] = 499
        assert_merges([(rows, value, None)], height)

    @pytest.mark.parametrize("height", [17, 4000, HUGE])
    def test_several_chunks_with_paddings(self, height, threads):
        rng = np.random.default_rng(7)
        cases = ((30, 3), (0, 1), (1, None), (2000, 0), (9, 16))
        chunks = [random_chunk(rng, n, 5, 17, padding_id=padding_id) for n, padding_id in cases]
        assert_merges(chunks, height)

    @pytest.mark.parametrize("height", [9, HUGE])
    def test_only_paddings(self, height):
        chunks = [(np.full(5, 2), np.ones((5, 3)), 2), (np.full(100, 0), np.ones((100, 3)), 0)]
        for part in (chunks, chunks[:1], chunks[1:]):
            rows, value = merge_rows(part, height)
            assert rows.shape == (0,) and value.shape == (0, 3)

    @pytest.mark.parametrize("padding_id", [-1, 9, 2**62, 2**70])
    def test_padding_outside_the_table_ignores_nothing(self, padding_id):
        rng = np.random.default_rng(8)
        rows, value, _ = random_chunk(rng, 20, 3, 9)
        expected = merge_by_loop([(rows, value, None)])[1]
        np.testing.assert_array_equal(merge_rows([(rows, value, padding_id)], 9)[1], expected)

    def test_values_are_read_where_they_are(self):
        rng = np.random.default_rng(9)
        wide = rng.standard_normal((200, 12)).astype(np.float32)
        wide.flags.writeable = False
        rows = rng.integers(0, 7, 200)
        broadcast = np.broadcast_to(wide[0, :5], (200, 5))
        for value in (wide[:, 2:7], wide[::-1, 7:12], broadcast):
            assert_merges([(rows, value, None)], 7)
        assert_merges([(rows, wide[:, 2:7], 1), (rows[::-1], broadcast, None), (rows[:100:2], wide[::4, 7:12], 6)], 7)

    def test_result_does_not_depend_on_threads(self, with_threads):
        rng = np.random.default_rng(10)
        chunks = [random_chunk(rng, 60_000, 33, 3000), random_chunk(rng, 10_000, 33, 40, padding_id=0)]
        results = []
        for n in (1, 2, 3):
            with_threads(n)
            rows, value = merge_rows(chunks, 3000)
            results.append((rows.tobytes(), value.tobytes()))
        assert results[0] == results[1] == results[2]

    @pytest.mark.parametrize("height", [10, 70_000, HUGE])
    @pytest.mark.parametrize("n", [5, 100, 50_000])
    def test_id_out_of_range(self, n, height, threads):
        for bad in (-1, height, -(2**63)):
            rows = np.zeros(n, np.int64)
            rows[n - 2] = bad
            with pytest.raises(IdOutOfRange, match=rf"^id {bad} at position {n + 1} is outside \[0, {height}\)$"):
                merge_rows([(np.zeros(3, np.int64), np.ones((3, 2)), 0), (rows, np.ones((n, 2)), bad)], height)

    @pytest.mark.parametrize(
        ("error", "message", "chunks"),
        [
            (ValueError, "`chunks` is empty", []),
            (TypeError, "`chunks` must be a list", None),
            (TypeError, "chunk 0 must be \\(rows, value, padding_id\\)", [(np.zeros(2, np.int64), np.ones((2, 3)))]),
            (TypeError, "chunk 0 must be \\(rows, value, padding_id\\)", [7]),
            (TypeError, "`rows` must be an array of int64", [(np.zeros(2), np.ones((2, 3)), None)]),
            (TypeError, "`value` must be an array of float", [(np.zeros(2, np.int64), np.ones((2, 3), int), None)]),
            (ValueError, "`value` of chunk 0 must have shape", [(np.zeros(2, np.int64), np.ones((4, 3)), None)]),
            (ValueError, "`value` must have 2 axes", [(np.zeros(2, np.int64), np.ones(2), None)]),
            (ValueError, "`value` must have contiguous rows", [(np.zeros(2, np.int64), np.ones((3, 2)).T, None)]),
            (TypeError, "`padding_id` must be an integer", [(np.zeros(2, np.int64), np.ones((2, 3)), 1.0)]),
        ],
    )
    def test_refuses(self, error, message, chunks):
        with pytest.raises(error, match=message):
            merge_rows(chunks, 10)

    def test_refuses_mixed_chunks(self):
        first = (np.zeros(2, np.int64), np.ones((2, 3)), None)
        with pytest.raises(ValueError, match="`value` of chunk 1 must have shape \\(2, 3\\)"):
            merge_rows([first, (np.zeros(2, np.int64), np.ones((2, 5)), None)], 10)
        with pytest.raises(TypeError, match="`value` must be an array of float64, but is float32"):
            merge_rows([first, (np.zeros(2, np.int64), np.ones((2, 3), np.float32), None)], 10)

    @pytest.mark.parametrize("height", [-1, 2**63])
    def test_refuses_height_out_of_range(self, height):
        with pytest.raises(ValueError, match=f"`height` must lie in \\[0, 2\\^63\\), but is {height}"):
            merge_rows([(np.zeros(2, np.int64), np.ones((2, 3)), None)], height)

    @pytest.mark.parametrize("height", [10.5, None, "10"])
    def test_refuses_height_that_is_no_integer(self, height):
        with pytest.raises(TypeError, match="`height` must be an integer"):
            merge_rows([(np.zeros(2, np.int64), np.ones((2, 3)), None)], height)


class TestScatterAddRows:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("n", [0, 1, 20, 300, 40_000])
    def test_adds_every_occurrence_in_order(self, n, dtype, threads):
        rng = np.random.default_rng(n)
        out = rng.standard_normal((31, 5)).astype(dtype)
        chunks = [random_chunk(rng, n, 5, 23, dtype, padding_id=4), random_chunk(rng, n // 2, 5, 23, dtype)]
        expected = out.copy()
        for row, occurrence in occurrences(chunks):
            expected[row] += occurrence
        scatter_add_rows(out, chunks)
        np.testing.assert_array_equal(out, expected)

    def test_refuses_before_it_writes(self):
        out = np.full((10, 3), 7.0)
        rows = np.array([1, 2, 10])
        with pytest.raises(IdOutOfRange, match="id 10 at position 2"):
            scatter_add_rows(out, [(rows, np.ones((3, 3)), None)])
        with pytest.raises(ValueError, match="`value` and `out` share memory"):
            scatter_add_rows(out, [(rows, out[:3], None)])
        with pytest.raises(ValueError, match="`value` of chunk 0 must have shape \\(3, 3\\)"):
            scatter_add_rows(out, [(rows, np.ones((3, 2)), None)])
        assert (out == 7).all()

    def test_no_chunks(self):
        out = np.ones((10, 3))
        scatter_add_rows(out, [])
        assert (out == 1).all()


@st.composite
def chunk_lists(draw):
    height = draw(st.sampled_from([1, 2, 9, 5000, HUGE]))
    width = draw(st.sampled_from([1, 3, 66]))
    ids = st.integers(0, min(height, 12) - 1)
    chunks = []
    for _ in range(draw(st.integers(1, 4))):
        rows = np.array(draw(st.lists(ids, max_size=80)), np.int64)
        # Small integers: their sums are exact, so that the laws hold without a tolerance.
        seed = draw(st.integers(0, 2**32 - 1))
        value = np.random.default_rng(seed).integers(-9, 10, (len(rows), width)).astype(np.float32)
        chunks.append((rows, value, draw(st.none() | ids)))
    return chunks, height


@settings(deadline=None, max_examples=60)
@given(chunk_lists(), st.randoms(use_true_random=False))
def test_laws_of_merging(case, random):
    chunks, height = case
    rows, value = merge_rows(chunks, height)
    assert (np.diff(rows) > 0).all()
    assert_merges(chunks, height)

    again_rows, again_value = merge_rows([(rows, value, None)], height)
    np.testing.assert_array_equal(again_rows, rows)
    np.testing.assert_array_equal(again_value, value)

    shuffled = random.sample(chunks, len(chunks))
    other_rows, other_value = merge_rows(shuffled, height)
    np.testing.assert_array_equal(other_rows, rows)
    np.testing.assert_array_equal(other_value, value)

    parts = [merge_rows([chunk], height) for chunk in chunks]
    part_rows, part_value = merge_rows([(*part, None) for part in parts], height)
    np.testing.assert_array_equal(part_rows, rows)
    np.testing.assert_array_equal(part_value, value)


def test_id_out_of_range_survives_pickling():
    error = pickle.loads(pickle.dumps(IdOutOfRange(10, 3, 10)))
    assert isinstance(error, IndexError)
    assert str(error) == "id 10 at position 3 is outside [0, 10)"
    assert (error.id, error.position, error.height) == (10, 3, 10)
