"""LoDTensor: an array with nested sequence offsets."""

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.errors import InvalidArgumentError, InvalidTypeError, OutOfRangeError
from fluidlite.tables import RowState


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


def test_steps_of_lists_and_of_fractions():
    t = fluid.create_lod_tensor([[[1, 2], [3, 4]], [[5, 6]]], [[2, 1]])
    assert t.shape() == [3, 2, 1] and np.array(t).dtype == np.int64
    t = fluid.create_lod_tensor([[1.5, 2], [3]], [[2, 1]])
    assert np.array(t).tolist() == [[1.5], [2.0], [3.0]]
    assert fluid.create_lod_tensor([[], []], [[0, 0]]).shape() == [0, 1]


def test_lengths_alone_are_for_rows_that_come_later():
    t = fluid.LoDTensor([[2, 1]])
    assert t.lod() == [[0, 2, 3]] and not t._is_initialized()
    t.set(np.zeros((3, 1)))
    assert t.has_valid_recursive_sequence_lengths() and t._is_initialized()


def test_parts_are_copies_and_keep_dimensions():
    t = tensor(4, [[1, 3]])
    array = np.array(t)
    for key, rows in ((slice(1, 3), slice(1, 3)), (1, slice(1, 2)), (-1, slice(3, 4)), (-2, slice(2, 3))):
        np.testing.assert_array_equal(np.array(t[key]), array[rows])
        assert t[key].lod() == []
    np.testing.assert_array_equal(np.array(t[:, 0]), array[:, :1])
    assert t[:, 0].lod() == t.lod()
    t[0].value.fill(9)
    np.testing.assert_array_equal(np.array(t), array)
    with pytest.raises(OutOfRangeError):
        t[4]
    with pytest.raises(OutOfRangeError):
        t[-5]


def test_random_integers_include_both_bounds_and_follow_numpys_seed():
    np.random.seed(3)
    t = fluid.create_random_int_lodtensor([[1], [200]], [1, 2], fluid.CPUPlace(), 2, 4)
    assert t.shape() == [200, 1, 2] and t.recursive_sequence_lengths() == [[1], [200]]
    assert set(np.array(t).ravel().tolist()) == {2, 3, 4} and np.array(t).dtype == np.int64
    np.random.seed(3)
    again = fluid.create_random_int_lodtensor([[1], [200]], [1, 2], fluid.CPUPlace(), 2, 4)
    np.testing.assert_array_equal(np.array(t), np.array(again))
    np.random.seed(3)
    small = fluid.create_random_int_lodtensor([[2, 3]], [1], fluid.CPUPlace(), 0, 5)
    assert np.array(small)[:, 0].tolist() == [2, 0, 1, 3, 0]  # of Fluid 1.8.5
    with pytest.raises(InvalidTypeError, match="base_shape should be a list"):
        fluid.create_random_int_lodtensor([[2]], (1,), fluid.CPUPlace(), 0, 5)


def test_an_array_of_tensors_is_a_list():
    array = fluid.LoDTensorArray()
    array.append(tensor(2))
    assert fluid.core.LoDTensorArray is fluid.LoDTensorArray and len(array) == 1 and array[0].shape()[0] == 2
    assert len(array._move_to_list()) == 1 and len(array) == 0


def test_a_long_lod_that_does_not_fit_is_told_in_few_words():
    t = tensor(4)
    with pytest.raises(InvalidArgumentError) as caught:
        t.set_lod([list(range(1, 5000))])
    assert "does not start at 0: [" in str(caught.value).splitlines()[0] and len(caught.value.summary) < 200


@pytest.mark.parametrize(("kind", "dtype"), [("float", np.float32), ("double", np.float64)])
def test_elements_by_number(kind, dtype):
    t = fluid.LoDTensor(np.arange(6, dtype=dtype).reshape(2, 3), [[0, 0, 2]])
    get, put = getattr(t, f"_get_{kind}_element"), getattr(t, f"_set_{kind}_element")
    put(4, 9.5)
    assert (type(get(0)), get(0), get(4), get(5)) == (float, 0.0, 9.5, 5.0)
    assert t._get_dims() == [2, 3] and t.lod() == [[0, 0, 2]] and t.value.dtype == dtype
    for index in (-1, 6):
        with pytest.raises(OutOfRangeError, match="out of range"):
            get(index)
        with pytest.raises(OutOfRangeError, match="out of range"):
            put(index, 1.0)
    with pytest.raises(InvalidTypeError, match="another dtype"):
        getattr(t, "_get_float_element" if kind == "double" else "_get_double_element")(0)
    with pytest.raises(InvalidArgumentError, match="not initialized"):
        getattr(fluid.LoDTensor(), f"_get_{kind}_element")(0)


def test_an_element_of_a_row_state_can_be_set():
    t = fluid.LoDTensor(RowState((3, 2), np.float32))
    t._set_float_element(5, 2.5)
    assert np.asarray(t).tolist() == [[0, 0], [0, 0], [0, 2.5]]
