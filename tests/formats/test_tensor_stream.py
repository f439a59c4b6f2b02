"""Streams of tensors: Fluid's bytes, sizes that are checked before memory is taken, states written by slab."""

import io
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluidlite.formats import tensor_stream
from fluidlite.formats.files import bytes_source
from fluidlite.formats.tensor_stream import (
    read_lod_tensor,
    read_selected_rows,
    slabs,
    write_lod_tensor,
    write_selected_rows,
)
from fluidlite.lod_tensor import LoDTensor
from fluidlite.tables import RowState, RowStore
from formats.reading import outcome, refuses

# Written by Fluid 1.8.5: a (4, 2) float32 tensor 0..7 with LoD [[0, 1, 2], [0, 3, 4]].
LOD_TENSOR = bytes.fromhex(
    "00000000 0200000000000000 1800000000000000 0000000000000000 0100000000000000 0200000000000000"
    "1800000000000000 0000000000000000 0300000000000000 0400000000000000 00000000 06000000 080510041002"
    "00000000 0000803f 00000040 00004040 00008040 0000a040 0000c040 0000e040"
)
# Rows [2, 0, 2] of 7, three equal numbers each but for one.
SELECTED_ROWS = bytes.fromhex(
    "00000000 0300000000000000 0200000000000000 0000000000000000 0200000000000000 0700000000000000"
    "00000000 06000000 080510031003 398ee33d 398ee33d 398ee33d 388ee33d 3a8ee33d 398ee33d 398ee33d 398ee33d 398ee33d"
)


def read(data, **options):
    source = bytes_source(data, "File 'w'")
    tensor = read_lod_tensor(source, "variable 'w'", **options)
    source.finish()
    return tensor


def read_rows(data, **options):
    source = bytes_source(data, "File 'w'")
    rows = read_selected_rows(source, "variable 'w'", **options)
    source.finish()
    return rows


def written(write, value):
    file = io.BytesIO()
    write(file, value)
    return file.getvalue()


def stream(dims, dtype=5, payload=b"", levels=b"\0" * 8, version=0, tensor_version=0):
    from fluidlite.formats.program_messages import TENSOR
    from fluidlite.formats.protobuf import encode

    desc = encode(TENSOR, {"data_type": dtype, "dims": dims})
    return struct.pack("<I", version) + levels + struct.pack("<Ii", tensor_version, len(desc)) + desc + payload


def test_lod_tensor_of_fluid():
    tensor = read(LOD_TENSOR, shape=(-1, 2), dtype=np.dtype(np.float32))
    assert tensor.lod() == [[0, 1, 2], [0, 3, 4]]
    np.testing.assert_array_equal(tensor.value, np.arange(8, dtype=np.float32).reshape(4, 2))
    assert written(write_lod_tensor, tensor) == LOD_TENSOR


def test_selected_rows_of_fluid():
    rows = read_rows(SELECTED_ROWS, shape=(7, 3), dtype=np.dtype(np.float32))
    assert rows.rows.tolist() == [2, 0, 2] and rows.height == 7 and rows.value.shape == (3, 3)
    assert written(write_selected_rows, rows) == SELECTED_ROWS


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(1,), (5, 3), (0, 3), (2, 3, 5, 7), ()])
def test_every_dtype_and_shape(dtype, shape):
    array = np.random.default_rng(3).integers(0, 2, shape).astype(dtype)
    tensor = read(written(write_lod_tensor, LoDTensor(array)), shape=shape, dtype=np.dtype(dtype))
    assert tensor.value.dtype == array.dtype and tensor.value.shape == (shape or (1,))
    assert tensor.value.tobytes() == array.tobytes()


def test_arrays_of_any_layout_are_written_in_order():
    array = np.arange(30, dtype=np.float64).reshape(5, 6)
    for view in (array[::2, ::-1], array.T, np.broadcast_to(array[0], (3, 6))):
        assert written(write_lod_tensor, LoDTensor(view)) == written(write_lod_tensor, LoDTensor(view.copy()))
    array.flags.writeable = False
    assert read(written(write_lod_tensor, LoDTensor(array))).value.tobytes() == array.tobytes()


@pytest.fixture
def state():
    """The second of two accumulators of a (1003, 5) table, some of whose rows were touched, in an order of its own."""
    state = RowState((1003, 5), np.float32)
    state.store, state.column = RowStore(1003, 10, np.float32), 1
    for number, row in enumerate([1002, 0, 500, 7], start=1):
        state.store.slots[row] = number
        state.store.data[number - 1] = np.arange(10) + row
        state.store.count[0] = number
    return state


@pytest.mark.parametrize("slab", [1, 40, 4096, 1 << 22])
def test_states_are_written_as_the_array_they_stand_for(state, slab, monkeypatch):
    monkeypatch.setattr(tensor_stream, "SLAB", slab)
    assert written(write_lod_tensor, LoDTensor(state)) == written(write_lod_tensor, LoDTensor(state.to_dense()))
    empty = RowState((17, 3), np.float64)
    assert written(write_lod_tensor, LoDTensor(empty)) == written(write_lod_tensor, LoDTensor(np.zeros((17, 3))))


