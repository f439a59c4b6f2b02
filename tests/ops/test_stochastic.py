"""The stochastic ops, on the grid."""

from .checks import OpGrid


class TestStochastic(OpGrid):
    family = "stochastic"
