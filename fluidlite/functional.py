"""The kernels for people with a training loop of their own: NumPy arrays and SelectedRows in, no program needed."""

import math
from operator import index

import numpy as np

from ._kernels import row_optimizers as optimizer_kernels
from ._kernels import rows as row_kernels
from .buffers import aligned_array, check_memory
from .errors import InvalidArgumentError, InvalidTypeError, OutOfRangeError
from .selected_rows import SelectedRows


def sparse_adam_(param, moment1, moment2, grad, step, *, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """One SparseAdam step in place, on the rows that `grad` names; all other rows keep their bits.

    For the rows i present in grad, duplicates summed, with t = step:
    m[i] = b1 m[i] + (1-b1) g[i];  v[i] = b2 v[i] + (1-b2) g[i]^2;
    p[i] -= lr (m[i] / (1-b1^t)) / (sqrt(v[i] / (1-b2^t)) + epsilon).

    Args:
        param, moment1, moment2: (V, D) float32 or float64, C-contiguous and writable, all of one dtype.
        grad: SelectedRows of height V and the same dtype.
        step: int, counted from 1.
        learning_rate, beta1, beta2, epsilon: floats.

    Raises:
        InvalidTypeError: grad is no SelectedRows, or a dtype does not fit.
        InvalidArgumentError: a shape does not fit, step < 1, a setting out of range. Nothing is changed then.

    Source: Kingma and Ba, "Adam" (2015), algorithm 1, as `fluidlite.optimizer.SparseAdam`.

    >>> import numpy as np, fluidlite
    >>> p, m, v = (np.zeros((5, 2), np.float32) for _ in range(3))
    >>> grad = fluidlite.SelectedRows(rows=[1, 3, 1], value=np.ones((3, 2), np.float32), height=5)
    >>> sparse_adam_(p, m, v, grad, step=1, learning_rate=0.1)
    >>> p[:, 0].round(3)
    array([ 0. , -0.1,  0. , -0.1,  0. ], dtype=float32)
    """
    if not isinstance(grad, SelectedRows):
        raise InvalidTypeError(
            "The grad of sparse_adam_ is not a SelectedRows.",
            expected="fluidlite.SelectedRows(rows=, value=, height=)",
            actual=type(grad).__name__,
        )
    for name, array in (("param", param), ("moment1", moment1), ("moment2", moment2)):
        _check_table(name, array, grad)
    settings = {"learning_rate": learning_rate, "beta1": beta1, "beta2": beta2, "epsilon": epsilon}
    for name, value in settings.items():
        _check_setting(name, value)
    try:
        count = index(step)
    except TypeError:
        count = 0
    if count < 1:
        raise InvalidArgumentError("The step of sparse_adam_ counts from 1.", expected="an int >= 1", actual=repr(step))
    settings = {name: float(value) for name, value in settings.items()}
    try:
        optimizer_kernels.sparse_adam_rows(param, moment1, moment2, grad.chunks, np.array([count - 1]), **settings)
    except ValueError as error:
        raise InvalidArgumentError(f"sparse_adam_ cannot run: {error}.") from error


def _check_setting(name, value):
    number = isinstance(value, float | int | np.floating | np.integer) and not isinstance(value, bool)
    beta = name.startswith("beta")
    if not number or not math.isfinite(value) or (beta and not 0 <= value < 1) or (name == "epsilon" and value < 0):
        raise InvalidArgumentError(
            f"The {name} of sparse_adam_ is out of range.",
            expected="0 <= beta < 1" if beta else "a finite number" + (" >= 0" if name == "epsilon" else ""),
            actual=repr(value),
        )


def _check_table(name, array, grad):
    if not isinstance(array, np.ndarray) or array.dtype != grad.dtype:
        raise InvalidTypeError(
            f"The {name} of sparse_adam_ is not an array of the gradient's dtype.",
            expected=f"ndarray of {grad.dtype}",
            actual=f"{type(array).__name__} of {getattr(array, 'dtype', None)}",
        )
    if array.shape != grad.shape or not array.flags.c_contiguous or not array.flags.writeable:
        layout = "C-contiguous" if array.flags.c_contiguous else "not C-contiguous"
        raise InvalidArgumentError(
            f"The {name} of sparse_adam_ does not fit.",
            expected=f"shape {grad.shape}, C-contiguous and writable",
            actual=f"shape {array.shape}, {layout}, {'writable' if array.flags.writeable else 'read-only'}",
        )


def zeros(shape, dtype="float32"):
    """A table of zeros as the Executor makes them: its first row starts a cache line.

    A row of a table that starts anywhere may lie in one cache line more: updates of ``np.zeros`` take up to 15 % more.
    The pages of a large table take memory when they are first written.

    >>> zeros((3, 2)).shape
    (3, 2)
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    check_memory(math.prod(shape) * np.dtype(dtype).itemsize, "A table of zeros")
    return aligned_array(shape, np.dtype(dtype), np.zeros)


def gather(table, ids, *, padding_idx=None):
    """Rows of a table by id: (..., D) for ids of any shape; zeros where an id equals `padding_idx`.

    Args:
        table: (V, D) float32 or float64, C-contiguous.
        ids: integers in [0, V).

    Raises:
        OutOfRangeError: an id lies outside the table.

    >>> import numpy as np
    >>> gather(np.arange(6, dtype=np.float32).reshape(3, 2), [2, 0])
    array([[4., 5.],
           [0., 1.]], dtype=float32)
    """
    ids = np.asarray(ids)
    if ids.dtype.kind not in "iu" and ids.size:
        raise InvalidTypeError("The ids of gather are not integers.", actual=str(ids.dtype))
    if not isinstance(table, np.ndarray) or table.dtype not in (np.float32, np.float64):
        raise InvalidTypeError(
            "The table of gather is not an array of floats.",
            expected="ndarray of float32 or float64",
            actual=f"{type(table).__name__} of {getattr(table, 'dtype', None)}",
        )
    if table.ndim != 2 or not table.flags.c_contiguous:
        raise InvalidArgumentError(
            "The table of gather does not fit.",
            expected="(V, D), C-contiguous",
            actual=f"{table.shape}, {'C-contiguous' if table.flags.c_contiguous else 'not C-contiguous'}",
        )
    beyond = ids.reshape(-1) > np.iinfo(np.int64).max if ids.dtype == np.uint64 else np.zeros(0, bool)
    if beyond.any():
        at = int(beyond.argmax())
        raise OutOfRangeError(
            f"Id {ids.flat[at]} at position {at} is not in the table.",
            expected=f"0 <= id < {len(table)}",
            actual=str(ids.flat[at]),
        )
    flat = np.ascontiguousarray(ids, np.int64).reshape(-1)
    out = np.empty((flat.size, table.shape[1]), table.dtype)
    try:
        row_kernels.gather_rows(table, flat, out, padding_idx)
    except row_kernels.IdOutOfRange as error:
        raise OutOfRangeError(
            f"Id {error.id} at position {error.position} is not in the table.",
            expected=f"0 <= id < {error.height}",
            actual=str(error.id),
        ) from None
    return out.reshape(*ids.shape, table.shape[1])
