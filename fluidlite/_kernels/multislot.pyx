"""MultiSlot text to arrays: for every slot in order ``count v1 ... vn``, one sample per line.

Values are separated by blanks (space, tab, carriage return, form feed, vertical tab). A slot has either a fixed number
of values in every line (its *width*), or any number but zero, and then offsets say where each line begins.

* Integers: decimal, -2^63 <= value < 2^64; from 2^63 on the bits of the unsigned number are those of the int64.
* Floats: decimal as ``float()`` reads them, `inf` and `nan` included, rounded once to the nearest float32. A finite
  number that rounds to infinity is refused.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memmove

import math
import struct

import numpy

cdef object _empty = numpy.empty
cdef object _FLOAT32 = numpy.dtype(numpy.float32)
cdef object _INT64 = numpy.dtype(numpy.int64)

cdef extern from "decimal.h":
    enum:
        OK "DECIMAL_OK"
        BAD_VALUE "DECIMAL_BAD"
        BIG_VALUE "DECIMAL_BIG"
        HARD "DECIMAL_HARD"
    bint is_blank "decimal_is_blank"(char c) noexcept nogil
    bint ends_token "decimal_ends_token"(char c) noexcept nogil
    int read_integer "decimal_read_integer"(const char** at, int64_t* out) noexcept nogil
    int read_float "decimal_read_float"(const char** at, float* out, const char** end) noexcept nogil

cdef enum:
    SHOWN = 40                          # bytes of a token that a message quotes

cdef enum Problem:                      # behind those of decimal.h
    NO_COUNT = 10
    BAD_COUNT
    ZERO_COUNT
    WRONG_COUNT
    NO_VALUE
    TRAILING
    NO_MEMORY

cdef struct Slot:
    bint is_float
    Py_ssize_t width                    # values in each line; 0: any number but zero, with offsets
    char* values
    Py_ssize_t n
    Py_ssize_t capacity
    int64_t* offsets
    Py_ssize_t offsets_capacity


class MultiSlotError(ValueError):
    """A line that is no sample. `line` counts from 0 over the call's lines; `slot` is None behind the last one."""

    def __init__(self, line, slot, problem, expected, actual):
        super().__init__(problem)
        self.line, self.slot = line, slot
        self.problem, self.expected, self.actual = problem, expected, actual


cdef inline const char* _skip_blanks(const char* p) noexcept nogil:
    while is_blank(p[0]):
        p += 1
    return p


cdef int _round_slowly(const char* begin, const char* end, float* out) except -1 nogil:
    """The nearest float32 of any token; see `_nearest_float32`."""
    with gil:
        try:
            value = _nearest_float32(PyBytes_FromStringAndSize(begin, end - begin))
        except ValueError:
            return BAD_VALUE
        except OverflowError:
            return BIG_VALUE
        out[0] = value
        return OK


cdef inline int _read_float(const char** at, float* out) except -1 nogil:
    cdef const char* end
    cdef int status = read_float(at, out, &end)
    if status == HARD:
        status = _round_slowly(at[0], end, out)
        if status == OK:
            at[0] = end
    return status


def _nearest_float32(token):
    """The float32 next to a decimal number, given as bytes. Beyond float32: OverflowError.

    `float` rounds correctly, and so does the step to float32, unless the first lands on the middle between two
    floats: then the digits decide.
    """
    if b"_" in token:  # which `float` would take
        raise ValueError(token)
    value = float(token)
    if not math.isfinite(value):
        if token.lstrip(b"+-")[:1].isalpha():
            return value
        raise OverflowError(token)
    largest = float(numpy.finfo(numpy.float32).max)
    limit = largest + 2.0**103  # half a step above the largest float32
    if abs(value) > limit:
        raise OverflowError(token)
    if abs(value) == limit:
        if _compare(token, value) * math.copysign(1, value) >= 0:
            raise OverflowError(token)
        return math.copysign(largest, value)
    near = struct.unpack("f", struct.pack("f", value))[0]
    if near != value and abs(value) < largest:
        other = float(numpy.nextafter(numpy.float32(near), numpy.float32(math.copysign(math.inf, value - near))))
        if abs(value - near) == abs(other - value):
            side = _compare(token, value)
            if side:
                return max(near, other) if side > 0 else min(near, other)
    return near


