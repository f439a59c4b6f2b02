"""fluidlite builds the programs that Fluid 1.8.5 builds, and computes what it computes (recordings in golden/data)."""

import contextlib
import functools
import re

import numpy
import pytest
from golden import replay

import fluidlite
from fluidlite.ops.registry import get_op

# Attributes of ours that Fluid's ops do not have: (op type, attribute).
OUR_ATTRS = {
    (op, attr)
    for op in ("lookup_table", "lookup_table_v2", "lookup_table_grad", "lookup_table_v2_grad")
    for attr in ("is_test", "entry", "has_padding_idx")
}
# Attributes that differ on purpose: case -> {(op type, attribute)}. Fluid gives the clip of an error no role, and so
# keeps it in a clone for test, where the gradient that it clips is gone.
# The states of an AUC over all batches have one shape; Fluid makes them with another, and changes it in the first run.
DIFFERENT_ATTRS = {
    "error_clip": {("clip", "op_role")},
    # Says in the startup program that the table takes any ids.
    "embedding_is_distributed": {("uniform_random", "row_table"), ("fill_constant", "row_table")},
    "deepfm__dense": {("fill_constant", "shape")},
    "deepfm__sparse": {("fill_constant", "shape")},
}


class Different:
    """A result that is not Fluid's on purpose: why, and the entries of our result, from the recorded arrays."""

    def __init__(self, reason, expected):
        self.reason, self.expected = reason, expected


def without_row(name, row):
    """The recorded SelectedRows without one row."""

    def expected(recorded):
        kept = recorded[name + ":rows"] != row
        return {name + ":rows": recorded[name + ":rows"][kept], name + ":value": recorded[name + ":value"][kept]}

    return expected


def without_ignored_rows(name, loss):
    """The recorded gradient with zeros in the rows whose label is ignored: those that cost exactly nothing."""

    def expected(recorded):
        value = recorded[name].copy()
        value[recorded[loss][:, 0] == 0] = 0
        return {name: value}

    return expected


def without_replaced_rows(name, kept):
    """The recorded gradient with zeros in the rows that were replaced, `kept` holding 0 for those."""

    def expected(recorded):
        return {name: recorded[name] * numpy.array(kept, "float32")[:, None]}

    return expected


def first_adam_step(parameter, rate, beta1, beta2, epsilon):
    """The parameter after its first step, from the recorded moments, with the bias correction of step 1."""

    def expected(recorded):
        moment1 = recorded[f"step0/{parameter}_moment1_0"].astype("float64")
        moment2 = recorded[f"step0/{parameter}_moment2_0"].astype("float64")
        corrected = rate * numpy.sqrt(1 - beta2) / (1 - beta1)
        change = corrected * moment1 / (numpy.sqrt(moment2) + epsilon)
        return {"step0/" + parameter: recorded["param/" + parameter] - change}

    return expected


PADDING = "the padding row is never trained; Fluid trains it with is_sparse=True, against its own documentation"
BIAS = "sparse Adam corrects the bias with step t, as dense Adam does; Fluid uses t + 1"
IGNORED = "an ignored label has no gradient, as Fluid documents it; Fluid's CPU kernel gives it one"
REPLACED = "what was replaced has no gradient; Fluid hands it the gradient of what replaced it"
ROC = "the ROC curve stands for the PR curve as in Fluid, and warns when the program is built"
MIXED = "int64 + float32 truncates as in Fluid, and warns when the program is built"

