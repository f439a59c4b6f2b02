"""From a program, its feeds and its fetches to a Plan: a flat list of bound calls over placed buffers.

Everything that does not change from step to step is decided here, once: which ops run, which memory each variable
uses and shares, which cells of the Scope are read and written, where LoD has to be carried along.
"""

import contextlib
import functools
import math
from collections import Counter

import numpy as np

from . import flags, profiler
from .buffers import Buffer, FreshBuffer, check_memory
from .checks import check_read, explain, nan_check
from .distributed.current import current
from .dtypes import dtype_name, numpy_dtype
from .errors import NotFoundError, ResourceExhaustedError, format_site, nearest
from .fusion import fuse
from .lod_tensor import LoDTensor
from .ops.registry import EMPTY
from .placement import is_constant, place_buffers, views_to_copy
from .scope import RANDOM_STEP
from .selected_rows import SelectedRows
from .step import CellList, Step, WholeCell, carry_lod, copy_after, make_call
from .table_binding import LargeTables, Tables, bind_lazily, bind_setup, made_lazily, sets_up_table
from .tables import as_array

# A state of NumPy's warnings costs half a microsecond to set, a tenth of a small step.
_NOTHING_TO_SILENCE = contextlib.nullcontext()


class Plan:
    """A program bound to a Scope for one set of feeds and fetches.

    Args:
        program, scope: what to run, and where persistable variables live.
        feed_names: variables whose values come with every run.
        fetch_names: variables whose values are handed back.
        lod_feeds: those of `feed_names` that come with LoD.
        check_nan_inf: look at every op's outputs.
    """

    def __init__(self, program, scope, feed_names, fetch_names, lod_feeds=(), check_nan_inf=False):
        self.block = program.global_block()
        self.fetch_names = fetch_names
        job = current()
        self.shared = None if job is None else job.share_of(program, scope)
        kept = set(fetch_names) if self.shared is None else self.shared.kept.union(fetch_names)
        self.ops = _prune(self.block, self.block.ops, kept, set(feed_names))
        self._check_names(feed_names, fetch_names)
        if not check_nan_inf:  # which names an op of the program, not of the plan
            self.ops = _prune(self.block, fuse(self.block, self.ops, kept), kept, set(feed_names))
        self.cells = self._make_cells(scope, feed_names)
        self.trackers = scope._trackers()
        self.tables = Tables(program, scope, self.shared and self.shared.tables)
        self.large = LargeTables(self.block, list(_with_blocks(self.ops)), self.cells)
        self.randoms = []
        updated = {n for op in self.ops for slot in op.definition.updates for n in op.outputs.get(slot, ())}
        # (name, variable, dtype, cell, whether an op writes to the fed array itself)
        self.feeds = [
            (name, self.block.vars[name], numpy_dtype(self.block.vars[name].dtype), self.cells[name], name in updated)
            for name in feed_names
            if name in self.cells
        ]
        self.reads = self._persistable_reads(feed_names)
        self.state_reads = self._state_reads()
        self._check_room()
        alive = set(fetch_names) if self.shared is None else self.shared.alive.union(fetch_names)
        buffers = place_buffers(self.block, self.ops, alive)
        self.copied = views_to_copy(self.block, self.ops, alive)
        lod_vars = set(lod_feeds) | {n for n, v in self.block.vars.items() if v.persistable and v.lod_level}
        self.steps = [self._bind(op, buffers, lod_vars) for op in self.ops]
        self._run_constants()
        # What few plans need before every run; a small step shall not ask each time.
        preparations = ((self.tables.forget, self.tables), (self.large.fill, self.large.whole_cells))
        self.preparations = [prepare for prepare, wanted in preparations if wanted]
        if self.shared is not None:
            self.steps = self.shared.insert(self.steps, self.cells)
            fed = {name: cell for name, _, _, cell, _ in self.feeds}
            self.preparations.append(self.shared.look_ups(self.ops, fed, self.tables))
        if self.randoms:
            counter = (scope.find_var(RANDOM_STEP) or scope.var(RANDOM_STEP)).cell
            rank = 0 if self.shared is None else self.shared.rank
            self.preparations.append(functools.partial(_draw, counter, self.randoms, rank))
        self.warns = any(step.op.definition.warns for step in self.steps)
        if check_nan_inf:
            self.steps = [step for bound in self.steps for step in (bound, nan_check(bound))]
        self.fetches = [self.cells[name] for name in fetch_names]

    def _check_names(self, feed_names, fetch_names):
        """Every variable that is read has to come from somewhere."""
        known = set(feed_names)
        for op in self.ops:
            for slot, names in op.inputs.items():
                for name in names:
                    variable = self.block._find_var_recursive(name) if name != EMPTY else None
                    if variable is None or variable.persistable or variable.holder is not None or name in known:
                        continue
                    made = f"It is read by op {op.type} as {slot}"
                    if variable.is_data:
                        raise NotFoundError(
                            f"Variable {name!r} is needed but was not fed. {made}.",
                            expected=f"feed={{{name!r}: array of shape {variable.shape}, "
                            f"{dtype_name(variable.dtype)}}}",
                            actual=f"feeds: {', '.join(feed_names) or 'none'}",
                            where=format_site(variable.site),
                            hint=nearest(name, feed_names),
                        )
                    raise NotFoundError(f"Variable {name!r} has no value. {made}.", where=format_site(op.site))
            known.update(op.output_arg_names)
        for name in fetch_names:
            variable = self.block.vars.get(name)
            if variable is None or not (variable.persistable or name in known):
                what = "is not in the program" if variable is None else "is not computed by any op"
                raise NotFoundError(
                    f"Variable {name!r} cannot be fetched: it {what}.",
                    where=None if variable is None else format_site(variable.site),
                    hint=nearest(name, self.block.vars) if variable is None else "feed what it depends on.",
                )

    def _make_cells(self, scope, feed_names):
        """A cell for every variable: the Scope's for persistable ones, the plan's own for all others."""
        variables = {
            name: self.block.vars[name] for name in (*self.fetch_names, *feed_names) if name in self.block.vars
        }
        for op in _with_blocks(self.ops):
            for name in op.input_arg_names + op.output_arg_names:
                if name != EMPTY and name not in variables:
                    variables[name] = op.block._find_var_recursive(name)
        cells = {}
        for name, variable in variables.items():
            if variable.holder is not None:
                cells[name] = LoDTensor(variable.holder)
            elif variable.persistable and name not in feed_names:
                found = scope.find_var(name) or scope.var(name)
                cells[name] = found.bare_cell
            else:
                cells[name] = LoDTensor()
        return cells

    def _persistable_reads(self, feed_names):
        """Cells that must hold a value before the first op runs, with what to say if they do not."""
        written, reads = set(feed_names), {}
        for op in self.ops:
            for slot, names in op.inputs.items():
                for name in names:
                    if name not in written and name not in reads and name != EMPTY:
                        variable = self.block._find_var_recursive(name)
                        if variable.persistable and variable.dtype is not None:
                            # An update that fails halfway would leave other parameters updated.
                            shape = variable.shape if slot in op.definition.updates.values() else None
                            dtype = numpy_dtype(variable.dtype)
                            reads[name] = (self.cells[name], dtype, shape, name, op, slot)
            written.update(op.output_arg_names)
        for name in self.fetch_names:
            if name not in written and name not in reads:
                dtype = numpy_dtype(self.block.vars[name].dtype)
                reads[name] = (self.cells[name], dtype, None, name, None, None)
        return list(reads.values())

    def _state_reads(self):
        """Cells of accumulators that are read by ops which know arrays only."""
        names = {
            name
            for op in self.ops
            for slot in op.definition.inputs
            for name in op.inputs.get(slot.name, ())
            if not slot.row_state and name in self.block.vars and self.block.vars[name].row_state
        }
        return [self.cells[name] for name in names]

    def _check_room(self):
        """Refuse a program whose new persistable variables together cannot fit, before the first one is made."""
        sizes = {}
        for op in self.ops:
            updated = {n for out in op.definition.updates for n in op.outputs.get(out, ())}
            for name in op.output_arg_names:
                variable = self.block.vars.get(name)
                if variable is not None and variable.persistable and name not in updated and variable.shape:
                    zeros = op.type == "fill_constant" and not op.attrs.get("value")
                    if -1 not in variable.shape and not zeros and not sets_up_table(op):
                        sizes[name] = math.prod(variable.shape) * numpy_dtype(variable.dtype).itemsize
        if sizes and not flags.table_mmap_dir():
            name = max(sizes, key=sizes.get)
            try:
                check_memory(sizes[name], f"Variable {name!r} of shape {self.block.vars[name].shape}")
                check_memory(sum(sizes.values()), f"The program ({len(sizes)} persistable variables, largest {name!r})")
            except ResourceExhaustedError as error:
                error.where = format_site(self.block.vars[name].site)
                raise

    def _bind(self, op, buffers, lod_vars):
        definition = op.bound()
        if definition.random:
            definition.seed, definition.stream = _seed_of(op)
            # Initialization gives the same values whenever it is run; everything else draws anew.
            if not any(op.block._find_var_recursive(name).persistable for name in op.output_arg_names):
                self.randoms.append((definition, definition.stream))
        if sets_up_table(op):
            definition.seed, definition.stream = _seed_of(op)
            return bind_setup(op, definition, self.cells[op.output("Out")[0]], self.tables)
        if made_lazily(op):
            step = bind_lazily(op, definition, self.cells[op.output_arg_names[0]])
            if step is not None:
                return step
        ins = [self._slot_cell(slot, op.inputs.get(slot.name, ())) for slot in definition.inputs]
        outs = [self._slot_cell(slot, op.outputs.get(slot.name, ())) for slot in definition.outputs]
        if self.tables:
            ins, outs = self.tables.bind(op, definition, ins, outs)
        if self.large:
            ins, outs = self.large.bind(op, definition, ins, outs)
        if definition.block:
            body = self._bind_block(op.attrs["sub_block"], lod_vars)
            return Step(lambda: definition.run(*[cell.value for cell in ins], body), op, ins, outs)
        bufs = []
        for slot in definition.outputs:
            given = [buffers.get((id(op), name)) for name in op.outputs.get(slot.name, ())]
            bufs.append(tuple(given) if slot.many else (given[0] if given else None))
        call = make_call(definition.run, ins, outs, tuple(bufs))
        carriers = [n for n in op.inputs.get(definition.lod_from, ())[:1] if n in lod_vars]
        if carriers:
            slots = definition.lod_to or op.outputs
            targets = [n for slot in slots for n in op.outputs.get(slot, ()) if n != EMPTY]
            lod_vars.update(targets)
            call = carry_lod(call, self.cells[carriers[0]], [self.cells[n] for n in targets])
        lod_vars.update(n for slot in definition.outputs if slot.lod for n in op.outputs.get(slot.name, ()))
        copied = [self.cells[name] for name in op.output_arg_names if (id(op), name) in self.copied]
        if copied:
            call = copy_after(call, copied)
        if self.trackers:
            names = set(op.output_arg_names) - {EMPTY}
            if op.changes_rows_only:
                # Tables of any ids know themselves which rows were seen.
                names -= self.tables.names | self.tables.states
            written = sorted(n for n in names if op.block._find_var_recursive(n).persistable)
            grad = self.cells[op.inputs["Grad"][0]] if op.changes_rows_only else None
            for tracker in self.trackers if written else ():
                call = tracker.watch(call, tuple(written), grad)
        return Step(call, op, ins, outs)

    def _bind_block(self, block, lod_vars):
        """A function that runs a sub-block. Its ops have memory of their own, and leave no views outside of it."""
        buffers = {}
        for op in block.ops:
            views = [name for out in op.definition.views for name in op.outputs.get(out, ())]
            self.copied.update((id(op), name) for name in views if name not in block.vars)
            for name in op.output_arg_names:
                variable = block._find_var_recursive(name)
                if variable.dtype is not None:
                    make = FreshBuffer if variable.persistable else Buffer
                    buffers[id(op), name] = make(numpy_dtype(variable.dtype))
        steps = [self._bind(op, buffers, lod_vars) for op in block.ops]

        def run_block():
            step = None
            try:
                for step in steps:
                    step.call()
            except Exception as error:
                explain(error, step)
                raise

        return run_block

    def _run_constants(self):
        """Compute once what is the same in every run, and leave it out of the steps."""
        writes = Counter(name for op in self.ops for name in op.output_arg_names)
        fed = {name for name, *_ in self.feeds}
        varying = []
        for step in self.steps:
            names = step.op.output_arg_names
            if (
                is_constant(step.op, writes)
                and not fed.intersection(names)
                and not any(self.block._find_var_recursive(name).persistable for name in names)
            ):
                step.call()
            else:
                varying.append(step)
        self.steps = varying

    def _slot_cell(self, slot, names):
        cells = [LoDTensor() if name == EMPTY else self.cells[name] for name in names]
        if slot.lod:
            cells = [WholeCell(cell) for cell in cells]
        if slot.many:
            return CellList(cells)
        return cells[0] if cells else LoDTensor()

    def run(self):
        """Run all steps. The feeds' cells have been set."""
        for cell, dtype, shape, name, op, slot in self.reads:
            value = cell.value
            if value is None or value.dtype is not dtype or (shape is not None and value.shape != shape):
                check_read(value, dtype, shape, name, op, slot)
        for cell in self.state_reads:
            cell.value = as_array(cell.value)
        for prepare in self.preparations:
            prepare()
        step, active = None, profiler.recorder
        try:
            # What IEEE arithmetic makes of 0/0 is a value like others here; FLAGS_check_nan_inf finds it.
            with np.errstate(all="ignore") if self.warns else _NOTHING_TO_SILENCE:
                for step in self.steps if active is None else active.watch(self.steps):
                    step.call()
        except Exception as error:
            explain(error, step)
            raise

    def fetch(self):
        """Copies of the fetched values: LoDTensors and SelectedRows."""
        return [
            cell.value.detached()
            if isinstance(cell.value, SelectedRows)
            else LoDTensor(cell.value.copy(), cell.lod_offsets)
            for cell in self.fetches
        ]


