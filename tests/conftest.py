"""Fixtures for all tests."""

import pytest

from fluidlite._kernels import _parallel


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
