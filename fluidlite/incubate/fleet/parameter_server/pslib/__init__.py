"""`fleet` for programs that used PSLib: one more face of the job of this process.

Fluid's own lets a program set up PSLib's tables, accessors and files. Here tables are the program's variables.
"""

from .....errors import InvalidArgumentError, InvalidTypeError, here, nearest
from .....io import load_persistables
from ...base.fleet_base import DistributedOptimizer, Fleet
from ...base.mode import Mode

__all__ = ["PSLib", "DownpourOptimizer", "fleet"]


class PSLib(Fleet):
    """The job of this process, for programs that used PSLib.

    Differs from Fluid: models are the files of ``fluid.io.save_persistables``, in modes 0 and 3 (everything); PSLib's
    table files are not read. `init_worker` needs no startup program before it.
    """

    def __init__(self):
        super().__init__(Mode.PSLIB)

    def init_server(self, model_dir=None, **kwargs):
        """`load_model`: in PSLib it is workers that call this.

        Without `model_dir` it does nothing.
        """
        self._started()
        if model_dir is not None:
            self.load_model(model_dir, **kwargs)

    def distributed_optimizer(self, optimizer, strategy={}):  # noqa: B006
        """An optimizer whose `minimize` makes the program one that all ranks train.

        Args:
            optimizer: any Optimizer.
            strategy: a dict; see DownpourOptimizer.

        Returns:
            DownpourOptimizer.
        """
        self._started()
        self._optimizer = DownpourOptimizer(optimizer, strategy)
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
        """As of `Fleet`; without `feeded_var_names` and `target_vars`, `save_model`, as in Fluid."""
        if feeded_var_names is None and target_vars is None:
            return self.save_persistables(executor, dirname, main_program)
        return super().save_inference_model(
            executor, dirname, feeded_var_names, target_vars, main_program, export_for_deployment
        )

    def save_persistables(self, executor, dirname, main_program=None, **kwargs):
        """As of `Fleet`.

        Args:
            executor: may be None.
            mode: 0 or 3: everything. Others, which save parts that only PSLib knows, are refused.
        """
        self._check_mode("save_persistables", kwargs)
        super().save_persistables(self._executor if executor is None else executor, dirname, main_program)

    def save_model(self, model_dir=None, **kwargs):
        """`save_persistables` of the program that was minimized."""
        self._check_mode("save_model", kwargs)
        super().save_persistables(self._executor, model_dir, None)

    def load_model(self, model_dir=None, **kwargs):
        """``fluid.io.load_persistables`` of the program that was minimized, on every rank, after its startup program.

        Args:
            model_dir: what `save_model` was given, with any number of ranks.
            mode: as of `save_persistables`.
        """
        self._check_mode("load_model", kwargs)
        load_persistables(self._executor, model_dir, self._minimized("load_model"))

    @staticmethod
    def _check_mode(call, options):
        for name in options:
            if name not in ("mode", "prefix"):
                raise InvalidTypeError(
                    f"fleet.{call} has no argument {name!r}.", where=here(), hint=nearest(name, ["mode", "prefix"])
                )
        if options.get("mode", 0) not in (0, 3):
            raise InvalidArgumentError(
                f"This mode of fleet.{call} is not supported.",
                expected="mode=0: everything",
                actual=f"mode={options['mode']!r}",
                where=here(),
            )


fleet = PSLib()


class DownpourOptimizer(DistributedOptimizer):
    """What ``fleet.distributed_optimizer`` returns. Training is asynchronous, as PSLib's is.

    Args:
        optimizer: any Optimizer; it is the one that updates all parameters (PSLib's is always an Adam).
        strategy: a dict, or None. Used: sync_mode (False), max_staleness (4) and prefetch (False), which are
            fluidlite's own; PSLib's keys are kept and not used.
    """

    def __init__(self, optimizer, strategy=None):
        super().__init__(optimizer, {} if strategy is None else strategy)
        if not isinstance(self._strategy, dict):
            raise InvalidTypeError(
                "The strategy of a DownpourOptimizer is not a dict.", actual=type(strategy).__name__, where=here()
            )

    def minimize(self, losses, scopes=None, startup_programs=None, parameter_list=None, no_grad_set=None):
        """``optimizer.minimize`` for all ranks of the job.

        Args:
            losses: the loss, or a list with that one.
            scopes: not used: ``exe.run`` and ``exe.train_from_dataset`` say where variables live.
            startup_programs: the startup program, or a list with that one.

        Returns:
            [list of update ops, list of (parameter, gradient)].
        """
        how = {"sync": False} if "sync_mode" not in self._strategy else {"sync": self._strategy["sync_mode"]}
        how |= {name: self._strategy[name] for name in ("max_staleness", "prefetch") if name in self._strategy}
        loss, startup = _only("losses", losses), _only("startup_programs", startup_programs)
        return list(self._minimize_for_all(fleet, loss, startup, parameter_list, no_grad_set, **how))


def _only(name, given):
    if not isinstance(given, list):
        return given
    if len(given) != 1:
        raise InvalidArgumentError(
            f"{name} of DownpourOptimizer.minimize has to be one.",
            expected="a list of length 1",
            actual=f"a list of length {len(given)}",
            where=here(),
            hint="add the losses, or minimize each with an optimizer of its own.",
        )
    return given[0]
