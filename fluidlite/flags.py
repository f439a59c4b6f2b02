"""Fluid's FLAGS: read from the environment at import, changed by `set_flags`.

FLAGS_check_nan_inf (default off): after every op, look for NaN and infinity in its outputs and stop at the first op
that made one. Slow; for debugging.
"""

import os

from .errors import NotFoundError, nearest

_DEFAULTS = {"FLAGS_check_nan_inf": False}


def _parse(text):
    return text.strip().lower() not in ("", "0", "false", "off", "no")


_values = {name: _parse(os.environ[name]) if name in os.environ else value for name, value in _DEFAULTS.items()}


def _known(name):
    if name not in _values:
        raise NotFoundError(f"There is no flag {name!r}.", expected=", ".join(_values), hint=nearest(name, _values))
    return name


def set_flags(flags):
    """Set flags from a dict, ``{'FLAGS_check_nan_inf': True}``. All names are checked before any flag changes."""
    parsed = {_known(name): _parse(value) if isinstance(value, str) else bool(value) for name, value in flags.items()}
    _values.update(parsed)


def get_flags(flags):
    """The values of one flag name or a list of them, as a dict."""
    names = [flags] if isinstance(flags, str) else list(flags)
    return {name: _values[_known(name)] for name in names}


def check_nan_inf():
    """Whether FLAGS_check_nan_inf is on."""
    return _values["FLAGS_check_nan_inf"]
