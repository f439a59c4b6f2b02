"""Executor: checks what is fed, finds or makes the plan, runs it, and hands out copies of what was asked for."""

import contextlib
import itertools
import threading
import weakref

import numpy as np

from . import flags
from .compiler import CompiledProgram
from .errors import InvalidTypeError, UnavailableError, nearest, warn_user
from .feed import as_feed, checked_feed, checked_offsets
from .framework import Operator, Program, Variable, default_main_program
from .lod_tensor import LoDTensor
from .plan import Plan
from .scope import Scope
from .selected_rows import SelectedRows
from .trainer import FetchHandler as FetchHandler
from .trainer import run_from_dataset

_global_scope = Scope()


def global_scope():
    """The Scope that runs use when none is given."""
    return _global_scope


def _switch_scope(scope):
    global _global_scope
    before, _global_scope = _global_scope, scope
    return before


@contextlib.contextmanager
def scope_guard(scope):
    """Inside the ``with``, `scope` is the global scope."""
    if not isinstance(scope, Scope):
        raise InvalidTypeError("scope_guard needs a Scope.", actual=type(scope).__name__)
    before = _switch_scope(scope)
    try:
        yield
    finally:
        _switch_scope(before)


_uids = itertools.count()


class Executor:
    """Runs programs on the CPU.

    Args:
        place: CPUPlace(), or None.

    One Executor runs one program at a time (it has a lock); threads that train at the same time use an Executor and a
    Scope each. Programs are built by one thread at a time: the default programs and the names belong to the process.

    >>> import fluidlite as fluid
    >>> with fluid.program_guard(fluid.Program(), fluid.Program()):
    ...     x = fluid.data('x', [None, 2])
    ...     y = x * 2.0
    ...     Executor().run(fluid.default_main_program(), feed={'x': [[1.0, 2.0]]}, fetch_list=[y])
    [array([[2., 4.]], dtype=float32)]
    """

    def __init__(self, place=None):
        self.place = place
        self._uid = next(_uids)
        # Plans are kept by their programs, so that a program that nobody has any more takes them along.
        self._programs = weakref.WeakSet()
        self._forget = weakref.finalize(self, _forget_plans, self._uid, self._programs)
        self._forget.atexit = False
        self._lock = threading.RLock()
        self._closed = False

    def close(self):
        """Forget all plans. Running after this is an error."""
        with self._lock:
            self._closed = True
            self._forget()

    def run(
        self,
        program=None,
        feed=None,
        fetch_list=None,
        feed_var_name="feed",
        fetch_var_name="fetch",
        scope=None,
        return_numpy=True,
        use_program_cache=False,
        return_merged=True,
        use_prune=False,
    ):
        """Run a program once and return what `fetch_list` asks for.

        Args:
            program: the Program or CompiledProgram; the default main program if None.
            feed: {name: array, list or LoDTensor}, or a list of such dicts, whose batches are joined. Integers are
                taken where they are exact, float64 is rounded to float32, float for an integer variable is refused.
            fetch_list: Variables or names (or one of them). Optimizer ops in it are ignored.
            scope: where persistable variables live; the global scope if None.
            return_numpy: arrays if True, LoDTensors if False. A sparse gradient is a SelectedRows either way.
            feed_var_name, fetch_var_name, use_program_cache, return_merged, use_prune: accepted for Fluid's sake;
                plans are always cached and pruned.

        Returns:
            list: one copy for each entry of `fetch_list`, in its order.
        """
        if self._closed:
            raise UnavailableError("Attempted to use a closed Executor.", hint="make a new fluid.Executor().")
        if program is None:
            program = default_main_program()
        elif program.__class__ is not Program:
            program = _as_program(program)
        if scope is None:
            scope = _global_scope
        elif not isinstance(scope, Scope):
            raise InvalidTypeError("The scope of Executor.run is not a Scope.", actual=type(scope).__name__)
        if feed.__class__ is not dict:
            feed = as_feed(feed)
        fetch_names = _fetch_names(fetch_list) if fetch_list else ()
        lod_feeds = ()
        for value in feed.values():
            if value.__class__ is not np.ndarray:
                lod_feeds = tuple([n for n, v in feed.items() if isinstance(v, LoDTensor) and v.lod_offsets])
                break
        check = flags.check_nan_inf()
        key = (self._uid, program._version, scope._uid, tuple(feed), fetch_names, lod_feeds, check)
        with self._lock:
            plan = program._plans.get(key)
            if plan is None:
                plan = self._make_plan(key, program, scope)
            for name, variable, dtype, cell, is_written in plan.feeds:
                value = feed[name]
                if value.__class__ is LoDTensor:
                    cell.lod_offsets = checked_offsets(variable, value) if value.lod_offsets else ()
                    value = value.value
                checked = checked_feed(variable, dtype, value)
                cell.value = checked.copy() if is_written else checked
            plan.run()
            if not fetch_names:
                return []
            fetched = plan.fetch()
        return [_as_numpy(f, name) for f, name in zip(fetched, fetch_names, strict=True)] if return_numpy else fetched

    def train_from_dataset(
        self,
        program=None,
        dataset=None,
        scope=None,
        thread=0,
        debug=False,
        fetch_list=None,
        fetch_info=None,
        print_period=100,
        fetch_handler=None,
    ):
        """Run a program once for each batch of a dataset. The results are those of `run` with the same batches.

        Args:
            program: the Program; the default main program if None.
            dataset: what `fluid.DatasetFactory` makes.
            scope: where persistable variables live; the global scope if None.
            thread: files that are read at the same time, instead of ``dataset.set_thread``, if more than 0. Training
                is one step after the other, in the order that `set_thread` documents.
            debug: write a line with batches, samples and samples per second to stderr, at most once a second. On a
                terminal that line is there anyway.
            fetch_list, fetch_info: Variables or names, and a text for each (default: the names).
            print_period: every so many batches ``text<TAB>name<TAB>tensor`` is written to stdout for each of
                fetch_list, as Fluid writes it. Default 100.
            fetch_handler: a `FetchHandler`, which gets variables at regular times.

        Raises:
            InvalidArgumentError: a line of a file is no sample; file, line and slot are in the message. Batches before
                it have been trained.
        """
        self._run_dataset(
            program, dataset, scope, thread, debug, fetch_list, fetch_info, print_period, fetch_handler, False
        )

    def infer_from_dataset(
        self,
        program=None,
        dataset=None,
        scope=None,
        thread=0,
        debug=False,
        fetch_list=None,
        fetch_info=None,
        print_period=100,
        fetch_handler=None,
    ):
        """The same as `train_from_dataset`, with a warning if the program updates parameters.

        As in Fluid, the program runs as it is: give it ``program.clone(for_test=True)``.
        """
        self._run_dataset(
            program, dataset, scope, thread, debug, fetch_list, fetch_info, print_period, fetch_handler, True
        )

    def _run_dataset(self, program, dataset, scope, thread, debug, fetch_list, *options):
        program = default_main_program() if program is None else _as_program(program)
        names = _fetch_names(fetch_list) if fetch_list else ()
        run_from_dataset(self, program, dataset, scope, thread, debug, names, *options)

    def _make_plan(self, key, program, scope):
        _, version, _, feed_names, fetch_names, lod_feeds, check = key
        names = program.global_block().vars
        for name in feed_names:
            if not isinstance(name, str):
                raise InvalidTypeError(
                    "A key of the feed is not a name.",
                    expected="{name: array}",
                    actual=f"a key of type {type(name).__name__}",
                    hint="use the name of the variable (x.name) as key.",
                )
            if name not in names:
                close = nearest(name, [v.name for v in names.values() if v.is_data])
                warn_user(
                    f"feed has no effect: the program has no variable {name!r}" + (f"; {close}" if close else ".")
                )
        plan = Plan(program, scope, feed_names, fetch_names, lod_feeds, check)
        # A changed program never runs its old plans again.
        for old in [k for k in program._plans if k[1] != version]:
            del program._plans[old]
        program._plans[key] = plan
        self._programs.add(program)
        _forget_with_scope(scope, program, key)
        return plan


