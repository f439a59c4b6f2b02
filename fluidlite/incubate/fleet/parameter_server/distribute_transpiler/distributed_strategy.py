"""Strategies: whether ranks wait for each other, and how far they may be apart."""

import os

from .....compiler import BuildStrategy, ExecutionStrategy
from .....errors import InvalidArgumentError, InvalidTypeError, here, nearest
from .....transpiler.distribute_transpiler import DistributedMode, DistributeTranspilerConfig, ServerRuntimeConfig

__all__ = ["TrainerRuntimeConfig", "DistributedStrategy", "SyncStrategy", "AsyncStrategy", "HalfAsyncStrategy"]
__all__ += ["GeoStrategy", "StrategyFactory", "strategy_of_config"]

# Fluid's flags and their defaults; None is CPU_NUM.
_FLAGS = {
    "communicator_max_merge_var_num": None,
    "communicator_send_queue_size": None,
    "communicator_independent_recv_thread": "1",
    "communicator_min_send_grad_num_before_recv": None,
    "communicator_thread_pool_size": "5",
    "communicator_send_wait_times": "5",
    "communicator_is_sgd_optimizer": "1",
    "rpc_deadline": "180000",
    "rpc_retry_times": "3",
}
_FLAGS_OF_MODE = {
    DistributedMode.GEO: ("communicator_thread_pool_size", "communicator_send_wait_times"),
    **dict.fromkeys(
        (DistributedMode.SYNC, DistributedMode.HALF_ASYNC),
        ("communicator_max_merge_var_num", "communicator_send_wait_times")
        + ("communicator_thread_pool_size", "communicator_send_queue_size"),
    ),
}


class TrainerRuntimeConfig:
    """The settings of Fluid's communicator, in ``runtime_configs``. They are kept, and none is used: MPI sends."""

    def __init__(self):
        self.mode = None
        n_threads = os.getenv("CPU_NUM", "1")
        self.runtime_configs = {
            name: os.getenv(f"FLAGS_{name}", n_threads if default is None else default)
            for name, default in _FLAGS.items()
        }

    def get_communicator_flags(self):
        """{name: text} of the settings that Fluid would use in this mode."""
        names = _FLAGS_OF_MODE.get(self.mode, self.runtime_configs)
        return {name: str(self.runtime_configs[name]) for name in names}

    def display(self, configs):
        """A table of settings, as a text."""
        border, line = "=" * 50, "-" * 50
        rows = [f"{name:<45}{value:<5}" for name, value in configs.items()]
        head = f"{'TrainerRuntimeConfig Overview':^45}{'Value':<5}"
        return "\n".join(["", border, head, line, *rows, border, ""])

    def __repr__(self):
        return self.display(self.get_communicator_flags())


