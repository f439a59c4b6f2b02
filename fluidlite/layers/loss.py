"""Losses, one value for each row or element; `layers.mean` makes a scalar of them."""

from ..dtypes import VarType
from ..layer_helper import LayerHelper, check_variable
from .nn import _FLOATS

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
