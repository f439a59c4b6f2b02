"""Names that programs of Fluid's time use and that Python and NumPy have removed since.

`restore` adds those that are missing, and changes none that exist. ``python -m fluidlite`` calls it before it runs a
program; a process that the program starts has them once it has imported `paddle`.
"""

import collections
import fractions
import importlib.machinery
import inspect
import math
import sys
import time
import types

import numpy as np

from . import old_arrays


def _in1d(ar1, ar2, assume_unique=False, invert=False):
    return np.isin(np.ravel(ar1), np.ravel(ar2), assume_unique=assume_unique, invert=invert)


def _asfarray(a, dtype=np.float64):
    return np.asarray(a, dtype=dtype if np.issubdtype(dtype, np.inexact) else np.float64)


def _random_integers(low, high=None, size=None):
    """Integers of [low, high], or of [1, low]."""
    low, high = (1, low) if high is None else (low, high)
    return np.random.randint(low, high + 1, size)


_NUMPY = {
    **{"int": int, "float": float, "bool": bool, "object": object, "str": str, "complex": complex, "long": int},
    **{"unicode": str, "unicode_": np.str_, "string_": np.bytes_, "float_": np.float64, "complex_": np.complex128},
    **{"cfloat": np.complex128, "singlecomplex": np.complex64, "longfloat": np.longdouble, "int0": np.intp},
    **{"uint0": np.uintp, "bool8": np.bool_, "object0": np.object_, "str0": np.str_, "bytes0": np.bytes_},
    **dict.fromkeys(("Inf", "Infinity", "infty", "PINF"), np.inf),
    **dict.fromkeys(("NaN", "NAN"), np.nan),
    **{"NINF": -np.inf, "PZERO": 0.0, "NZERO": -0.0},
    **{"product": np.prod, "cumproduct": np.cumprod, "sometrue": np.any, "alltrue": np.all, "round_": np.round},
    **{"row_stack": np.vstack, "in1d": _in1d, "asscalar": lambda a: a.item(), "mat": np.asmatrix, "rank": np.ndim},
    **{"alen": lambda a: len(np.atleast_1d(a)), "msort": lambda a: np.sort(a, axis=0), "asfarray": _asfarray},
    **{"cast": {np.dtype(c).type: (lambda x, c=c: np.asarray(x).astype(c)) for c in np.typecodes["All"]}},
    "issubclass_": lambda one, other: isinstance(one, type) and issubclass(one, other),
    "trapz": getattr(np, "trapezoid", None),
}


def _getargspec(function):
    """(args, varargs, keywords, defaults) of a function."""
    return inspect.getfullargspec(function)[:4]


def restore():
    """Add what is missing to numpy, numpy.random, collections, time, fractions and inspect; and `distutils.util`.

    See `old_arrays` for what NumPy has changed about arrays.
    """
    old_arrays.restore()
    for name, value in _NUMPY.items():
        _add(np, name, value)
    _add(np.random, "random_integers", _random_integers)
    for name in collections.abc.__all__:
        _add(collections, name, getattr(collections.abc, name, None))
    _add(time, "clock", time.process_time)
    _add(fractions, "gcd", math.gcd)
    _add(inspect, "getargspec", _getargspec)
    if _Distutils not in sys.meta_path:
        sys.meta_path.append(_Distutils)


def _add(module, name, value):
    # Not hasattr: NumPy warns when it is asked for a name that it has removed.
    if value is not None and name not in vars(module):
        setattr(module, name, value)


def strtobool(value):
    """1 for 'y', 'yes', 't', 'true', 'on' and '1'; 0 for 'n', 'no', 'f', 'false', 'off' and '0'."""
    given = value.lower()
    if given in ("y", "yes", "t", "true", "on", "1"):
        return 1
    if given in ("n", "no", "f", "false", "off", "0"):
        return 0
    raise ValueError(f"invalid truth value {value!r}")


class _Distutils:
    """`distutils.util.strtobool`, which arguments of many programs go through, where Python has no distutils."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        known = name in ("distutils", "distutils.util")
        return importlib.machinery.ModuleSpec(name, cls, is_package=name == "distutils") if known else None

    @staticmethod
    def create_module(spec):
        return types.ModuleType(spec.name)

    @staticmethod
    def exec_module(module):
        if module.__name__ == "distutils.util":
            module.strtobool = strtobool
