"""Layers that take and put rows and elements by index, and that find indices."""

from ..dtypes import VarType
from ..framework import Variable
from ..layer_helper import LayerHelper, append_layer, check_variable
from .tensor import zeros

_INTS = (VarType.INT64, VarType.INT32)


def gather(input, index, overwrite=True):
    """Rows of input by index: out[i] = input[index[i]].

    Args:
        input: (V, ...); index: int64 or int32 (N,) or (N, 1) in [0, V). The result is (N, ...), without LoD.
        overwrite: which gradient a row has that is taken several times: True that of its last place, as in Fluid,
            False the sum over its places, which is its derivative.

    Raises:
        OutOfRangeError (when it runs): an index lies outside; its position is named.

    >>> import fluidlite as fluid
    >>> gather(fluid.data('x', [100, 3]), fluid.data('index', [None], 'int64'), overwrite=False).shape
    (-1, 3)
    """
    check_variable(index, "index", "gather", _INTS)
    return append_layer("gather", {"X": input, "Index": index}, {"overwrite": overwrite})


def gather_nd(input, index, name=None):
    """Elements or slices of input by place: out[...] = input[index[..., 0], ..., index[..., K-1]].

    Args:
        index: int64 or int32 (..., K), K at most the rank of input. The result has index's dimensions but the last,
            and then input's from K on. The gradient is the sum over all places that name an element.

    Raises:
        OutOfRangeError (when it runs): an index lies outside; its position is named.

    >>> import fluidlite as fluid
    >>> gather_nd(fluid.data('x', [7, 3, 5]), fluid.data('index', [None, 2], 'int64')).shape
    (-1, 5)
    """
    check_variable(index, "index", "gather_nd", _INTS)
    return append_layer("gather_nd", {"X": input, "Index": index}, name=name)


def scatter(input, index, updates, name=None, overwrite=True):
    """input, where row index[i] is updates[i].

    Args:
        input: (V, ...); index: int64 or int32 (N,) or (N, 1) in [0, V); updates: (N, ...). LoD is dropped.
        overwrite: False puts the sum of all updates of a row there, True the last of them.

    Raises:
        OutOfRangeError (when it runs): an index lies outside; its position is named.

    >>> import fluidlite as fluid
    >>> x, index = fluid.data('x', [None, 3]), fluid.data('index', [None], 'int64')
    >>> scatter(x, index, fluid.data('updates', [None, 3])).shape
    (-1, 3)
    """
    check_variable(index, "index", "scatter", _INTS)
    inputs = {"X": input, "Ids": index, "Updates": updates}
    return append_layer("scatter", inputs, {"overwrite": overwrite}, name=name)


def scatter_nd_add(ref, index, updates, name=None):
    """ref, with updates added at the places index[..., :]: every update counts, also several of one place.

    Args:
        index: int64 or int32 (..., K); updates: index's dimensions but the last, and then ref's from K on.

    >>> import fluidlite as fluid
    >>> x, index = fluid.data('x', [7, 3]), fluid.data('index', [2, 1], 'int64')
    >>> scatter_nd_add(x, index, fluid.data('updates', [2, 3])).shape
    (7, 3)
    """
    check_variable(index, "index", "scatter_nd_add", _INTS)
    return append_layer("scatter_nd_add", {"X": ref, "Index": index, "Updates": updates}, name=name)


def scatter_nd(index, updates, shape, name=None):
    """`scatter_nd_add` to zeros of the given shape."""
    return scatter_nd_add(zeros(shape, updates.dtype), index, updates, name)


def append_one_hot(type, input, depth, allow_out_of_range):
    """Both one-hot layers; `type` is the op: one_hot or one_hot_v2."""
    helper = LayerHelper(type)
    check_variable(input, "input", "one_hot", _INTS)
    inputs, attrs = {"X": input}, {"allow_out_of_range": bool(allow_out_of_range)}
    if isinstance(depth, Variable):
        inputs["depth_tensor"] = depth
    else:
        attrs["depth"] = int(depth)
    out = helper.create_variable_for_type_inference(VarType.FP32, stop_gradient=True)
    helper.append_op(type, inputs, {"Out": out}, attrs)
    return out


def one_hot(input, depth, allow_out_of_range=False):
    """Rows with a 1 in the place of the id: float32 (..., depth), LoD of the ids.

    Args:
        input: int64 or int32 ids in [0, depth), last dimension 1, which the depth replaces.
        depth: an int, or an int Variable of shape (1,).
        allow_out_of_range: ids outside make rows of zeros.

    Raises:
        OutOfRangeError (when it runs, without `allow_out_of_range`): an id lies outside; its position is named.

    >>> import fluidlite as fluid
    >>> one_hot(fluid.data('x', [None, 1], 'int64'), depth=5).shape
    (-1, 5)
    """
    return append_one_hot("one_hot", input, depth, allow_out_of_range)


def where(condition):
    """The indices of the elements that are not 0 or False, one a row, in order: int64 (count, rank).

    >>> import fluidlite as fluid
    >>> where(fluid.data('x', [None, 3], 'bool')).shape
    (-1, 2)
    """
    helper = LayerHelper("where_index")
    check_variable(condition, "condition", "where")
    out = helper.create_variable_for_type_inference(VarType.INT64, stop_gradient=True)
    helper.append_op("where_index", {"Condition": condition}, {"Out": out})
    return out


def _arg_extreme(type, layer, x, axis):
    helper = LayerHelper(type)
    check_variable(x, "x", layer)
    out = helper.create_variable_for_type_inference(VarType.INT64, stop_gradient=True)
    helper.append_op(type, {"X": x}, {"Out": out}, {"axis": axis})
    return out


def argmax(x, axis=0):
    """The index of the largest element along `axis`, the first of several: int64, without that dimension.

    >>> import fluidlite as fluid
    >>> argmax(fluid.data('x', [None, 5]), axis=1).shape
    (-1,)
    """
    return _arg_extreme("arg_max", "argmax", x, axis)


def argmin(x, axis=0):
    """The index of the smallest element along `axis`, the first of several: int64, without that dimension."""
    return _arg_extreme("arg_min", "argmin", x, axis)


def argsort(input, axis=-1, descending=False, name=None):
    """input sorted along `axis`, and the int64 indices of where its elements came from. Equal ones keep their order.

    No gradient flows through it, as in Fluid.

    >>> import fluidlite as fluid
    >>> values, indices = argsort(fluid.data('x', [None, 5]), descending=True)
    >>> indices.shape
    (-1, 5)
    """
    helper = LayerHelper("argsort", name=name)
    check_variable(input, "input", "argsort")
    values = helper.create_variable_for_type_inference(input.dtype, stop_gradient=True)
    indices = helper.create_variable_for_type_inference(VarType.INT64, stop_gradient=True)
    attrs = {"axis": axis, "descending": descending}
    helper.append_op("argsort", {"X": input}, {"Out": values, "Indices": indices}, attrs)
    return values, indices


def cumsum(x, axis=None, exclusive=None, reverse=None):
    """Running sums along `axis` (default: the last): out[i] = x[0] + ... + x[i].

    `exclusive` leaves x[i] itself out; `reverse` sums from the end.

    >>> import fluidlite as fluid
    >>> cumsum(fluid.data('x', [None, 5]), axis=1).shape
    (-1, 5)
    """
    given = {"axis": axis, "exclusive": exclusive, "reverse": reverse}
    return append_layer("cumsum", {"X": x}, {key: value for key, value in given.items() if value is not None})
