"""Recurrent ops over sequences of any lengths: GRU and LSTM, and one step of a GRU.

Sequences are run side by side, the longest first: at step t the first n_t of them are still running, so the rows of one
step are one matrix and the hidden states of the step before are its first rows. `Steps` says which rows these are; an
array whose rows are in that order is called packed. The order has no influence on any sequence's result.
"""

import numpy as np

from .._kernels import activation as kernels
from .._kernels import reduction as reduction_kernels
from .registry import Meta, OpDef, Slot, grad_spec, register_op

_KINDS = ("identity", "sigmoid", "tanh", "relu")


def activate(array, kind):
    """Apply an activation where `array`, C-contiguous, lies."""
    kernels.activate(array, None, array, kind)


def activate_grad(out, grad, kind):
    """The gradient with respect to what was activated, in place of `grad`."""
    kernels.activate_grad(out, grad, grad, None, kind)


class Steps:
    """Which rows of stacked sequences belong to each time step.

    Attributes:
        order: the sequences, longest first.
        rows: for each place of a packed array, the row of the stacked one.
        spans: (begin, end) of each step in a packed array.
    """

    def __init__(self, offsets, is_reverse):
        lengths = np.diff(offsets)
        self.order = np.argsort(-lengths, kind="stable")
        rank = np.empty(len(lengths), np.int64)
        rank[self.order] = np.arange(len(lengths))
        longest = int(lengths.max(initial=0))
        running = len(lengths) - np.searchsorted(np.sort(lengths), np.arange(longest), side="right")
        begins = np.concatenate(([0], np.cumsum(running)))
        total = int(begins[-1])
        time = np.arange(total) - np.repeat(offsets[:-1], lengths)
        if is_reverse:
            time = np.repeat(lengths, lengths) - 1 - time
        self.rows = np.empty(total, np.int64)
        self.rows[begins[time] + np.repeat(rank, lengths)] = np.arange(total)
        self.spans = list(zip(begins[:-1].tolist(), begins[1:].tolist(), strict=True))

    def pack(self, array):
        """The rows of a stacked array, in order of time."""
        return np.take(array, self.rows, axis=0)

    def unpack(self, packed, array):
        """Write a packed array to its places in a stacked one."""
        array[self.rows] = packed

    def initial(self, given, width, dtype):
        """The states before the first step, longest sequence first; zeros if none are given."""
        n_running = self.spans[0][1] if self.spans else 0
        return np.zeros((n_running, width), dtype) if given is None else given[self.order[:n_running]]

    def unpack_initial(self, packed, array):
        """The gradient of the states given; a sequence without steps does not depend on its own."""
        array.fill(0)
        array[self.order[: len(packed)]] = packed

    def before(self, packed, first):
        """For each packed row the state before it."""
        parts = [first] + [packed[begin : begin + self._next(k)] for k, (begin, _) in enumerate(self.spans[:-1])]
        return np.concatenate(parts) if self.spans else packed

    def _next(self, k):
        begin, end = self.spans[k + 1]
        return end - begin


def offsets_of(op, tensor, states=()):
    """Where the sequences of the input begin and end; checks that initial states, (slot, array or None), fit them."""
    if not tensor.lod_offsets:
        op.fail(
            f"{op.var('Input')} has no LoD: it does not say where its sequences begin.",
            hint="feed a LoDTensor (fluid.create_lod_tensor) into a variable with lod_level=1.",
        )
    offsets = tensor.lod_offsets[-1]
    for slot, state in states:
        if state is not None and len(state) != len(offsets) - 1:
            op.fail(
                f"{op.var(slot)} does not have one row for each sequence of {op.var('Input')}.",
                expected=f"{len(offsets) - 1} rows",
                actual=f"{len(state)} rows",
            )
    return offsets


def check_kinds(op, names):
    """Refuse attributes that name no activation."""
    for name in names:
        if op.attr[name] not in _KINDS:
            op.fail(f"{name} is no activation of a gate.", expected=" or ".join(_KINDS), actual=repr(op.attr[name]))


def check_shape(op, slot, meta, expected):
    """Refuse an input, if given, of another shape; -1 fits anything."""
    if meta is None:
        return
    same_rank = len(meta.shape) == len(expected)
    if not same_rank or any(-1 not in (a, b) and a != b for a, b in zip(meta.shape, expected, strict=True)):
        op.fail(f"{op.var(slot)} has another shape.", expected=str(expected), actual=str(meta.shape))


def _sum_rows(array, out):
    """The sum over all rows, in the memory of an output of shape (1, width)."""
    result = out((1, array.shape[1]))
    reduction_kernels.sum_columns(array, result.reshape(-1))
    return result


# ---------------------------------------------------------------------------------------------------------------- GRU


