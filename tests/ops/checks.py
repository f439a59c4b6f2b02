"""The checks of the op grid: what has to hold for every op, whatever it computes."""

import contextlib
import functools

import numpy as np

from fluidlite._kernels import _parallel
from fluidlite.dtypes import VarType, numpy_dtype
from fluidlite.ops.registry import GRAD_SUFFIX, Meta, get_op
from fluidlite.selected_rows import Chunk, SelectedRows

from .grid import as_tuple, dense, family_of, load_samples, lod_of, map_value, sequences
from .running import AliasBuffer, Backward, cases_of, infer, make_op, run_op

FLOATS = ("float32", "float64")
# Of an op against float64: relative, and to the largest number expected absolute.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
# Central differences in float64: the error of the formula is about STEP^2, that of rounding about 1e-16 / STEP.
STEP = 1e-5
GRAD_TOLERANCE = 1e-7


def assert_close(actual, expected, what, tolerance=None):
    """Equal shapes and nearly equal values."""
    actual, expected = np.asarray(dense(actual)), np.asarray(dense(expected))
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    if actual.dtype.kind != "f":
        np.testing.assert_array_equal(actual, expected, err_msg=what)
        return
    tolerance = tolerance or TOLERANCE[actual.dtype.name]
    finite = np.abs(expected[np.isfinite(expected)])
    scale = finite.max() if finite.size else 0.0
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale, err_msg=what)


def bits(value):
    """All that a value says, for comparison without tolerance."""
    if value is None or isinstance(value, tuple):
        return value and tuple([bits(v) for v in value])
    if isinstance(value, SelectedRows):
        return bits(value.rows), bits(value.value), value.height
    return value.shape, value.dtype, np.ascontiguousarray(value).tobytes(), lod_of(value)


def all_bits(values):
    return {slot: bits(value) for slot, value in values.items()}


@contextlib.contextmanager
def noted(text):
    """Says under which condition an error came up."""
    try:
        yield
    except Exception as error:
        error.add_note(text)
        raise


def copies(inputs):
    return {slot: map_value(value, lambda a: a.copy()) for slot, value in inputs.items()}


# ------------------------------------------------------------------------------------------------------------ layouts


def _read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def _strided(a):
    wide = np.zeros(tuple([2 * d for d in a.shape]), a.dtype)
    view = wide[(slice(None, None, 2),) * a.ndim]
    view[...] = a
    return view


def _backwards(a):
    return np.flip(np.flip(a).copy())


def _of_rows(layout):
    """A layout for the value of a SelectedRows, whose rows have to be contiguous each."""

    def place(value):
        if layout is _read_only:
            return _read_only(value)
        if layout is _backwards:
            return value[::-1].copy()[::-1]
        wide = np.zeros((len(value), 2 * value.shape[1]), value.dtype)
        wide[:, : value.shape[1]] = value
        return wide[:, : value.shape[1]]

    return place


LAYOUTS = {"read-only": _read_only, "strided": _strided, "backwards": _backwards, "fortran": np.asfortranarray}


def lay_out(value, *, layout):
    """The same value, placed differently in memory; `layout` is one of LAYOUTS."""
    layout = LAYOUTS[layout]
    if isinstance(value, SelectedRows):
        place = _of_rows(layout)
        chunks = [Chunk(_read_only(c.rows), place(c.value), c.padding_id) for c in value.chunks]
        return SelectedRows.from_chunks(chunks, value.height)
    return sequences(layout(value), *lod_of(value)) if lod_of(value) else layout(value)


# ----------------------------------------------------------------------------------------------------------- gradients


def check_gradient(sample):
    """The gradients of all float inputs against central differences of a random projection of the outputs."""
    inputs = sample.arrays("float64")
    backward = Backward(sample, inputs).seed()
    weights = {name: backward.env[name + "@GRAD"] for name in backward.wanted}
    grads = backward.run()
    floats = {
        f"{slot}{k}": item
        for slot, value in inputs.items()
        for k, item in enumerate(as_tuple(value))
        if item.dtype.kind == "f" and slot not in sample.constants
    }
    assert weights, f"no gradient of an output reaches the grad ops of {sample.type}"
    assert set(grads) == set(floats), f"gradients of {sorted(grads)}, expected of {sorted(floats)}"

    def projection():
        outputs = run_op(sample.type, sample.attrs, copies(inputs))
        named = {f"{slot}{k}": v for slot, value in outputs.items() for k, v in enumerate(as_tuple(value))}
        return sum(float((named[name] * weight).sum()) for name, weight in weights.items())

    for name, x in floats.items():
        numeric = np.zeros(x.shape)
        for at in np.ndindex(x.shape):
            middle = x[at]
            x[at] = middle + STEP
            above = projection()
            x[at] = middle - STEP
            numeric[at] = (above - projection()) / (2 * STEP)
            x[at] = middle
        assert_close(grads[name], numeric, f"gradient of {name}", GRAD_TOLERANCE)


