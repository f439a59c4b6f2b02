"""GRU, step by step too, and LSTM over sequences: options, initial states, empty sequences and gradients."""

import numpy

from .case import Input, op_case

_LENS = [[3, 0, 1, 4]]
_X = Input(8, 6, lens=_LENS)
_H0 = Input(4, 2)


def gru_case(suffix, x=_X, h_0=None, **options):
    inputs = {"x": x} if h_0 is None else {"x": x, "h_0": h_0}
    return op_case(
        "dynamic_gru_" + suffix,
        lambda fluid, x, h_0=None: fluid.layers.dynamic_gru(x, 2, h_0=h_0, **options),
        shapes=[(x.shape[0], 2)],
        **inputs,
    )


gru_case("default")
gru_case("full", Input(6, 6, lens=[[3, 1, 2]]))
gru_case("h_0", h_0=_H0)
op_case("dynamic_gru_numpy_size", lambda fluid, x: fluid.layers.dynamic_gru(x, numpy.int64(2)), x=_X)
gru_case("reverse", h_0=_H0, is_reverse=True)
gru_case("origin", h_0=_H0, origin_mode=True)
gru_case("origin_reverse", origin_mode=True, is_reverse=True)
gru_case("activations", gate_activation="tanh", candidate_activation="identity")
gru_case("relu", gate_activation="sigmoid", candidate_activation="relu")
gru_case("one", Input(3, 6, lens=[[3]]))
gru_case("float64", Input(8, 6, lens=_LENS, dtype="float64"))


def gru_unit_case(suffix, lens=None, **options):
    return op_case(
        "gru_unit_" + suffix,
        lambda fluid, x, h: fluid.layers.gru_unit(x, h, 6, **options)[0],
        fetch=["gru_unit_0.tmp_0", "gru_unit_0.tmp_1"],
        x=Input(5, 6, lens=lens),
        h=Input(5, 2, lens=lens),
    )


gru_unit_case("default")
gru_unit_case("origin", origin_mode=True)
gru_unit_case("no_bias", bias_attr=False)
gru_unit_case("lod", lens=[[2, 0, 3]])


_LSTM_X = Input(8, 8, lens=_LENS)


def lstm_case(suffix, x=_LSTM_X, h_0=None, c_0=None, **options):
    """The gradient of Hidden alone: Fluid's leaves out what comes through Cell."""
    inputs = {"x": x} if h_0 is None else {"x": x, "h_0": h_0, "c_0": c_0}
    return op_case(
        "dynamic_lstm_" + suffix,
        lambda fluid, x, h_0=None, c_0=None: fluid.layers.dynamic_lstm(x, 8, h_0=h_0, c_0=c_0, **options)[0],
        shapes=[(x.shape[0], 2)],
        fetch=["lstm_0.tmp_1"],
        **inputs,
    )


lstm_case("default")
# With initial states and a sequence without steps, Fluid's gradients of both states and of the weight are wrong.
_FULL, _STATES = Input(8, 8, lens=[[3, 1, 4]]), {"h_0": Input(3, 2), "c_0": Input(3, 2)}
lstm_case("states", _FULL, **_STATES)
lstm_case("no_peepholes", _FULL, use_peepholes=False, **_STATES)
lstm_case("states_reverse", _FULL, is_reverse=True, **_STATES)
lstm_case("reverse", is_reverse=True)
lstm_case("activations", gate_activation="tanh", cell_activation="sigmoid", candidate_activation="identity")
lstm_case("one", Input(3, 8, lens=[[3]]))
lstm_case("float64", Input(8, 8, lens=_LENS, dtype="float64"), dtype="float64")
