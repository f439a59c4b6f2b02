"""DistributeTranspiler: a program becomes one that all ranks of the job train.

Nothing is rewritten. Every rank trains and owns its share of the rows of tables with ``is_distributed=True``; the ranks
find each other through MPI.
"""

import os

from ..distributed.current import start
from ..errors import InvalidArgumentError, InvalidTypeError, PreconditionNotMetError, here, nearest, warn_user
from ..framework import Program, default_main_program, default_startup_program
from .ps_dispatcher import PSDispatcher, RoundRobin

__all__ = ["DistributeTranspiler", "DistributeTranspilerConfig", "DistributedMode", "ServerRuntimeConfig"]


class DistributedMode:
    """Fluid's numbers of the ways in which processes train together."""

    SYNC = 0
    ASYNC = 1
    HALF_ASYNC = 2
    GEO = 3


class ServerRuntimeConfig:
    """Fluid's settings of servers, of which there are none. They are kept and not used."""

    def __init__(self):
        self._rpc_send_thread_num = int(os.getenv("FLAGS_rpc_send_thread_num", "12"))
        self._rpc_get_thread_num = int(os.getenv("FLAGS_rpc_get_thread_num", "12"))
        self._rpc_prefetch_thread_num = int(os.getenv("FLAGS_rpc_prefetch_thread_num", "12"))


class DistributeTranspilerConfig:
    """Settings of DistributeTranspiler and of ``fleet.distributed_optimizer``.

    Used: sync_mode (True), runtime_split_send_recv (False), half_async, completely_not_async, geo_sgd_mode (False) and
    geo_sgd_need_push_nums (100), which choose between synchronous and asynchronous training. Fluid's others are kept,
    because they say how variables are cut for servers. fluidlite's own:

    * max_staleness: in asynchronous training, how many steps a rank may be ahead of the slowest one. None (default):
      4; 1 with half_async; geo_sgd_need_push_nums with geo_sgd_mode.
    * prefetch: fetch the rows of the next batch while this one computes; False by default.

    >>> config = DistributeTranspilerConfig()
    >>> config.sync_mode, config.min_block_size
    (True, 8192)
    """

    slice_var_up = True
    split_method = None
    min_block_size = 8192
    enable_dc_asgd = False
    mode = "pserver"
    print_log = False
    wait_port = True
    half_async = False
    completely_not_async = False
    geo_sgd_mode = False
    geo_sgd_need_push_nums = 100
    nccl_comm_num = 1
    use_hierarchical_allreduce = False
    hierarchical_allreduce_inter_nranks = 0
    collective_mode = None
    max_staleness = None
    prefetch = False

    _sync_mode = True
    _runtime_split_send_recv = False

    def __setattr__(self, name, value):
        if not hasattr(type(self), name):
            known = [one for one in dir(type(self)) if not one.startswith("_")]
            raise AttributeError(
                "\n  hint: ".join(filter(None, [f"{type(self).__name__} has no {name!r}.", nearest(name, known)]))
            )
        super().__setattr__(name, value)

    @property
    def runtime_split_send_recv(self):
        """Without sync_mode: asynchronous if True, half-asynchronous if False."""
        return self._runtime_split_send_recv

    @runtime_split_send_recv.setter
    def runtime_split_send_recv(self, value):
        self._refuse_both("runtime_split_send_recv", value, "sync_mode", self._sync_mode)
        self._runtime_split_send_recv = value

    @property
    def sync_mode(self):
        """Whether all ranks are in step."""
        return self._sync_mode

    @sync_mode.setter
    def sync_mode(self, value):
        self._refuse_both("sync_mode", value, "runtime_split_send_recv", self._runtime_split_send_recv)
        self._sync_mode = value

    @staticmethod
    def _refuse_both(name, value, other, other_value):
        if value is None:
            raise InvalidArgumentError(f"{name} can't be None", where=here())
        if value and other_value:
            raise InvalidArgumentError(
                f"if you want to set {name} to be true, make ensure config.{other} is false at first", where=here()
            )


