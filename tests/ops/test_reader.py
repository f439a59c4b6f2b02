"""The reader ops: create_py_reader and create_double_buffer_reader hand a reader on, read takes its batches."""

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.dtypes import VarType
from fluidlite.lod_tensor import LoDTensor
from fluidlite.ops.registry import Meta, get_op
from fluidlite.prefetch import BatchReader


def reader_of(*batches):
    reader = BatchReader("r", [None] * len(batches[0]) if batches else [], 2)
    reader.set_source(lambda: (batch for batch in batches))
    reader.start()
    return reader


@pytest.mark.parametrize("type", ["create_py_reader", "create_double_buffer_reader"])
def test_a_reader_is_handed_on(type):
    reader, op = object(), get_op(type)()
    assert op.run(reader, None) is reader
    assert op.infer_shape(Meta(None, None, VarType.RAW)) == Meta(None, None, VarType.READER)


def test_read_takes_one_batch_after_the_other_and_then_raises():
    first, second = [LoDTensor(np.zeros((2, 3))), LoDTensor(np.ones((2, 1)), [[0, 2]])], [LoDTensor(), LoDTensor()]
    reader, op = reader_of(first, second), get_op("read")(names={"Out": ["x", "y"]})
    assert op.infer_shape(Meta(None, None, VarType.READER)) == (None, None)
    for batch in (first, second):
        taken = op.run(reader, (None, None))
        assert len(taken) == 2
        assert all(a is b for a, b in zip(taken, batch, strict=True))
    for _ in range(2):
        with pytest.raises(fluid.core.EOFException, match="There is no next data"):
            op.run(reader, (None, None))


@pytest.mark.parametrize("type", ["create_py_reader", "create_double_buffer_reader", "read"])
def test_no_reader_has_a_gradient(type):
    assert not get_op(type).differentiable
