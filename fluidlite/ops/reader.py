"""Readers: batches that a program takes itself, from a generator, instead of being fed.

The variables between these ops are no tensors: each stands for one `BatchReader`, which the ops hand on.
"""

from ..dtypes import VarType
from .registry import Meta, OpDef, Slot, register_op


@register_op
class CreatePyReader(OpDef):
    """A reader of the batches in a queue, which Python fills.

    blocking_queue, Out: the reader. The attributes describe a batch: ranks and all dimensions of its variables one
    after the other, data types, LoD levels, whether shapes are checked. Source: Fluid's layers.py_reader.
    """

    type = "create_py_reader"
    inputs = (Slot("blocking_queue"),)
    outputs = (Slot("Out"),)
    attrs = {"shape_concat": [], "ranks": [], "lod_levels": [], "dtypes": [], "need_check_feed": []}
    differentiable = False
    warns = False

    def infer_shape(self, queue):
        return Meta(None, None, VarType.READER)

    def run(self, queue, out):
        return queue


@register_op
class CreateDoubleBufferReader(OpDef):
    """The same reader again: every reader here makes its batches ahead.

    UnderlyingReader, Out: the reader. Source: Fluid's layers.double_buffer.
    """

    type = "create_double_buffer_reader"
    inputs = (Slot("UnderlyingReader"),)
    outputs = (Slot("Out"),)
    attrs = {"place": "AUTO"}
    differentiable = False
    warns = False

    def infer_shape(self, reader):
        return Meta(None, None, VarType.READER)

    def run(self, reader, out):
        return reader


@register_op
class Read(OpDef):
    """The next batch of a reader.

    Reader: the reader; Out: one tensor for each variable of a batch. drop_last, which drops what is left for some of
    several devices, throw_eof_exp and infer_out say what is always so here. Raises EOFException at the end of an epoch.
    Source: Fluid's layers.read_file.
    """

    type = "read"
    inputs = (Slot("Reader"),)
    outputs = (Slot("Out", many=True, lod=True),)
    attrs = {"drop_last": True, "throw_eof_exp": True, "infer_out": True}
    differentiable = False
    side_effect = True
    user_code = True
    warns = False

    def infer_shape(self, reader):
        # The variables have their shapes from whoever declared them.
        return (None,) * len(self.names["Out"])

    def run(self, reader, outs):
        return tuple(reader.next_batch())
