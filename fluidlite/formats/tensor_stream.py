"""Fluid's streams of tensors: what `save` and `save_combine` write for a LoDTensor and for SelectedRows.

LoDTensor: uint32 version 0; uint64 number of LoD levels; for each level uint64 bytes and that many bytes of uint64
offsets; then the tensor. SelectedRows: uint32 version 0; uint64 number of rows; int64 rows; int64 height; then the
tensor. Tensor: uint32 version 0; int32 size of a TensorDesc message (data type, dims), the message; the elements,
row-major. All little-endian.
"""

import math
import struct
from collections import namedtuple

import numpy as np

from ..buffers import aligned_array, check_memory
from ..dtypes import VarType, canonical_dtype, numpy_dtype
from ..errors import EnforceNotMet, InvalidTypeError
from ..lod_tensor import LoDTensor
from ..selected_rows import SelectedRows
from ..tables import RowState
from .program_messages import TENSOR
from .protobuf import MalformedMessage, decode, encode

# Bytes that are written, or converted, at a time.
SLAB = 1 << 22
# A TensorDesc has some bytes for each dimension; arrays have 64 dimensions at most.
_LONGEST_DESC = 4096


# ------------------------------------------------------------------------------------------------------------- writing


def slabs(value):
    """The elements of an array or a RowState in order, row-major, as flat uint8 arrays of a few MB.

    A RowState is never made dense as a whole. A slab is valid until the next one is asked for.
    """
    if isinstance(value, RowState):
        yield from _state_slabs(value)
        return
    flat = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
    for start in range(0, flat.size, SLAB):
        yield flat[start : start + SLAB]


