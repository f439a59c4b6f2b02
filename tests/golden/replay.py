"""Run a case and compare it with its recording.

``run_case(fluid, CASES[name])`` builds and runs a case on the given module; ``load(name)`` reads what Fluid 1.8.5 gave;
``program_description`` says what a program holds, in the words of the recordings.

Recorded arrays are keyed ``param/<name>`` (initial values) and ``step<i>/<name>`` (values after step i). A LoD adds
``step<i>/<name>:lod<level>`` (offsets); a SelectedRows is ``step<i>/<name>:rows``, ``:value`` and ``:height`` instead.

A family of cases has two files: ``data/<family>.json`` holds the descriptions by case, ``data/<family>.npz`` the arrays
by ``<case>/<key>``.
"""

import functools
import json
import os

import numpy

from golden.cases import CASES
from golden.cases.case import generator

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")

# What Fluid calls its types, by the numbers of framework.proto.
DTYPES = {0: "bool", 1: "int16", 2: "int32", 3: "int64", 4: "float16", 5: "float32", 6: "float64"}
DTYPES.update({20: "uint8", 21: "int8"})
VARIABLE_TYPES = {
    7: "LOD_TENSOR",
    8: "SELECTED_ROWS",
    9: "FEED_MINIBATCH",
    10: "FETCH_LIST",
    11: "STEP_SCOPES",
    12: "LOD_RANK_TABLE",
    13: "LOD_TENSOR_ARRAY",
    15: "READER",
    17: "RAW",
}
# Where an op was written, and for which device, library and parameter server: no part of what the program computes.
UNRECORDED_ATTRS = (
    "op_callstack",
    "op_namescope",
    "op_device",
    "use_mkldnn",
    "use_quantizer",
    "mkldnn_data_type",
    "x_data_format",
    "y_data_format",
    "force_fp32_output",
    "scale_x",
    "scale_y",
    "scale_out",
    "Scale_x",
    "Scale_y",
    "Scale_out",
    "epmap",
    "height_sections",
    "table_names",
    "trainer_id",
    "grad_inplace",
    "min_row_size_to_use_multithread",
)
DTYPE_ATTRS = ("dtype", "in_dtype", "out_dtype")


class Result:
    """What a case gave: arrays by key and the descriptions of its programs.

    A run, as opposed to a recording, also has the programs by name and the names of the variables hidden from the
    descriptions.
    """

    def __init__(self, arrays, description, programs=None, hidden=()):
        self.arrays = arrays
        self.description = description
        self.programs = programs or {}
        self.hidden = set(hidden)


# ----------------------------------------------------------------------------------------------------- descriptions


def dtype_name(dtype):
    """The NumPy name of a dtype given as a number of framework.proto, an enum, a string or a NumPy dtype."""
    if isinstance(dtype, (str, type, numpy.dtype)):
        return numpy.dtype(dtype).name
    try:
        return DTYPES[int(dtype)]
    except (TypeError, ValueError):
        return numpy.dtype(dtype).name


def variable_type_name(kind):
    if isinstance(kind, str):
        return kind
    return VARIABLE_TYPES[int(kind)]


def attr_value(name, value):
    """A JSON value; floats as the shortest decimal of their float32, since Fluid keeps attributes in that type."""
    if name in DTYPE_ATTRS and not isinstance(value, bool) and value != -1:
        return dtype_name(value)
    if isinstance(value, (bool, numpy.bool_)):
        return bool(value)
    if isinstance(value, (int, numpy.integer)):
        return int(value)
    if isinstance(value, (float, numpy.floating)):
        return float(str(numpy.float32(value)))
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, numpy.ndarray)):
        return [attr_value("", item) for item in value]
    raise TypeError(name)


def is_empty(value):
    """Whether an attribute says nothing: False, "" or []; but 0 does."""
    return value is False or value in ("", [])


