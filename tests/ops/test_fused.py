"""The ops that only plans contain, on the grid."""

from .checks import OpGrid


class TestFused(OpGrid):
    family = "fused"