def _forget_plans(uid, programs):
    for program in list(programs):
        for key in [key for key in program._plans if key[0] == uid]:
            program._plans.pop(key, None)


def _forget_with_scope(scope, program, key):
    """A plan holds the parameters of its Scope; they are not to outlive it."""
    program = weakref.ref(program)

    def forget():
        alive = program()
        if alive is not None:
            alive._plans.pop(key, None)

    weakref.finalize(scope, forget).atexit = False


def _as_program(program):
    if isinstance(program, CompiledProgram):
        program = program._program
    if isinstance(program, Program):
        return program
    raise InvalidTypeError(
        f"Executor requires Program as its Parameter. But you passed in {type(program)}.",
        expected="Program",
        actual=type(program).__name__,
    )


def _fetch_names(fetch_list):
    if not isinstance(fetch_list, list | tuple):
        fetch_list = [fetch_list]
    names = []
    for item in fetch_list:
        if item.__class__ is str or isinstance(item, str):
            names.append(item)
        elif isinstance(item, Variable):
            names.append(item.name)
        elif not isinstance(item, Operator):
            raise InvalidTypeError(
                f"The item in fetch_list should be str, variable or optimize_op, but received {type(item)}.",
                expected="Variable or name",
                actual=repr(item),
            )
    return tuple(names)


def _as_numpy(fetched, name):
    if isinstance(fetched, SelectedRows):
        return fetched
    if fetched.lod_offsets:
        raise UnavailableError(
            f"The fetched variable {name!r} holds LoD information. They can not be completely cast to Python ndarray.",
            hint="set the parameter 'return_numpy' as 'False' to return LoDTensor itself directly.",
        )
    return fetched.value
