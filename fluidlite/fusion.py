"""Which ops of a plan are computed together: each pattern that is found becomes one op of `ops/fused.py`.

A variable between two ops may vanish when nobody else reads, fetches or keeps it. What is computed stays the same, bit
for bit, but for sums that are taken in another order (see `fused_sum_of_squares`).
"""

import os
from collections import defaultdict

from .ops.registry import EMPTY, GRAD_SUFFIX

_KINDS = {"sigmoid", "tanh", "relu", "exp"}


def fuse(block, ops, fetches):
    """The ops with patterns replaced. FLUIDLITE_NO_FUSE=1 in the environment leaves them as they are."""
    if os.environ.get("FLUIDLITE_NO_FUSE", "0") not in ("", "0"):
        return ops
    graph = _Graph(block, ops, fetches)
    for pattern in (_cross_entropy_grads, _bias_grads, _bias_softmax_cross_entropy, _biases, _sums_of_squares):
        pattern(graph)
    return graph.result()


class _Graph:
    """The ops of a plan, and who writes and reads each variable."""

    def __init__(self, block, ops, fetches):
        self.block, self.fetches = block, fetches
        self.ops = list(ops)
        self.index()

    def index(self):
        self.readers, self.writers = defaultdict(list), defaultdict(list)
        for k, op in enumerate(self.ops):
            for name in set(op.input_arg_names):
                self.readers[name].append(k)
            for name in op.output_arg_names:
                self.writers[name].append(k)

    def result(self):
        return self.ops

    def each(self, *types):
        """(position, op) of all ops of these types, as they stand when they are reached."""
        for op in [op for op in self.ops if op.type in types]:
            if op in self.ops:
                yield self.ops.index(op), op

    def shape(self, name):
        return self.block._find_var_recursive(name).shape

    def is_between(self, name, *readers):
        """Whether a variable is written once, read by these ops only, and of no interest to anybody else."""
        return (
            name not in self.fetches
            and not self.block._find_var_recursive(name).persistable
            and len(self.writers[name]) == 1
            and set(self.readers[name]) <= set(readers)
        )

    def writer(self, name, *types):
        """(position, op) of the only writer of a variable if it is of one of these types, else (None, None)."""
        found = self.writers[name]
        if len(found) == 1 and self.ops[found[0]].type in types:
            return found[0], self.ops[found[0]]
        return None, None

    def reader(self, name, *types):
        """(position, op) of the first reader of one of these types, else (None, None)."""
        for k in self.readers[name]:
            if self.ops[k].type in types:
                return k, self.ops[k]
        return None, None

    def replace(self, positions, type, inputs, outputs, attrs):
        """One op in the place of the last of several, made from the first."""
        new = self.ops[positions[0]].replaced(type, inputs, outputs, attrs)
        gone = set(positions[:-1])
        self.ops[positions[-1]] = new
        self.ops = [op for k, op in enumerate(self.ops) if k not in gone]
        self.index()


def _is_bias_add(graph, op):
    """Whether an addition (or its gradient) adds a vector to the last dimension of something wider."""
    x, y = graph.shape(op.input("X")[0]), graph.shape(op.input("Y")[0])
    return len(x) > 1 and len(y) == 1 and y[0] == x[-1] > 0 and op.attrs["axis"] in (-1, len(x) - 1)


def _bias_grad_after(graph, grad, *readers):
    """(position, op) of the gradient of a bias addition that alone reads `grad`, beside `readers`."""
    at, add = graph.reader(grad, "elementwise_add_grad")
    if add is None or not _is_bias_add(graph, add) or add.input("Out" + GRAD_SUFFIX) != [grad]:
        return None, None
    return (at, add) if graph.is_between(grad, at, *readers) else (None, None)


def _add_outputs(add):
    outputs = {"X@GRAD": add.output("X@GRAD"), "Bias@GRAD": add.output("Y@GRAD")}
    return {slot: names for slot, names in outputs.items() if names and names != [EMPTY]}


def _cross_entropy_grads(graph):
    """cross_entropy_grad2 + softmax_grad -> one pass that needs neither the gradient nor the inverse of softmax."""
    for at, op in graph.each("cross_entropy_grad2"):
        (inner,) = op.output("X@GRAD")
        next_at, softmax_grad = graph.reader(inner, "softmax_grad")
        _, forward = graph.writer(op.input("MatchX")[0], "cross_entropy2")
        if softmax_grad is None or forward is None or not graph.is_between(inner, next_at):
            continue
        (softmax,) = softmax_grad.input("Out")
        last = len(graph.shape(softmax)) - 1
        same = forward.input("X") == [softmax] and forward.input("Label") == op.input("Label")
        if same and softmax_grad.attrs["axis"] in (-1, last):
            inputs = {"Softmax": [softmax], "Label": op.input("Label"), "Loss@GRAD": op.input("Y@GRAD")}
            outputs = {"X@GRAD": softmax_grad.output("X@GRAD")}
            attrs = {"ignore_index": op.attrs["ignore_index"]}
            graph.replace([at, next_at], "fused_softmax_cross_entropy_grad", inputs, outputs, attrs)


