"""Losses, one value for each row or element; `layers.mean` makes a scalar of them."""

from .. import unique_name
from ..dtypes import VarType
from ..errors import InvalidArgumentError, here
from ..layer_helper import LayerHelper, check_variable
from .nn import _FLOATS
from .reduction import reduce_mean

_LABELS = (VarType.INT64, VarType.INT32)


def cross_entropy(input, label, soft_label=False, ignore_index=-100):
    """-log of the probability of the label: (..., 1).

    Args:
        input: probabilities (..., C), as from softmax.
        label: int64 (..., 1) in [0, C); with `soft_label` a distribution (..., C).
        ignore_index: a label that costs 0 and has no gradient.

    Raises:
        OutOfRangeError (when it runs): a label is not a class; its position is named.

    >>> import fluidlite as fluid
    >>> p = fluid.layers.softmax(fluid.data('x', [None, 5]))
    >>> cross_entropy(p, fluid.data('y', [None, 1], 'int64')).shape
    (-1, 1)
    """
    check_variable(input, "input", "cross_entropy", _FLOATS)
    check_variable(label, "label", "cross_entropy", _FLOATS if soft_label else _LABELS)
    inputs = {"X": input, "Label": label}
    if soft_label:
        helper = LayerHelper("cross_entropy")
        out = helper.create_variable_for_type_inference(input.dtype)
        attrs = {"soft_label": True, "ignore_index": ignore_index}
        helper.append_op("cross_entropy", inputs, {"Y": out}, attrs)
        return out
    helper = LayerHelper("cross_entropy2")
    out = helper.create_variable_for_type_inference(input.dtype)
    x_shape = helper.create_variable_for_type_inference(input.dtype)
    match = helper.create_variable_for_type_inference(input.dtype)
    outputs = {"Y": out, "MatchX": match, "XShape": x_shape}
    helper.append_op("cross_entropy2", inputs, outputs, {"ignore_index": ignore_index})
    return out


def softmax_with_cross_entropy(
    logits,
    label,
    soft_label=False,
    ignore_index=-100,
    numeric_stable_mode=True,
    return_softmax=False,
    axis=-1,
):
    """Cross entropy of softmax(logits) along `axis`, which has length 1 in the result.

    Args:
        logits: float; label: int64 with length 1 along `axis`, or with `soft_label` a distribution of logits' shape.
        ignore_index: a label that costs 0 and has no gradient.
        numeric_stable_mode: accepted; always stable.
        return_softmax: also return the softmax (no gradient flows through it).

    >>> import fluidlite as fluid
    >>> softmax_with_cross_entropy(fluid.data('x', [None, 5]), fluid.data('y', [None, 1], 'int64')).shape
    (-1, 1)
    """
    helper = LayerHelper("softmax_with_cross_entropy")
    check_variable(logits, "logits", "softmax_with_cross_entropy", _FLOATS)
    check_variable(label, "label", "softmax_with_cross_entropy", _FLOATS if soft_label else _LABELS)
    softmax = helper.create_variable_for_type_inference(logits.dtype)
    loss = helper.create_variable_for_type_inference(logits.dtype)
    attrs = {
        "soft_label": soft_label,
        "ignore_index": ignore_index,
        "numeric_stable_mode": numeric_stable_mode,
        "axis": axis,
    }
    helper.append_op(
        "softmax_with_cross_entropy",
        {"Logits": logits, "Label": label},
        {"Softmax": softmax, "Loss": loss},
        attrs,
    )
    return (loss, softmax) if return_softmax else loss


def sigmoid_cross_entropy_with_logits(x, label, ignore_index=-100, name=None, normalize=False):
    """max(x, 0) - x label + log(1 + exp(-|x|)), element by element; 0 where label is `ignore_index`.

    With `normalize`, divided by the number of elements that are not ignored.

    >>> import fluidlite as fluid
    >>> x, y = fluid.data('x', [None, 1]), fluid.data('y', [None, 1])
    >>> sigmoid_cross_entropy_with_logits(x, y).shape
    (-1, 1)
    """
    helper = LayerHelper("sigmoid_cross_entropy_with_logits", name=name)
    check_variable(x, "x", "sigmoid_cross_entropy_with_logits", _FLOATS)
    check_variable(label, "label", "sigmoid_cross_entropy_with_logits", _FLOATS)
    out = helper.create_variable_for_type_inference(x.dtype)
    attrs = {"ignore_index": ignore_index, "normalize": normalize}
    helper.append_op("sigmoid_cross_entropy_with_logits", {"X": x, "Label": label}, {"Out": out}, attrs)
    return out


