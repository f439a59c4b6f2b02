"""Which memory each variable of a plan uses: lifetimes, sharing, and what may be written over.

Fewer live megabytes are faster than any other saving, so temporaries that never live at the same time share memory,
and an op that works element by element writes over an input that nobody reads again.
"""

import math
from collections import Counter

from .buffers import Buffer, FreshBuffer, Storage
from .dtypes import numpy_dtype
from .ops.registry import EMPTY, GRAD_SUFFIX
from .tables import StateBuffer, wants_row_state


class _Lifetimes:
    """Until which op each variable's memory is in use: variables that may be views of one another end together."""

    def __init__(self, ops, fetches):
        self.parent, self.last = {}, {}
        for k, op in enumerate(ops):
            for name in op.input_arg_names + op.output_arg_names:
                self.use(name, k)
            for out, sources in op.definition.views.items():
                for source in sources if isinstance(sources, tuple) else (sources,):
                    for name in op.outputs.get(out, ()):
                        for origin in op.inputs.get(source, ()):
                            self.join(name, origin)
        for name in fetches:
            self.use(name, len(ops))

    def root(self, name):
        while self.parent.get(name, name) != name:
            name = self.parent[name]
        return name

    def use(self, name, k):
        root = self.root(name)
        self.last[root] = max(self.last.get(root, -1), k)

    def join(self, a, b):
        a, b = self.root(a), self.root(b)
        if a != b:
            self.parent[a] = b
            self.last[b] = max(self.last.get(a, -1), self.last.get(b, -1))

    def last_use(self, name):
        return self.last[self.root(name)]


def place_buffers(block, ops, fetches):
    """{(id of op, output name): buffer}. Temporaries with disjoint lifetimes and equal row sizes share memory."""
    lives = _Lifetimes(ops, fetches)
    persistable = {n for n, v in block.vars.items() if v.persistable}
    # A gradient that nobody reads is not computed: an op takes the missing buffer as "not wanted".
    read = {name for op in ops for name in op.input_arg_names} | persistable | fetches
    unread = {n for op in ops for n in op.output_arg_names if n.endswith(GRAD_SUFFIX)} - read
    writes = Counter(name for op in ops for name in op.output_arg_names)
    buffers, storages, free, ending = {}, {}, {}, {}
    for k, op in enumerate(ops):
        definition, reused = op.definition, set()
        for slot in definition.outputs:
            for name in op.outputs.get(slot.name, ()):
                if name == EMPTY or slot.name in definition.updates or name in unread:
                    continue
                variable = block._find_var_recursive(name)
                if variable.dtype is None:
                    continue
                dtype = numpy_dtype(variable.dtype)
                if name in persistable:
                    by_row = variable.row_state and wants_row_state(variable.shape, dtype)
                    make = StateBuffer if by_row else FreshBuffer
                    buffers[id(op), name] = make(dtype, f"Variable {name!r} of shape {variable.shape}")
                    continue
                if slot.name in definition.views or _read_and_written(op, slot.name, name) or is_constant(op, writes):
                    buffers[id(op), name] = Buffer(dtype)
                    continue
                if name not in storages:
                    size = _row_bytes(variable)
                    source = _overwritten(op, slot.name, lives, storages, reused, k, size, block)
                    if source is not None:
                        storages[name] = storages[source]
                        reused.add(source)
                    else:
                        storages[name] = free[size].pop() if free.get(size) else Storage()
                    ending.setdefault(max(lives.last_use(name), k), []).append((name, size))
                buffers[id(op), name] = Buffer(dtype, storages[name])
        for name, size in ending.pop(k, ()):
            if name not in reused:
                free.setdefault(size, []).append(storages[name])
    return buffers


def is_constant(op, writes):
    """Whether an op gives the same in every run, to a variable that nobody else writes; `writes` counts writers."""
    return op.definition.constant and not op.input_arg_names and all(writes[n] == 1 for n in op.output_arg_names)


def _read_and_written(op, slot, name):
    """Whether an op that does not work element by element writes a variable that it also reads."""
    return name in op.input_arg_names and slot not in op.definition.inplace


def _overwritten(op, slot, lives, storages, reused, k, size, block):
    """The input that is not used after this op and whose memory this output may overwrite, or None."""
    source = op.definition.inplace.get(slot)
    names = op.inputs.get(source, ()) if source is not None else ()
    if len(names) != 1 or names[0] not in storages or names[0] in reused:
        return None
    # Another input may be a part of the same memory, which would change under the op while it reads.
    others = [name for slot, given in op.inputs.items() for name in given if slot != source]
    if any(lives.root(name) == lives.root(names[0]) for name in others):
        return None
    same_size = _row_bytes(block._find_var_recursive(names[0])) == size
    return names[0] if same_size and lives.last_use(names[0]) == k else None


def _row_bytes(variable):
    """What is known of a variable's size: bytes for one unit of the unknown dimensions, and how many those are."""
    known = [d for d in variable.shape if d != -1]
    return math.prod(known) * numpy_dtype(variable.dtype).itemsize, len(variable.shape) - len(known)


def views_to_copy(block, ops, fetches):
    """(id of op, output name) of the views that must not stay views.

    Those are persistable variables, whose memory is theirs, and views of a parameter that are read or fetched after an
    op has changed the parameter where it lies.
    """
    copies = set()
    changed_at = {}
    for k, op in enumerate(ops):
        for out in op.definition.updates:
            for name in op.outputs.get(out, ()):
                changed_at.setdefault(name, k)
    for k, op in enumerate(ops):
        for out, sources in op.definition.views.items():
            origins = {n for s in (sources if isinstance(sources, tuple) else (sources,)) for n in op.inputs.get(s, ())}
            for name in op.outputs.get(out, ()):
                if name == EMPTY:
                    continue
                change = min((changed_at[n] for n in origins if n in changed_at), default=None)
                if block._find_var_recursive(name).persistable or (
                    change is not None
                    and change > k
                    and (name in fetches or any(name in later.input_arg_names for later in ops[change:]))
                ):
                    copies.add((id(op), name))
                elif change is not None and change > k:
                    # A view of this view shows the same memory.
                    changed_at[name] = change
    return copies