DIFFERENT_ON_PURPOSE = {
    "embedding_v1_padding_0_sparse": {"step0/w@GRAD": Different(PADDING, without_row("step0/w@GRAD", 0))},
    "embedding_v1_padding_3_sparse": {"step0/w@GRAD": Different(PADDING, without_row("step0/w@GRAD", 3))},
    "embedding_v1_padding_minus1_sparse": {"step0/w@GRAD": Different(PADDING, without_row("step0/w@GRAD", 6))},
    "embedding_v1_padding_minus4_sparse": {"step0/w@GRAD": Different(PADDING, without_row("step0/w@GRAD", 3))},
    "embedding_v2_padding_3_sparse": {"step0/w@GRAD": Different(PADDING, without_row("step0/w@GRAD", 3))},
    "embedding_v2_padding_minus4_sparse": {"step0/w@GRAD": Different(PADDING, without_row("step0/w@GRAD", 3))},
    **{
        f"softmax_with_cross_entropy_ignore_{which}": {
            "step0/logits@GRAD": Different(
                IGNORED, without_ignored_rows("step0/logits@GRAD", "step0/softmax_with_cross_entropy_0.tmp_1")
            )
        }
        for which in ("default", "index")
    },
    **{
        f"scatter_{which}": {"step0/input@GRAD": Different(REPLACED, without_replaced_rows("step0/input@GRAD", kept))}
        for which, kept in (("overwrite", [1, 0, 1, 0, 1]), ("add", [0, 0, 1, 0, 1]), ("int32", [0, 1, 1, 1, 0]))
    },
    # Later steps: adam_sparse_corrected__* and ngram__adam_lazy_corrected, where Fluid was made to use step t.
    "adam_sparse__lazy": {"step0/table": Different(BIAS, first_adam_step("table", 0.1, 0.9, 0.999, 1e-8))},
    "adam_sparse__default": {"step0/table": Different(BIAS, first_adam_step("table", 0.1, 0.9, 0.999, 1e-8))},
    "adam_sparse__lazy_options": {"step0/table": Different(BIAS, first_adam_step("table", 0.1, 0.8, 0.95, 1e-3))},
}

# Variables: (case, name) -> our words. The shape that fluid.gradients reads at run time is int32; Fluid leaves its
# variable at the default, bool, and writes int32. The accuracy of a batch is one number, with no LoD to take over.
_SHAPES = {
    "gradients_no_grad_set": ["elementwise_mul_0.tmp_0_shape"],
    "gradients_of_intermediate": ["fc_0.tmp_0_shape"],
    "gradients_one": ["square_0.tmp_0_shape"],
    "gradients_several_inputs": ["elementwise_mul_0.tmp_0_shape"],
    "gradients_several_targets": ["exp_0.tmp_0_shape", "square_0.tmp_0_shape"],
    "gradients_unreachable": ["square_0.tmp_0_shape"],
}
_QUESTIONED = ("finite", "nan", "infinite")


def comparable(variables):
    """The words of each variable without those that say nothing to a user.

    These are stop_gradient, which what backward and optimizers make has or lacks without a meaning, and the LoD level
    of a gradient, which some of Fluid's grad ops pass on and others do not.
    """
    ignored = {key: "stop_gradient|lod_level=." if "@GRAD" in key else "stop_gradient" for key in variables}
    return {key: re.sub(f" ({ignored[key]})", "", words) for key, words in variables.items()}


def maxima():
    """The rows that maxima of sequences come from, of all cases: int32, where Fluid's variable says float32."""
    for name in replay.recorded_names():
        for block in replay.load(name).description["main"]:
            for op in block["ops"]:
                if op["type"] == "sequence_pool" and op["attrs"]["pooltype"] == "MAX":
                    (index,) = op["outputs"]["MaxIndex"]
                    words = comparable({index: block["vars"][index]})[index]
                    yield (name, index), words.replace("float32", "int32")


