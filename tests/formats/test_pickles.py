"""Pickled dicts of arrays: Python's own bytes, and a reader that can be made to call nothing."""

import collections
import io
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluidlite.errors import InvalidArgumentError
from fluidlite.formats import pickle_writer
from fluidlite.formats.files import bytes_source
from fluidlite.formats.pickle_reader import read_arrays
from fluidlite.formats.pickle_writer import write_arrays
from fluidlite.tables import RowState
from formats.reading import outcome, refuses


def written(arrays):
    file = io.BytesIO()
    write_arrays(file, arrays)
    return file.getvalue()


def read(data):
    return read_arrays(bytes_source(data, "File 'm.pdparams'"))


def pickled(arrays, protocol=2):
    """As Fluid's NumPy wrote it."""
    return pickle.dumps(arrays, protocol=protocol).replace(b"numpy._core.", b"numpy.core.")


def assert_same(found, arrays):
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


dtypes = st.sampled_from(["float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"])
shapes = st.lists(st.integers(0, 4), min_size=1, max_size=5).map(tuple)


@st.composite
def dicts(draw):
    names = draw(st.lists(st.text(min_size=2, max_size=6), unique=True, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    return {n: rng.integers(0, 256, draw(shapes)).astype(draw(dtypes)) for n in names}


@given(dicts())
def test_the_bytes_of_pickle(arrays):
    assert written(arrays) == pickled(arrays)
    assert_same(read(written(arrays)), arrays)


def test_many_arrays_and_large_ones():
    many = {f"v{i}": np.full((i % 3 + 1, 2), i, np.float32) for i in range(2100)}
    large = {
        "large": np.random.default_rng(0).standard_normal((70000, 20)).astype(np.float32),
        "wide": np.ones((1, 70000)),
    }
    for arrays in (many, large, {"one": np.zeros((2, 3), np.int64)}, {}):
        assert written(arrays) == pickled(arrays)
        assert_same(read(written(arrays)), arrays)


def test_one_character_is_one_object():
    # As under Python 3.7, where the name of a variable and part of an array's description are the same object.
    data = written({"b": np.zeros(1, np.float32)})
    assert data.count(b"X\x01\x00\x00\x00b") == 1
    assert list(pickle.loads(data)) == list(read(data)) == ["b"]


def test_a_state_is_written_as_an_array():
    state = RowState((300, 3), np.float32)
    assert written({"moment": state}) == pickled({"moment": np.zeros((300, 3), np.float32)})


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_other_protocols_and_containers(protocol):
    value = {
        "w": np.arange(600, dtype=np.float32).reshape(3, 200),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "names": collections.OrderedDict(a="x", b="y" * 30),
        "plain": [1, -5, 1 << 40, 2.5, None, True, "text", (1, 2, 3, 4)],
        "empty": np.zeros((0, 3), np.float32),
    }
    found = read(pickle.dumps(value, protocol=protocol))
    assert found["plain"] == value["plain"] and found["names"] == value["names"]
    for name in ("w", "fortran", "empty"):
        np.testing.assert_array_equal(found[name], value[name])
        assert found[name].flags.c_contiguous


def test_a_pickle_of_python_2():
    array = np.arange(3, dtype=np.float32)
    dtype = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    state = b"(K\x01K\x03\x85" + dtype + b"\x89"
    head = b"\x80\x02}U\x01wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    data = head + state + b"U\x0c" + array.tobytes() + b"tbs."
    assert_same(read(data), {"w": array})


class Calls:
    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def evil():
    import os
    import subprocess

    yield Calls(os.system, "true")
    yield Calls(subprocess.Popen, ["true"])
    yield Calls(eval, "1")
    yield Calls(np.ndarray, (1 << 40,))
    yield Calls(bytearray, 1 << 40)
    yield Calls(np.zeros, 1 << 40)
    yield Calls(getattr, "text", "join")
    yield np.array([{}], object)
    yield np.zeros(2, "S3")
    yield np.zeros(2, [("a", "f4")])
    yield np.zeros(2, ">f4")
    yield np.zeros(2, "M8[s]")
    yield {1.5: 0}
    yield np.float32(1)
    yield {1, 2}
    yield Exception()


@pytest.mark.parametrize("value", list(evil()), ids=lambda v: str(v.__class__.__name__))
@pytest.mark.parametrize("protocol", [2, 4])
def test_nothing_but_arrays(value, protocol):
    refuses(read, pickle.dumps({"w": value}, protocol=protocol), match="cannot be read: ")


def test_a_refused_name_is_named():
    with pytest.raises(InvalidArgumentError, match=r"(?s)m.pdparams.*names 'posix'\.'system', which is refused"):
        import os

        read(pickle.dumps({"w": Calls(os.system, "true")}, protocol=2))


HEAD = b"\x80\x02}X\x01\x00\x00\x00wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
HEAD += b"X\x01\x00\x00\x00b\x87R(K\x01"
DTYPE = b"cnumpy\ndtype\nX\x02\x00\x00\x00f4\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNN"
DTYPE += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "ends inside the pickle"),
        (b"hello", "opcode|cannot be read"),
        (b"\x80\x02]q\x00.", "does not hold a dict"),
        (b"\x80\x02}q\x00.more", "goes on where it should end"),
        # Sizes that are not there.
        (b"\x80\x02}X\xff\xff\xff\xff", "ends inside an array"),
        (b"\x80\x04}\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", "ends inside an array"),
        (HEAD + b"\x8a\x08\0\0\0\0\0\0\0\x10\x85" + DTYPE + b"\x89C\x00tbs.", "needs .* bytes, 0 are there"),
        (HEAD + b"J\xff\xff\xff\xff\x85" + DTYPE + b"\x89C\x00tbs.", "an array of shape"),
        # A memo that would be a list of 2**32 places in other readers.
        (b"\x80\x02}r\xff\xff\xff\xffN.", "cannot be read"),
        (b"\x80\x02}X\x01\x00\x00\x00wcnumpy.core.multiarray\n_reconstruct\ns.", "neither an array nor"),
        (b"\x80\x02c" + b"x" * 400, "without an end"),
        (b"\x80\x02}" + b"(" * 1000 + b"t" * 1000 + b"X\x01\x00\x00\x00ws.", "cannot be read"),
        (b"\x80\x02" + b"}X\x01\x00\x00\x00a" * 5000 + b"N" + b"s" * 5000 + b".", "nested"),
    ],
)
def test_damaged(data, why):
    refuses(read, data, match=why)


