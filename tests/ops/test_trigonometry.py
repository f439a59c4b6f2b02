"""The trigonometric functions, on the grid."""

from .checks import OpGrid


class TestTrigonometry(OpGrid):
    family = "trigonometry"