def _bias_grads(graph):
    """The gradient of an activation or a cross entropy, and of the bias that was added before it."""
    for at, op in graph.each("fused_softmax_cross_entropy_grad", "softmax_with_cross_entropy_grad"):
        fused = op.type.startswith("fused")
        if not fused and not _is_plain_cross_entropy(graph, op, op.input("Softmax")[0]):
            continue
        slot = "X@GRAD" if fused else "Logits@GRAD"
        add_at, add = _bias_grad_after(graph, op.output(slot)[0])
        if add is not None:
            inputs = {s: op.input(s) for s in ("Softmax", "Label", "Loss@GRAD")}
            attrs = {"ignore_index": op.attrs["ignore_index"]}
            graph.replace([at, add_at], "fused_softmax_cross_entropy_grad", inputs, _add_outputs(add), attrs)
    for at, op in graph.each(*(kind + "_grad" for kind in _KINDS)):
        add_at, add = _bias_grad_after(graph, op.output("X@GRAD")[0])
        if add is not None:
            inputs = {"Out": op.input("Out"), "Out@GRAD": op.input("Out@GRAD")}
            attrs = {"kind": op.type.removesuffix("_grad")}
            graph.replace([at, add_at], "fused_bias_activation_grad", inputs, _add_outputs(add), attrs)


def _is_plain_cross_entropy(graph, op, scores):
    """Hard labels along the last dimension."""
    last = len(graph.shape(scores)) - 1
    return not op.attrs["soft_label"] and op.attrs["axis"] in (-1, last)


def _bias_softmax_cross_entropy(graph):
    """elementwise_add of a bias + softmax_with_cross_entropy."""
    for at, op in graph.each("softmax_with_cross_entropy"):
        (scores,) = op.input("Logits")
        add_at, add = graph.writer(scores, "elementwise_add")
        if add is None or not _is_bias_add(graph, add) or not graph.is_between(scores, at):
            continue
        if _is_plain_cross_entropy(graph, op, scores):
            inputs = {"X": add.input("X"), "Bias": add.input("Y"), "Label": op.input("Label")}
            outputs = {"Softmax": op.output("Softmax"), "Loss": op.output("Loss")}
            attrs = {"ignore_index": op.attrs["ignore_index"]}
            graph.replace([add_at, at], "fused_bias_softmax_cross_entropy", inputs, outputs, attrs)


def _biases(graph):
    """elementwise_add of a bias + activation."""
    for at, op in graph.each("softmax", *_KINDS):
        (x,) = op.input("X")
        add_at, add = graph.writer(x, "elementwise_add")
        if add is None or not _is_bias_add(graph, add) or not graph.is_between(x, at):
            continue
        if op.type != "softmax" or op.attrs["axis"] in (-1, len(graph.shape(x)) - 1):
            inputs = {"X": add.input("X"), "Bias": add.input("Y")}
            attrs = {"kind": op.type}
            graph.replace([add_at, at], "fused_bias_activation", inputs, {"Out": op.output("Out")}, attrs)


def _sums_of_squares(graph):
    """square + reduce_sum or mean of everything, and their gradients; either half may stand alone."""
    for _, op in graph.each("square"):
        (squares,) = op.output("Out")
        total_at, total = graph.reader(squares, "reduce_sum", "mean")
        grad_at, grad = graph.reader(squares, "reduce_sum_grad", "mean_grad")
        halves = [half for half in (total, grad) if half is not None]
        if not halves or not all(_takes_all(half) for half in halves):
            continue
        if not graph.is_between(squares, *[k for k in (total_at, grad_at) if k is not None]):
            continue
        attrs = {"mean": halves[0].type.startswith("mean")}
        if grad is not None:
            (inner,) = grad.output("X@GRAD")
            square_grad_at, square_grad = graph.reader(inner, "square_grad")
            if square_grad is None or not graph.is_between(inner, square_grad_at):
                continue
            inputs = {"X": op.input("X"), "Out@GRAD": grad.input("Out@GRAD")}
            outputs = {"X@GRAD": square_grad.output("X@GRAD")}
            graph.replace([grad_at, square_grad_at], "fused_sum_of_squares_grad", inputs, outputs, attrs)
        if total is not None:
            positions = [graph.ops.index(op), graph.ops.index(total)]
            outputs = {"Out": total.output("Out")}
            graph.replace(positions, "fused_sum_of_squares", {"X": op.input("X")}, outputs, attrs)
        # Without the sum the squares have no reader left, and the plan drops them.


def _takes_all(op):
    return op.type.startswith("mean") or (op.attrs["reduce_all"] and not op.attrs["keep_dim"])
