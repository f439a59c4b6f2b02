"""Fixtures for all tests."""

import contextlib

import hypothesis
import numpy as np
import pytest

import fluidlite as fluid
from fluidlite._kernels import _parallel
from fluidlite.tables import as_array

# A busy machine is no failure, and a failure should come back in the next run.
hypothesis.settings.register_profile("fluidlite", deadline=None, derandomize=True)
hypothesis.settings.load_profile("fluidlite")


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request):
    """Runs the test with one and with two threads."""
    before = _parallel.get_num_threads()
    _parallel.set_num_threads(request.param)
    yield request.param
    _parallel.set_num_threads(before)


@pytest.fixture
def with_threads():
    """A function that sets the number of threads; the number before is restored at the end."""
    before = _parallel.get_num_threads()
    yield _parallel.set_num_threads
    _parallel.set_num_threads(before)


class Fresh:
    """Programs, a scope and an executor of a test's own, and short ways to look into them."""

    def __init__(self):
        self.main, self.startup, self.scope = fluid.Program(), fluid.Program(), fluid.Scope()
        self.exe = fluid.Executor()

    def start(self):
        """Run the startup program."""
        self.exe.run(self.startup, scope=self.scope)

    def run(self, feed=None, fetch_list=None, **options):
        """Run the main program."""
        return self.exe.run(self.main, feed=feed, fetch_list=fetch_list, scope=self.scope, **options)

    def value(self, name):
        """A copy of a persistable variable."""
        return np.array(self.scope.find_var(name).get_tensor())

    def set(self, name, array):
        self.scope.var(name).get_tensor().set(array)

    def snapshot(self):
        """{name: bytes} of everything in the scope."""
        found = {}
        for name in self.scope.local_var_names():
            value = self.scope.find_var(name).cell.value
            if value is not None:
                found[name] = np.asarray(as_array(getattr(value, "value", value))).tobytes()
        return found


@contextlib.contextmanager
def _fresh():
    one = Fresh()
    with (
        fluid.program_guard(one.main, one.startup),
        fluid.unique_name.guard(),
        fluid.scope_guard(one.scope),
    ):
        yield one


@pytest.fixture
def fresh():
    """Default programs, names and a global scope that nobody else uses; see `Fresh`."""
    with _fresh() as one:
        yield one


@pytest.fixture
def make_fresh():
    """A function whose ``with make_fresh() as one:`` gives what `fresh` gives, as often as a test needs it."""
    return _fresh
