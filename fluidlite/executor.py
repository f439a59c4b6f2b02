"""Executor: checks what is fed, finds or makes the plan, runs it, and hands out copies of what was asked for."""

import contextlib
import itertools
import threading
import weakref

import numpy as np

from . import flags
from .dtypes import is_float
from .errors import InvalidArgumentError, InvalidTypeError, UnavailableError, format_site, nearest, warn_user
from .framework import Operator, Program, Variable, default_main_program
from .lod_tensor import LoDTensor
from .plan import Plan
from .scope import Scope
from .selected_rows import SelectedRows

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
    Scope each.

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
            program: the Program; the default main program if None.
            feed: {name: array, list or LoDTensor}. Integers are taken where they are exact, float64 is rounded to
                float32, float for an integer variable is refused.
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
            feed = _as_feed(feed)
        fetch_names = _fetch_names(fetch_list) if fetch_list else ()
        lod_feeds = ()
        for value in feed.values():
            if value.__class__ is not np.ndarray:
                lod_feeds = tuple(n for n, v in feed.items() if isinstance(v, LoDTensor) and v.lod_offsets)
        check = flags.check_nan_inf()
        key = (self._uid, program._version, scope._uid, tuple(feed), fetch_names, lod_feeds, check)
        with self._lock:
            plan = program._plans.get(key)
            if plan is None:
                plan = self._make_plan(key, program, scope)
            for name, variable, dtype, cell, is_written in plan.feeds:
                value = feed[name]
                if value.__class__ is LoDTensor:
                    cell.lod_offsets = value.lod_offsets
                    value = value.value
                checked = _checked_feed(variable, dtype, value)
                cell.value = checked.copy() if is_written else checked
            plan.run()
            if not fetch_names:
                return []
            fetched = plan.fetch()
        return [_as_numpy(f, name) for f, name in zip(fetched, fetch_names, strict=True)] if return_numpy else fetched

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
    if isinstance(program, Program):
        return program
    raise InvalidTypeError(
        f"Executor requires Program as its Parameter. But you passed in {type(program)}.",
        expected="Program",
        actual=type(program).__name__,
    )


def _as_feed(feed):
    """A feed dict from None, a dict, or the list with one dict that data loaders yield."""
    if feed is None:
        return {}
    if isinstance(feed, list | tuple) and len(feed) == 1 and isinstance(feed[0], dict):
        return feed[0]
    if isinstance(feed, dict):
        return dict(feed)
    raise InvalidTypeError("The feed is not a dict.", expected="{name: array}", actual=type(feed).__name__)


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


def _checked_feed(variable, dtype, value):
    """The fed value as a C-contiguous array of the variable's dtype, or an error that says what is wrong with it."""
    if value.__class__ is not np.ndarray or value.dtype is not dtype or not value.flags.c_contiguous:
        value = _converted_feed(variable, value, dtype)
    if variable.need_check_feed:
        declared = variable.shape
        if value.ndim != len(declared) or any(d != -1 and d != n for d, n in zip(declared, value.shape, strict=True)):
            raise InvalidArgumentError(
                f"The fed Variable {variable.name!r} should have dimensions = {len(declared)}, shape = {declared}, "
                f"but received fed shape {list(value.shape)}.",
                expected=str(declared),
                actual=str(value.shape),
                where=format_site(variable.site),
            )
    return value


def _converted_feed(variable, value, dtype):
    def refuse(actual, hint=None, error=InvalidTypeError):
        raise error(
            f"The data type of fed Variable {variable.name!r} must be {dtype.name!r}, but received {actual!r}.",
            expected=dtype.name,
            actual=actual,
            where=format_site(variable.site),
            hint=hint,
        )

    if isinstance(value, Variable):
        refuse("Variable", "feed an array; Variables have values only inside a run.")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InvalidArgumentError(
            f"The value fed to {variable.name!r} is not an array: {error}",
            where=format_site(variable.site),
            hint="sequences of different lengths are fed as a LoDTensor (fluid.create_lod_tensor).",
        ) from None
    if array.dtype == dtype:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "biuf":
        refuse(str(array.dtype))
    if not is_float(variable.dtype) and array.dtype.kind == "f" and array.size:
        refuse(str(array.dtype), f"convert it yourself if that is meant: array.astype({dtype.name!r}).")
    if array.dtype.kind in "iu" and dtype.kind in "iu" and array.size:
        # By value: a cast wraps around, and casting back wraps to the same number.
        limits = np.iinfo(dtype)
        for bad in (array.max(), array.min()):
            if not limits.min <= int(bad) <= limits.max:
                refuse(f"{array.dtype} with the value {bad}", f"{bad} does not fit {dtype.name}.", InvalidArgumentError)
        return np.ascontiguousarray(array, dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        converted = np.ascontiguousarray(array, dtype)
        # An integer at the edge of its range may come back as anything; floats compare exactly.
        exact = array.dtype.kind not in "iu" or _same_numbers(converted, array)
    if array.dtype.kind == "f":
        overflown = np.isinf(converted) & ~np.isinf(array)
        if overflown.any():
            bad = array[overflown].flat[0]
            refuse(f"{array.dtype} with the value {bad}", f"{bad} does not fit {dtype.name}.", InvalidArgumentError)
    elif not exact:
        bad = next(x for x in array.flat if int(dtype.type(int(x))) != int(x))
        refuse(f"{array.dtype} with the value {bad}", f"{bad} is not exact in {dtype.name}.", InvalidArgumentError)
    return converted


def _same_numbers(floats, integers):
    """Whether integers survived the conversion to floats: all below 2^p for p bits of mantissa, or each by itself."""
    exact_below = 1 << (np.finfo(floats.dtype).nmant + 1) if floats.dtype.kind == "f" else 1
    if not integers.size or (int(integers.max()) <= exact_below and int(integers.min()) >= -exact_below):
        return True
    return all(int(a) == int(b) for a, b in zip(floats.flat, integers.flat, strict=True))
