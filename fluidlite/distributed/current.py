"""The job of this process, and what its ranks can be asked to do: all that one process alone has to know of jobs."""

# What `Job.command` may ask for: {name: function(job, comm, local, **arguments)}, called on all ranks together.
commands = {}

_job = None


def current():
    """The Job of this process, or None before `start`."""
    return _job


def start():
    """The Job of this process; the first call connects the ranks that a launcher of MPI has started.

    Without a launcher it is a job of one rank, and needs no mpi4py.

    Raises UnavailableError: mpi4py or its MPI library is missing on a process that a launcher has started.
    """
    global _job
    if _job is None:
        from .job import connected_job  # here, so that `import fluidlite` is quick

        _job = connected_job()
    return _job
