"""The error function against the math library's, in place, and what it refuses."""

import math

import numpy as np
import pytest

from fluidlite._kernels.special import erf

EDGES = [0.0, -0.0, 1e-300, -1e-8, 0.5, -1.0, 3.9, -6.5, 1e4, math.inf, -math.inf]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(0, 3), (1,), (7, 5), (2, 3, 5)])
def test_erf_is_that_of_the_math_library(dtype, shape):
    x = np.random.RandomState(1).uniform(-4, 4, shape).astype(dtype)
    x.flags.writeable = False
    out = np.full(shape, 7, dtype)
    erf(x, out)
    np.testing.assert_array_equal(out, np.array([math.erf(v) for v in x.flat], dtype).reshape(shape))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erf_at_the_edges_in_place(dtype):
    x = np.array([*EDGES, math.nan], dtype)
    expected = np.array([math.erf(v) for v in x], dtype)
    erf(x, x)
    np.testing.assert_array_equal(x, expected)
    assert np.signbit(x[1]) and np.isnan(x[-1])


@pytest.mark.parametrize(
    "x, out, words",
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), "out"),
        (np.zeros(4), np.zeros(4, np.float32), "out"),
        (np.zeros(8)[::2], np.zeros(4), "contiguous"),
        (np.zeros(4, np.int64), np.zeros(4, np.int64), "float"),
        (np.zeros(9)[:-1], None, "memory"),
    ],
)
def test_other_arrays_are_refused(x, out, words):
    if out is None:
        out = x.base[1:]
    with pytest.raises((TypeError, ValueError), match=words):
        erf(x, out)
