"""The rules whose states have the parameter's shape: dense, by row, over all rows, and with lines for rows touched."""

import numpy as np
import pytest

from fluidlite._kernels import optimizers, row_optimizers
from fluidlite._kernels.rows import IdOutOfRange, merge_rows
from fluidlite.tables import RowStore

DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 5e-6, np.float64: 1e-14}


def momentum_oracle(p, g, v, *, learning_rate, mu, use_nesterov):
    v = mu * v + g
    return p - learning_rate * (g + mu * v if use_nesterov else v), v


def adagrad_oracle(p, g, m, *, learning_rate, epsilon):
    m = m + g**2
    return p - learning_rate * g / (np.sqrt(m) + epsilon), m


def rmsprop_oracle(p, g, s, m, a=None, *, learning_rate, rho, epsilon, momentum, centered):
    s = rho * s + (1 - rho) * g**2
    a = rho * a + (1 - rho) * g if centered else 0.0
    m = momentum * m + learning_rate * g / np.sqrt(s - a**2 + epsilon)
    return (p - m, s, m, a)[: 4 if centered else 3]


def ftrl_oracle(p, g, n, z, *, learning_rate, l1, l2, lr_power):
    new = n + g**2
    z = z + g - (new**-lr_power - n**-lr_power) / learning_rate * p
    weight = (l1 * np.sign(z) - z) / (new**-lr_power / learning_rate + 2 * l2)
    return np.where(np.abs(z) > l1, weight, 0), new, z


class Rule:
    """A rule with its options: the name of its kernels, how many states it has, and its formula in float64.

    all_rows: whether it has a kernel that moves every row.
    """

    def __init__(self, name, n_states, oracle, *, all_rows=False, **options):
        self.name, self.n_states, self.oracle, self.options = name, n_states, oracle, options
        self.all_rows = all_rows

    def tables(self, rng, shape, dtype):
        """Parameter and states; mean squares stay well above the square of the mean gradient."""
        param = rng.standard_normal(shape)
        if self.name in ("adagrad", "ftrl"):
            states = [rng.random(shape), rng.standard_normal(shape)]
        else:
            mean = 0.3 * rng.standard_normal(shape)
            states = [mean**2 + 0.1 + rng.random(shape), 0.1 * rng.standard_normal(shape), mean]
        return [param.astype(dtype)] + [state.astype(dtype) for state in states[: self.n_states]]

    def expected(self, tables, grad):
        """The tables after one step, in float64; `options` as the dtype holds them where Fluid rounds them."""
        options = dict(self.options)
        if "rho" in options:
            options["rho"] = float(tables[0].dtype.type(options["rho"]))
        p, *states = (table.astype(np.float64) for table in tables)
        return self.oracle(p, np.asarray(grad, np.float64), *states, **options)

    def arguments(self, tables):
        absent = [None] if self.name == "rmsprop" and self.n_states == 2 else []
        return [*tables, *absent]

    def dense(self, tables, grad):
        getattr(optimizers, self.name + "_dense")(*self.arguments(tables), grad, **self.options)

    def rows(self, tables, chunks, kernel="rows"):
        getattr(row_optimizers, f"{self.name}_{kernel}")(*self.arguments(tables), chunks, **self.options)

    def slots(self, param, store, chunks):
        kernel = getattr(row_optimizers, self.name + "_slots")
        kernel(param, store.slots, store.data, store.count, chunks, **self.options)


