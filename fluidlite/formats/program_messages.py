"""The messages of Fluid's program files (framework.proto of 1.8.5), and what that version writes with every program."""

from .protobuf import Field, Message, repeated, required

# AttrType: which field of an Attr holds its value.
ATTR_TYPES = {
    "INT": (0, "i"),
    "FLOAT": (1, "f"),
    "STRING": (2, "s"),
    "INTS": (3, "ints"),
    "FLOATS": (4, "floats"),
    "STRINGS": (5, "strings"),
    "BOOLEAN": (6, "b"),
    "BOOLEANS": (7, "bools"),
    "BLOCK": (8, "block_idx"),
    "LONG": (9, "l"),
    "BLOCKS": (10, "blocks_idx"),
    "LONGS": (11, "longs"),
}

ATTR = Message(
    "OpDesc.Attr",
    required(1, "name", "string"),
    required(2, "type", "enum"),
    Field(3, "i", "int32"),
    Field(4, "f", "float"),
    Field(5, "s", "string"),
    repeated(6, "ints", "int32"),
    repeated(7, "floats", "float"),
    repeated(8, "strings", "string"),
    Field(10, "b", "bool"),
    repeated(11, "bools", "bool"),
    Field(12, "block_idx", "int32"),
    Field(13, "l", "int64"),
    repeated(14, "blocks_idx", "int32"),
    repeated(15, "longs", "int64"),
)
SLOT = Message("OpDesc.Var", required(1, "parameter", "string"), repeated(2, "arguments", "string"))
OP = Message(
    "OpDesc",
    repeated(1, "inputs", SLOT),
    repeated(2, "outputs", SLOT),
    required(3, "type", "string"),
    repeated(4, "attrs", ATTR),
    Field(5, "is_target", "bool"),
)
TENSOR = Message("VarType.TensorDesc", required(1, "data_type", "enum"), repeated(2, "dims", "int64"))
LOD_TENSOR = Message("VarType.LoDTensorDesc", required(1, "tensor", TENSOR), Field(2, "lod_level", "int32"))
READER = Message("VarType.ReaderDesc", repeated(1, "lod_tensor", LOD_TENSOR))
TUPLE = Message("VarType.Tuple", repeated(1, "element_type", "enum"))
VAR_TYPE = Message(
    "VarType",
    required(1, "type", "enum"),
    Field(2, "selected_rows", TENSOR),
    Field(3, "lod_tensor", LOD_TENSOR),
    Field(4, "tensor_array", LOD_TENSOR),
    Field(5, "reader", READER),
    Field(7, "tuple", TUPLE),
)
VAR = Message(
    "VarDesc",
    required(1, "name", "string"),
    required(2, "type", VAR_TYPE),
    Field(3, "persistable", "bool"),
    Field(4, "need_check_feed", "bool"),
)
BLOCK = Message(
    "BlockDesc",
    required(1, "idx", "int32"),
    required(2, "parent_idx", "int32"),
    repeated(3, "vars", VAR),
    repeated(4, "ops", OP),
    Field(5, "forward_block_idx", "int32"),
)
COMPATIBLE_INFO = Message("CompatibleInfo", required(1, "version", "string"), required(2, "type", "enum"))
COMPATIBLE_PAIR = Message(
    "OpCompatiblePair", required(1, "op_name", "string"), required(2, "compatible_info", COMPATIBLE_INFO)
)
COMPATIBLE_MAP = Message(
    "OpCompatibleMap", repeated(1, "pair", COMPATIBLE_PAIR), Field(2, "default_required_version", "string")
)
VERSION = Message("Version", Field(1, "version", "int64"))
PROGRAM = Message(
    "ProgramDesc",
    repeated(1, "blocks", BLOCK),
    Field(3, "op_compatible_map", COMPATIBLE_MAP),
    Field(4, "version", VERSION),
)

# 1.8.5, and the first version whose programs mean other things by the same names.
FLUID_VERSION = 1_008_005
NEXT_GENERATION = 2_000_000

# Ops that came (1) or changed (2: perhaps, 3: a bug fix) in Fluid 1.6, by which older inference engines refuse a model.
_SINCE_1_6 = {
    1: "center_loss coalesce_tensor crop_tensor deformable_conv deformable_conv_v1 dpsgd eye fill_any_like "
    "filter_by_instag gather_nd hard_swish instance_norm lookup_table_v2 match_matrix_tensor multiclass_nms2 "
    "one_hot_v2 prroi_pool pull_box_sparse scatter_nd_add sequence_pad sequence_topk_avg_pooling sequence_unpad "
    "shard_index size strided_slice trilinear_interp unfold unique unique_with_counts var_conv_2d",
    2: "bilinear_interp chunk_eval conditional_block conditional_block_infer conv2d conv2d_transpose conv3d "
    "conv3d_transpose crf_decoding ctc_align data_norm depthwise_conv2d depthwise_conv2d_transpose "
    "edit_distance expand fc fused_embedding_seq_pool group_norm hash leaky_relu linear_chain_crf lod_reset "
    "matmul mul nearest_interp one_hot pow prior_box reshape2 slice uniform_random "
    "uniform_random_batch_size_like warpctc",
    3: "layer_norm",
}


def compatible_map():
    """The op_compatible_map that Fluid 1.8.5 writes with every program."""
    kinds = {name: kind for kind, names in _SINCE_1_6.items() for name in names.split()}
    pairs = [{"op_name": name, "compatible_info": {"version": "1.6.0", "type": kinds[name]}} for name in sorted(kinds)]
    return {"pair": pairs, "default_required_version": "1.5.0"}
