"""The recurrent ops, on the grid."""

from .checks import OpGrid


class TestRecurrent(OpGrid):
    family = "recurrent"
