"""Activations against extended precision, gradients and their sums against float64, aliasing, refusals."""

import numpy as np
import pytest

from fluidlite._kernels.activation import activate, activate_grad

DTYPES = [np.float32, np.float64]
KINDS = ["sigmoid", "tanh", "relu", "exp", "identity"]
SHAPES = [(0, 3), (1, 1), (1, 5), (7, 1), (13, 3), (100, 63), (5, 64), (70, 65), (1500, 50), (300, 2073), (3, 20_000)]
# Largest errors in units in the last place, as exp.h states them.
ULPS = {"exp": 1.2, "sigmoid": 2.6, "tanh": 2.8}
# Where long double is no wider than double, the reference is off by as much itself.
REFERENCE_ULPS = 0 if np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant else 1


def reference(kind, x):
    x = x.astype(np.longdouble)
    with np.errstate(over="ignore"):
        if kind == "sigmoid":
            return 1 / (1 + np.exp(-x))
        if kind == "exp":
            return np.exp(x)
    return {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0), "identity": lambda x: x}[kind](x)


def derivative(kind, y):
    y = y.astype(np.float64)
    return {"sigmoid": y * (1 - y), "tanh": 1 - y * y, "relu": 1.0 * (y > 0), "exp": y, "identity": np.ones_like(y)}[
        kind
    ]


def ulps(actual, expected):
    """Distances in units in the last place of the exact value, as its dtype would round it."""
    info = np.finfo(actual.dtype)
    size = np.ldexp(np.longdouble(1), np.frexp(expected)[1] - info.nmant - 1)
    return np.abs(actual - expected) / np.maximum(size, info.smallest_subnormal)