class DistributedStrategy:
    """Base of the strategies that `StrategyFactory` makes.

    Of Fluid's settings, those of the program config that choose between synchronous and asynchronous training are used;
    the others are kept. fluidlite's own, attributes here and of the program config:

    * max_staleness: in asynchronous training, how many steps a rank may be ahead of the slowest one. None (default):
      4; 1 for half-async; the update frequency for Geo.
    * prefetch: fetch the rows of the next batch while this one computes. False by default, because those rows may be
      one step old.
    """

    _sync = False
    _mode = None

    def __init__(self):
        self._program_config = DistributeTranspilerConfig()
        self._trainer_runtime_config = TrainerRuntimeConfig()
        self._server_runtime_config = ServerRuntimeConfig()
        self._execute_strategy, self._build_strategy = ExecutionStrategy(), BuildStrategy()
        n_threads = int(os.getenv("CPU_NUM", "1"))
        self._execute_strategy.num_threads = n_threads
        if n_threads > 1:
            self._build_strategy.reduce_strategy = BuildStrategy.ReduceStrategy.Reduce
        self.debug_opt = None

    @property
    def max_staleness(self):
        """Of the program config."""
        return self._program_config.max_staleness

    @max_staleness.setter
    def max_staleness(self, steps):
        self._program_config.max_staleness = steps

    @property
    def prefetch(self):
        """Of the program config."""
        return self._program_config.prefetch

    @prefetch.setter
    def prefetch(self, on):
        self._program_config.prefetch = on

    def _default_staleness(self):
        return 4

    def job_options(self):
        """How a job trains by this strategy: keyword arguments of ``Job.distribute``."""
        steps = self.max_staleness
        return {
            "sync": self._sync,
            "max_staleness": self._default_staleness() if steps is None else steps,
            "prefetch": self.prefetch,
        }

    def set_debug_opt(self, opt_info):
        """Keep what Fluid would dump; nothing is dumped."""
        self.debug_opt = opt_info

    def get_debug_opt(self):
        """What `set_debug_opt` was given, with Fluid's defaults; {} without it."""
        if not isinstance(self.debug_opt, dict):
            return {}
        given = self.debug_opt
        return {
            "dump_slot": bool(given.get("dump_slot", 0)),
            "dump_converter": str(given.get("dump_converter", "")),
            "dump_fields": given.get("dump_fields", []),
            "dump_file_num": given.get("dump_file_num", 16),
            "dump_fields_path": given.get("dump_fields_path", ""),
            "dump_param": given.get("dump_param", []),
        }

    def get_program_config(self):
        """The DistributeTranspilerConfig."""
        return self._program_config

    def set_program_config(self, config):
        """Take over a DistributeTranspilerConfig, or some of its attributes from a dict."""
        self._program_config = _changed(self._program_config, config, "program_config")
        self.check_program_config()

    def get_trainer_runtime_config(self):
        """The TrainerRuntimeConfig."""
        return self._trainer_runtime_config

    def set_trainer_runtime_config(self, config):
        """Take over a TrainerRuntimeConfig, or some of its settings from a dict."""
        self._trainer_runtime_config = _changed(self._trainer_runtime_config, config, "trainer_runtime_config")
        self.check_trainer_runtime_config()

    def get_server_runtime_config(self):
        """The ServerRuntimeConfig."""
        return self._server_runtime_config

    def set_server_runtime_config(self, config):
        """Take over a ServerRuntimeConfig, or some of its attributes from a dict."""
        self._server_runtime_config = _changed(self._server_runtime_config, config, "server_runtime_config")
        self.check_server_runtime_config()

    def get_execute_strategy(self):
        """The ExecutionStrategy."""
        return self._execute_strategy

    def set_execute_strategy(self, config):
        """Take over an ExecutionStrategy, or some of its attributes from a dict."""
        self._execute_strategy = _changed(self._execute_strategy, config, "execute_strategy")
        self.check_execute_strategy()

    def get_build_strategy(self):
        """The BuildStrategy."""
        return self._build_strategy

    def set_build_strategy(self, config):
        """Take over a BuildStrategy, or some of its attributes from a dict."""
        self._build_strategy = _changed(self._build_strategy, config, "build_strategy")
        self.check_build_strategy()

    def _check(self):
        """Set in all parts what the strategy is made of."""
        self.check_program_config()
        self.check_trainer_runtime_config()
        self.check_server_runtime_config()
        self.check_build_strategy()
        self.check_execute_strategy()

    def check_program_config(self):
        """Set in the program config what the strategy is made of."""
        self._program_config.sync_mode = False
        self._program_config.runtime_split_send_recv = True

    def check_trainer_runtime_config(self):
        """Set the mode of the TrainerRuntimeConfig."""
        self._trainer_runtime_config.mode = self._mode

    def check_server_runtime_config(self):
        """Nothing: there are no servers."""

    def check_execute_strategy(self):
        """Set in the ExecutionStrategy what the strategy is made of."""

    def check_build_strategy(self):
        """Set in the BuildStrategy what the strategy is made of."""
        self._build_strategy.async_mode = True


