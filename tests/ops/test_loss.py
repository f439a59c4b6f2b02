"""The loss ops, on the grid."""

from .checks import OpGrid


class TestLoss(OpGrid):
    family = "loss"
