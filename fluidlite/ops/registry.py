"""What an op is: the contract of `OpDef`, and the table of all ops.

An op is one class that says everything about it: slots, attributes with defaults, inference of shapes, arithmetic,
gradient, and what the plan may do with its memory. `register_op` checks that these agree when the module is imported.
"""

from collections import namedtuple

import numpy as np

from ..dtypes import VarType, dtype_name
from ..errors import InvalidArgumentError, InvalidTypeError, NotFoundError, nearest

GRAD_SUFFIX = "@GRAD"
# Stands in a list of variable names for a gradient that nobody wants (Fluid's name for it).
EMPTY = "@EMPTY@"


def grad_name(name):
    """The name of a variable's gradient."""
    return name + GRAD_SUFFIX


class Meta(namedtuple("Meta", ["shape", "dtype", "type", "lod_level"], defaults=[VarType.LOD_TENSOR, 0])):
    """What is known of a variable before anything runs: shape (-1: known at run time only), data type, kind, levels.

    Of an output, `lod_level` counts in slots that make LoD (`Slot.lod`); elsewhere `OpDef.lod_from` decides.
    """

    __slots__ = ()


class OpSpec(namedtuple("OpSpec", ["type", "inputs", "outputs", "attrs"])):
    """An op to be appended: slots map to lists of variable names. What `make_grad` returns, and an Operator's core."""

    __slots__ = ()


class Slot:
    """A named place for variables in an op.

    Args:
        name: Fluid's name of the slot.
        many: takes a list of variables; `run` then gets a tuple.
        optional: may be left out; `run` then gets None.
        rows: also accepts (input) or may hold (output) a SelectedRows.
        row_state: also accepts a RowState; all others get it as an array.
        table: also accepts a HashTable, a table of any ids.
        lod: `run` takes (input) or gives (output) the LoDTensor, array and offsets, instead of the array alone.
        dtypes: 'float', 'int', 'any', or a tuple of VarType; checked when the op is appended.
    """

    __slots__ = ("name", "many", "optional", "rows", "row_state", "table", "lod", "dtypes")

    def __init__(
        self, name, *, many=False, optional=False, rows=False, row_state=False, table=False, lod=False, dtypes="any"
    ):
        self.name, self.many, self.optional = name, many, optional
        self.rows, self.row_state, self.table, self.lod, self.dtypes = rows, row_state, table, lod, dtypes

    def admits(self, dtype):
        """Whether a data type may stand in this slot."""
        if self.dtypes == "any":
            return True
        if self.dtypes == "float":
            return dtype in (VarType.FP32, VarType.FP64)
        if self.dtypes == "int":
            return dtype in (VarType.INT32, VarType.INT64)
        return dtype in self.dtypes

    def words(self):
        """The admitted data types, in words."""
        if isinstance(self.dtypes, str):
            return {"float": "float32 or float64", "int": "int32 or int64", "any": "any"}[self.dtypes]
        return " or ".join(dtype_name(d) for d in self.dtypes)


class OpDef:
    """Base of all op definitions. An instance is one op of one program: it holds the attributes and variable names.

    Class attributes
        type: Fluid's op type.
        inputs, outputs: tuples of `Slot`, in the order of the arguments of `run` and of its results.
        attrs: {name: default}; the attributes that the arithmetic depends on. Others are kept but ignored.
        lod_from: the input slot whose (first variable's) LoD the outputs take over, or None when LoD is dropped. What
            has another number of rows when it runs takes over none.
        lod_to: the output slots that take it over; None for all.
        inplace: {output slot: input slot} whose memory the output may overwrite, element by element.
        views: {output slot: input slot, or several} whose memory the output may share without writing to it.
        updates: {output slot: input slot} that are one variable, changed where it lies (parameters, counters).
        rows_only: an update that changes, with a SelectedRows ``Grad``, no other rows than those of its ``updates``:
            True, or the name of the attribute that says so.
        differentiable: False for ops whose output is no smooth function of any input, and for grad ops.
        random: draws random numbers; the plan sets `seed` and `stream` before it runs, `stream` anew for each run
            unless a persistable variable is written (initialization).
        side_effect: is kept by the plan even if nobody reads its outputs.
        constant: without inputs, its outputs depend on the attributes alone; the plan runs it once.
        block: runs the block in its attribute ``sub_block``. `run` then takes, after the inputs, a function that runs
            the block instead of output buffers, and returns nothing: the outputs are what the block writes.
        user_code: runs code of the user, whose errors are raised as they are.
        warns: NumPy may warn of what its arithmetic meets (0/0, overflow); False where only kernels compute.

    Methods
        infer_shape(*input metas) -> Meta, or one per output slot; called when the op is appended.
        run(*input arrays, *output buffers) -> array, or one per output slot. A buffer is called with a shape and gives
            an array to write to (see buffers.py); it is None for a gradient that nobody wants and for an optional
            output that was not given. Inputs are never written to, except through `updates` and `inplace`.
        make_grad(spec) -> list of OpSpec that compute the gradients of the inputs.
        row_initializer() -> how a table of any ids gets the rows that this op would fill, or None if it cannot.
    """

    type = None
    inputs = ()
    outputs = ()
    attrs = {}
    lod_from = None
    lod_to = None
    inplace = {}
    views = {}
    updates = {}
    rows_only = False
    differentiable = True
    random = False
    side_effect = False
    constant = False
    block = False
    user_code = False
    warns = True

    seed = 0
    stream = 0

    def __init__(self, attrs=None, names=None):
        given = attrs or {}
        self.attr = {name: given.get(name, default) for name, default in self.attrs.items()}
        self.names = names or {}

    def var(self, slot):
        """The variable in a slot, quoted, for messages; the slot's own name when the op stands alone."""
        names = self.names.get(slot)
        return repr(", ".join(names)) if names else f"input {slot}"

    def infer_shape(self, *metas):
        raise NotImplementedError

    def run(self, *args):
        raise NotImplementedError

    def make_grad(self, spec):
        raise NotImplementedError

    def row_initializer(self):
        return None

    def fail(self, summary, *, expected=None, actual=None, hint=None, error=InvalidArgumentError):
        """Raise an error of this op; whoever runs or appends it adds where it was made."""
        raise error(f"{self.type}: {summary}", expected=expected, actual=actual, hint=hint)


