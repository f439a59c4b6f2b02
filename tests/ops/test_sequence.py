"""The sequence ops that compute, on the grid."""

from .checks import OpGrid


class TestSequence(OpGrid):
    family = "sequence"
