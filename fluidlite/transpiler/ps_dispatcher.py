"""Fluid's ways to spread variables over servers, kept for their names: rows of a table go by the hash of their id."""

from ..variable import Variable

__all__ = ["PSDispatcher", "HashName", "RoundRobin"]


class PSDispatcher:
    """Base of the two.

    Args:
        pserver_endpoints: list of addresses.
    """

    def __init__(self, pserver_endpoints):
        self._eps = pserver_endpoints
        self._step = 0

    @property
    def eps(self):
        """The addresses."""
        return self._eps

    def reset(self):
        """Begin anew with the first address."""
        self._step = 0

    def dispatch(self, varlist):
        """An address for each variable."""
        raise NotImplementedError("use RoundRobin or HashName")


class HashName(PSDispatcher):
    """An address by the name of the variable: the same one in every process, unlike Fluid's.

    >>> dispatcher = HashName(['a:1', 'b:1'])
    >>> dispatcher.dispatch(['x', 'y']) == dispatcher.dispatch(['x', 'y'])
    True
    """

    def dispatch(self, varlist):
        """An address for each variable or name."""
        return [self._eps[_hash(_name(one)) % len(self._eps)] for one in varlist]


class RoundRobin(PSDispatcher):
    """One address after the other.

    >>> RoundRobin(['a:1', 'b:1']).dispatch(['x', 'y', 'z'])
    ['a:1', 'b:1', 'a:1']
    """

    def dispatch(self, varlist):
        """An address for each variable; the next call goes on where this one ended."""
        chosen = [self._eps[(self._step + i) % len(self._eps)] for i in range(len(varlist))]
        self._step = (self._step + len(varlist)) % len(self._eps)
        return chosen


def _name(one):
    if isinstance(one, Variable):
        return one.name
    return one.name() if callable(getattr(one, "name", None)) else str(one)


def _hash(name):
    """FNV-1a, 64 bits: `hash` of a str differs from process to process."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value
