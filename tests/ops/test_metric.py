"""The metric ops, on the grid."""

from .checks import OpGrid


class TestMetric(OpGrid):
    family = "metric"
