"""Arrays as programs of Fluid's time know them: ``float(loss)``, ``'%d' % count`` and how numbers print.

What `Executor.run` fetches has at least one dimension, and programs turn it, or parts of arrays of their own, into
numbers by float() and int(). NumPy warns of that since 1.25 and refuses it since 2.4. And since NumPy 2 the numbers in
a list print as np.float32(0.5).
"""

import ctypes
import warnings

import numpy as np

_IMMUTABLE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE
_WORD = ctypes.sizeof(ctypes.c_void_p)
# Where a PyTypeObject has tp_flags: after the head of a PyVarObject and 18 fields of one word.
_FLAGS_AT = object.__basicsize__ + _WORD + 18 * _WORD


def restore():
    """Bring back float(x) and int(x) of arrays with one element, and the old look of numbers; twice changes nothing."""
    if _is_refused(float) and _is_refused(int):
        _set_on_ndarray({"__float__": _of_one_element("__float__"), "__int__": _of_one_element("__int__")})
    if int(np.__version__.split(".")[0]) >= 2:
        np.set_printoptions(legacy="1.25")


def _is_refused(convert):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            convert(np.ones(1))
        except (DeprecationWarning, TypeError):
            return True
    return False


def _of_one_element(name):
    numpys = getattr(np.ndarray, name)

    def convert(self):
        return numpys(np.asarray(self).reshape(()) if self.ndim and self.size == 1 else self)

    convert.__name__ = name
    return convert


def _set_on_ndarray(methods):
    """Set attributes of the class ndarray, which Python protects by a flag, as it does all classes written in C."""
    try:
        flags = ctypes.c_ulong.from_address(id(np.ndarray) + _FLAGS_AT)
        known = flags.value == np.ndarray.__flags__ and flags.value & _IMMUTABLE
    except (TypeError, ValueError):
        known = False
    if not known:  # another Python than CPython: leave its classes alone
        return
    flags.value &= ~_IMMUTABLE
    try:
        for name, method in methods.items():
            setattr(np.ndarray, name, method)
    finally:
        flags.value |= _IMMUTABLE
