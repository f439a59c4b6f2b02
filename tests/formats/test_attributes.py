"""Attributes: the types that Fluid's ops declare, and values that survive."""

import numpy as np
import pytest

from fluidlite.dtypes import VarType
from fluidlite.errors import InvalidTypeError
from fluidlite.formats.attributes import complete_attrs, read_attr, shortest, write_attr
from fluidlite.formats.program_messages import ATTR, ATTR_TYPES
from fluidlite.formats.protobuf import decode, encode


class Block:
    def __init__(self, idx):
        self.idx = idx


BLOCKS = [Block(0), Block(1), Block(2)]


def there_and_back(op_type, name, value):
    message = write_attr(op_type, name, value, lambda v: v.idx if isinstance(v, Block) else None)
    message = decode(ATTR, encode(ATTR, message))
    kinds = {number: kind for kind, (number, _) in ATTR_TYPES.items()}
    return kinds[message["type"]], read_attr(message, lambda index: BLOCKS[index])


@pytest.mark.parametrize(
    ("op_type", "name", "value", "kind"),
    [
        ("sum", "use_mkldnn", True, "BOOLEAN"),
        ("concat", "axis", -1, "INT"),
        ("arg_max", "axis", -1, "LONG"),
        ("reverse", "axis", [0, 2], "INTS"),
        ("lookup_table", "padding_idx", 3, "LONG"),
        ("anything", "seed", 1 << 40, "LONG"),
        ("scale", "scale", 2, "FLOAT"),
        ("scale", "bias", 0.1, "FLOAT"),
        ("cast", "out_dtype", VarType.FP32, "INT"),
        ("adam", "op_role_var", ["w", "w@GRAD"], "STRINGS"),
        ("adam", "op_role_var", [], "STRINGS"),
        ("slice", "decrease_axis", [], "INTS"),
        ("slice", "starts", (0, 1), "INTS"),
        ("fill_constant", "shape", [2, 3], "LONGS"),
        ("fill_constant", "shape", [], "LONGS"),
        ("reshape2", "shape", [-1, 3], "INTS"),
        ("assign_value", "fp32_values", [1, 2], "FLOATS"),
        ("assign_value", "fp32_values", np.array([1.5, 2.5], np.float32), "FLOATS"),
        ("assign_value", "int64_values", [1 << 50], "LONGS"),
        ("assign_value", "fp64_values", [0.1, 1 / 3], "LONGS"),
        ("fill", "value", [1.0], "FLOATS"),
        ("any", "flags", [True, False], "BOOLEANS"),
        ("any", "text", "\u00e9", "STRING"),
        ("while", "sub_block", BLOCKS[1], "BLOCK"),
        ("listen_and_serv", "optimize_blocks", BLOCKS[1:], "BLOCKS"),
        ("any", "mean", np.float32(0.5), "FLOAT"),
    ],
)
def test_types(op_type, name, value, kind):
    found_kind, found = there_and_back(op_type, name, value)
    assert found_kind == kind
    expected = list(value) if isinstance(value, tuple | np.ndarray) else value
    assert found == expected and type(found) in (type(expected), int, float)


def test_every_type_of_the_format_is_covered():
    covered = {mark for mark in test_types.pytestmark[0].args[1] for mark in [mark[3]]}
    assert covered == set(ATTR_TYPES)


@pytest.mark.parametrize("value", [{}, None, [1, "a"], [None], object(), np.array(["a"], object)[0:0].dtype])
def test_what_has_no_place(value):
    with pytest.raises(InvalidTypeError, match="'k' of op sum cannot be written"):
        there_and_back("sum", "k", value)


@pytest.mark.parametrize(
    "message", [{"name": "k", "type": 99}, {"name": "k", "type": 0}, {"name": "k", "type": 1, "i": 3}]
)
def test_damaged(message):
    with pytest.raises(ValueError, match="'k'"):
        read_attr(message, None)


def test_floats_come_back_as_the_user_wrote_them():
    for value in (0.1, 1e-8, 0.9, 0.999, 3.0, 1e38, float("inf")):
        assert shortest(np.float32(value)) == value
    assert there_and_back("scale", "scale", 1e300)[1] == float("inf")


def test_grad_ops_have_what_fluid_reads():
    attrs = complete_attrs("softmax_grad", {"axis": 1, "use_cudnn": True})
    assert attrs == {"axis": 1, "use_cudnn": True, "use_mkldnn": False, "data_format": "AnyLayout", "is_test": False}
    assert complete_attrs("softmax", {"axis": 1}) == {"axis": 1}
