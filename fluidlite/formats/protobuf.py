"""The wire format of protocol buffers (version 2), for messages described by tables.

A message is a dict of its fields by name; fields that are missing are not in it, repeated ones are lists. Unknown
fields are skipped, as the format wants it. Encoding writes fields in order of their numbers, as protobuf itself does:
decoding and encoding what protobuf wrote gives the same bytes.

Source: https://protobuf.dev/programming-guides/encoding/
"""

import struct
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FLOAT = struct.Struct("<f")


class MalformedMessage(ValueError):
    """Bytes that are no message of the kind they should be."""


class Field(NamedTuple):
    """A field of a message: kind is 'int32', 'int64', 'enum', 'bool', 'float', 'string' or a `Message`."""

    number: int
    name: str
    kind: object
    repeated: bool = False
    required: bool = False


class Message:
    """A kind of message: its name and its fields, in order of their numbers."""

    def __init__(self, name, *fields):
        self.name = name
        self.fields = sorted(fields)
        self.by_number = {field.number: field for field in fields}


def repeated(number, name, kind):
    """A field that is a list."""
    return Field(number, name, kind, repeated=True)


def required(number, name, kind):
    """A field without which a message is malformed."""
    return Field(number, name, kind, required=True)


# ------------------------------------------------------------------------------------------------------------ decoding


def decode(message, data):
    """The dict of a message from its bytes.

    Raises:
        MalformedMessage: with the byte at which, and the message in which, it goes wrong.
    """
    return _decode(message, memoryview(data).cast("B"), 0, len(data))


def _decode(message, data, at, end):
    found = {}
    while at < end:
        key, at = _read_varint(data, at, end)
        field, wire = message.by_number.get(key >> 3), key & 7
        if key >> 3 == 0:
            raise MalformedMessage(f"byte {at - 1}: field number 0 in {message.name}")
        if wire == _BYTES:
            size, at = _read_varint(data, at, end)
            if size > end - at:
                raise MalformedMessage(f"byte {at}: {size} bytes are announced in {message.name}, {end - at} are there")
            if field is not None:
                _store(found, field, _decode_bytes(message, field, data, at, at + size))
            at += size
        elif wire == _VARINT:
            raw, at = _read_varint(data, at, end)
            if field is not None:
                _store(found, field, _decode_number(message, field, raw, at))
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
            if size > end - at:
                raise MalformedMessage(f"byte {at}: {message.name} ends inside a number")
            if field is not None:
                if field.kind != "float" or wire != _FIXED32:
                    raise MalformedMessage(f"byte {at}: {message.name}.{field.name} has the wrong type")
                _store(found, field, _FLOAT.unpack_from(data, at)[0])
            at += size
        else:
            raise MalformedMessage(f"byte {at - 1}: unknown wire type {wire} in {message.name}")
    for field in message.fields:
        if field.required and field.name not in found:
            raise MalformedMessage(f"byte {end}: {message.name} without {field.name}")
    return found


def _store(found, field, value):
    if not field.repeated:
        found[field.name] = value
    elif isinstance(value, _Packed):
        found.setdefault(field.name, []).extend(value)
    else:
        found.setdefault(field.name, []).append(value)


class _Packed(list):
    """Numbers of a repeated field that came in one piece."""


def _decode_bytes(message, field, data, at, end):
    if isinstance(field.kind, Message):
        return _decode(field.kind, data, at, end)
    if field.kind == "string":
        return str(data[at:end], "utf-8", "surrogateescape")
    if not field.repeated:
        raise MalformedMessage(f"byte {at}: {message.name}.{field.name} has the wrong type")
    if field.kind == "float":
        if (end - at) % 4:
            raise MalformedMessage(f"byte {at}: {message.name}.{field.name} ends inside a number")
        return _Packed(number for (number,) in _FLOAT.iter_unpack(data[at:end]))
    numbers = _Packed()
    while at < end:
        raw, at = _read_varint(data, at, end)
        numbers.append(_decode_number(message, field, raw, at))
    return numbers


def _decode_number(message, field, raw, at):
    if field.kind == "bool":
        return raw != 0
    if field.kind not in ("int32", "int64", "enum"):
        raise MalformedMessage(f"byte {at}: {message.name}.{field.name} has the wrong type")
    if field.kind == "int64":
        return raw - (1 << 64) if raw >> 63 else raw
    raw &= 0xFFFFFFFF
    return raw - (1 << 32) if raw >> 31 else raw


def _read_varint(data, at, end):
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise MalformedMessage(f"byte {at}: a number without an end")


# ------------------------------------------------------------------------------------------------------------ encoding


def encode(message, values):
    """The bytes of a message from its dict."""
    out = bytearray()
    _encode(message, values, out)
    return bytes(out)


def _encode(message, values, out):
    for field in message.fields:
        if field.name in values:
            for value in values[field.name] if field.repeated else (values[field.name],):
                _encode_field(field, value, out)


def _encode_field(field, value, out):
    kind = field.kind
    if isinstance(kind, Message):
        inner = bytearray()
        _encode(kind, value, inner)
    elif kind == "string":
        inner = value.encode("utf-8", "surrogateescape")
    elif kind == "float":
        out.append(field.number << 3 | _FIXED32)
        out += _pack_float(value)
        return
    else:
        _write_varint(field.number << 3 | _VARINT, out)
        _write_varint(int(value) & 0xFFFFFFFFFFFFFFFF, out)
        return
    _write_varint(field.number << 3 | _BYTES, out)
    _write_varint(len(inner), out)
    out += inner


def _pack_float(value):
    try:
        return _FLOAT.pack(value)
    except OverflowError:
        return _FLOAT.pack(float("inf") if value > 0 else float("-inf"))


def _write_varint(value, out):
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
