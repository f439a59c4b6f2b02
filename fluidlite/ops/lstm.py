"""The LSTM over sequences of any lengths, run side by side as in `recurrent`."""

import numpy as np

from .._kernels import reduction as reduction_kernels
from .recurrent import Steps, activate, activate_grad, check_kinds, check_shape, offsets_of
from .registry import Meta, OpDef, Slot, grad_spec, register_op


class _LstmCell:
    """One step of an LSTM, for all sequences that still run.

    Gates are kept as (4, n, D): candidate, input, forget, output. The weight (D, 4D) and the bias have these four
    blocks as columns; with peepholes three vectors (D,) follow in the bias, for input, forget and output.
    """

    def __init__(self, weight, bias, attr):
        self.width = len(weight)
        self.weight = weight
        self.bias = bias[0, : 4 * self.width]
        self.peepholes = bias[0, 4 * self.width :].reshape(3, self.width) if attr["use_peepholes"] else None
        self.kinds = [attr[name] for name in ("candidate_activation", "gate_activation", "cell_activation")]

    def block(self, gate, begin, end):
        """The place of one step in a BatchGate."""
        flat = gate.reshape(-1)[begin * 4 * self.width : end * 4 * self.width]
        return flat.reshape(4, end - begin, self.width)

    def run(self, x, h, c, gates, c_out, activated, h_out):
        """From x (n, 4D) and the states h, c (n, D) before: gates, c_out, activated = act(c_out), h_out."""
        n, (candidate, gate, cell) = len(x), self.kinds
        sums = np.matmul(h, self.weight)
        np.add(sums, x, out=sums)
        np.copyto(gates, sums.reshape(n, 4, self.width).transpose(1, 0, 2))
        if self.peepholes is not None:
            gates[1:3] += c * self.peepholes[:2, None]
        activate(gates[0], candidate)
        activate(gates[1:3], gate)
        np.multiply(gates[0], gates[1], out=c_out)
        np.add(c_out, c * gates[2], out=c_out)
        if self.peepholes is not None:
            gates[3] += c_out * self.peepholes[2]
        activate(gates[3], gate)
        np.copyto(activated, c_out)
        activate(activated, cell)
        np.multiply(gates[3], activated, out=h_out)

    def run_grad(self, h_grad, c_grad, c, gates, activated, gates_grad):
        """gates_grad (4, n, D), of what was activated, from the gradients of both states; returns those before."""
        candidate, gate, cell = self.kinds
        through = h_grad * gates[3]
        activate_grad(activated, through, cell)
        np.multiply(h_grad, activated, out=gates_grad[3])
        activate_grad(gates[3], gates_grad[3], gate)
        np.add(through, c_grad, out=through)
        if self.peepholes is not None:
            through += gates_grad[3] * self.peepholes[2]
        np.multiply(through, gates[1], out=gates_grad[0])
        np.multiply(through, gates[0], out=gates_grad[1])
        np.multiply(through, c, out=gates_grad[2])
        activate_grad(gates[0], gates_grad[0], candidate)
        activate_grad(gates[1:3], gates_grad[1:3], gate)
        c_before = through * gates[2]
        if self.peepholes is not None:
            c_before += gates_grad[1] * self.peepholes[0] + gates_grad[2] * self.peepholes[1]
        joined = gates_grad.transpose(1, 0, 2).reshape(len(c), 4 * self.width)
        return np.matmul(joined, self.weight.T), c_before, joined


_INPUTS = (
    Slot("Input", lod=True, dtypes="float"),
    Slot("H0", optional=True, dtypes="float"),
    Slot("C0", optional=True, dtypes="float"),
    Slot("Weight", dtypes="float"),
    Slot("Bias", dtypes="float"),
)


@register_op
class Lstm(OpDef):
    """A long short-term memory over each sequence of Input, or with `is_reverse` from its last step to its first.

    a = cand(x_a + h W_a + b_a);  i, f = gate(x_i + h W_i + b_i + w_i c), gate(x_f + h W_f + b_f + w_f c);
    c' = i a + f c;  o = gate(x_o + h W_o + b_o + w_o c');  h' = o act(c'). Input: (T, 4D) = x_a | x_i | x_f | x_o, with
    LoD; Weight: (D, 4D) in the same order; Bias: (1, 4D), or with `use_peepholes` (1, 7D), followed by w_i, w_f, w_o,
    which are 0 otherwise. H0, C0: (sequences, D), else 0. Hidden, Cell: (T, D), h' and c' of each row. BatchGate and
    BatchCellPreAct are what the gradient needs, in an order of their own. Source: Fluid's layers.dynamic_lstm;
    Hochreiter and Schmidhuber (1997); Gers and Schmidhuber (2000) for the peepholes.
    """

    type = "lstm"
    inputs = _INPUTS
    outputs = (Slot("Hidden"), Slot("Cell"), Slot("BatchGate"), Slot("BatchCellPreAct"))
    attrs = {
        "use_peepholes": True,
        "is_reverse": False,
        "gate_activation": "sigmoid",
        "cell_activation": "tanh",
        "candidate_activation": "tanh",
    }
    lod_from = "Input"
    lod_to = ("Hidden", "Cell")

    def infer_shape(self, x, h0, c0, weight, bias):
        check_kinds(self, ("gate_activation", "cell_activation", "candidate_activation"))
        width = weight.shape[0]
        check_shape(self, "Weight", weight, (width, 4 * width))
        check_shape(self, "Input", x, (-1, 4 * width))
        check_shape(self, "Bias", bias, (1, (7 if self.attr["use_peepholes"] else 4) * width))
        check_shape(self, "H0", h0, (-1, width))
        check_shape(self, "C0", c0, (-1, width))
        state = Meta((x.shape[0], width), x.dtype)
        return state, state, Meta((x.shape[0], 4 * width), x.dtype), state

    def run(self, x, h0, c0, weight, bias, out, cell_out, gate_out, activated_out):
        steps = Steps(offsets_of(self, x, [("H0", h0), ("C0", c0)]), self.attr["is_reverse"])
        lstm = _LstmCell(weight, bias, self.attr)
        n, width = len(x.value), lstm.width
        packed = steps.pack(x.value)
        np.add(packed, lstm.bias, out=packed)
        hidden, cell = np.empty((n, width), packed.dtype), np.empty((n, width), packed.dtype)
        gate, activated = gate_out((n, 4 * width)), activated_out((n, width))
        h, c = (steps.initial(given, width, packed.dtype) for given in (h0, c0))
        for begin, end in steps.spans:
            span = slice(begin, end)
            gates = lstm.block(gate, begin, end)
            h, c = h[: end - begin], c[: end - begin]
            lstm.run(packed[span], h, c, gates, cell[span], activated[span], hidden[span])
            h, c = hidden[span], cell[span]
        results = out((n, width)), cell_out((n, width))
        steps.unpack(hidden, results[0])
        steps.unpack(cell, results[1])
        return *results, gate, activated

    def make_grad(self, spec):
        return [
            grad_spec(
                spec,
                inputs=("Input", "H0", "C0", "Weight", "Bias"),
                outputs=("Hidden", "Cell", "BatchGate", "BatchCellPreAct"),
                out_grads=("Hidden", "Cell"),
                in_grads=("Bias", "C0", "H0", "Input", "Weight"),
            )
        ]


