"""Variables to and from files in Fluid's formats: a file for each, or all of them in one.

Everything is read and checked before the first variable of the scope changes, and files appear under their names only
when they are complete.
"""

import io
import os

import numpy as np

from ..dtypes import VarType, numpy_dtype
from ..errors import InvalidArgumentError, InvalidTypeError, NotFoundError, UnavailableError, warn_user
from ..executor import global_scope
from ..formats.files import atomic_files, bytes_source, open_source, path_inside
from ..formats.tensor_stream import (
    kind_of_stream,
    read_lod_tensor,
    read_selected_rows,
    read_table,
    skip_table,
    write_lod_tensor,
    write_selected_rows,
    write_table,
)
from ..framework import Program, default_main_program
from ..lod_tensor import LoDTensor
from ..selected_rows import SelectedRows
from ..table_rows import require_whole
from ..tables import wants_row_state
from ..variable import Parameter, Variable
from .checkpoint_tables import attach_states
from .table_files import NewTables, is_rows, keep_states, states_left

_NO_VALUES = (VarType.FEED_MINIBATCH, VarType.FETCH_LIST, VarType.READER)


def is_parameter(var):
    """Whether a variable is a Parameter."""
    return isinstance(var, Parameter)


def is_persistable(var):
    """Whether a variable keeps its value between runs, and is not one that holds feeds, fetches or a reader."""
    return var.type not in _NO_VALUES and bool(var.persistable)


def is_belong_to_optimizer(var):
    """Whether a persistable variable is neither a Parameter nor an input: moments, learning rates, counters."""
    return not (isinstance(var, Parameter) or var.need_check_feed) and is_persistable(var)


def get_program_parameter(program):
    """All Parameters of a program, in order of creation."""
    return [var for var in program.list_vars() if is_parameter(var)]


def get_program_persistable_vars(program):
    """All persistable variables of a program, in order of creation."""
    return [var for var in program.list_vars() if is_persistable(var)]


def checked_program(program):
    """The Program that is meant: the default one for None, the one inside for a compiled one."""
    if program is None:
        return default_main_program()
    inner = program if isinstance(program, Program) else getattr(program, "_program", None)
    if isinstance(inner, Program):
        return inner
    raise InvalidTypeError(
        f"The type of input main_program is invalid, expected type is fluid.Program, but received {type(program)}.",
        expected="Program",
        actual=type(program).__name__,
    )


def checked_executor(executor):
    """Refuse what cannot be an executor: mostly arguments in the wrong order."""
    if not callable(getattr(executor, "run", None)):
        raise InvalidTypeError(
            "The executor is not an Executor.",
            expected="fluid.Executor(fluid.CPUPlace())",
            actual=type(executor).__name__,
            hint="the executor comes first, then the folder.",
        )


def chosen_variables(program, vars, predicate):
    """The Variables that `vars` (Variables or names) or `predicate` choose, each name once; RAW ones are left out."""
    if vars is None:
        vars = [var for var in program.list_vars() if predicate is None or predicate(var)]
    elif isinstance(vars, str | Variable):
        vars = [vars]
    found = {}
    for var in vars:
        if isinstance(var, str):
            var = program.global_block()._find_var_recursive(var)
        if not isinstance(var, Variable):
            raise InvalidTypeError(
                "A variable to be saved or loaded is neither a Variable nor a name.", actual=type(var).__name__
            )
        if var.type != VarType.RAW:
            found.setdefault(var.name, var)
    return list(found.values())


# -------------------------------------------------------------------------------------------------------------- saving


def save_vars(executor, dirname, main_program=None, vars=None, predicate=None, filename=None):
    """Save variables: those in `vars`, or those of the program for which ``predicate(var)`` is true.

    Args:
        executor: an Executor (values are those of the global scope).
        dirname: folder, made if missing; None without `filename` returns the bytes of the combined file instead.
        main_program: the default main program if None.
        vars: Variables or their names. predicate: asked for every variable of the program when `vars` is None.
        filename: one file for all variables (LoDTensors alone), in order of their names; None: a file for each.

    Returns:
        None, or bytes when dirname is None.

    A table of any ids (is_distributed=True) and its moments are saved as SelectedRows, live rows alone, in either kind
    of file; Fluid does not read them. See `load_vars`.

    Raises:
        UnavailableError: a variable has no value yet, or the disk refuses; nothing has changed then.

    >>> import fluidlite as fluid, tempfile
    >>> w = fluid.layers.create_parameter([2, 3], 'float32', name='w')
    >>> exe = fluid.Executor(); _ = exe.run(fluid.default_startup_program())
    >>> folder = tempfile.mkdtemp()
    >>> fluid.io.save_vars(exe, folder, vars=[w])
    >>> fluid.io.load_vars(exe, folder, vars=['w'])
    """
    checked_executor(executor)
    chosen = chosen_variables(checked_program(main_program), vars, predicate)
    if not chosen:
        warn_user("no variable in your model, please ensure there are any variables in your model to save")
        return None
    return save_cells({var.name: _cell_to_save(var) for var in chosen}, dirname, filename)