def test_writing_takes_a_slab_of_memory():
    state, array = RowState((1 << 19, 16), np.float32), np.ones((1 << 19, 16), np.float32)

    class Nowhere:
        def write(self, data):
            return len(data)

    for value in (state, array):
        tracemalloc.start()
        write_lod_tensor(Nowhere(), LoDTensor(value))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1.2 * tensor_stream.SLAB


def test_reading_takes_the_array_alone():
    array = np.ones((1 << 18, 16), np.float32)
    data = written(write_lod_tensor, LoDTensor(array))
    tracemalloc.start()
    tensor = read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * array.nbytes
    np.testing.assert_array_equal(tensor.value, array)


def test_rows_alone():
    dense = np.zeros((1003, 5), np.float32)
    assert isinstance(read(written(write_lod_tensor, LoDTensor(dense)), rows_alone=True).value, RowState)
    dense[[0, 17, 1002]] = [[1.0], [-0.0], [3.0]]
    read_back = read(written(write_lod_tensor, LoDTensor(dense)), rows_alone=True).value
    assert read_back.tobytes() == dense.tobytes()


FLOAT32 = np.dtype(np.float32)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "ends inside the version of variable 'w'"),
        (stream([2, 3], version=1), "unknown version 1"),
        (stream([2, 3], tensor_version=7), "unknown version 7"),
        (stream([2, 3], payload=b"\0" * 23), r"ends inside the elements of variable 'w', shape \(2, 3\)"),
        (stream([2, 3], payload=b"\0" * 25), "goes on where it should end"),
        (stream([1 << 60, 3]), "ends inside the elements"),
        (stream([1 << 31, 1 << 31, 1 << 31]), "ends inside the elements"),
        (stream([0, 1 << 62, 1 << 62]), "no array can have"),
        (stream([1] * 70, payload=b"\0" * 4), "no array can have"),
        (stream([-1, 3]), "negative dimension"),
        (stream([2], dtype=7), "makes no sense"),
        (stream([2], dtype=99), "makes no sense"),
        (stream([2], dtype=0, payload=b"\0\2"), "neither true nor false"),
        (stream([1], levels=struct.pack("<Q", 1 << 60)), "ends inside the LoD"),
        (stream([1], levels=struct.pack("<QQ", 1, 1 << 60)), "ends inside the LoD"),
        (stream([1], levels=struct.pack("<QQ", 1, 0), payload=b"\0" * 4), "no list of 8-byte offsets"),
        (stream([3], levels=struct.pack("<QQQQ", 1, 16, 0, 2), payload=b"\0" * 12), "does not fit its 3 rows"),
        (stream([3], levels=struct.pack("<QQQq", 1, 16, 0, -3), payload=b"\0" * 12), "offset beyond"),
        (struct.pack("<IQIi", 0, 0, 0, -1), "claims -1 bytes"),
        (struct.pack("<IQIi", 0, 0, 0, 1 << 30), "claims 1073741824 bytes"),
    ],
)
def test_damaged_tensors(data, why):
    refuses(read, data, match=why)


@pytest.mark.parametrize(
    "options", [{"shape": (2, 5)}, {"shape": (6,)}, {"shape": ()}, {"dtype": np.dtype(np.int32)}, {"shape": (-1, 2)}]
)
def test_another_shape_or_dtype(options):
    data = stream([2, 3], payload=b"\0" * 24)
    refuses(
        lambda: read(data, **options), match=r"(?s)not what the program says.*expected: shape .*actual: shape \(2, 3\)"
    )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (struct.pack("<IQ", 0, 1 << 60), "ends inside the rows"),
        (SELECTED_ROWS[:12] + struct.pack("<q", 7) + SELECTED_ROWS[20:], "is no SelectedRows"),
        (SELECTED_ROWS[:36] + struct.pack("<q", -1) + SELECTED_ROWS[44:], "is no SelectedRows"),
    ],
)
def test_damaged_rows(data, why):
    refuses(read_rows, data, match=why)
    refuses(lambda: read_rows(SELECTED_ROWS, shape=(8, 3)), match="wrong height")


@pytest.mark.parametrize("data", [LOD_TENSOR, SELECTED_ROWS])
def test_every_truncation_is_noticed(data):
    for reader in (read, read_rows):
        for n in range(len(data)):
            assert isinstance(outcome(reader, data[:n]), Exception)


@given(st.binary(max_size=200))
def test_any_bytes(data):
    outcome(read, data)
    outcome(read_rows, data)


@given(st.data())
def test_flipped_bytes(data):
    original = data.draw(st.sampled_from([LOD_TENSOR, SELECTED_ROWS, stream([2, 3], 3, bytes(48))]))
    changed = bytearray(original)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    for reader in (read, read_rows):
        outcome(reader, bytes(changed))


def test_slabs_of_nothing():
    assert list(slabs(np.zeros((0, 3), np.float32))) == []
