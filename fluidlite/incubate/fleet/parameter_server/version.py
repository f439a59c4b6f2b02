"""Which of Fluid's two builds this is: the one that needs no PSLib."""

from ..base.mode import Mode

BUILD_MODE = Mode.TRANSPILER


def is_transpiler():
    """True: the fleet of distribute_transpiler is there. So is that of pslib."""
    return BUILD_MODE == Mode.TRANSPILER