def _with_blocks(ops):
    """The ops, and those of the blocks that they run."""
    for op in ops:
        yield op
        if op.definition.block:
            yield from _with_blocks(op.attrs["sub_block"].ops)


def _prune(block, ops, fetches, feeds):
    """The ops that lead to a fetch, to a write to a persistable variable, or to a side effect."""
    needed, kept = set(fetches) - feeds, []
    for op in reversed(ops):
        outputs = [name for name in op.output_arg_names if name != EMPTY]
        persistable = any(name in block.vars and block.vars[name].persistable for name in outputs)
        if persistable or op.definition.side_effect or needed.intersection(outputs):
            kept.append(op)
            needed.update(name for name in op.input_arg_names if name not in feeds)
    return kept[::-1]


def _seed_of(op):
    """The (seed, stream) of a random op: streams differ by variable name, so that equal shapes get different values."""
    seed = op.attrs.get("seed") or op.block.program.drawn_seed
    # FNV-1a: a stable hash, since Python's own changes from process to process.
    stream = 0xCBF29CE484222325
    for byte in op.output_arg_names[0].encode():
        stream = (stream ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return int(seed) & 0xFFFFFFFFFFFFFFFF, stream


def _draw(counter, randoms, rank):
    """Give each random op, (definition, stream), its numbers for this run and rank; count the run in a Scope's cell."""
    step = 0 if counter.value is None else int(counter.value[0])
    counter.value = np.array([step + 1], np.int64)
    for definition, stream in randoms:
        definition.stream = _mixed(stream + step * 0x9E3779B97F4A7C15 + rank * 0xD1B54A32D192ED03)


def _mixed(x):
    """64 bits that depend on all of x: the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    x &= 0xFFFFFFFFFFFFFFFF
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    x = (x ^ x >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    return x ^ x >> 31
