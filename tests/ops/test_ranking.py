"""The losses of scores in pairs, on the grid; labels, bounds and shapes."""

import numpy as np
import pytest

from fluidlite.errors import InvalidArgumentError, OutOfRangeError

from .checks import OpGrid
from .grid import uniform
from .running import run_op


class TestRanking(OpGrid):
    family = "ranking"


@pytest.mark.parametrize("bad", [-1, 3])
def test_a_label_that_is_no_class_is_named(bad):
    with pytest.raises(OutOfRangeError, match=f"Label {bad} at position 1 .* not one of the 3 classes"):
        run_op("bpr_loss", {}, {"X": uniform(2, 3), "Label": np.array([[0], [bad]])})


def test_one_class_has_no_rest():
    with pytest.raises(InvalidArgumentError, match="no matrix of scores"):
        run_op("bpr_loss", {}, {"X": np.ones((2, 1)), "Label": np.zeros((2, 1), np.int64)})


def test_beyond_the_bounds_there_is_no_gradient():
    inputs = {"X": np.array([[-0.5], [0.0], [1.0]]), "Label": np.full((3, 1), -1.0), "Y@GRAD": np.ones((3, 1))}
    attrs = {"soft_max_up_bound": 1.0, "soft_max_lower_bound": -0.5}
    grad = run_op("teacher_student_sigmoid_loss_grad", attrs, inputs)["X@GRAD"]
    assert grad[:, 0].tolist() == [0.0, -0.5, 0.0]


@pytest.mark.parametrize("type, slots", [("rank_loss", ("Left", "Right")), ("margin_rank_loss", ("X1", "X2"))])
def test_scores_that_do_not_fit_are_refused(type, slots):
    for wrong in slots:
        inputs = {slot: np.ones((3 if slot == wrong else 2, 1)) for slot in (*slots, "Label")}
        with pytest.raises(InvalidArgumentError, match=f"input {wrong} does not have the shape"):
            run_op(type, {}, inputs)