class _GruCell:
    """One step of a GRU, for all sequences that still run.

    u, r = gate(x_u + h W_u), gate(x_r + h W_r);  c = act(x_c + (r h) W_c);  h' = (1 - u) h + u c, or with origin_mode
    u h + (1 - u) c. The weight's memory is a block (D, 2D) = W_u | W_r, followed by a block (D, D) = W_c.
    """

    def __init__(self, weight, gate, act, origin_mode):
        width = len(weight)
        flat = np.ascontiguousarray(weight).reshape(-1)
        self.width, self.gate, self.act, self.origin = width, gate, act, origin_mode
        self.gate_weight = flat[: 2 * width * width].reshape(width, 2 * width)
        self.act_weight = flat[2 * width * width :].reshape(width, width)

    def run(self, x, h, gates, c, reset, out):
        """From x (n, 3D) and h (n, D): gates (n, 2D), c, reset = r h and out (n, D)."""
        width = self.width
        np.matmul(h, self.gate_weight, out=gates)
        np.add(gates, x[:, : 2 * width], out=gates)
        activate(gates, self.gate)
        np.multiply(gates[:, width:], h, out=reset)
        np.matmul(reset, self.act_weight, out=c)
        np.add(c, x[:, 2 * width :], out=c)
        activate(c, self.act)
        one, other = (h, c) if self.origin else (c, h)
        np.subtract(one, other, out=out)
        np.multiply(out, gates[:, :width], out=out)
        np.add(out, other, out=out)

    def run_grad(self, out_grad, h, gates, c, gates_grad, c_grad):
        """Gradients of what was activated, gates_grad (n, 2D) and c_grad (n, D); returns that of h."""
        width = self.width
        u, r = gates[:, :width], gates[:, width:]
        if self.origin:
            np.multiply(out_grad, h - c, out=gates_grad[:, :width])
            h_grad = out_grad * u
            np.subtract(out_grad, h_grad, out=c_grad)
        else:
            np.multiply(out_grad, c - h, out=gates_grad[:, :width])
            np.multiply(out_grad, u, out=c_grad)
            h_grad = out_grad - c_grad
        activate_grad(c, c_grad, self.act)
        reset_grad = np.matmul(c_grad, self.act_weight.T)
        np.multiply(reset_grad, h, out=gates_grad[:, width:])
        activate_grad(gates, gates_grad, self.gate)
        np.multiply(reset_grad, r, out=reset_grad)
        np.add(h_grad, reset_grad, out=h_grad)
        return np.add(h_grad, np.matmul(gates_grad, self.gate_weight.T), out=h_grad)

    def weight_grad(self, out, h, reset, gates_grad, c_grad):
        """The gradient of the weight, from all rows of all steps."""
        array = out((self.width, 3 * self.width))
        flat, split = array.reshape(-1), self.gate_weight.size
        np.matmul(h.T, gates_grad, out=flat[:split].reshape(self.gate_weight.shape))
        np.matmul(reset.T, c_grad, out=flat[split:].reshape(self.act_weight.shape))
        return array


def _gru_blocks(gate, begin, end, width):
    """The place of one step in a BatchGate, which keeps gates (n, 2D) and candidates (n, D) one after the other."""
    flat, n = gate.reshape(-1), end - begin
    start = begin * 3 * width
    middle, stop = start + n * 2 * width, start + n * 3 * width
    return flat[start:middle].reshape(n, 2 * width), flat[middle:stop].reshape(n, width)


_GRU_INPUTS = (
    Slot("Input", lod=True, dtypes="float"),
    Slot("H0", optional=True, dtypes="float"),
    Slot("Weight", dtypes="float"),
    Slot("Bias", optional=True, dtypes="float"),
)


