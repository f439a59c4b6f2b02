"""The creation ops, on the grid."""

from .checks import OpGrid


class TestCreation(OpGrid):
    family = "creation"
