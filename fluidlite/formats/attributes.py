"""Attributes of ops in Fluid's files: which of the twelve types an attribute has, and its value in both directions.

The type follows the value, but for those whose value does not tell it: an int where Fluid keeps a float or a 64-bit
int, and the empty list.
"""

import numpy as np

from ..errors import InvalidTypeError
from .program_messages import ATTR_TYPES

# Names of attributes by type, as Fluid 1.8.5's ops declare them.
_NAMES = {
    "FLOAT": "Alpha Beta Scale ScaleDataNorm Scale_in Scale_in_eltwise Scale_out Scale_x Scale_y alpha atol "
    "average_window batch_size beta beta1 beta2 bg_thresh_hi bg_thresh_lo bias box_clip cell_clip conf_thresh "
    "constant decay delta diag_val dist_threshold drop_out_percent dropout_prob eps epsilon eta factor "
    "fg_fraction fg_thresh forget_bias fuse_alpha fuse_beta fuse_brelu_threshold gamma gaussian_sigma "
    "ignore_thresh l1 l2 lambda lars_coeff lars_weight_decay lr lr_power margin max max_norm max_range mean "
    "min min_size momentum moving_rate mu neg_dist_threshold neg_pos_ratio negative_overlap nms_eta "
    "nms_thresh nms_threshold overlap_threshold p pad_value porder positive_overlap post_threshold proj_clip "
    "rampup_begin_step rho rpn_fg_fraction rpn_negative_overlap rpn_positive_overlap rpn_straddle_thresh rtol "
    "scalar scale scale_a scale_b scale_out scale_x scale_x_y score_threshold shift_ratio sigma slope "
    "soft_max_lower_bound soft_max_up_bound spatial_scale std step step_h step_w summary_decay_rate t_max "
    "t_min threshold trans_std value weight_decay",
    "LONG": "blocksize end_op_index max_average_window min_average_window min_row_size_to_use_multithread mod_by "
    "num_columns num_rows out_val_if_empty padding_idx seek start_op_index",
    "LONGS": "height_sections int64_values shifts",
    "FLOATS": "Scale_weights anchor_sizes aspect_ratios bbox_reg_weights fixed_ratios fixed_sizes fp32_values "
    "max_sizes min_sizes scale_y stride value variance variances",
    "STRINGS": "InputNames backward_skip_vars endpoints epmap ex_states functor_list grad_to_block_id op_callstack "
    "op_role_var prefetch_var_name_to_block_id recv_varnames remote_varnames send_varnames skip_eager_deletion_vars "
    "slice_shapes slice_varnames sparse_grad_to_param states table_names varnames",
    "BLOCKS": "optimize_blocks",
}
_BY_NAME = {}
for _type, _names in _NAMES.items():
    for _name in _names.split():
        _BY_NAME.setdefault(_name, set()).add(_type)

# One name, several types.
_BY_OP = {("sequence_enumerate", "pad_value"): "INT", ("nll_loss", "ignore_index"): "LONG", ("roll", "dims"): "LONGS"}
_BY_OP |= {(op, "axis"): "LONG" for op in ("arg_min", "arg_max")}
_BY_OP |= {(op, "offset"): "FLOAT" for op in ("hard_sigmoid", "hard_swish", "hard_sigmoid_grad", "hard_swish_grad")}
_BY_OP |= {
    (op, "shape"): "LONGS"
    for op in ("fill_constant", "uniform_random", "gaussian_random", "randint", "fake_init", "recv_save", "load")
}

# Fluid fills in the attributes that an op lacks, but those of grad ops: its kernels read them without looking.
_OF_GRAD_OPS = {"use_cudnn": False, "use_mkldnn": False}
_SCALES = {"scale_x": 1.0, "scale_out": 1.0, "force_fp32_output": False}
_MATMUL = {"Scale_x": 1.0, "Scale_y": 1.0, "Scale_out": 1.0, "force_fp32_output": False, "use_quantizer": False}
_LOOKUP = {"epmap": [], "height_sections": [], "table_names": [], "trainer_id": 0, "remote_prefetch": False}
_OF_GRAD_OP = {
    "softmax_grad": {"data_format": "AnyLayout", "is_test": False},
    "mul_grad": {**_SCALES, "scale_y": [1.0]},
    "matmul_grad": {**_MATMUL, "head_number": 1, "fused_reshape_Out": [], "fused_transpose_Out": []},
    "lookup_table_grad": {**_LOOKUP, "grad_inplace": False},
    "lookup_table_v2_grad": _LOOKUP,
    "batch_norm_grad": {"fuse_with_relu": False, "trainable_statistics": False},
    "cos_sim_grad": {"@ALL_KERNELS_MUST_COMPUTE_RUNTIME_SHAPE@": True},
}
_OF_GRAD_OP |= {f"reduce_{kind}_grad": {"in_dtype": -1, "out_dtype": -1} for kind in "sum mean max min prod".split()}
_OF_GRAD_OP |= {
    f"elementwise_{kind}_grad": {"x_data_format": "", "y_data_format": ""}
    for kind in "add sub mul div max min pow".split()
}

