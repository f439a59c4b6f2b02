"""`fleet` for programs that had parameter servers: one more face of the job of this process."""

from .....errors import InvalidTypeError, PreconditionNotMetError, here
from .....optimizer import Optimizer
from .....transpiler import DistributeTranspilerConfig
from ...base.fleet_base import DistributedOptimizer, Fleet
from ...base.mode import Mode
from .distributed_strategy import (
    AsyncStrategy,
    DistributedStrategy,
    GeoStrategy,
    HalfAsyncStrategy,
    StrategyFactory,
    SyncStrategy,
    TrainerRuntimeConfig,
    strategy_of_config,
)

__all__ = ["DistributedTranspiler", "TranspilerOptimizer", "fleet"]


class DistributedTranspiler(Fleet):
    """The job of this process, for programs that had parameter servers.

    Differs from Fluid: every rank is a worker and owns a share of the rows, and none is a server.
    """

    def __init__(self):
        super().__init__(Mode.TRANSPILER)

    def distributed_optimizer(self, optimizer, strategy=None):
        """An optimizer whose `minimize` makes the program one that all ranks train.

        Args:
            optimizer: any Optimizer.
            strategy: what StrategyFactory makes, or a DistributeTranspilerConfig; synchronous training if None.

        Returns:
            TranspilerOptimizer.
        """
        if not isinstance(optimizer, Optimizer):
            raise InvalidTypeError(
                "optimizer must be an instance of Optimizer", actual=type(optimizer).__name__, where=here()
            )
        if not self._is_initialized:
            raise PreconditionNotMetError(
                "use fleet.init(role) to initialize the role of current node before optimizer.minimize(loss)",
                where=here(),
            )
        self._optimizer = TranspilerOptimizer(optimizer, strategy)
        return self._optimizer


fleet = DistributedTranspiler()


class TranspilerOptimizer(DistributedOptimizer):
    """What ``fleet.distributed_optimizer`` returns.

    Args:
        optimizer: any Optimizer.
        strategy: what StrategyFactory makes, or a DistributeTranspilerConfig; synchronous training if None.
    """

    def __init__(self, optimizer, strategy=None):
        super().__init__(optimizer, strategy)
        if strategy is None:
            self._strategy = StrategyFactory.create_sync_strategy()
        elif isinstance(strategy, DistributeTranspilerConfig):
            self._strategy = strategy_of_config(strategy)
        elif not isinstance(strategy, DistributedStrategy):
            raise InvalidTypeError(
                "The strategy of a distributed optimizer is not usable.",
                expected="DistributeTranspilerConfig, SyncStrategy, HalfAsyncStrategy, AsyncStrategy or GeoStrategy",
                actual=type(strategy).__name__,
                where=here(),
            )

    def minimize(self, loss, scopes=None, startup_program=None, parameter_list=None, no_grad_set=None):
        """``optimizer.minimize(loss, startup_program, parameter_list, no_grad_set)``, for all ranks of the job.

        Args:
            scopes: not used, as in Fluid.

        Returns:
            (list of update ops, list of (parameter, gradient)).
        """
        for what, given in (("loss", loss), ("program", startup_program)):
            if isinstance(given, list):
                raise InvalidTypeError(
                    f"DistributedTranspiler's minimize can not accept {what} with list", where=here()
                )
        return self._minimize_for_all(
            fleet, loss, startup_program, parameter_list, no_grad_set, **self._strategy.job_options()
        )
