"""The normalization ops, on the grid."""

from .checks import OpGrid


class TestNormalization(OpGrid):
    family = "normalization"
