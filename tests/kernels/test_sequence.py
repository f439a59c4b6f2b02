"""Sequence kernels against loops over sequences: widths around those with code of their own, no byte too far."""

import numpy as np
import pytest

from fluidlite._kernels.sequence import (
    first_misfit,
    gather_context,
    pool,
    pool_grad,
    scatter_context,
    softmax_steps,
    softmax_steps_grad,
)

DTYPES = [np.float32, np.float64]
KINDS = ["sum", "average", "sqrt", "max", "first", "last"]
WIDTHS = [1, 2, 7, 8, 9, 12, 13, 16, 17, 31, 32, 33, 63, 64, 65, 130]
LENGTHS = {
    "none": [],
    "empty": [0, 0],
    "one": [1],
    "ones": [1] * 7,
    "mixed": [3, 0, 1, 2, 0],
    "ends_empty": [0, 2, 5, 0],
    "long": [63, 64, 65, 129, 0, 200],
}


def random(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def offsets_of(lengths):
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def guarded(shape, dtype):
    """An array to write to, with marks before and behind it, and a function that finds them unchanged."""
    size, guard = int(np.prod(shape)), 160
    memory = np.full(size + 2 * guard, 77, dtype)

    def check():
        assert (memory[:guard] == 77).all() and (memory[guard + size :] == 77).all()

    return memory[guard : guard + size].reshape(shape), check


def pooled(x, offsets, kind, pad):
    out = np.full((len(offsets) - 1, x.shape[1]), pad)
    index = np.full(out.shape, -1)
    for n, (begin, end) in enumerate(zip(offsets[:-1], offsets[1:], strict=True)):
        rows = x[begin:end].astype(np.float64)
        if end > begin:
            total = rows.sum(0)
            index[n] = begin + rows.argmax(0)
            roots = {"sum": total, "average": total / len(rows), "sqrt": total / np.sqrt(len(rows))}
            out[n] = {**roots, "max": rows.max(0), "first": rows[0], "last": rows[-1]}[kind]
    return out, index


class TestPool:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
    @pytest.mark.parametrize("kind", KINDS)
    def test_against_a_loop(self, kind, lengths, dtype, threads):
        offsets = offsets_of(lengths)
        for width in WIDTHS:
            x = random((offsets[-1], width), dtype, width)
            x.flags.writeable = False
            out, check = guarded((len(lengths), width), dtype)
            index, check_index = guarded(out.shape, np.int32)
            pool(x, offsets, out, kind, index if kind == "max" else None, 0.25)
            expected, rows = pooled(x, offsets, kind, 0.25)
            # The error of adding 64 numbers in their own type and the rest in double.
            adds = kind in ("sum", "average", "sqrt")
            size = pooled(np.abs(x), offsets, kind, 0.0)[0] if adds else np.zeros(out.shape)
            assert (np.abs(out - expected) <= np.finfo(dtype).eps * (2 * np.abs(expected) + 64 * size)).all()
            check()
            check_index()
            if kind == "max":
                np.testing.assert_array_equal(index, rows)

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
    @pytest.mark.parametrize("kind", KINDS)
    def test_gradient_against_a_loop(self, kind, lengths, dtype, threads):
        offsets = offsets_of(lengths)
        for width in WIDTHS:
            out_grad = random((len(lengths), width), dtype, width)
            out_grad.flags.writeable = False
            x = random((offsets[-1], width), dtype, width)
            index = pooled(x, offsets, kind, 0.0)[1].astype(np.int32) if kind == "max" else None
            grad, check = guarded(x.shape, dtype)
            pool_grad(out_grad, offsets, grad, kind, index)
            expected = np.zeros(x.shape)
            for n, (begin, end) in enumerate(zip(offsets[:-1], offsets[1:], strict=True)):
                if kind == "max" and end > begin:
                    expected[index[n], np.arange(width)] = out_grad[n]
                elif kind in ("first", "last") and end > begin:
                    expected[begin if kind == "first" else end - 1] = out_grad[n]
                elif end > begin:
                    shares = {"sum": 1, "average": end - begin, "sqrt": np.sqrt(end - begin)}
                    expected[begin:end] = out_grad[n] / shares[kind]
            np.testing.assert_allclose(grad, expected, rtol=1e-6)
            check()

    def test_bits_depend_neither_on_threads_nor_on_what_lies_around(self, with_threads):
        lengths = np.random.default_rng(5).integers(0, 60, 3001)
        offsets = offsets_of(lengths)
        for width in (5, 12, 16, 30):
            x = random((offsets[-1], width), np.float32)
            found = set()
            for n in (1, 2, 3):
                with_threads(n)
                out, grad = np.empty((len(lengths), width), np.float32), np.empty_like(x)
                pool(x, offsets, out, "average")
                pool_grad(out, offsets, grad, "sqrt")
                found.add((out.tobytes(), grad.tobytes()))
            assert len(found) == 1
            alone = np.empty((1, width), np.float32)
            for n in (0, 1500, 3000):
                rows = x[offsets[n] : offsets[n + 1]].copy()
                pool(rows, offsets_of([len(rows)]), alone, "average")
                assert alone.tobytes() == out[n].tobytes()

    def test_more_ones_than_float32_can_count(self):
        ones = np.ones((2**24 + 3, 1), np.float32)
        out = np.empty((1, 1), np.float32)
        pool(ones, offsets_of([len(ones)]), out, "sum")
        assert out[0, 0] == np.float32(2**24 + 3)

    def test_nan_counts_where_it_comes_first(self):
        x = np.array([[np.nan, 1.0], [2.0, np.nan], [3.0, 0.0]], np.float32)
        out, index = np.empty((1, 2), np.float32), np.empty((1, 2), np.int32)
        pool(x, offsets_of([3]), out, "max", index)
        assert np.isnan(out[0, 0]) and out[0, 1] == 1.0 and index.tolist() == [[0, 0]]

    def test_refuses_and_writes_nothing(self):
        x, out, offsets = np.ones((6, 3), np.float32), np.full((2, 3), 7.0, np.float32), offsets_of([2, 4])
        index = np.zeros((2, 3), np.int32)
        for wrong in ([0, 2, 5], [0, 2, 7], [1, 2, 6], [0, 7, 6], [0, -1, 6], []):
            with pytest.raises(ValueError, match="must rise from 0 to the number of rows, 6"):
                pool(x, np.array(wrong, np.int64), out, "sum")
            with pytest.raises(ValueError, match="must rise from 0 to the number of rows, 6"):
                pool_grad(out, np.array(wrong, np.int64), x, "sum")
        with pytest.raises(TypeError, match="`offsets` must be an array of int64"):
            pool(x, offsets.astype(np.int32), out, "sum")
        with pytest.raises(ValueError, match="`kind` must be one of 'sum', .*, but is 'mean'"):
            pool(x, offsets, out, "mean")
        with pytest.raises(ValueError, match=r"`out` must have shape \(2, 3\), but has \(3, 2\)"):
            pool(x, offsets, np.empty((3, 2), np.float32), "sum")
        with pytest.raises(ValueError, match="share memory"):
            pool(x, offsets, x[:2], "sum")
        with pytest.raises(ValueError, match="`index` is for kind 'max' alone"):
            pool(x, offsets, out, "sum", index)
        with pytest.raises(ValueError, match="`index` is for kind 'max', which needs it"):
            pool_grad(out, offsets, x, "max")
        index[1, 2] = 6
        with pytest.raises(ValueError, match="names row 0 in sequence 1, which has the rows 2 to 5"):
            pool_grad(out, offsets, x, "max", index)
        assert (out == 7).all() and (x == 1).all()


@pytest.mark.parametrize(
    ("offsets", "n_rows", "place"),
    [
        ([0], 0, -1),
        ([0, 0, 3], 3, -1),
        ([], 0, 0),
        ([1, 3], 3, 0),
        ([0, 2, 1, 3], 3, 2),
        ([0, 5, 4], 4, 2),
        ([0, 2], 3, 1),
        ([0], 3, 0),
    ],
)
def test_first_misfit(offsets, n_rows, place):
    assert first_misfit(np.array(offsets, np.int64), n_rows) == place


class TestSoftmaxSteps:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("lengths", [*LENGTHS.values(), [300_001, 2]], ids=[*LENGTHS, "huge"])
    def test_against_a_loop(self, lengths, dtype, threads):
        offsets = offsets_of(lengths)
        x, out_grad = 3 * random(offsets[-1], dtype), random(offsets[-1], dtype, 1)
        out, check = guarded(x.shape, dtype)
        grad, check_grad = guarded(x.shape, dtype)
        softmax_steps(x, offsets, out)
        softmax_steps_grad(out, out_grad, offsets, grad)
        expected, expected_grad = np.zeros(x.shape), np.zeros(x.shape)
        for begin, end in zip(offsets[:-1], offsets[1:], strict=True):
            powers = np.exp(x[begin:end].astype(np.float64))
            expected[begin:end] = powers / powers.sum()
            y, g = expected[begin:end], out_grad[begin:end]
            expected_grad[begin:end] = y * (g - y @ g)
        # Sums are made in double, one number after the other.
        rtol = 2e-6 if dtype == np.float32 else 1e-14 + np.finfo(dtype).eps * max(lengths, default=0) ** 0.5
        np.testing.assert_allclose(out, expected, rtol=rtol)
        np.testing.assert_allclose(grad, expected_grad, rtol=rtol, atol=rtol)
        check()
        check_grad()

    def test_far_apart(self):
        out = np.empty(4, np.float32)
        softmax_steps(np.array([0, 1e4, -1e4, -1e30], np.float32), offsets_of([2, 2]), out)
        assert out.tolist() == [0, 1, 1, 0]

    def test_refuses(self):
        x, out = np.ones(3, np.float32), np.empty(3, np.float32)
        with pytest.raises(ValueError, match="must rise from 0 to the number of rows, 3"):
            softmax_steps(x, offsets_of([1, 1]), out)
        with pytest.raises(ValueError, match="`out` must have shape"):
            softmax_steps(x, offsets_of([3]), np.empty(4, np.float32))
        with pytest.raises(ValueError, match="share memory"):
            softmax_steps_grad(x, out, offsets_of([3]), out)


class TestContext:
    CONTEXTS = [(3, -1), (1, 0), (2, 1), (5, -4), (4, 3), (2, -9), (3, 10**15), (3, -(10**15)), (0, 0)]

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
    @pytest.mark.parametrize(("length", "start"), CONTEXTS)
    def test_against_a_loop(self, length, start, lengths, dtype, threads):
        offsets = offsets_of(lengths)
        x = random((offsets[-1], 5), dtype)
        windows, check = guarded((len(x), length, 5), dtype)
        gather_context(x, offsets, windows, start)
        grads = random(windows.shape, dtype, 1)
        grad, check_grad = guarded(x.shape, dtype)
        scatter_context(grads, offsets, grad, start)
        expected, expected_grad = np.zeros(windows.shape), np.zeros(x.shape)
        for begin, end in zip(offsets[:-1], offsets[1:], strict=True):
            for t in range(begin, end):
                for k in range(length):
                    if begin <= t + start + k < end:
                        expected[t, k] = x[t + start + k]
                        expected_grad[t + start + k] += grads[t, k]
        np.testing.assert_array_equal(windows, expected)
        np.testing.assert_allclose(grad, expected_grad, rtol=1e-6, atol=1e-6)
        check()
        check_grad()

    def test_bits_do_not_depend_on_threads(self, with_threads):
        offsets = offsets_of(np.random.default_rng(5).integers(0, 60, 2001))
        x, found = random((offsets[-1], 12), np.float32), set()
        for n in (1, 2, 3):
            with_threads(n)
            windows, grad = np.empty((len(x), 3, 12), np.float32), np.empty_like(x)
            gather_context(x, offsets, windows, -1)
            scatter_context(windows, offsets, grad, -1)
            found.add((windows.tobytes(), grad.tobytes()))
        assert len(found) == 1

    def test_refuses(self):
        x, windows = np.ones((3, 2), np.float32), np.zeros((3, 4, 2), np.float32)
        with pytest.raises(ValueError, match="must rise from 0 to the number of rows, 3"):
            gather_context(x, offsets_of([1, 1]), windows, -1)
        with pytest.raises(ValueError, match=r"`out` must have shape \(3, any, 2\), but has \(3, 4, 1\)"):
            gather_context(x, offsets_of([3]), np.zeros((3, 4, 1), np.float32), -1)
        with pytest.raises(ValueError, match="`x` must be C-contiguous"):
            gather_context(x.T.copy().T, offsets_of([3]), windows, -1)
        assert not windows.any()
