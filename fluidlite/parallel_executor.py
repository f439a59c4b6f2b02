"""ParallelExecutor: an Executor that holds its program, in the form of Fluid before 1.5."""

from .errors import InvalidTypeError, here
from .executor import Executor
from .framework import default_main_program
from .places import CPUPlace, CUDAPlace


class ParallelExecutor:
    """Runs one program, on all threads; see `CompiledProgram` for what becomes of data parallelism.

    Args:
        use_cuda: must be False: there are no GPUs.
        loss_name, exec_strategy, build_strategy, num_trainers, trainer_id: accepted for Fluid's sake.
        main_program: the default main program if None.
        share_vars_from: a ParallelExecutor whose Scope this one uses.
        scope: where persistable variables live; the global scope if None.

    >>> import fluidlite as fluid
    >>> x = fluid.data('x', [None, 2])
    >>> y = x * 2.0
    >>> ParallelExecutor(use_cuda=False).run([y.name], feed={'x': [[1.0, 2.0]]})
    [array([[2., 4.]], dtype=float32)]
    """

    def __init__(
        self,
        use_cuda,
        loss_name=None,
        main_program=None,
        share_vars_from=None,
        exec_strategy=None,
        build_strategy=None,
        num_trainers=1,
        trainer_id=0,
        scope=None,
    ):
        if share_vars_from is not None and not isinstance(share_vars_from, ParallelExecutor):
            raise InvalidTypeError(
                "share_vars_from is not a ParallelExecutor.", actual=type(share_vars_from).__name__, where=here()
            )
        self._program = main_program if main_program is not None else default_main_program()
        self._scope = share_vars_from._scope if share_vars_from is not None else scope
        self._exe = Executor(CUDAPlace(0) if use_cuda else CPUPlace())

    @property
    def device_count(self):
        """1: one machine is one device."""
        return 1

    def run(self, fetch_list, feed=None, feed_dict=None, return_numpy=True):
        """As `Executor.run`; `feed_dict` is an older name of `feed`."""
        feed = feed if feed is not None else feed_dict
        return self._exe.run(self._program, feed, fetch_list, scope=self._scope, return_numpy=return_numpy)

    def drop_local_exe_scopes(self):
        """Does nothing: there are no local scopes."""
