"""Fluid's `fluid.incubate.fleet`: a program that is trained by all ranks of a job.

``mpiexec -n 4 python train.py`` starts four ranks. Every rank is a worker, and owns its share of the rows of the tables
with ``is_distributed=True``; there are no servers. So ``fleet.is_worker()`` is True and ``fleet.is_server()`` is False
everywhere, and the branch of a script that runs a server is passed over. The ranks find each other through MPI:
addresses in arguments and in the environment are not used. Without mpiexec there is one rank, and the same script runs
as it is.

The `fleet` objects of `collective`, `parameter_server.distribute_transpiler` and `parameter_server.pslib` are three
faces of the one job of the process.
"""

from . import base, collective, parameter_server, utils
