"""Metrics computed in the program."""

from ..dtypes import VarType
from ..errors import warn_user
from ..initializer import Constant
from ..layer_helper import LayerHelper, check_variable
from .nn import _FLOATS, topk


def accuracy(input, label, k=1, correct=None, total=None):
    """The share of rows whose label is among the k largest of `input`: float32 (1,).

    Args:
        input: scores (N, C). label: int64 (N, 1).
        correct, total: int32 Variables that take the counts, if wanted.

    >>> import fluidlite as fluid
    >>> accuracy(fluid.data('x', [None, 5]), fluid.data('y', [None, 1], 'int64'), k=2).shape
    (1,)
    """
    helper = LayerHelper("accuracy")
    check_variable(input, "input", "accuracy")
    check_variable(label, "label", "accuracy", (VarType.INT64, VarType.INT32))
    values, indices = topk(input, k=k)
    result = helper.create_variable_for_type_inference(VarType.FP32)
    if correct is None:
        correct = helper.create_variable_for_type_inference(VarType.INT32)
    if total is None:
        total = helper.create_variable_for_type_inference(VarType.INT32)
    helper.append_op(
        "accuracy",
        {"Out": values, "Indices": indices, "Label": label},
        {"Accuracy": result, "Correct": correct, "Total": total},
    )
    return result


def auc(input, label, curve="ROC", num_thresholds=4095, topk=1, slide_steps=1):
    """The area under the ROC curve, over all batches and over the last `slide_steps` ones.

    The counts that it is made of are persistable variables: they start at 0 when the startup program runs, and every
    run of a program that holds them adds its batch.

    Args:
        input: probabilities (N, 2), of which the last column is the score; (N, 1) does as well.
        label: int64 (N, 1); above 0 is positive, 0 negative, less is not counted.
        curve: 'ROC'. 'PR' is accepted and gives the ROC curve, as Fluid does, with a warning.
        num_thresholds: scores are counted in num_thresholds + 1 bins.
        topk: accepted for Fluid's sake.
        slide_steps: batches in the sliding window; 0 counts all.

    Returns:
        (auc, batch_auc, [batch_pos, batch_neg, pos, neg]): float64 (1,) each, and the variables of the counts.

    Raises:
        InvalidArgumentError (when it runs): a score lies outside [0, 1]; nothing is counted then.

    >>> import fluidlite as fluid
    >>> p = fluid.layers.softmax(fluid.data('x', [None, 2]))
    >>> total, batch, states = auc(p, fluid.data('y', [None, 1], 'int64'), slide_steps=2)
    >>> total.shape, states[0].shape, states[2].shape
    ((1,), (12289,), (1, 4096))
    """
    helper = LayerHelper("auc")
    check_variable(input, "input", "auc", _FLOATS)
    check_variable(label, "label", "auc", (VarType.INT64, VarType.INT32))
    if curve == "PR":
        warn_user("layers.auc computes the ROC curve for curve='PR' too, as Fluid does.")
    total_out = helper.create_variable_for_type_inference(VarType.FP64)
    batch_out = helper.create_variable_for_type_inference(VarType.FP64)
    n_bins = num_thresholds + 1
    window = [(1 + slide_steps) * n_bins + 1] if slide_steps else [1, n_bins]
    shapes = [window] * 2 + [[1, n_bins]] * 2
    states = [helper.create_global_variable(persistable=True, dtype=VarType.INT64, shape=s) for s in shapes]
    for state in states:
        helper.set_variable_initializer(state, Constant(0.0))
    for out, (pos, neg), steps in ((batch_out, states[:2], slide_steps), (total_out, states[2:], 0)):
        helper.append_op(
            "auc",
            {"Predict": input, "Label": label, "StatPos": pos, "StatNeg": neg},
            {"AUC": out, "StatPosOut": pos, "StatNegOut": neg},
            {"curve": curve, "num_thresholds": num_thresholds, "slide_steps": steps},
        )
    return total_out, batch_out, states