def _state_slabs(state):
    height, width = state.shape
    per_slab = max(1, SLAB // max(1, width * state.dtype.itemsize))
    store, columns = state.store, slice(state.column * width, (state.column + 1) * width)
    dense = np.empty((min(per_slab, height), width), state.dtype)
    for start in range(0, height, per_slab):
        rows = dense[: min(per_slab, height - start)]
        rows.fill(0)
        if store is not None:
            numbers = store.slots[start : start + len(rows)]
            touched = np.flatnonzero(numbers)
            rows[touched] = store.data[numbers[touched] - 1, columns]
        yield rows.reshape(-1).view(np.uint8)


def write_lod_tensor(file, tensor):
    """Write a LoDTensor whose value is an array or a RowState."""
    file.write(struct.pack("<IQ", 0, len(tensor.lod_offsets)))
    for level in tensor.lod_offsets:
        offsets = np.asarray(level, "<u8")
        file.write(struct.pack("<Q", offsets.nbytes))
        file.write(offsets.tobytes())
    _write_tensor(file, tensor.value)


def write_selected_rows(file, selected_rows):
    """Write a SelectedRows; duplicate rows stay as they are."""
    _write_rows(file, selected_rows.rows, selected_rows.height, selected_rows.value)


class RowStream(namedtuple("RowStream", ["count", "shape", "dtype", "ids", "rows"])):
    """Rows of a table of any ids that come from somewhere else, to be written.

    count: of rows. shape, dtype: (V, D), of the table. ids, rows: functions that give iterators of arrays, int64 (n,)
    and (n, D), in the same order.
    """

    __slots__ = ()


def write_table(file, table):
    """Write the live rows of a table of any ids, or of a state of one, as SelectedRows: rows are ids, height is V.

    table: a HashTable, a TableState or a RowStream.
    """
    if not isinstance(table, RowStream):
        _write_rows(file, table.ids, table.shape[0], table.live_rows()[1:])
        return
    file.write(struct.pack("<IQ", 0, table.count))
    for ids in table.ids():
        file.write(np.ascontiguousarray(ids, "<i8").data)
    file.write(struct.pack("<q", table.shape[0]))
    _write_head(file, [table.count, *table.shape[1:]], table.dtype)
    for rows in table.rows():
        for slab in slabs(rows):
            file.write(slab.data)


def _write_rows(file, rows, height, value):
    file.write(struct.pack("<IQ", 0, len(rows)))
    for slab in slabs(np.ascontiguousarray(rows, "<i8")):
        file.write(slab.data)
    file.write(struct.pack("<q", height))
    _write_tensor(file, value)


def _write_tensor(file, value):
    # Fluid has no tensors without dimensions.
    _write_head(file, list(value.shape) or [1], value.dtype)
    for slab in slabs(value):
        file.write(slab.data)


def _write_head(file, dims, dtype):
    desc = encode(TENSOR, {"data_type": int(canonical_dtype(dtype)), "dims": dims})
    file.write(struct.pack("<Ii", 0, len(desc)))
    file.write(desc)


# ------------------------------------------------------------------------------------------------------------- reading


def read_lod_tensor(source, what, *, shape=None, dtype=None, rows_alone=False, mapping=None):
    """The LoDTensor that comes next in a `Source`.

    Args:
        what: what messages call it, e.g. "variable 'w'".
        shape, dtype: what it must have (-1: any length; None: anything).
        rows_alone: most of it may be zeros: take no memory for them. All zeros are a RowState.
        mapping: a `MappedFile` of the source; the elements are a read-only view of it where it offers one.
    """
    _read_version(source, what)
    count = source.unpack("Q", f"the LoD of {what}")
    source.require(count * 8, f"the LoD of {what}")
    levels = [_read_level(source, what) for _ in range(count)]
    value = _read_tensor(source, what, shape, dtype, rows_alone, mapping)
    tensor = LoDTensor(value, levels)
    if levels and not (len(value.shape) and tensor.has_valid_recursive_sequence_lengths()):
        raise source.damaged(f"the LoD of {what} does not fit its {value.shape[0]} rows")
    return tensor


def _read_level(source, what):
    nbytes = source.unpack("Q", f"the LoD of {what}")
    source.require(nbytes, f"the LoD of {what}")
    if nbytes % 8 or not nbytes:
        raise source.damaged(f"a LoD level of {what} has {nbytes} bytes, which are no list of 8-byte offsets")
    level = np.empty(nbytes // 8, "<i8")
    source.fill(level, f"the LoD of {what}")
    if level.min() < 0:
        raise source.damaged(f"the LoD of {what} has an offset beyond every tensor")
    return level.astype(np.int64, copy=False)


def read_selected_rows(source, what, *, shape=None, dtype=None):
    """The SelectedRows that comes next in a `Source`."""
    rows, height = _read_ids(source, what)
    count = len(rows)
    if shape and shape[0] not in (-1, height):
        raise source.damaged(f"{what} has the wrong height", expected=str(shape[0]), actual=str(height))
    value = _read_tensor(source, what, shape and (count, *shape[1:]), dtype)
    try:
        return SelectedRows(rows, value, height)
    except EnforceNotMet as error:
        raise source.damaged(f"{what} is no SelectedRows: {error.summary}") from None


def _read_ids(source, what):
    _read_version(source, what)
    count = source.unpack("Q", f"the rows of {what}")
    source.require(count * 8, f"the rows of {what}")
    rows = np.empty(count, np.int64)
    source.fill(rows, f"the rows of {what}")
    return rows, source.unpack("q", f"the height of {what}")


def read_table(source, what, *, width=None, dtype=None):
    """The rows of a table of any ids: a SelectedRows stream whose rows are ids, of which any int64 will do.

    Args:
        width, dtype: what the rows must have (None: anything).

    Returns:
        ``(ids, (n, D), dtype, slabs)``; `slabs` is an iterator that reads the rows as it goes, a few MB at a time, and
        gives ``(ids, values)``, valid until the next one is asked for.
    """
    ids, _ = _read_ids(source, what)
    _read_version(source, what)
    dims, found = _read_desc(source, what)
    if dims[:1] != ids.shape or len(dims) != 2 or dims[1] != (width or dims[1]) or found != (dtype or found):
        raise source.damaged(
            f"{what} is not what the program says",
            expected=f"{len(ids)} rows of {'any width' if width is None else width}, {dtype or 'any dtype'}",
            actual=f"shape {dims}, {found}",
            hint="was it saved by another program, or by this one with other sizes?",
        )
    source.require(math.prod(dims) * found.itemsize, f"the rows of {what}, shape {dims} {found}")
    return ids, dims, found, _table_slabs(source, what, ids, dims[1], found)


def _table_slabs(source, what, ids, width, dtype):
    per_slab = max(1, SLAB // max(1, width * dtype.itemsize))
    slab = np.empty((min(per_slab, len(ids)), width), dtype)
    for start in range(0, len(ids), per_slab):
        some = ids[start : start + per_slab]
        source.fill(slab[: len(some)], f"the rows of {what}")
        yield some, slab[: len(some)]


def skip_table(source, what):
    """Pass over the rows of a table of any ids; returns the position at which they start."""
    start = source.position
    _, dims, dtype, _ = read_table(source, what)
    source.skip(math.prod(dims) * dtype.itemsize, f"the rows of {what}")
    return start


def kind_of_stream(source):
    """What comes next in a `Source`: "rows" (a SelectedRows), "tensor" (a LoDTensor without LoD), or None.

    Its position stays.
    """
    start = source.position
    try:
        for kind in ("rows", "tensor"):
            try:
                source.seek(start)
                if _begins_as(source, kind):
                    return kind
            except EnforceNotMet:
                continue
        return None
    finally:
        source.seek(start)


def _begins_as(source, kind):
    _read_version(source, kind)
    count = source.unpack("Q", kind)
    if kind == "rows":
        source.skip(count * 8 + 8, kind)
    _read_version(source, kind)
    dims, _ = _read_desc(source, kind)
    return len(dims) == 2 and dims[0] == count if kind == "rows" else count == 0


def _read_version(source, what):
    version = source.unpack("I", f"the version of {what}")
    if version != 0:
        raise source.damaged(
            f"{what} has the unknown version {version}",
            expected="version 0",
            actual=f"version {version}",
            hint="is this a file of save_vars, save_params or save_persistables of Fluid 1.x?",
        )


def _read_tensor(source, what, shape, dtype, rows_alone=False, mapping=None):
    _read_version(source, what)
    dims, found = _read_desc(source, what)
    if (shape is not None and not _fits(dims, shape)) or (dtype is not None and found != dtype):
        raise source.damaged(
            f"{what} is not what the program says",
            expected=f"shape {'any' if shape is None else tuple(shape)}, {'any dtype' if dtype is None else dtype}",
            actual=f"shape {dims}, {found}",
            hint="was it saved by another program, or by this one with other sizes?",
        )
    nbytes = math.prod(dims) * found.itemsize
    source.require(nbytes, f"the elements of {what}, shape {dims} {found}")
    if mapping is not None and mapping.offers(source.position, nbytes, found):
        return mapping.array(source.skip(nbytes, f"the elements of {what}"), dims, found)
    check_memory(nbytes, f"Loading {what}")
    if rows_alone:
        return _read_rows(source, what, dims, found)
    try:
        array = aligned_array(dims, found)
    except (ValueError, OverflowError):
        raise source.damaged(f"{what} has a shape that no array can have: {dims}") from None
    source.fill(array, f"the elements of {what}")
    if found == np.bool_ and array.size and array.view(np.uint8).max() > 1:
        raise source.damaged(f"{what} has bools that are neither true nor false")
    return array


def _read_desc(source, what):
    size = source.unpack("i", f"the description of {what}")
    if not 0 < size <= _LONGEST_DESC:
        raise source.damaged(f"the description of {what} claims {size} bytes")
    try:
        desc = decode(TENSOR, source.take(size, f"the description of {what}"))
        dtype = numpy_dtype(VarType(desc["data_type"]))
    except (MalformedMessage, InvalidTypeError, ValueError) as error:
        text = error.summary if isinstance(error, EnforceNotMet) else error
        raise source.damaged(f"the description of {what} makes no sense: {text}") from None
    dims = tuple(desc.get("dims", ()))
    if any(dim < 0 for dim in dims):
        raise source.damaged(f"{what} has a negative dimension: {dims}")
    return dims, dtype


def _fits(dims, shape):
    if tuple(shape) == () and dims == (1,):
        return True
    return len(dims) == len(shape) and all(want in (-1, dim) for dim, want in zip(dims, shape, strict=True))


def _read_rows(source, what, shape, dtype):
    """A (V, D) accumulator: pages whose rows are all zero stay untouched memory; nothing but zeros is a RowState."""
    array, empty = aligned_array(shape, dtype, np.zeros), True
    per_slab = max(1, SLAB // max(1, shape[1] * dtype.itemsize))
    slab = np.empty((min(per_slab, shape[0]), shape[1]), dtype)
    for start in range(0, shape[0], per_slab):
        rows = slab[: min(per_slab, shape[0] - start)]
        source.fill(rows, f"the elements of {what}")
        # By bits: -0.0 is no untouched row.
        touched = np.flatnonzero(rows.view(np.uint8).reshape(len(rows), -1).any(axis=1))
        if touched.size:
            array[start + touched] = rows[touched]
            empty = False
    return RowState(shape, dtype) if empty else array
