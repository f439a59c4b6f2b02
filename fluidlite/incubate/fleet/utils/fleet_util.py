"""FleetUtil: what a job prints once, and metrics over all its ranks."""

import logging
import sys

import numpy as np

from ....errors import InvalidArgumentError, here
from ....executor import global_scope
from ..parameter_server.distribute_transpiler import fleet as fleet_transpiler
from ..parameter_server.pslib import fleet as fleet_pslib

__all__ = ["FleetUtil"]

_logger = logging.getLogger(__name__)


class FleetUtil:
    """Helpers for programs that a job trains.

    Args:
        mode: whose `fleet` was initialized, 'pslib' or 'transpiler'.

    Differs from Fluid: of its methods, those exist that need no PSLib and no HDFS.

    >>> from fluidlite.incubate.fleet.parameter_server.pslib import fleet
    >>> fleet.init()
    >>> FleetUtil().rank0_print('my log')
    my log
    """

    def __init__(self, mode="pslib"):
        fleets = {"pslib": fleet_pslib, "transpiler": fleet_transpiler}
        if mode not in fleets:
            raise InvalidArgumentError(
                'Please choose one mode from ["pslib", "transpiler"]', actual=repr(mode), where=here()
            )
        self._fleet = fleets[mode]

    def rank0_print(self, s):
        """Write a line to stdout, on rank 0 alone."""
        if self._fleet.is_first_worker():
            sys.stdout.write(f"{s}\n")
            sys.stdout.flush()

    def rank0_info(self, s):
        """Log a line, on rank 0 alone."""
        if self._fleet.is_first_worker():
            _logger.info(s)

    def rank0_error(self, s):
        """Log an error, on rank 0 alone."""
        if self._fleet.is_first_worker():
            _logger.error(s)

    def set_zero(self, var_name, scope=None, place=None, param_type="int64"):
        """Set a variable of this rank to zeros, such as the counters of ``layers.auc`` before an epoch.

        Args:
            scope: the global scope if None.
            place: not used.
            param_type: data type of the zeros.
        """
        scope = global_scope() if scope is None else scope
        tensor = scope.var(var_name).get_tensor()
        tensor.set(np.zeros(tensor.shape(), param_type))

    def get_global_auc(self, scope=None, stat_pos="_generated_var_2", stat_neg="_generated_var_3"):
        """The area under the ROC curve over the samples of all ranks, which all call this.

        Args:
            scope: the global scope if None.
            stat_pos, stat_neg: names of the counters of ``layers.auc``, which each rank has of its own.

        Returns:
            float; 0.5 if one of the classes is missing, None if this rank has no such counters.
        """
        scope = global_scope() if scope is None else scope
        counters = [scope.find_var(name) for name in (stat_pos, stat_neg)]
        if None in counters:
            self.rank0_print("not found auc bucket")
            return None
        pos, neg = (np.array(one.get_tensor())[:1].reshape(-1) for one in counters)
        total = np.zeros((2, pos.size), np.int64)
        self._fleet.all_reduce_worker(np.stack([pos, neg]), total)
        # Scores fall from bin to bin: a trapezoid for each, over the samples that score higher.
        pos, neg = np.cumsum(total[:, ::-1], axis=1, dtype=np.float64)
        before = np.concatenate([[0.0], pos[:-1]])
        area = np.sum(np.diff(neg, prepend=0.0) * (before + pos) / 2)
        return float(area / (pos[-1] * neg[-1])) if pos[-1] * neg[-1] else 0.5

    def print_global_auc(self, scope=None, stat_pos="_generated_var_2", stat_neg="_generated_var_3", print_prefix=""):
        """Write `get_global_auc` to stdout, on rank 0 alone; all ranks call it."""
        auc = self.get_global_auc(scope, stat_pos, stat_neg)
        self.rank0_print(f"{print_prefix} global auc = {auc}")
