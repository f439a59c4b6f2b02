"""`fluid.save` and `fluid.load`: parameters in one pickle, optimizer state in another, the program beside them."""

import os

import numpy as np

from ..dtypes import numpy_dtype
from ..errors import InvalidArgumentError, InvalidTypeError, NotFoundError, UnavailableError, nearest, warn_user
from ..executor import global_scope
from ..formats.files import UNFINISHED, atomic_files, open_source
from ..formats.pickle_reader import read_arrays
from ..formats.pickle_writer import write_arrays
from ..formats.tensor_stream import kind_of_stream, read_lod_tensor, read_table
from ..lod_tensor import LoDTensor
from ..program_desc import program_for_fluid, program_to_bytes
from ..selected_rows import SelectedRows
from ..table_rows import Slab
from ..variable import Variable
from .table_files import IDS, NewTables, RowArrays, arrays_of, is_rows, slabs_of
from .variables import (
    _cell_to_save,
    checked_executor,
    checked_program,
    get_program_parameter,
    get_program_persistable_vars,
    is_belong_to_optimizer,
    read_variables,
    set_cells,
)

_PARAMETERS, _OPTIMIZER, _MODEL = ".pdparams", ".pdopt", ".pdmodel"
_SAVED_BY = "[ save_params, save_persistables, save_vars ]"


def save(program, model_path):
    """Save a program and its values as ``<model_path>.pdparams``, ``.pdopt`` and ``.pdmodel``.

    Parameters are in the first file, moments, counters and learning rates in the second (pickled dicts of arrays, below
    4 GB for each array), the program in the third. Values are those of the global scope.

    A table of any ids (is_distributed=True) and its moments are two arrays each: ``name``, the live rows, (n, D), and
    ``name@IDS``, int64 (n,), the id of each. `load` and `set_program_state` take them back.

    A program with an op that Fluid lacks (`sparse_adam`) is saved without its backward and optimizer part, and a
    warning says so: Fluid could not read it. All values are saved, moments too, and `load` takes them into the program
    that the user builds again, as always.

    >>> import fluidlite as fluid, os, tempfile
    >>> w = fluid.layers.create_parameter([2, 3], 'float32', name='w')
    >>> _ = fluid.Executor().run(fluid.default_startup_program())
    >>> path = os.path.join(tempfile.mkdtemp(), 'model')
    >>> fluid.save(fluid.default_main_program(), path)
    >>> fluid.load(fluid.default_main_program(), path)
    """
    program, model_path = checked_program(program), _checked_path(model_path)
    parameters = _values_to_save(get_program_parameter(program))
    optimizer = _values_to_save(_optimizer_variables(program))
    model = program_to_bytes(program_for_fluid(program, f"The program of {model_path!r}"))
    with atomic_files(f"The model {model_path!r}") as files:
        with files.open(model_path + _PARAMETERS) as file:
            write_arrays(file, parameters)
        with files.open(model_path + _OPTIMIZER) as file:
            write_arrays(file, optimizer)
        with files.open(model_path + _MODEL) as file:
            file.write(model)


def _checked_path(model_path):
    path = os.fspath(model_path)
    if not os.path.basename(path):
        raise InvalidArgumentError(
            "The input model_path MUST be format of dirname/filename, but received model_path is empty string.",
            actual=repr(path),
            hint="add a name for the files: 'folder/model'.",
        )
    return path


def _optimizer_variables(program):
    return [var for var in program.list_vars() if is_belong_to_optimizer(var)]


def _values_to_save(variables):
    values = {}
    for var in variables:
        value = _cell_to_save(var).value
        if isinstance(value, SelectedRows):
            raise InvalidTypeError(f"Variable {var.name!r} is a SelectedRows, and fluid.save knows arrays alone.")
        values |= arrays_of(var.name, value) if is_rows(value) else {var.name: value}
    return values


def _prefix(model_path):
    for suffix in (_PARAMETERS, _OPTIMIZER, _MODEL):
        if model_path.endswith(suffix):
            return model_path.removesuffix(suffix)
    return model_path