def test_one_text_cannot_become_many_arrays():
    data = b"B" + struct.pack("<I", 4000) + bytes(4000) + b"q\x01"
    one = b"X\x01\x00\x00\x00%c" + HEAD[9:] + b"M\xe8\x03\x85" + DTYPE + b"\x89h\x01tbs"
    bomb = b"\x80\x02" + data + b"0}" + b"".join(one.replace(b"%c", bytes([65 + i])) for i in range(30)) + b"."
    refuses(read, bomb, match="cannot be read")
    bomb = b"\x80\x02}X\x01\x00\x00\x00d" + data + b"s" + bomb[len(b"\x80\x02" + data + b"0}") :]
    refuses(read, bomb, match="more memory than the file has bytes")


def test_every_truncation_is_noticed():
    data = written({"w": np.ones((3, 200), np.float32), "bias": np.zeros(2, np.int64)})
    for n in range(len(data)):
        assert isinstance(outcome(read, data[:n]), Exception)


@given(st.binary(max_size=120))
def test_any_bytes(data):
    outcome(read, b"\x80\x02" + data)
    outcome(read, data)


@given(st.data())
def test_flipped_bytes(data):
    changed = bytearray(written({"w": np.ones((2, 3), np.float32), "bias": np.zeros(1, np.int64)}))
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    outcome(read, bytes(changed))


def test_an_array_that_protocol_2_cannot_hold(monkeypatch):
    monkeypatch.setattr(pickle_writer, "_LARGEST_TEXT", 100)
    with pytest.raises(InvalidArgumentError, match=r"(?s)'w' is too large.*save_persistables"):
        written({"w": np.full((5, 5), -1, np.int32)})
