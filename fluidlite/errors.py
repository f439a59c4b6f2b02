"""The errors of fluidlite: one sentence first, then expected, actual, where, and what to do.

Every error is an `EnforceNotMet` (Fluid's name, also `fluid.core.EnforceNotMet`) and at the same time the built-in
exception that Python users would catch: ``InvalidArgumentError`` is a ``ValueError``, ``OutOfRangeError`` an
``IndexError``, and so on. `EOFException` is no error: it ends the epoch of a reader.
"""

import os
import sys
import warnings

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class EnforceNotMet(Exception):
    """Base of all errors that fluidlite raises on purpose.

    Args:
        summary: one sentence that names the variable or op and says what is wrong.
        expected, actual: what was asked for and what came, as short texts (optional).
        where: the place in the user's code that made the op or variable (optional).
        hint: what to do about it (optional).
    """

    def __init__(self, summary, *, expected=None, actual=None, where=None, hint=None):
        super().__init__(summary)
        self.summary = summary
        self.expected = expected
        self.actual = actual
        self.where = where
        self.hint = hint

    def __str__(self):
        parts = [self.summary]
        for label in ("expected", "actual", "where", "hint"):
            text = getattr(self, label)
            if text is not None:
                parts.append(f"  {label}: {text}")
        return "\n".join(parts)


class InvalidArgumentError(EnforceNotMet, ValueError):
    """A value, shape or setting is not acceptable."""


class InvalidTypeError(EnforceNotMet, TypeError):
    """A Python type or a data type is not acceptable."""


class OutOfRangeError(EnforceNotMet, IndexError):
    """An id or index lies outside its table or axis."""


class NotFoundError(EnforceNotMet, LookupError, ValueError):
    """A variable, op or feed of that name does not exist. (Fluid's ``Block.var`` raises ValueError.)"""


class UnavailableError(EnforceNotMet, RuntimeError):
    """The object is not in a state to do this (closed, not initialized, not supported here)."""


class ResourceExhaustedError(EnforceNotMet, MemoryError):
    """More memory would be needed than the machine has."""


class NonFiniteError(EnforceNotMet, FloatingPointError):
    """A NaN or an infinity where only finite numbers make sense."""


class PreconditionNotMetError(EnforceNotMet, AssertionError, ValueError):
    """A call that comes too early, or whose parts do not fit each other: where Fluid's Python code asserts."""


class EOFException(Exception):
    """The data of a reader are at their end: the end of an epoch, no mistake. (As in Fluid, no `EnforceNotMet`.)"""


def user_site():
    """The innermost place outside this package on the call stack, as ``(file, line, function)``, or None."""
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(_PACKAGE) and not code.co_filename.startswith("<frozen"):
            return code.co_filename, frame.f_lineno, code.co_name
        frame = frame.f_back
    return None


def warn_user(message):
    """A warning that points to the user's line, however deep in this package it is found."""
    level, frame = 2, sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def format_site(site):
    """``(file, line, function)`` in the form of a Python traceback, or None."""
    return None if site is None else 'File "{}", line {}, in {}'.format(*site)


def here():
    """Where in the user's code the call came from that is being checked."""
    return format_site(user_site())


def nearest(name, names):
    """A hint that names the closest of `names`, or None when none is close."""
    import difflib  # here, because only errors need it and `import fluidlite` should be quick

    close = difflib.get_close_matches(name, list(names), n=2, cutoff=0.6)
    return "did you mean {}?".format(" or ".join(repr(c) for c in close)) if close else None