DIFFERENT_VARIABLES = {
    **{(name, variable): "int32[2]" for name, variables in _SHAPES.items() for variable in variables},
    # The answers of has_nan and has_inf are bools, ids are int64, and a product of an unknown dimension is unknown.
    **{(f"has_{what}_{x}", f"is{what}_0.tmp_0"): "bool[1]" for what in ("nan", "inf") for x in _QUESTIONED},
    ("sampling_id__plain", "sampling_id_0.tmp_0"): "int64[-1]",
    ("flatten_batch", "flatten_0.tmp_0"): "float32[-1,5]",
    ("flatten_batch", "flatten_0.tmp_0@GRAD"): "float32[-1,5]",
    # The shape is the target's, and the numbers of a shape with Variables are known; Fluid does not say so.
    ("expand_as", "expand_as_0.tmp_0"): "float32[6,10]",
    ("expand_as", "expand_as_0.tmp_0@GRAD"): "float32[6,10]",
    ("random_shapes__uniform", "uniform_random_1.tmp_1"): "float32[2,-1]",
    **dict(maxima()),
    # How long the longest sequence is, and what LoD parts have and an appended level makes, Fluid does not say.
    ("sequence_pad_longest", "sequence_pad_0.tmp_0"): "float32[-1,-1,2]",
    ("sequence_pad_longest", "sequence_pad_0.tmp_0@GRAD"): "float32[-1,-1,2]",
    ("sequence_slice_empty", "sequence_slice_0.tmp_0"): "float32[-1,2] lod_level=1",
    ("sequence_slice_usual", "sequence_slice_0.tmp_0"): "float32[-1,2] lod_level=1",
    ("lod_append_variable", "lod_append_0.tmp_0"): "float32[-1,2] lod_level=2",
    ("token_classifier__dense", "accuracy_0.tmp_0"): "float32[1]",
    ("token_classifier__sparse", "accuracy_0.tmp_0"): "float32[1]",
    ("session_gru", "accuracy_0.tmp_0"): "float32[1]",
    **{
        (f"deepfm__{kind}", f"_generated_var_{k}"): "int64[1,4096] persistable"
        for kind in ("dense", "sparse")
        for k in (0, 1)
    },
    # How many rows a sparse gradient names is not known before it runs; Fluid says as many as the table has.
    **{
        (case, name): "float32[-1,3]"
        for case in (
            "clip_then_decay__global_norm_sparse",
            "grad_clip__global_norm_large_sparse",
            "grad_clip__global_norm_sparse",
            "need_clip",
            "set_gradient_clip__global_norm_sparse",
        )
        for name in ("get_tensor_from_selected_rows_0.tmp_0", f"square_{0 if case == 'need_clip' else 1}.tmp_0")
    },
    **{
        ("din", name): f"float32[-1,{width}]"
        for table, square, width in ((0, 6, 5), (1, 13, 1), (2, 14, 5))
        for name in (f"get_tensor_from_selected_rows_{table}.tmp_0", f"square_{square}.tmp_0")
    },
}
# Variables that Fluid's programs lack: (case, name) -> our words. Fluid keeps the queue of a reader in the Scope alone.
OUR_VARIABLES = {
    ("py_reader_by_data", "lod_tensor_blocking_queue_0"): "RAW",
    ("py_reader_lod_tensors", "lod_tensor_blocking_queue_0"): "RAW",
    ("py_reader_named", "train_queue"): "RAW",
    ("py_reader_of_two_programs", "test_queue"): "RAW",
    ("py_reader_of_two_programs", "train_queue"): "RAW",
    ("py_reader_training", "lod_tensor_blocking_queue_0"): "RAW",
}
WARNS = {"auc__pr": ROC, "operator_int64_plus_float32": MIXED}


@functools.cache
def replayed(name):
    """Our result and the recorded one."""
    expectation = pytest.warns(UserWarning) if name in WARNS else contextlib.nullcontext()
    with expectation:
        return replay.replay(fluidlite, name)


def cases(select=lambda name: True):
    return pytest.mark.parametrize("name", [name for name in replay.recorded_names() if select(name)])


def test_every_case_is_recorded():
    assert set(replay.recorded_names()) == set(replay.CASES)
    tables = set(DIFFERENT_ON_PURPOSE) | {case for case, _ in [*DIFFERENT_VARIABLES, *OUR_VARIABLES]} | set(WARNS)
    assert tables <= set(replay.CASES)


# ------------------------------------------------------------------------------------------------------------- programs


def shape_of_op(op):
    return op["type"], op.get("inputs", {}), op.get("outputs", {})


@cases()
def test_ops(name):
    """Type, inputs and outputs of every op, in order, in every block of every program."""
    ours, recorded = replayed(name)
    assert set(ours.description) == set(recorded.description)
    for program, blocks in recorded.description.items():
        if program == "results":
            continue
        for our_block, block in zip(ours.description[program], blocks, strict=True):
            assert [shape_of_op(op) for op in our_block["ops"]] == [shape_of_op(op) for op in block["ops"]], program


def attr_differences(our_op, recorded_op, declared, on_purpose=()):
    """The attributes that are not Fluid's, among those that our op declares.

    Absent means empty in a description; an attribute that Fluid's op does not name at all has its default.
    """
    defaults = get_op(our_op["type"]).attrs
    ours, recorded = our_op.get("attrs", {}), recorded_op.get("attrs", {})
    different = {}
    for attr in set(declared) | set(ours):
        if (our_op["type"], attr) in (*OUR_ATTRS, *on_purpose) or attr in replay.UNRECORDED_ATTRS:
            continue
        if attr not in recorded and ours.get(attr) == defaults.get(attr):
            continue
        if ours.get(attr) != recorded.get(attr):
            different[attr] = {"fluidlite": ours.get(attr), "Fluid": recorded.get(attr)}
    return different