def save_cells(cells, dirname, filename=None):
    """Save LoDTensors (or cells that hold a SelectedRows) by name; see `save_vars` for the folder and the file."""
    if dirname is None and filename is not None:
        raise InvalidArgumentError(
            "The folder to save to is None.", expected="a path", hint=f"file {filename!r}: where?"
        )
    if dirname is None or filename is not None:
        for name, cell in cells.items():
            if isinstance(cell.value, SelectedRows):
                raise InvalidTypeError(
                    f"Variable {name!r} is a SelectedRows, and a combined file holds LoDTensors alone.",
                    hint="leave `filename` out: a file for each variable.",
                )
    if dirname is None:
        file = io.BytesIO()
        _write_combined(file, cells)
        return file.getvalue()
    dirname = os.path.normpath(dirname)
    paths = {} if filename is not None else {name: path_inside(dirname, name, "Variable") for name in cells}
    with atomic_files(f"The variables in {dirname!r}") as files:
        if filename is not None:
            with files.open(os.path.join(dirname, filename)) as file:
                _write_combined(file, cells)
        for name, path in paths.items():
            with files.open(path) as file:
                _write_variable(file, cells[name])
    return None


def _write_combined(file, cells):
    for name in sorted(cells):
        _write_variable(file, cells[name])


def _write_variable(file, cell):
    if isinstance(cell.value, SelectedRows):
        write_selected_rows(file, cell.value)
    elif is_rows(cell.value):
        write_table(file, cell.value)
    else:
        write_lod_tensor(file, cell)


def _cell_to_save(var, scope=None):
    """The cell of a Variable that has a value, all of which is here."""
    cell = cell_with_value(var, scope)
    require_whole(cell.value, f"Variable {var.name!r}")
    return cell


def cell_with_value(var, scope=None):
    """The cell of a Variable that has a value; of a table that ranks share, the rows of this one."""
    found = (scope or global_scope()).find_var(var.name)
    if found is None or found.cell.value is None:
        raise UnavailableError(
            f"Variable {var.name!r} cannot be saved: it has no value in the scope.",
            hint="run the startup program first: exe.run(fluid.default_startup_program())."
            if var.persistable
            else "only persistable variables have values between runs.",
        )
    if not isinstance(found.cell, LoDTensor):
        raise InvalidTypeError(f"Variable {var.name!r} cannot be saved.", actual=type(found.cell).__name__)
    if isinstance(found.cell.value, list):
        raise InvalidTypeError(f"Variable {var.name!r} cannot be saved: it is a LoDTensorArray.")
    return found.cell


def save_params(executor, dirname, main_program=None, filename=None):
    """Save the Parameters of a program. Arguments and result as for `save_vars`.

    Moments, counters and learning rates are no Parameters: to go on training, use `save_persistables`.
    """
    return save_vars(executor, dirname, main_program, None, is_parameter, filename)


def save_persistables(executor, dirname, main_program=None, filename=None):
    """Save everything that a program keeps between runs: parameters, moments, counters. As for `save_vars`."""
    return save_vars(executor, dirname, main_program, None, is_persistable, filename)


# ------------------------------------------------------------------------------------------------------------- loading


def load_vars(executor, dirname, main_program=None, vars=None, predicate=None, filename=None):
    """Load variables that `save_vars`, ours or Fluid's, saved; arguments as there.

    With ``dirname=None``, `filename` is the bytes that `save_vars` returned. Values go to the global scope.

    A table of any ids (is_distributed=True) gets the rows of the file in place of all that it has; ``size[0]`` may be
    another one. A program that trains it needs its startup program run before, which says how rows of new ids begin;
    their counts of steps and sights begin anew. Loaded without its moments, it keeps them for the rows that stay.

    Raises:
        UnavailableError: the startup program has not run, and the program trains a table of any ids.
        NotFoundError: a file is missing.
        InvalidArgumentError: a file is damaged, or holds another shape or dtype than the program says. It says which,
            and no variable has changed.
    """
    checked_executor(executor)
    chosen = chosen_variables(checked_program(main_program), vars, predicate)
    set_cells(read_variables(chosen, dirname, filename))


