"""Role makers: which process does what. Here every process is a worker, and MPI knows which one.

What a role maker is told about roles, ids and addresses is not used. If it says another number of workers than the job
has ranks, or that a process is a server, rank 0 warns.
"""

import os

import numpy as np

from ....distributed.current import start
from ....errors import InvalidArgumentError, InvalidTypeError, here, warn_user

__all__ = ["Role", "RoleMakerBase", "MPISymetricRoleMaker", "MPIRoleMaker", "UserDefinedRoleMaker"]
__all__ += ["UserDefinedCollectiveRoleMaker", "PaddleCloudRoleMaker", "GeneralRoleMaker"]


class Role:
    """What a process could be in Fluid; here all are workers."""

    WORKER = 1
    SERVER = 2


class RoleMakerBase:
    """What all role makers say: every rank of the job is a worker, and none is a server.

    Differs from Fluid: every method has an answer, by the job of this process, with or without `generate_role`.
    """

    def __init__(self):
        self._role_is_generated = False
        self._role = Role.WORKER

    def generate_role(self):
        """Start the job, and compare it with what the role maker was told. ``fleet.init`` calls this."""
        job = start()
        if not self._role_is_generated and job.is_first:
            said = self._n_workers()
            if said is not None and job.size > 1 and said != job.size:
                warn_user(
                    f"{type(self).__name__} was told of {said} workers, but the job has {job.size} ranks, and each of "
                    "them is a worker: mpiexec says how many there are."
                )
            if self._role == Role.SERVER:
                warn_user(
                    f"{type(self).__name__} was told that this process is a server, but there are no servers: it "
                    f"trains, as one of {job.size}. Start one job, `mpiexec -n N python train.py`, and no servers."
                )
        self._role_is_generated = True

    def _n_workers(self):
        """How many workers it was told of, or None."""
        return None

    def is_worker(self):
        """True: every rank trains."""
        return True

    def is_server(self):
        """False: no rank is a server alone."""
        return False

    def is_first_worker(self):
        """Whether this is rank 0."""
        return start().is_first

    def worker_num(self):
        """The number of ranks."""
        return start().size

    def worker_index(self):
        """This rank, from 0."""
        return start().rank

    def server_num(self):
        """The number of ranks: each owns a share of the rows, as servers do in Fluid."""
        return start().size

    def server_index(self):
        """This rank, from 0."""
        return start().rank

    def get_trainer_endpoints(self):
        """``host:rank`` of each rank: names to show, no addresses to connect to."""
        return [f"{host}:{rank}" for rank, host in enumerate(start().hosts)]

    def get_pserver_endpoints(self):
        """The same as `get_trainer_endpoints`."""
        return self.get_trainer_endpoints()

    def get_local_endpoint(self):
        """This rank's own entry of `get_trainer_endpoints`."""
        return self.get_trainer_endpoints()[self.worker_index()]

    def get_local_ip(self):
        """The name of this rank's host."""
        job = start()
        return job.hosts[job.rank]

    def to_string(self):
        """Role, rank and names of all ranks, in one line."""
        return (
            f"role: {self._role}, current_id: {self.worker_index()}, "
            f"worker_endpoints: {self.get_trainer_endpoints()}, server_endpoints: {self.get_pserver_endpoints()}"
        )

    def all_gather(self, input):
        """``[the input of each rank]``, in the order of the ranks, on every rank; all of them call it."""
        return start().all_gather(input)

    def all_reduce_worker(self, input, output, mode="sum"):
        """Write to `output` what the inputs of all ranks come to, element by element; all ranks call it.

        Args:
            input: a list of numbers or an array.
            output: a list or an array of the same shape, which is overwritten.
            mode: 'sum', 'min' or 'max'.
        """
        if mode not in ("sum", "min", "max"):
            raise InvalidArgumentError(
                f"unknown mode: {mode}", expected="'sum', 'min' or 'max'", actual=repr(mode), where=here()
            )
        given = np.asarray(input)
        if not isinstance(output, np.ndarray | list) or np.shape(output) != given.shape:
            raise InvalidArgumentError(
                "The output of all_reduce_worker cannot hold the result.",
                expected=f"a list or an array of shape {given.shape}",
                actual=f"{type(output).__name__} of shape {np.shape(output)}",
                where=here(),
            )
        result = start().all_reduce(given, mode)
        output[:] = result.tolist() if isinstance(output, list) else result

    def barrier_worker(self):
        """Return when all ranks have called this."""
        start().barrier()

    def barrier_all(self):
        """The same as `barrier_worker`."""
        start().barrier()

    # Programs of Fluid use these, although their names begin with an underscore.
    _barrier_worker = _barrier_server = _barrier_all = barrier_all

    def _get_rank(self):
        return self.worker_index()

    def _get_size(self):
        return self.worker_num()

    def _worker_num(self):
        return self.worker_num()

    def _server_num(self):
        return self.server_num()

    def _get_ips(self):
        return list(start().hosts)

    def _all_gather(self, obj):
        return self.all_gather(obj)

    def _worker_gather(self, obj):
        return self.all_gather(obj)

    def _all_reduce(self, input, output, mode="sum"):
        self.all_reduce_worker(input, output, mode)

    def _finalize(self):
        """Nothing: MPI ends with the process."""


class MPIRoleMaker(RoleMakerBase):
    """The base of Fluid's role makers for MPI; any role maker here is one."""


class MPISymetricRoleMaker(MPIRoleMaker):
    """The role maker that needs nothing to be said. (The spelling is Fluid's.)

    Differs from Fluid: every process is a worker, where Fluid makes every second one a server.

    >>> role = MPISymetricRoleMaker()
    >>> role.is_worker(), role.is_server()
    (True, False)
    """