@cases()
def test_attrs(name):
    ours, recorded = replayed(name)
    for program, blocks in recorded.description.items():
        if program == "results":
            continue
        declared = described_attr_names(ours, program)
        different = [
            (position, op["type"], attr_differences(our_op, op, names, DIFFERENT_ATTRS.get(name, ())))
            for our_block, block, block_names in zip(ours.description[program], blocks, declared, strict=True)
            for position, (our_op, op, names) in enumerate(
                zip(our_block["ops"], block["ops"], block_names, strict=True)
            )
        ]
        assert [entry for entry in different if entry[2]] == [], program


def described_attr_names(result, program):
    """The declared attributes of the ops that the description holds, by block."""
    return [
        [list(op.attr_names) for op in block.ops if not result.hidden & replay.variables_of(op)]
        for block in result.programs[program].blocks
    ]


@cases()
def test_variables(name):
    """Names, shapes, data types, kinds, LoD levels and persistability."""
    ours, recorded = replayed(name)
    changes = {variable: words for (case, variable), words in DIFFERENT_VARIABLES.items() if case == name}
    used = set()
    added = {variable: words for (case, variable), words in OUR_VARIABLES.items() if case == name}
    for program, blocks in recorded.description.items():
        if program == "results":
            continue
        for our_block, block in zip(ours.description[program], blocks, strict=True):
            expected = comparable(block["vars"])
            here = {key: words for key, words in changes.items() if expected.get(key) not in (None, words)}
            used.update(here)
            assert not set(added) & set(expected), "Fluid has it"
            here |= {key: words for key, words in added.items() if key in our_block["vars"]}
            assert comparable(our_block["vars"]) == {**expected, **here}, program
    assert used == set(changes), "not different from Fluid"


@cases(replay.has_results)
def test_results(name):
    """What the calls that build the program returned, by name: pairs of parameters and gradients."""
    ours, recorded = replayed(name)
    assert ours.description["results"] == recorded.description["results"]


# --------------------------------------------------------------------------------------------------------------- values


def assert_close(actual, expected, what):
    assert actual.shape == expected.shape, what
    if not numpy.issubdtype(expected.dtype, numpy.floating):
        numpy.testing.assert_array_equal(actual, expected, err_msg=what)
        return
    finite = numpy.abs(expected[numpy.isfinite(expected)])
    largest = float(finite.max()) if finite.size else 0.0
    numpy.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * largest, err_msg=what)


def lod_fits(recorded, key):
    """Whether a recorded LoD says something of its array; that of accuracy is copied from its input and does not."""
    array, _, level = key.partition(":lod")
    last = max(int(k.partition(":lod")[2]) for k in recorded if k.startswith(array + ":lod"))
    return recorded[f"{array}:lod{last}"][-1] == len(recorded[array]) and level != ""


def expected_entries(name, recorded):
    """The recorded entries with what differs on purpose put in place; checks that it does differ."""
    entries = dict(recorded)
    for what, different in DIFFERENT_ON_PURPOSE.get(name, {}).items():
        replaced = different.expected(recorded)
        assert any(
            recorded[key].shape != value.shape or not numpy.allclose(recorded[key], value, rtol=1e-3, atol=1e-6)
            for key, value in replaced.items()
        ), f"{what} is Fluid's own: {different.reason}"
        entries.update(replaced)
    return entries


@cases(replay.has_values)
def test_values(name):
    """Every fetched value after every step."""
    ours, recorded = replayed(name)
    expected = expected_entries(name, recorded.arrays)
    assert {key for key in ours.arrays if ":lod" not in key} == {key for key in expected if ":lod" not in key}
    for key, value in expected.items():
        array, _, part = key.partition(":")
        if part == "height":
            assert int(ours.arrays[key]) == int(value), key
            for one, other in zip(
                replay.merge_sparse(ours.arrays, array), replay.merge_sparse(expected, array), strict=True
            ):
                assert_close(one, other, array)
        elif not part:
            assert_close(ours.arrays[key], value, key)
        assert part.startswith("lod") or ours.arrays[key].dtype == recorded.arrays[key].dtype, key
    compare_lods(ours.arrays, recorded.arrays)


def compare_lods(ours, recorded):
    """Equal, but a gradient may have Fluid's LoD or none, as Fluid's own grad ops differ in that."""
    recorded_lods = {key: value for key, value in recorded.items() if ":lod" in key and lod_fits(recorded, key)}
    for key in recorded_lods:
        if key not in ours:
            assert key.partition(":lod")[0].endswith("@GRAD"), f"{key} is missing"
    for key in (key for key in ours if ":lod" in key):
        assert key in recorded_lods, f"Fluid has no {key}"
        numpy.testing.assert_array_equal(ours[key], recorded_lods[key], err_msg=key)