@register_op
class LstmGrad(OpDef):
    """Gradient of `lstm`, by going back through the steps. (Fluid's leaves out what comes through Cell.)"""

    type = "lstm_grad"
    inputs = (
        *_INPUTS,
        Slot("Hidden", dtypes="float"),
        Slot("Cell", dtypes="float"),
        Slot("BatchGate", dtypes="float"),
        Slot("BatchCellPreAct", dtypes="float"),
        Slot("Hidden@GRAD", dtypes="float"),
        Slot("Cell@GRAD", optional=True, dtypes="float"),
    )
    outputs = (
        Slot("Input@GRAD"),
        Slot("H0@GRAD", optional=True),
        Slot("C0@GRAD", optional=True),
        Slot("Weight@GRAD"),
        Slot("Bias@GRAD"),
    )
    attrs = Lstm.attrs
    differentiable = False

    def infer_shape(self, x, h0, c0, weight, bias, hidden, cell, gate, activated, hidden_grad, cell_grad):
        states = [(0, weight.shape[0]) if state is None else state.shape for state in (h0, c0)]
        return tuple([Meta(shape, x.dtype) for shape in (x.shape, *states, weight.shape, bias.shape)])

    def run(
        self,
        x,
        h0,
        c0,
        weight,
        bias,
        hidden,
        cell,
        gate,
        activated,
        hidden_grad,
        cell_grad,
        x_out,
        h0_out,
        c0_out,
        weight_out,
        bias_out,
    ):
        steps = Steps(offsets_of(self, x), self.attr["is_reverse"])
        lstm = _LstmCell(weight, bias, self.attr)
        n, width = hidden_grad.shape
        dtype = hidden_grad.dtype
        h_first, c_first = (steps.initial(given, width, dtype) for given in (h0, c0))
        cell = steps.pack(cell)
        c_before = steps.before(cell, c_first)
        gate, activated = np.ascontiguousarray(gate), np.ascontiguousarray(activated)
        h_grad = steps.pack(hidden_grad)
        c_grad = np.zeros((n, width), dtype) if cell_grad is None else steps.pack(cell_grad)
        x_grad = np.empty((n, 4 * width), dtype)
        h_back = c_back = np.zeros((0, width), dtype)
        for begin, end in reversed(steps.spans):
            still = slice(begin, begin + len(h_back))
            h_grad[still] += h_back
            c_grad[still] += c_back
            span, block = slice(begin, end), np.empty((4, end - begin, width), dtype)
            h_back, c_back, x_grad[span] = lstm.run_grad(
                h_grad[span], c_grad[span], c_before[span], lstm.block(gate, begin, end), activated[span], block
            )
        results = [None] * 5
        if x_out is not None:
            results[0] = x_out((n, 4 * width))
            steps.unpack(x_grad, results[0])
        for k, (state, state_out, grad) in enumerate(((h0, h0_out, h_back), (c0, c0_out, c_back)), start=1):
            if state_out is not None:
                results[k] = state_out((0, width) if state is None else state.shape)
                if state is not None:
                    steps.unpack_initial(grad, results[k])
        if weight_out is not None:
            h_before = steps.before(steps.pack(hidden), h_first)
            results[3] = np.matmul(h_before.T, x_grad, out=weight_out(weight.shape))
        if bias_out is not None:
            results[4] = self._bias_grad(bias_out(bias.shape), x_grad, c_before, cell)
        return tuple(results)

    def _bias_grad(self, array, x_grad, c_before, cell):
        width = cell.shape[1]
        flat = array.reshape(-1)
        reduction_kernels.sum_columns(x_grad, flat[: 4 * width])
        if self.attr["use_peepholes"]:
            for k, c in ((1, c_before), (2, c_before), (3, cell)):
                place = flat[(k + 3) * width : (k + 4) * width]
                reduction_kernels.sum_columns(x_grad[:, k * width : (k + 1) * width] * c, place)
        return array
