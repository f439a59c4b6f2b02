"""LoDTensor: an array with nested sequence offsets."""

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.errors import InvalidArgumentError, InvalidTypeError


def tensor(rows=4, lengths=None):
    t = fluid.LoDTensor()
    t.set(np.arange(rows, dtype=np.float32).reshape(rows, 1))
    if lengths is not None:
        t.set_recursive_sequence_lengths(lengths)
    return t


def test_offsets_and_lengths_say_the_same():
    t = tensor(4, [[3, 0, 1]])
    assert t.lod() == [[0, 3, 3, 4]]
    assert t.recursive_sequence_lengths() == [[3, 0, 1]]
    t.set_lod([[0, 1, 4]])
    assert t.recursive_sequence_lengths() == [[1, 3]]
    assert t.has_valid_recursive_sequence_lengths()


def test_two_levels():
    t = tensor(4, [[2, 1], [1, 2, 1]])
    assert t.lod() == [[0, 2, 3], [0, 1, 3, 4]]
    assert t.has_valid_recursive_sequence_lengths()


@pytest.mark.parametrize("lengths", [[[3]], [[5]], [[2, 3]], [[5, -1]], [[3], [2, 1, 1, 1]], [[]]])
def test_lengths_that_do_not_cover_the_rows_are_refused_and_change_nothing(lengths):
    t = tensor(4, [[1, 3]])
    with pytest.raises(InvalidArgumentError, match="lod info is invalid"):
        t.set_recursive_sequence_lengths(lengths)
    assert t.recursive_sequence_lengths() == [[1, 3]]


@pytest.mark.parametrize("lod", [[[1, 4]], [[0, 3]], [[0, 5, 4]], [[0]]])
def test_offsets_that_do_not_cover_the_rows_are_refused(lod):
    with pytest.raises(InvalidArgumentError):
        tensor(4).set_lod(lod)


def test_lod_may_be_set_before_the_rows_and_is_then_checked():
    t = fluid.LoDTensor()
    t.set_recursive_sequence_lengths([[3, 1]])
    assert not t.has_valid_recursive_sequence_lengths()
    t.set(np.zeros((4, 1), np.float32))
    assert t.has_valid_recursive_sequence_lengths()
    t.set(np.zeros((5, 1), np.float32))
    assert not t.has_valid_recursive_sequence_lengths()


def test_no_lod_is_valid():
    assert tensor(4).lod() == []
    assert tensor(4).has_valid_recursive_sequence_lengths()


def test_shape_length_and_dtype():
    t = tensor(4)
    assert t.shape() == [4, 1]
    assert len(t) == 4
    assert t._dtype() == fluid.core.VarDesc.VarType.FP32
    assert fluid.LoDTensor().shape() == []
    assert len(fluid.LoDTensor()) == 0


def test_set_takes_a_copy_and_may_change_shape_and_dtype():
    array = np.asfortranarray(np.ones((3, 2)))
    t = tensor(4)
    t.set(array, fluid.CPUPlace())
    array[:] = 7
    np.testing.assert_array_equal(np.array(t), np.ones((3, 2)))
    assert np.array(t).dtype == np.float64


@pytest.mark.parametrize("bad", [np.array(["a"]), np.array([1j]), np.array([None])])
def test_set_refuses_what_is_no_tensor_and_keeps_the_old_value(bad):
    t = tensor(4)
    with pytest.raises(InvalidTypeError):
        t.set(bad)
    assert t.shape() == [4, 1]


def test_conversion_to_arrays():
    t = tensor(2)
    assert np.array(t, dtype=np.float64).dtype == np.float64
    assert np.asarray(t).tolist() == [[0], [1]]
    assert not np.asarray(t).flags.writeable
    assert np.array(t).flags.writeable
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":  # before, copy=False meant "if it can be avoided"
        with pytest.raises(ValueError, match="copy"):
            np.array(t, dtype=np.float64, copy=False)


def test_reading_before_it_is_set_is_refused():
    with pytest.raises(InvalidArgumentError, match="not initialized"):
        np.array(fluid.LoDTensor())


@pytest.mark.parametrize(
    "data", [np.arange(4).reshape(4, 1), [[0, 1, 2], [3]], fluid.create_lod_tensor([[0, 1, 2, 3]], [[4]])]
)
def test_create_from_array_list_and_tensor(data):
    t = fluid.create_lod_tensor(data, [[3, 1]], fluid.CPUPlace())
    assert t.lod() == [[0, 3, 4]]
    np.testing.assert_array_equal(np.array(t), np.arange(4).reshape(4, 1))
    assert np.array(t).dtype == np.int64


@pytest.mark.parametrize("data", [np.zeros((5, 1)), [[0, 1], [2, 3]]])
def test_create_refuses_lengths_that_do_not_fit(data):
    with pytest.raises(InvalidArgumentError, match="recursive_sequence_lengths info is invalid"):
        fluid.create_lod_tensor(data, [[3, 1]])


def test_create_refuses_other_data():
    with pytest.raises(InvalidTypeError, match="str"):
        fluid.create_lod_tensor("abcd", [[3, 1]])


def test_create_takes_a_copy():
    array = np.zeros((4, 1))
    t = fluid.create_lod_tensor(array, [[3, 1]])
    array[:] = 7
    assert not np.array(t).any()


def test_its_text_says_what_it_holds():
    assert repr(fluid.LoDTensor()) == "LoDTensor(not initialized)"
    assert "[4, 1]" in repr(tensor(4, [[3, 1]]))
    assert "[[0, 3, 4]]" in repr(tensor(4, [[3, 1]]))
