"""Values of a scope as NumPy arrays that share their memory."""

import numpy as np

from ..errors import InvalidTypeError, UnavailableError, nearest
from ..executor import global_scope
from ..framework import Program
from ..hash_table import HashTable, TableState
from ..io.variables import checked_program, get_program_parameter
from ..lod_tensor import LoDTensor
from ..selected_rows import SelectedRows
from ..tables import RowState
from ..variable import Variable


def parameters(program=None, scope=None):
    """{name: array} of all Parameters of a program, read-only views of their memory.

    A view shows what later steps train, until the variable gets another array (a load, ``set``, the startup program).
    ``fluid.set_program_state(program, arrays)`` is the way back.

    Args:
        program: the default main program if None.
        scope: the global scope if None.

    >>> import fluidlite as fluid
    >>> w = fluid.layers.create_parameter([2, 3], 'float32', name='w')
    >>> _ = fluid.Executor().run(fluid.default_startup_program())
    >>> view = parameters()['w']
    >>> view.shape, view.flags.writeable
    ((2, 3), False)
    """
    found = {}
    for var in get_program_parameter(checked_program(program)):
        tensor = tensor_of(var.name, scope)
        if isinstance(tensor.value, HashTable):
            raise _any_ids(f"Parameter {var.name!r}")
        found[var.name] = np.asarray(tensor)
    return found


def tensor_of(name, scope=None):
    """The LoDTensor in which a scope keeps a variable, which has a value."""
    if isinstance(name, Variable):
        name = name.name
    if not isinstance(name, str):
        raise InvalidTypeError("A variable is neither a Variable nor a name.", actual=type(name).__name__)
    scope = scope if scope is not None else global_scope()
    found = scope.find_var(name)
    if found is None or found.cell.value is None:
        raise UnavailableError(
            f"Variable {name!r} has no value in the scope.",
            hint=nearest(name, scope.local_var_names())
            if found is None
            else "run the startup program first: exe.run(fluid.default_startup_program()).",
        )
    return found.get_tensor()


def _any_ids(what):
    return InvalidTypeError(
        f"{what} is a table of any ids (is_distributed=True), which is no array.",
        hint="use scope.find_var(name).get_table(), which gives ids and values.",
    )


def writable_view(tensor):
    """The array of a LoDTensor itself: what is written there is the variable's value from the next run on.

    ``np.asarray(tensor)`` is the same memory, read-only. Nothing checks what is written, and no run should be under
    way meanwhile. The view is the variable's until it gets another array (a load, ``set``, the startup program).

    Args:
        tensor: ``scope.find_var(name).get_tensor()``.

    Raises:
        InvalidTypeError: the variable keeps memory only for the rows touched, or is a table of any ids.
        UnavailableError: the tensor has no value, or lies in a file that is mapped.

    >>> import fluidlite as fluid
    >>> scope = fluid.Scope()
    >>> scope.var('w').get_tensor().set(np.zeros((2, 3), 'float32'))
    >>> writable_view(scope.find_var('w').get_tensor())[1] = 7
    >>> np.asarray(scope.find_var('w').get_tensor())[:, 0].tolist()
    [0.0, 7.0]
    """
    if not isinstance(tensor, LoDTensor):
        raise InvalidTypeError(
            "writable_view needs a LoDTensor.",
            expected="scope.find_var(name).get_tensor()",
            actual=type(tensor).__name__,
        )
    value = tensor.value
    if value is None:
        raise UnavailableError("The tensor is not initialized: it holds no array.")
    if isinstance(value, HashTable | TableState):
        raise _any_ids("The tensor")
    if isinstance(value, RowState | SelectedRows) or not isinstance(value, np.ndarray):
        raise InvalidTypeError(
            "The tensor keeps memory for the rows touched alone, so there is no array to write to.",
            expected="an array",
            actual=type(value).__name__,
            hint="tensor.set(array) replaces all of it.",
        )
    if not value.flags.writeable:
        raise UnavailableError(
            "The tensor is a view of a file, which is not written through it.", hint="np.array(tensor) is a copy."
        )
    return value


def named_arrays(source):
    """{name: array} from a dict of arrays or LoDTensors, or from a Program (its Parameters in the global scope)."""
    if isinstance(source, Program) or isinstance(getattr(source, "_program", None), Program):
        return parameters(source)
    if not isinstance(source, dict):
        raise InvalidTypeError(
            "What is to be saved is neither a dict nor a Program.",
            expected="{name: array}, or a Program for its Parameters",
            actual=type(source).__name__,
        )
    arrays = {}
    for name, value in source.items():
        if not isinstance(name, str) or not name:
            raise InvalidTypeError("The name of an array is no text.", actual=repr(name))
        array = np.asarray(value)
        if array.dtype.kind not in "biufcUS":
            raise InvalidTypeError(
                f"Array {name!r} cannot be saved.", expected="numbers or texts", actual=f"dtype {array.dtype}"
            )
        arrays[name] = array
    return arrays


def matrix(value, what):
    """A (V, D) float array from an array or a LoDTensor."""
    array = np.asarray(value)
    if array.ndim != 2 or array.dtype.kind != "f" or not array.shape[1]:
        raise InvalidTypeError(
            f"{what} is not a table.", expected="floats of shape (V, D)", actual=f"{array.dtype} of shape {array.shape}"
        )
    return array