def read_variables(variables, dirname, filename=None, *, mapping=None, tables=None):
    """{name: LoDTensor} from files, checked against what the Variables say; nothing is set.

    mapping: a function that makes a `MappedFile` of a Source and a Variable, or None, to map elements instead of
    reading them.
    tables: makes values of the rows of tables of any ids; a `NewTables` if None.
    """
    tables = tables or NewTables(variables, global_scope())
    if dirname is None:
        if not isinstance(filename, bytes | bytearray | memoryview):
            raise InvalidArgumentError(
                "The directory path and params cannot be None at the same time.",
                expected="a folder, or the bytes of the parameters as filename",
                actual=f"dirname=None, filename={filename if filename is None else type(filename).__name__}",
            )
        return _read_combined(bytes_source(filename, "The given bytes"), variables, None, tables)
    dirname = os.path.normpath(dirname)
    if not os.path.isdir(dirname):
        raise NotFoundError(f"There is no directory named {dirname!r}.", hint="check the path.")
    if filename is not None:
        with open_source(os.path.join(dirname, filename)) as source:
            return _read_combined(source, variables, mapping, tables)
    tensors = {}
    for var in sorted(variables, key=tables.is_late):
        with open_source(path_inside(dirname, var.name, "Variable"), f"Variable {var.name!r}: file") as source:
            tensors[var.name] = _read_variable(source, var, mapping, tables)
            source.finish()
    return tensors


def _read_combined(source, variables, mapping, tables):
    tensors, late = {}, []
    by_name = {var.name: var for var in variables}
    for name in sorted(by_name):
        var = by_name[name]
        if tables.is_late(var) and kind_of_stream(source) == "rows":
            late.append((skip_table(source, f"variable {name!r}"), var))
        else:
            tensors[name] = _read_variable(source, var, mapping, tables)
    source.finish()
    for start, var in late:
        source.seek(start)
        tensors[var.name] = _read_variable(source, var, mapping, tables)
    return tensors


def _read_variable(source, var, mapping, tables):
    kind = kind_of_stream(source)
    what, dtype = f"variable {var.name!r}", None if var.dtype is None else numpy_dtype(var.dtype)
    if var.type == VarType.SELECTED_ROWS:
        return LoDTensor(read_selected_rows(source, what, shape=var.shape, dtype=dtype))
    if tables.takes(var, kind):
        if kind == "tensor":
            raise source.damaged(
                f"{what} is a table of any ids (is_distributed=True), or a state of one, and there is an array instead",
                hint="load it with is_distributed=False; rows can then be given by id: "
                "scope.find_var(name).get_table().set(ids, rows).",
            )
        ids, dims, found, slabs = read_table(source, what, width=var.shape and var.shape[1], dtype=dtype)
        return tables.make(var, ids, dims, found, slabs, source.damaged)
    if kind == "rows" and not var.lod_level:
        raise source.damaged(
            f"{what} is an ordinary tensor, and there are rows of a table of any ids (is_distributed=True) instead",
            hint="load it with the embedding that saved it: is_sparse=True, is_distributed=True.",
        )
    rows_alone = var.row_state and var.shape is not None and wants_row_state(var.shape, dtype)
    mapped = mapping(source, var) if mapping is not None else None
    return read_lod_tensor(source, what, shape=var.shape, dtype=dtype, rows_alone=rows_alone, mapping=mapped)


def set_cells(tensors):
    """Give variables of the global scope the values of LoDTensors that nobody else has."""
    scope = global_scope()
    cells = {name: (scope.find_var(name) or scope.var(name)).cell for name in tensors}
    left = states_left(cells, tensors)
    for name, tensor in tensors.items():
        cells[name].value, cells[name].lod_offsets = tensor.value, tensor.lod_offsets
    attach_states(cells)
    keep_states(left)


def load_params(executor, dirname, main_program=None, filename=None):
    """Load the Parameters of a program. As `load_vars`."""
    load_vars(executor, dirname, main_program, None, is_parameter, filename)


def load_persistables(executor, dirname, main_program=None, filename=None):
    """Load everything that a program keeps between runs: training goes on where it was. As `load_vars`."""
    load_vars(executor, dirname, main_program, None, is_persistable, filename)


def get_parameter_value(para, executor):
    """A copy of a Parameter's value in the global scope, as an array."""
    checked_executor(executor)
    if not is_parameter(para):
        raise InvalidTypeError("The input variable is not parameter.", actual=type(para).__name__)
    return np.array(_cell_to_save(para))


def get_parameter_value_by_name(name, executor, program=None):
    """A copy of the value of the Parameter of that name, as an array."""
    return get_parameter_value(checked_program(program).global_block().var(name), executor)
