"""Running ops without a program: one op, the grad ops of an op, and the cases that the grid is made of."""

import functools

import numpy as np

from fluidlite.buffers import Buffer
from fluidlite.dtypes import VarType, canonical_dtype, numpy_dtype
from fluidlite.lod_tensor import LoDTensor
from fluidlite.ops.registry import EMPTY, GRAD_SUFFIX, Meta, OpSpec, get_op, grad_name
from fluidlite.selected_rows import SelectedRows

from .grid import as_tuple, lod_of, map_value, sequences, widen


class GarbageBuffer(Buffer):
    """A buffer that hands out memory full of NaN or of wrong numbers, so that nothing can rely on what was there."""

    def __call__(self, shape):
        given = super().__call__(shape)
        given.fill(np.nan if given.dtype.kind == "f" else 99)
        return given


class AliasBuffer(Buffer):
    """A buffer whose memory is that of an input."""

    def __init__(self, array):
        super().__init__(array.dtype)
        self.array = array

    def __call__(self, shape):
        assert shape == self.array.shape, f"asked for {shape} in place of {self.array.shape}"
        return self.array


def _meta_of(value, unknown):
    kind = VarType.SELECTED_ROWS if isinstance(value, SelectedRows) else VarType.LOD_TENSOR
    shape = tuple([-1 if i in unknown else d for i, d in enumerate(value.shape)])
    return Meta(shape, canonical_dtype(value.dtype), kind, len(lod_of(value)))


def infer(op, inputs, unknown=None):
    """{output slot: Meta, or tuple of them}; `unknown` maps input slots to tuples of sets of unknown dimensions."""
    metas = []
    for slot in op.inputs:
        values = as_tuple(inputs[slot.name]) if inputs.get(slot.name) is not None else ()
        hidden = (unknown or {}).get(slot.name) or ((),) * len(values)
        given = tuple([_meta_of(v, h) for v, h in zip(values, hidden, strict=True)])
        metas.append(given if slot.many else given[0] if given else None)
    inferred = op.infer_shape(*metas)
    return dict(zip([s.name for s in op.outputs], (inferred,) if len(op.outputs) == 1 else inferred, strict=True))


def make_op(type, attrs):
    """A definition as the plan binds it."""
    op = get_op(type)(attrs)
    if op.random:
        op.seed, op.stream = 11, 13
    return op


def run_op(type, attrs, inputs, *, unwanted=(), buffers=None):
    """{output slot: value, or tuple of them}. `unwanted`: output slots that get None instead of a buffer."""
    op = make_op(type, attrs)
    given = {}
    for slot, meta in infer(op, inputs).items():
        # What is updated where it lies needs no buffer.
        none = slot in unwanted or slot in op.updates
        make = (lambda m: None) if none else (lambda m: m and GarbageBuffer(numpy_dtype(m.dtype)))
        given[slot] = map_value(meta if not isinstance(meta, Meta) else (meta,), make)
        if isinstance(meta, Meta):
            (given[slot],) = given[slot]
    given |= buffers or {}
    values = []
    for slot in op.inputs:
        value = inputs.get(slot.name)
        if slot.lod and value is not None:
            value = map_value(value, lambda v: LoDTensor(np.asarray(v), getattr(v, "lod_offsets", ())))
        values.append((as_tuple(value) if value is not None else ()) if slot.many else value)
    with np.errstate(all="ignore"):  # as the plan does
        results = op.run(*values, *given.values())
    results = dict(zip([s.name for s in op.outputs], (results,) if len(op.outputs) == 1 else results, strict=True))
    for slot in op.outputs:
        if slot.lod and results[slot.name] is not None:
            results[slot.name] = map_value(
                results[slot.name], lambda t: None if t is None else sequences(t.value, *t.lod_offsets)
            )
    return results


# ---------------------------------------------------------------------------------------------------------- gradients


def _names(slots, values):
    """{slot: names of variables}, for the slots that have a value."""
    return {
        s.name: [f"{s.name}{k}" for k in range(len(as_tuple(values[s.name])))]
        for s in slots
        if values.get(s.name) is not None
    }


def _gather(names, env, many):
    return tuple([env[n] for n in names]) if many else env[names[0]]


