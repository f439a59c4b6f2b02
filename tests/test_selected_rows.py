"""SelectedRows by its laws: what it stands for is a (height, D) array, and every operation agrees with that array."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluidlite import SelectedRows
from fluidlite.errors import InvalidArgumentError, InvalidTypeError, OutOfRangeError
from fluidlite.selected_rows import Chunk

HEIGHT, D = 7, 3
DTYPES = st.sampled_from([np.float32, np.float64])
# Small integers add exactly in any order, so that laws hold bit for bit and not only about.
NUMBERS = st.integers(-1000, 1000)


@st.composite
def selected_rows(draw, dtype=None, padding=True):
    """One to three chunks, duplicates and empty chunks and padding ids included."""
    dtype = draw(DTYPES) if dtype is None else dtype
    chunks = []
    for _ in range(draw(st.integers(1, 3))):
        rows = draw(st.lists(st.sampled_from([0, 1, 2, HEIGHT - 2, HEIGHT - 1]), max_size=8))
        value = draw(st.lists(st.lists(NUMBERS, min_size=D, max_size=D), min_size=len(rows), max_size=len(rows)))
        padding_id = draw(st.sampled_from([None, 0, 1, HEIGHT - 1])) if padding else None
        chunks.append(Chunk(np.array(rows, np.int64), np.array(value, dtype).reshape(len(rows), D), padding_id))
    return SelectedRows.from_chunks(chunks, HEIGHT)


@st.composite
def pairs(draw, n=2):
    dtype = draw(DTYPES)
    return tuple(draw(selected_rows(dtype)) for _ in range(n))


def dense(s):
    """What a SelectedRows stands for, the slow way."""
    out = np.zeros((HEIGHT, D), s.dtype)
    for chunk in s.chunks:
        for row, value in zip(chunk.rows, chunk.value, strict=True):
            if row != chunk.padding_id:
                out[row] += value
    return out


def same(a, b):
    assert (a.height, a.dtype) == (b.height, b.dtype)
    np.testing.assert_array_equal(a.rows, b.rows)
    np.testing.assert_array_equal(a.value, b.value)


@given(selected_rows())
def test_to_dense_is_the_sum_of_what_is_said_of_each_row(s):
    np.testing.assert_array_equal(s.to_dense(), dense(s))
    assert s.to_dense().dtype == s.dtype
    assert s.to_dense().shape == s.shape == (HEIGHT, D)


@given(selected_rows())
def test_to_dense_overwrites_the_array_given(s):
    out = np.full(s.shape, np.nan, s.dtype)
    assert s.to_dense(out=out) is out
    np.testing.assert_array_equal(out, dense(s))


@given(selected_rows())
def test_merge_names_every_row_once_in_ascending_order(s):
    merged = s.merge()
    assert (np.diff(merged.rows) > 0).all()
    assert set(merged.rows) == set(s.rows)
    assert len(merged.chunks) == 1
    np.testing.assert_array_equal(merged.to_dense(), dense(s))


@given(selected_rows())
def test_merge_is_idempotent(s):
    same(s.merge().merge(), s.merge())


@given(pairs())
def test_a_sum_stands_for_the_sum_of_the_arrays(both):
    a, b = both
    np.testing.assert_array_equal((a + b).to_dense(), a.to_dense() + b.to_dense())


@given(pairs())
def test_addition_commutes_up_to_merge(both):
    a, b = both
    same((a + b).merge(), (b + a).merge())


@given(pairs(3))
def test_addition_associates_up_to_merge(three):
    a, b, c = three
    same(((a + b) + c).merge(), (a + (b + c)).merge())
    same((a + b).merge() + c.merge(), (a + b).merge() + c.merge())


@given(pairs())
def test_a_sum_copies_nothing_and_changes_neither_side(both):
    a, b = both
    before = [(c.rows.copy(), c.value.copy()) for s in both for c in s.chunks]
    total = a + b
    for mine, theirs in zip(total.chunks, a.chunks + b.chunks, strict=True):
        assert mine.rows is theirs.rows
        assert mine.value is theirs.value
    total.merge(), total.to_dense(), total.scale(2.0), total.copy()
    for (rows, value), chunk in zip(before, a.chunks + b.chunks, strict=True):
        np.testing.assert_array_equal(chunk.rows, rows)
        np.testing.assert_array_equal(chunk.value, value)


@given(pairs())
def test_subtraction_adds_the_negative(both):
    a, b = both
    np.testing.assert_array_equal((a + b + a).to_dense(), 2 * a.to_dense() + b.to_dense())
    same((a - b).merge(), (a + (-b)).merge())
    np.testing.assert_array_equal((a - b).to_dense(), a.to_dense() - b.to_dense())


@given(selected_rows(), st.integers(-50, 50))
def test_scaling_scales_the_array(s, factor):
    products = [s * factor, factor * s, s * float(factor), s * np.float32(factor), np.int64(factor) * s]
    for scaled in (s.scale(factor), *products):
        np.testing.assert_array_equal(scaled.to_dense(), s.to_dense() * factor)
        assert scaled.dtype == s.dtype
    same(s.scale(factor).merge(), s.merge().scale(factor))


@given(selected_rows(), st.sampled_from([1, 2, -4, 0.5]))
def test_division_and_negation(s, divisor):
    np.testing.assert_array_equal((s / divisor).to_dense(), s.to_dense() / s.dtype.type(divisor))
    np.testing.assert_array_equal((-s).to_dense(), -s.to_dense())


@given(selected_rows())
def test_a_sum_with_an_array_is_an_array_and_changes_neither_side(s):
    array = np.arange(HEIGHT * D, dtype=s.dtype).reshape(HEIGHT, D)
    before = array.copy()
    for total in (s + array, array + s):
        assert isinstance(total, np.ndarray)
        np.testing.assert_array_equal(total, before + dense(s))
    np.testing.assert_array_equal(s - array, dense(s) - before)
    np.testing.assert_array_equal(array, before)


@given(selected_rows())
def test_an_array_minus_a_selected_rows_is_an_array(s):
    array = np.arange(HEIGHT * D, dtype=s.dtype).reshape(HEIGHT, D)
    np.testing.assert_array_equal(array - s, array - dense(s))


@given(selected_rows())
def test_add_to_adds_in_place(s):
    array = np.ones((HEIGHT, D), s.dtype)
    assert s.add_to(array) is array
    np.testing.assert_array_equal(array, 1 + dense(s))


@given(selected_rows())
def test_rows_and_value_fit_and_hide_padding(s):
    assert s.rows.dtype == np.int64
    assert s.rows.shape == (len(s.value),)
    assert s.value.shape == (len(s.rows), D)
    for chunk in s.chunks:
        assert chunk.padding_id is None or chunk.padding_id not in chunk.kept()[0]
    if all(chunk.padding_id == 1 for chunk in s.chunks):
        assert 1 not in s.rows
        assert 1 not in s.merge().rows
    same(SelectedRows(s.rows, s.value, HEIGHT).merge(), s.merge())


@given(selected_rows())
def test_a_copy_owns_its_arrays(s):
    copy = s.copy()
    same(copy, SelectedRows(s.rows, s.value, HEIGHT))
    for chunk in s.chunks:
        assert not np.shares_memory(copy.value, chunk.value)
        assert not np.shares_memory(copy.rows, chunk.rows)


@given(selected_rows())
def test_astype_keeps_rows_and_padding(s):
    other = np.float64 if s.dtype == np.float32 else np.float32
    np.testing.assert_array_equal(s.astype(other).to_dense(), s.to_dense().astype(other))
    assert s.astype(other).dtype == other
    np.testing.assert_array_equal(s.astype(other).rows, s.rows)


@given(st.lists(st.tuples(st.integers(0, HEIGHT - 1), st.floats(-1e6, 1e6, width=32)), max_size=40))
def test_duplicates_are_summed_in_order_of_position(said):
    rows = np.array([row for row, _ in said], np.int64)
    value = np.array([v for _, v in said], np.float32).reshape(-1, 1)
    merged = SelectedRows(rows, value, HEIGHT).merge()
    for row, total in zip(merged.rows, merged.value[:, 0], strict=True):
        expected = np.float32(0)
        first = True
        for v in value[rows == row, 0]:
            expected = v if first else np.float32(expected + v)
            first = False
        assert total == expected


def test_one_chunk_gives_its_own_arrays():
    rows, value = np.array([2, 0, 2]), np.ones((3, D), np.float32)
    s = SelectedRows(rows=rows, value=value, height=HEIGHT)
    assert s.rows is rows
    assert s.value is value


def test_padding_occurrences_are_hidden_and_skipped():
    chunk = Chunk(np.array([4, 2, 4, 1]), np.arange(12, dtype=np.float32).reshape(4, 3), 4)
    s = SelectedRows.from_chunks((chunk,), HEIGHT)
    assert s.rows.tolist() == [2, 1]
    assert s.value[:, 0].tolist() == [3, 9]
    assert s.merge().rows.tolist() == [1, 2]
    assert not s.to_dense()[4].any()


def test_each_chunk_has_a_padding_id_of_its_own():
    value = np.ones((2, D), np.float32)
    chunks = [Chunk(np.array([4, 2]), value, 4), Chunk(np.array([4, 2]), value, 2)]
    s = SelectedRows.from_chunks(chunks, HEIGHT)
    assert s.rows.tolist() == [2, 4]
    assert s.merge().rows.tolist() == [2, 4]
    assert (s.merge().value == 1).all()


@pytest.mark.parametrize("rows", [[], np.zeros(0), np.zeros(0, np.int32)])
def test_an_empty_one_is_zero(rows):
    s = SelectedRows(rows, np.zeros((0, D), np.float32), HEIGHT)
    assert s.rows.dtype == np.int64
    assert not s.to_dense().any()
    assert s.merge().value.shape == (0, D)
    assert (s + s).merge().rows.size == 0


@pytest.mark.parametrize("rows", [np.array([2, 0], np.int32), np.array([2, 0], np.uint8), [2, 0], (2, 0)])
def test_rows_of_any_integer_type_become_int64(rows):
    s = SelectedRows(rows, np.ones((2, D), np.float32), HEIGHT)
    assert s.rows.dtype == np.int64
    assert s.rows.tolist() == [2, 0]


@pytest.mark.parametrize(
    "value", [np.ones((D, 4), np.float32).T, np.ones((8, D), np.float32)[::2], np.broadcast_to(np.float32(1), (4, D))]
)
def test_values_of_any_layout(value):
    value = value.copy(order="K") if value.flags.owndata else value
    if not value.flags.owndata:
        value.flags.writeable = False
    s = SelectedRows([1, 1, 5, 0], value, HEIGHT)
    assert s.to_dense()[:, 0].tolist() == [1, 2, 0, 0, 0, 1, 0]
    assert s.merge().value[:, 0].tolist() == [1, 2, 1]


@pytest.mark.parametrize(("bad", "position"), [(-1, 1), (HEIGHT, 1), (2**40, 2)])
def test_a_row_outside_is_named_with_its_position(bad, position):
    rows = np.array([0, 1, 2])
    rows[position] = bad
    with pytest.raises(OutOfRangeError, match=f"Row {bad} at position {position}") as caught:
        SelectedRows(rows, np.ones((3, D), np.float32), HEIGHT)
    assert str(HEIGHT) in caught.value.expected


def test_a_uint64_row_beyond_int64_is_refused():
    with pytest.raises(OutOfRangeError):
        SelectedRows(np.array([2**63 + 1], np.uint64), np.ones((1, D), np.float32), HEIGHT)


@pytest.mark.parametrize(
    ("rows", "value"),
    [
        ([0.0, 1.0], np.ones((2, D), np.float32)),
        ([True, False], np.ones((2, D), np.float32)),
        ([0, 1], np.ones((2, D), np.int64)),
        ([0, 1], np.ones((2, D), np.float16)),
        (["0", "1"], np.ones((2, D), np.float32)),
    ],
)
def test_other_types_are_refused(rows, value):
    with pytest.raises(InvalidTypeError):
        SelectedRows(rows, value, HEIGHT)


@pytest.mark.parametrize(
    ("rows", "value"),
    [([0], np.ones((2, D), np.float32)), ([[0, 1]], np.ones((2, D), np.float32)), ([0, 1], np.ones(2, np.float32))],
)
def test_shapes_that_do_not_fit_are_refused(rows, value):
    with pytest.raises(InvalidArgumentError, match="do not fit together"):
        SelectedRows(rows, value, HEIGHT)


def test_unlike_ones_are_not_added():
    a = SelectedRows([0], np.ones((1, D), np.float32), HEIGHT)
    for b in (
        SelectedRows([0], np.ones((1, D), np.float32), HEIGHT + 1),
        SelectedRows([0], np.ones((1, D + 1), np.float32), HEIGHT),
        SelectedRows([0], np.ones((1, D), np.float64), HEIGHT),
    ):
        with pytest.raises(InvalidArgumentError):
            a + b
    with pytest.raises(InvalidArgumentError):
        a + np.ones((HEIGHT, D + 1), np.float32)
    with pytest.raises(InvalidArgumentError):
        a.to_dense(out=np.ones((HEIGHT + 1, D), np.float32))


def test_a_refused_to_dense_leaves_the_array_alone():
    a = SelectedRows([0], np.ones((1, D), np.float32), HEIGHT)
    out = np.ones((HEIGHT + 1, D), np.float32)
    with pytest.raises(InvalidArgumentError):
        a.to_dense(out=out)
    assert (out == 1).all()


@pytest.mark.parametrize("other", ["a", None, [1, 2]])
def test_arithmetic_with_other_things_is_a_type_error(other):
    a = SelectedRows([0], np.ones((1, D), np.float32), HEIGHT)
    for operation in (lambda: a + other, lambda: a - other, lambda: other + a):
        with pytest.raises(TypeError):
            operation()


def test_its_text_says_how_large_it_is():
    text = repr(SelectedRows([0, 1], np.ones((2, D), np.float32), HEIGHT))
    assert "(2, 3)" in text
    assert "height=7" in text
