"""Recurrent layers, over sequences (Variables with LoD) or step by step."""

from numbers import Integral

from ..errors import InvalidArgumentError, here
from ..layer_helper import LayerHelper, check_variable
from .nn import _FLOATS

_KINDS = {"identity": 0, "sigmoid": 1, "tanh": 2, "relu": 3}


def _check_width(layer, input, width):
    if not isinstance(width, Integral) or width <= 0 or len(input.shape) != 2 or input.shape[1] not in (-1, width):
        raise InvalidArgumentError(
            f"The width of the input {input.name!r} of {layer} does not fit its size.",
            expected=f"(T, {width})",
            actual=str(input.shape),
            where=here(),
            hint="project it first, with layers.fc.",
        )


def dynamic_gru(
    input,
    size,
    param_attr=None,
    bias_attr=None,
    is_reverse=False,
    gate_activation="sigmoid",
    candidate_activation="tanh",
    h_0=None,
    origin_mode=False,
):
    """A gated recurrent unit over each sequence: the hidden state after every step, (T, size), with the input's LoD.

    u, r = gate(x_u + h W_u + b_u), gate(x_r + h W_r + b_r); c = candidate(x_c + (r h) W_c + b_c);
    h = (1 - u) h + u c, or with `origin_mode` u h + (1 - u) c.

    Args:
        input: float (T, 3 size) = x_u | x_r | x_c, with LoD; usually made by ``fc(x, 3 * size)``.
        size: width D of the hidden state.
        param_attr: of the weight, shape (D, 3D); its memory is a block (D, 2D) = W_u | W_r, followed by a block
            (D, D) = W_c.
        bias_attr: of the bias (1, 3D), default 0.
        is_reverse: run each sequence from its last step to its first.
        gate_activation, candidate_activation: 'sigmoid', 'tanh', 'relu' or 'identity'.
        h_0: the states before the first steps, (sequences, D); default 0.

    >>> import fluidlite as fluid
    >>> x = fluid.data('x', [None, 21], lod_level=1)
    >>> hidden = dynamic_gru(x, 7)
    >>> hidden.shape, hidden.lod_level
    ((-1, 7), 1)
    """
    helper = LayerHelper("gru", param_attr=param_attr, bias_attr=bias_attr)
    check_variable(input, "input", "dynamic_gru", _FLOATS)
    _check_width("dynamic_gru", input, 3 * size)
    dtype = input.dtype
    inputs = {
        "Input": input,
        "Weight": helper.create_parameter(helper.param_attr, [size, 3 * size], dtype),
        "Bias": helper.create_parameter(helper.bias_attr, [1, 3 * size], dtype, is_bias=True),
    }
    if h_0 is not None:
        check_variable(h_0, "h_0", "dynamic_gru", _FLOATS)
        inputs["H0"] = h_0
    slots = ("Hidden", "BatchGate", "BatchResetHiddenPrev", "BatchHidden")
    outputs = {slot: helper.create_variable_for_type_inference(dtype) for slot in slots}
    attrs = {
        "is_reverse": bool(is_reverse),
        "gate_activation": gate_activation,
        "activation": candidate_activation,
        "origin_mode": bool(origin_mode),
    }
    helper.append_op("gru", inputs, outputs, attrs)
    return outputs["Hidden"]


def gru_unit(
    input,
    hidden,
    size,
    param_attr=None,
    bias_attr=None,
    activation="tanh",
    gate_activation="sigmoid",
    origin_mode=False,
):
    """One step of a GRU for N sequences; the formula is that of `dynamic_gru`.

    Args:
        input: float (N, 3D). hidden: the states before, (N, D).
        size: 3D, as Fluid counts here.
        param_attr, bias_attr: as in `dynamic_gru`; bias_attr=False for none.
        activation, gate_activation: 'sigmoid', 'tanh', 'relu' or 'identity'.

    Differs from Fluid: the activations are those given, where Fluid computes tanh and sigmoid always.

    Returns:
        (hidden, reset_hidden_prev, gate): (N, D), r h (N, D), and u | r | c (N, 3D).

    >>> import fluidlite as fluid
    >>> new, reset, gate = gru_unit(fluid.data('x', [None, 21]), fluid.data('h', [None, 7]), 21)
    >>> new.shape, gate.shape
    ((-1, 7), (-1, 21))
    """
    check_variable(input, "input", "gru_unit", _FLOATS)
    check_variable(hidden, "hidden", "gru_unit", _FLOATS)
    for kind in (activation, gate_activation):
        if kind not in _KINDS:
            raise InvalidArgumentError(
                "gru_unit has no such activation.", expected=" or ".join(_KINDS), actual=repr(kind), where=here()
            )
    _check_width("gru_unit", input, size)
    helper = LayerHelper("gru_unit", param_attr=param_attr, bias_attr=bias_attr)
    dtype, width = input.dtype, size // 3
    inputs = {
        "Input": input,
        "HiddenPrev": hidden,
        "Weight": helper.create_parameter(helper.param_attr, [width, 3 * width], dtype),
    }
    outputs = {slot: helper.create_variable_for_type_inference(dtype) for slot in ("Gate", "ResetHiddenPrev", "Hidden")}
    if helper.bias_attr is not False:
        inputs["Bias"] = helper.create_parameter(helper.bias_attr, [1, 3 * width], dtype, is_bias=True)
    attrs = {
        "activation": _KINDS[activation],
        "gate_activation": _KINDS[gate_activation],
        "origin_mode": bool(origin_mode),
    }
    helper.append_op("gru_unit", inputs, outputs, attrs)
    return outputs["Hidden"], outputs["ResetHiddenPrev"], outputs["Gate"]


