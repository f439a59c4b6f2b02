"""Predictor: a saved model that many threads, and many processes, run at the same time."""

import itertools
import os
import threading
import weakref
from collections import deque

import numpy as np

from .. import flags
from ..errors import InvalidTypeError, NotFoundError, UnavailableError, nearest
from ..feed import checked_feed, checked_offsets
from ..lod_tensor import LoDTensor
from ..plan import Plan
from ..scope import RANDOM_STEP, Scope
from ..selected_rows import SelectedRows
from .saved_model import SavedModel

# Random ops of different plans are so many runs apart.
_RUNS_APART = 1 << 40


class Predictor:
    """A model that `fluid.io.save_inference_model` saved, ours or Fluid's own, ready to be run.

    Args:
        dirname: the folder.
        model_filename: file of the program in it, ``__model__`` if None.
        params_filename: the file of all parameters, if they are in one; None: a file for each.
        map_files: True (default): values of 1 MB and more are views of their files. Starting takes milliseconds
            whatever their size, their pages come as they are read, and all processes that serve a model share them.
            That holds for tables, whose rows are looked up, and for other values where they happen to start at a
            multiple of their item size. False: everything is read at once, for folders on a slow disk.
        preload: let the system begin to read the mapped files, in the background. False: pages come when needed.

    Attributes:
        feed_names, fetch_names: names of inputs and outputs, in the order in which they were given when saving.
        mapped_names: names of the parameters that are views of files.

    **Threads.** `run` may be called by any number of threads. All of them read one copy of the parameters. Each run
    takes a plan with buffers of its own out of a pool, so that memory for temporaries follows the most runs that ever
    were under way together. What a program keeps between runs (the counts of an `auc` op) each plan has for itself,
    and random ops draw other numbers in each plan.

    **Processes.** A forked child uses the predictor that it inherits, sharing all parameters with its parent. A pickled
    one (``multiprocessing`` with "spawn") opens the same files again, and shares what is mapped.

    **Files.** Save a new model into another folder, or with `save_inference_model` over the old one: it renames
    complete files, and predictors go on with the old ones until they are made anew. Never write into files in place.

    Raises:
        NotFoundError: a file is missing, or the program has an op that fluidlite lacks.
        InvalidArgumentError: a file is damaged, or the program trains.

    >>> import fluidlite as fluid, tempfile
    >>> ids = fluid.data('ids', [None, 2], 'int64')
    >>> score = fluid.layers.fc(fluid.embedding(ids, size=[5, 3]), 1, num_flatten_dims=2)
    >>> exe = fluid.Executor(); _ = exe.run(fluid.default_startup_program())
    >>> folder = tempfile.mkdtemp()
    >>> (name,) = fluid.io.save_inference_model(folder, ['ids'], [score], exe)
    >>> with Predictor(folder) as predictor:
    ...     predictor.run({'ids': [[0, 4]]})[name].shape
    (1, 2, 1)
    """

    def __init__(self, dirname, model_filename=None, params_filename=None, *, map_files=True, preload=False):
        self._where = os.path.abspath(os.fspath(dirname))
        self._files = [name and os.path.basename(name) for name in (model_filename, params_filename)]
        self._options = {"map_files": bool(map_files), "preload": bool(preload)}
        model = SavedModel(self._where, *self._files, **self._options)
        self._program, self._written = model.program, model.written
        self.feed_names, self.fetch_names = list(self._program._feed_names), list(self._program._fetch_names)
        self.mapped_names = model.mapped
        self._names = frozenset(self.feed_names)
        self._fetches = tuple(self.fetch_names)
        self._scope = Scope()
        for name, tensor in model.tensors.items():
            self._scope.var(name).cell = tensor
        self._idle, self._numbers = {}, itertools.count()
        self._lock = threading.Lock()
        self._closed = False
        _alive.add(self)

    def run(self, inputs):
        """Compute all outputs.

        Args:
            inputs: {name: array, list or LoDTensor}, one for each of `feed_names`. Integers are taken where they are
                exact, float64 is rounded to float32, float for an integer variable is refused. Not changed.

        Returns:
            dict: {name: array} for each of `fetch_names`, in that order, copies. Sequences are a LoDTensor
            (``np.asarray(tensor)``, ``tensor.lod()``).

        Raises:
            NotFoundError: an input is missing, or there is none of that name.
            InvalidTypeError, InvalidArgumentError: an input has another dtype or shape than the model says.
            OutOfRangeError: an id is not in its table; variable, position and id are in the message.
            UnavailableError: the predictor is closed.
        """
        if self._closed:
            raise UnavailableError("Attempted to use a closed Predictor.", hint="make a new fluid.inference.Predictor.")
        if inputs.__class__ is not dict or inputs.keys() != self._names:
            inputs = self._checked_names(inputs)
        lod_inputs = ()
        for value in inputs.values():
            if value.__class__ is not np.ndarray:
                lod_inputs = tuple(n for n in self.feed_names if _has_lod(inputs[n]))
        key = (lod_inputs, flags.check_nan_inf())
        idle = self._idle.get(key)
        if idle is None:
            idle = self._idle.setdefault(key, deque())
        try:
            plan = idle.pop()
        except IndexError:
            plan = self._make_plan(*key)
        try:
            for name, variable, dtype, cell, is_written in plan.feeds:
                value = inputs[name]
                if isinstance(value, LoDTensor):
                    cell.lod_offsets = checked_offsets(variable, value) if value.lod_offsets else ()
                    value = value.value
                checked = checked_feed(variable, dtype, value)
                cell.value = checked.copy() if is_written else checked
            plan.run()
            fetched = plan.fetch()
        finally:
            for feed in plan.feeds:
                feed[3].value = None
            idle.append(plan)
        return {name: _result(value) for name, value in zip(self._fetches, fetched, strict=True)}

    __call__ = run

    def close(self):
        """Forget parameters and plans. Runs that are under way end as usual; running after this is an error."""
        self._closed = True
        # In place of clearing it, since a run that is under way puts its plan back.
        self._idle, self._scope, self._program = {}, None, None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __reduce__(self):
        if self._closed:
            raise UnavailableError("A closed Predictor cannot be pickled.")
        return _reopened, (self._where, *self._files, self._options)

    def __repr__(self):
        state = ", closed" if self._closed else ""
        return f"<Predictor of {self._where!r}: {', '.join(self.feed_names)} -> {', '.join(self.fetch_names)}{state}>"

    def _checked_names(self, inputs):
        try:
            inputs = dict(inputs)
        except (TypeError, ValueError):
            raise InvalidTypeError(
                "The inputs of a Predictor are not a dict.",
                expected=f"{{name: array}} for {', '.join(self.feed_names) or 'no names'}",
                actual=type(inputs).__name__,
            ) from None
        for name in inputs:
            if name not in self._names:
                raise NotFoundError(
                    f"The model has no input {name!r}.",
                    expected=", ".join(self.feed_names),
                    actual=", ".join(map(str, inputs)),
                    hint=nearest(str(name), self.feed_names),
                )
        missing = [name for name in self.feed_names if name not in inputs]
        if missing:
            raise NotFoundError(
                f"Input {missing[0]!r} of the model is missing.",
                expected=", ".join(self.feed_names),
                actual=", ".join(inputs) or "no inputs",
            )
        return inputs

    def _make_plan(self, lod_inputs, check_nan_inf):
        with self._lock:
            parent, program = self._scope, self._program
            if parent is None:
                raise UnavailableError("The Predictor was closed while a run began.")
            scope = Scope(parent)
            scope.var(RANDOM_STEP).cell.value = np.array([next(self._numbers) * _RUNS_APART], np.int64)
            for name in self._written:
                tensor = parent.find_var(name)
                if tensor is not None and tensor.cell.value is not None:
                    scope.var(name).cell = LoDTensor(tensor.cell.value.copy(), tensor.cell.lod_offsets)
            return Plan(program, scope, tuple(self.feed_names), self._fetches, lod_inputs, check_nan_inf)


def _has_lod(value):
    return isinstance(value, LoDTensor) and bool(value.lod_offsets)


def _result(fetched):
    if isinstance(fetched, SelectedRows) or fetched.lod_offsets:
        return fetched
    return fetched.value


def _reopened(where, model_filename, params_filename, options):
    return Predictor(where, model_filename, params_filename, **options)


_alive = weakref.WeakSet()


def _renew_locks():
    """A thread of the parent may have held a lock when it forked; in the child nobody would ever release it."""
    for predictor in list(_alive):
        predictor._lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_locks)
