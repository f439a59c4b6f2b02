"""Training and inference over a dataset: the loop behind `Executor.train_from_dataset`.

A dataset is here whatever has ``_counted_batches(thread)``, an iterator over (number of samples, feed dict).
"""

import contextlib
import sys
import time

import numpy as np

from .distributed.current import current
from .errors import InvalidArgumentError, InvalidTypeError, UnavailableError, warn_user
from .operator import OpRole
from .selected_rows import SelectedRows

# What C++ calls the data types: Fluid prints tensors with these words.
_CPP_NAMES = {"float32": "float", "float64": "double", "int32": "int", "int64": "int64_t", "float16": "float16"}


class FetchHandler:
    """Gets variables at regular times while a dataset is trained; a subclass says in `handler` what to do with them.

    Args:
        var_dict: {key: Variable}.
        period_secs: seconds between two calls, default 60. The first call comes after that time.

    The calls come from the training thread between two batches, with the values of the batch that has just ended.

    >>> import fluidlite as fluid
    >>> class Watch(fluid.executor.FetchHandler):
    ...     def handler(self, res_dict):
    ...         losses.append(res_dict['loss'])
    """

    def __init__(self, var_dict=None, period_secs=60):
        if not isinstance(var_dict, dict) or not var_dict:
            raise InvalidArgumentError(
                "A FetchHandler needs variables.", expected="{key: Variable}", actual=repr(var_dict)
            )
        self.var_dict, self.period_secs = var_dict, period_secs

    def handler(self, res_dict):
        """Writes the first row of each array to stdout.

        Args:
            res_dict: {key: array}.
        """
        sys.stdout.write("".join(f"{key}[0]: {value[0]} " for key, value in res_dict.items() if len(value)) + "\n")


class _Progress:
    """One line on stderr, at most once a second: batches, samples, samples per second."""

    def __init__(self, always):
        self.stream = sys.stderr
        self.in_place = bool(getattr(self.stream, "isatty", bool)())
        self.always = always
        self.on = self.stream is not None and (always or self.in_place)
        self.started = self.said = time.monotonic()
        self.n_batches = self.n_samples = 0

    def add(self, n_samples):
        self.n_batches += 1
        self.n_samples += n_samples
        if self.on and time.monotonic() - self.said >= 1.0:
            self.said = time.monotonic()
            self._write(self._text() + ("" if self.in_place else "\n"))

    def _text(self):
        seconds = max(time.monotonic() - self.started, 1e-9)
        return f"{self.n_batches:,} batches, {self.n_samples:,} samples, {self.n_samples / seconds:,.0f} samples/s"

    def _write(self, text):
        with contextlib.suppress(ValueError, OSError):  # nobody listens: no reason to stop a training
            self.stream.write(("\r\x1b[K" if self.in_place else "") + text)
            self.stream.flush()

    def make_room(self):
        """Take the line away, for other output or for good."""
        if self.on and self.in_place and self.said != self.started:
            self._write("")

    def finish(self):
        if self.on and (self.always or self.said != self.started):
            self._write(self._text() + "\n")


def format_tensor(name, fetched):
    """A fetched value in the form in which Fluid prints it.

    >>> from fluidlite import LoDTensor
    >>> print(format_tensor('x', LoDTensor(np.array([[1], [2]]), [[0, 2]])).expandtabs(2).rstrip())
    x   lod: {{0, 2}}
      dim: 2, 1
      layout: NCHW
      dtype: int64_t
      data: [1 2]
    """
    if isinstance(fetched, SelectedRows):
        return f"{name}\t\t{fetched!r}\n\t"
    value = np.asarray(fetched.value)
    numbers = "%d" if value.dtype.kind in "iub" else "%g"
    lod = "".join("{" + ", ".join(map(str, level)) + "}" for level in fetched.lod())
    lines = [
        f"{name}\t\tlod: {{{lod}}}",
        "dim: " + ", ".join(map(str, value.shape)),
        "layout: NCHW",
        f"dtype: {_CPP_NAMES.get(value.dtype.name, value.dtype.name)}",
        "data: [" + " ".join(numbers % x for x in value.ravel().tolist()) + "]",
    ]
    return "\n\t".join(lines) + "\n\t"


