"""Samples of ops, from which the grid of op tests is generated.

A `Sample` gives an op attributes, inputs, and its outputs by a NumPy function of float64 arrays. Each family has a
table `samples_<family>.py`. Grad ops need no samples of their own: what `make_grad` asks for is run on the samples of
the op, and numeric gradients say what is right. The checks are in `checks.py`; an op without samples fails
`test_grid.py`.
"""

import importlib
import pkgutil

import numpy as np

from fluidlite.lod_tensor import as_offsets
from fluidlite.ops.registry import get_op, op_types
from fluidlite.selected_rows import SelectedRows

# Attributes that change nothing that an op computes: (op type, attribute), with the reason.
EXEMPT_ATTRS = {
    **{
        (type, "force_cpu"): "there are only CPUs"
        for type in (
            "fill_constant",
            "fill_constant_batch_size_like",
            "equal",
            "not_equal",
            "less_than",
            "less_equal",
            "greater_than",
            "greater_equal",
        )
    },
    **{
        (type, name): "of tables of any ids, which are no arrays: tests/test_distributed_tables.py"
        for type in ("lookup_table", "lookup_table_v2")
        for name in ("is_distributed", "is_test", "entry", "has_padding_idx")
    },
    ("lookup_table", "remote_prefetch"): "describes a parameter server",
    ("softmax_with_cross_entropy", "numeric_stable_mode"): "always stable",
    ("sequence_pool", "is_test"): "says that nobody will ask where maxima come from",
    ("sequence_conv", "contextStride"): "is 1, as in Fluid",
    ("sequence_softmax", "use_cudnn"): "there are only CPUs",
    ("sequence_softmax", "data_format"): "rows have one number",
}

# Ops that no sample can hold, since they take more than arrays: {op type: why, and where they are tested}.
_READER = "takes a reader, tested in tests/ops/test_reader.py"
NOT_SAMPLED = {"create_py_reader": _READER, "create_double_buffer_reader": _READER, "read": _READER}
NOT_SAMPLED["listen_and_serv"] = "refuses to run, tested in tests/test_transpiler.py"
NOT_SAMPLED["conditional_block"] = "runs a block of a program, tested in tests/test_control_flow.py"

_samples = {}


class Sample:
    """One use of an op.

    Args:
        type: the op.
        inputs: {slot: array, tuple of arrays, or SelectedRows}; float arrays are cast to every float dtype. Arrays
            with LoD are made by `sequences`.
        expected: function of the inputs by slot name (floats as float64) -> the first output, or {output slot: value}.
        attrs: attributes that are not at their defaults.
        batch: slots whose first dimension is the batch; the op is then also run on no rows and on one.
        constants: float slots that have no gradient.
        check: instead of `expected`, a function of ({output slot: value}, inputs) that asserts (random ops).
        contiguous: slots whose arrays are C-contiguous wherever the op is used (parameters).
        value_shapes: shapes of outputs depend on values of inputs, so they are unknown until the op runs.
        gradient: False where numeric gradients mean nothing (a step function, a kink).
    """

    def __init__(
        self,
        type,
        inputs,
        expected=None,
        *,
        attrs=None,
        batch=(),
        constants=(),
        contiguous=(),
        value_shapes=False,
        check=None,
        gradient=True,
    ):
        self.type, self.inputs, self.expected, self.attrs = type, inputs, expected, dict(attrs or {})
        self.batch, self.constants, self.contiguous = tuple(batch), tuple(constants), tuple(contiguous)
        self.value_shapes, self.check, self.gradient = value_shapes, check, gradient
        if (expected is None) == (check is None):
            raise ValueError(f"a sample of {type} needs `expected` or `check`")
        for slot, value in inputs.items():
            for item in as_tuple(value):
                _refuse_equal_dims(type, slot, item)

    @property
    def has_floats(self):
        """Whether the float dtype makes a difference."""
        return any(item.dtype.kind == "f" for value in self.inputs.values() for item in as_tuple(value))

    def arrays(self, dtype, n=None):
        """New inputs with floats of `dtype`; with `n`, only that many rows of the batch."""
        inputs = {slot: map_value(value, lambda a: cast(a, dtype)) for slot, value in self.inputs.items()}
        if n is not None:
            inputs |= {slot: map_value(inputs[slot], lambda a: a[:n].copy()) for slot in self.batch}
        return inputs

    def oracle(self, inputs):
        """The outputs, by slot."""
        with np.errstate(all="ignore"):
            expected = self.expected(**{slot: map_value(value, widen) for slot, value in inputs.items()})
        return expected if isinstance(expected, dict) else {get_op(self.type).outputs[0].name: expected}


def add(*args, **options):
    """Make a `Sample` and add it to the table."""
    sample = Sample(*args, **options)
    _samples.setdefault(sample.type, []).append(sample)


def load_samples():
    """{op type: samples}, from all tables."""
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("samples_"):
            importlib.import_module(f"{__package__}.{module.name}")
    return _samples


def family_of(type):
    """The family of an op: the module that defines it."""
    return get_op(type).__module__.rpartition(".")[2]


def families():
    """All families of the table that have samples."""
    return sorted({family_of(type) for type in op_types() if type not in NOT_SAMPLED})


def uniform(*shape, seed=0, low=-1.0, high=1.0):
    """Floats in [low, high), float64."""
    return np.random.RandomState([seed, *shape]).uniform(low, high, shape)


class Sequences(np.ndarray):
    """An array with LoD: what a slot that takes whole LoDTensors gets in a sample, and gives in what is expected."""

    lod_offsets = ()

    def __array_finalize__(self, source):
        self.lod_offsets = getattr(source, "lod_offsets", ())


def sequences(array, *lod):
    """`array` with the given levels of offsets."""
    view = np.asarray(array).view(Sequences)
    view.lod_offsets = as_offsets(lod)
    return view


def lod_of(value):
    """The offsets of a value, as nested lists; [] for what has none."""
    return [level.tolist() for level in getattr(value, "lod_offsets", ())]


def rows(ids, width, height, seed=0):
    """A SelectedRows with values in [-1, 1)."""
    return SelectedRows(ids, uniform(len(ids), width, seed=seed), height)


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def map_value(value, function):
    """The function of a value, or of each value of a slot that takes many."""
    return tuple([function(v) for v in value]) if isinstance(value, tuple) else function(value)


def cast(value, dtype):
    """A new C-contiguous copy; floats become `dtype`."""
    if isinstance(value, SelectedRows):
        return value.astype(dtype)
    return np.array(value, dtype if value.dtype.kind == "f" else None, order="C", subok=True)


def widen(value):
    """A copy with floats as float64."""
    return cast(value, np.float64)


def dense(value):
    """The array that a value stands for."""
    return value.to_dense() if isinstance(value, SelectedRows) else value


def _refuse_equal_dims(type, slot, value):
    dims = [d for d in value.shape if d > 1]
    if not isinstance(value, SelectedRows) and len(set(dims)) != len(dims):
        raise ValueError(f"{slot} of a sample of {type} has equal dimensions, {value.shape}: a swap could hide")