def inplace_pairs(case, dtype="float64"):
    """The declared pairs (output slot, input slot) that this case can try: shapes and dtypes are equal."""
    inputs, pairs = case.inputs(dtype), []
    for out, source in case.op.inplace.items():
        value = inputs.get(source)
        (meta,) = as_meta_tuple(infer(make_op(case.type, case.attrs), inputs)[out])
        if isinstance(value, np.ndarray) and (value.shape, value.dtype) == (meta.shape, numpy_dtype(meta.dtype)):
            pairs.append((out, source))
    return pairs


def check_inplace(case, dtype):
    """Writing an output over the input that it may overwrite gives the same bits."""
    expected = all_bits(case.run(case.inputs(dtype)))
    for out, source in inplace_pairs(case, dtype):
        inputs = case.inputs(dtype)
        results = case.run(inputs, buffers={out: AliasBuffer(inputs[source])})
        assert all_bits(results) == expected, f"{out} over {source}"


def as_meta_tuple(meta):
    return (meta,) if isinstance(meta, Meta) or meta is None else meta


# --------------------------------------------------------------------------------------------------------------- grid


def cases_of_family(family):
    """[(id, case)] of all samples of a family's ops."""
    found = []
    for type, samples in sorted(load_samples().items()):
        if family_of(type) == family:
            for k, sample in enumerate(samples):
                found += [
                    (f"{case.type}-{type}{k}" if case.index is not None else f"{type}-{k}", case)
                    for case in cases_of(sample)
                ]
    return found


def _updated(case):
    return set(case.op.updates.values())


