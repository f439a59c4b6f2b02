"""`fleet` for programs that trained in step on several devices: one more face of the job of this process."""

from ....compiler import BuildStrategy, ExecutionStrategy
from ....errors import InvalidArgumentError, InvalidTypeError, here, warn_user
from ....io import sharded
from ..base.fleet_base import DistributedOptimizer, Fleet
from ..base.mode import Mode

__all__ = ["Collective", "CollectiveOptimizer", "DistributedStrategy", "fleet"]


class Collective(Fleet):
    """The job of this process, for programs that trained in step on several devices.

    Differs from Fluid: `main_program` is the program itself; `init_worker` and `stop_worker` do what they do in the
    other faces, where Fluid warns.
    """

    def __init__(self):
        super().__init__(Mode.COLLECTIVE)

    def distributed_optimizer(self, optimizer, strategy=None):
        """An optimizer whose `minimize` makes the program one that all ranks train in step.

        Args:
            optimizer: any Optimizer.
            strategy: DistributedStrategy() if None.

        Returns:
            CollectiveOptimizer.
        """
        self._started()
        self._optimizer = CollectiveOptimizer(optimizer, strategy)
        return self._optimizer

    def save_inference_model(
        self,
        executor,
        dirname,
        feeded_var_names=None,
        target_vars=None,
        main_program=None,
        export_for_deployment=True,
    ):
        """As of `Fleet`. The two arguments that have no default in Fluid's other faces are needed here as well."""
        for name, given in (("feeded_var_names", feeded_var_names), ("target_vars", target_vars)):
            if given is None:
                raise InvalidArgumentError(
                    f"{name} of fleet.save_inference_model is missing.", expected="a list", where=here()
                )
        super().save_inference_model(
            executor, dirname, feeded_var_names, target_vars, main_program, export_for_deployment
        )

    def save_persistables(self, executor, dirname, main_program=None, filename=None):
        """As of `Fleet`.

        Args:
            filename: one file for all variables; None: a file for each.
        """
        program = self._checked_program("save_persistables", main_program)
        sharded.save_persistables(self._checked_executor("save_persistables", executor), dirname, program, filename)


fleet = Collective()


class DistributedStrategy(BuildStrategy):
    """Fluid's settings of collective training. All ranks are in step, whatever they say.

    A BuildStrategy with, among others, `exec_strategy`, use_local_sgd, use_amp, forward_recompute and nccl_comm_num.
    They change nothing; minimize warns of those that would change results in Fluid. fluidlite's own: prefetch (False),
    fetch the rows of the next batch while this one computes.

    >>> DistributedStrategy().nccl_comm_num
    1
    """

    _defaults = {
        **BuildStrategy._defaults,
        "use_local_sgd": False,
        "use_dist_fc": False,
        "dist_fc_config": None,
        "mode": "nccl2",
        "collective_mode": None,
        "forward_recompute": False,
        "recompute_checkpoints": None,
        "use_amp": False,
        "amp_loss_scaling": 2**15,
        "exec_strategy": None,
        "prefetch": False,
    }

    def __init__(self):
        super().__init__()
        self.recompute_checkpoints = []
        self.exec_strategy = ExecutionStrategy()


class CollectiveOptimizer(DistributedOptimizer):
    """What ``fleet.distributed_optimizer`` returns.

    Args:
        optimizer: any Optimizer.
        strategy: DistributedStrategy() if None.
    """

    def __init__(self, optimizer, strategy=None):
        super().__init__(optimizer, strategy if strategy is not None else DistributedStrategy())
        if not isinstance(self._strategy, DistributedStrategy):
            raise InvalidTypeError(
                "strategy must be DistributedStrategy",
                expected="fluidlite.incubate.fleet.collective.DistributedStrategy",
                actual=type(strategy).__name__,
                where=here(),
            )
        if not isinstance(self._strategy.recompute_checkpoints, list):
            raise InvalidArgumentError(
                "DistStrategy.recompute_checkpoints should be a List",
                actual=repr(self._strategy.recompute_checkpoints),
                where=here(),
            )

    def minimize(self, loss, startup_program=None, parameter_list=None, no_grad_set=None):
        """``optimizer.minimize`` with the same arguments, for all ranks of the job.

        Returns:
            (list of update ops, list of (parameter, gradient)).
        """
        for name in ("use_local_sgd", "use_amp", "use_dist_fc"):
            if getattr(self._strategy, name):
                warn_user(f"DistributedStrategy.{name} has no effect: all ranks are in step, and compute in float32.")
        return self._minimize_for_all(
            fleet, loss, startup_program, parameter_list, no_grad_set, sync=True, prefetch=self._strategy.prefetch
        )
