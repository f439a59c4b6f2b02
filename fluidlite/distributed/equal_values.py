"""Before ranks train together: what all of them have becomes equal, and each keeps the rows of tables that it owns."""

import zlib

import numpy as np

from ..errors import UnavailableError
from ..hash_table import HashTable, TableState
from ..lazy_rows import LazyRows
from ..ownership import owned
from ..tables import as_array
from .failure import agreed
from .own_values import written_forward


def make_equal(comm, scope, programs, tables):
    """Seeds, first values of rows, and variables that are no tables: every rank gets those of rank 0.

    Only variables that differ are sent. What a rank has of its own, since its batches make it, stays.
    """
    seeds = comm.broadcast([program.drawn_seed for program in programs])
    for program, seed in zip(programs, seeds, strict=True):
        if program.drawn_seed != seed:
            program._drawn_seed = seed
    names = sorted(
        {name for program in programs for name, var in program.global_block().vars.items() if var.persistable}
    )
    own = set().union(*map(written_forward, programs))
    cells = {name: found.bare_cell for name in names if (found := scope.find_var(name)) is not None}
    _make_initializers_equal(comm, {name: cells[name].value for name in sorted(tables) if name in cells})
    sums = comm.all_gather({name: _checksum(cell.value) for name, cell in cells.items()})
    for name in sums[0]:
        without = [rank for rank, other in enumerate(sums) if other.get(name) is None]
        if name in tables and without:
            _refuse(name, f"is not there on rank {without[0]}, as a table of any ids")
        if all(other.get(name) == sums[0][name] for other in sums) or (name in own and not without):
            continue
        if without and without[0] == 0:
            _refuse(name, "has no value on rank 0, but has one on others")
        _send(comm, name, scope)


def _refuse(name, why):
    raise agreed(
        UnavailableError(
            f"Variable {name!r} {why}.",
            hint="every rank runs the startup program, or loads the same model, before it trains.",
        )
    )


def _make_initializers_equal(comm, held):
    firsts = comm.broadcast({name: getattr(value, "initializer", None) for name, value in held.items()})
    for name, value in held.items():
        if isinstance(value, HashTable) and firsts.get(name) is not None:
            value.initializer = firsts[name]


def _checksum(value):
    """A number that differs where values do; None of what has none, 0 of tables."""
    if value is None:
        return None
    if isinstance(value, HashTable | TableState):
        return 0
    if isinstance(value, LazyRows):
        value = value.whole()
    array = np.ascontiguousarray(as_array(value))
    return array.dtype.str, array.shape, zlib.crc32(array.reshape(-1).view(np.uint8))


def _send(comm, name, scope):
    cell = (scope.find_var(name) or scope.var(name)).bare_cell
    value = cell.value
    if isinstance(value, LazyRows):
        value = value.whole()
    array = None if value is None else np.ascontiguousarray(as_array(value))
    dtype, shape = comm.broadcast((array.dtype, array.shape) if comm.rank == 0 else None)
    if array is None or array.dtype != dtype or array.shape != shape or not array.flags.writeable:
        array = np.empty(shape, dtype) if comm.rank else array
    comm.broadcast_array(array)
    cell.value = array


def drop_foreign_rows(scope, tables, rank, size):
    """Tables keep the rows that this rank owns, from now on."""
    for name in sorted(tables):
        table = scope.find_var(name).bare_cell.value if scope.find_var(name) else None
        if not isinstance(table, HashTable):
            raise UnavailableError(
                f"Table {name!r} is not there.", hint="run the startup program before training (exe.run(startup))."
            )
        if table.share is None:
            ids = table.ids
            table.erase(ids[~owned(ids, (rank, size))])
            table.share = rank, size
