"""Dicts of arrays as pickles: the .pdparams and .pdopt files of `fluid.save`, as Python 3 and NumPy write them.

Written with protocol 2, byte for byte what Fluid 1.8.5's ``pickle.dump`` gives, whatever version of NumPy is there. It
happens in slabs: no array is copied as a whole.

Source: the opcodes' documentation in Python's pickletools.
"""

import struct

import numpy as np

from ..errors import InvalidArgumentError
from .tensor_stream import slabs

_LARGEST_TEXT = (1 << 32) - 1


def write_arrays(file, arrays):
    """Write ``{name: array or RowState}`` as a pickle of protocol 2."""
    writer = _Writer(file)
    writer.raw(b"\x80\x02}")
    writer.remember()
    items = list(arrays.items())
    if len(items) == 1:
        writer.item(*items[0])
        writer.raw(b"s")
    else:
        for start in range(0, len(items), 1000):
            writer.raw(b"(")
            for name, array in items[start : start + 1000]:
                writer.item(name, array)
            writer.raw(b"u")
    writer.raw(b".")


class _Writer:
    """Opcodes in the order of Python's own pickler, which numbers every object and refers back to it."""

    def __init__(self, file):
        self.raw = file.write
        self.count, self.known = 0, {}

    def remember(self, key=None):
        number = self.count
        self.count += 1
        self.raw(b"q" + bytes([number]) if number < 256 else b"r" + struct.pack("<I", number))
        if key is not None:
            self.known[key] = number

    def recall(self, key):
        """Refer to an object written before; whether there is one."""
        number = self.known.get(key)
        if number is not None:
            self.raw(b"h" + bytes([number]) if number < 256 else b"j" + struct.pack("<I", number))
        return number is not None

    def text(self, text, shared=False):
        # One character is one object wherever it occurs.
        key = ("text", text) if shared or len(text) == 1 else None
        if key is None or not self.recall(key):
            data = text.encode("utf-8", "surrogatepass")
            self.raw(b"X" + struct.pack("<I", len(data)) + data)
            self.remember(key)

    def thing(self, module, name):
        if not self.recall((module, name)):
            self.raw(f"c{module}\n{name}\n".encode())
            self.remember((module, name))

    def number(self, n):
        if n < 1 << 8:
            self.raw(b"K" + bytes([n]))
        elif n < 1 << 16:
            self.raw(b"M" + struct.pack("<H", n))
        elif n < 1 << 31:
            self.raw(b"J" + struct.pack("<i", n))
        else:
            data = n.to_bytes(n.bit_length() // 8 + 1, "little")
            self.raw(b"\x8a" + bytes([len(data)]) + data)

    def numbers(self, tuple_):
        if not tuple_:
            self.raw(b")")
            return
        if len(tuple_) > 3:
            self.raw(b"(")
        for n in tuple_:
            self.number(n)
        self.raw({1: b"\x85", 2: b"\x86", 3: b"\x87"}.get(len(tuple_), b"t"))
        self.remember()

    def item(self, name, array):
        self.text(name)
        self.thing("numpy.core.multiarray", "_reconstruct")
        self.thing("numpy", "ndarray")
        self.numbers((0,))
        self.data(b"b", 1, lambda: [np.frombuffer(b"b", np.uint8)])
        self.raw(b"\x87")
        self.remember()
        self.raw(b"R")
        self.remember()
        self.raw(b"(K\x01")
        self.numbers(array.shape)
        self.dtype(np.dtype(array.dtype))
        self.raw(b"\x89")
        nbytes = int(np.prod(array.shape, dtype=np.int64)) * array.dtype.itemsize
        first = next(slabs(array)).tobytes() if nbytes == 1 else None
        self.data(first, nbytes, lambda: slabs(array), name)
        self.raw(b"t")
        self.remember()
        self.raw(b"b")

    def dtype(self, dtype):
        if self.recall(dtype):
            return
        self.thing("numpy", "dtype")
        self.text(dtype.str[1:])
        self.raw(b"\x89\x88\x87")
        self.remember()
        self.raw(b"R")
        self.remember(dtype)
        self.raw(b"(K\x03")
        self.text(dtype.str[0])
        self.raw(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t")
        self.remember()
        self.raw(b"b")

    def data(self, single, nbytes, pieces, name=""):
        """Bytes, which protocol 2 knows as text only: a call of ``_codecs.encode(text, 'latin1')``.

        `single` is the value of a lone byte: Python has one object for each of them.
        """
        key = ("bytes", single if nbytes else b"") if nbytes < 2 else None
        if key is not None and self.recall(key):
            return
        if not nbytes:
            self.thing("__builtin__", "bytes")
            self.raw(b")R")
            self.remember(key)
            return
        self.thing("_codecs", "encode")
        if single is not None:
            self.text(single.decode("latin1"))
        else:
            size = nbytes + sum(int(np.count_nonzero(piece > 127)) for piece in pieces())
            if size > _LARGEST_TEXT:
                raise InvalidArgumentError(
                    f"Variable {name!r} is too large for fluid.save, whose pickles hold less than 4 GB for each array.",
                    expected=f"at most {_LARGEST_TEXT} bytes",
                    actual=f"{size} bytes",
                    hint="use fluid.io.save_persistables.",
                )
            self.raw(b"X" + struct.pack("<I", size))
            for piece in pieces():
                self.raw(piece.tobytes().decode("latin1").encode())
            self.remember()
        self.text("latin1", shared=True)
        self.raw(b"\x86")
        self.remember()
        self.raw(b"R")
        self.remember(key)
