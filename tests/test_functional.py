"""functional: the kernels on NumPy arrays, for training loops without a program."""

import math

import numpy as np
import pytest

import fluidlite
from fluidlite import SelectedRows
from fluidlite.errors import InvalidArgumentError, InvalidTypeError, OutOfRangeError
from fluidlite.functional import gather, sparse_adam_

V, D = 7, 3


def arrays(dtype=np.float32):
    rng = np.random.default_rng(0)
    return rng.standard_normal((V, D)).astype(dtype), np.zeros((V, D), dtype), np.zeros((V, D), dtype)


def grad_of(rows, dtype=np.float32, height=V, width=D):
    value = np.random.default_rng(1).standard_normal((len(rows), width)).astype(dtype)
    return SelectedRows(rows=rows, value=value, height=height)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_follows_the_formula_and_leaves_other_rows(dtype):
    p, m, v = arrays(dtype)
    before = p.copy()
    expected, em, ev = (a.astype(np.float64) for a in (p, m, v))
    for t, rows in enumerate(([1, 3, 1], [6, 0, 3], [1]), 1):
        grad = grad_of(rows, dtype)
        assert sparse_adam_(p, m, v, grad, t, learning_rate=0.1, beta1=0.8, beta2=0.9, epsilon=1e-4) is None
        merged = grad.astype(np.float64).merge()
        i, g = merged.rows, merged.value
        em[i] = 0.8 * em[i] + 0.2 * g
        ev[i] = 0.9 * ev[i] + 0.1 * g**2
        expected[i] -= 0.1 * (em[i] / (1 - 0.8**t)) / (np.sqrt(ev[i] / (1 - 0.9**t)) + 1e-4)
    tolerance = 2e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(p, expected, rtol=0, atol=tolerance * np.abs(expected).max())
    np.testing.assert_allclose(v, ev, rtol=1e-5)
    absent = [2, 4, 5]
    assert p[absent].tobytes() == before[absent].tobytes()
    assert not m[absent].any()


def test_the_first_step_moves_a_row_by_the_learning_rate():
    p, m, v = (np.zeros((V, D), np.float32) for _ in range(3))
    sparse_adam_(p, m, v, SelectedRows([2], np.full((1, D), 5, np.float32), V), 1)
    np.testing.assert_allclose(p[2], -1e-3, rtol=1e-5)


def test_chunks_and_padding_are_understood():
    p, m, v = arrays()
    q, n, w = arrays()
    a, b = grad_of([1, 3, 1]), grad_of([3, 5])
    sparse_adam_(p, m, v, a + b, 1)
    joined = SelectedRows(np.r_[a.rows, b.rows], np.r_[a.value, b.value], V)
    sparse_adam_(q, n, w, joined, 1)
    assert p.tobytes() == q.tobytes()


def refused(error, match, p, m, v, grad, step=1, **options):
    before = [a.copy() if isinstance(a, np.ndarray) else None for a in (p, m, v)]
    with pytest.raises(error, match=match):
        sparse_adam_(p, m, v, grad, step, **options)
    for array, kept in zip((p, m, v), before, strict=True):
        if kept is not None:
            np.testing.assert_array_equal(array, kept)


@pytest.mark.parametrize("grad", [np.ones((V, D), np.float32), None, [1, 2]])
def test_a_grad_that_is_no_selected_rows_is_refused(grad):
    refused(InvalidTypeError, "SelectedRows", *arrays(), grad)


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("damage", ["dtype", "list", "shape", "Fortran", "read-only", "strided", "rank"])
def test_an_array_that_does_not_fit_is_named(which, damage):
    given = list(arrays())
    a = given[which]
    strided = np.zeros((V, 2 * D), np.float32)[:, ::2]
    read_only = a.copy()
    read_only.flags.writeable = False
    given[which] = {
        "dtype": a.astype(np.float64),
        "list": a.tolist(),
        "shape": np.zeros((V + 1, D), np.float32),
        "Fortran": np.asfortranarray(a),
        "read-only": read_only,
        "strided": strided,
        "rank": a.reshape(-1),
    }[damage]
    error = InvalidTypeError if damage in ("dtype", "list") else InvalidArgumentError
    refused(error, ("param", "moment1", "moment2")[which], *given, grad_of([1, 2]))


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_arrays_that_share_memory_are_refused_as_ours(pair):
    given = list(arrays())
    given[pair[1]] = given[pair[0]]
    with pytest.raises(fluidlite.EnforceNotMet):
        sparse_adam_(*given, grad_of([1, 2]), 1)