class Backward:
    """The gradient of one sample: runs the op, then what its `make_grad` asks for.

    Attributes:
        specs: the grad ops.
        env: values by variable name; the inputs are <slot><k>.
        wanted: names of the outputs whose gradients the grad ops read.
    """

    def __init__(self, sample, inputs):
        self.op = get_op(sample.type)
        outputs = run_op(sample.type, sample.attrs, {s: map_value(v, lambda a: a.copy()) for s, v in inputs.items()})
        ins, outs = _names(self.op.inputs, inputs), _names(self.op.outputs, outputs)
        attrs = {**self.op.attrs, **sample.attrs}
        self.specs = make_op(sample.type, sample.attrs).make_grad(OpSpec(sample.type, ins, outs, attrs))
        self.env = {}
        for names, values in ((ins, inputs), (outs, outputs)):
            for slot, slot_names in names.items():
                self.env |= dict(zip(slot_names, as_tuple(values[slot]), strict=True))
        made = {n for spec in self.specs for names in spec.outputs.values() for n in names}
        read = [n for spec in self.specs for names in spec.inputs.values() for n in names]
        self.wanted = [n.removesuffix(GRAD_SUFFIX) for n in read if n.endswith(GRAD_SUFFIX) and n not in made]
        self.wanted = list(dict.fromkeys(self.wanted))

    def seed(self, spread=False):
        """Give every output a gradient: random numbers, or one number in every place, all strides zero."""
        for i, name in enumerate(self.wanted):
            value = self.env[name]
            # Numbers near zero would hide errors.
            grad = np.random.RandomState(i + 1).uniform(0.5, 1.5, value.shape).astype(value.dtype)
            if spread:
                grad = np.broadcast_to(np.array(0.75 + i, value.dtype), value.shape)
            self.env[grad_name(name)] = sequences(grad, *lod_of(value)) if lod_of(value) else grad
        return self

    def inputs_of(self, spec):
        """{slot: value} of a grad op."""
        slots = {s.name: s for s in get_op(spec.type).inputs}
        return {slot: _gather(names, self.env, slots[slot].many) for slot, names in spec.inputs.items() if names}

    def run(self, count=None):
        """Run the grad ops, or the first `count` of them, and return {input name: its gradient}."""
        grads = {}
        for spec in self.specs[:count]:
            slots = {s.name: s for s in get_op(spec.type).outputs}
            unwanted = [s for s in slots if s not in spec.outputs]
            results = run_op(spec.type, spec.attrs, self.inputs_of(spec), unwanted=unwanted)
            for slot, names in spec.outputs.items():
                for name, value in zip(names, as_tuple(results[slot]), strict=True):
                    if name != EMPTY:
                        self.env[name] = grads[name.removesuffix(GRAD_SUFFIX)] = value
        return grads


# -------------------------------------------------------------------------------------------------------------- cases


class Case:
    """One op to run: that of a sample (`index` None), or one of the grad ops of the sample."""

    def __init__(self, sample, index=None):
        self.sample, self.index = sample, index
        self.type, self.attrs = sample.type, sample.attrs
        if index is not None:
            spec = Backward(sample, sample.arrays("float64")).specs[index]
            self.type, self.attrs = spec.type, spec.attrs

    @property
    def op(self):
        return get_op(self.type)

    def inputs(self, dtype, n=None):
        """New inputs by slot."""
        given = self.sample.arrays(dtype, n)
        if self.index is None:
            return given
        backward = Backward(self.sample, given).seed()
        backward.run(self.index)
        inputs = backward.inputs_of(backward.specs[self.index])
        return {slot: map_value(value, lambda a: a.copy()) for slot, value in inputs.items()}

    def run(self, inputs, **options):
        return run_op(self.type, self.attrs, inputs, **options)

    def oracle(self, inputs):
        """The outputs by slot, in float64; of a grad op, which the numeric gradient has checked, its own."""
        if self.index is None:
            return self.sample.oracle(inputs)
        return self.run({slot: map_value(value, widen) for slot, value in inputs.items()})


@functools.cache
def cases_of(sample):
    """The op of a sample and its grad ops."""
    differentiable = get_op(sample.type).differentiable
    count = len(Backward(sample, sample.arrays("float64")).specs) if differentiable and _has_gradient(sample) else 0
    return [Case(sample), *[Case(sample, i) for i in range(count)]]


def _has_gradient(sample):
    first = next(iter(run_op(sample.type, sample.attrs, sample.arrays("float64")).values()))
    return as_tuple(first)[0].dtype.kind == "f"