def load(program, model_path, executor=None, var_list=None):
    """Load what `fluid.save` saved, or the files of `save_params`, `save_persistables` and `save_vars`.

    Args:
        program: whose parameters and other persistable variables are to be loaded, into the global scope.
        model_path: as given to `fluid.save`; or a folder of files, one for each variable; or one combined file.
        executor: needed for the last two. var_list: needed for the last one: its Variables.

    Raises:
        NotFoundError: a file is missing, or a variable is not in it.
        InvalidArgumentError: a file is damaged or does not fit the program. No variable has changed.
    """
    program, model_path = checked_program(program), _checked_path(model_path)
    if executor is not None:
        checked_executor(executor)
    prefix = _prefix(model_path)
    if not os.path.exists(prefix + _PARAMETERS):
        _load_files(program, model_path, executor, var_list)
        return
    parameters, optimizer = get_program_parameter(program), _optimizer_variables(program)
    tables = NewTables(parameters + optimizer, global_scope())
    tensors = _read_state(prefix + _PARAMETERS, parameters, tables)
    if optimizer:
        tensors |= _read_state(prefix + _OPTIMIZER, optimizer, tables)
    set_cells(tensors)


def _read_state(path, variables, tables):
    with open_source(path) as source:
        arrays = read_arrays(source)
        tensors = {}
        for var in variables:
            if var.name not in arrays:
                raise NotFoundError(
                    f"Can not find [{var.name}] in model file [{path}].",
                    hint=nearest(var.name, [name for name in arrays if isinstance(name, str)])
                    or "was it saved by another program?",
                )
            if _is_table(var, arrays, tables, source.name):
                tensors[var.name] = _new_rows(var, arrays, tables, source.name)
                continue
            _check_array(var.name, arrays[var.name], var.shape, numpy_dtype(var.dtype), source.name)
            tensors[var.name] = LoDTensor(arrays[var.name])
    return tensors


def _is_table(var, arrays, tables, where):
    """Whether a variable is to be made of rows and ids; an error if what there is does not fit."""
    there = var.name + IDS in arrays
    if tables.takes(var, "rows" if there else "tensor"):
        if there:
            return True
        raise InvalidArgumentError(
            f"Variable {var.name!r} is a table of any ids (is_distributed=True), or a state of one, and {where} holds "
            "an array in its place.",
            expected=f"rows as {var.name!r}, their ids as {var.name + IDS!r}",
            actual=f"no {var.name + IDS!r}",
            hint="load it with is_distributed=False; rows can then be given by id: "
            "scope.find_var(name).get_table().set(ids, rows).",
        )
    if there:
        raise InvalidArgumentError(
            f"Variable {var.name!r} is an ordinary tensor, and {where} holds rows of a table of any ids "
            "(is_distributed=True) in its place.",
            hint="load it with the embedding that saved it: is_sparse=True, is_distributed=True.",
        )
    return False


def _new_rows(var, arrays, tables, where):
    rows, ids = arrays[var.name], arrays[var.name + IDS]
    _check_array(var.name, rows, (-1, var.shape[1]), numpy_dtype(var.dtype), where)
    _check_array(var.name + IDS, ids, (len(rows),), np.dtype(np.int64), where)

    def refuse(text):
        return InvalidArgumentError(f"Variable {var.name!r} cannot be loaded from {where}: {text}.")

    return tables.make(var, ids, rows.shape, rows.dtype, slabs_of(ids, rows), refuse)


def _check_array(name, array, shape, dtype, where):
    fits = isinstance(array, np.ndarray) and array.dtype == dtype and array.ndim == len(shape)
    if not fits or any(want not in (-1, n) for want, n in zip(shape, array.shape, strict=True)):
        found = f"shape {array.shape}, {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise InvalidArgumentError(
            f"Variable {name!r} does not match: {where} holds another shape or dtype than the program requires.",
            expected=f"shape {tuple(shape)}, {dtype}",
            actual=found,
            hint="was it saved by another program, or by this one with other sizes?",
        )


def _load_files(program, model_path, executor, var_list):
    """A folder of files, or one combined file."""
    if not os.path.exists(model_path):
        raise NotFoundError(
            f"There is no model {model_path!r}: neither {_prefix(model_path) + _PARAMETERS!r}, nor a folder or file of "
            "that name.",
            hint=None if executor else f"executor is required when loading model file saved with {_SAVED_BY}",
        )
    if executor is None:
        raise InvalidArgumentError(f"executor is required when loading model file saved with {_SAVED_BY}")
    if os.path.isdir(model_path):
        files = _names_in(model_path)
        variables = [var for var in program.list_vars() if var.name in files]
        unused = sorted(files.difference(var.name for var in variables))
        if unused:
            warn_user(f"variable file [ {' '.join(unused)} ] not used")
        set_cells(read_variables(variables, model_path))
        return
    if var_list is None:
        raise InvalidArgumentError(f"var_list is required when loading model file saved with {_SAVED_BY}")
    names = {var.name for var in program.list_vars()}
    for var in var_list:
        if var.name not in names:
            raise NotFoundError(
                f"loaded var [{var.name}] is not in program variable list", hint=nearest(var.name, names)
            )
    folder, name = os.path.split(model_path)
    set_cells(read_variables(list(var_list), folder or ".", name))