class DistributeTranspiler:
    """Makes a program one that all ranks of the job train.

    Args:
        config: DistributeTranspilerConfig().

    Raises:
        PreconditionNotMetError: min_block_size of the config is less than 8192, or split_method is no dispatcher.

    Differs from Fluid: the program is not rewritten; every rank trains and owns a share of the rows, and there are no
    servers, so that addresses and trainer ids are not used: ``mpiexec -n 4 python train.py`` says how many ranks there
    are. A script's branch for servers is passed over; running what `get_pserver_program` returns is an error.

    >>> import fluidlite as fluid
    >>> x = fluid.data('x', [None, 13])
    >>> loss = fluid.layers.mean(fluid.layers.fc(x, 1))
    >>> _ = fluid.optimizer.SGD(0.01).minimize(loss)
    >>> t = fluid.DistributeTranspiler()
    >>> t.transpile(trainer_id=0, pservers='127.0.0.1:6174', trainers=1)
    >>> t.get_trainer_program() is fluid.default_main_program()
    True
    """

    def __init__(self, config=None):
        self.config = config if config is not None else DistributeTranspilerConfig()
        if self.config.split_method is None:
            self.config.split_method = RoundRobin
        self.server_config = ServerRuntimeConfig()
        if self.config.min_block_size < 8192:
            raise PreconditionNotMetError(
                "min_block_size of the DistributeTranspilerConfig is too small.",
                expected=">= 8192",
                actual=str(self.config.min_block_size),
                where=here(),
            )
        method = self.config.split_method
        if not isinstance(method, type) or PSDispatcher not in method.__bases__:
            raise PreconditionNotMetError(
                "split_method of the DistributeTranspilerConfig is no dispatcher.",
                expected="RoundRobin or HashName",
                actual=repr(method),
                where=here(),
            )
        if self.config.sync_mode or self.config.completely_not_async:
            self.distributed_mode = DistributedMode.SYNC
        elif self.config.runtime_split_send_recv:
            self.distributed_mode = DistributedMode.ASYNC
        else:
            self.distributed_mode = DistributedMode.HALF_ASYNC
        self.origin_program = self.startup_program = None

    def transpile(
        self,
        trainer_id,
        program=None,
        pservers="127.0.0.1:6174",
        trainers=1,
        sync_mode=True,
        startup_program=None,
        current_endpoint="127.0.0.1:6174",
    ):
        """Let all ranks train a program together, from its next run on.

        Args:
            trainer_id: not used: MPI knows the rank.
            program: after `minimize`; the default main program if None.
            pservers, current_endpoint: not used.
            trainers: how many workers there are, or their addresses; if the job has several ranks, but not that many,
                rank 0 warns: the job's number counts.
            sync_mode: False: asynchronous training, as with ``config.sync_mode = False``.
            startup_program: the default startup program if None.
        """
        program = _program_or("program", program, default_main_program)
        startup = _program_or("startup_program", startup_program, default_startup_program)
        job = start()
        said = trainers.count(",") + 1 if isinstance(trainers, str) else trainers
        if job.is_first and job.size > 1 and said != job.size:
            warn_user(
                f"transpile was told of {said} trainers, but the job has {job.size} ranks, and each of them trains: "
                "mpiexec says how many there are."
            )
        job.distribute(program, startup, None, **self._job_options(sync_mode))
        self.origin_program, self.startup_program = program, startup
        self.trainer_num, self.trainer_id, self.sync_mode = job.size, job.rank, sync_mode

    def _job_options(self, sync_mode):
        config, steps = self.config, self.config.max_staleness
        in_step = config.mode != "pserver" or config.completely_not_async or (config.sync_mode and sync_mode)
        if steps is None:
            steps = config.geo_sgd_need_push_nums if config.geo_sgd_mode else 1 if config.half_async else 4
        return {"sync": bool(in_step), "max_staleness": steps, "prefetch": config.prefetch}

    def get_trainer_program(self, wait_port=True):
        """The program itself, which every rank runs.

        Args:
            wait_port: not used: there is nobody to wait for.
        """
        return self._transpiled("get_trainer_program")

    def get_pserver_program(self, endpoint):
        """A program whose run is an error, which says that no rank is a server.

        Args:
            endpoint: an address, which stands in the program and nowhere else.
        """
        self._transpiled("get_pserver_program")
        program = Program()
        program.global_block().append_op("listen_and_serv", attrs={"endpoint": str(endpoint)})
        return program

    def get_pserver_programs(self, endpoint):
        """``(get_pserver_program(endpoint), an empty startup program)``."""
        return self.get_pserver_program(endpoint), Program()

    def get_startup_program(self, endpoint, pserver_program=None, startup_program=None):
        """An empty program: what a server would begin with. Every rank runs the startup program itself.

        Args:
            endpoint, pserver_program, startup_program: not used.
        """
        self._transpiled("get_startup_program")
        return Program()

    def _transpiled(self, call):
        if self.origin_program is None:
            raise PreconditionNotMetError(f"{call} was called before transpile.", where=here())
        return self.origin_program


def _program_or(name, program, default):
    if program is None:
        return default()
    if not isinstance(program, Program):
        raise InvalidTypeError(
            f"The {name} of transpile is not a Program.",
            expected="Program",
            actual=type(program).__name__,
            where=here(),
        )
    return program
