"""The op of Fluid's server programs, so that such a program can be made, shown, and refused when it is run."""

from ..errors import UnavailableError
from .registry import Meta, OpDef, Slot, register_op


@register_op
class ListenAndServ(OpDef):
    """What a parameter server ran. Running it is an error: every rank trains, and none is a server.

    X: not used. Out: nothing; never given. endpoint: the address of the server. Source: Fluid's
    DistributeTranspiler.get_pserver_program.
    """

    type = "listen_and_serv"
    inputs = (Slot("X", many=True, optional=True),)
    outputs = (Slot("Out", optional=True),)
    attrs = {"endpoint": ""}
    differentiable = False
    side_effect = True
    warns = False

    def infer_shape(self, x):
        return Meta(None, None)

    def run(self, x, out):
        self.fail(
            f"no rank is a server, at {self.attr['endpoint']} or elsewhere: every rank trains, and owns a share of "
            "the rows.",
            expected="the program of DistributeTranspiler.get_trainer_program(), run on every rank",
            hint="start one job, `mpiexec -n N python train.py`, without TRAINING_ROLE=PSERVER or the like.",
            error=UnavailableError,
        )
