"""Philox against its published vectors, the distributions against their moments and laws, and the counters."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from fluidlite._kernels import random as kernels

DTYPES = [np.float32, np.float64]
N = 200_000


def normal_cdf(z):
    return np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in z])


def truncated_cdf(z):
    low, high = normal_cdf([-2.0, 2.0])
    return (normal_cdf(z) - low) / (high - low)


FILLS = {
    "uniform": (kernels.fill_uniform, (0.0, 1.0), lambda x: np.clip(x, 0, 1), 0.5, 1 / 12),
    "gaussian": (kernels.fill_gaussian, (0.0, 1.0), normal_cdf, 0.0, 1.0),
    "truncated": (kernels.fill_truncated_gaussian, (0.0, 1.0), truncated_cdf, 0.0, 0.7737413),
}


def fill(name, n, dtype=np.float32, *, seed=7, stream=3, **options):
    out = np.full(n, np.nan, dtype)
    kernel, arguments, *_ = FILLS[name]
    kernel(out, *arguments, seed=seed, stream=stream, **options)
    return out


def words(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ("0 0 0 0", "0 0", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_known_answers(counter, key, expected):
    assert list(kernels.philox_block(words(counter), words(key))) == words(expected)


def test_quantile_in_all_its_ranges():
    for q in (0.0, 0.1, 0.425, 0.4251, 0.49, 0.5 - 1e-9, 0.5 - 2e-11, 0.5 - 1e-11, 0.5 - 2**-53):
        expected = -NormalDist().inv_cdf(0.5 - q)  # the lower tail, where 0.5 - q is exact
        assert kernels.gaussian_quantile(q) == pytest.approx(expected, rel=1e-13)
        assert kernels.gaussian_quantile(-q) == -kernels.gaussian_quantile(q)
    for q in (0.5, -0.5, math.nan):
        with pytest.raises(ValueError, match="`q` must lie in"):
            kernels.gaussian_quantile(q)


class TestElements:
    def test_uniform_is_made_of_the_words_of_its_counter(self):
        seed, stream, offset = 0x0123456789ABCDEF, 0xFEDCBA9876543210, 2**40 + 8
        key = [seed & 0xFFFFFFFF, seed >> 32]
        for dtype, lanes in ((np.float32, 4), (np.float64, 2)):
            block = offset // lanes
            counter = [block & 0xFFFFFFFF, block >> 32, stream & 0xFFFFFFFF, stream >> 32]
            w = kernels.philox_block(counter, key)
            if dtype is np.float32:
                expected = [(word >> 8) / 2**24 for word in w]
            else:
                expected = [((high << 32 | low) >> 11) / 2**53 for low, high in (w[:2], w[2:])]
            actual = fill("uniform", lanes, dtype, seed=seed, stream=stream, offset=offset)
            np.testing.assert_array_equal(actual, np.array(expected, dtype))

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_gaussian_is_the_quantile_of_its_words(self, dtype):
        """Against the standard library, in the middle and in the tails of the distribution."""
        z = fill("gaussian", 50_000, dtype)
        bits = np.empty(50_000, np.float64)
        for block in range(50_000 // (4 if dtype is np.float32 else 2)):
            w = kernels.philox_block([block, 0, 3, 0], [7, 0])
            if dtype is np.float32:
                bits[4 * block : 4 * block + 4] = [(word + 0.5) / 2**32 for word in w]
            else:
                pairs = (w[:2], w[2:])
                bits[2 * block : 2 * block + 2] = [((high << 20 | low >> 12) + 0.5) / 2**52 for low, high in pairs]
        inverse = NormalDist().inv_cdf
        expected = np.array([inverse(u) for u in bits])
        assert np.abs(expected).max() > 3.9
        np.testing.assert_allclose(z, expected, rtol=1e-7 if dtype is np.float32 else 1e-13, atol=1e-15)

    @pytest.mark.parametrize("name", FILLS)
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_parts_equal_the_whole(self, name, dtype, threads):
        """Any length, any start, also inside a block of Philox and across chunks of work."""
        whole = fill(name, 20_011, dtype)
        assert np.isfinite(whole).all()
        for begin, end in ((0, 1), (1, 2), (3, 8), (5, 20_011), (8191, 8195), (8192, 16_385), (20_010, 20_011), (9, 9)):
            part = fill(name, end - begin, dtype, offset=begin)
            assert part.tobytes() == whole[begin:end].tobytes()

    @pytest.mark.parametrize("name", FILLS)
    def test_bits_do_not_depend_on_threads(self, name, with_threads):
        results = []
        for n in (1, 2, 3):
            with_threads(n)
            results.append(fill(name, 100_003).tobytes())
        assert results[0] == results[1] == results[2]

    @pytest.mark.parametrize("name", FILLS)
    def test_seeds_and_streams_differ(self, name):
        cases = [(7, 3), (8, 3), (7, 4), (7 + 2**32, 3), (7, 3 + 2**32), (2**64 - 1, 3), (7, 2**64 - 1), (3, 7)]
        drawn = [fill(name, 1000, np.float64, seed=seed, stream=stream) for seed, stream in cases]
        for i, a in enumerate(drawn):
            for b in drawn[:i]:
                assert abs(np.corrcoef(a, b)[0, 1]) < 0.15

    def test_far_elements(self):
        last = fill("truncated", 4, offset=2**56 - 4)
        assert len(set(last)) == 4
        assert last.tobytes() != fill("truncated", 4, offset=2**56 - 8).tobytes()
        with pytest.raises(ValueError, match="`offset` plus the length of `out` must not pass 2\\^56"):
            fill("truncated", 4, offset=2**56 - 3)


class TestDistributions:
    @pytest.mark.parametrize("name", FILLS)
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_moments(self, name, dtype):
        x = fill(name, N, dtype).astype(np.float64)
        *_, mean, variance = FILLS[name]
        assert abs(x.mean() - mean) < 5 * math.sqrt(variance / N)
        assert abs(x.var() / variance - 1) < 5 * math.sqrt(2 / N)
        assert abs(((x - mean) ** 3).mean()) < 5 * math.sqrt(15 / N) * variance**1.5

    @pytest.mark.parametrize("name", FILLS)
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_distance_of_kolmogorov_and_smirnov(self, name, dtype):
        x = np.sort(fill(name, N, dtype).astype(np.float64))
        distance = np.abs(FILLS[name][2](x) - (np.arange(N) + 0.5) / N).max()
        assert distance < 1.95 / math.sqrt(N)  # one in a thousand under the null hypothesis; the seed is fixed

    @pytest.mark.parametrize("name", FILLS)
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_neighbours_are_not_correlated(self, name, dtype):
        x = fill(name, N, dtype)
        for lag in (1, 2, 3, 4, 8192):
            assert abs(np.corrcoef(x[lag:], x[:-lag])[0, 1]) < 5 / math.sqrt(N)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_truncation_redraws_only_what_lies_outside(self, dtype):
        gaussian, truncated = fill("gaussian", N, dtype), fill("truncated", N, dtype)
        inside = np.abs(gaussian) <= 2
        assert 0.95 < inside.mean() < 0.96
        np.testing.assert_array_equal(truncated[inside], gaussian[inside])
        assert np.abs(truncated).max() <= 2
        redrawn = truncated[~inside].astype(np.float64)
        assert len(np.unique(redrawn)) > 0.99 * len(redrawn)
        distance = np.abs(truncated_cdf(np.sort(redrawn)) - (np.arange(len(redrawn)) + 0.5) / len(redrawn)).max()
        assert distance < 1.95 / math.sqrt(len(redrawn))

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_shift_and_scale(self, dtype):
        out = np.empty(1000, dtype)
        kernels.fill_uniform(out, -3.0, 5.0, seed=7, stream=3)
        np.testing.assert_allclose(out, -3 + 8 * fill("uniform", 1000, dtype).astype(np.float64), rtol=1e-6)
        kernels.fill_gaussian(out, 2.0, 0.5, seed=7, stream=3)
        np.testing.assert_allclose(out, 2 + 0.5 * fill("gaussian", 1000, dtype).astype(np.float64), rtol=1e-6)
        kernels.fill_truncated_gaussian(out, 2.0, 0.5, seed=7, stream=3)
        np.testing.assert_allclose(out, 2 + 0.5 * fill("truncated", 1000, dtype).astype(np.float64), rtol=1e-6)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_uniform_never_reaches_high(self, dtype):
        """A range of one step of the floating type: rounding would give `high` half of the time."""
        low = 1.0
        high = float(np.nextafter(dtype(low), dtype(2)))
        out = np.empty(1000, dtype)
        kernels.fill_uniform(out, low, high, seed=7, stream=3)
        assert (out == low).all()

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_no_spread(self, dtype):
        out = np.empty(9, dtype)
        kernels.fill_uniform(out, 1.5, 1.5, seed=7, stream=3)
        assert (out == 1.5).all()
        for kernel in (kernels.fill_gaussian, kernels.fill_truncated_gaussian):
            kernel(out, -2.5, 0.0, seed=7, stream=3)
            assert (out == -2.5).all()


class TestRefusals:
    @pytest.mark.parametrize(
        ("error", "message", "change"),
        [
            (TypeError, "`out` must be an array of float32 or float64, but is int64", {"out": np.zeros(5, np.int64)}),
            (ValueError, "`out` must have 1 axis, but its shape is \\(5, 1\\)", {"out": np.zeros((5, 1))}),
            (ValueError, "`out` must be C-contiguous", {"out": np.zeros(10)[::2]}),
            (TypeError, "`seed` must be an integer, but is 1.5", {"seed": 1.5}),
            (TypeError, "`stream` must be an integer, but is True", {"stream": True}),
            (ValueError, "`seed` must lie in \\[0, 2\\^64\\), but is -1", {"seed": -1}),
            (ValueError, "`stream` must lie in \\[0, 2\\^64\\)", {"stream": 2**64}),
            (ValueError, "`offset` must lie in", {"offset": -1}),
        ],
    )
    @pytest.mark.parametrize("name", FILLS)
    def test_arguments(self, name, error, message, change):
        kernel, arguments, *_ = FILLS[name]
        options = {"out": np.zeros(5), "seed": 1, "stream": 2, "offset": 0, **change}
        out = options.pop("out")
        with pytest.raises(error, match=message):
            kernel(out, *arguments, **options)
        assert (out == 0).all()

    def test_read_only(self):
        out = np.zeros(5)
        out.flags.writeable = False
        with pytest.raises(ValueError, match="`out` is read-only"):
            kernels.fill_uniform(out, 0.0, 1.0, seed=1, stream=2)

    @pytest.mark.parametrize(("low", "high"), [(1, 0), (0, math.inf), (math.nan, 1), (-1e308, 1e308)])
    def test_uniform_range(self, low, high):
        with pytest.raises(ValueError, match="`low` and `high` must be finite"):
            kernels.fill_uniform(np.zeros(5), low, high, seed=1, stream=2)

    @pytest.mark.parametrize("kernel", [kernels.fill_gaussian, kernels.fill_truncated_gaussian])
    @pytest.mark.parametrize(("mean", "std"), [(0, -1), (math.nan, 1), (0, math.inf)])
    def test_normal_parameters(self, kernel, mean, std):
        with pytest.raises(ValueError, match="`mean` must be finite and `std` finite and not negative"):
            kernel(np.zeros(5), mean, std, seed=1, stream=2)


class TestRows:
    NAMES = ["uniform", "gaussian", "truncated"]
    IDS = np.array([5, -1, 0, 2**62, -(2**63), 2**63 - 1, 5])

    def rows(self, name, ids, width=7, dtype=np.float32, seed=7, stream=3):
        out = np.full((len(ids), width), np.nan, dtype)
        kernel = {"truncated": "truncated_gaussian"}.get(name, name)
        getattr(kernels, "fill_rows_" + kernel)(out, ids, 0.0, 1.0, seed=seed, stream=stream)
        return out

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("name", NAMES)
    def test_a_row_is_the_stream_of_its_id(self, threads, name, dtype):
        out = self.rows(name, self.IDS, dtype=dtype)
        seed = kernels.row_seed(7, 3)
        for id, row in zip(self.IDS.tolist(), out, strict=True):
            np.testing.assert_array_equal(row, fill(name, 7, dtype, seed=seed, stream=id % 2**64))
        assert (out[0] == out[-1]).all() and len(np.unique(out[:-1])) == 6 * 7

    @pytest.mark.parametrize("name", NAMES)
    def test_rows_depend_on_no_other_row(self, with_threads, name):
        ids = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 9001)
        with_threads(2)
        out = self.rows(name, ids, width=5)
        with_threads(1)
        np.testing.assert_array_equal(self.rows(name, ids[::-2], width=5), out[::-2])

    def test_seed_and_stream_both_count(self):
        seeds = {kernels.row_seed(a, b) for a in (0, 1, 2**63) for b in (0, 1, 2**63)}
        assert len(seeds) == 9
        assert (self.rows("uniform", self.IDS, stream=4) != self.rows("uniform", self.IDS)).any()

    def test_moments(self):
        out = self.rows("gaussian", np.arange(40_000), width=5)
        assert abs(out.mean()) < 0.01 and abs(out.std() - 1) < 0.01
        assert np.abs(np.corrcoef(out.T) - np.eye(5)).max() < 0.02
        assert np.abs(np.corrcoef(out[:-1, 0], out[1:, 0])[0, 1]) < 0.02

    @pytest.mark.parametrize("shape", [(0, 3), (1, 0), (2, 1)])
    def test_small_shapes(self, shape):
        self.rows("uniform", np.arange(shape[0]), width=shape[1])

    def test_wrong_arguments_are_refused(self):
        out = np.empty((3, 2), np.float32)
        for error, match, arguments in [
            (ValueError, "a row for each of 2 ids", (out, np.arange(2))),
            (TypeError, "`ids`", (out, np.arange(3, dtype=np.int32))),
            (ValueError, "contiguous", (np.empty((3, 4), np.float32)[:, ::2], np.arange(3))),
            (ValueError, "axes", (out[0], np.arange(3))),
        ]:
            with pytest.raises(error, match=match):
                kernels.fill_rows_uniform(*arguments, 0.0, 1.0, seed=0, stream=0)

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("name", NAMES)
    def test_elements_are_those_of_the_whole_table(self, threads, name, dtype):
        whole = fill(name, 5000 * 7, dtype).reshape(5000, 7)
        rows, out = np.array([0, 4999, 3, 3, 1234]), np.empty((5, 7), dtype)
        kernel = {"truncated": "truncated_gaussian"}.get(name, name)
        getattr(kernels, "fill_rows_" + kernel)(out, rows, 0.0, 1.0, seed=7, stream=3, elements=True)
        np.testing.assert_array_equal(out, whole[rows])
