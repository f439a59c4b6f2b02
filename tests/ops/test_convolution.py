"""The convolution and pooling ops, on the grid."""

from .checks import OpGrid


class TestConvolution(OpGrid):
    family = "convolution"