def grad_spec(spec, *, inputs=(), outputs=(), out_grads=("Out",), in_grads=("X",), type=None):
    """The usual form of a grad op: some inputs and outputs of the op, gradients of outputs -> gradients of inputs."""
    ins = {slot: list(spec.inputs[slot]) for slot in inputs if spec.inputs.get(slot)}
    ins |= {slot: list(spec.outputs[slot]) for slot in outputs if spec.outputs.get(slot)}
    ins |= {grad_name(slot): [grad_name(n) for n in spec.outputs[slot]] for slot in out_grads}
    outs = {grad_name(slot): [grad_name(n) for n in spec.inputs[slot]] for slot in in_grads if spec.inputs.get(slot)}
    return OpSpec(type or spec.type + "_grad", ins, outs, dict(spec.attrs))


def contiguous_in(array, source):
    """`source` as a C-contiguous array of the shape of `array`: itself, or copied into `array`, which is free memory.

    Spread gradients and views have no memory of their own that a kernel could walk through.
    """
    if source.flags.c_contiguous:
        return source.reshape(array.shape)
    np.copyto(array, source.reshape(array.shape))
    return array


_ops = {}


def register_op(cls):
    """Class decorator: check that the parts of an op definition agree, and add it to the table."""

    def refuse(why):
        raise TypeError(f"op definition {cls.__name__}: {why}")

    ins, outs = [s.name for s in cls.inputs], [s.name for s in cls.outputs]
    if not cls.type or cls.type in _ops:
        refuse(f"type {cls.type!r} is missing or taken")
    if not cls.__doc__:
        refuse("has no documentation")
    if not outs or len(set(ins)) != len(ins) or len(set(outs)) != len(outs):
        refuse("needs outputs, and slot names that differ")
    if cls.lod_from is not None and cls.lod_from not in ins:
        refuse(f"lod_from names no input slot: {cls.lod_from}")
    for kind in ("inplace", "views", "updates"):
        for out, sources in getattr(cls, kind).items():
            for source in sources if isinstance(sources, tuple) else (sources,):
                if out not in outs or source not in ins:
                    refuse(f"{kind} names no slot: {out} <- {source}")
    given = 1 if cls.block else len(outs)
    for method, count in (("infer_shape", len(ins)), ("run", len(ins) + given)):
        code = getattr(cls, method).__code__
        if code.co_flags & 0x04:  # *args; `inspect` would say so too, at twice the cost of the whole import
            refuse(f"{method} must name its arguments")
        if code.co_argcount - 1 != count:
            refuse(f"{method} takes {code.co_argcount - 1} arguments, but the slots make {count}")
    if cls.differentiable == (cls.make_grad is OpDef.make_grad):
        refuse("has to define make_grad or say differentiable = False, and not both")
    _ops[cls.type] = cls
    return cls


def get_op(type):
    """The definition of an op type."""
    try:
        return _ops[type]
    except KeyError:
        raise NotFoundError(f"There is no op of type {type!r}.", hint=nearest(type, _ops)) from None


def op_types():
    """All registered op types, sorted."""
    return sorted(_ops)


def check_slots(definition, kind, given):
    """Refuse unknown, missing and overfull slots; `given` maps slot names to lists."""
    slots = {slot.name: slot for slot in (definition.inputs if kind == "input" else definition.outputs)}
    for name in given:
        if name not in slots:
            raise InvalidArgumentError(
                f"Op {definition.type} has no {kind} {name!r}.", expected=", ".join(slots), hint=nearest(name, slots)
            )
    for slot in slots.values():
        count = len(given.get(slot.name) or ())
        if count == 0 and not slot.optional and not (kind == "output" and slot.name.endswith(GRAD_SUFFIX)):
            raise InvalidArgumentError(f"Op {definition.type} needs the {kind} {slot.name!r}, which is missing.")
        if count > 1 and not slot.many:
            raise InvalidArgumentError(
                f"Op {definition.type} takes one variable as {slot.name!r}.", actual=f"{count} variables"
            )


def check_dtypes(definition, slot, metas, names):
    """Refuse a variable whose data type or kind a slot does not admit."""
    for meta, name in zip(metas, names, strict=True):
        if meta.type == VarType.SELECTED_ROWS and not slot.rows:
            raise InvalidTypeError(
                f"Op {definition.type} does not take {name!r} as {slot.name}: it is a SelectedRows, not a tensor.",
                expected="LOD_TENSOR",
                actual="SELECTED_ROWS",
                hint="use is_sparse=False in the embedding, or an op that takes sparse gradients.",
            )
        if not slot.admits(meta.dtype):
            raise InvalidTypeError(
                f"The data type of {name!r}, input {slot.name} of op {definition.type}, is not supported.",
                expected=slot.words(),
                actual=dtype_name(meta.dtype),
                hint="use layers.cast.",
            )