class OpGrid:
    """The checks, for the ops of one family; test classes set `family`."""

    family = None

    def __init_subclass__(cls):
        # Pytest counts a test without cases as skipped; a family that has none for a check does not have the test.
        for name in [n for n in dir(OpGrid) if n.startswith("test_")]:
            if not cls.cases(name):
                setattr(cls, name, None)

    @classmethod
    def cases(cls, name):
        """[(id, case)] of a test."""
        cases = cases_of_family(cls.family)
        if name in ("test_gradient", "test_spread_gradient"):
            cases = [(i, c) for i, c in cases if c.index is None and len(cases_of(c.sample)) > 1]
            return [(i, c) for i, c in cases if c.sample.gradient or name != "test_gradient"]
        if name == "test_inplace":
            return [(i, c) for i, c in cases if inplace_pairs(c)]
        if name == "test_unwanted":
            return [(i, c) for i, c in cases if len(c.op.outputs) > 1 and not c.op.updates]
        if name == "test_batches":
            return [(i, c) for i, c in cases if c.sample.batch]
        return cases

    def pytest_generate_tests(self, metafunc):
        cases = self.cases(metafunc.function.__name__)
        if "dtype" in metafunc.fixturenames:
            given = [(i, c, d) for i, c in cases for d in (FLOATS if c.sample.has_floats else FLOATS[:1])]
            metafunc.parametrize("case, dtype", [g[1:] for g in given], ids=[f"{i}-{d}" for i, _, d in given])
        else:
            metafunc.parametrize("case", [c for _, c in cases], ids=[i for i, _ in cases])

    def check_values(self, case, inputs):
        before = copies(inputs)
        results = case.run(inputs)
        for slot, value in inputs.items():
            if slot not in _updated(case):
                assert bits(value) == bits(before[slot]), f"{slot} was changed"
        if case.sample.check is not None and case.index is None:
            case.sample.check(results, before)
            return results
        for slot, expected in case.oracle(before).items():
            for actual, value in zip(as_tuple(results[slot]), as_tuple(expected), strict=True):
                assert_close(actual, value, slot)
                assert lod_of(actual) == lod_of(value), slot
        return results

    def test_values(self, case, dtype):
        """The outputs are those of the float64 oracle, and no input is changed."""
        self.check_values(case, case.inputs(dtype))

    def test_layouts(self, case, dtype):
        """Inputs may be read-only, strided, backwards or in Fortran order, but for what is updated where it lies."""
        for layout in LAYOUTS:
            inputs = case.inputs(dtype)
            for slot in set(inputs) - _updated(case):
                used = "read-only" if slot in case.sample.contiguous else layout
                inputs[slot] = map_value(inputs[slot], functools.partial(lay_out, layout=used))
            with noted(f"inputs are {layout}"):
                self.check_values(case, inputs)

    def test_batches(self, case, dtype):
        """An empty batch and one row."""
        for n in (0, 1):
            inputs = case.inputs(dtype, n)
            with noted(f"a batch of {n}"):
                self.check_shapes(case, inputs, self.check_values(case, inputs))

    def check_shapes(self, case, inputs, results, unknown=None, varying=None):
        inferred = infer(make_op(case.type, case.attrs), inputs, unknown)
        for slot, value in results.items():
            for k, (actual, meta) in enumerate(zip(as_tuple(value), as_meta_tuple(inferred[slot]), strict=True)):
                if meta is None:
                    assert actual is None, slot
                    continue
                sparse = isinstance(actual, SelectedRows)
                assert meta.type == (VarType.SELECTED_ROWS if sparse else VarType.LOD_TENSOR), slot
                assert numpy_dtype(meta.dtype) == actual.dtype, slot
                assert meta.lod_level == len(lod_of(actual)) or not _makes_lod(case, slot), slot
                expected = [-1 if varying and i in varying[slot][k] else d for i, d in enumerate(actual.shape)]
                if case.sample.value_shapes:
                    expected = [e if m != -1 else -1 for m, e in zip(meta.shape, expected, strict=True)]
                assert list(meta.shape) == expected, slot

    def test_infer_shape(self, case, dtype):
        """Shapes, dtypes and kinds are known before anything runs."""
        inputs = case.inputs(dtype)
        self.check_shapes(case, inputs, case.run(inputs))

    def test_unknown_batch(self, case):
        """A batch of -1 makes exactly those dimensions -1 that depend on it."""
        if not case.sample.batch:
            # Without a batch there is still one thing to say: nothing known becomes unknown.
            metas = infer(make_op(case.type, case.attrs), case.inputs("float32")).values()
            known = all(d >= 0 for meta in metas for m in as_meta_tuple(meta) if m is not None for d in m.shape)
            assert known or case.sample.value_shapes
            return
        whole, one = case.inputs("float32"), case.inputs("float32", 1)
        results = case.run(copies(whole)), case.run(copies(one))
        unknown = {slot: _differing(whole[slot], one[slot]) for slot in whole}
        varying = {slot: _differing(results[0][slot], results[1][slot]) for slot in results[0]}
        self.check_shapes(case, whole, results[0], unknown, varying)

    def test_inplace(self, case, dtype):
        """An output may overwrite the input that the op says it may."""
        check_inplace(case, dtype)

    def test_unwanted(self, case, dtype):
        """A gradient or an optional output without a buffer is not computed, and the others do not change."""
        expected = all_bits(case.run(case.inputs(dtype)))
        for slot in case.op.outputs:
            if not slot.optional and not slot.name.endswith(GRAD_SUFFIX):
                continue
            results = case.run(case.inputs(dtype), unwanted=(slot.name,))
            assert all(v is None for v in as_tuple(results.pop(slot.name))), slot.name
            assert all_bits(results) == {s: b for s, b in expected.items() if s != slot.name}

    def test_threads(self, case, dtype, with_threads):
        """The number of threads changes no bit."""
        found = []
        for threads in (1, 2):
            with_threads(threads)
            assert _parallel.get_num_threads() == threads
            found.append(all_bits(case.run(case.inputs(dtype))))
        assert found[0] == found[1]

    def test_gradient(self, case):
        """Numeric gradients in float64."""
        check_gradient(case.sample)

    def test_spread_gradient(self, case, dtype):
        """A gradient that is one number in every place, with all strides zero, counts like a filled array."""
        inputs = case.inputs(dtype)
        filled, spread = Backward(case.sample, inputs).seed(True), Backward(case.sample, inputs).seed(True)
        for name in filled.wanted:
            filled.env[name + "@GRAD"] = filled.env[name + "@GRAD"].copy()
        expected = filled.run()
        for name, grad in spread.run().items():
            assert_close(grad, expected[name], name)


def _makes_lod(case, name):
    return any(slot.lod for slot in case.op.outputs if slot.name == name)


def _differing(a, b):
    """For each value of a slot the dimensions in which the two differ."""
    return tuple(
        [
            {i for i, (m, n) in enumerate(zip(x.shape, y.shape, strict=True)) if m != n}
            for x, y in zip(as_tuple(a), as_tuple(b), strict=True)
        ]
    )


def uncovered_attrs(type, samples):
    """Attributes of an op that no sample gives another value than the default, or none leaves at it."""
    definition = get_op(type)
    missing = []
    for name, default in definition.attrs.items():
        values = [sample.attrs.get(name, default) for sample in samples]
        if all(value == default for value in values):
            missing.append(name)
    return missing
