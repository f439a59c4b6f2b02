"""The functions of one variable, on the grid; errors, memory, and scale of a SelectedRows."""

import numpy as np
import pytest

from fluidlite.errors import InvalidArgumentError
from fluidlite.ops.registry import OpSpec

from .checks import OpGrid
from .grid import rows, uniform
from .running import infer, make_op, run_op
from .steady import ALLOWANCE, batch, peak_of_second_run


class TestUnary(OpGrid):
    family = "unary"


@pytest.mark.parametrize("type", ["sqrt", "square", "abs", "exp", "log", "sign", "pow", "scale", "clip"])
def test_nothing_is_allocated(type):
    assert peak_of_second_run(type, {"X": batch(1000, 200)}) < ALLOWANCE


@pytest.mark.parametrize("slot, type", [("Out", "sqrt"), ("X", "square"), ("X", "abs"), ("Out", "exp"), ("X", "log")])
def test_gradients_allocate_nothing(slot, type):
    y = batch(1000, 200)
    assert peak_of_second_run(type + "_grad", {slot: y, "Out@GRAD": y[:]}) < ALLOWANCE


def test_scale_of_a_spread_gradient_stays_spread():
    spread = np.broadcast_to(np.float64(3.0), (2, 3))
    out = run_op("scale", {"scale": 2.0, "bias": 1.0}, {"X": spread})["Out"]
    assert out.strides == (0, 0)
    np.testing.assert_array_equal(out, np.full((2, 3), 7.0))


def test_scale_of_a_selected_rows_keeps_rows_and_padding():
    x = rows([3, 0, 3], 2, 5)
    out = run_op("scale", {"scale": 2.0}, {"X": x})["Out"]
    np.testing.assert_array_equal(out.rows, [3, 0, 3])
    np.testing.assert_array_equal(out.value, 2 * x.value)
    assert not np.shares_memory(out.rows, x.rows)


def test_scale_refuses_a_bias_for_a_selected_rows():
    op = make_op("scale", {"bias": 1.0})
    with pytest.raises(InvalidArgumentError, match="no bias"):
        infer(op, {"X": rows([3, 0, 3], 2, 5)})


def test_the_gradient_of_scale_has_no_bias():
    spec = OpSpec("scale", {"X": ["x"]}, {"Out": ["y"]}, {"scale": 2.0, "bias": 3.0, "bias_after_scale": False})
    (grad,) = make_op("scale", spec.attrs).make_grad(spec)
    assert grad == OpSpec(
        "scale", {"X": ["y@GRAD"]}, {"Out": ["x@GRAD"]}, {"scale": 2.0, "bias": 0.0, "bias_after_scale": True}
    )


def test_clip_refuses_bounds_in_the_wrong_order():
    with pytest.raises(InvalidArgumentError, match="larger"):
        run_op("clip", {"min": 1.0, "max": 0.0}, {"X": uniform(2, 3)})


def test_infinite_and_undefined_results_are_ieee():
    with np.errstate(all="ignore"):
        log = run_op("log", {}, {"X": np.array([0.0, -1.0])})["Out"]
        root = run_op("sqrt", {}, {"X": np.array([-1.0])})["Out"]
    assert log[0] == -np.inf and np.isnan(log[1]) and np.isnan(root[0])
