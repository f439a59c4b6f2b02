"""Layers that treat their input at random."""

from ..dtypes import VarType
from ..layer_helper import LayerHelper, check_variable
from .nn import _FLOATS


def dropout(x, dropout_prob, is_test=False, seed=None, name=None, dropout_implementation="downgrade_in_infer"):
    """Elements of x zeroed at random, against overfitting. Shape, dtype and LoD are x's.

    Args:
        x: float Variable.
        dropout_prob: probability of an element to become 0, from 0 to 1.
        is_test: nothing is drawn; ``Program.clone(for_test=True)`` sets it.
        seed: of the random numbers; default the program's `random_seed`. Masks differ from run to run and from layer
            to layer all the same.
        dropout_implementation: 'downgrade_in_infer' keeps x while training and takes (1 - p) x in a test;
            'upscale_in_train' takes x / (1 - p) while training and x in a test.

    Differs from Fluid: with a seed, Fluid repeats one mask in every run; here the sequence of masks repeats. A dropout
    in a test has a gradient.

    Raises:
        InvalidArgumentError: dropout_prob or dropout_implementation is not one of these.

    >>> import fluidlite as fluid
    >>> dropout(fluid.data('x', [None, 5]), 0.3).shape
    (-1, 5)
    """
    helper = LayerHelper("dropout", name=name)
    check_variable(x, "x", "dropout", _FLOATS)
    if not seed:
        seed = helper.main_program.random_seed or seed
    out = helper.create_variable_for_type_inference(x.dtype)
    mask = helper.create_variable_for_type_inference(VarType.UINT8, stop_gradient=True)
    attrs = {
        "dropout_prob": float(dropout_prob),
        "is_test": bool(is_test),
        "fix_seed": seed is not None,
        "seed": seed or 0,
        "dropout_implementation": dropout_implementation,
    }
    helper.append_op("dropout", {"X": x}, {"Out": out, "Mask": mask}, attrs)
    return out
