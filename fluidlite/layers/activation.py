"""Activations with parameters, element by element: shape, dtype and LoD of x."""

from ..layer_helper import append_layer


def leaky_relu(x, alpha=0.02, name=None):
    """x where x > 0, else alpha x."""
    return append_layer("leaky_relu", {"X": x}, {"alpha": float(alpha)}, name=name)


def elu(x, alpha=1.0, name=None):
    """x where x > 0, else alpha (exp(x) - 1)."""
    return append_layer("elu", {"X": x}, {"alpha": float(alpha)}, name=name)


def selu(x, scale=None, alpha=None, name=None):
    """scale x where x > 0, else scale alpha (exp(x) - 1). The defaults, 1.0507 and 1.6733, keep mean and variance."""
    given = {"scale": scale, "alpha": alpha}
    return append_layer("selu", {"X": x}, {k: float(v) for k, v in given.items() if v is not None}, name=name)


def thresholded_relu(x, threshold=None):
    """x where x > threshold (default 1.0), else 0."""
    return append_layer("thresholded_relu", {"X": x}, {} if threshold is None else {"threshold": float(threshold)})


def brelu(x, t_min=0.0, t_max=24.0, name=None):
    """min(max(x, t_min), t_max)."""
    return append_layer("brelu", {"X": x}, {"t_min": float(t_min), "t_max": float(t_max)}, name=name)


def soft_relu(x, threshold=40.0, name=None):
    """log(1 + exp(min(max(x, -threshold), threshold)))."""
    return append_layer("soft_relu", {"X": x}, {"threshold": float(threshold)}, name=name)


def hard_shrink(x, threshold=None):
    """x where |x| > threshold (default 0.5), else 0."""
    return append_layer("hard_shrink", {"X": x}, {} if threshold is None else {"threshold": float(threshold)})


def softshrink(x, alpha=None):
    """x moved towards 0 by alpha (default 0.5), and 0 where |x| <= alpha."""
    return append_layer("softshrink", {"X": x}, {} if alpha is None else {"lambda": float(alpha)})


def hard_sigmoid(x, slope=0.2, offset=0.5, name=None):
    """min(max(slope x + offset, 0), 1)."""
    return append_layer("hard_sigmoid", {"X": x}, {"slope": float(slope), "offset": float(offset)}, name=name)


def hard_swish(x, threshold=6.0, scale=6.0, offset=3.0, name=None):
    """x min(max(x + offset, 0), threshold) / scale."""
    attrs = {"threshold": float(threshold), "scale": float(scale), "offset": float(offset)}
    return append_layer("hard_swish", {"X": x}, attrs, name=name)


def swish(x, beta=1.0, name=None):
    """x / (1 + exp(-beta x)). (Fluid 1.8.5 takes 1 for every beta.)"""
    return append_layer("swish", {"X": x}, {"beta": float(beta)}, name=name)


def stanh(x, scale_a=0.67, scale_b=1.7159, name=None):
    """scale_b tanh(scale_a x)."""
    return append_layer("stanh", {"X": x}, {"scale_a": float(scale_a), "scale_b": float(scale_b)}, name=name)


def gelu(x, approximate=False):
    """x P(x), where P is the distribution function of the normal distribution, or its approximation by tanh.

    >>> import fluidlite as fluid
    >>> gelu(fluid.data('x', [None, 3])).shape
    (-1, 3)
    """
    return append_layer("gelu", {"X": x}, {"approximate": bool(approximate)})


def clip_by_norm(x, max_norm, name=None):
    """x max_norm / norm where the norm, the square root of the sum of all x^2, is larger than `max_norm`; else x.

    x: float, or the SelectedRows of a sparse gradient, whose rows are merged first. It has no gradient.

    >>> import fluidlite as fluid
    >>> clip_by_norm(fluid.data('x', [None, 3]), max_norm=2.0).shape
    (-1, 3)
    """
    return append_layer("clip_by_norm", {"X": x}, {"max_norm": float(max_norm)}, name=name)
