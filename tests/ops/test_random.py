"""The random ops, on the grid."""

from .checks import OpGrid


class TestRandom(OpGrid):
    family = "random"