def attrs_description(op):
    """The attributes that have a JSON form, without the empty ones, which ops have or lack at random."""
    attrs = {}
    for name in sorted(op.attr_names):
        if name in UNRECORDED_ATTRS:
            continue
        try:
            attrs[name] = attr_value(name, op.attr(name))
        except TypeError:
            continue  # a block
    return {name: value for name, value in attrs.items() if not is_empty(value)}


def slots_description(names, get):
    """Slots without a variable are left out: Fluid lists them or not, depending on who made the op."""
    return {slot: list(get(slot)) for slot in sorted(names) if list(get(slot))}


def op_description(op):
    """What an op is, without the parts that are empty."""
    parts = {
        "type": op.type,
        "inputs": slots_description(op.input_names, op.input),
        "outputs": slots_description(op.output_names, op.output),
        "attrs": attrs_description(op),
    }
    return {key: value for key, value in parts.items() if value}


def var_description(variable):
    """Words such as ``float32[-1,3] lod_level=1 persistable stop_gradient``, with only what is not the default."""
    kind, words = variable_type_name(variable.type), []
    if kind in ("LOD_TENSOR", "SELECTED_ROWS"):
        words.append(dtype_name(variable.dtype) + json.dumps([int(d) for d in variable.shape], separators=(",", ":")))
    # Fluid raises on the lod_level of a SelectedRows.
    if kind == "LOD_TENSOR" and variable.lod_level:
        words.append(f"lod_level={variable.lod_level}")
    words += [] if kind == "LOD_TENSOR" else [kind]
    return " ".join(words + [word for word in ("persistable", "stop_gradient") if getattr(variable, word)])


def program_description(program, hidden=()):
    """A list of blocks, each with its ops in order and its variables by name.

    The hidden variables are left out, and the ops that read or write them.
    """
    hidden = set(hidden)
    return [
        {
            "ops": [op_description(op) for op in block.ops if not hidden & variables_of(op)],
            "vars": {name: var_description(block.vars[name]) for name in sorted(set(block.vars) - hidden)},
        }
        for block in program.blocks
    ]


def variables_of(op):
    return {name for slot in op.input_names for name in op.input(slot)} | {
        name for slot in op.output_names for name in op.output(slot)
    }


# ------------------------------------------------------------------------------------------------------------ runs


def initial_value(name, shape, dtype):
    """The value every run gives a parameter, so that no random initializer matters."""
    return generator("param/" + name).uniform(-0.5, 0.5, [int(dim) for dim in shape]).astype(dtype_name(dtype))


def feed_value(fluid, value):
    if isinstance(value, tuple):
        array, recursive_seq_lens = value
        return fluid.create_lod_tensor(array, recursive_seq_lens, fluid.CPUPlace())
    return value


def dense_entries(key, tensor):
    """The array, which is a copy, and one array of offsets for every level."""
    entries = {key: numpy.array(tensor)}
    lod = tensor.lod() if hasattr(tensor, "lod") else []
    for level, offsets in enumerate(lod):
        entries[key + ":lod" + str(level)] = numpy.array(offsets, "int64")
    return entries


def sparse_entries(key, rows, value, height):
    return {
        key + ":rows": numpy.array(rows, "int64"),
        key + ":value": numpy.array(value),
        key + ":height": numpy.array(height, "int64"),
    }


def is_sparse(program, name):
    block = program.global_block()
    return block.has_var(name) and variable_type_name(block.var(name).type) == "SELECTED_ROWS"


class ReplayFlavour:
    """What fluidlite does more simply than Fluid: a SelectedRows is fetched like everything else."""

    @staticmethod
    def after_startup(fluid, run, main):
        pass

    @staticmethod
    def step(fluid, exe, main, feed, names):
        """Run once; the entries of ``names``, none of which is persistable, by name."""
        values = exe.run(main, feed=feed, fetch_list=list(names), return_numpy=False)
        entries = {}
        for name, value in zip(names, values):  # noqa: B905
            if is_sparse(main, name):
                entries.update(sparse_entries(name, value.rows, value.value, value.height))
            else:
                entries.update(dense_entries(name, value))
        return entries


