"""What the profiler measures: the time of each Executor.run and of its ops, as a table and as a trace."""

import os
import threading
import time
import weakref
from typing import NamedTuple

from .errors import UnavailableError
from .ops.registry import EMPTY
from .selected_rows import SelectedRows
from .step import cells_of

# What each key sorts by (always descending, as in Fluid), and how the report says it.
SORTED_KEYS = {
    None: (None, "event first start time"),
    "calls": ("calls", "number of calls"),
    "total": ("total", "total time"),
    "max": ("max", "maximum time"),
    "min": ("min", "minimum time"),
    "ave": ("ave", "average time"),
}
# An op in the trace takes some 300 bytes of memory and as much of the file.
_TRACE_LIMIT = 1_000_000

_clock = time.perf_counter_ns
_here = threading.local()  # .run: the Executor.run that this thread is in


class Event(NamedTuple):
    """One op type of a profile: how often it ran and how long, in milliseconds.

    `ratio` is its share of the time of Executor.run. What the ratios of all op types lack to 1 is the time that
    Executor.run spent outside of ops: checking feeds, going from op to op, copying what is fetched.
    """

    name: str
    calls: int
    total: float
    min: float
    max: float
    ave: float
    ratio: float


class _Op(NamedTuple):
    """What the trace says about an op of a plan."""

    name: str
    outputs: tuple
    where: str


class _Run:
    """One Executor.run while it lasts: `calls` holds (op, start, end, shapes or None if it failed, depth)."""

    __slots__ = ("recorder", "outer", "start", "calls", "own", "depth")

    def __init__(self, recorder, outer):
        self.recorder, self.outer = recorder, outer
        self.calls, self.own, self.depth = [], 0, 0
        self.start = _clock()


