"""NumPy's ``.npz`` files: arrays by name, without pickles, with every claimed size checked before memory is taken."""

import math
import os
import struct
import zipfile
import zlib

import numpy as np

from ..buffers import check_memory
from ..errors import EnforceNotMet
from ..formats.files import atomic_files, open_source
from .values import named_arrays

_SLAB = 1 << 22
# DEFLATE makes at most 1032 bytes of one (RFC 1951: 258 bytes for two bits).
_MOST_INFLATED = 1032
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, OverflowError)
_BROKEN += (NotImplementedError, RuntimeError, OSError, KeyError, IndexError, TypeError)


def save_npz(path, arrays):
    """Save arrays by name, as ``numpy.savez`` does.

    Args:
        path: the file, used as it is; it appears when it is complete.
        arrays: {name: array or LoDTensor}; or a Program, for its Parameters in the global scope. Words of an embedding
            may be among them: ``{'words': np.array(words), 'vectors': table}``.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), 'table.npz')
    >>> save_npz(path, {'words': np.array(['the', 'cat']), 'vectors': np.eye(2)})
    >>> load_npz(path)['words'].tolist()
    ['the', 'cat']
    """
    arrays = named_arrays(arrays)
    with atomic_files(f"The arrays {os.fspath(path)!r}") as files, files.open(path) as file:
        # Not by savez's keywords, among which `file` could not be a name.
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)


def load_npz(path):
    """{name: array} from what `save_npz`, ``numpy.savez`` or ``numpy.savez_compressed`` saved.

    Raises:
        NotFoundError: there is no such file.
        InvalidArgumentError: the file is damaged, or holds pickled objects; the array is named. Memory is taken only
            for what the file can hold, and follows what is read.
    """
    with open_source(path) as source:
        try:
            with zipfile.ZipFile(source.file) as archive:
                members = archive.infolist()
                _check_members(source, members)
                return {info.filename.removesuffix(".npy"): _read(source, archive, info) for info in members}
        except EnforceNotMet:
            raise
        except _BROKEN as error:
            raise source.damaged(f"it is no .npz file: {error}") from None


def _check_members(source, members):
    names = [info.filename for info in members]
    if len(set(names)) != len(names):
        raise source.damaged("it holds two arrays of one name")
    if sum(info.compress_size for info in members) > source.size:
        raise source.damaged("its arrays claim more bytes than it has")
    for info in members:
        inflated = info.compress_size * (_MOST_INFLATED if info.compress_type != zipfile.ZIP_STORED else 1)
        if not info.filename.endswith(".npy") or info.file_size > inflated + 64:
            raise source.damaged(
                f"array {info.filename!r} is not what an .npz file holds",
                expected=f"a name that ends in '.npy', at most {inflated} bytes",
                actual=f"{info.file_size} bytes",
            )
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise source.damaged(
                f"array {info.filename!r} is compressed in a way that NumPy does not use",
                expected="stored or deflated",
                actual=f"method {info.compress_type}",
            )


def _read(source, archive, info):
    what = f"array {info.filename.removesuffix('.npy')!r}"
    try:
        with archive.open(info) as member:
            shape, fortran, dtype = _read_head(source, member, what)
            nbytes = math.prod(shape) * dtype.itemsize
            left = info.file_size - member.tell()
            if nbytes != left:
                raise source.damaged(
                    f"{what} has another size than it claims",
                    expected=f"{nbytes} bytes for shape {shape}, {dtype}",
                    actual=f"{left} bytes",
                )
            check_memory(nbytes, f"Loading {what}")
            # Pages of an empty array come as they are written, whatever was claimed.
            array = np.empty(math.prod(shape), dtype)
            if nbytes:
                _fill(source, member, memoryview(array.view(np.uint8)), what)
            # The end is where the checksum is looked at.
            if member.read(1):
                raise source.damaged(f"{what} goes on where it should end")
    except _BROKEN as error:
        if isinstance(error, EnforceNotMet):
            raise
        raise source.damaged(f"{what} makes no sense: {error}") from None
    if fortran:
        return array.reshape(shape[::-1]).transpose()
    return array.reshape(shape)


def _read_head(source, member, what):
    try:
        version = np.lib.format.read_magic(member)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(member)
    except Exception as error:  # whatever the parser of Python finds wrong with a text that should be a dict
        raise source.damaged(f"the header of {what} makes no sense: {error}") from None
    if dtype.kind not in "biufcUS" or not dtype.itemsize:
        raise source.damaged(
            f"{what} holds neither numbers nor texts",
            expected="a dtype of numbers or texts",
            actual=str(dtype),
            hint="pickled objects are not read: they could run any program.",
        )
    if any(n < 0 for n in shape) or math.prod(n for n in shape if n) * dtype.itemsize >= 1 << 62:
        raise source.damaged(f"{what} has a shape that no array can have: {shape}")
    return shape, fortran, dtype


def _fill(source, member, view, what):
    done = 0
    while done < len(view):
        data = member.read(min(_SLAB, len(view) - done))
        if not data:
            raise source.damaged(f"it ends inside {what}", expected=f"{len(view)} bytes", actual=f"{done} bytes")
        view[done : done + len(data)] = data
        done += len(data)
