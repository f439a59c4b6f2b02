"""SGD and Adam, dense and by row: against float64 NumPy, across threads and kernels, and refusals."""

from types import SimpleNamespace

import numpy as np
import pytest

from fluidlite._kernels import optimizers, row_optimizers
from fluidlite._kernels.rows import IdOutOfRange, merge_rows

kernels = SimpleNamespace(**vars(optimizers) | vars(row_optimizers))
DTYPES = [np.float32, np.float64]
ADAM = {"learning_rate": 0.01, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-14}


class State:
    """A table with its moments, powers and step, and the names of those that a kernel takes."""

    def __init__(self, rng, shape, dtype):
        self.param = rng.standard_normal(shape).astype(dtype)
        self.moment1 = (0.1 * rng.standard_normal(shape)).astype(dtype)
        self.moment2 = (0.1 * rng.random(shape)).astype(dtype)
        self.beta1_pow = np.array([0.9], dtype)
        self.beta2_pow = np.array([0.999], dtype)
        self.step = np.zeros(1, np.int64)

    def arrays(self):
        return [self.param, self.moment1, self.moment2, self.beta1_pow, self.beta2_pow, self.step]

    def copy(self):
        other = object.__new__(State)
        other.__dict__ = {name: array.copy() for name, array in self.__dict__.items()}
        return other

    def adam(self, kernel, grad):
        kernel(self.param, self.moment1, self.moment2, grad, self.beta1_pow, self.beta2_pow, **ADAM)

    def sparse_adam(self, chunks):
        kernels.sparse_adam_rows(self.param, self.moment1, self.moment2, chunks, self.step, **ADAM)

    def rows(self, kernel, chunks):
        """Runs any row kernel by name."""
        if kernel == "sgd_rows":
            kernels.sgd_rows(self.param, chunks, 0.1)
        elif kernel == "sparse_adam_rows":
            self.sparse_adam(chunks)
        else:
            self.adam(getattr(kernels, kernel), chunks)


ROW_KERNELS = ["sgd_rows", "adam_rows", "adam_rows_all", "sparse_adam_rows"]


def assert_same_bits(state, other):
    for name in state.__dict__:
        assert getattr(state, name).tobytes() == getattr(other, name).tobytes(), name


def assert_close(actual, expected):
    limit = TOLERANCE[actual.dtype.type] * np.abs(expected).max(initial=1e-300)
    assert np.abs(actual - expected).max(initial=0) <= limit


def random_chunks(rng, width, height, dtype, sizes=(30, 1, 50), paddings=(3, None, 0)):
    return [
        (rng.integers(0, height, n), rng.standard_normal((n, width)).astype(dtype), padding_id)
        for n, padding_id in zip(sizes, paddings, strict=True)
    ]


def densify(chunks, height, dtype=np.float64):
    """The dense float64 gradient, and the rows that are present."""
    grad = np.zeros((height, chunks[0][1].shape[1]), dtype)
    present = np.zeros(height, bool)
    for rows, value, padding_id in chunks:
        keep = np.ones(len(rows), bool) if padding_id is None else rows != padding_id
        np.add.at(grad, rows[keep], value[keep])
        present[rows[keep]] = True
    return grad, present


def fluid_adam_oracle(p, m, v, g, t, dtype):
    """Fluid's formula in float64, with betas as the parameter's dtype holds them."""
    b1, b2 = float(dtype(ADAM["beta1"])), float(dtype(ADAM["beta2"]))
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g**2
    rate = ADAM["learning_rate"] * np.sqrt(1 - b2**t) / (1 - b1**t)
    return p - rate * m / (np.sqrt(v) + ADAM["epsilon"]), m, v


def sparse_adam_oracle(p, m, v, g, t):
    b1, b2 = ADAM["beta1"], ADAM["beta2"]
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g**2
    root = np.sqrt(v / (1 - b2**t)) + ADAM["epsilon"]
    return p - ADAM["learning_rate"] * (m / (1 - b1**t)) / root, m, v


