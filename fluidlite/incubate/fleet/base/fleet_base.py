"""Fleet: the job of this process by Fluid's names, and the optimizer that makes a program the job's."""

from ....compiler import CompiledProgram
from ....distributed.current import start
from ....errors import InvalidTypeError, PreconditionNotMetError, UnavailableError, here
from ....executor import Executor
from ....framework import Program, default_startup_program
from ....io import sharded
from ....optimizer import Optimizer
from ....places import CPUPlace
from .mode import Mode
from .role_maker import MPISymetricRoleMaker, RoleMakerBase

__all__ = ["Fleet", "DistributedOptimizer", "Mode"]


class Fleet:
    """The job of this process; base of the three `fleet` objects, which are used and not this class.

    Attributes: main_program, startup_program: what ``distributed_optimizer(...).minimize`` worked on, or None.

    Differs from Fluid: every rank is a worker and owns a share of the rows, none is a server; the programs are the
    user's own, not rewritten ones; endpoints are names, ``host:rank``, since MPI finds the ranks.
    """

    def __init__(self, mode):
        self._is_initialized = False
        self._is_stopped = False
        self._mode = mode
        self._optimizer = None
        self._role_maker = None
        self._executor = None
        self.main_program = None
        self.startup_program = None

    def init(self, role_maker=None):
        """Start the job: the first call of all.

        Args:
            role_maker: any role maker; MPISymetricRoleMaker() if None. Its ids, roles and addresses are not used.
        """
        if role_maker is None:
            role_maker = MPISymetricRoleMaker()
        if not isinstance(role_maker, RoleMakerBase):
            raise InvalidTypeError(
                "role_maker must be an instance of RoleMakerBase", actual=type(role_maker).__name__, where=here()
            )
        role_maker.generate_role()
        self._executor = Executor(CPUPlace())
        self._role_maker = role_maker
        self._is_initialized = True

    def _started(self):
        """The job, once `init` was called."""
        if not self._is_initialized:
            raise PreconditionNotMetError(
                "use fleet.init(role) to initialize the role of current node before other calls of fleet", where=here()
            )
        return start()

    def is_first_worker(self):
        """Whether this is rank 0."""
        return self._started().is_first

    def worker_index(self):
        """This rank, from 0."""
        return self._started().rank

    def worker_num(self):
        """The number of ranks: what mpiexec says, whatever the role maker was told."""
        return self._started().size

    def is_worker(self):
        """True: every rank trains."""
        self._started()
        return True

    def is_server(self):
        """False: no rank is a server, and none takes the branch of a script that runs one."""
        self._started()
        return False

    def server_num(self):
        """The number of ranks: each owns a share of the rows."""
        return self._started().size

    def server_index(self):
        """This rank, from 0."""
        return self._started().rank

    def worker_endpoints(self, to_string=False):
        """``host:rank`` of each rank, as a list, or joined by commas. They are names: nothing listens there."""
        return self._endpoints(to_string)

    def server_endpoints(self, to_string=False):
        """The same as `worker_endpoints`."""
        return self._endpoints(to_string)

    def _endpoints(self, to_string):
        names = [f"{host}:{rank}" for rank, host in enumerate(self._started().hosts)]
        return ",".join(names) if to_string else names

    def split_files(self, files):
        """This rank's block of a list of files; together the blocks are the list, and the first ones are longer by one.

        Five files and two ranks: rank 0 gets the first three, rank 1 the other two. Two files and three ranks: rank 2
        gets none.

        >>> from fluidlite.incubate.fleet.collective import fleet
        >>> fleet.init()
        >>> fleet.split_files(['a', 'b'])
        ['a', 'b']
        """
        if not isinstance(files, list):
            raise InvalidTypeError(
                "files should be a list of file need to be read.", actual=type(files).__name__, where=here()
            )
        job = self._started()
        rank, (least, longer) = job.rank, divmod(len(files), job.size)
        begin = rank * least + min(rank, longer)
        return files[begin : begin + least + (rank < longer)]

    def all_reduce_worker(self, input, output):
        """Write to `output` the sum of the inputs of all ranks, element by element; all ranks call it."""
        self._started()
        self._role_maker.all_reduce_worker(input, output)

    def barrier_worker(self):
        """Return when all ranks have called this."""
        self._started().barrier()

    def init_worker(self):
        """Wait for all ranks. Parameters are made equal when the first batch is trained, after the startup program."""
        self._minimized("init_worker")
        self._started().barrier()

    def init_server(self, model_dir=None):
        """An error: no rank is a server.

        What a server would load from `model_dir`, each rank loads after its startup program:
        ``fluid.io.load_persistables(exe, model_dir, fleet.main_program)``.
        """
        self._no_server("init_server")

    def run_server(self):
        """An error: no rank is a server. ``if fleet.is_server():`` keeps a script from calling it."""
        self._no_server("run_server")

    def _no_server(self, call):
        raise UnavailableError(
            f"fleet.{call} was called, but no rank is a server: every rank trains, and owns a share of the rows.",
            expected="fleet.init_worker(), training, fleet.stop_worker()",
            where=here(),
            hint=f"call fleet.{call} in the branch `if fleet.is_server():`, which no rank takes.",
        )

    def stop_worker(self):
        """Serve the other ranks until all have called this, or have ended. Training and saving are over then."""
        self._started().finish()
        self._executor.close()
        self._is_stopped = True

    def distributed_optimizer(self, optimizer, strategy=None):
        """An optimizer whose `minimize` makes the program one that all ranks train."""
        raise NotImplementedError("use the fleet of collective or of parameter_server")

    def save_persistables(self, executor, dirname, main_program=None):
        """Save everything that a program keeps between runs, in Fluid's files; tables with the rows of all ranks.

        One rank may call it alone (``if fleet.is_first_worker():``), or all of them: one rank writes, and the others
        send it their rows. ``fluid.io.load_persistables`` reads it, with any number of ranks. To go on training,
        ``fluid.io.save_checkpoint`` is quicker: each rank writes its own share.

        Args:
            main_program: `fleet.main_program` if None.
        """
        program = self._checked_program("save_persistables", main_program)
        sharded.save_persistables(self._checked_executor("save_persistables", executor), dirname, program)

    def save_inference_model(
        self, executor, dirname, feeded_var_names, target_vars, main_program=None, export_for_deployment=True
    ):
        """Save what is needed to compute `target_vars`, whole tables included, in Fluid's files.

        One rank may call it alone, or all of them. Arguments as of ``fluid.io.save_inference_model``.
        """
        call = "save_inference_model"
        program = self._checked_program(call, main_program)
        sharded.save_inference_model(
            dirname,
            feeded_var_names,
            target_vars,
            self._checked_executor(call, executor),
            program,
            export_for_deployment=export_for_deployment,
        )

    def _checked_executor(self, call, executor):
        if not isinstance(executor, Executor):
            raise InvalidTypeError(
                f"in fleet.{call}() function, executor must be as Executor type",
                expected="Executor",
                actual=type(executor).__name__,
                where=here(),
            )
        return executor

    def _checked_program(self, call, program):
        if self._is_stopped and self._started().size > 1:
            raise UnavailableError(
                f"fleet.{call} was called after fleet.stop_worker: the other ranks have taken their rows along.",
                where=here(),
                hint="save before fleet.stop_worker().",
            )
        if program is None:
            return self._minimized(call)
        if isinstance(program, CompiledProgram) or not isinstance(program, Program):
            raise InvalidTypeError(
                f"in fleet.{call}() function, main_program must be as Program type",
                expected="Program",
                actual=type(program).__name__,
                where=here(),
            )
        return program

    def _minimized(self, call):
        self._started()
        if self.main_program is None:
            raise PreconditionNotMetError(
                f"fleet.{call} was called, but there is no program yet: You should run "
                "DistributedOptimizer.minimize() first",
                where=here(),
            )
        return self.main_program


