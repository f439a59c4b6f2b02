"""Metrics computed in the program."""

from ..dtypes import VarType
from ..layer_helper import LayerHelper, check_variable
from .nn import topk


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