def arrays(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return [(2 * rng.standard_normal(shape)).astype(dtype) for _ in range(2)], rng.standard_normal(shape[1]).astype(
        dtype
    )


def assert_sums(sums, x):
    """Within the error of adding 64 rows in their own type and the rest in double."""
    eps, wide = np.finfo(x.dtype).eps, x.astype(np.longdouble)
    total, size = wide.sum(axis=0), np.abs(wide).sum(axis=0)
    limit = eps * np.abs(total) + (32 * eps + len(x) / 64 * np.finfo(np.float64).eps) * size
    assert (np.abs(sums - total) <= limit).all()


class TestPrecision:
    @pytest.mark.parametrize("kind", sorted(ULPS))
    def test_float32_over_all_magnitudes(self, kind, threads):
        """Every 4,099th float, and a dense sample of where the functions bend."""
        bits = np.arange(0, 2**32, 4099, dtype=np.uint64).astype(np.uint32)
        x = np.concatenate([bits.view(np.float32), np.linspace(-110, 110, 400_001, dtype=np.float32)])
        x = x[np.isfinite(x)]
        self.check(kind, x)

    @pytest.mark.parametrize("kind", sorted(ULPS))
    def test_float64(self, kind, threads):
        rng = np.random.default_rng(1)
        small = np.exp(-40 * rng.random(100_000)) * rng.choice([-1, 1], 100_000)
        x = np.concatenate([small, *(rng.uniform(-reach, reach, 100_000) for reach in (1, 10, 40, 760))])
        self.check(kind, x)

    @staticmethod
    def check(kind, x):
        out = np.empty_like(x)
        activate(x, None, out, kind)
        expected = reference(kind, x)
        info = np.finfo(x.dtype)
        over = expected >= np.longdouble(info.max) * (1 + np.longdouble(info.eps) / 4)
        assert np.isinf(out[over]).all()
        rest = ~over
        if kind != "tanh":  # may be 0 where the result has no normal number
            rest &= expected >= info.tiny
            assert (out[~rest & ~over] <= info.tiny * 1.01).all() and (out >= 0).all()
        assert ulps(out[rest], expected[rest]).max() <= ULPS[kind] + REFERENCE_ULPS

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("length", [6, 200_000])
    def test_special_values(self, dtype, length, threads):
        special = np.array([-np.inf, np.inf, np.nan, 0.0, -0.0, 1e30], dtype)
        results = {
            "exp": [0, np.inf, np.nan, 1, 1, np.inf],
            "sigmoid": [0, 1, np.nan, 0.5, 0.5, 1],
            "tanh": [-1, 1, np.nan, 0.0, -0.0, 1],
            "relu": [0, np.inf, np.nan, 0.0, 0.0, 1e30],
            "identity": special,
        }
        x = np.resize(special, length)
        for kind, expected in results.items():
            out = np.empty_like(x)
            activate(x, None, out, kind)
            np.testing.assert_array_equal(out, np.resize(np.array(expected, dtype), length))
            if kind == "tanh":
                np.testing.assert_array_equal(np.signbit(out[3:5]), [False, True])


class TestActivate:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("kind", KINDS)
    def test_bias_is_added_first(self, kind, shape, dtype, threads):
        (x, _), bias = arrays(shape, dtype)
        plain, out = np.empty_like(x), np.full_like(x, 9)
        activate(x + bias, None, plain, kind)
        x.flags.writeable = bias.flags.writeable = False
        activate(x, bias, out, kind)
        assert out.tobytes() == plain.tobytes()
        np.testing.assert_allclose(out, reference(kind, x + bias).astype(np.float64), rtol=8 * np.finfo(dtype).eps)

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("shape", [(13, 3), (1500, 50), (3, 20_000)])
    def test_in_place(self, kind, shape, dtype, threads):
        (x, _), bias = arrays(shape, dtype)
        for b in (None, bias):
            out, same = np.empty_like(x), x.copy()
            activate(x, b, out, kind)
            activate(same, b, same, kind)
            assert same.tobytes() == out.tobytes()

    @pytest.mark.parametrize("shape", [(), (0,), (7,), (2, 3, 5)])
    def test_any_shape_without_bias(self, shape):
        x = np.asarray(np.random.default_rng(0).standard_normal(shape))
        out = np.empty(shape)
        activate(x, None, out, "tanh")
        np.testing.assert_allclose(out, np.tanh(x), rtol=1e-15)


class TestActivateGrad:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("kind", KINDS)
    def test_values(self, kind, shape, dtype, threads):
        (x, grad), bias = arrays(shape, dtype)
        out, x_grad, bias_grad = np.empty_like(x), np.full_like(x, 9), np.full_like(bias, 9)
        activate(x, bias, out, kind)
        out.flags.writeable = grad.flags.writeable = False
        activate_grad(out, grad, x_grad, bias_grad, kind)
        expected = grad.astype(np.float64) * derivative(kind, out)
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(x_grad, expected, rtol=4 * eps, atol=2 * eps * np.abs(grad).max(initial=1))
        assert_sums(bias_grad, x_grad)
        alone = np.full_like(x, 9)
        activate_grad(out, grad, alone, None, kind)
        assert alone.tobytes() == x_grad.tobytes()

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("shape", [(13, 3), (1500, 50), (300, 2073)])
    def test_in_place_of_either_input(self, kind, shape, dtype, threads):
        (out, grad), bias = arrays(shape, dtype)
        x_grad, bias_grad = np.empty_like(out), np.empty_like(bias)
        activate_grad(out, grad, x_grad, bias_grad, kind)
        for with_bias in (True, False):
            for which in (0, 1):
                inputs, sums = [out.copy(), grad.copy()], np.empty_like(bias)
                activate_grad(*inputs, inputs[which], sums if with_bias else None, kind)
                assert inputs[which].tobytes() == x_grad.tobytes()
                assert inputs[1 - which].tobytes() == (grad, out)[which].tobytes()
                assert not with_bias or sums.tobytes() == bias_grad.tobytes()

    @pytest.mark.parametrize("shape", [(70_001, 1), (20_001, 7), (3000, 64), (300, 2073), (40, 50_000)])
    def test_bits_do_not_depend_on_threads(self, shape, with_threads):
        (out, grad), bias = arrays(shape, np.float32)
        results = []
        for n in (1, 2, 3):
            with_threads(n)
            x_grad, bias_grad = np.empty_like(out), np.empty_like(bias)
            activate_grad(out, grad, x_grad, bias_grad, "tanh")
            activate(out, bias, out_too := np.empty_like(out), "sigmoid")
            results.append((x_grad.tobytes(), bias_grad.tobytes(), out_too.tobytes()))
        assert results[0] == results[1] == results[2]

    def test_sums_stay_exact_over_many_rows(self, threads):
        """A single float32 accumulator would stop at 2^24."""
        ones = np.ones((2**25, 1), np.float32)
        bias_grad = np.empty(1, np.float32)
        activate_grad(ones, ones, ones, bias_grad, "identity")
        assert bias_grad[0] == 2**25

    def test_relu_lets_nothing_through_at_zero(self):
        x_grad = np.empty(3)
        activate_grad(np.array([0.0, -0.0, 1.0]), np.array([5.0, 6.0, 7.0]), x_grad, None, "relu")
        np.testing.assert_array_equal(x_grad, [0, 0, 7])


class TestRefusals:
    @pytest.mark.parametrize(
        ("error", "message", "change"),
        [
            (
                ValueError,
                "`kind` must be 'sigmoid', 'tanh', 'relu', 'exp' or 'identity', but is 'Relu'",
                {"kind": "Relu"},
            ),
            (ValueError, "`kind` must be .* but is None", {"kind": None}),
            (TypeError, "`x` must be an array of float32 or float64, but is int64", {"x": np.ones((3, 5), int)}),
            (ValueError, "`x` must be C-contiguous", {"x": np.ones((5, 3)).T}),
            (ValueError, "`out` has shape \\(5, 3\\), but `x` has shape \\(3, 5\\)", {"out": np.ones((5, 3))}),
            (TypeError, "`out` is float32, but `x` is float64", {"out": np.ones((3, 5), np.float32)}),
            (ValueError, "`out` must be C-contiguous", {"out": np.ones((3, 10))[:, ::2]}),
            (TypeError, "`bias` must be an array of float64, but is float32", {"bias": np.ones(5, np.float32)}),
            (ValueError, "`bias` has shape \\(3,\\), but `x` has shape \\(3, 5\\)", {"bias": np.ones(3)}),
            (ValueError, "`bias` must have 1 axis", {"bias": np.ones((1, 5))}),
            (ValueError, "`bias` must be C-contiguous", {"bias": np.ones(10)[::2]}),
            (ValueError, "with a bias, `x` must be \\(N, D\\)", {"x": np.ones(5), "out": np.ones(5)}),
        ],
    )
    def test_activate(self, error, message, change):
        arguments = {"x": np.ones((3, 5)), "bias": np.ones(5), "out": np.full((3, 5), 9.0), "kind": "tanh", **change}
        before = arguments["out"].copy()
        with pytest.raises(error, match=message):
            activate(**arguments)
        np.testing.assert_array_equal(arguments["out"], before)

    @pytest.mark.parametrize("name", ["out", "out_grad", "x_grad"])
    def test_activate_grad(self, name):
        good = {key: np.full((3, 5), 9.0) for key in ("out", "out_grad", "x_grad")} | {"bias_grad": np.full(5, 9.0)}
        other = "out_grad" if name == "out" else name
        for error, message, value in (
            (ValueError, f"`{other}` has shape", np.ones((5, 3))),
            (TypeError, f"`{other}` is float", np.ones((3, 5), np.float32)),
            (ValueError, f"`{name}` must be C-contiguous", np.ones((3, 10))[:, ::2]),
            (TypeError, f"`{name}` must be a NumPy array", [[1.0]]),
        ):
            arguments = {**good, name: value}
            with pytest.raises(error, match=message):
                activate_grad(**arguments, kind="tanh")
        assert (good["x_grad"] == 9).all() and (good["bias_grad"] == 9).all()

    def test_bias_grad(self):
        a = np.ones((3, 5))
        with pytest.raises(ValueError, match="`bias_grad` has shape \\(3,\\), but `out` has shape \\(3, 5\\)"):
            activate_grad(a, a, a, np.ones(3), "tanh")
        with pytest.raises(ValueError, match="`bias_grad` and `out` share memory"):
            activate_grad(a, a.copy(), a.copy(), a[0], "tanh")

    def test_read_only_outputs(self):
        x, frozen, bias = np.ones((3, 5)), np.ones((3, 5)), np.ones(5)
        frozen.flags.writeable = bias.flags.writeable = False
        with pytest.raises(ValueError, match="`out` is read-only"):
            activate(x, None, frozen, "tanh")
        with pytest.raises(ValueError, match="`x_grad` is read-only"):
            activate_grad(x, x, frozen, None, "tanh")
        with pytest.raises(ValueError, match="`bias_grad` is read-only"):
            activate_grad(x, x, x, bias, "tanh")

    def test_partly_shared_memory(self):
        memory = np.ones(30)
        x, shifted = memory[:15].reshape(3, 5), memory[5:20].reshape(3, 5)
        with pytest.raises(ValueError, match="`out` and `x` share memory"):
            activate(x, None, shifted, "tanh")
        with pytest.raises(ValueError, match="`out` and `bias` share memory"):
            activate(x, memory[17:22], memory[15:].reshape(3, 5), "tanh")
        with pytest.raises(ValueError, match="`x_grad` and `out_grad` share memory"):
            activate_grad(np.ones((3, 5)), x, shifted, None, "tanh")
        with pytest.raises(ValueError, match="`x_grad` and `out` share memory"):
            activate_grad(x, np.ones((3, 5)), shifted, None, "tanh")
        assert (memory == 1).all()