class Recorder:
    """Everything that is measured between start and stop. A run is added as a whole, when it has ended."""

    def __init__(self, state, started):
        self.state, self.started = state, started
        self.origin = _clock()
        self.lock = threading.Lock()
        self.closed = False
        self.ops = weakref.WeakKeyDictionary()  # {Operator: _Op}; plans and programs may go while the profiler is on
        self.counts = {}  # {name: [first start, calls, total, min, max]} in nanoseconds
        self.n_runs = self.run_time = self.op_time = 0
        self.trace = []  # (run, end, id of the thread, name of the thread)
        self.n_traced = self.n_left_out = 0

    def current(self):
        """The run of this recorder that the calling thread is in, or None."""
        run = getattr(_here, "run", None)
        return run if run is not None and run.recorder is self else None

    def begin(self):
        run = _here.run = _Run(self, getattr(_here, "run", None))
        return run

    def finish(self, run):
        end = _clock()
        _here.run = run.outer
        with self.lock:
            if not self.closed:
                self._add(run, end)

    def watch(self, steps):
        """The steps, one by one. What happens between two of them is the call of the first."""
        run = self.current()
        alone = run is None
        if alone:
            run = self.begin()
        run.depth += 1
        before = ended = None
        try:
            for step in steps:
                op = self.ops.get(step.op) or self._describe(step.op)
                # The second step of an op is the look at its outputs that FLAGS_check_nan_inf asks for.
                op = op if step.op is not before else op._replace(name="check_nan_inf")
                before, done, depth = step.op, False, run.depth
                start = _clock()
                if ended is not None and depth == 1:
                    run.own += start - ended
                try:
                    yield step
                    done = True
                finally:  # when an op fails, the loop lets go of this generator, which closes it
                    ended = _clock()
                    shapes = [_shape(cell.value) for _, cell in _named(step.op, step.outs)] if done else None
                    run.calls.append((op, start, ended, shapes, depth))
        finally:
            run.depth -= 1
            if alone:
                self.finish(run)

    def _describe(self, op):
        where = "" if op.site is None else "{}:{}".format(*op.site[:2])
        self.ops[op] = found = _Op(op.type, tuple(name for name, _ in _named(op, op.definition.outputs)), where)
        return found

    def _add(self, run, end):
        self.n_runs += 1
        self.run_time += end - run.start - run.own
        for op, start, ended, _, depth in run.calls:
            took = ended - start
            count = self.counts.setdefault(op.name, [start, 0, 0, took, took])
            count[0] = min(count[0], start)
            count[1] += 1
            count[2] += took
            count[3] = min(count[3], took)
            count[4] = max(count[4], took)
            if depth == 1:  # the ops of a sub-plan are part of the op that runs it
                self.op_time += took
        if self.n_traced + len(run.calls) + 1 > _TRACE_LIMIT:
            self.n_left_out += len(run.calls) + 1
            return
        self.n_traced += len(run.calls) + 1
        thread = threading.current_thread()
        self.trace.append((run, end, threading.get_native_id(), thread.name))

    def close(self):
        """Take no more runs."""
        with self.lock:
            self.closed = True

    def summary(self, sorted_key):
        with self.lock:
            counts = sorted(self.counts.items(), key=lambda item: item[1][0])
            whole = self.run_time or 1
        events = [
            Event(name, calls, total / 1e6, low / 1e6, high / 1e6, total / calls / 1e6, total / whole)
            for name, (_, calls, total, low, high) in counts
        ]
        field = SORTED_KEYS[sorted_key][0]
        return sorted(events, key=lambda event: getattr(event, field), reverse=True) if field else events

    def report(self, sorted_key):
        """The table, in the form of Fluid's."""
        events = self.summary(sorted_key)
        outside, whole = self.run_time - self.op_time, self.run_time or 1
        width = max((len(event.name) for event in events), default=5) + 4
        lines = [
            "",
            "------------------------->     Profiling Report     <-------------------------",
            "",
            f"Place: {self.state}",
            "Time unit: ms",
            f"Sorted by {SORTED_KEYS[sorted_key][1]} in {'de' if sorted_key else 'a'}scending order",
            "",
            f"Total time: {self.run_time / 1e6:.6g}",
            _part("Computation time", self.op_time, whole),
            _part("Framework overhead", outside, whole) + f"    (outside of ops, in {self.n_runs} Executor.run)",
            "",
            "-------------------------       Event Summary       -------------------------",
            "",
            _row(width, "Event", "Calls", "Total", "Min.", "Max.", "Ave.", "Ratio."),
        ]
        lines += [_row(width, event[0], event[1], *[f"{x:.6g}" for x in event[2:]]) for event in events]
        if self.n_left_out:
            lines += ["", f"The trace is full: its last {self.n_left_out} events are left out (the table has them)."]
        return "\n".join(lines)

    def write(self, path):
        """The trace, one event to a line."""
        import json  # here, since `import fluidlite` should be quick

        encode, pid, comma = json.JSONEncoder().encode, os.getpid(), ""
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write('{"displayTimeUnit": "ms", "traceEvents": [')
                for event in self._trace_events(pid):
                    file.write(f"{comma}\n{encode(event)}")
                    comma = ","
                file.write("\n]}\n")
        except OSError as error:
            raise UnavailableError(
                f"The trace of the profiler cannot be written to profile_path {path!r}: {error.strerror or error}.",
                expected="a file in a directory that exists and may be written to",
                hint="the table has been printed and profiler.summary() returns its numbers.",
            ) from error
        finally:
            self.trace = []

    def _trace_events(self, pid):
        def event(name, start, end, tid, args):
            times = {"ts": (start - self.origin) / 1e3, "dur": (end - start) / 1e3}
            return {"name": name, "ph": "X", **times, "pid": pid, "tid": tid, "args": args}

        for run, run_end, tid, thread in self.trace:
            yield event("Executor.run", run.start, run_end, tid, {"thread": thread})
            for op, start, end, shapes, _ in run.calls:
                what = {"failed": True} if shapes is None else {"shapes": shapes}
                yield event(op.name, start, end, tid, {"outputs": op.outputs, **what, "where": op.where})


def _named(op, outs):
    """(name, element) of each output of an op, from one element for each of its slots."""
    for slot, out in zip(op.definition.outputs, outs, strict=True):
        names = op.outputs.get(slot.name, ())
        # A slot that the op leaves out has a cell, too, but no name.
        for name, one in zip(names, cells_of(out), strict=False):
            if name != EMPTY:
                yield name, one


def _shape(value):
    """The shape of an output; of a SelectedRows that of its rows, duplicates counted."""
    if isinstance(value, SelectedRows):
        return sum(len(chunk.rows) for chunk in value.chunks), int(value.shape[1])
    return getattr(value, "shape", None)


def _part(name, took, whole):
    return f"  {name:<23}Total: {took / 1e6:<12.6g}Ratio: {100 * took / whole:.6g}%"


def _row(width, name, *columns):
    return (f"{name:<{width}}" + "".join(f"{column:<12}" for column in columns)).rstrip()
