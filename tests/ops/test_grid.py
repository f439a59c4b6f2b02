"""The grid itself: no op without samples, no attribute left at its default, and checks that do fail."""

import inspect
from pathlib import Path

import numpy as np
import pytest

from fluidlite.ops import registry, unary
from fluidlite.ops.registry import Slot, get_op, grad_spec, op_types

from . import checks, grid
from .running import Case, cases_of

SAMPLES = grid.load_samples()
CASES = [case for samples in SAMPLES.values() for sample in samples for case in cases_of(sample)]
COVERED = {case.type for case in CASES}
FORWARD = [type for type in op_types() if type in SAMPLES]


@pytest.mark.parametrize("type", [type for type in op_types() if type not in grid.NOT_SAMPLED])
def test_every_op_has_samples(type):
    assert type in COVERED, f"add samples of {type} to tests/ops/samples_{grid.family_of(type)}.py"


@pytest.mark.parametrize("type", grid.NOT_SAMPLED)
def test_an_op_without_samples_has_none_and_says_where_it_is_tested(type):
    assert get_op(type) and type not in COVERED
    tested = grid.NOT_SAMPLED[type].split("tested in ")[1]
    assert type in (Path(__file__).parents[2] / tested).read_text()


@pytest.mark.parametrize("type", FORWARD)
def test_attributes_get_other_values_than_the_default(type):
    missing = [name for name in checks.uncovered_attrs(type, SAMPLES[type]) if (type, name) not in grid.EXEMPT_ATTRS]
    assert not missing, f"no sample of {type} sets {', '.join(missing)}"


@pytest.mark.parametrize("type, name", grid.EXEMPT_ATTRS)
def test_exemptions_are_needed(type, name):
    assert name in checks.uncovered_attrs(type, SAMPLES.get(type, ()))


@pytest.mark.parametrize("type", FORWARD)
def test_samples_set_known_attributes_and_slots(type):
    definition = get_op(type)
    for sample in SAMPLES[type]:
        assert set(sample.attrs) <= set(definition.attrs)
        assert set(sample.inputs) <= {slot.name for slot in definition.inputs}


@pytest.mark.parametrize("type", [t for t in op_types() if get_op(t).inplace])
def test_every_inplace_declaration_is_tried(type):
    tried = {pair for case in CASES if case.type == type for pair in checks.inplace_pairs(case)}
    assert tried == set(get_op(type).inplace.items())


@pytest.mark.parametrize("type", [t for t in FORWARD if get_op(t).differentiable])
def test_every_differentiable_op_has_a_numeric_gradient(type):
    assert any(sample.gradient and len(cases_of(sample)) > 1 for sample in SAMPLES[type])


@pytest.mark.parametrize("family", grid.families())
def test_every_family_has_its_class(family):
    module = __import__(f"{__package__}.test_{family}", fromlist=["*"])
    classes = [c for _, c in inspect.getmembers(module, inspect.isclass) if issubclass(c, checks.OpGrid)]
    assert family in [c.family for c in classes]


# ----------------------------------------------------------------------------------------------- checks that do fail


@pytest.fixture
def own_table(monkeypatch):
    """A table of ops that may be added to."""
    monkeypatch.setattr(registry, "_ops", dict(registry._ops))


def make_ops(*, factor=2.0, overwrites=False, changes_input=False, keeps_unwanted=False, shape=None):
    """A square op and its gradient, with one defect each."""

    @registry.register_op
    class FaultySquare(unary.Square):
        """Out = X^2, or so."""

        type = "faulty_square"
        outputs = (Slot("Out"), Slot("Copy", optional=True))
        inplace = {"Out": "X"}

        def infer_shape(self, x):
            meta = super().infer_shape(x)
            return (meta if shape is None else meta._replace(shape=shape)), meta

        def run(self, x, out, copy_out):
            copy = None
            if copy_out is not None or keeps_unwanted:
                copy = np.array(x)
            if out is None:
                return None, copy
            array = out(x.shape)
            if overwrites:
                array.fill(0)
                return np.add(array, x * x, out=array), copy
            square = np.square(x, out=array)
            if changes_input:
                x.flat[0] = 0
            return square, copy

        def make_grad(self, spec):
            return [grad_spec(spec, inputs=("X",))]

    @registry.register_op
    class FaultySquareGrad(unary.SquareGrad):
        """Gradient of `faulty_square`, or so."""

        type = "faulty_square_grad"

        def run(self, x, out_grad, out):
            return np.multiply(x, factor * out_grad, out=out(x.shape))

    x = np.array([[1.0, -2.0, 3.0], [0.5, 0.25, 4.0]])
    return grid.Sample("faulty_square", {"X": x}, lambda X: {"Out": X * X, "Copy": X}, batch=("X",))


def test_a_right_op_passes(own_table):
    sample = make_ops()
    case, suite = Case(sample), checks.OpGrid()
    checks.check_gradient(sample)
    checks.check_inplace(case, "float32")
    suite.test_values(case, "float32")
    suite.test_infer_shape(case, "float32")
    suite.test_unwanted(case, "float32")


def test_a_gradient_wrong_by_a_two_thousandth_fails(own_table):
    with pytest.raises(AssertionError, match="gradient of X0"):
        checks.check_gradient(make_ops(factor=2.001))


def test_a_missing_gradient_fails(own_table):
    sample = make_ops()
    sample.inputs["X2"] = sample.inputs["X"]
    with pytest.raises(AssertionError, match="expected of"):
        checks.check_gradient(sample)


def test_reading_what_was_overwritten_fails(own_table):
    with pytest.raises(AssertionError, match="Out over X"):
        checks.check_inplace(Case(make_ops(overwrites=True)), "float32")


def test_changing_an_input_fails(own_table):
    with pytest.raises(AssertionError, match="X was changed"):
        checks.OpGrid().test_values(Case(make_ops(changes_input=True)), "float32")


def test_computing_an_unwanted_output_fails(own_table):
    with pytest.raises(AssertionError, match="Copy"):
        checks.OpGrid().test_unwanted(Case(make_ops(keeps_unwanted=True)), "float32")


def test_another_shape_than_inferred_fails(own_table):
    with pytest.raises(AssertionError, match="Out"):
        checks.OpGrid().test_infer_shape(Case(make_ops(shape=(3, 2))), "float32")


def test_an_attribute_that_stays_at_its_default_is_found():
    sample = grid.Sample("softmax", {"X": grid.uniform(2, 3)}, lambda X: X)
    assert checks.uncovered_attrs("softmax", [sample]) == ["axis"]


def test_equal_dimensions_are_refused():
    with pytest.raises(ValueError, match="equal dimensions"):
        grid.Sample("relu", {"X": np.zeros((3, 3))}, lambda X: X)


def test_a_sample_without_an_oracle_is_refused():
    with pytest.raises(ValueError, match="expected"):
        grid.Sample("relu", {"X": np.zeros((2, 3))})
