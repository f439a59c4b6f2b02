"""What a rank of a job has of the tables that ranks share, where files are written and read."""

from .. import distributed
from ..errors import EnforceNotMet
from ..fingerprint import fingerprint
from ..ownership import owned
from ..table_binding import tables_of


def job_of(scope):
    """The Job of several ranks whose variables are in a scope, or None. Before it begins to train, any scope may be."""
    job = distributed.current()
    if job is None or job.size == 1 or not job.programs:
        return None
    return job if job.scope in (None, scope) else None


def number_in(job, program):
    """The number of a program among those that the ranks of a job train, or None."""
    mine = None
    for number, shared in enumerate(job.programs):
        if program is not shared.program:
            mine = mine or fingerprint(program)
        if program is shared.program or mine == fingerprint(shared.program):
            return number
    return None


def share_to_load(scope, table):
    """(rank, number of ranks) where ranks share the table of that name in a scope, or None: all rows are loaded."""
    job = job_of(scope)
    return (job.rank, job.size) if job is not None and table in _shared_tables(job) else None


def share_of_program(scope, program):
    """(rank, number of ranks) where ranks train a program, or share its tables, in a scope, or None."""
    job = job_of(scope)
    if job is None:
        return None
    names = tables_of(program)[0]
    mine = not names.isdisjoint(_shared_tables(job)) if names else number_in(job, program) is not None
    return (job.rank, job.size) if mine else None


def _shared_tables(job):
    return set().union(*(tables_of(shared.program)[0] for shared in job.programs))


def owned_slabs(share, slabs):
    """Of (ids, rows), the ones that a rank owns."""
    for ids, rows in slabs:
        mine = owned(ids, share)
        yield ids[mine], rows[mine]


def together(comm, function, rank=None):
    """Call a function on every rank of a Communicator, or on `rank` alone, and return its results by rank.

    What it raises on one rank is raised on all of them.
    """
    value = error = None
    if rank is None or rank == comm.rank:
        try:
            value = function()
        except Exception as raised:
            error = raised
    results = comm.all_gather((value, None if error is None else text_of(error)))
    if error is not None:
        raise error
    for at, (_, text) in enumerate(results):
        if text is not None:
            raise distributed.RemoteError(f"Rank {at}: {text}")
    return [value for value, _ in results]


def text_of(error):
    """What is said of an error on another rank."""
    return str(error) if isinstance(error, EnforceNotMet) else f"{type(error).__name__}: {error}"
