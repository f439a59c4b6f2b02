"""Fluid's FLAGS: read from the environment at import, changed by `set_flags`.

FLAGS_check_nan_inf (default off): after every op, look for NaN and infinity in its outputs and stop at the first op
that made one. Slow; for debugging.

FLAGS_table_mmap_dir (default '', off): a folder. Parameters and moments of 64 MB and more, and tables of any ids, that
are made while it is set keep their pages in files there, mapped into memory, instead of in memory alone. The files have
no names and go with the process.
"""

import os

from .errors import NotFoundError, nearest

_DEFAULTS = {"FLAGS_check_nan_inf": False, "FLAGS_table_mmap_dir": ""}


def _parse(name, value):
    """A flag's value, of the kind of its default, from what the environment or the user says."""
    if isinstance(_DEFAULTS[name], str):
        return os.fspath(value) if value else ""
    return value.strip().lower() not in ("", "0", "false", "off", "no") if isinstance(value, str) else bool(value)


_values = {name: _parse(name, os.environ[name]) if name in os.environ else value for name, value in _DEFAULTS.items()}


def _known(name):
    if name not in _values:
        raise NotFoundError(f"There is no flag {name!r}.", expected=", ".join(_values), hint=nearest(name, _values))
    return name


def set_flags(flags):
    """Set flags from a dict, ``{'FLAGS_check_nan_inf': True}``. All names are checked before any flag changes."""
    _values.update({_known(name): _parse(name, value) for name, value in flags.items()})


def get_flags(flags):
    """The values of one flag name or a list of them, as a dict."""
    names = [flags] if isinstance(flags, str) else list(flags)
    return {name: _values[_known(name)] for name in names}


def table_mmap_dir():
    """The folder of FLAGS_table_mmap_dir, '' for none."""
    return _values["FLAGS_table_mmap_dir"]


def check_nan_inf():
    """Whether FLAGS_check_nan_inf is on."""
    return _values["FLAGS_check_nan_inf"]
