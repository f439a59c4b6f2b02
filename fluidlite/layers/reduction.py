"""Reductions: sums, means, extremes, products and logic over some dimensions or all of them."""

from ..layer_helper import append_layer, check_variable


def _reduce(type, input, dim, keep_dim, name):
    dims = [] if dim is None else list(dim) if isinstance(dim, list | tuple) else [dim]
    attrs = {"dim": dims or [0], "keep_dim": keep_dim, "reduce_all": not dims}
    check_variable(input, "input", type)
    if dims and len(dims) == len(input.shape):
        attrs["reduce_all"] = True
    return append_layer(type, {"X": input}, attrs, name=name)


def reduce_sum(input, dim=None, keep_dim=False, name=None):
    """Sum over the dimensions `dim` (int, list, or None for all; all give shape (1,)). Kept as 1 with `keep_dim`.

    >>> import fluidlite as fluid
    >>> reduce_sum(fluid.data('x', [None, 3, 5]), dim=1).shape
    (-1, 5)
    """
    return _reduce("reduce_sum", input, dim, keep_dim, name)


def reduce_mean(input, dim=None, keep_dim=False, name=None):
    """Mean over the dimensions `dim`; arguments as in `reduce_sum`."""
    return _reduce("reduce_mean", input, dim, keep_dim, name)


def reduce_max(input, dim=None, keep_dim=False, name=None):
    """Largest element over the dimensions `dim`; arguments as in `reduce_sum`."""
    return _reduce("reduce_max", input, dim, keep_dim, name)


def reduce_min(input, dim=None, keep_dim=False, name=None):
    """Smallest element over the dimensions `dim`; arguments as in `reduce_sum`."""
    return _reduce("reduce_min", input, dim, keep_dim, name)


def reduce_prod(input, dim=None, keep_dim=False, name=None):
    """Product over the dimensions `dim`; arguments as in `reduce_sum`."""
    return _reduce("reduce_prod", input, dim, keep_dim, name)


def reduce_all(input, dim=None, keep_dim=False, name=None):
    """Whether a bool tensor is true everywhere over the dimensions `dim`; arguments as in `reduce_sum`.

    >>> import fluidlite as fluid
    >>> reduce_all(fluid.data('x', [None, 3], 'bool'), dim=1).shape
    (-1,)
    """
    return _reduce("reduce_all", input, dim, keep_dim, name)


def reduce_any(input, dim=None, keep_dim=False, name=None):
    """Whether a bool tensor is true anywhere over the dimensions `dim`; arguments as in `reduce_sum`."""
    return _reduce("reduce_any", input, dim, keep_dim, name)