def _changed(current, config, name):
    """`config` if it is of the kind of `current`; or `current`, with the settings that the dict `config` has."""
    kind = type(current)
    if isinstance(config, kind):
        return config
    if not isinstance(config, dict):
        raise InvalidTypeError(
            f"{name} only accept input type: dict or {kind.__name__}", actual=type(config).__name__, where=here()
        )
    settings = getattr(current, "runtime_configs", None)
    for key in config:
        if not (key in settings if settings is not None else hasattr(current, key)):
            known = settings if settings is not None else [one for one in dir(current) if not one.startswith("_")]
            raise InvalidArgumentError(
                f"{kind.__name__} doesn't have key: {key}", where=here(), hint=nearest(str(key), known)
            )
    for key, value in config.items():
        if settings is None:
            setattr(current, key, value)
        else:
            settings[key] = value
    return current


class SyncStrategy(DistributedStrategy):
    """Every step is that of one process with the batches of all ranks; the same bits from run to run."""

    _sync = True
    _mode = DistributedMode.SYNC

    def __init__(self):
        super().__init__()
        self._check()

    def check_program_config(self):
        """As Fluid sets it."""
        super().check_program_config()
        self._program_config.half_async = True
        self._program_config.completely_not_async = True

    def check_execute_strategy(self):
        """As Fluid sets it."""
        self._execute_strategy.use_thread_barrier = True


class AsyncStrategy(DistributedStrategy):
    """Rows are fetched and gradients applied when they arrive, and no rank waits, within `max_staleness` steps."""

    _mode = DistributedMode.ASYNC

    def __init__(self):
        super().__init__()
        self._check()


class HalfAsyncStrategy(DistributedStrategy):
    """As AsyncStrategy, but no rank is more than one step ahead.

    Differs from Fluid: there, the gradients of several steps may be sent as one.
    """

    _mode = DistributedMode.HALF_ASYNC

    def __init__(self):
        super().__init__()
        self._check()

    def _default_staleness(self):
        return 1

    def check_program_config(self):
        """As Fluid sets it."""
        super().check_program_config()
        self._program_config.half_async = True

    def check_execute_strategy(self):
        """As Fluid sets it."""
        self._execute_strategy.use_thread_barrier = True


class GeoStrategy(DistributedStrategy):
    """As AsyncStrategy, with `update_frequency` steps as the bound.

    Differs from Fluid: there, a rank trains rows of its own and sends differences every `update_frequency` steps; here
    every row has one owner, and gradients are sent in every step.
    """

    _mode = DistributedMode.GEO

    def __init__(self, update_frequency=100):
        super().__init__()
        self._program_config.geo_sgd_need_push_nums = update_frequency
        self._check()

    def _default_staleness(self):
        return self._program_config.geo_sgd_need_push_nums

    def check_program_config(self):
        """As Fluid sets it."""
        super().check_program_config()
        self._program_config.geo_sgd_mode = True


class StrategyFactory:
    """Makes strategies.

    >>> strategy = StrategyFactory.create_async_strategy()
    >>> strategy.max_staleness = 2
    >>> strategy.job_options()
    {'sync': False, 'max_staleness': 2, 'prefetch': False}
    """

    @staticmethod
    def create_sync_strategy():
        """A SyncStrategy."""
        return SyncStrategy()

    @staticmethod
    def create_half_async_strategy():
        """A HalfAsyncStrategy."""
        return HalfAsyncStrategy()

    @staticmethod
    def create_async_strategy():
        """An AsyncStrategy."""
        return AsyncStrategy()

    @staticmethod
    def create_geo_strategy(update_frequency=100):
        """A GeoStrategy."""
        return GeoStrategy(update_frequency)


def strategy_of_config(config):
    """The strategy that a DistributeTranspilerConfig describes, as `fleet.distributed_optimizer` takes it."""
    if config.sync_mode or config.completely_not_async:
        strategy = SyncStrategy()
    elif config.geo_sgd_mode:
        strategy = GeoStrategy(config.geo_sgd_need_push_nums)
    elif config.half_async or not config.runtime_split_send_recv:
        strategy = HalfAsyncStrategy()
    else:
        strategy = AsyncStrategy()
    strategy.max_staleness, strategy.prefetch = config.max_staleness, config.prefetch
    return strategy
