"""The sequence ops that move rows, on the grid."""

from .checks import OpGrid


class TestSequenceLayout(OpGrid):
    family = "sequence_layout"
