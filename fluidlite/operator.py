"""Operator: one op of a block, as data, and what it does to the variables it writes."""

import numpy as np

from .errors import InvalidTypeError, user_site
from .ops.registry import EMPTY, Meta, OpSpec, check_dtypes, get_op
from .variable import Parameter, Variable


class OpRole:
    """Why an op is in the program; numbers as in Fluid's files, combined by `|`."""

    FORWARD = 0
    BACKWARD = 1
    OPTIMIZE = 2
    LR_SCHEDULE = 16
    LOSS = 256


class Operator:
    """One op of a block: a type, variables by slot, attributes, and the place in the user's code that made it."""

    def __init__(self, block, type, inputs, outputs, attrs):
        self.block = block
        self.definition = get_op(type)
        self.type = type
        self.inputs, self.outputs = inputs, outputs
        self.attrs = {**self.definition.attrs, **attrs}
        self.site = user_site()

    @property
    def spec(self):
        """The op as plain data."""
        return OpSpec(self.type, self.inputs, self.outputs, self.attrs)

    @property
    def input_names(self):
        return list(self.inputs)

    @property
    def output_names(self):
        return list(self.outputs)

    @property
    def input_arg_names(self):
        return [name for names in self.inputs.values() for name in names]

    @property
    def output_arg_names(self):
        return [name for names in self.outputs.values() for name in names]

    def input(self, name):
        """The variable names in an input slot."""
        return list(self.inputs.get(name, ()))

    def output(self, name):
        """The variable names in an output slot."""
        return list(self.outputs.get(name, ()))

    @property
    def attr_names(self):
        return list(self.attrs)

    def has_attr(self, name):
        return name in self.attrs

    def attr(self, name):
        """An attribute's value."""
        return self.attrs[name]

    def all_attrs(self):
        """A dict of the attributes; a change of it changes nothing in the op."""
        return dict(self.attrs)

    @property
    def idx(self):
        """The op's place in its block."""
        return next(i for i, op in enumerate(self.block.ops) if op is self)

    @property
    def changes_rows_only(self):
        """Whether an update leaves alone what a SelectedRows gradient does not name."""
        rows_only = self.definition.rows_only
        return self.attrs.get(rows_only, False) if isinstance(rows_only, str) else rows_only

    def _set_attr(self, name, value):
        self.attrs[name] = value
        self.block.program._changed()

    def replaced(self, type, inputs, outputs, attrs):
        """Another op at this one's place in the user's code. It stands in a plan, not in the block."""
        new = Operator.__new__(Operator)
        definition = get_op(type)
        new.__dict__.update(
            self.__dict__,
            type=type,
            definition=definition,
            inputs=inputs,
            outputs=outputs,
            attrs={**definition.attrs, **attrs},
        )
        return new

    def bound(self):
        """A new `OpDef` with this op's attributes and names."""
        return self.definition(self.attrs, {**self.inputs, **self.outputs})

    def infer(self):
        """Write shapes, dtypes, types and LoD levels of the outputs."""
        definition, find = self.definition, self.block._find_var_recursive
        metas, sources = [], {}
        for slot in definition.inputs:
            variables = [find(name) for name in self.inputs.get(slot.name, ())]
            slot_metas = [Meta(v.shape, v.dtype, v.type, v.lod_level) for v in variables]
            check_dtypes(definition, slot, slot_metas, [v.name for v in variables])
            metas.append(tuple(slot_metas) if slot.many else (slot_metas[0] if slot_metas else None))
            sources[slot.name] = variables
        bound = self.bound()
        inferred = bound.infer_shape(*metas)
        if len(definition.outputs) == 1:
            inferred = (inferred,)
        lod_level = 0
        if bound.lod_from and sources[bound.lod_from]:
            lod_level = sources[bound.lod_from][0].lod_level
        for slot, given in zip(definition.outputs, inferred, strict=True):
            names = self.outputs.get(slot.name, ())
            for name, meta in zip(names, given if slot.many else (given,) * len(names), strict=True):
                if meta is not None and name != EMPTY:
                    keeps_lod = definition.lod_to is None or slot.name in definition.lod_to
                    level = meta.lod_level if slot.lod else lod_level if keeps_lod else 0
                    self._write(find(name), meta, level)

    def _write(self, variable, meta, lod_level):
        if variable.op is None or variable.op is not self:
            variable.op = self
        if isinstance(variable, Parameter) or (variable.persistable and variable.shape is not None):
            return
        variable.shape, variable.dtype, variable.type = meta.shape, meta.dtype, meta.type
        variable.lod_level = max(variable.lod_level, lod_level) if variable.is_data else lod_level

    def to_string(self, throw_on_error=True):
        def show(slots):
            return ", ".join(f"{slot}=[{', '.join(names)}]" for slot, names in slots.items())

        attrs = ", ".join(f"{k}={_short(v)}" for k, v in sorted(self.attrs.items()) if not k.startswith("op_"))
        return f"{{{show(self.outputs)}}} = {self.type}({show(self.inputs)}){' ' + attrs if attrs else ''}"

    __str__ = to_string

    def __repr__(self):
        return f"<Operator {self.to_string()}>"


def _short(value):
    """An attribute for reading; arrays by their size."""
    return f"<{value.size} numbers>" if isinstance(value, np.ndarray) else repr(value)


def slot_names(slots):
    """Slots as {slot: [names]}, from variables, names, or lists of either. Empty slots are dropped."""
    result = {}
    for slot, given in (slots or {}).items():
        items = given if isinstance(given, list | tuple) else [] if given is None else [given]
        names = [item.name if isinstance(item, Variable) else item for item in items]
        for name in names:
            if not isinstance(name, str):
                raise InvalidTypeError(
                    f"{slot} of an op must be variables or their names.", actual=f"{name!r} ({type(name).__name__})"
                )
        if names:
            result[slot] = names
    return result