class PaddleCloudRoleMaker(RoleMakerBase):
    """The role maker for programs whose roles were in the environment.

    Args:
        is_collective: which variables Fluid would read; it changes nothing.

    Differs from Fluid: no variable is needed. TRAINING_ROLE, PADDLE_TRAINERS_NUM and PADDLE_TRAINER_ENDPOINTS are
    compared with the job where they are set, others and all addresses are not used.
    """

    def __init__(self, is_collective=False):
        super().__init__()
        self._is_collective = is_collective

    def generate_role(self):
        """As of RoleMakerBase.

        Raises:
            InvalidArgumentError: TRAINING_ROLE or PADDLE_TRAINERS_NUM cannot be read.
        """
        self._role = _role_in_environment("PADDLE_TRAINING_ROLE" if self._is_collective else "TRAINING_ROLE")
        super().generate_role()

    def _n_workers(self):
        if self._is_collective:
            return _count_of_endpoints()
        text = os.environ.get("PADDLE_TRAINERS_NUM", "")
        if text and not text.isdecimal():
            raise InvalidArgumentError(
                "PADDLE_TRAINERS_NUM in the environment is not usable.", expected="a number", actual=repr(text)
            )
        return int(text) if text else None


class GeneralRoleMaker(RoleMakerBase):
    """The role maker that in Fluid lets processes meet through HDFS or HTTP.

    Args:
        kwargs: Fluid's hdfs_name, hdfs_ugi, path, http_ip_port, init_timeout_seconds and run_timeout_seconds. None of
            them is used.

    Differs from Fluid: as `PaddleCloudRoleMaker` does.
    """

    def __init__(self, **kwargs):
        super().__init__()

    def generate_role(self):
        """As of PaddleCloudRoleMaker."""
        self._role = _role_in_environment("TRAINING_ROLE")
        super().generate_role()

    def _n_workers(self):
        return _count_of_endpoints()


class UserDefinedRoleMaker(RoleMakerBase):
    """The role maker whose roles are arguments.

    Args:
        current_id: int >= 0; not used: MPI knows the rank.
        role: Role.WORKER or Role.SERVER; not used: every rank is a worker.
        worker_num: int > 0; compared with the number of ranks, which counts.
        server_endpoints: list of different ``host:port``; not used.

    Raises:
        InvalidTypeError, InvalidArgumentError: an argument is not what Fluid wants here, used or not.

    >>> role = UserDefinedRoleMaker(current_id=0, role=Role.WORKER, worker_num=2, server_endpoints=['127.0.0.1:6174'])
    >>> role.worker_index(), role.is_server()
    (0, False)
    """

    def __init__(self, current_id=0, role=Role.WORKER, worker_num=0, server_endpoints=None):
        super().__init__()
        _check_endpoints("server_endpoints", server_endpoints)
        if role not in (Role.WORKER, Role.SERVER):
            raise InvalidTypeError("role must be as Role", expected="Role.WORKER or Role.SERVER", actual=repr(role))
        _check_int("current_id", current_id, 0)
        if role == Role.SERVER and current_id >= len(server_endpoints):
            _refuse_id(current_id, "server_endpoints", server_endpoints)
        _check_int("worker_num", worker_num, 1)
        self._role, self._said = role, worker_num

    def _n_workers(self):
        return self._said


class UserDefinedCollectiveRoleMaker(RoleMakerBase):
    """The same for collective training.

    Args:
        current_id: int >= 0; not used: MPI knows the rank.
        worker_endpoints: list of different ``host:port``; only how many there are is compared with the job.
    """

    def __init__(self, current_id=0, worker_endpoints=None):
        super().__init__()
        _check_endpoints("worker_endpoints", worker_endpoints)
        _check_int("current_id", current_id, 0)
        if current_id >= len(worker_endpoints):
            _refuse_id(current_id, "worker_endpoints", worker_endpoints)
        self._said = len(worker_endpoints)

    def _n_workers(self):
        return self._said


def _role_in_environment(name):
    text = os.environ.get(name, "TRAINER")
    if text not in ("TRAINER", "PSERVER"):
        raise InvalidArgumentError(
            f"{name} must be PSERVER or TRAINER", expected="TRAINER or PSERVER, or no such variable", actual=repr(text)
        )
    return Role.WORKER if text == "TRAINER" else Role.SERVER


def _count_of_endpoints():
    text = os.environ.get("PADDLE_TRAINER_ENDPOINTS", "")
    return len(text.split(",")) if text else None


def _check_endpoints(name, endpoints):
    if not isinstance(endpoints, list):
        raise InvalidTypeError(f"{name} must be as string list", expected="['host:port', ...]", actual=repr(endpoints))
    if not endpoints:
        raise InvalidArgumentError(f"the length of {name} list must be greater than 0")
    for endpoint in endpoints:
        if not isinstance(endpoint, str):
            raise InvalidTypeError(f"every element in {name} list must be as string", actual=repr(endpoint))
    if len(set(endpoints)) < len(endpoints):
        raise InvalidArgumentError(f"{name} can't have duplicate elements", actual=repr(endpoints))


def _check_int(name, value, least):
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidTypeError(f"{name} must be as int", expected="int", actual=repr(value))
    if value < least:
        raise InvalidArgumentError(
            f"{name} must be greater than {'or equal to 0' if least == 0 else '0'}",
            expected=f"an int >= {least}",
            actual=str(value),
        )


def _refuse_id(current_id, name, endpoints):
    raise InvalidArgumentError(
        f"current_id must be less than or equal to len({name}) - 1",
        expected=f"0 to {len(endpoints) - 1}",
        actual=str(current_id),
    )