@pytest.mark.parametrize("step", [0, -1, 1.5])
def test_steps_count_from_one(step):
    refused(InvalidArgumentError, "step", *arrays(), grad_of([1]), step)


@pytest.mark.parametrize("step", [None, "1", math.nan])
def test_a_step_that_is_no_number_is_refused_as_ours(step):
    with pytest.raises(fluidlite.EnforceNotMet, match="step"):
        sparse_adam_(*arrays(), grad_of([1]), step)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("beta1", 1.0),
        ("beta1", -0.1),
        ("beta2", 1.0),
        ("beta2", math.nan),
        ("epsilon", math.nan),
        ("epsilon", -1e-8),
    ],
)
def test_settings_out_of_range_are_named(name, value):
    refused(InvalidArgumentError, name, *arrays(), grad_of([1]), **{name: value})


def test_options_are_keywords():
    with pytest.raises(TypeError):
        sparse_adam_(*arrays(), grad_of([1]), 1, 0.1)


def test_numpy_numbers_are_taken_as_step_and_settings():
    p, m, v = arrays()
    q, n, w = arrays()
    sparse_adam_(p, m, v, grad_of([1]), np.int64(3), learning_rate=np.float64(0.1))
    sparse_adam_(q, n, w, grad_of([1]), 3, learning_rate=0.1)
    assert p.tobytes() == q.tobytes()


def test_a_gradient_of_no_rows_changes_nothing():
    p, m, v = arrays()
    before = p.tobytes()
    sparse_adam_(p, m, v, SelectedRows([], np.zeros((0, D), np.float32), V), 1)
    assert p.tobytes() == before


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,), (2, 0)])
@pytest.mark.parametrize("id_type", [np.int64, np.int32, np.uint8])
def test_gather_takes_ids_of_any_shape(shape, id_type):
    table = arrays()[0]
    ids = np.random.default_rng(2).integers(0, V, shape).astype(id_type)
    found = gather(table, ids)
    np.testing.assert_array_equal(found, table[ids])
    assert found.shape == (*shape, D)


def test_gather_takes_lists_and_zeroes_the_padding_row():
    table = arrays()[0]
    found = gather(table, [0, 4, V - 1, 4], padding_idx=4)
    np.testing.assert_array_equal(found[[0, 2]], table[[0, V - 1]])
    assert not found[[1, 3]].any()


@pytest.mark.parametrize("bad", [-1, V, 2**40])
def test_gather_names_a_bad_id_and_its_position(bad):
    with pytest.raises(OutOfRangeError, match=f"Id {bad} at position 2"):
        gather(arrays()[0], [0, 1, bad, -5])


@pytest.mark.parametrize("ids", [[0.0, 1.0], ["a"], [True]])
def test_gather_refuses_ids_that_are_no_integers(ids):
    with pytest.raises(InvalidTypeError, match="ids of gather"):
        gather(arrays()[0], ids)


def test_gather_refuses_uint64_ids_beyond_int64():
    with pytest.raises(OutOfRangeError, match="18446744073709551615"):
        gather(arrays()[0], np.array([2**64 - 1], np.uint64))


@pytest.mark.parametrize(
    "table",
    [np.zeros((V, D), np.int64), np.zeros(V, np.float32), np.zeros((D, V), np.float32).T, [[1.0, 2.0]]],
    ids=["int64", "rank 1", "not contiguous", "list"],
)
def test_gather_refuses_a_table_it_cannot_read_as_ours(table):
    with pytest.raises(fluidlite.EnforceNotMet, match="table"):
        gather(table, [0, 1])


def test_a_table_of_zeros_starts_a_cache_line():
    for shape, dtype in (((5, 3), "float32"), ((1000, 48), "float64"), (7, "float32"), ((0, 3), "float32")):
        table = fluidlite.functional.zeros(shape, dtype)
        assert table.shape == (shape if isinstance(shape, tuple) else (shape,)) and table.dtype == dtype
        assert not table.any() and table.flags.c_contiguous and table.flags.writeable
        assert not table.size or table.__array_interface__["data"][0] % 64 == 0


def test_a_table_of_zeros_beyond_the_memory_is_refused():
    with pytest.raises(MemoryError, match="needs 4,000 GB"):
        fluidlite.functional.zeros((10**9, 1000))
