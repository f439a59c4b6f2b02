"""The LSTM, on the grid."""

from .checks import OpGrid


class TestLstm(OpGrid):
    family = "lstm"
