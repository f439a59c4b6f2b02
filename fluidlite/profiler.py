"""Fluid's profiler: where the time of Executor.run goes, op by op, as a table and as a trace.

While it is on, the Executor's `run` is wrapped and `Plan.run` takes its steps through `_Recorder.watch`. While it is
off, `recorder` is None, and looking at it once in each `Plan.run` is all that is done.
"""

import contextlib
import functools
import os
import threading
import time
import warnings
import weakref
from typing import NamedTuple

from .errors import EnforceNotMet, InvalidArgumentError, InvalidTypeError, UnavailableError, here
from .ops.registry import EMPTY
from .selected_rows import SelectedRows
from .step import cells_of

_STATES = ("CPU", "GPU", "All")
_TRACER_OPTIONS = ("Default", "OpDetail", "AllOpDetail")
# What each key sorts by (always descending, as in Fluid), and how the report says it.
_SORTED_KEYS = {
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
_switch = threading.Lock()
_here = threading.local()  # .run: the Executor.run that this thread is in

recorder = None  # the profile that is on
_last = _wrapper = None


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


class _Recorder:
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
        field = _SORTED_KEYS[sorted_key][0]
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
            f"Sorted by {_SORTED_KEYS[sorted_key][1]} in {'de' if sorted_key else 'a'}scending order",
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


def _check_choice(name, given, choices):
    if not (given is None or isinstance(given, str)) or given not in choices:
        raise InvalidArgumentError(
            f"The profiler does not know the {name} {given!r}.",
            expected=" or ".join(map(repr, choices)),
            actual=repr(given),
            where=here(),
        )


def _check_start(state, tracer_option):
    _check_choice("state", state, _STATES)
    _check_choice("tracer_option", tracer_option, _TRACER_OPTIONS)
    if state == "GPU":
        raise UnavailableError(
            "The profiler cannot profile a GPU: fluidlite computes on the CPU.",
            where=here(),
            hint="use the state 'CPU' (or 'All', which is the same here).",
        )


def _check_stop(sorted_key, profile_path):
    _check_choice("sorted_key", sorted_key, _SORTED_KEYS)
    if not isinstance(profile_path, str | bytes | os.PathLike):
        raise InvalidTypeError(
            "The profile_path of the profiler is not a path.",
            expected="name of a file",
            actual=type(profile_path).__name__,
            where=here(),
            hint="os.devnull keeps no trace.",
        )


def _timed(run):
    """`Executor.run` with a record of its start and end."""

    @functools.wraps(run)
    def timed_run(*args, **options):
        active = recorder
        # A run inside an op of another run is part of that op.
        if active is None or active.current() is not None:
            return run(*args, **options)
        record = active.begin()
        try:
            return run(*args, **options)
        finally:
            active.finish(record)

    return timed_run


def _wrap_executor(on):
    global _wrapper
    from .executor import Executor  # here, since the executor imports the plan and the plan this module

    if on:
        Executor.run = _wrapper = _timed(Executor.run)
    elif Executor.run is _wrapper:  # else somebody put something around it, and it stays, idle
        Executor.run = _wrapper.__wrapped__


def start_profiler(state, tracer_option="Default"):
    """Turn the profiler on, for all threads. `stop_profiler` turns it off and reports.

    Args:
        state: 'CPU', or 'All', which is the same here. 'GPU' is refused.
        tracer_option: 'Default', 'OpDetail' or 'AllOpDetail'; all give the same report, since ops here have no parts
            that could be timed by themselves, and the trace always shows each op.

    Raises:
        InvalidArgumentError: no such state or tracer_option.
        UnavailableError: the state is 'GPU', or the profiler is on already. (Fluid ignores a second start.)

    A run counts if it begins and ends between start and stop. A bound method `run = exe.run` that was taken before the
    start is measured from its first op to its last, without its feeds and fetches.

    >>> import fluidlite as fluid
    >>> exe, scope = fluid.Executor(), fluid.Scope()
    >>> x = fluid.data('x', [None, 3])
    >>> y = fluid.layers.relu(x)
    >>> start_profiler('CPU')
    >>> _ = exe.run(feed={'x': np.ones((2, 3), np.float32)}, fetch_list=[y], scope=scope)
    >>> [(event.name, event.calls) for event in summary()]
    [('relu', 1)]
    >>> stop_profiler('total', os.devnull)  # doctest: +ELLIPSIS
    <BLANKLINE>
    ------------------------->     Profiling Report     <-------------------------
    <BLANKLINE>
    ...
    Event   Calls       Total       Min.        Max.        Ave.        Ratio.
    relu    1           ...
    """
    global recorder
    _check_start(state, tracer_option)
    with _switch:
        if recorder is not None:
            raise UnavailableError(
                "The profiler is on already.",
                expected="one profile at a time",
                actual="it was started at " + (recorder.started or "an unknown place"),
                where=here(),
                hint="end that one first, with stop_profiler() or by leaving its `with profiler(...)`; "
                "reset_profiler() starts it over.",
            )
        _wrap_executor(True)
        recorder = _Recorder(state, here())


def stop_profiler(sorted_key=None, profile_path="/tmp/profile"):
    """Turn the profiler off, print the table of op types, and write the trace. Does nothing if it is off.

    Args:
        sorted_key: 'calls', 'total', 'max', 'min' or 'ave': the table is sorted by it, in descending order; None
            (default): in the order in which the op types first ran.
        profile_path: name of the file for the trace, used as it is; os.devnull keeps none. The file is in Chrome's
            trace format (JSON), to be opened in https://ui.perfetto.dev or chrome://tracing: one event for each
            Executor.run and in it one for each op, with its output variables, their shapes ((n, D) for the n rows of a
            SelectedRows) and the file and line that made it. (Fluid writes a protobuf for its own tools there.)

    The table has one row for each op type, all threads together; ops that the plan computes together have the name of
    the fused op. Times are in milliseconds; Ratio. is the share of the total time, which is that of all Executor.run
    less the time that the profiler itself took. "Framework overhead" is the part of it outside of ops. The trace keeps
    the first 1,000,000 events; the table counts all.

    Raises:
        InvalidArgumentError: no such sorted_key; the profiler stays on.
        UnavailableError: the trace cannot be written. The table has been printed by then.
    """
    global recorder, _last
    _check_stop(sorted_key, profile_path)
    with _switch:
        if recorder is None:
            return
        _last, recorder = recorder, None
        stopped = _last
        _wrap_executor(False)
        stopped.close()
    print(stopped.report(sorted_key), flush=True)
    stopped.write(profile_path)


def reset_profiler():
    """Forget what was measured so far, and go on if the profiler is on. Runs under way are not counted."""
    global recorder, _last
    with _switch:
        _last = None
        if recorder is not None:
            before, recorder = recorder, _Recorder(recorder.state, recorder.started)
            before.close()


def summary(sorted_key=None):
    """The table as data: a list of `Event`, of the profile that is on or else of the last one; [] if there is none.

    Args:
        sorted_key: as in `stop_profiler`.
    """
    _check_choice("sorted_key", sorted_key, _SORTED_KEYS)
    found = recorder or _last
    return found.summary(sorted_key) if found else []


class profiler(contextlib.ContextDecorator):
    """Profiles the body of a ``with``, or a function that it decorates: `start_profiler`, then `stop_profiler`.

    Args:
        state, tracer_option: see `start_profiler`.
        sorted_key, profile_path: see `stop_profiler`.

    An exception or Ctrl-C in the body ends the profile, too: the table is printed, the trace written, and the exception
    goes on its way. (In Fluid the profiler would stay on.)

    >>> import fluidlite as fluid
    >>> exe, scope = fluid.Executor(), fluid.Scope()
    >>> ids = fluid.data('ids', [None, 1], 'int64')
    >>> rows = fluid.layers.embedding(ids, [7, 3])
    >>> _ = exe.run(fluid.default_startup_program(), scope=scope)
    >>> with profiler('CPU', 'total', os.devnull):  # doctest: +ELLIPSIS
    ...     for _ in range(5):
    ...         _ = exe.run(feed={'ids': np.array([[0], [6]])}, fetch_list=[rows], scope=scope)
    <BLANKLINE>
    ------------------------->     Profiling Report     <-------------------------
    ...
    lookup_table    5           ...
    >>> [(event.name, event.calls) for event in summary()]
    [('lookup_table', 5)]
    """

    def __init__(self, state, sorted_key=None, profile_path="/tmp/profile", tracer_option="Default"):
        # Before the body has run for an hour.
        _check_start(state, tracer_option)
        _check_stop(sorted_key, profile_path)
        self._start, self._stop = (state, tracer_option), (sorted_key, profile_path)

    def __enter__(self):
        start_profiler(*self._start)

    def __exit__(self, kind, error, traceback):
        try:
            stop_profiler(*self._stop)
        except EnforceNotMet as unwritable:
            if error is None:
                raise
            error.add_note(str(unwritable))


@contextlib.contextmanager
def cuda_profiler(output_file, output_mode=None, config=None):
    """Fluid's door to NVIDIA's profiler: warns that there is no GPU, writes nothing, and runs the body.

    Args:
        output_file, config: accepted for Fluid's sake.
        output_mode: None, 'kvp' or 'csv'.
    """
    _check_choice("output_mode", output_mode, (None, "kvp", "csv"))
    warnings.warn(
        "cuda_profiler has no effect: fluidlite computes on the CPU (profiler.profiler('CPU') profiles it).",
        stacklevel=3,
    )
    yield


__all__ = ["cuda_profiler", "profiler", "reset_profiler", "start_profiler", "stop_profiler", "summary"]
