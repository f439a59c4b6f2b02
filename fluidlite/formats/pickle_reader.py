"""Reads dicts of arrays from pickles with an interpreter that knows arrays, plain containers and nothing else.

A pickle is a program for a small machine that may call any function of Python. This machine calls none: the few names
that pickles of arrays contain stand for actions of its own, every other one is refused, and all arrays together take no
more memory than the file has bytes. Understands what Python 2 and 3 write for dicts of arrays, protocols 2 to 5.

Source: the opcodes' documentation in Python's pickletools.
"""

import codecs
import struct
from reprlib import repr as short

import numpy as np

from ..buffers import aligned_array, check_memory
from ..errors import EnforceNotMet

_CODES = {"b1": np.bool_, "i1": np.int8, "u1": np.uint8, "i2": np.int16, "i4": np.int32, "i8": np.int64}
_CODES |= {"f2": np.float16, "f4": np.float32, "f8": np.float64}
_DTYPES = {code: np.dtype(kind) for code, kind in _CODES.items()}


def read_arrays(source):
    """What a pickle holds: a dict by name, of arrays, numbers, strings, None and containers of these.

    Raises:
        InvalidArgumentError: the file is damaged, or holds anything else.
    """
    try:
        found = _Reader(source).run()
    except EnforceNotMet:
        raise
    except (LookupError, ValueError, TypeError, ArithmeticError, struct.error, AttributeError, RecursionError) as error:
        raise source.damaged(f"byte {source.position}: {error or 'the pickle makes no sense'}") from None
    if not isinstance(found, dict):
        raise source.damaged("it does not hold a dict of arrays", expected="dict", actual=type(found).__name__)
    source.finish()
    return found


class _Thing:
    """A function or class that a pickle may name."""

    def __init__(self, name):
        self.name = name


_RECONSTRUCT, _NDARRAY, _DTYPE = _Thing("_reconstruct"), _Thing("ndarray"), _Thing("dtype")
_ENCODE, _BYTES, _ORDERED = _Thing("encode"), _Thing("bytes"), _Thing("OrderedDict")
_THINGS = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _DTYPE,
    ("_codecs", "encode"): _ENCODE,
    ("__builtin__", "bytes"): _BYTES,
    ("builtins", "bytes"): _BYTES,
    ("collections", "OrderedDict"): _ORDERED,
}


class _Span:
    """Bytes that stay in the file until an array needs them: 'text' is UTF-8, 'encoded' such text as Latin-1."""

    def __init__(self, start, size, kind):
        self.start, self.size, self.kind = start, size, kind


class _Dtype:
    def __init__(self, code):
        self.dtype = _DTYPES[code]


class _Array:
    """An array that is to come: first it is named, then its state is."""

    array = None


# Longer strings are the elements of arrays.
_SHORT = 1024
_DEEPEST = 50


