"""Rounding and reciprocals, on the grid."""

from .checks import OpGrid


class TestRounding(OpGrid):
    family = "rounding"