class DistributedOptimizer:
    """An optimizer whose `minimize` makes the program of the loss one that all ranks train together.

    Args:
        optimizer: any Optimizer.
        strategy: how; see the subclasses, which `fleet.distributed_optimizer` makes.
    """

    def __init__(self, optimizer, strategy=None):
        if not isinstance(optimizer, Optimizer):
            raise InvalidTypeError(
                "optimizer must be an instance of Optimizer",
                expected="Optimizer",
                actual=type(optimizer).__name__,
                where=here(),
            )
        self._optimizer = optimizer
        self._strategy = strategy

    def backward(self, loss, startup_program=None, parameter_list=None, no_grad_set=None, callbacks=None):
        """``optimizer.backward``: the first half of `minimize`."""
        return self._optimizer.backward(loss, startup_program, parameter_list, no_grad_set, callbacks)

    def apply_gradients(self, params_grads):
        """``optimizer.apply_gradients``: the second half of `minimize`, for one rank alone.

        `minimize` is what makes the program the job's.
        """
        return self._optimizer.apply_gradients(params_grads)

    def minimize(self, losses, scopes=None, startup_programs=None, parameter_list=None, no_grad_set=None):
        """``optimizer.minimize``, for all ranks of the job."""
        raise NotImplementedError("use fleet.distributed_optimizer of collective or of parameter_server")

    def _minimize_for_all(self, fleet, loss, startup_program, parameter_list, no_grad_set, **how):
        """``(update ops, [(parameter, gradient)])``; `how` goes to the job."""
        job = fleet._started()
        startup = startup_program if startup_program is not None else default_startup_program()
        result = self._optimizer.minimize(loss, startup, parameter_list, no_grad_set)
        job.distribute(loss.block.program, startup, loss.name, **how)
        fleet.main_program, fleet.startup_program = loss.block.program, startup
        return result
