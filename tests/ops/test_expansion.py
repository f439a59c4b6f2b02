"""The ops that repeat and pad, on the grid."""

from .checks import OpGrid


class TestExpansion(OpGrid):
    family = "expansion"