class _Reader:
    def __init__(self, source):
        self.source = source
        self.stack, self.marks, self.memo = [], [], {}
        self.room = source.size

    def run(self):
        while True:
            opcode = self.source.take(1, "the pickle")
            action = _ACTIONS.get(opcode)
            if action is None:
                raise ValueError(f"opcode {opcode!r} has no place in a dict of arrays")
            if action is _stop:
                break
            action(self)
        (found,) = self.stack
        return self.finished(found, {}, 0)

    def finished(self, value, done, depth):
        """The value with its arrays in place of their announcements."""
        if isinstance(value, _Array):
            if value.array is None:
                raise ValueError("an array without elements")
            return value.array
        if not isinstance(value, list | tuple | dict):
            if isinstance(value, _Span | _Thing | _Dtype):
                raise ValueError("something that is neither an array nor a plain container")
            return value
        if depth > _DEEPEST:
            raise ValueError(f"containers nested more than {_DEEPEST} deep")
        if id(value) not in done:
            if isinstance(value, dict):
                result = {k: self.finished(v, done, depth + 1) for k, v in value.items()}
            else:
                result = type(value)(self.finished(item, done, depth + 1) for item in value)
            # Keeps `value` too, so that no other object gets its id.
            done[id(value)] = (result, value)
        return done[id(value)][0]

    def pop_to_mark(self):
        at = self.marks.pop()
        items = self.stack[at:]
        del self.stack[at:]
        return items

    def size(self, form):
        return self.source.unpack(form, "a size in the pickle")

    def text(self, n):
        if n > _SHORT:
            self.stack.append(_Span(self.source.skip(n, "an array"), n, "text"))
        else:
            self.stack.append(self.source.take(n, "a string").decode("utf-8", "surrogatepass"))

    def raw(self, n):
        if n > _SHORT:
            self.stack.append(_Span(self.source.skip(n, "an array"), n, "raw"))
        else:
            self.stack.append(self.source.take(n, "a string"))

    def raw_of_python2(self, n):
        self.raw(n)
        if isinstance(self.stack[-1], bytes):
            self.stack[-1] = self.stack[-1].decode("latin1")

    def line(self):
        line = b""
        while not line.endswith(b"\n"):
            line += self.source.take(1, "a name")
            if len(line) > 256:
                raise ValueError("a name without an end")
        return line[:-1].decode("ascii")

    def find(self, module, name):
        thing = _THINGS.get((module, name))
        if thing is None:
            raise ValueError(
                f"it names {short(module)}.{short(name)}, which is refused: only arrays and plain containers are read"
            )
        self.stack.append(thing)

    def reduce(self):
        args, function = self.stack.pop(), self.stack.pop()
        if not isinstance(args, tuple):
            raise ValueError("arguments that are no tuple")
        if function is _RECONSTRUCT:
            kind, shape, code = args
            if kind is not _NDARRAY or shape != (0,) or code not in (b"b", "b"):
                raise ValueError("an array of an unknown kind")
            result = _Array()
        elif function is _DTYPE:
            code = args[0].decode("ascii") if isinstance(args[0], bytes) else args[0]
            if code not in _DTYPES:
                raise ValueError(f"arrays of dtype {short(code)} are refused")
            result = _Dtype(code)
        elif function is _ENCODE:
            text, encoding = args
            if encoding not in ("latin1", "latin-1"):
                raise ValueError(f"bytes encoded as {short(encoding)}")
            span = isinstance(text, _Span) and text.kind == "text"
            result = _Span(text.start, text.size, "encoded") if span else text.encode("latin1")
        elif function is _BYTES and not args:
            result = b""
        elif function is _ORDERED and len(args) < 2:
            result = {}
            self.update(result, [item for pair in (args[0] if args else ()) for item in pair])
        else:
            raise ValueError("a call that is refused")
        self.stack.append(result)

    def build(self):
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, _Dtype):
            order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
            if order not in ("<", "|", "=") or any(part is not None for part in state[2:5]):
                raise ValueError(f"elements of byte order {short(order)}, or with fields, are refused")
        elif isinstance(target, _Array) and target.array is None:
            _, shape, dtype, fortran, data = state
            target.array = self.array(shape, dtype.dtype, fortran, data)
        else:
            raise ValueError("a state for something that has none")

    def array(self, shape, dtype, fortran, data):
        if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"an array of shape {short(shape)}")
        nbytes = dtype.itemsize
        for n in shape:
            nbytes *= n
        if isinstance(data, str):
            data = data.encode("latin1")
        size = data.size if isinstance(data, _Span) else len(data)
        exact = not isinstance(data, _Span) or data.kind == "raw"
        if nbytes > size or (exact and nbytes != size):
            raise ValueError(f"an array of shape {short(shape)} {dtype} needs {short(nbytes)} bytes, {size} are there")
        self.room -= nbytes
        if self.room < 0:
            raise ValueError("its arrays need more memory than the file has bytes")
        check_memory(nbytes, "Loading an array")
        array = aligned_array(shape[::-1] if fortran else shape, dtype)
        flat = array.reshape(-1).view(np.uint8)
        if isinstance(data, _Span):
            self.copy_span(data, flat)
        else:
            flat[:] = np.frombuffer(data, np.uint8)
        if dtype == np.bool_ and flat.size and flat.max() > 1:
            raise ValueError("bools that are neither true nor false")
        return np.ascontiguousarray(array.T) if fortran else array

    def copy_span(self, span, flat):
        after = self.source.position
        self.source.seek(span.start)
        if span.kind == "raw":
            self.source.fill(flat, "an array")
        else:
            decoder, at, left = codecs.getincrementaldecoder("utf-8")(), 0, span.size
            while left:
                piece = self.source.take(min(left, 1 << 20), "an array")
                left -= len(piece)
                data = np.frombuffer(decoder.decode(piece, final=not left).encode("latin1"), np.uint8)
                if at + data.size > flat.size:
                    raise ValueError("an array with more elements than its shape has")
                flat[at : at + data.size] = data
                at += data.size
            if at != flat.size:
                raise ValueError("an array with fewer elements than its shape has")
        self.source.seek(after)

    def update(self, target, items):
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("items for something that is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int):
                raise ValueError(f"a key of type {type(key).__name__}")
            target[key] = value

    def extend(self, items):
        if not isinstance(self.stack[-1], list):
            raise ValueError("items for something that is no list")
        self.stack[-1] += items

    def remember(self, number):
        self.memo[number] = self.stack[-1]

    def push(self, value):
        self.stack.append(value)

    def tuple_of(self, n):
        if len(self.stack) < n:
            raise ValueError("a tuple of more than there is")
        items = tuple(self.stack[-n:])
        del self.stack[-n:]
        self.stack.append(items)


def _stop(reader):
    """The end."""


def _set_item(reader):
    items = reader.stack[-2:]
    del reader.stack[-2:]
    reader.update(reader.stack[-1], items)


def _named_by_stack(reader):
    name, module = reader.stack.pop(), reader.stack.pop()
    reader.find(module, name)


_ACTIONS = {
    b"\x80": lambda r: r.source.take(1, "the protocol"),
    b"\x95": lambda r: r.size("Q"),
    b"}": lambda r: r.push({}),
    b"]": lambda r: r.push([]),
    b")": lambda r: r.push(()),
    b"N": lambda r: r.push(None),
    b"\x88": lambda r: r.push(True),
    b"\x89": lambda r: r.push(False),
    b"(": lambda r: r.marks.append(len(r.stack)),
    b"K": lambda r: r.push(r.size("B")),
    b"M": lambda r: r.push(r.size("H")),
    b"J": lambda r: r.push(r.size("i")),
    b"\x8a": lambda r: r.push(int.from_bytes(r.source.take(r.size("B"), "a number"), "little", signed=True)),
    b"G": lambda r: r.push(struct.unpack(">d", r.source.take(8, "a number"))[0]),
    b"X": lambda r: r.text(r.size("I")),
    b"\x8c": lambda r: r.text(r.size("B")),
    b"\x8d": lambda r: r.text(r.size("Q")),
    b"U": lambda r: r.raw_of_python2(r.size("B")),
    b"T": lambda r: r.raw_of_python2(r.size("i")),
    b"C": lambda r: r.raw(r.size("B")),
    b"B": lambda r: r.raw(r.size("I")),
    b"\x8e": lambda r: r.raw(r.size("Q")),
    b"q": lambda r: r.remember(r.size("B")),
    b"r": lambda r: r.remember(r.size("I")),
    b"\x94": lambda r: r.remember(len(r.memo)),
    b"h": lambda r: r.push(r.memo[r.size("B")]),
    b"j": lambda r: r.push(r.memo[r.size("I")]),
    b"c": lambda r: r.find(r.line(), r.line()),
    b"\x93": _named_by_stack,
    b"\x85": lambda r: r.tuple_of(1),
    b"\x86": lambda r: r.tuple_of(2),
    b"\x87": lambda r: r.tuple_of(3),
    b"t": lambda r: r.push(tuple(r.pop_to_mark())),
    b"R": lambda r: r.reduce(),
    b"b": lambda r: r.build(),
    b"s": _set_item,
    b"u": lambda r: (lambda items: r.update(r.stack[-1], items))(r.pop_to_mark()),
    b"a": lambda r: (lambda item: r.extend([item]))(r.stack.pop()),
    b"e": lambda r: (lambda items: r.extend(items))(r.pop_to_mark()),
    b".": _stop,
}