# Float64 lists are no attributes of Fluid's; their bits are kept as 64-bit ints.
_BITS = "fp64_values"

_NUMBERS = {number: (name, field) for name, (number, field) in ATTR_TYPES.items()}


def complete_attrs(op_type, attrs):
    """The attributes of an op with those that Fluid needs to run it, at their defaults."""
    if not op_type.endswith("_grad"):
        return attrs
    return {**_OF_GRAD_OPS, **_OF_GRAD_OP.get(op_type, {}), **attrs}


def write_attr(op_type, name, value, block_index):
    """The Attr message of one attribute.

    Args:
        block_index: a function from a value to the number of the block that it is, or None if it is no block.
    """
    kind, value = _typed(op_type, name, value, block_index)
    number, field = ATTR_TYPES[kind]
    return {"name": name, "type": number, field: value}


def _typed(op_type, name, value, block_index):
    if isinstance(value, np.ndarray):
        value = value.reshape(-1).tolist()
    elif isinstance(value, np.generic):
        value = value.item()
    if name == _BITS and isinstance(value, list | tuple):
        return "LONGS", np.array(value, np.float64).view(np.int64).tolist()
    named = _BY_OP.get((op_type, name))
    kinds = {named} if named else _BY_NAME.get(name, ())
    if isinstance(value, bool):
        return "BOOLEAN", value
    if isinstance(value, int):
        if "FLOAT" in kinds:
            return "FLOAT", float(value)
        return ("LONG" if "LONG" in kinds or not -(1 << 31) <= value < 1 << 31 else "INT"), int(value)
    if isinstance(value, float):
        return "FLOAT", value
    if isinstance(value, str):
        return "STRING", value
    if isinstance(value, list | tuple):
        return _typed_list(op_type, name, list(value), kinds, block_index)
    if block_index(value) is not None:
        return "BLOCK", block_index(value)
    raise _no_place(op_type, name, value)


def _typed_list(op_type, name, values, kinds, block_index):
    values = [item.item() if isinstance(item, np.generic) else item for item in values]
    plural = {"FLOATS", "LONGS", "STRINGS", "BLOCKS"}.intersection(kinds)
    if not values:
        return (plural.pop() if len(plural) == 1 else "INTS"), values
    if all(isinstance(item, bool) for item in values):
        return "BOOLEANS", values
    if all(isinstance(item, int) for item in values):
        if "FLOATS" in plural:
            return "FLOATS", [float(item) for item in values]
        wide = "LONGS" in plural or any(not -(1 << 31) <= item < 1 << 31 for item in values)
        return ("LONGS" if wide else "INTS"), [int(item) for item in values]
    if all(isinstance(item, int | float) for item in values):
        return "FLOATS", [float(item) for item in values]
    if all(isinstance(item, str) for item in values):
        return "STRINGS", values
    if all(block_index(item) is not None for item in values):
        return "BLOCKS", [block_index(item) for item in values]
    raise _no_place(op_type, name, values)


def _no_place(op_type, name, value):
    return InvalidTypeError(
        f"Attribute {name!r} of op {op_type} cannot be written to a file.",
        expected="bool, int, float, str, a block, or a list of one of these",
        actual=type(value).__name__ if not isinstance(value, list) else "a list of several types",
    )


def read_attr(attr, block):
    """The value of an Attr message.

    Args:
        block: a function from the number of a block to the block.

    Raises:
        ValueError: the type is unknown, or the value of that type is missing.
    """
    kind, field = _NUMBERS.get(attr["type"], (None, None))
    if kind is None:
        raise ValueError(f"attribute {attr['name']!r} has the unknown type {attr['type']}")
    if kind.endswith("S"):
        value = attr.get(field, [])
        if kind == "BLOCKS":
            return [block(index) for index in value]
        if attr["name"] == _BITS and kind == "LONGS":
            return np.array(value, np.int64).view(np.float64).tolist()
        return [shortest(item) for item in value] if kind == "FLOATS" else list(value)
    if field not in attr:
        raise ValueError(f"attribute {attr['name']!r} has no value")
    value = attr[field]
    if kind == "BLOCK":
        return block(value)
    return shortest(value) if kind == "FLOAT" else value


def shortest(value):
    """A float32 as the shortest decimal that means it: what the user wrote, 0.1 and not 0.10000000149011612."""
    return float(str(np.float32(value)))