def run_from_dataset(
    executor, program, dataset, scope, thread, debug, fetch_names, fetch_info, print_period, fetch_handler, is_infer
):
    """See `Executor.train_from_dataset`; `fetch_names` are those of its fetch_list."""
    if dataset is None:
        raise UnavailableError(
            "dataset is need and should be initialized",
            hint="give dataset=..., made by fluid.DatasetFactory().create_dataset().",
        )
    if not hasattr(dataset, "_counted_batches"):
        raise InvalidTypeError(
            "The dataset is no Dataset.",
            expected="what fluid.DatasetFactory().create_dataset() makes",
            actual=type(dataset).__name__,
        )
    fetch_info = list(fetch_info) if fetch_info else list(fetch_names)
    if len(fetch_info) != len(fetch_names):
        raise InvalidArgumentError(
            "fetch_info does not fit fetch_list.",
            expected=f"{len(fetch_names)} texts, one for each of {', '.join(fetch_names) or 'no variables'}",
            actual=repr(fetch_info),
        )
    if not isinstance(print_period, int) or print_period < 1:
        raise InvalidArgumentError("print_period is not usable.", expected="an int >= 1", actual=repr(print_period))
    if is_infer:
        _warn_of_training(program)
    watched = _Watched(fetch_handler)
    progress = _Progress(debug)
    with _shared_epoch(program, scope), contextlib.closing(dataset._counted_batches(max(thread or 0, 0))) as batches:
        for n_samples, feed in _look_ahead(program, batches):
            shown = fetch_names if (progress.n_batches + 1) % print_period == 0 else ()
            wanted = watched.names_now()
            values = executor.run(program, feed, [*shown, *wanted], scope=scope, return_numpy=False)
            progress.add(n_samples)
            if shown or wanted:
                progress.make_room()
                for info, name, value in zip(fetch_info, shown, values, strict=False):
                    sys.stdout.write(f"{info}\t{format_tensor(name, value)}\n")
                watched.show(values[len(shown) :])
    progress.finish()


@contextlib.contextmanager
def _shared_epoch(program, scope):
    """An epoch of a program that ranks train together ends when it has ended on all of them."""
    job = current() if program._shared is not None else None
    if job is not None:
        job.attach(scope)
    yield
    if job is not None:
        job.end_epoch()


def _look_ahead(program, batches):
    """The batches; where rows are to be fetched ahead, the program knows of each next one."""
    shared = program._shared
    if shared is None or not shared.prefetch or not shared.sync:
        yield from batches
        return
    batch = next(batches, None)
    try:
        while batch is not None:
            following = next(batches, None)
            shared.next_feed = {} if following is None else following[1]
            yield batch
            batch = following
    finally:
        shared.next_feed = None


class _Watched:
    """A FetchHandler's variables, and the time at which it wants them next."""

    def __init__(self, handler):
        self.handler = handler
        self.names = () if handler is None else [getattr(v, "name", v) for v in handler.var_dict.values()]
        self.asked = time.monotonic()

    def names_now(self):
        due = self.handler is not None and time.monotonic() - self.asked >= self.handler.period_secs
        return self.names if due else ()

    def show(self, values):
        if values:
            self.handler.handler({k: np.array(v.value) for k, v in zip(self.handler.var_dict, values, strict=True)})
            self.asked = time.monotonic()


def _warn_of_training(program):
    trained = [op for op in program.global_block().ops if op.attrs.get("op_role", 0) & OpRole.OPTIMIZE]
    if trained:
        warn_user(
            f"infer_from_dataset runs the program as it is, and this one updates parameters ({trained[0].type}); "
            "pass program.clone(for_test=True) to leave them alone."
        )
