"""The wire format: what protobuf writes comes back byte for byte, and nothing malformed passes."""

import struct

import pytest
from golden.models import MODELS
from golden.record_models import unpack
from hypothesis import given
from hypothesis import strategies as st

from fluidlite.formats.program_messages import ATTR, OP, PROGRAM, TENSOR, compatible_map
from fluidlite.formats.protobuf import MalformedMessage, decode, encode


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("file", ["inference/__model__", "state/model.pdmodel"])
def test_programs_of_fluid_come_back_byte_for_byte(name, file, tmp_path):
    unpack(name, tmp_path)
    data = (tmp_path / file).read_bytes()
    message = decode(PROGRAM, data)
    assert encode(PROGRAM, message) == data
    assert message["op_compatible_map"] == compatible_map()
    assert message["version"] == {"version": 1008005}


# Written by protobuf itself.
@pytest.mark.parametrize(
    ("message", "values", "data"),
    [
        (TENSOR, {"data_type": 5, "dims": [-1, 3]}, "0805 10ffffffffffffffffff01 1003"),
        (TENSOR, {"data_type": 0, "dims": [300, 1 << 40]}, "0800 10ac02 10808080808020"),
        (ATTR, {"name": "k", "type": 0, "i": -2}, "0a016b 1000 18feffffffffffffffff01"),
        (ATTR, {"name": "k", "type": 1, "f": 0.5}, "0a016b 1001 250000003f"),
        (ATTR, {"name": "k", "type": 7, "bools": [True, False]}, "0a016b 1007 5801 5800"),
        (ATTR, {"name": "\u00e9", "type": 2, "s": ""}, "0a02c3a9 1002 2a00"),
        (ATTR, {"name": "k", "type": 11, "longs": [-1, 0]}, "0a016b 100b 78ffffffffffffffffff01 7800"),
        (
            OP,
            {"inputs": [{"parameter": "X", "arguments": ["a", "b"]}], "type": "t"},
            "0a09 0a0158 120161 120162 1a0174",
        ),
    ],
)
def test_encoding(message, values, data):
    assert encode(message, values) == bytes.fromhex(data)
    assert decode(message, bytes.fromhex(data)) == values


def test_packed_numbers_are_read_too():
    assert decode(TENSOR, bytes.fromhex("0805 1204 01ac0203"))["dims"] == [1, 300, 3]
    floats = b"\x0a\x01k\x10\x04\x3a\x08" + struct.pack("<2f", 0.5, -2.0)
    assert decode(ATTR, floats)["floats"] == [0.5, -2.0]


def test_unknown_fields_are_skipped():
    unknown = bytes.fromhex("f80601 fd0600000000 f90600000000000000 00fa0602 6162".replace(" ", ""))
    assert decode(TENSOR, unknown + b"\x08\x05") == {"data_type": 5}


def test_bytes_that_are_no_text_survive():
    values = {"name": b"\xff\xfe".decode("utf-8", "surrogateescape"), "type": 0, "i": 1}
    assert decode(ATTR, encode(ATTR, values)) == values


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("", "without data_type"),
        ("08", "without an end"),
        ("08ffffffffffffffffffff01", "without an end"),
        ("0d00000000", "wrong type"),
        ("0a0105", "wrong type"),
        ("0b", "wire type 3"),
        ("0005", "field number 0"),
        ("08051a05", "announced"),
        ("0805f9060000", "ends inside a number"),
        # A list that claims 2**60 bytes.
        ("080512" + "80" * 8 + "10", "announced"),
    ],
)
def test_malformed(data, why):
    with pytest.raises(MalformedMessage, match=why):
        decode(TENSOR, bytes.fromhex(data))


@given(st.binary(max_size=64))
def test_any_bytes_are_a_message_or_malformed(data):
    for message in (TENSOR, ATTR, OP, PROGRAM):
        try:
            values = decode(message, data)
        except MalformedMessage:
            continue
        assert decode(message, encode(message, values)) == values or "f" in str(values)


numbers = {"int32": st.integers(-(2**31), 2**31 - 1), "int64": st.integers(-(2**63), 2**63 - 1)}


@given(
    st.fixed_dictionaries(
        {"name": st.text(max_size=5), "type": st.integers(0, 11)},
        optional={
            "i": numbers["int32"],
            "f": st.floats(width=32, allow_nan=False),
            "s": st.text(max_size=9),
            "ints": st.lists(numbers["int32"], min_size=1, max_size=4),
            "floats": st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4),
            "strings": st.lists(st.text(max_size=3), min_size=1, max_size=4),
            "b": st.booleans(),
            "l": numbers["int64"],
            "longs": st.lists(numbers["int64"], min_size=1, max_size=4),
        },
    )
)
def test_there_and_back(values):
    assert decode(ATTR, encode(ATTR, values)) == values