def _names_in(folder):
    """Paths of all files below a folder, as names of variables; without those that a killed process left behind."""
    paths = [os.path.join(root, file) for root, _, files in os.walk(folder) for file in files]
    return {
        os.path.relpath(path, folder).replace(os.sep, "/")
        for path in paths
        if not os.path.basename(path).startswith(UNFINISHED)
    }


def load_program_state(model_path, var_list=None):
    """{name: array} of everything that `fluid.save`, `save_params`, `save_persistables` or `save_vars` saved.

    Of a table of any ids (is_distributed=True), or a moment of one, ``name`` has the live rows and ``name@IDS`` their
    ids.

    Args:
        model_path: as for `fluid.load`.
        var_list: the Variables in a combined file.
    """
    model_path = _checked_path(model_path)
    prefix = _prefix(model_path)
    if not os.path.exists(prefix + _PARAMETERS):
        return _state_of_files(model_path, var_list)
    with open_source(prefix + _PARAMETERS) as source:
        state = read_arrays(source)
    if os.path.exists(prefix + _OPTIMIZER):
        with open_source(prefix + _OPTIMIZER) as source:
            state.update(read_arrays(source))
    return state


def _state_of_files(model_path, var_list):
    if var_list is not None:
        for var in var_list:
            if not isinstance(var, Variable):
                raise InvalidTypeError("value in var_list must be variable", actual=type(var).__name__)
        file = os.path.isfile(model_path)
        folder, name = os.path.split(model_path) if file else (model_path, None)
        tensors = read_variables(list(var_list), folder or ".", name, tables=RowArrays())
        state = {}
        for name, tensor in tensors.items():
            state |= _as_arrays(name, tensor.value if isinstance(tensor.value, Slab) else np.array(tensor))
        return state
    if os.path.isfile(model_path):
        raise InvalidArgumentError("var_list can not be None when model_path is a file type")
    if not os.path.isdir(model_path):
        raise NotFoundError(f"There is no model {model_path!r}, and no folder of that name.", hint="check the path.")
    state = {}
    for name in sorted(_names_in(model_path) - {"__model__"}):
        with open_source(os.path.join(model_path, name), f"Variable {name!r}: file") as source:
            what = f"variable {name!r}"
            if kind_of_stream(source) == "rows":
                value = RowArrays().make(None, *read_table(source, what), source.damaged).value
            else:
                value = read_lod_tensor(source, what).value
            state |= _as_arrays(name, value)
            source.finish()
    return state


def _as_arrays(name, value):
    return {name: value.values, name + IDS: value.ids} if isinstance(value, Slab) else {name: value}


def set_program_state(program, state_dict):
    """Set persistable variables of a program, in the global scope, from ``{name: array}``.

    The variables must have values already: run the startup program first. Names that the program lacks are warned of.
    A table of any ids (is_distributed=True) takes its rows from ``name`` and their ids from ``name@IDS``, in place of
    all that it has; so do its moments.

    Raises:
        InvalidArgumentError: a shape or dtype differs; nothing has been set.
    """
    scope, chosen, rows = global_scope(), [], {}
    variables = get_program_persistable_vars(checked_program(program))
    tables = NewTables(variables, scope)
    for var in sorted(variables, key=tables.is_late):
        found = scope.find_var(var.name)
        if found is None or found.cell.value is None:
            raise UnavailableError(
                f"Variable [ {var.name} ] Not found, Please make sure run startup program.",
                hint="exe.run(startup_program) first.",
            )
        if var.name in state_dict:
            if _is_table(var, state_dict, tables, "the state_dict"):
                arrays = {name: np.asarray(state_dict[name]) for name in (var.name, var.name + IDS)}
                rows[var.name] = _new_rows(var, arrays, tables, "the state_dict")
                continue
            tensor, array = found.get_tensor(), np.asarray(state_dict[var.name])
            _check_array(var.name, array, tuple(tensor.value.shape), np.dtype(tensor.value.dtype), "the state_dict")
            chosen.append((var.name, tensor, array))
    for _, tensor, array in chosen:
        tensor.set(array)
    set_cells(rows)
    taken = {name for name, *_ in chosen}.union(rows, [name + IDS for name in rows])
    unused = [str(name) for name in state_dict if name not in taken]
    if unused:
        warn_user(
            "This list is not set, Because of Paramerter not found in program. There are: {}".format(" ".join(unused))
        )
