"""The reductions, on the grid; errors, memory, and what stays uncopied."""

import numpy as np
import pytest

from fluidlite.errors import InvalidArgumentError

from .checks import OpGrid
from .grid import rows, uniform
from .running import make_op, run_op
from .steady import ALLOWANCE, batch, peak_of_second_run


class TestReduction(OpGrid):
    family = "reduction"


REDUCTIONS = ("reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod")


@pytest.mark.parametrize("dim", [[3], [-4], [0, 5]])
@pytest.mark.parametrize("type", REDUCTIONS)
def test_dimensions_that_are_not_there_are_refused(type, dim):
    with pytest.raises(InvalidArgumentError, match="reduce dim index .* should be in the range"):
        run_op(type, {"dim": dim}, {"X": uniform(2, 3, 5)})


@pytest.mark.parametrize("type", ["reduce_max", "reduce_min"])
def test_no_elements_have_no_extreme(type):
    with pytest.raises(InvalidArgumentError, match="no elements"):
        run_op(type, {}, {"X": np.zeros((0, 3))})


@pytest.mark.parametrize("type", REDUCTIONS)
@pytest.mark.parametrize(
    "attrs, keeps",
    [({}, False), ({"dim": [1]}, True), ({"dim": [-1]}, True), ({"dim": [1, 0]}, False), ({"reduce_all": True}, False)],
)
def test_sequences_are_kept_unless_their_dimension_is_reduced(type, attrs, keeps):
    assert make_op(type, attrs).lod_from == ("X" if keeps else None)


@pytest.mark.parametrize("type", REDUCTIONS)
@pytest.mark.parametrize("dim", [[0], [1], [0, 1]])
def test_nothing_is_allocated(type, dim):
    assert peak_of_second_run(type, {"X": batch(1000, 200)}, {"dim": dim}) < ALLOWANCE


@pytest.mark.parametrize("type, attrs, shape", [("mean", {}, (1,)), ("reduce_sum", {"reduce_all": True}, (1,))])
def test_the_gradient_of_one_number_fills_no_array(type, attrs, shape):
    inputs = {"X": batch(1000, 200), "Out@GRAD": np.ones(shape, np.float32)}
    assert peak_of_second_run(type + "_grad", inputs, attrs) < ALLOWANCE
    assert run_op(type + "_grad", attrs, inputs)["X@GRAD"].strides == (0, 0)


@pytest.mark.parametrize("type", ["reduce_sum_grad", "reduce_mean_grad"])
def test_the_gradient_of_a_row_is_repeated_without_copies(type):
    inputs = {"X": batch(1000, 200), "Out@GRAD": batch(200)}
    assert peak_of_second_run(type, inputs) < ALLOWANCE
    assert run_op(type, {}, inputs)["X@GRAD"].strides == (0, 4)


def test_the_sum_of_selected_rows_copies_nothing():
    xs = rows([4, 0, 4], 3, 5), rows([2], 3, 5)
    out = run_op("sum", {}, {"X": xs})["Out"]
    assert all(c.value is x.chunks[0].value for c, x in zip(out.chunks, xs, strict=True))


@pytest.mark.parametrize("shapes", [((2, 3), (3,)), ((2, 3), (3, 2)), ((2, 3), (2, 1))])
def test_sum_does_not_broadcast(shapes):
    with pytest.raises(InvalidArgumentError, match="must have same dimensions"):
        run_op("sum", {}, {"X": tuple(np.zeros(s) for s in shapes)})


def test_long_sums_keep_their_digits():
    x = np.full((3, 700_001), 0.1, np.float32)
    exact = float(np.float32(0.1))
    np.testing.assert_allclose(run_op("mean", {}, {"X": x})["Out"], [exact], rtol=1e-6)
    np.testing.assert_allclose(run_op("reduce_sum", {"dim": [1]}, {"X": x})["Out"], [exact * 700_001] * 3, rtol=1e-6)
