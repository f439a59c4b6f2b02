"""The activations in pieces, on the grid."""

from .checks import OpGrid


class TestRectifiers(OpGrid):
    family = "rectifiers"
