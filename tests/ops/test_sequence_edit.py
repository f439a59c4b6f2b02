"""The sequence ops that edit, on the grid."""

from .checks import OpGrid


class TestSequenceEdit(OpGrid):
    family = "sequence_edit"