def square_error_cost(input, label):
    """(input - label)^2, element by element."""
    helper = LayerHelper("square_error_cost")
    check_variable(input, "input", "square_error_cost", _FLOATS)
    check_variable(label, "label", "square_error_cost", _FLOATS)
    difference = helper.create_variable_for_type_inference(input.dtype)
    helper.append_op("elementwise_sub", {"X": input, "Y": label}, {"Out": difference})
    out = helper.create_variable_for_type_inference(input.dtype)
    helper.append_op("square", {"X": difference}, {"Out": out})
    return out


def _check_floats(layer, **variables):
    for argument, x in variables.items():
        if x is not None:
            check_variable(x, argument, layer, _FLOATS)


def _append_loss(type, inputs, attrs=None, *, out="Out", name=None, others=()):
    """One op from Variables to its loss; `others`: further outputs, made before the loss."""
    helper = LayerHelper(type, name=name)
    dtype = next(iter(inputs.values())).dtype
    outputs = {slot: helper.create_variable_for_type_inference(dtype) for slot in (*others, out)}
    helper.append_op(type, inputs, outputs, attrs)
    return outputs[out]


def mse_loss(input, label):
    """The mean of (input - label)^2 over all elements: (1,).

    >>> import fluidlite as fluid
    >>> mse_loss(fluid.data('x', [None, 3]), fluid.data('y', [None, 3])).shape
    (1,)
    """
    return reduce_mean(square_error_cost(input, label))


def log_loss(input, label, epsilon=0.0001, name=None):
    """-label log(input + epsilon) - (1 - label) log(1 - input + epsilon), element by element.

    Args:
        input: probabilities (N, 1), as from sigmoid. label: float (N, 1), 0 or 1.

    >>> import fluidlite as fluid
    >>> p = fluid.layers.sigmoid(fluid.data('x', [None, 1]))
    >>> log_loss(p, fluid.data('y', [None, 1])).shape
    (-1, 1)
    """
    _check_floats("log_loss", input=input, label=label)
    inputs, attrs = {"Predicted": input, "Labels": label}, {"epsilon": float(epsilon)}
    return _append_loss("log_loss", inputs, attrs, out="Loss", name=name)


def huber_loss(input, label, delta):
    """r^2 / 2 where |r| <= delta, else delta (|r| - delta / 2), of r = label - input, element by element.

    >>> import fluidlite as fluid
    >>> huber_loss(fluid.data('x', [None, 1]), fluid.data('y', [None, 1]), delta=1.0).shape
    (-1, 1)
    """
    _check_floats("huber_loss", input=input, label=label)
    inputs = {"X": input, "Y": label}
    return _append_loss("huber_loss", inputs, {"delta": float(delta)}, others=("Residual",))


def smooth_l1(x, y, inside_weight=None, outside_weight=None, sigma=None):
    """For each row the sum of s((x - y) inside_weight) outside_weight: (N, 1).

    s(d) = (sigma d)^2 / 2 where |d| < 1 / sigma^2, else |d| - 1 / (2 sigma^2); sigma is 1 by default.

    Args:
        x, y: float (N, ...); inside_weight, outside_weight: of their shape, default 1.

    >>> import fluidlite as fluid
    >>> smooth_l1(fluid.data('x', [None, 3]), fluid.data('y', [None, 3])).shape
    (-1, 1)
    """
    _check_floats("smooth_l1", x=x, y=y, inside_weight=inside_weight, outside_weight=outside_weight)
    inputs = {"X": x, "Y": y, "InsideWeight": inside_weight, "OutsideWeight": outside_weight}
    attrs = {"sigma": 1.0 if sigma is None else float(sigma)}
    return _append_loss("smooth_l1_loss", inputs, attrs, others=("Diff",))


def kldiv_loss(x, target, reduction="mean", name=None):
    """target (log(target) - x), and 0 where target <= 0: the divergence of the distribution exp(x) from `target`.

    Args:
        x: logarithms of probabilities (N, ...); target: of its shape.
        reduction: 'none' keeps the shape; 'sum', 'mean' (over all elements) and 'batchmean' (sum / N) give (1,).

    >>> import fluidlite as fluid
    >>> kldiv_loss(fluid.data('x', [None, 3]), fluid.data('y', [None, 3]), 'batchmean').shape
    (1,)
    """
    _check_floats("kldiv_loss", x=x, target=target)
    return _append_loss("kldiv_loss", {"X": x, "Target": target}, {"reduction": reduction}, out="Loss", name=name)


