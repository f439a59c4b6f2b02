"""The look-ups, on the grid; ids at the boundary, and what stays uncopied."""

import numpy as np
import pytest

from fluidlite.errors import InvalidArgumentError, OutOfRangeError

from .checks import OpGrid
from .grid import uniform
from .running import run_op

V, D = 7, 3
TABLE = uniform(V, D)


class TestEmbedding(OpGrid):
    family = "embedding"


@pytest.mark.parametrize("id", [-1, V, 2**62, -(2**63)])
@pytest.mark.parametrize("type", ["lookup_table", "lookup_table_v2"])
@pytest.mark.parametrize("padding", [-1, 2])
def test_ids_outside_the_table_are_refused(type, id, padding):
    ids = np.array([0, V - 1, id, 2])
    if type == "lookup_table":
        ids = ids[:, None]
    with pytest.raises(OutOfRangeError, match=rf"Id {id} at position 2 .* expected >= 0 and < {V}, but got {id}\."):
        run_op(type, {"padding_idx": padding}, {"W": TABLE, "Ids": ids})


def test_the_table_is_a_matrix():
    with pytest.raises(InvalidArgumentError, match="not a matrix"):
        run_op("lookup_table_v2", {}, {"W": uniform(5), "Ids": np.array([1])})


def test_ids_of_lookup_table_end_with_one():
    with pytest.raises(InvalidArgumentError, match="last dimensions of the 'Ids' tensor must be 1"):
        run_op("lookup_table", {}, {"W": TABLE, "Ids": np.array([[1, 2]])})


@pytest.mark.parametrize("padding", [-1, 4])
def test_the_sparse_gradient_is_the_ids_and_the_gradient_uncopied(padding):
    ids, grad = np.array([4, 0, 4, V - 1]), uniform(4, D)
    attrs = {"is_sparse": True, "padding_idx": padding}
    out = run_op("lookup_table_v2_grad", attrs, {"W": TABLE, "Ids": ids, "Out@GRAD": grad})["W@GRAD"]
    (chunk,) = out.chunks
    assert np.shares_memory(chunk.rows, ids) and np.shares_memory(chunk.value, grad)
    assert out.height == V
    assert out.rows.tolist() == ([4, 0, 4, 6] if padding == -1 else [0, 6])