RMSPROP = {"learning_rate": 0.05, "rho": 0.9, "epsilon": 1e-6, "all_rows": True}
RULES = {
    "momentum": Rule("momentum", 1, momentum_oracle, learning_rate=0.1, mu=0.9, use_nesterov=False, all_rows=True),
    "nesterov": Rule("momentum", 1, momentum_oracle, learning_rate=0.1, mu=0.7, use_nesterov=True, all_rows=True),
    "adagrad": Rule("adagrad", 1, adagrad_oracle, learning_rate=0.1, epsilon=1e-6),
    "rmsprop": Rule("rmsprop", 2, rmsprop_oracle, momentum=0.8, centered=False, **RMSPROP),
    "centered rmsprop": Rule("rmsprop", 3, rmsprop_oracle, momentum=0.0, centered=True, **RMSPROP),
    "ftrl": Rule("ftrl", 2, ftrl_oracle, learning_rate=0.5, l1=0.4, l2=0.2, lr_power=-0.5),
    "ftrl with a power": Rule("ftrl", 2, ftrl_oracle, learning_rate=0.5, l1=0.0, l2=0.0, lr_power=-0.8),
}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
all_row_rules = {name: rule for name, rule in RULES.items() if rule.all_rows}
every_all_rows_rule = pytest.mark.parametrize("rule", all_row_rules.values(), ids=all_row_rules)
KERNELS = [(rule, kernel) for rule in RULES.values() for kernel in ("rows", "rows_all")[: 1 + rule.all_rows]]
every_kernel = pytest.mark.parametrize(
    ("rule", "kernel"), KERNELS, ids=[f"{name} {k}" for name, r in RULES.items() for s, k in KERNELS if r is s]
)


def copies(tables):
    return [table.copy() for table in tables]


def bits(tables):
    return [table.tobytes() for table in tables]


def assert_close(actual, expected):
    limit = TOLERANCE[actual.dtype.type] * np.abs(expected).max(initial=1e-300)
    assert np.abs(actual - expected).max(initial=0) <= limit


def random_chunks(rng, width, height, dtype, sizes=(30, 1, 50), paddings=(3, None, 0)):
    return [
        (rng.integers(0, height, n), rng.standard_normal((n, width)).astype(dtype), padding_id)
        for n, padding_id in zip(sizes, paddings, strict=True)
    ]


def merged(chunks, height):
    """The dense gradient in the dtype of the values, summed as the kernels do, and the rows present."""
    rows, value = merge_rows(chunks, height)
    grad, present = np.zeros((height, value.shape[1]), value.dtype), np.zeros(height, bool)
    grad[rows], present[rows] = value, True
    return grad, present


class TestValues:
    @every_rule
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3, 5), (0, 3), (70_003,)])
    def test_dense(self, rule, shape, dtype, threads):
        rng = np.random.default_rng(1)
        tables = [np.asarray(table) for table in rule.tables(rng, shape, dtype)]
        for _ in range(3):
            grad = np.asarray(rng.standard_normal(shape).astype(dtype))
            grad.flags.writeable = False
            expected = rule.expected(tables, grad)
            rule.dense(tables, grad)
            for table, value in zip(tables, expected, strict=True):
                assert_close(table, value)

    @every_rule
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("width", [1, 5, 64, 65, 130])
    def test_rows(self, rule, width, dtype, threads):
        """Duplicates are summed, paddings ignored, and rows that do not occur keep their bits."""
        rng = np.random.default_rng(width)
        tables = rule.tables(rng, (23, width), dtype)
        before = copies(tables)
        chunks = random_chunks(rng, width, 23, dtype, sizes=(8, 1, 5))
        grad, present = merged(chunks, 23)
        assert 0 < present.sum() < 23
        rule.rows(tables, chunks)
        for table, untouched, value in zip(tables, before, rule.expected(before, grad), strict=True):
            assert_close(table[present], value[present])
            assert table[~present].tobytes() == untouched[~present].tobytes()

    def test_ftrl_sets_weak_weights_to_zero(self):
        rule, rng = RULES["ftrl"], np.random.default_rng(2)
        tables = rule.tables(rng, (40, 3), np.float32)
        rule.dense(tables, rng.standard_normal((40, 3)).astype(np.float32))
        weak = np.abs(tables[2]) <= np.float32(rule.options["l1"])
        assert 0 < weak.sum() < weak.size
        assert ((tables[0] == 0) == weak).all()

    def test_plain_rmsprop_ignores_the_mean_gradient(self):
        rule, rng = RULES["rmsprop"], np.random.default_rng(3)
        param, square, moment = rule.tables(rng, (7, 3), np.float32)
        mean = np.ones((7, 3), np.float32)
        optimizers.rmsprop_dense(param, square, moment, mean, np.ones((7, 3), np.float32), **rule.options)
        assert (mean == 1).all()