def run_case(fluid, case, flavour=ReplayFlavour):
    """Build and run a case (out of ``CASES``) on ``fluid``; a Result in the form of the recordings."""
    main, startup, scope = fluid.Program(), fluid.Program(), fluid.Scope()
    with fluid.scope_guard(scope), fluid.program_guard(main, startup), fluid.unique_name.guard():
        run = case(fluid)
        programs = {"main": main, "startup": startup, **run.programs}
        description = {name: program_description(program, run.hidden) for name, program in programs.items()}
        if run.results:
            description["results"] = run.results
        return Result(run_programs(fluid, run, main, startup, scope, flavour), description, programs, run.hidden)


def run_programs(fluid, run, main, startup, scope, flavour):
    exe, place, arrays = fluid.Executor(fluid.CPUPlace()), fluid.CPUPlace(), {}
    exe.run(startup)
    if run.set_parameters:
        for parameter in sorted(main.all_parameters(), key=lambda p: p.name):
            value = initial_value(parameter.name, parameter.shape, parameter.dtype)
            scope.find_var(parameter.name).get_tensor().set(value, place)
            arrays["param/" + parameter.name] = value
    block = main.global_block()
    persistable = {name for name in run.fetch + run.last if block.has_var(name) and block.var(name).persistable}
    flavour.after_startup(fluid, run, main)
    for step, feed in enumerate(run.feeds):
        names = run.fetch + (run.last if step == len(run.feeds) - 1 else [])
        kept = [name for name in names if name in persistable]
        feed = {name: feed_value(fluid, value) for name, value in feed.items()}
        entries = flavour.step(fluid, exe, main, feed, [name for name in names if name not in persistable])
        for name in kept:
            entries.update(dense_entries(name, scope.find_var(name).get_tensor()))
        arrays.update((f"step{step}/{name}", value) for name, value in entries.items())
    return arrays


# -------------------------------------------------------------------------------------------------------- recordings


def recorded_families():
    return sorted(name[: -len(".json")] for name in os.listdir(DATA) if name.endswith(".json"))


def read_family(family):
    """The recordings in the files of a family: case -> Result, with read-only arrays."""
    path = os.path.join(DATA, family)
    with open(path + ".json", encoding="utf-8") as file:
        results = {name: Result({}, description) for name, description in json.load(file).items()}
    with numpy.load(path + ".npz") as file:
        for entry in file.files:
            name, _, key = entry.partition("/")
            array = file[entry]
            array.setflags(write=False)
            results[name].arrays[key] = array
    return results


@functools.lru_cache(maxsize=None)  # noqa: UP033 - functools.cache is younger than the Python that records
def recordings():
    """All recordings by case, read once."""
    return {name: result for family in recorded_families() for name, result in read_family(family).items()}


def recorded_names():
    return sorted(recordings())


def has_values(name):
    """Whether a recording holds arrays: a few cases are described only."""
    return bool(load(name).arrays)


def has_results(name):
    """Whether the case recorded what the calls that build its program returned."""
    return "results" in load(name).description


def load(name):
    """The recording of a case, as a Result that all callers share."""
    return recordings()[name]


def merge_sparse(arrays, key):
    """Sorted rows and their summed values of the SelectedRows under a key, summed in float64."""
    rows, inverse = numpy.unique(arrays[key + ":rows"], return_inverse=True)
    value = numpy.zeros((len(rows),) + arrays[key + ":value"].shape[1:])
    numpy.add.at(value, inverse.reshape(-1), arrays[key + ":value"].astype("float64"))
    return rows, value


def replay(fluid, name):
    """Run the recorded case on ``fluid``: (what it gave, what Fluid 1.8.5 gave)."""
    return run_case(fluid, CASES[name]), load(name)
