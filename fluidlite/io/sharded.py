"""Files in Fluid's formats from tables that the ranks of a job share: one table, as a single process would write it.

One rank writes, the first of those that call. It asks the others for ids and rows while it writes them, some MB at a
time, so that no rank ever has the whole table; rows come in the order of the ranks, those of each in order of arrival.
Everything else it takes from its own scope. `fluid.io` refuses to write a table of which it has a part.
"""

import numpy as np

from ..distributed import RemoteError, commands
from ..errors import PreconditionNotMetError
from ..executor import global_scope
from ..formats.tensor_stream import RowStream
from ..lod_tensor import LoDTensor
from ..table_rows import share_of
from .inference_model import save_inference_model as save_model_here
from .inference_model import write_model
from .shares import job_of, text_of
from .variables import (
    cell_with_value,
    checked_executor,
    checked_program,
    chosen_variables,
    is_persistable,
    save_cells,
)
from .variables import save_persistables as save_persistables_here

# Bytes of rows that are sent at a time.
_SLAB = 1 << 22


def save_persistables(executor, dirname, main_program=None, filename=None):
    """As `fluid.io.save_persistables`; in a job of several ranks, tables that they share are written as a whole.

    One rank may call, or all of them; what the first of these writes is the same.

    Raises:
        UnavailableError: as there, on every rank that calls.
    """
    checked_executor(executor)
    program = checked_program(main_program)
    job = job_of(global_scope())
    if job is None:
        return save_persistables_here(executor, dirname, program, filename)

    def write(gathered):
        return _save_persistables(gathered, dirname, program, filename)

    return _save_together(job, write, "save_persistables", dirname, filename)


def save_inference_model(
    dirname,
    feeded_var_names,
    target_vars,
    executor,
    main_program=None,
    model_filename=None,
    params_filename=None,
    export_for_deployment=True,
    program_only=False,
):
    """As `fluid.io.save_inference_model`; in a job of several ranks as `save_persistables` here."""
    model = dirname, feeded_var_names, target_vars, executor, main_program
    options = model_filename, params_filename, export_for_deployment, program_only
    job = job_of(global_scope())
    if job is None:
        return save_model_here(*model, *options)

    def write(gathered):
        def save(executor, dirname, program, filename):
            _save_persistables(gathered, dirname, program, filename)

        return write_model(*model, *options, save)

    feeds = feeded_var_names if isinstance(feeded_var_names, str) else list(map(str, feeded_var_names))
    targets = target_vars if isinstance(target_vars, list | tuple) else [target_vars]
    names = [str(getattr(target, "name", target)) for target in targets]
    return _save_together(job, write, "save_inference_model", dirname, feeds, names, *options)


def _save_persistables(gathered, dirname, program, filename):
    """Save, with tables that are `gathered(name, value)` from all ranks."""
    cells = {}
    for var in chosen_variables(program, None, is_persistable):
        cell = cell_with_value(var)
        if share_of(cell.value) is not None:
            cell = LoDTensor(gathered(var.name, cell.value))
        cells[var.name] = cell
    return save_cells(cells, dirname, filename)


def _save_together(job, write, *what):
    """``write(gathered)`` on one rank of those that call, while the others send their rows; its result on all."""
    what = [str(w) if hasattr(w, "__fspath__") else w for w in what]
    return job.command("save_tables", {"what": what}, write)[job.rank]


def send_tables(job, comm, local, *, what):
    """What every rank does when one or all of them save. local: a function `write`, None on ranks that do not call."""
    job.settle(comm)
    writer = comm.all_gather(local is not None).index(True)
    if comm.rank != writer:
        return _send_rows(job.scope, comm, writer)
    result = error = None
    try:
        result = local(lambda name, value: _row_stream(comm, name, value))
    except Exception as raised:
        error = raised
    comm.broadcast(("end", result, error and text_of(error)), writer)
    if error is not None:
        raise error
    return result


commands["save_tables"] = send_tables


def _row_stream(comm, name, value):
    """All rows of a table that ranks share, or of a state of one, as they are asked for."""
    comm.broadcast(("count", name), comm.rank)
    counts = comm.all_gather(len(value))
    if None in counts:
        raise PreconditionNotMetError(
            f"Variable {name!r} cannot be saved: rank {counts.index(None)} has no rows of it.",
            hint="train a step before, or call attach() of the job on all ranks.",
        )

    def slabs(part, array, row_bytes):
        n_rows = max(1, _SLAB // row_bytes)
        for rank, count in enumerate(counts):
            for begin in range(0, count, n_rows):
                end = min(begin + n_rows, count)
                if rank == comm.rank:
                    yield array[begin + 1 : end + 1]
                else:
                    comm.broadcast((part, name, rank, begin, end), comm.rank)
                    yield comm.receive_array(rank, array.dtype, (end - begin, *array.shape[1:]))

    def ids():
        return slabs("ids", value.table.names, 8)

    def rows():
        return slabs("rows", value.rows, value.width * value.dtype.itemsize)

    return RowStream(sum(counts), value.shape, value.dtype, ids, rows)


def _send_rows(scope, comm, writer):
    """Send what the writer asks for until it is done."""
    while True:
        request, *details = comm.broadcast(None, writer)
        if request == "end":
            result, text = details
            if text is not None:
                raise RemoteError(f"Rank {writer}: {text}")
            return result
        found = scope.find_var(details[0])
        value = None if found is None else found.bare_cell.value
        if request == "count":
            comm.all_gather(None if share_of(value) is None else len(value))
            continue
        _, rank, begin, end = details
        if rank == comm.rank:
            array = value.table.names if request == "ids" else value.rows
            comm.send_array(np.ascontiguousarray(array[begin + 1 : end + 1]), writer)