class TestValues:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3, 5), (0, 3), (70_003,)])
    def test_sgd_dense(self, shape, dtype, threads):
        rng = np.random.default_rng(0)
        param, grad = rng.standard_normal(shape).astype(dtype), rng.standard_normal(shape).astype(dtype)
        expected = param.astype(np.float64) - 0.1 * grad.astype(np.float64)
        param, grad = np.asarray(param), np.asarray(grad)
        grad.flags.writeable = False
        kernels.sgd_dense(param, grad, 0.1)
        assert_close(param, expected)

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("width", [1, 5, 64, 65, 130])
    def test_sgd_rows(self, width, dtype, threads):
        rng = np.random.default_rng(width)
        state = State(rng, (23, width), dtype)
        chunks = random_chunks(rng, width, 23, dtype)
        expected = state.param - 0.1 * densify(chunks, 23)[0]
        state.rows("sgd_rows", chunks)
        assert_close(state.param, expected)

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("shape", [(1,), (7,), (2, 3, 5), (0, 3), (70_003,)])
    def test_adam_dense(self, shape, dtype, threads):
        rng = np.random.default_rng(1)
        state = State(rng, shape, dtype)
        p, m, v = (array.astype(np.float64) for array in (state.param, state.moment1, state.moment2))
        for t in range(1, 21):
            grad = rng.standard_normal(shape).astype(dtype)
            p, m, v = fluid_adam_oracle(p, m, v, grad.astype(np.float64), t, dtype)
            state.adam(kernels.adam_dense, grad)
        # The correction takes differences of powers: with float32 powers, 1 - 0.999^t keeps some five digits.
        np.testing.assert_allclose(state.param, p, rtol=0, atol=20 * ADAM["learning_rate"] * 2e-5 if p.size else 0)
        assert_close(state.moment1, m)
        assert_close(state.moment2, v)
        np.testing.assert_allclose(state.beta1_pow, [float(dtype(0.9)) ** 21], rtol=2e-6)
        np.testing.assert_allclose(state.beta2_pow, [float(dtype(0.999)) ** 21], rtol=2e-6)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_adam_dense_first_step_is_exact(self, dtype):
        """In step 1 the rounding of beta cancels between gain and correction, so the full precision shows."""
        rng = np.random.default_rng(2)
        state = State(rng, (5, 7), dtype)
        state.moment1[:] = state.moment2[:] = 0
        grad = rng.standard_normal((5, 7)).astype(dtype)
        expected = state.param - ADAM["learning_rate"] * np.sign(grad.astype(np.float64))
        state.adam(kernels.adam_dense, grad)
        np.testing.assert_allclose(state.param, expected, rtol=0, atol=2e-6)

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("width", [1, 5, 64, 65, 130])
    def test_adam_rows(self, width, dtype, threads):
        rng = np.random.default_rng(width)
        state = State(rng, (23, width), dtype)
        before = state.copy()
        chunks = random_chunks(rng, width, 23, dtype, sizes=(8, 1, 5))
        grad, present = densify(chunks, 23)
        assert 0 < present.sum() < 23
        state.rows("adam_rows", chunks)
        expected = fluid_adam_oracle(before.param, before.moment1, before.moment2, grad, 1, dtype)
        for actual, untouched, value in zip(state.arrays(), before.arrays(), expected, strict=False):
            assert_close(actual[present], value[present])
            assert actual[~present].tobytes() == untouched[~present].tobytes()
        np.testing.assert_allclose(state.beta1_pow, [0.81], rtol=1e-6)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_sparse_adam_over_100_steps(self, dtype, threads):
        rng = np.random.default_rng(3)
        height, width = 41, 7
        state = State(rng, (height, width), dtype)
        state.moment1[:] = state.moment2[:] = 0
        p, m, v = (array.astype(np.float64) for array in (state.param, state.moment1, state.moment2))
        for t in range(1, 101):
            chunks = random_chunks(rng, width, height, dtype, sizes=(20, 0, 7))
            grad, present = densify(chunks, height)
            new = sparse_adam_oracle(p, m, v, grad, t)
            p, m, v = (np.where(present[:, None], a, b) for a, b in zip(new, (p, m, v), strict=True))
            state.sparse_adam(chunks)
        assert state.step[0] == 100
        assert_close(state.param, p)
        assert_close(state.moment1, m)
        assert_close(state.moment2, v)

    def test_sparse_adam_far_ahead(self):
        state = State(np.random.default_rng(4), (3, 2), np.float32)
        state.step[0] = 10**15
        before = state.copy()
        chunk = (np.array([1]), np.ones((1, 2), np.float32), None)
        state.sparse_adam([chunk])
        grad, _ = densify([chunk], 3)
        expected = sparse_adam_oracle(before.param, before.moment1, before.moment2, grad, 10**15 + 1)
        assert_close(state.param[1], expected[0][1])
        assert state.step[0] == 10**15 + 1