def bpr_loss(input, label, name=None):
    """The mean over the other classes c of log(1 + exp(input[n, c] - input[n, label[n]])): (N, 1).

    Args:
        input: scores (N, C); label: int64 (N, 1) in [0, C), the class that is to come first.

    Raises:
        OutOfRangeError (when it runs): a label is not a class; its position is named.

    >>> import fluidlite as fluid
    >>> bpr_loss(fluid.data('x', [None, 5]), fluid.data('y', [None, 1], 'int64')).shape
    (-1, 1)
    """
    _check_floats("bpr_loss", input=input)
    check_variable(label, "label", "bpr_loss", _LABELS)
    return _append_loss("bpr_loss", {"X": input, "Label": label}, out="Y", name=name)


def rank_loss(label, left, right, name=None):
    """log(1 + exp(left - right)) - label (left - right): (N, 1).

    Args:
        label: float (N, 1), 1 where left is to come first, 0 where right is. left, right: scores (N, 1).

    >>> import fluidlite as fluid
    >>> rank_loss(*[fluid.data(name, [None, 1]) for name in ('label', 'left', 'right')]).shape
    (-1, 1)
    """
    _check_floats("rank_loss", label=label, left=left, right=right)
    return _append_loss("rank_loss", {"Label": label, "Left": left, "Right": right}, name=name)


def margin_rank_loss(label, left, right, margin=0.1, name=None):
    """max(0, margin - label (left - right)): (N, 1).

    Args:
        label: float (N, 1), 1 where left is to be larger, -1 where right is. left, right: scores (N, 1).

    >>> import fluidlite as fluid
    >>> margin_rank_loss(*[fluid.data(name, [None, 1]) for name in ('label', 'left', 'right')]).shape
    (-1, 1)
    """
    _check_floats("margin_rank_loss", label=label, left=left, right=right)
    helper = LayerHelper("margin_rank_loss", name=name)
    out = helper.create_variable_for_type_inference(left.dtype)
    activated = helper.create_variable_for_type_inference(left.dtype)
    inputs = {"Label": label, "X1": left, "X2": right}
    helper.append_op("margin_rank_loss", inputs, {"Out": out, "Activated": activated}, {"margin": float(margin)})
    return out


def teacher_student_sigmoid_loss(input, label, soft_max_up_bound=15.0, soft_max_lower_bound=-15.0):
    """The cross entropy of a click, plus that of a teacher's score of it where there is one: (N, 1).

    Args:
        input: logits (N, 1). label: float (N, 1): -2 no click, -1 a click, both without a teacher; z in [0, 1) no
            click, 1 + z a click, with the teacher's score z.
        soft_max_up_bound, soft_max_lower_bound: logits that are not between them have no gradient.

    >>> import fluidlite as fluid
    >>> teacher_student_sigmoid_loss(fluid.data('x', [None, 1]), fluid.data('y', [None, 1])).shape
    (-1, 1)
    """
    _check_floats("teacher_student_sigmoid_loss", input=input, label=label)
    helper = LayerHelper("teacher_student_sigmoid_loss")
    block = helper.main_program.current_block()
    out = block.create_var(name=unique_name.generate("_generated_var"), dtype=input.dtype)
    attrs = {"soft_max_up_bound": float(soft_max_up_bound), "soft_max_lower_bound": float(soft_max_lower_bound)}
    helper.append_op("teacher_student_sigmoid_loss", {"X": input, "Label": label}, {"Y": out}, attrs)
    return out


def label_smooth(label, prior_dist=None, epsilon=0.1, dtype="float32", name=None):
    """(1 - epsilon) label + epsilon prior_dist, which is 1 / C by default. The labels get no gradient.

    Args:
        label: distributions (..., C), as from one_hot. prior_dist: (1, C).
        dtype: accepted; the result has the dtype of `label`.

    >>> import fluidlite as fluid
    >>> label_smooth(fluid.layers.one_hot(fluid.data('y', [None, 1], 'int64'), 5)).shape
    (-1, 5)
    """
    _check_floats("label_smooth", label=label, prior_dist=prior_dist)
    if not 0 <= epsilon <= 1:
        raise InvalidArgumentError(
            "The epsilon of label_smooth is no share.", expected="0 <= epsilon <= 1", actual=str(epsilon), where=here()
        )
    label.stop_gradient = True
    inputs = {"X": label, "PriorDist": prior_dist}
    return _append_loss("label_smooth", inputs, {"epsilon": float(epsilon)}, name=name)
