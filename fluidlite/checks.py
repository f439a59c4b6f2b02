"""What a plan checks while it runs, and what it says of an error: which op, which variables, where the user made it."""

import numpy as np

from .errors import (
    EnforceNotMet,
    InvalidArgumentError,
    InvalidTypeError,
    NonFiniteError,
    OutOfRangeError,
    ResourceExhaustedError,
    UnavailableError,
    format_site,
)
from .hash_table import HashTable, TableState
from .lazy_rows import LazyRows
from .selected_rows import SelectedRows
from .step import Step, cells_of
from .tables import RowState


def nan_check(step):
    """A step that refuses NaN and infinity in what `step` has made."""
    op = step.op
    cells = [(n, c) for out in step.outs for n, c in zip(_out_names(op, step, out), cells_of(out), strict=True)]

    def call():
        for name, cell in cells:
            value = _numbers(cell.value)
            if value is None or value.dtype.kind != "f" or np.isfinite(value).all():
                continue
            bad = value[~np.isfinite(value)]
            raise NonFiniteError(
                f"Op {op.type} made a NaN or an infinity in its output {name!r}.",
                expected="finite numbers",
                actual=f"{bad.size} of {value.size} elements, the first is {bad[0]}",
                where=format_site(op.site),
                hint="it is the first op in this run that did (FLAGS_check_nan_inf is on).",
            )

    return Step(call, op, step.ins, step.outs)


def _numbers(value):
    """All the numbers that a variable holds, as one array; None of what is no tensor."""
    if isinstance(value, SelectedRows):
        return value.value
    if isinstance(value, RowState):
        return value.touched_values()
    if isinstance(value, HashTable | TableState):
        return value.live_rows()[1:]
    if isinstance(value, LazyRows):
        return value.array
    return value if isinstance(value, np.ndarray) else None


def _out_names(op, step, out):
    slot = op.definition.outputs[step.outs.index(out)].name
    return op.outputs.get(slot) or ["(unused)"]


def check_read(value, dtype, shape, name, op, slot):
    """Refuse a persistable variable that cannot be what the program says."""
    if value is None:
        reader = f" the {op.type} Op's Input Variable {slot}({name})" if op else f" Variable {name!r}"
        raise UnavailableError(
            f"The Tensor in{reader} is not initialized.",
            where=format_site(op.site) if op else None,
            hint="run the startup program first (exe.run(fluid.default_startup_program())), or load a model.",
        )
    if value.dtype != dtype:
        raise InvalidTypeError(
            f"Variable {name!r} holds another data type than the program says.",
            expected=str(dtype),
            actual=str(value.dtype),
            where=format_site(op.site) if op else None,
            hint=f"set it from an array of that dtype: tensor.set(array.astype({dtype.name!r})).",
        )
    if shape is not None and value.shape != shape:
        raise InvalidArgumentError(
            f"Variable {name!r}, input {slot} of op {op.type}, has another shape than the program says.",
            expected=str(shape),
            actual=str(value.shape),
            where=format_site(op.site),
        )


_KINDS = (
    (IndexError, OutOfRangeError),
    (TypeError, InvalidTypeError),
    (MemoryError, ResourceExhaustedError),
    (ValueError, InvalidArgumentError),
)


def explain(error, step):
    """Say which op of the user's program an error belongs to, and where the user made it."""
    op = step.op
    if isinstance(error, EnforceNotMet):
        if error.where is None:
            error.where = format_site(op.site)
        return
    if op.definition.user_code:
        error.add_note(f"in op {op.type}, {format_site(op.site)}")
        return
    shapes = []
    for slot, cell in zip(op.definition.inputs, step.ins, strict=True):
        for name, c in zip(op.inputs.get(slot.name, ()), cells_of(cell), strict=False):
            shapes.append(f"{slot.name}={name} {getattr(c.value, 'shape', None)}")
    for builtin, ours in _KINDS:
        if isinstance(error, builtin):
            raise ours(
                f"Op {op.type} cannot run: {error}.", actual=", ".join(shapes), where=format_site(op.site)
            ) from error
    error.add_note(f"in op {op.type} ({', '.join(shapes)}), {format_site(op.site)}")