class TestLaws:
    @every_all_rows_rule
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize(("height", "width"), [(23, 5), (3, 130), (5003, 33), (1, 1), (2, 40_000)])
    def test_all_rows_are_the_dense_rule_on_the_merged_gradient(self, rule, height, width, dtype, threads):
        rng = np.random.default_rng(5)
        tables = rule.tables(rng, (height, width), dtype)
        tables[0][0, 0] = -0.0
        others = copies(tables)
        for _ in range(3):
            chunks = random_chunks(rng, width, height, dtype)
            rule.rows(tables, chunks, "rows_all")
            rule.dense(others, merged(chunks, height)[0])
        assert bits(tables) == bits(others)

    @every_rule
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_rows_are_the_dense_rule_when_every_row_occurs(self, rule, dtype, threads):
        rng = np.random.default_rng(6)
        tables = rule.tables(rng, (23, 70), dtype)
        others = copies(tables)
        for _ in range(3):
            chunks = random_chunks(rng, 70, 23, dtype, paddings=(None, None, None))
            chunks.append((rng.permutation(23), rng.standard_normal((23, 70)).astype(dtype), None))
            rule.rows(tables, chunks)
            rule.dense(others, merged(chunks, 23)[0])
        assert bits(tables) == bits(others)

    def test_adagrad_of_the_rows_present_is_the_dense_rule(self):
        rule, rng = RULES["adagrad"], np.random.default_rng(7)
        tables = rule.tables(rng, (23, 5), np.float32)
        others = copies(tables)
        chunks = random_chunks(rng, 5, 23, np.float32, sizes=(3, 0, 2))
        rule.rows(tables, chunks)
        rule.dense(others, merged(chunks, 23)[0])
        assert bits(tables) == bits(others)

    @every_rule
    @pytest.mark.parametrize("n", [0, 1, 7, 5000])
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_lines_give_the_bits_of_tables(self, rule, n, dtype, threads):
        height, width = (3001, 3) if n > 100 else (11, 3)
        rng = np.random.default_rng(8)
        param = rng.standard_normal((height, width)).astype(dtype)
        tables = [param.copy()] + [np.zeros_like(param) for _ in range(rule.n_states)]
        store = RowStore(height, rule.n_states * width, dtype)
        for _ in range(4):
            chunks = random_chunks(rng, width, height, dtype, sizes=(n, 0, n // 3))
            rule.rows(tables, chunks)
            rule.slots(param, store, chunks)
        assert param.tobytes() == tables[0].tobytes()
        touched = np.flatnonzero(store.slots)
        assert sorted(store.slots[touched]) == list(range(1, int(store.count[0]) + 1))
        lines = store.data[store.slots[touched] - 1]
        np.testing.assert_array_equal(lines, np.concatenate([state[touched] for state in tables[1:]], axis=1))
        assert not store.data[int(store.count[0]) :].any()

    @every_kernel
    @pytest.mark.parametrize(("n", "width"), [(20, 50), (40_000, 7), (5000, 64), (3000, 129)])
    def test_bits_do_not_depend_on_threads(self, rule, kernel, n, width, with_threads):
        rng = np.random.default_rng(9)
        start = rule.tables(rng, (2003, width), np.float32)
        chunks = random_chunks(rng, width, 2003, np.float32, sizes=(n, 0, n // 3))
        chunks[0][0][: n // 5] = 11
        results = []
        for threads in (1, 2, 3):
            with_threads(threads)
            tables = copies(start)
            for _ in range(3):
                rule.rows(tables, chunks, kernel)
            results.append(bits(tables))
        assert results[0] == results[1] == results[2]

    @every_rule
    def test_lines_do_not_depend_on_threads(self, rule, with_threads):
        results = []
        for threads in (1, 2):
            with_threads(threads)
            rng = np.random.default_rng(10)
            param, store = np.ones((5000, 3), np.float32), RowStore(5000, 3 * rule.n_states, np.float32)
            for _ in range(3):
                rule.slots(param, store, random_chunks(rng, 3, 5000, np.float32, sizes=(4000, 0, 1)))
            results.append(bits([param, store.slots, store.data, store.count]))
        assert results[0] == results[1]

    @every_kernel
    def test_strided_and_broadcast_values(self, rule, kernel):
        rng = np.random.default_rng(11)
        tables = rule.tables(rng, (9, 3), np.float32)
        others = copies(tables)
        wide = rng.standard_normal((20, 8)).astype(np.float32)
        wide.flags.writeable = False
        ids = rng.integers(0, 9, 20)
        views = [wide[:, 1:4], wide[::-1, 4:7], np.broadcast_to(wide[3, 2:5], (20, 3))]
        rule.rows(tables, [(ids[::-1], view, None) for view in views], kernel)
        rule.rows(others, [(ids[::-1].copy(), view.copy(), None) for view in views], kernel)
        assert bits(tables) == bits(others)

    @every_kernel
    @pytest.mark.parametrize("chunks", [[], [(np.empty(0, np.int64), np.empty((0, 3), np.float32), None)]])
    def test_an_empty_gradient(self, rule, kernel, chunks):
        """Moves nothing by row, and everything as a gradient of zeros does over all rows."""
        tables = rule.tables(np.random.default_rng(12), (9, 3), np.float32)
        others = copies(tables)
        rule.rows(tables, chunks, kernel)
        if kernel == "rows_all":
            assert bits(tables) != bits(others)
            rule.dense(others, np.zeros((9, 3), np.float32))
        assert bits(tables) == bits(others)

    @every_kernel
    def test_boundary_rows(self, rule, kernel):
        tables = rule.tables(np.random.default_rng(13), (9, 3), np.float32)
        before = copies(tables)
        rule.rows(tables, [(np.array([8, 0]), np.full((2, 3), 5, np.float32), None)], kernel)
        assert (tables[1][[0, 8]] != before[1][[0, 8]]).all()
        assert (tables[0][[0, 8]] != before[0][[0, 8]]).any(axis=1).all()


GOOD_CHUNKS = [(np.array([1, 2]), np.ones((2, 3), np.float32), None)]


class TestRefusals:
    @every_kernel
    @pytest.mark.parametrize("bad", [-1, 9, 2**40])
    @pytest.mark.parametrize("n", [5, 40_000])
    def test_a_bad_id_changes_nothing(self, rule, kernel, bad, n, threads):
        rng = np.random.default_rng(14)
        tables = rule.tables(rng, (9, 3), np.float32)
        before = bits(tables)
        ids = rng.integers(0, 9, n)
        ids[n - 1] = bad
        with pytest.raises(IdOutOfRange, match=rf"^id {bad} at position {n - 1} is outside \[0, 9\)$"):
            rule.rows(tables, [(ids, np.ones((n, 3), np.float32), None)], kernel)
        assert bits(tables) == before

    @every_rule
    @pytest.mark.parametrize("bad", [-1, 9])
    def test_a_bad_id_leaves_the_lines_alone(self, rule, bad):
        param, store = np.ones((9, 3), np.float32), RowStore(9, 3 * rule.n_states, np.float32)
        with pytest.raises(IdOutOfRange):
            rule.slots(param, store, [(np.array([1, bad]), np.ones((2, 3), np.float32), None)])
        assert (param == 1).all() and not store.slots.any() and not store.count[0] and not store.data.any()

    def run(self, rule, kernel, tables):
        if kernel == "dense":
            rule.dense(tables, np.ones((9, 3), np.float32))
        else:
            rule.rows(tables, GOOD_CHUNKS, kernel)

    @every_rule
    @pytest.mark.parametrize("kernel", ["dense", "rows"])
    def test_every_state_is_checked(self, rule, kernel):
        good = rule.tables(np.random.default_rng(15), (9, 3), np.float32)
        before = bits(good)
        names = {
            "momentum": ["velocity"],
            "adagrad": ["moment"],
            "rmsprop": ["mean_square", "moment", "mean_grad"],
            "ftrl": ["squared", "linear"],
        }[rule.name]
        read_only = good[1].copy()
        read_only.flags.writeable = False
        for k in range(rule.n_states):
            for error, message, bad in [
                (TypeError, "is float64, but `param` is float32", np.ones((9, 3))),
                (TypeError, "must be an array of float32 or float64", np.ones((9, 3), int)),
                (ValueError, r"has shape \(3, 9\), but `param` has", np.ones((3, 9), np.float32)),
                (ValueError, "must be C-contiguous", np.ones((3, 9), np.float32).T),
                (ValueError, "is read-only", read_only),
                (ValueError, "and `param` share memory", good[0]),
            ]:
                tables = list(good)
                tables[1 + k] = bad
                with pytest.raises(error, match=f"^`{names[k]}` {message}"):
                    self.run(rule, kernel, tables)
        assert bits(good) == before

    @every_rule
    @pytest.mark.parametrize("kernel", ["dense", "rows"])
    def test_the_parameter_and_the_gradient_are_checked(self, rule, kernel):
        good = rule.tables(np.random.default_rng(16), (9, 3), np.float32)
        before = bits(good)
        frozen = good[0].copy()
        frozen.flags.writeable = False
        with pytest.raises(ValueError, match="`param` is read-only"):
            self.run(rule, kernel, [frozen, *good[1:]])
        with pytest.raises(ValueError, match="`param` must be C-contiguous"):
            self.run(rule, kernel, [np.ones((18, 3), np.float32)[::2], *good[1:]])
        grad = good[1][:2] if kernel == "rows" else good[1]
        with pytest.raises(ValueError, match="share memory"):
            if kernel == "rows":
                rule.rows(good, [(np.array([1, 2]), grad, None)])
            else:
                rule.dense(good, grad)
        with pytest.raises(TypeError, match="float64"):
            if kernel == "rows":
                rule.rows(good, [(np.array([1, 2]), np.ones((2, 3)), None)])
            else:
                rule.dense(good, np.ones((9, 3)))
        assert bits(good) == before

    @every_rule
    def test_lines_of_another_shape_are_refused(self, rule):
        param, store = np.ones((9, 3), np.float32), RowStore(9, 3 * rule.n_states, np.float32)
        store.data = np.zeros((9, 3 * rule.n_states + 1), np.float32)
        with pytest.raises(ValueError, match=rf"`state` must have shape \(9, {3 * rule.n_states}\)"):
            rule.slots(param, store, GOOD_CHUNKS)
        assert (param == 1).all() and not store.slots.any()

    @pytest.mark.parametrize("rho", [1.0, -0.1, float("nan")])
    def test_rho_out_of_range(self, rho):
        rule = RULES["rmsprop"]
        tables = rule.tables(np.random.default_rng(17), (9, 3), np.float32)
        before = bits(tables)
        with pytest.raises(ValueError, match=r"`rho` must lie in \[0, 1\), but is"):
            options = rule.options | {"rho": rho}
            row_optimizers.rmsprop_rows(*tables, None, GOOD_CHUNKS, **options)
        assert bits(tables) == before

    @every_rule
    def test_options_are_keyword_only(self, rule):
        tables = rule.arguments(rule.tables(np.random.default_rng(18), (9, 3), np.float32))
        with pytest.raises(TypeError):
            getattr(row_optimizers, rule.name + "_rows")(*tables, [], *rule.options.values())