@register_op
class Gru(OpDef):
    """A gated recurrent unit over each sequence of Input, from its first step on, or with `is_reverse` from its last.

    u, r = gate(x_u + h W_u + b_u), gate(x_r + h W_r + b_r);  c = act(x_c + (r h) W_c + b_c);  h' = (1 - u) h + u c, or
    with `origin_mode` u h + (1 - u) c. Input: (T, 3D) = x_u | x_r | x_c, with LoD; Bias: (1, 3D); H0: (sequences, D),
    else 0; Weight: (D, 3D), whose memory is a block (D, 2D) = W_u | W_r, followed by a block (D, D) = W_c. Hidden:
    (T, D), the h' of each row. BatchGate, BatchResetHiddenPrev and BatchHidden are what the gradient needs, in an order
    of their own. Source: Fluid's layers.dynamic_gru; Cho et al., arXiv:1406.1078 (origin_mode), Chung et al.,
    arXiv:1412.3555.
    """

    type = "gru"
    inputs = _GRU_INPUTS
    outputs = (Slot("Hidden"), Slot("BatchGate"), Slot("BatchResetHiddenPrev"), Slot("BatchHidden"))
    attrs = {"activation": "tanh", "gate_activation": "sigmoid", "is_reverse": False, "origin_mode": False}
    lod_from = "Input"
    lod_to = ("Hidden",)

    def infer_shape(self, x, h0, weight, bias):
        check_kinds(self, ("activation", "gate_activation"))
        width = weight.shape[0]
        check_shape(self, "Weight", weight, (width, 3 * width))
        check_shape(self, "Input", x, (-1, 3 * width))
        check_shape(self, "Bias", bias, (1, 3 * width))
        check_shape(self, "H0", h0, (-1, width))
        n, dtype = x.shape[0], x.dtype
        return Meta((n, width), dtype), Meta((n, 3 * width), dtype), Meta((n, width), dtype), Meta((n, width), dtype)

    def run(self, x, h0, weight, bias, out, gate_out, reset_out, batch_out):
        steps = Steps(offsets_of(self, x, [("H0", h0)]), self.attr["is_reverse"])
        cell = _GruCell(weight, self.attr["gate_activation"], self.attr["activation"], self.attr["origin_mode"])
        n, width = len(x.value), cell.width
        packed = steps.pack(x.value)
        if bias is not None:
            np.add(packed, bias, out=packed)
        gate, reset, hidden = gate_out((n, 3 * width)), reset_out((n, width)), batch_out((n, width))
        h = steps.initial(h0, width, packed.dtype)
        for begin, end in steps.spans:
            gates, c = _gru_blocks(gate, begin, end, width)
            cell.run(packed[begin:end], h[: end - begin], gates, c, reset[begin:end], hidden[begin:end])
            h = hidden[begin:end]
        result = out((n, width))
        steps.unpack(hidden, result)
        return result, gate, reset, hidden

    def make_grad(self, spec):
        return [
            grad_spec(
                spec,
                inputs=("Input", "H0", "Weight", "Bias"),
                outputs=("BatchGate", "BatchResetHiddenPrev", "BatchHidden", "Hidden"),
                out_grads=("Hidden",),
                in_grads=("Bias", "H0", "Input", "Weight"),
            )
        ]


@register_op
class GruGrad(OpDef):
    """Gradient of `gru`, by going back through the steps (Werbos, 1990)."""

    type = "gru_grad"
    inputs = (
        *_GRU_INPUTS,
        Slot("BatchGate", dtypes="float"),
        Slot("BatchResetHiddenPrev", dtypes="float"),
        Slot("BatchHidden", dtypes="float"),
        Slot("Hidden", dtypes="float"),
        Slot("Hidden@GRAD", dtypes="float"),
    )
    outputs = (
        Slot("Input@GRAD"),
        Slot("H0@GRAD", optional=True),
        Slot("Weight@GRAD"),
        Slot("Bias@GRAD", optional=True),
    )
    attrs = Gru.attrs
    differentiable = False

    def infer_shape(self, x, h0, weight, bias, gate, reset, batch, hidden, out_grad):
        width, dtype = weight.shape[0], x.dtype
        h0_shape = (0, width) if h0 is None else h0.shape
        return tuple([Meta(s, dtype) for s in (x.shape, h0_shape, weight.shape, (1, 3 * width))])

    def run(self, x, h0, weight, bias, gate, reset, batch, hidden, out_grad, x_out, h0_out, weight_out, bias_out):
        steps = Steps(offsets_of(self, x), self.attr["is_reverse"])
        cell = _GruCell(weight, self.attr["gate_activation"], self.attr["activation"], self.attr["origin_mode"])
        n, width = out_grad.shape
        gate, grad = np.ascontiguousarray(gate), steps.pack(out_grad)
        first = steps.initial(h0, width, grad.dtype)
        before = steps.before(batch, first)
        gates_grad, c_grad = np.empty((n, 2 * width), grad.dtype), np.empty((n, width), grad.dtype)
        h_grad = np.zeros((0, width), grad.dtype)
        for begin, end in reversed(steps.spans):
            grad[begin : begin + len(h_grad)] += h_grad
            h_grad = cell.run_grad(
                grad[begin:end],
                before[begin:end],
                *_gru_blocks(gate, begin, end, width),
                gates_grad[begin:end],
                c_grad[begin:end],
            )
        x_grad = h0_grad = weight_grad = bias_grad = None
        if weight_out is not None:
            weight_grad = cell.weight_grad(weight_out, before, reset, gates_grad, c_grad)
        packed = np.concatenate((gates_grad, c_grad), axis=1)
        if bias_out is not None:
            bias_grad = _sum_rows(packed, bias_out)
        if x_out is not None:
            x_grad = x_out((n, 3 * width))
            steps.unpack(packed, x_grad)
        if h0_out is not None:
            h0_grad = h0_out((0, width) if h0 is None else h0.shape)
            if h0 is not None:
                steps.unpack_initial(h_grad, h0_grad)
        return x_grad, h0_grad, weight_grad, bias_grad


