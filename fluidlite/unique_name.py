"""Names for variables that their users did not name: a counter for each key, ``fc_0``, ``fc_1``, ``fc_0.w_0``."""

import contextlib
from collections import defaultdict


class NameGenerator:
    """Counts how often each key was asked for. `prefix` stands before every name."""

    def __init__(self, prefix=""):
        self.prefix = prefix
        self.counts = defaultdict(int)

    def __call__(self, key):
        number = self.counts[key]
        self.counts[key] += 1
        return f"{self.prefix}{key}_{number}"


_generator = NameGenerator()


def generate(key):
    """The next name for `key`: 'fc' gives 'fc_0', then 'fc_1'."""
    return _generator(key)


def counts():
    """How often each key was asked for so far, a copy for `restore`."""
    return dict(_generator.counts)


def restore(before):
    """Go on counting from what `counts` gave."""
    _generator.counts = defaultdict(int, before)


def switch(new_generator=None):
    """Put another generator (a new one by default) in place, and return the one before."""
    global _generator
    before, _generator = _generator, new_generator if new_generator is not None else NameGenerator()
    return before


@contextlib.contextmanager
def guard(new_generator=None):
    """Names start from 0 inside the ``with``. A string is a prefix for all names made inside.

    >>> with guard():
    ...     generate('fc')
    'fc_0'
    """
    if isinstance(new_generator, bytes):
        new_generator = new_generator.decode()
    if isinstance(new_generator, str):
        new_generator = NameGenerator(new_generator)
    before = switch(new_generator)
    try:
        yield
    finally:
        switch(before)