def dynamic_lstm(
    input,
    size,
    h_0=None,
    c_0=None,
    param_attr=None,
    bias_attr=None,
    use_peepholes=True,
    is_reverse=False,
    gate_activation="sigmoid",
    cell_activation="tanh",
    candidate_activation="tanh",
    dtype="float32",
    name=None,
):
    """A long short-term memory over each sequence: (hidden, cell) after every step, (T, D) each, with the input's LoD.

    a = candidate(x_a + h W_a + b_a); i, f = gate(x_i + h W_i + b_i + w_i c), gate(x_f + h W_f + b_f + w_f c);
    c' = i a + f c; o = gate(x_o + h W_o + b_o + w_o c'); h' = o cell_act(c').

    Args:
        input: float (T, 4D) = x_a | x_i | x_f | x_o, with LoD; usually made by ``fc(x, 4 * D)``.
        size: 4D, as Fluid counts here.
        h_0, c_0: the states before the first steps, (sequences, D) each; both or none.
        param_attr: of the weight (D, 4D), columns in the order of the input.
        bias_attr: of the bias (1, 4D), or (1, 7D) with `use_peepholes`, where w_i, w_f and w_o follow; default 0.
        is_reverse: run each sequence from its last step to its first.
        gate_activation, cell_activation, candidate_activation: 'sigmoid', 'tanh', 'relu' or 'identity'.
        dtype: of the parameters, that of the input.

    Differs from Fluid: the gradient holds what comes through the cell, which Fluid leaves out, and is right for initial
    states where a sequence has no steps.

    >>> import fluidlite as fluid
    >>> hidden, cell = dynamic_lstm(fluid.data('x', [None, 28], lod_level=1), 28, use_peepholes=False)
    >>> hidden.shape, cell.lod_level
    ((-1, 7), 1)
    """
    check_variable(input, "input", "dynamic_lstm", _FLOATS)
    _check_width("dynamic_lstm", input, size)
    if bias_attr is False or (h_0 is None) != (c_0 is None):
        what = "bias_attr is False" if bias_attr is False else "only one of h_0 and c_0 is given"
        raise InvalidArgumentError(f"dynamic_lstm needs its bias, and both states or none: {what}.", where=here())
    helper = LayerHelper("lstm", name=name, param_attr=param_attr, bias_attr=bias_attr)
    width = size // 4
    inputs = {"Input": input}
    for slot, state in (("H0", h_0), ("C0", c_0)):
        if state is not None:
            check_variable(state, slot, "dynamic_lstm", _FLOATS)
            inputs[slot] = state
    inputs["Weight"] = helper.create_parameter(helper.param_attr, [width, 4 * width], dtype)
    shape = [1, (7 if use_peepholes else 4) * width]
    inputs["Bias"] = helper.create_parameter(helper.bias_attr, shape, dtype, is_bias=True)
    slots = ("Hidden", "Cell", "BatchGate", "BatchCellPreAct")
    outputs = {slot: helper.create_variable_for_type_inference(dtype) for slot in slots}
    attrs = {
        "use_peepholes": bool(use_peepholes),
        "is_reverse": bool(is_reverse),
        "gate_activation": gate_activation,
        "cell_activation": cell_activation,
        "candidate_activation": candidate_activation,
    }
    helper.append_op("lstm", inputs, outputs, attrs)
    return outputs["Hidden"], outputs["Cell"]
