"""The optimizer ops, on the grid."""

from .checks import OpGrid


class TestOptimizer(OpGrid):
    family = "optimizer"
