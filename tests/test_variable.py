"""Variable: what it says of itself, and the arithmetic that users write with it."""

import warnings

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.core import VarDesc
from fluidlite.errors import InvalidArgumentError, InvalidTypeError

layers = fluid.layers
X = np.array([[1.5, -2.0, 3.0], [4.0, 5.0, -6.5]], np.float32)
Y = np.array([[2.0, 3.0, 0.5], [-1.0, 2.0, 4.0]], np.float32)


def test_a_variable_describes_itself(fresh):
    x = fluid.data("x", [None, 3], "float64", lod_level=1)
    assert (x.name, x.shape, x.lod_level) == ("x", (-1, 3), 1)
    assert x.dtype == VarDesc.VarType.FP64
    assert x.type == VarDesc.VarType.LOD_TENSOR
    assert x.stop_gradient
    assert not x.persistable
    assert x.block is fresh.main.global_block()
    assert "float64" in str(x)
    assert "lod_level=1" in str(x)


def test_layers_data_puts_the_batch_first_unless_told(fresh):
    assert layers.data("a", [4]).shape == (-1, 4)
    assert layers.data("b", [-1, 4]).shape == (-1, 4)
    assert layers.data("c", [None, 4]).shape == (-1, 4)
    assert layers.data("d", [2, 4], append_batch_size=False).shape == (2, 4)


def test_op_is_the_one_that_wrote_the_variable_last(fresh):
    x = fluid.data("x", [None, 3])
    assert x.op is None
    y = layers.relu(x)
    assert y.op is fresh.main.global_block().ops[-1]


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (lambda x, y: x + y, X + Y),
        (lambda x, y: x - y, X - Y),
        (lambda x, y: x * y, X * Y),
        (lambda x, y: x / y, X / Y),
        (lambda x, y: x**2, X**2),
        (lambda x, y: -x, -X),
        (lambda x, y: x + 2, X + 2),
        (lambda x, y: 2 + x, X + 2),
        (lambda x, y: x - 2.5, X - 2.5),
        (lambda x, y: 2.5 - x, 2.5 - X),
        (lambda x, y: x * -3, X * -3),
        (lambda x, y: 3 * x, X * 3),
        (lambda x, y: x / 4, X / 4),
        (lambda x, y: 4 / y, 4 / Y),
        (lambda x, y: 2**y, 2**Y),
        (lambda x, y: x % y, np.mod(X, Y)),
        (lambda x, y: x == y, X == Y),
        (lambda x, y: x != y, X != Y),
        (lambda x, y: x < y, X < Y),
        (lambda x, y: x <= 3.0, X <= 3.0),
        (lambda x, y: x > y, X > Y),
        (lambda x, y: x >= 3.0, X >= 3.0),
        (lambda x, y: x * np.float32(2), X * 2),
        (lambda x, y: np.float32(2) * x, X * 2),
        (lambda x, y: x + np.int64(2), X + 2),
    ],
)
def test_arithmetic(fresh, formula, expected):
    out = formula(fluid.data("x", [None, 3]), fluid.data("y", [None, 3]))
    (result,) = fresh.run({"x": X, "y": Y}, [out])
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    assert result.dtype == expected.dtype


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        np.s_[1:],
        np.s_[:, 1],
        np.s_[:, -2:],
        np.s_[::-1],
        np.s_[::2, 1:3],
        np.s_[..., 0],
        np.s_[0, 1:],
        np.s_[:, 5:],
    ],
)
def test_indexing_follows_numpy(fresh, index):
    x = np.arange(15, dtype=np.float32).reshape(5, 3)
    out = fluid.data("x", [None, 3])[index]
    (result,) = fresh.run({"x": x}, [out])
    np.testing.assert_array_equal(result, np.atleast_1d(x[index]))


@pytest.mark.parametrize("number", [np.int64(1), np.int32(1)])
def test_numpy_integers_are_indices(fresh, number):
    x = np.arange(15, dtype=np.float32).reshape(5, 3)
    (result,) = fresh.run({"x": x}, [fluid.data("x", [None, 3])[number]])
    np.testing.assert_array_equal(result.reshape(-1), x[1])


