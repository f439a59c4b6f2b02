"""The error function and gelu, on the grid."""

from .checks import OpGrid


class TestGaussian(OpGrid):
    family = "gaussian"