class TestLaws:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize(("height", "width"), [(23, 5), (3, 130), (5003, 33), (1, 1), (2, 40_000)])
    def test_adam_rows_all_is_adam_dense_on_the_merged_gradient(self, height, width, dtype, threads):
        rng = np.random.default_rng(5)
        state = State(rng, (height, width), dtype)
        state.moment1[0, 0] = state.moment2[0, 0] = -0.0
        other = state.copy()
        for _ in range(3):
            chunks = random_chunks(rng, width, height, dtype)
            rows, value = merge_rows(chunks, height)
            grad = np.zeros((height, width), dtype)
            grad[rows] = value
            state.adam(kernels.adam_rows_all, chunks)
            other.adam(kernels.adam_dense, grad)
        assert_same_bits(state, other)

    @pytest.mark.parametrize("kernel", ROW_KERNELS)
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_merging_first_changes_nothing(self, kernel, dtype):
        rng = np.random.default_rng(6)
        state = State(rng, (23, 70), dtype)
        other = state.copy()
        chunks = random_chunks(rng, 70, 23, dtype)
        state.rows(kernel, chunks)
        other.rows(kernel, [(*merge_rows(chunks, 23), None)])
        assert_same_bits(state, other)

    @pytest.mark.parametrize("kernel", ROW_KERNELS)
    @pytest.mark.parametrize(("n", "width"), [(20, 50), (40_000, 7), (5000, 64), (3000, 129)])
    def test_bits_do_not_depend_on_threads(self, kernel, n, width, with_threads):
        rng = np.random.default_rng(7)
        start = State(rng, (2003, width), np.float32)
        chunks = random_chunks(rng, width, 2003, np.float32, sizes=(n, 0, n // 3))
        chunks[0][0][: n // 5] = 11
        results = []
        for threads in (1, 2, 3):
            with_threads(threads)
            state = start.copy()
            for _ in range(3):
                state.rows(kernel, chunks)
            results.append(state)
        assert_same_bits(results[0], results[1])
        assert_same_bits(results[0], results[2])

    @pytest.mark.parametrize("kernel", ["sgd_rows", "adam_rows", "sparse_adam_rows"])
    def test_untouched_rows_keep_their_bits(self, kernel, threads):
        rng = np.random.default_rng(8)
        state = State(rng, (5000, 17), np.float32)
        state.param[::7] = np.nan
        state.moment1[::7] = -0.0
        before = state.copy()
        rows = rng.permutation(5000)[:3000]
        rows = rows[rows % 7 != 0]
        state.rows(kernel, [(rows, rng.standard_normal((len(rows), 17)).astype(np.float32), None)])
        absent = np.setdiff1d(np.arange(5000), rows)
        for name in ("param", "moment1", "moment2"):
            assert getattr(state, name)[absent].tobytes() == getattr(before, name)[absent].tobytes()
        assert (state.param[rows] != before.param[rows]).any(axis=1).all()

    @pytest.mark.parametrize("kernel", ROW_KERNELS)
    def test_padding_rows_are_not_trained(self, kernel):
        rng = np.random.default_rng(9)
        state = State(rng, (9, 3), np.float32)
        other = state.copy()
        rows, value = np.array([4, 2, 4, 2, 8]), rng.standard_normal((5, 3)).astype(np.float32)
        state.rows(kernel, [(rows, value, 2)])
        other.rows(kernel, [(rows[rows != 2], value[rows != 2], None)])
        assert_same_bits(state, other)

    @pytest.mark.parametrize("kernel", ROW_KERNELS)
    def test_strided_and_broadcast_values(self, kernel):
        rng = np.random.default_rng(10)
        state = State(rng, (9, 3), np.float32)
        other = state.copy()
        wide = rng.standard_normal((20, 8)).astype(np.float32)
        wide.flags.writeable = False
        rows = rng.integers(0, 9, 20)
        views = [wide[:, 1:4], wide[::-1, 4:7], np.broadcast_to(wide[3, 2:5], (20, 3))]
        state.rows(kernel, [(rows[::-1], view, None) for view in views])
        other.rows(kernel, [(rows[::-1].copy(), view.copy(), None) for view in views])
        assert_same_bits(state, other)

    @pytest.mark.parametrize("kernel", ROW_KERNELS)
    @pytest.mark.parametrize("chunks", [[], [(np.empty(0, np.int64), np.empty((0, 3), np.float32), None)]])
    def test_empty_gradient(self, kernel, chunks):
        """Nothing moves but the counters, and with adam_rows_all the whole table."""
        state = State(np.random.default_rng(11), (9, 3), np.float32)
        before = state.copy()
        state.rows(kernel, chunks)
        assert (state.param.tobytes() == before.param.tobytes()) == (kernel != "adam_rows_all")
        assert state.step[0] == (kernel == "sparse_adam_rows")
        assert (state.beta1_pow[0] != before.beta1_pow[0]) == kernel.startswith("adam")

    @pytest.mark.parametrize("kernel", ROW_KERNELS)
    def test_boundary_rows(self, kernel):
        state = State(np.random.default_rng(12), (9, 3), np.float32)
        before = state.copy()
        state.rows(kernel, [(np.array([8, 0]), np.ones((2, 3), np.float32), None)])
        assert (state.param[[0, 8]] != before.param[[0, 8]]).all()


class TestRefusals:
    @pytest.mark.parametrize("kernel", ROW_KERNELS)
    @pytest.mark.parametrize("bad", [-1, 9, 2**40])
    @pytest.mark.parametrize("n", [5, 100, 40_000])
    def test_bad_id_changes_nothing(self, kernel, bad, n, threads):
        rng = np.random.default_rng(13)
        state = State(rng, (9, 3), np.float32)
        before = state.copy()
        rows = rng.integers(0, 9, n)
        rows[n - 1] = bad
        with pytest.raises(IdOutOfRange, match=rf"^id {bad} at position {n - 1} is outside \[0, 9\)$"):
            state.rows(kernel, [(rows, np.ones((n, 3), np.float32), None)])
        assert_same_bits(state, before)

    GOOD_CHUNKS = [(np.array([1, 2]), np.ones((2, 3), np.float32), None)]

    @pytest.mark.parametrize("kernel", ["adam_dense", "adam_rows", "adam_rows_all", "sparse_adam_rows"])
    @pytest.mark.parametrize(
        ("error", "message", "change"),
        [
            (TypeError, "`param` must be an array of float32 or float64, but is", {"param": np.ones((9, 3), int)}),
            (ValueError, "`param` must be C-contiguous", {"param": np.ones((18, 3), np.float32)[::2]}),
            (TypeError, "`moment1` is float64, but `param` is float32", {"moment1": np.ones((9, 3))}),
            (ValueError, "`moment1` has shape \\(3, 9\\), but `param` has", {"moment1": np.ones((3, 9), np.float32)}),
            (ValueError, "`moment2` has shape \\(9, 3, 1\\)", {"moment2": np.ones((9, 3, 1), np.float32)}),
            (ValueError, "`moment2` must be C-contiguous", {"moment2": np.ones((3, 9), np.float32).T}),
            (ValueError, "`beta1` must lie in \\[0, 1\\), but is 1.0", {"beta1": 1.0}),
            (ValueError, "`beta2` must lie in \\[0, 1\\), but is -0.5", {"beta2": -0.5}),
            (ValueError, "`beta2` must lie in \\[0, 1\\), but is nan", {"beta2": float("nan")}),
            (TypeError, "must be real number", {"learning_rate": "fast"}),
        ],
    )
    def test_arguments(self, kernel, error, message, change):
        state = State(np.random.default_rng(14), (9, 3), np.float32)
        before = state.copy()
        tables = {"param": state.param, "moment1": state.moment1, "moment2": state.moment2}
        grad = np.ones((9, 3), np.float32) if kernel == "adam_dense" else self.GOOD_CHUNKS
        counters = [state.step] if kernel == "sparse_adam_rows" else [state.beta1_pow, state.beta2_pow]
        options = {**ADAM, **tables, **change}
        with pytest.raises(error, match=message):
            getattr(kernels, kernel)(
                options.pop("param"), options.pop("moment1"), options.pop("moment2"), grad, *counters, **options
            )
        assert_same_bits(state, before)

    @pytest.mark.parametrize("name", ["param", "moment1", "moment2", "beta1_pow", "beta2_pow", "step"])
    def test_read_only_state(self, name):
        state = State(np.random.default_rng(15), (9, 3), np.float32)
        before = state.copy()
        getattr(state, name).flags.writeable = False
        kernel = "sparse_adam_rows" if name == "step" else "adam_rows"
        with pytest.raises(ValueError, match=f"`{name}` is read-only"):
            state.rows(kernel, self.GOOD_CHUNKS)
        assert_same_bits(state, before)

    @pytest.mark.parametrize(
        ("error", "message", "step"),
        [
            (TypeError, "`step` must be an array of int64", np.zeros(1, np.int32)),
            (ValueError, "`step` must have shape \\(1,\\), but has \\(2,\\)", np.zeros(2, np.int64)),
            (ValueError, "`step` must have 1 axis", np.zeros((), np.int64)),
            (ValueError, "`step` counts the steps done", np.array([-1])),
            (ValueError, "`step` counts the steps done", np.array([2**63 - 1])),
        ],
    )
    def test_step(self, error, message, step):
        state = State(np.random.default_rng(16), (9, 3), np.float32)
        before = state.copy()
        with pytest.raises(error, match=message):
            kernels.sparse_adam_rows(state.param, state.moment1, state.moment2, self.GOOD_CHUNKS, step, **ADAM)
        assert_same_bits(state, before)

    @pytest.mark.parametrize(
        ("error", "message", "power"),
        [
            (TypeError, "`beta2_pow` must be an array of float32, but is float64", np.ones(1)),
            (ValueError, "`beta2_pow` must have shape \\(1,\\)", np.ones(2, np.float32)),
        ],
    )
    def test_powers(self, error, message, power):
        state = State(np.random.default_rng(17), (9, 3), np.float32)
        before = state.copy()
        with pytest.raises(error, match=message):
            kernels.adam_rows(
                state.param, state.moment1, state.moment2, self.GOOD_CHUNKS, state.beta1_pow, power, **ADAM
            )
        assert_same_bits(state, before)

    def test_dense_gradients(self):
        param = np.full((2, 3), 7.0)
        with pytest.raises(ValueError, match="`grad` has shape \\(3, 2\\), but `param` has shape \\(2, 3\\)"):
            kernels.sgd_dense(param, np.ones((3, 2)), 0.1)
        with pytest.raises(ValueError, match="`grad` must be C-contiguous"):
            kernels.sgd_dense(param, np.ones((3, 2)).T, 0.1)
        with pytest.raises(ValueError, match="`grad` and `param` share memory"):
            kernels.sgd_dense(param, param, 0.1)
        with pytest.raises(TypeError, match="`grad` is float32, but `param` is float64"):
            kernels.sgd_dense(param, np.ones((2, 3), np.float32), 0.1)
        assert (param == 7).all()

    def test_shared_memory(self):
        state = State(np.random.default_rng(18), (9, 3), np.float32)
        before = state.copy()
        with pytest.raises(ValueError, match="`moment2` and `moment1` share memory"):
            kernels.sparse_adam_rows(state.param, state.moment1, state.moment1, self.GOOD_CHUNKS, state.step, **ADAM)
        with pytest.raises(ValueError, match="`value` and `moment2` share memory"):
            state.sparse_adam([(np.array([1, 2]), state.moment2[:2], None)])
        with pytest.raises(ValueError, match="`beta2_pow` and `beta1_pow` share memory"):
            kernels.adam_rows(state.param, state.moment1, state.moment2, [], state.beta1_pow, state.beta1_pow, **ADAM)
        assert_same_bits(state, before)

    def test_options_are_keyword_only(self):
        state = State(np.random.default_rng(19), (9, 3), np.float32)
        with pytest.raises(TypeError):
            kernels.sparse_adam_rows(state.param, state.moment1, state.moment2, [], state.step, 0.1, 0.9, 0.999, 1e-8)
