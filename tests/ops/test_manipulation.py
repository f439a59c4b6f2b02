"""The manipulation ops, on the grid."""

from .checks import OpGrid


class TestManipulation(OpGrid):
    family = "manipulation"
