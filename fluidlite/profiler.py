"""Fluid's profiler: where the time of Executor.run goes, op by op, as a table and as a trace.

While it is on, the Executor's `run` is wrapped and `Plan.run` takes its steps through `Recorder.watch`. While it is
off, `recorder` is None, and looking at it once in each `Plan.run` is all that is done.
"""

import contextlib
import functools
import os
import threading
import warnings

from .errors import EnforceNotMet, InvalidArgumentError, InvalidTypeError, UnavailableError, here
from .profile_recorder import SORTED_KEYS, Recorder

_STATES = ("CPU", "GPU", "All")
_TRACER_OPTIONS = ("Default", "OpDetail", "AllOpDetail")

_switch = threading.Lock()

recorder = None  # the profile that is on
_last = _wrapper = None


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
    _check_choice("sorted_key", sorted_key, SORTED_KEYS)
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
        recorder = Recorder(state, here())


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
            before, recorder = recorder, Recorder(recorder.state, recorder.started)
            before.close()


def summary(sorted_key=None):
    """The table as data: a list of `Event`, of the profile that is on or else of the last one; [] if there is none.

    Args:
        sorted_key: as in `stop_profiler`.
    """
    _check_choice("sorted_key", sorted_key, SORTED_KEYS)
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