def _compare(token, value):
    """The sign of the number that `token` spells minus `value`, exactly."""
    from decimal import Decimal  # here, because hardly any file needs it

    spelt, other = Decimal(token.decode()), Decimal(value)
    return (spelt > other) - (spelt < other)


cdef bint _reserve(Slot* slot, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t size = sizeof(float) if slot.is_float else sizeof(int64_t)
    cdef Py_ssize_t capacity
    cdef void* values
    if n <= slot.capacity:
        return True
    capacity = max(n, slot.capacity + slot.capacity // 2, 1024)
    values = realloc(slot.values, capacity * size)
    if values == NULL:
        return False
    slot.values, slot.capacity = <char*>values, capacity
    return True


cdef bint _reserve_line(Slot* slot, Py_ssize_t n_lines) noexcept nogil:
    cdef Py_ssize_t capacity
    cdef void* offsets
    if slot.width or n_lines + 2 <= slot.offsets_capacity:
        return True
    capacity = max(n_lines + 2, slot.offsets_capacity + slot.offsets_capacity // 2, 1024)
    offsets = realloc(slot.offsets, capacity * sizeof(int64_t))
    if offsets == NULL:
        return False
    slot.offsets, slot.offsets_capacity = <int64_t*>offsets, capacity
    slot.offsets[0] = 0
    return True


cdef class MultiSlotParser:
    """Collects lines until somebody takes them.

    slots: a sequence of `(is_float, width)`; a width of 0 takes any number of values but zero.

    One thread at a time; it runs without the GIL.
    """

    cdef Slot* slots
    cdef Py_ssize_t n_slots
    cdef readonly Py_ssize_t n_lines
    cdef bint busy
    # Where the last line failed.
    cdef Py_ssize_t bad_slot
    cdef Py_ssize_t bad_count
    cdef const char* bad_token

    def __cinit__(self, slots):
        slots = list(slots)
        if not slots:
            raise ValueError("`slots` is empty")
        self.slots = <Slot*>calloc(len(slots), sizeof(Slot))
        if self.slots == NULL:
            raise MemoryError()
        self.n_slots = len(slots)
        for i, (is_float, width) in enumerate(slots):
            if width < 0:
                raise ValueError(f"the width of slot {i} is {width}; it must not be negative")
            self.slots[i].is_float, self.slots[i].width = is_float, width

    def __dealloc__(self):
        if self.slots != NULL:
            for i in range(self.n_slots):
                free(self.slots[i].values)
                free(self.slots[i].offsets)
            free(self.slots)

    cdef int _read_values(self, const char** at, Slot* slot, Py_ssize_t count) except -1 nogil:
        cdef const char* p = at[0]
        cdef float* floats = <float*>slot.values + slot.n
        cdef int64_t* integers = <int64_t*>slot.values + slot.n
        cdef Py_ssize_t i
        cdef int status
        for i in range(count):
            p = _skip_blanks(p)
            if p[0] == b"\n":
                self.bad_count, self.bad_token = i, p
                return NO_VALUE
            status = _read_float(&p, &floats[i]) if slot.is_float else read_integer(&p, &integers[i])
            if status != OK:
                self.bad_count, self.bad_token = i, p
                return status
        at[0] = p
        return OK

    cdef int _read_line(self, const char** at, const char* end) except -1 nogil:
        """Reads the line that begins at `at`. A newline lies before `end`, and everything here stops at a newline."""
        cdef const char* p = at[0]
        cdef Slot* slot
        cdef Py_ssize_t i
        cdef int64_t count
        cdef int status
        for i in range(self.n_slots):
            slot = &self.slots[i]
            self.bad_slot = i
            p = _skip_blanks(p)
            self.bad_token = p
            if p[0] == b"\n":
                return NO_COUNT
            if read_integer(&p, &count) != OK or count < 0:
                return BAD_COUNT
            self.bad_count = count
            if slot.width and count != slot.width:
                return WRONG_COUNT
            if count == 0:
                return ZERO_COUNT
            # Every value takes two bytes: a count beyond that reserves no memory and fails at the end of the line.
            if not _reserve(slot, slot.n + min(count, end - p)) or not _reserve_line(slot, self.n_lines):
                return NO_MEMORY
            status = self._read_values(&p, slot, min(count, end - p))
            if status != OK:
                if status == NO_VALUE:
                    self.bad_count = count
                return status
            slot.n += count
            if not slot.width:
                slot.offsets[self.n_lines + 1] = slot.n
        p = _skip_blanks(p)
        if p[0] != b"\n":
            self.bad_slot, self.bad_token = self.n_slots, p
            return TRAILING
        at[0] = p + 1
        return OK

    cdef void _drop_line(self) noexcept nogil:
        """Forgets what the slots hold beyond the last whole line."""
        cdef Slot* slot
        cdef Py_ssize_t i
        for i in range(self.n_slots):
            slot = &self.slots[i]
            if slot.width:
                slot.n = self.n_lines * slot.width
            else:
                slot.n = slot.offsets[self.n_lines] if slot.offsets != NULL else 0

    def parse(self, data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t max_lines):
        """Collect up to `max_lines` lines of data[begin:end], whole ones only; returns where the next one begins.

        Raises MultiSlotError at the first line that is no sample. The lines before it stay collected; nothing of it
        does.
        """
        cdef Py_buffer view
        cdef const char* base
        cdef const char* p
        cdef const char* stop
        cdef Py_ssize_t first = self.n_lines
        cdef Py_ssize_t last
        cdef int status = OK
        if self.busy:
            raise RuntimeError("another thread is in this parser")
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        self.busy = True
        try:
            if not 0 <= begin <= end <= view.len:
                raise ValueError(f"[{begin}, {end}) is no part of `data`, which has {view.len} bytes")
            if max_lines < 0:
                raise ValueError(f"`max_lines` is {max_lines}; it must not be negative")
            base = <const char*>view.buf
            p, last = base + begin, first + max_lines
            with nogil:
                stop = base + end - 1
                while stop >= p and stop[0] != b"\n":
                    stop -= 1
                if stop >= p:
                    try:
                        while p <= stop and self.n_lines < last and status == OK:
                            status = self._read_line(&p, stop + 1)
                            if status == OK:
                                self.n_lines = self.n_lines + 1  # `+=` needs the GIL where None is checked for
                    finally:
                        self._drop_line()
            if status != OK:
                self._refuse(status, self.n_lines - first)
            return p - base
        finally:
            self.busy = False
            PyBuffer_Release(&view)

    cdef _refuse(self, int status, Py_ssize_t line):
        cdef const char* token_end = self.bad_token
        if status == NO_MEMORY:
            raise MemoryError("no memory for the values of a batch")
        while not ends_token(token_end[0]) and token_end - self.bad_token < SHOWN:
            token_end += 1
        token = PyBytes_FromStringAndSize(self.bad_token, token_end - self.bad_token).decode("ascii", "backslashreplace")
        if not ends_token(token_end[0]):
            token += "..."
        if status == TRAILING:
            raise MultiSlotError(line, None, "has text behind its last slot", "the end of the line", repr(token))
        slot = self.slots[self.bad_slot]
        kind = "a float" if slot.is_float else "an integer"
        wanted = f"{slot.width}" if slot.width else "the number of values, at least 1"
        found = "the end of the line" if status in (NO_COUNT, NO_VALUE) else repr(token)
        problem, expected = {
            NO_COUNT: ("is missing", f"a count ({wanted})"),
            BAD_COUNT: ("does not start with a count", f"a count ({wanted})"),
            ZERO_COUNT: ("has no values: the number of ids can not be zero, pad it", wanted),
            WRONG_COUNT: ("has the wrong number of values", wanted),
            NO_VALUE: ("is cut off", f"{self.bad_count} value{'s' if self.bad_count > 1 else ''}"),
            BAD_VALUE: (f"has a value that is not {kind}", f"{kind} as value {<object>self.bad_count + 1}"),
            BIG_VALUE: (
                "has a value that does not fit",
                "a float32" if slot.is_float else "an integer of 64 bits, -2**63 <= value < 2**64",
            ),
        }[status]
        raise MultiSlotError(line, self.bad_slot, problem, expected, found)

    def take(self):
        """[(values, offsets), ...] for each slot, of all collected lines, which the parser forgets.

        values: float32 or int64, one axis; offsets: int64 (lines + 1,), or None for a slot with a width.
        """
        cdef Slot* slot
        if self.busy:
            raise RuntimeError("another thread is in this parser")
        taken = []
        for i in range(self.n_slots):
            slot = &self.slots[i]
            values = _copy(slot.values, slot.n, _FLOAT32 if slot.is_float else _INT64)
            offsets = None
            if not slot.width:
                if slot.offsets == NULL:
                    offsets = numpy.zeros(1, _INT64)
                else:
                    offsets = _copy(<char*>slot.offsets, self.n_lines + 1, _INT64)
            taken.append((values, offsets))
        self.n_lines = 0
        self._drop_line()
        return taken


    def take_batches(self, Py_ssize_t batch_size):
        """The collected lines by `batch_size`, each batch as `take` gives one; lines that fill no batch stay collected.

        A slot's arrays are parts of one array for all batches: cutting it costs less than making many.
        """
        cdef Slot* slot
        cdef Py_ssize_t i, k, taken_lines, n_batches
        cdef int64_t n
        if self.busy:
            raise RuntimeError("another thread is in this parser")
        if batch_size < 1:
            raise ValueError(f"`batch_size` is {batch_size}; it must be positive")
        n_batches = self.n_lines // batch_size
        taken_lines = n_batches * batch_size
        batches = [[] for _ in range(n_batches)]
        if not n_batches:
            return batches
        for i in range(self.n_slots):
            slot = &self.slots[i]
            n = taken_lines * slot.width if slot.width else slot.offsets[taken_lines]
            values = _copy(slot.values, n, _FLOAT32 if slot.is_float else _INT64)
            if slot.width:
                for k in range(n_batches):
                    batches[k].append((values[k * batch_size * slot.width:(k + 1) * batch_size * slot.width], None))
            else:
                offsets = _rebased(slot.offsets, n_batches, batch_size)
                for k in range(n_batches):
                    line = k * batch_size
                    batches[k].append((values[slot.offsets[line]:slot.offsets[line + batch_size]], offsets[k]))
                for k in range(self.n_lines - taken_lines + 1):
                    slot.offsets[k] = slot.offsets[taken_lines + k] - n
            slot.n -= n
            memmove(slot.values, slot.values + n * (sizeof(float) if slot.is_float else sizeof(int64_t)),
                    slot.n * (sizeof(float) if slot.is_float else sizeof(int64_t)))
        self.n_lines -= taken_lines
        return batches


cdef object _rebased(const int64_t* offsets, Py_ssize_t n_batches, Py_ssize_t batch_size):
    """(n_batches, batch_size + 1) int64: the offsets of each batch, from 0 on, read-only."""
    cdef Py_buffer view
    cdef int64_t* out
    cdef Py_ssize_t k, j
    array = _empty((n_batches, batch_size + 1), _INT64)
    PyObject_GetBuffer(array, &view, PyBUF_WRITABLE)
    out = <int64_t*>view.buf
    for k in range(n_batches):
        for j in range(batch_size + 1):
            out[k * (batch_size + 1) + j] = offsets[k * batch_size + j] - offsets[k * batch_size]
    PyBuffer_Release(&view)
    array.flags.writeable = False
    return array


cdef object _copy(const char* source, Py_ssize_t n, object dtype):
    cdef Py_buffer view
    array = _empty(n, dtype)
    if n:
        PyObject_GetBuffer(array, &view, PyBUF_WRITABLE)
        memcpy(view.buf, source, view.len)
        PyBuffer_Release(&view)
    return array
