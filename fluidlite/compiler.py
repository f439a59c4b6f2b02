"""Fluid's compiled programs and their strategies. Every program is compiled here, so these only carry programs about.

`Executor.run` makes a plan of any program, uses all the threads that it may (`set_num_threads`), and gives the same
bits for any number of them. A batch is never split over devices: what data parallelism over N places computes from a
batch in N parts is computed from the whole, and a fetched loss has one element instead of N.
"""

import enum

from .errors import InvalidArgumentError, InvalidTypeError, here, nearest
from .framework import OpRole, Program


class _Options:
    """Attributes of known names. What they ask for changes nothing, so any value is taken, but no misspelt name."""

    _defaults = {}

    def __init__(self):
        self.__dict__.update(self._defaults)

    def __setattr__(self, name, value):
        if name not in self._defaults:
            known = nearest(name, self._defaults)
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}" + (f"; {known}" if known else "."),
            )
        self.__dict__[name] = value


class BuildStrategy(_Options):
    """How Fluid's graph was to be built. Accepted for Fluid's sake: a plan fuses and shares memory by itself.

    >>> import fluidlite as fluid
    >>> strategy = fluid.BuildStrategy()
    >>> strategy.reduce_strategy = fluid.BuildStrategy.ReduceStrategy.Reduce
    """

    class ReduceStrategy(enum.IntEnum):
        """How gradients of several devices were summed."""

        AllReduce = 0
        Reduce = 1
        _NoReduce = 2

    class GradientScaleStrategy(enum.IntEnum):
        """What the gradient of the loss was divided by."""

        CoeffNumDevice = 0
        One = 1
        Customized = 2

    _defaults = {
        "async_mode": False,
        "cache_runtime_context": False,
        "debug_graphviz_path": "",
        "enable_auto_fusion": False,
        "enable_backward_optimizer_op_deps": True,
        "enable_inplace": True,
        "enable_sequential_execution": False,
        "fuse_all_optimizer_ops": False,
        "fuse_all_reduce_ops": True,
        "fuse_bn_act_ops": False,
        "fuse_broadcast_ops": True,
        "fuse_elewise_add_act_ops": False,
        "fuse_relu_depthwise_conv": False,
        "gradient_scale_strategy": GradientScaleStrategy.CoeffNumDevice,
        "hierarchical_allreduce_inter_nranks": 0,
        "is_distribution": False,
        "memory_optimize": None,
        "mkldnn_enabled_op_types": frozenset(),
        "nccl_comm_num": 1,
        "num_trainers": 1,
        "reduce_strategy": ReduceStrategy.AllReduce,
        "remove_unnecessary_lock": True,
        "sync_batch_norm": False,
        "trainer_id": 0,
        "trainers_endpoints": (),
        "use_hierarchical_allreduce": False,
    }


class ExecutionStrategy(_Options):
    """How Fluid's graph was to be run. Accepted for Fluid's sake; `fluidlite.set_num_threads` sets the threads.

    >>> import fluidlite as fluid
    >>> fluid.ExecutionStrategy().num_iteration_per_drop_scope
    100
    """

    _defaults = {
        "allow_op_delay": False,
        "num_iteration_per_drop_scope": 100,
        "num_iteration_per_run": 1,
        "num_threads": 0,
        "use_cuda": False,
        "use_experimental_executor": True,
        "use_thread_barrier": False,
    }


class CompiledProgram:
    """A program for `Executor.run`, which compiles every program itself: running this runs the program.

    Args:
        program_or_graph: a Program.
        build_strategy: accepted for Fluid's sake.

    Differs from Fluid: `with_data_parallel` over several places computes a batch as a whole, so a fetched loss has
    one element; a feed of several dicts, as a DataLoader of several places yields them, is one batch.

    >>> import fluidlite as fluid
    >>> x = fluid.data('x', [None, 2])
    >>> compiled = CompiledProgram(fluid.default_main_program()).with_data_parallel()
    >>> fluid.Executor().run(compiled, feed={'x': [[1.0, 2.0]]}, fetch_list=[x * 2.0])
    [array([[2., 4.]], dtype=float32)]
    """

    def __init__(self, program_or_graph, build_strategy=None):
        if not isinstance(program_or_graph, Program):
            raise InvalidTypeError(
                f"The program of a CompiledProgram is a {type(program_or_graph).__name__}.",
                expected="Program",
                actual=repr(program_or_graph),
                where=here(),
            )
        self._program = program_or_graph

    def with_data_parallel(
        self, loss_name=None, build_strategy=None, exec_strategy=None, share_vars_from=None, places=None
    ):
        """This program itself: one machine is one device.

        Args:
            loss_name: name of the loss, needed when the program has a backward pass.
            places: the places of Fluid's parts of a batch; how many there are changes nothing.
            build_strategy, exec_strategy, share_vars_from: accepted for Fluid's sake.
        """
        if loss_name is None and any(op.attrs["op_role"] & OpRole.BACKWARD for op in self._program.global_block().ops):
            raise InvalidArgumentError(
                "The loss_name of with_data_parallel is missing, but the program has a backward pass.",
                expected="loss_name=loss.name",
                where=here(),
            )
        return self