def test_an_index_out_of_range_names_the_variable(fresh):
    out = fluid.data("x", [None, 3])[7]
    with pytest.raises(fluid.EnforceNotMet, match="'x'"):
        fresh.run({"x": X}, [out])


@pytest.mark.parametrize(
    ("index", "error"),
    [
        ((0, 0, 0), InvalidArgumentError),
        ("a", InvalidTypeError),
        (1.5, InvalidTypeError),
        (True, InvalidTypeError),
        (slice(None, None, 0), InvalidArgumentError),
    ],
)
def test_bad_indices_are_refused_and_name_the_variable(fresh, index, error):
    x = fluid.data("x", [None, 3])
    with pytest.raises(error, match="'x'"):
        x[index]
    assert fresh.main.global_block().ops == []


@pytest.mark.parametrize("other", ["2", None, [1.0, 2.0]])
def test_arithmetic_with_other_things_is_a_type_error(fresh, other):
    x = fluid.data("x", [None, 3])
    with pytest.raises(TypeError):
        x + other
    with pytest.raises(TypeError):
        other * x


@pytest.mark.parametrize("formula", [lambda x, a: x + a, lambda x, a: a + x, lambda x, a: x * a, lambda x, a: a - x])
def test_arithmetic_with_an_array_is_a_type_error_and_not_an_array_of_variables(fresh, formula):
    x = fluid.data("x", [None, 3])
    with pytest.raises(TypeError):
        formula(x, np.ones(3, np.float32))
    assert fresh.main.global_block().ops == []


def test_division_by_the_number_zero_is_refused(fresh):
    with pytest.raises(InvalidArgumentError, match="'x'"):
        fluid.data("x", [None, 3]) / 0


def test_iterating_over_a_variable_is_refused(fresh):
    with pytest.raises(TypeError, match="'x'"):
        list(fluid.data("x", [None, 3]))


def test_astype_casts_toward_zero(fresh):
    out = fluid.data("x", [None, 3]).astype("int64")
    (result,) = fresh.run({"x": X}, [out])
    np.testing.assert_array_equal(result, X.astype(np.int64))
    assert out.dtype == VarDesc.VarType.INT64


@pytest.mark.parametrize("formula", [lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a < b])
def test_int_with_float_warns_where_the_user_wrote_it(fresh, formula):
    i, x = fluid.data("i", [None, 3], "int64"), fluid.data("x", [None, 3])
    with pytest.warns(UserWarning, match="'i' is int64 and 'x' is float32") as caught:
        formula(i, x)
    assert caught[0].filename == __file__


def test_int_plus_float_gives_the_left_dtype_as_in_fluid(fresh):
    i, x = fluid.data("i", [None, 3], "int64"), fluid.data("x", [None, 3])
    with pytest.warns(UserWarning):
        out = i + x
    (result,) = fresh.run({"i": np.array([[1, 2, 3]]), "x": np.array([[0.9, 1.9, -1.9]], np.float32)}, [out])
    assert result.dtype == np.int64
    np.testing.assert_array_equal(result, [[1, 3, 2]])


def test_float_with_int_and_float_with_float_do_not_warn(fresh):
    i, x, y = fluid.data("i", [None, 3], "int64"), fluid.data("x", [None, 3]), fluid.data("y", [None, 3], "float64")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (x + i).dtype == x.dtype
        assert (y + x).dtype == y.dtype


def test_variables_are_dictionary_keys_by_identity(fresh):
    x, y = fluid.data("x", [None, 3]), fluid.data("y", [None, 3])
    names = {x: "x", y: "y"}
    assert (names[x], names[y]) == ("x", "y")
    assert len({x, y, x}) == 2
    assert fresh.main.global_block().ops == []


def test_marking_a_variable_persistable_is_seen_by_the_next_run(fresh):
    y = fluid.data("x", [None, 3]) * 2.0
    z = y + 1.0
    fresh.run({"x": X}, [z])
    assert fresh.scope.find_var(y.name) is None
    y.persistable = True
    fresh.run({"x": X}, [z])
    np.testing.assert_array_equal(fresh.value(y.name), X * 2)
