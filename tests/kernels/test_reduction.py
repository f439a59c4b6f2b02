"""Sums against exact arithmetic, their independence of threads, refusals."""

import math

import numpy as np
import pytest

from fluidlite._kernels.reduction import sum_all, sum_columns, sum_of_squares, sum_rows

DTYPES = [np.float32, np.float64]
SIZES = [0, 1, 5, 63, 64, 65, 1023, 1024, 1025, 65_535, 65_536, 65_537, 300_001, 2_500_003]


def random(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def assert_sums(sums, x, axis):
    """Within the error of adding 64 numbers in their own type and the rest in double."""
    eps, wide = np.finfo(x.dtype).eps, x.astype(np.longdouble)
    total, size = wide.sum(axis=axis), np.abs(wide).sum(axis=axis)
    limit = eps * np.abs(total) + (32 * eps + x.shape[axis] / 64 * np.finfo(np.float64).eps) * size
    assert (np.abs(sums - total) <= limit).all()


class TestSums:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("size", SIZES)
    def test_against_exact_sums(self, size, dtype, threads):
        x = random(size, dtype, size)
        x.flags.writeable = False
        eps = np.finfo(dtype).eps
        exact = math.fsum(x.tolist())
        total = sum_all(x)
        assert type(total) is float
        assert abs(total - exact) <= 8 * eps * np.abs(x).sum(dtype=np.float64)
        squares = math.fsum(float(v) ** 2 for v in x.tolist())
        assert abs(sum_of_squares(x) - squares) <= (8.5 * eps) * squares

    @pytest.mark.parametrize("shape", [(), (2, 3, 5), (7, 1), (300, 1001)])
    def test_any_shape(self, shape):
        x = np.asarray(np.random.default_rng(0).integers(-9, 10, shape).astype(np.float32))
        assert sum_all(x) == x.sum(dtype=np.float64)
        assert sum_of_squares(x) == np.square(x, dtype=np.float64).sum()

    def test_more_ones_than_float32_can_count(self, threads):
        ones = np.ones(2**25 + 3, np.float32)
        assert sum_all(ones) == sum_of_squares(ones) == 2**25 + 3

    @pytest.mark.parametrize("size", [300_001, 5_000_011])
    def test_bits_do_not_depend_on_threads(self, size, with_threads):
        x = random(size, np.float32)
        results = set()
        for n in (1, 2, 3):
            with_threads(n)
            results.add((sum_all(x), sum_of_squares(x)))
        assert len(results) == 1

    @pytest.mark.parametrize("position", [0, 70, 299_999])
    def test_special_values(self, position):
        x = np.ones(300_000, np.float32)
        x[position] = np.inf
        assert sum_all(x) == sum_of_squares(x) == math.inf
        x[position] = np.nan
        assert math.isnan(sum_all(x)) and math.isnan(sum_of_squares(x))

    @pytest.mark.parametrize("kernel", [sum_all, sum_of_squares])
    def test_refuses(self, kernel):
        with pytest.raises(TypeError, match="`x` must be an array of float32 or float64, but is int64"):
            kernel(np.ones(3, int))
        with pytest.raises(TypeError, match="`x` must be a NumPy array of float32 or float64, but is list"):
            kernel([1.0])
        with pytest.raises(ValueError, match="`x` must be C-contiguous"):
            kernel(np.ones((3, 5)).T)


class TestSumColumns:
    SHAPES = [(0, 3), (1, 5), (7, 1), (2, 3), (100_003, 1), (3001, 7), (65, 64), (1000, 130), (257, 2073), (3, 50_000)]

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("shape", SHAPES)
    def test_values(self, shape, dtype, threads):
        x = random(shape, dtype)
        x.flags.writeable = False
        out = np.full(shape[1], 9, dtype)
        sum_columns(x, out)
        assert_sums(out, x, 0)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_bits_do_not_depend_on_threads(self, shape, with_threads):
        x = random(shape, np.float32)
        results = set()
        for n in (1, 2, 3):
            with_threads(n)
            out = np.empty(shape[1], np.float32)
            sum_columns(x, out)
            results.add(out.tobytes())
        assert len(results) == 1

    def test_refuses(self):
        x = np.ones((3, 5))
        for error, message, arguments in (
            (ValueError, "`out` must have shape \\(5,\\) \\(D\\), but has \\(3,\\)", (x, np.ones(3))),
            (ValueError, "`x` must have 2 axes", (np.ones(5), np.ones(5))),
            (ValueError, "`out` must have 1 axis", (x, np.ones((1, 5)))),
            (TypeError, "`out` must be an array of float64, but is float32", (x, np.ones(5, np.float32))),
            (ValueError, "`x` must be C-contiguous", (np.ones((5, 3)).T, np.ones(5))),
            (ValueError, "`out` and `x` share memory", (x, x[1])),
        ):
            with pytest.raises(error, match=message):
                sum_columns(*arguments)
        assert (x == 1).all()


class TestSumRows:
    SHAPES = [
        (0, 2, 3),
        (2, 0, 3),
        (2, 3, 0),
        (1, 1, 1),
        (2, 3, 5),
        (3, 7, 2),
        (500, 26, 1),
        (3, 1000, 1),
        (700, 26, 8),
        (700, 26, 16),
        (30, 64, 32),
        (30, 65, 32),
        (900, 10, 64),
        (40, 70, 130),
        (3, 130, 2073),
        (2, 70_000, 5),
    ]

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("shape", SHAPES)
    def test_values(self, shape, dtype, threads):
        x = random(shape, dtype)
        x.flags.writeable = False
        out = np.full((shape[0], shape[2]), 9, dtype)
        sum_rows(x, out)
        assert_sums(out, x, 1)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_bits_do_not_depend_on_threads(self, shape, with_threads):
        x = random(shape, np.float32)
        results = set()
        for n in (1, 2, 3):
            with_threads(n)
            out = np.empty((shape[0], shape[2]), np.float32)
            sum_rows(x, out)
            results.add(out.tobytes())
        assert len(results) == 1

    def test_refuses(self):
        x = np.ones((2, 3, 5))
        for error, message, arguments in (
            (ValueError, "`out` must have shape \\(2, 5\\) \\(N, D\\), but has \\(2, 3\\)", (x, np.ones((2, 3)))),
            (ValueError, "`out` must have shape \\(2, 5\\)", (x, np.ones((5, 2)))),
            (ValueError, "`x` must have 3 axes", (x[0], np.ones((2, 5)))),
            (TypeError, "`out` must be an array of float64, but is float32", (x, np.ones((2, 5), np.float32))),
            (ValueError, "`x` must be C-contiguous", (np.ones((2, 5, 3)).transpose(0, 2, 1), np.ones((2, 5)))),
            (ValueError, "`out` must be C-contiguous", (x, np.ones((2, 10))[:, ::2])),
            (ValueError, "`out` and `x` share memory", (x, x[0, :2])),
        ):
            with pytest.raises(error, match=message):
                sum_rows(*arguments)
        assert (x == 1).all()
