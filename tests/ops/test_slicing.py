"""The slicing ops, on the grid."""

from .checks import OpGrid


class TestSlicing(OpGrid):
    family = "slicing"
