"""Dropout: the mask against the words of Philox, the arithmetic, statistics, threads and CPU levels."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest

from fluidlite._kernels import _cpu, random
from fluidlite._kernels import dropout as kernels

DTYPES = [np.float32, np.float64]
SIZES = [0, 1, 63, 64, 65, 1000]
LARGE = 200_003  # several chunks of work, the last one not full


def drop(x, probability=0.3, scale=1.0, *, seed=7, stream=3):
    out, mask = np.full(x.shape, np.nan, x.dtype), np.full(x.size, 9, np.uint8)
    kernels.drop(x, out, mask, probability, scale, seed=seed, stream=stream)
    return out, mask.reshape(x.shape)


def numbers(*shape, dtype=np.float32):
    return np.random.RandomState(5).uniform(0.5, 2, shape).astype(dtype)


def expected_mask(n, probability, seed, stream):
    """Element i takes word (i mod 64) div 16 of block 16 (i div 64) + i mod 16."""
    key = [seed & 0xFFFFFFFF, seed >> 32]
    mask = []
    for i in range(n):
        block = 16 * (i // 64) + i % 16
        words = random.philox_block([block, 0, stream & 0xFFFFFFFF, stream >> 32], key)
        mask.append(words[i % 64 // 16] >= probability * 2**32)
    return np.array(mask, np.uint8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_the_mask_is_made_of_words_of_philox(dtype, n):
    for probability, seed, stream in ((0.3, 7, 3), (0.75, 0x0123456789ABCDEF, 0xFEDCBA9876543210)):
        out, mask = drop(numbers(n, dtype=dtype), probability, 1.5, seed=seed, stream=stream)
        np.testing.assert_array_equal(mask, expected_mask(n, probability, seed, stream))
        np.testing.assert_array_equal(out, np.where(mask, numbers(n, dtype=dtype) * dtype(1.5), 0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_none_and_all(dtype):
    x = numbers(LARGE, dtype=dtype)
    for probability in (0.0, 1.0):
        out, mask = drop(x, probability)
        assert (mask == 1 - probability).all()
        np.testing.assert_array_equal(out, x * dtype(1 - probability))


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_dropped_is_zero_whatever_it_was(dtype):
    out, mask = drop(np.full(1000, np.nan, dtype), 0.5)
    assert (out[mask == 0] == 0).all() and np.isnan(out[mask == 1]).all()
    grad = np.full(1000, np.inf, dtype)
    kernels.drop_grad(grad, mask, out, 1.0)
    assert (out[mask == 0] == 0).all() and (out[mask == 1] == np.inf).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gradient_passes_what_was_kept(dtype, threads):
    x, grad = numbers(7, LARGE // 7, dtype=dtype), numbers(7, LARGE // 7, dtype=dtype)[::-1].copy()
    out, mask = drop(x, 0.3, 1.25)
    x_grad = np.empty_like(x)
    kernels.drop_grad(grad, mask.reshape(-1), x_grad, 1.25)
    np.testing.assert_array_equal(x_grad, np.where(mask, grad * dtype(1.25), 0))
    kernels.drop_grad(grad, mask.reshape(-1), grad, 1.25)
    np.testing.assert_array_equal(grad, x_grad)
    before = x.copy()
    kernels.drop(x, x, np.empty(x.size, np.uint8), 0.3, 1.25, seed=7, stream=3)
    np.testing.assert_array_equal(x, out)
    assert not np.array_equal(x, before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_do_not_depend_on_threads(dtype, with_threads):
    x, results = numbers(LARGE, dtype=dtype), []
    for n in (1, 2, 3):
        with_threads(n)
        results.append(tuple(array.tobytes() for array in drop(x)))
    assert results[0] == results[1] == results[2]


def test_a_longer_array_begins_with_the_shorter_one():
    long, short = drop(numbers(LARGE))[1], drop(numbers(70_001))[1]
    np.testing.assert_array_equal(long[:70_001], short)
    np.testing.assert_array_equal(drop(numbers(LARGE, dtype=np.float64))[1], long)


@pytest.mark.parametrize("probability", [0.01, 0.3, 0.5, 0.9])
def test_shares_and_neighbours(probability):
    """The seed is fixed, and the bounds are 5 standard deviations."""
    mask = drop(numbers(LARGE), probability)[1].astype(float)
    deviation = math.sqrt(probability * (1 - probability) / LARGE)
    assert abs(mask.mean() - (1 - probability)) < 5 * deviation
    for lag in (1, 2, 15, 16, 17, 48, 64, 65536):
        assert abs(np.corrcoef(mask[lag:], mask[:-lag])[0, 1]) < 5 / math.sqrt(LARGE - lag)


def test_seeds_and_streams_differ():
    cases = [(7, 3), (8, 3), (7, 4), (7 + 2**32, 3), (7, 3 + 2**32), (2**64 - 1, 3), (7, 2**64 - 1), (3, 7)]
    masks = [drop(numbers(4000), 0.5, seed=seed, stream=stream)[1].astype(float) for seed, stream in cases]
    for i, a in enumerate(masks):
        for b in masks[:i]:
            assert abs(np.corrcoef(a, b)[0, 1]) < 0.08


CHECKSUM = """
import zlib
import numpy as np
from fluidlite._kernels import dropout
for dtype in (np.float32, np.float64):
    x, mask = np.linspace(1, 2, 1003).astype(dtype), np.empty(1003, np.uint8)
    out = np.empty_like(x)
    dropout.drop(x, out, mask, 0.4, 1.7, seed=5, stream=9)
    grad = np.empty_like(x)
    dropout.drop_grad(x, mask, grad, 1.3)
    print(zlib.crc32(mask.tobytes() + out.tobytes() + grad.tobytes()))
"""


def test_all_cpu_levels_give_the_same_bits():
    results = set()
    for level in _cpu.cpu_levels():
        env = {**os.environ, "FLUIDLITE_CPU": level}
        env["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        run = subprocess.run([sys.executable, "-c", CHECKSUM], env=env, capture_output=True, text=True, check=True)
        results.add(run.stdout)
    assert len(results) == 1 and len(results.pop().split()) == 2


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (ValueError, "`probability` must lie in \\[0, 1\\], but is 1.5", {"probability": 1.5}),
        (ValueError, "`probability` must lie in", {"probability": math.nan}),
        (ValueError, "`scale` must be finite", {"scale": math.inf}),
        (ValueError, "`mask` has 4 elements, but `x` has 5", {"mask": np.zeros(4, np.uint8)}),
        (ValueError, "Buffer dtype mismatch", {"mask": np.zeros(5, np.int64)}),
        (ValueError, "`x` must be C-contiguous", {"x": np.zeros(10)[::2]}),
        (TypeError, "`out` is float32, but `x` is float64", {"out": np.zeros(5, np.float32)}),
        (OverflowError, "negative", {"seed": -1}),
    ],
)
def test_refusals(error, message, change):
    given = {"x": np.ones(5), "out": np.zeros(5), "mask": np.zeros(5, np.uint8), "probability": 0.5, "scale": 1.0}
    given |= {"seed": 1, "stream": 2, **change}
    with pytest.raises(error, match=message):
        kernels.drop(**given)
    assert not given["out"].any() and not given["mask"].any()