_UNIT_INPUTS = (
    Slot("Input", dtypes="float"),
    Slot("HiddenPrev", dtypes="float"),
    Slot("Weight", dtypes="float"),
    Slot("Bias", optional=True, dtypes="float"),
)


@register_op
class GruUnit(OpDef):
    """One step of a GRU for N sequences; the formula is that of `gru`.

    Input: (N, 3D); HiddenPrev: (N, D); Weight: (D, 3D), laid out as for `gru`; Bias: (1, 3D). Gate: (N, 3D) =
    u | r | c; ResetHiddenPrev: (N, D) = r h; Hidden: (N, D). The activations are 0 identity, 1 sigmoid, 2 tanh, 3 relu.
    LoD is dropped. Source: Fluid's layers.gru_unit.
    """

    type = "gru_unit"
    inputs = _UNIT_INPUTS
    outputs = (Slot("Gate"), Slot("ResetHiddenPrev"), Slot("Hidden"))
    attrs = {"activation": 2, "gate_activation": 1, "origin_mode": False}

    def infer_shape(self, x, h, weight, bias):
        for name in ("activation", "gate_activation"):
            if self.attr[name] not in range(4):
                self.fail(f"{name} is no activation of a gate.", expected="0 to 3", actual=repr(self.attr[name]))
        width = weight.shape[0]
        check_shape(self, "Weight", weight, (width, 3 * width))
        check_shape(self, "Input", x, (-1, 3 * width))
        check_shape(self, "HiddenPrev", h, (x.shape[0], width))
        check_shape(self, "Bias", bias, (1, 3 * width))
        n, dtype = x.shape[0], x.dtype
        return Meta((n, 3 * width), dtype), Meta((n, width), dtype), Meta((n, width), dtype)

    def run(self, x, h, weight, bias, gate_out, reset_out, out):
        cell = _unit_cell(self.attr, weight)
        n, width = h.shape
        gates, c = np.empty((n, 2 * width), x.dtype), np.empty((n, width), x.dtype)
        gate, reset, hidden = gate_out((n, 3 * width)), reset_out((n, width)), out((n, width))
        cell.run(x if bias is None else x + bias, h, gates, c, reset, hidden)
        gate[:, : 2 * width], gate[:, 2 * width :] = gates, c
        return gate, reset, hidden

    def make_grad(self, spec):
        return [
            grad_spec(
                spec,
                inputs=("Input", "HiddenPrev", "Weight", "Bias"),
                outputs=("Gate", "ResetHiddenPrev"),
                out_grads=("Hidden",),
                in_grads=("Bias", "HiddenPrev", "Input", "Weight"),
            )
        ]


def _unit_cell(attr, weight):
    return _GruCell(weight, _KINDS[attr["gate_activation"]], _KINDS[attr["activation"]], attr["origin_mode"])


@register_op
class GruUnitGrad(OpDef):
    """Gradient of `gru_unit`, of its Hidden alone, as in Fluid."""

    type = "gru_unit_grad"
    inputs = (
        *_UNIT_INPUTS,
        Slot("Gate", dtypes="float"),
        Slot("ResetHiddenPrev", dtypes="float"),
        Slot("Hidden@GRAD", dtypes="float"),
    )
    outputs = (
        Slot("Input@GRAD"),
        Slot("HiddenPrev@GRAD"),
        Slot("Weight@GRAD"),
        Slot("Bias@GRAD", optional=True),
    )
    attrs = GruUnit.attrs
    differentiable = False

    def infer_shape(self, x, h, weight, bias, gate, reset, out_grad):
        return tuple([Meta(s, x.dtype) for s in (x.shape, h.shape, weight.shape, (1, x.shape[1]))])

    def run(self, x, h, weight, bias, gate, reset, out_grad, x_out, h_out, weight_out, bias_out):
        cell = _unit_cell(self.attr, weight)
        n, width = h.shape
        gates, c = (np.ascontiguousarray(part) for part in (gate[:, : 2 * width], gate[:, 2 * width :]))
        gates_grad, c_grad = np.empty_like(gates), np.empty_like(c)
        h_sum = cell.run_grad(out_grad, h, gates, c, gates_grad, c_grad)
        x_grad = h_grad = weight_grad = bias_grad = None
        if weight_out is not None:
            weight_grad = cell.weight_grad(weight_out, h, reset, gates_grad, c_grad)
        joined = np.concatenate((gates_grad, c_grad), axis=1)
        if bias_out is not None:
            bias_grad = _sum_rows(joined, bias_out)
        if x_out is not None:
            x_grad = x_out(joined.shape)
            x_grad[...] = joined
        if h_out is not None:
            h_grad = h_out(h.shape)
            h_grad[...] = h_sum
        return x_grad, h_grad, weight_grad, bias_grad
