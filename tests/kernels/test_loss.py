"""Softmax and cross entropies against float64, numeric gradients, aliasing, labels, refusals."""

import pickle

import numpy as np
import pytest

from fluidlite._kernels.loss import (
    LabelOutOfRange,
    sigmoid_cross_entropy,
    sigmoid_cross_entropy_grad,
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_grad,
    softmax_grad,
)

DTYPES = [np.float32, np.float64]
SHAPES = [(0, 3), (1, 1), (5, 1), (3, 2), (7, 31), (7, 32), (5, 63), (3, 65), (2, 1023), (2, 1100)]
BIG_SHAPES = [(40_001, 2), (9001, 10), (1500, 64), (300, 1027), (5, 50_000)]
IGNORED = -100


def reference_softmax(x):
    x = x.astype(np.longdouble)
    e = np.exp(x - x.max(axis=1, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=1, keepdims=True)


def reference_loss(x, label):
    x = x.astype(np.longdouble)
    top = x.max(axis=1, initial=-np.inf)
    lse = np.log(np.exp(x - top[:, None]).sum(axis=1)) + top
    keep = label != IGNORED
    return np.where(keep, lse - x[np.arange(len(x)), np.where(keep, label, 0)], 0)


def case(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = (3 * rng.standard_normal(shape)).astype(dtype)
    label = rng.integers(0, shape[1], shape[0])
    label[: shape[0] // 2 : 3] = IGNORED
    label[-1:] = 0
    label[-2:-1] = shape[1] - 1
    return x, rng.standard_normal(shape[1]).astype(dtype), label


def assert_softmax(actual, x):
    """A few roundings, and that of x - top, which exp makes relative."""
    expected = reference_softmax(x)
    limit = (8 + np.abs(x - x.max(axis=1, keepdims=True, initial=-np.inf)) / 2) * np.finfo(x.dtype).eps
    assert (np.abs(actual - expected) <= limit * expected).all()


class TestSoftmax:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("shape", SHAPES + BIG_SHAPES)
    def test_values(self, shape, dtype, threads):
        x, bias, _ = case(shape, dtype)
        x.flags.writeable = bias.flags.writeable = False
        out = np.full_like(x, 9)
        softmax(x, None, out)
        assert_softmax(out, x)
        softmax(x, bias, out)
        assert_softmax(out, x + bias)

    @pytest.mark.parametrize("shape", [(5, 7), (9001, 10), (300, 1027)])
    def test_in_place(self, shape, threads):
        x, bias, _ = case(shape, np.float32)
        for b in (None, bias):
            out, same = np.empty_like(x), x.copy()
            softmax(x, b, out)
            softmax(same, b, same)
            assert same.tobytes() == out.tobytes()

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("width", [3, 5, 40, 1100])
    def test_special_values(self, width, dtype):
        x = np.zeros((6, width), dtype)
        x[0, 1] = np.nan
        x[1, 2] = np.inf
        x[2] = -np.inf
        x[3, : width - 1] = -np.inf
        x[4] = -np.finfo(dtype).max
        x[4, 1] = np.finfo(dtype).max
        x[5] = 1e30
        expected = np.zeros_like(x)
        expected[:3] = np.nan
        expected[3:5] = np.exp(-64)  # nothing counts as less, so that no probability is 0
        expected[3, -1] = expected[4, 1] = 1
        expected[5] = 1 / width
        out = np.empty_like(x)
        softmax(x, None, out)
        np.testing.assert_allclose(out, expected, rtol=4 * np.finfo(dtype).eps)

    def test_rows_sum_to_one(self):
        x, _, _ = case((300, 1027), np.float32)
        out = np.empty_like(x)
        softmax(x, None, out)
        np.testing.assert_allclose(out.sum(axis=1, dtype=np.float64), 1, atol=1e-6)

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("shape", SHAPES + BIG_SHAPES)
    def test_grad(self, shape, dtype, threads):
        x, _, _ = case(shape, dtype)
        y, grad = reference_softmax(x).astype(dtype), np.random.default_rng(1).standard_normal(shape).astype(dtype)
        y.flags.writeable = grad.flags.writeable = False
        x_grad = np.full_like(x, 9)
        softmax_grad(y, grad, x_grad)
        wide_y, wide_grad = y.astype(np.float64), grad.astype(np.float64)
        expected = wide_y * (wide_grad - (wide_y * wide_grad).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(x_grad, expected, rtol=0, atol=32 * np.finfo(dtype).eps)
        for which in (0, 1):
            inputs = [y.copy(), grad.copy()]
            softmax_grad(*inputs, inputs[which])
            assert inputs[which].tobytes() == x_grad.tobytes()

    def test_refuses(self):
        x = np.ones((3, 5))
        for error, message, arguments in (
            (ValueError, "`x` must have 2 axes", (np.ones(5), None, np.ones(5))),
            (ValueError, "`x` must be C-contiguous", (np.ones((5, 3)).T, None, x)),
            (ValueError, "`out` has shape \\(5, 3\\), but `x` has shape \\(3, 5\\)", (x, None, np.ones((5, 3)))),
            (ValueError, "`bias` must have shape \\(5,\\) \\(C\\), but has \\(3,\\)", (x, np.ones(3), x)),
            (TypeError, "`bias` must be an array of float64, but is float32", (x, np.ones(5, np.float32), x)),
            (ValueError, "`bias` must be C-contiguous", (x, np.ones(10)[::2], x)),
            (ValueError, "`out` and `bias` share memory", (np.ones((3, 5)), x[0], x)),
        ):
            with pytest.raises(error, match=message):
                softmax(*arguments)
        with pytest.raises(TypeError, match="`out_grad` is float32, but `out` is float64"):
            softmax_grad(x, np.ones((3, 5), np.float32), x)
        with pytest.raises(ValueError, match="`x_grad` has shape \\(3, 3\\)"):
            softmax_grad(x, x, np.ones((3, 3)))
        assert (x == 1).all()


def forward(x, bias, label, ignore_index=IGNORED, in_place=False):
    out, loss = (x.copy() if in_place else np.full_like(x, 9)), np.full(len(x), 9, x.dtype)
    softmax_cross_entropy(out if in_place else x, bias, label, ignore_index, out, loss)
    return out, loss


class TestSoftmaxCrossEntropy:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("shape", SHAPES + BIG_SHAPES)
    def test_values(self, shape, dtype, threads):
        x, bias, label = case(shape, dtype)
        for array in (x, bias, label):
            array.flags.writeable = False
        for b, logits in ((None, x), (bias, x + bias)):
            out, loss = forward(x, b, label)
            plain = np.empty_like(x)
            softmax(x, b, plain)
            assert out.tobytes() == plain.tobytes()
            limit = 8 * np.finfo(dtype).eps
            expected = reference_loss(logits, label).astype(np.float64)
            np.testing.assert_allclose(loss, expected, rtol=limit, atol=limit)
            assert (loss[label == IGNORED] == 0).all()

    @pytest.mark.parametrize("shape", [(5, 7), (9001, 10), (300, 1027)])
    def test_in_place(self, shape, threads):
        x, bias, label = case(shape, np.float32)
        for b in (None, bias):
            for array, same in zip(forward(x, b, label), forward(x, b, label, in_place=True), strict=True):
                assert same.tobytes() == array.tobytes()

    @pytest.mark.parametrize("shape", BIG_SHAPES)
    def test_bits_do_not_depend_on_threads(self, shape, with_threads):
        x, bias, label = case(shape, np.float32)
        results = set()
        for n in (1, 2, 3):
            with_threads(n)
            out, loss = forward(x, bias, label)
            x_grad, bias_grad = np.empty_like(x), np.empty_like(bias)
            softmax_cross_entropy_grad(out, label, IGNORED, loss, x_grad, bias_grad)
            results.add((out.tobytes(), loss.tobytes(), x_grad.tobytes(), bias_grad.tobytes()))
        assert len(results) == 1

    @pytest.mark.parametrize("width", [3, 40])
    def test_the_loss_outlives_the_softmax(self, width):
        x = np.zeros((2, width), np.float32)
        x[0, 1] = x[1, 2] = 1000
        out, loss = forward(x, None, np.array([0, 2]))
        assert 0 < out[0, 0] < 1e-27
        np.testing.assert_array_equal(loss, [1000, 0])

    @pytest.mark.parametrize("width", [3, 40])
    def test_special_values(self, width):
        x = np.zeros((3, width))
        x[0, 1], x[1, 0], x[2, 2] = np.nan, np.inf, -np.inf
        _, loss = forward(x, None, np.array([0, 0, 2]))
        assert np.isnan(loss[:2]).all() and loss[2] == np.inf
        _, loss = forward(x, None, np.full(3, IGNORED))
        np.testing.assert_array_equal(loss, 0)

    @pytest.mark.parametrize("ignore_index", [None, -1, 0, 4, 2**63, -(2**70)])
    def test_ignore_index(self, ignore_index):
        x, _, _ = case((5, 5), np.float64)
        label = np.arange(5)
        if ignore_index == -1:
            label[3] = -1
        _, loss = forward(x, None, label, ignore_index)
        expected = reference_loss(x, label % 5)
        expected[label == ignore_index] = 0
        np.testing.assert_allclose(loss, expected.astype(np.float64), rtol=1e-15, atol=1e-15)
        assert (loss == 0).sum() == (ignore_index in (-1, 0, 4))

    def test_strided_labels(self):
        x, _, label = case((7, 5), np.float64)
        wide = np.full((7, 3), 99)
        wide[:, 1] = label
        expected, loss = forward(x, None, label)
        for view in (wide[:, 1], wide[::-1, 1][::-1]):
            assert forward(x, None, view)[1].tobytes() == loss.tobytes()
        grads = [np.empty_like(x) for _ in range(2)]
        softmax_cross_entropy_grad(expected, label, IGNORED, loss, grads[0], None)
        softmax_cross_entropy_grad(expected, wide[:, 1], IGNORED, loss, grads[1], None)
        assert grads[0].tobytes() == grads[1].tobytes()

    @pytest.mark.parametrize("bad", [-1, 5, 2**40, -(2**63)])
    @pytest.mark.parametrize("n", [7, 40_000])
    def test_label_out_of_range(self, n, bad, threads):
        x, label = np.zeros((n, 5)), np.zeros(n, np.int64)
        label[2], label[n - 2] = IGNORED, bad
        out, loss, bias_grad = np.full_like(x, 9), np.full(n, 9.0), np.full(5, 9.0)
        message = rf"^label {bad} at position {n - 2} is outside \[0, 5\)$"
        with pytest.raises(LabelOutOfRange, match=message) as info:
            softmax_cross_entropy(x, None, label, IGNORED, out, loss)
        assert (info.value.label, info.value.position, info.value.n_classes) == (bad, n - 2, 5)
        with pytest.raises(LabelOutOfRange, match=message):
            softmax_cross_entropy_grad(x, label, IGNORED, loss, out, bias_grad)
        with pytest.raises(LabelOutOfRange, match="label -100 at position 2"):
            softmax_cross_entropy(x, None, label, None, out, loss)
        assert (out == 9).all() and (loss == 9).all() and (bias_grad == 9).all()

    def test_label_out_of_range_survives_pickling(self):
        error = pickle.loads(pickle.dumps(LabelOutOfRange(7, 3, 5)))
        assert isinstance(error, IndexError)
        assert (str(error), error.n_classes) == ("label 7 at position 3 is outside [0, 5)", 5)

    @pytest.mark.parametrize(
        ("error", "message", "change"),
        [
            (ValueError, "`logits` must have 2 axes", {"logits": np.ones(5)}),
            (TypeError, "`softmax` is float32, but `logits` is float64", {"softmax": np.ones((3, 5), np.float32)}),
            (ValueError, "`softmax` has shape \\(5, 3\\)", {"softmax": np.ones((5, 3))}),
            (TypeError, "`label` must be an array of int64, but is int32", {"label": np.zeros(3, np.int32)}),
            (
                ValueError,
                "`label` must have shape \\(3,\\) \\(N\\), but has \\(5,\\)",
                {"label": np.zeros(5, np.int64)},
            ),
            (ValueError, "`label` must have 1 axis", {"label": np.zeros((3, 1), np.int64)}),
            (ValueError, "`loss` must have shape \\(3,\\) \\(N\\), but has \\(5,\\)", {"loss": np.ones(5)}),
            (TypeError, "`loss` must be an array of float64", {"loss": np.ones(3, np.float32)}),
            (ValueError, "`bias` must have shape \\(5,\\) \\(C\\), but has \\(3,\\)", {"bias": np.ones(3)}),
            (TypeError, "`ignore_index` must be an integer or None, but is 1.0", {"ignore_index": 1.0}),
        ],
    )
    def test_refuses(self, error, message, change):
        arguments = {
            "logits": np.zeros((3, 5)),
            "bias": np.zeros(5),
            "label": np.zeros(3, np.int64),
            "ignore_index": IGNORED,
            "softmax": np.full((3, 5), 9.0),
            "loss": np.full(3, 9.0),
            **change,
        }
        before = arguments["softmax"].copy(), arguments["loss"].copy()
        with pytest.raises(error, match=message):
            softmax_cross_entropy(**arguments)
        np.testing.assert_array_equal(arguments["softmax"], before[0])
        np.testing.assert_array_equal(arguments["loss"], before[1])

    def test_refuses_shared_memory(self):
        memory = np.zeros(30)
        x, shifted, label = memory[:15].reshape(3, 5), memory[5:20].reshape(3, 5), np.zeros(3, np.int64)
        for message, bias, labels, softmax_, loss in (
            ("`softmax` and `logits`", None, label, shifted, np.zeros(3)),
            ("`loss` and `logits`", None, label, np.zeros((3, 5)), memory[12:15]),
            ("`loss` and `softmax`", None, label, memory[15:].reshape(3, 5), memory[18:21]),
            ("`softmax` and `bias`", memory[17:22], label, memory[15:].reshape(3, 5), np.zeros(3)),
            ("`loss` and `bias`", memory[17:22], label, x, memory[20:23]),
            ("`softmax` and `label`", None, memory[17:20].view(np.int64), memory[15:].reshape(3, 5), np.zeros(3)),
            ("`loss` and `label`", None, memory[17:20].view(np.int64), x, memory[19:22]),
        ):
            with pytest.raises(ValueError, match=f"{message} share memory"):
                softmax_cross_entropy(x, bias, labels, IGNORED, softmax_, loss)
        assert (memory == 0).all()


class TestSoftmaxCrossEntropyGrad:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("shape", SHAPES + BIG_SHAPES)
    def test_values(self, shape, dtype, threads):
        x, bias, label = case(shape, dtype)
        y = reference_softmax(x).astype(dtype)
        loss_grad = np.random.default_rng(1).standard_normal(shape[0]).astype(dtype)
        for array in (y, label, loss_grad):
            array.flags.writeable = False
        x_grad, bias_grad = np.full_like(x, 9), np.full_like(bias, 9)
        softmax_cross_entropy_grad(y, label, IGNORED, loss_grad, x_grad, bias_grad)
        keep = label != IGNORED
        one_hot = np.zeros(shape, dtype)
        one_hot[keep, label[keep]] = 1
        expected = np.where(keep[:, None], loss_grad[:, None] * (y - one_hot), dtype(0))
        np.testing.assert_array_equal(x_grad, expected)
        eps, wide = np.finfo(dtype).eps, x_grad.astype(np.longdouble)
        size = np.abs(wide).sum(axis=0)
        limit = eps * np.abs(wide.sum(axis=0)) + (32 * eps + len(x) / 64 * np.finfo(np.float64).eps) * size
        assert (np.abs(bias_grad - wide.sum(axis=0)) <= limit).all()
        same, alone = y.copy(), np.full_like(x, 9)
        softmax_cross_entropy_grad(same, label, IGNORED, loss_grad, same, again := np.empty_like(bias))
        softmax_cross_entropy_grad(y, label, IGNORED, loss_grad, alone, None)
        assert same.tobytes() == alone.tobytes() == x_grad.tobytes()
        assert again.tobytes() == bias_grad.tobytes()

    @pytest.mark.parametrize("shape", [(5, 7), (300, 1027)])
    def test_strides_of_the_loss_grad(self, shape):
        x, bias, label = case(shape, np.float32)
        y = reference_softmax(x).astype(np.float32)
        wide = np.random.default_rng(1).standard_normal((shape[0], 3)).astype(np.float32)
        for view in (wide[:, 1], wide[::-1, 2], np.broadcast_to(np.float32(0.25), shape[0])):
            results = []
            for loss_grad in (view, view.copy()):
                x_grad, bias_grad = np.empty_like(x), np.empty_like(bias)
                softmax_cross_entropy_grad(y, label, IGNORED, loss_grad, x_grad, bias_grad)
                results.append((x_grad.tobytes(), bias_grad.tobytes()))
            assert results[0] == results[1]

    def test_numeric(self):
        x, bias, label = case((4, 7), np.float64)
        loss_grad = np.array([0.5, -2.0, 3.0, 1.0])
        y, _ = forward(x, bias, label)
        x_grad, bias_grad = np.empty_like(x), np.empty_like(bias)
        softmax_cross_entropy_grad(y, label, IGNORED, loss_grad, x_grad, bias_grad)

        def total(x, bias):
            return forward(x, bias, label)[1] @ loss_grad

        for array, grad in ((x, x_grad), (bias, bias_grad)):
            for at in np.ndindex(array.shape):
                before, step = array[at], 1e-5
                array[at] = before + step
                above = total(x, bias)
                array[at] = before - step
                below = total(x, bias)
                array[at] = before
                assert abs((above - below) / (2 * step) - grad[at]) < 1e-8

    def test_ignored_rows_ignore_nan(self):
        y = np.full((3, 5), np.nan, np.float32)
        y[1] = 0.2
        x_grad, bias_grad = np.full_like(y, 9), np.empty(5, np.float32)
        label = np.array([IGNORED, 3, IGNORED])
        softmax_cross_entropy_grad(y, label, IGNORED, np.full(3, 1, np.float32), x_grad, bias_grad)
        np.testing.assert_array_equal(x_grad[[0, 2]], 0)
        np.testing.assert_array_equal(bias_grad, x_grad[1])

    @pytest.mark.parametrize(
        ("error", "message", "change"),
        [
            (ValueError, "`softmax` must be C-contiguous", {"softmax": np.ones((5, 3)).T}),
            (ValueError, "`x_grad` has shape \\(5, 3\\), but `softmax` has", {"x_grad": np.ones((5, 3))}),
            (TypeError, "`x_grad` is float32, but `softmax` is float64", {"x_grad": np.ones((3, 5), np.float32)}),
            (ValueError, "`loss_grad` must have shape \\(3,\\) \\(N\\), but has \\(1,\\)", {"loss_grad": np.ones(1)}),
            (TypeError, "`loss_grad` must be an array of float64", {"loss_grad": np.ones(3, np.float32)}),
            (ValueError, "`bias_grad` must have shape \\(5,\\) \\(C\\), but has \\(3,\\)", {"bias_grad": np.ones(3)}),
            (ValueError, "`bias_grad` must be C-contiguous", {"bias_grad": np.ones(10)[::2]}),
            (ValueError, "`label` must have shape \\(3,\\)", {"label": np.zeros(5, np.int64)}),
        ],
    )
    def test_refuses(self, error, message, change):
        arguments = {
            "softmax": np.ones((3, 5)),
            "label": np.zeros(3, np.int64),
            "ignore_index": IGNORED,
            "loss_grad": np.ones(3),
            "x_grad": np.full((3, 5), 9.0),
            "bias_grad": np.full(5, 9.0),
            **change,
        }
        before = arguments["x_grad"].copy(), arguments["bias_grad"].copy()
        with pytest.raises(error, match=message):
            softmax_cross_entropy_grad(**arguments)
        np.testing.assert_array_equal(arguments["x_grad"], before[0])
        np.testing.assert_array_equal(arguments["bias_grad"], before[1])

    def test_refuses_shared_memory(self):
        y, label = np.ones((3, 5)), np.zeros(3, np.int64)
        for message, loss_grad, x_grad, bias_grad in (
            ("`x_grad` and `loss_grad`", y[0, :3], y, None),
            ("`bias_grad` and `softmax`", np.ones(3), np.ones((3, 5)), y[1]),
            ("`bias_grad` and `x_grad`", np.ones(3), y, y[1]),
        ):
            with pytest.raises(ValueError, match=f"{message.split(' and ')[0]} and .* share memory"):
                softmax_cross_entropy_grad(y, label, IGNORED, loss_grad, x_grad, bias_grad)
        assert (y == 1).all()


class TestSigmoidCrossEntropy:
    @staticmethod
    def case(shape, dtype):
        rng = np.random.default_rng(0)
        x = (8 * rng.standard_normal(shape)).astype(dtype)
        return np.asarray(x), np.asarray(rng.integers(-1, 2, shape).astype(dtype))

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("shape", [(), (0,), (7,), (2, 3, 5), (300, 1001)])
    @pytest.mark.parametrize("ignore_index", [None, -1, 0])
    def test_values(self, ignore_index, shape, dtype, threads):
        x, label = self.case(shape, dtype)
        grad = np.asarray(np.random.default_rng(1).standard_normal(shape).astype(dtype))
        out, x_grad = np.full_like(x, 9), np.full_like(x, 9)
        for array in (x, label, grad):
            array.flags.writeable = False
        sigmoid_cross_entropy(x, label, ignore_index, out)
        sigmoid_cross_entropy_grad(x, label, ignore_index, grad, x_grad)
        v, z = x.astype(np.longdouble), label.astype(np.longdouble)
        keep = np.full(shape, True) if ignore_index is None else label != ignore_index
        expected = np.where(keep, np.maximum(v, 0) - v * z + np.log1p(np.exp(-np.abs(v))), 0)
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(
            out, expected.astype(np.float64), rtol=4 * eps, atol=2 * eps * np.abs(x).max(initial=1)
        )
        expected = np.where(keep, grad * (1 / (1 + np.exp(-v)) - z), 0)
        np.testing.assert_allclose(
            x_grad, expected.astype(np.float64), rtol=4 * eps, atol=4 * eps * np.abs(grad).max(initial=1)
        )
        assert (out[~keep] == 0).all() and (x_grad[~keep] == 0).all()

    def test_a_sure_and_right_answer_costs_e_to_the_minus_x(self):
        x = np.array([20.0, -30.0, 700.0])
        out = np.empty(3)
        sigmoid_cross_entropy(x, np.array([1.0, 0.0, 1.0]), None, out)
        np.testing.assert_allclose(out, np.exp(-np.abs(x)), rtol=1e-8)

    @pytest.mark.parametrize("length", [3, 200_001])
    def test_in_place(self, length, threads):
        x, label = self.case(length, np.float32)
        grad = np.random.default_rng(1).standard_normal(length).astype(np.float32)
        out, x_grad = np.empty_like(x), np.empty_like(x)
        sigmoid_cross_entropy(x, label, -1, out)
        sigmoid_cross_entropy_grad(x, label, -1, grad, x_grad)
        for which in range(3):
            inputs = [x.copy(), label.copy(), grad.copy()]
            sigmoid_cross_entropy_grad(inputs[0], inputs[1], -1, inputs[2], inputs[which])
            assert inputs[which].tobytes() == x_grad.tobytes()
            if which < 2:
                inputs = [x.copy(), label.copy()]
                sigmoid_cross_entropy(*inputs, -1, inputs[which])
                assert inputs[which].tobytes() == out.tobytes()

    def test_special_values(self):
        """inf * 0 is NaN, as in the formula; what is ignored is 0 whatever it is."""
        x = np.array([np.nan, np.inf, -np.inf, np.nan, 1e300, -1e300])
        label = np.array([1.0, 0.0, 1.0, -1.0, 0.0, 0.0])
        out = np.empty(6)
        sigmoid_cross_entropy(x, label, -1, out)
        np.testing.assert_array_equal(out, [np.nan, np.nan, np.inf, 0, 1e300, 0])

    def test_refuses(self):
        x = np.ones((3, 5))
        for error, message, arguments in (
            (TypeError, "`label` is float32, but `x` is float64", (x, np.ones((3, 5), np.float32), None, x)),
            (
                TypeError,
                "`label` must be an array of float32 or float64, but is int64",
                (x, np.ones((3, 5), int), None, x),
            ),
            (ValueError, "`label` has shape \\(5,\\), but `x` has shape \\(3, 5\\)", (x, np.ones(5), None, x)),
            (ValueError, "`out` has shape \\(5, 3\\), but `x` has shape \\(3, 5\\)", (x, x, None, np.ones((5, 3)))),
            (ValueError, "`x` must be C-contiguous", (np.ones((5, 3)).T, x, None, x)),
            (TypeError, "must be real number", (x, x, "0", x)),
        ):
            with pytest.raises(error, match=message):
                sigmoid_cross_entropy(*arguments)
        with pytest.raises(ValueError, match="`out_grad` has shape \\(5,\\), but `x` has shape \\(3, 5\\)"):
            sigmoid_cross_entropy_grad(x, x, None, np.ones(5), x)
        with pytest.raises(ValueError, match="`x_grad` and `x` share memory"):
            sigmoid_cross_entropy_grad(x[:2], np.ones((2, 5)), None, np.ones((2, 5)), x[1:])
        assert (x == 1).all()
