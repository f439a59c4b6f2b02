"""`fluid.data` and `fluid.embedding`: the newer forms of two layers, which take shapes as they are."""

from .framework import default_main_program
from .layers.indexing import append_one_hot
from .layers.io import declare_input
from .layers.nn import append_embedding


def data(name, shape, dtype="float32", lod_level=0):
    """An input of the program whose shape and dtype are checked when it is fed.

    Args:
        name: the key in ``feed``.
        shape: all dimensions; None or -1 where any length will do.
        dtype: default 'float32'.
        lod_level: levels of sequence offsets that come with it, default 0.

    >>> data('x', [None, 3]).shape
    (-1, 3)
    """
    block = default_main_program().global_block()
    return declare_input(block, name, shape, dtype, lod_level=lod_level, stop_gradient=True, need_check_feed=True)


def embedding(input, size, is_sparse=False, is_distributed=False, padding_idx=None, param_attr=None, dtype="float32"):
    """Rows of a table by id; the output has the ids' shape and one dimension more: (..., D).

    Arguments and errors as in `fluid.layers.embedding`, which drops a last dimension of 1 instead.

    >>> import fluidlite as fluid
    >>> fluid.embedding(fluid.data('ids', [None, 7], 'int64'), [100, 16], is_sparse=True).shape
    (-1, 7, 16)
    """
    return append_embedding("lookup_table_v2", input, size, is_sparse, is_distributed, padding_idx, param_attr, dtype)


def one_hot(input, depth, allow_out_of_range=False):
    """Rows with a 1 in the place of the id: float32, the ids' shape and one dimension more: (..., depth).

    Arguments and errors as in `fluid.layers.one_hot`, which replaces a last dimension of 1 instead.

    >>> import fluidlite as fluid
    >>> fluid.one_hot(fluid.data('ids', [None, 7], 'int64'), depth=5).shape
    (-1, 7, 5)
    """
    return append_one_hot("one_hot_v2", input, depth, allow_out_of_range)
