"""Files of safetensors: arrays by name. Their library is optional: ``pip install fluidlite[exchange]``."""

import json
import os

import numpy as np

from ..errors import UnavailableError
from ..formats.files import atomic_files, open_source
from .values import named_arrays

_LONGEST_HEADER = 100_000_000


def _library():
    try:
        import safetensors.numpy
    except ImportError:
        raise UnavailableError(
            "Files of safetensors need the package safetensors, which is not installed.",
            hint="pip install fluidlite[exchange], or pip install safetensors.",
        ) from None
    return safetensors


def save_safetensors(path, arrays, metadata=None):
    """Save arrays by name in a file of safetensors, which PyTorch, JAX, TensorFlow and others read.

    Args:
        path: the file; it appears when it is complete.
        arrays: {name: array or LoDTensor}; or a Program, for its Parameters in the global scope.
        metadata: {text: text}, kept in the file. Default None.

    Raises:
        UnavailableError: the package safetensors is not installed, or the system refuses.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), 'model.safetensors')
    >>> save_safetensors(path, {'w': np.eye(2, dtype='float32')})
    >>> load_safetensors(path)['w'].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    library = _library()
    arrays = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in named_arrays(arrays).items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise UnavailableError(
                f"Array {name!r} cannot be saved: safetensors has no {array.dtype}.",
                hint="texts, such as the words of an embedding, go into metadata or another file.",
            )
    with atomic_files(f"The arrays {os.fspath(path)!r}") as files, files.open(path) as file:
        # By the open file: its name is that of a file which is not complete yet.
        library.numpy.save_file(arrays, file.name, metadata)


def load_safetensors(path):
    """{name: array} from a file of safetensors, copies.

    Raises:
        NotFoundError: there is no such file.
        InvalidArgumentError: the file is damaged, or has a dtype that NumPy lacks (bfloat16); the array is named.
        UnavailableError: the package safetensors is not installed.
    """
    library = _library()
    with open_source(path) as source:
        header = _read_header(source)
        arrays = {}
        try:
            with library.safe_open(os.fspath(path), framework="np") as file:
                for name in list(file.keys()):
                    arrays[name] = _tensor(source, file, name, header)
        except (library.SafetensorError, OSError) as error:
            raise source.damaged(f"it is no file of safetensors: {error}") from None
    return arrays


def _read_header(source):
    """The JSON header, checked as far as memory goes: the rest is the library's part."""
    size = source.unpack("Q", "the size of its header")
    if size > min(source.left, _LONGEST_HEADER):
        raise source.damaged(
            "its header is longer than it can be",
            expected=f"at most {min(source.left, _LONGEST_HEADER)} bytes from byte 8 on",
            actual=f"{size} bytes",
            hint="is it a file of safetensors?",
        )
    try:
        header = json.loads(source.take(size, "the header"))
    except (ValueError, RecursionError) as error:
        raise source.damaged(f"its header, from byte 8 on, is no JSON: {error}") from None
    if not isinstance(header, dict):
        raise source.damaged("its header is no list of arrays", expected="a JSON object", actual=type(header).__name__)
    return header


def _tensor(source, file, name, header):
    try:
        return file.get_tensor(name)
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        dtype = header.get(name, {}).get("dtype")
        raise source.damaged(
            f"NumPy has no array like {name!r}: {error}",
            expected="integers, float16, float32 or float64",
            actual=str(dtype),
            hint="save it as float32 where it came from.",
        ) from None
