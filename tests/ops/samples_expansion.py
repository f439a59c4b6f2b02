"""Samples of the ops that repeat and pad."""

import numpy as np

from .grid import add, uniform

_X = uniform(5, 3)
_CUBE = uniform(2, 3, 5)
_INTEGERS = np.array([[3, -1, 0], [2, -7, 5]])

for _times in ([1, 2, 1], [1, 1, 3], [1, 1, 1], [1, 2, 0]):
    add("expand", {"X": _CUBE}, lambda X, t=_times: np.tile(X, t), attrs={"expand_times": _times}, batch=("X",))
add("expand", {"X": _X}, lambda X: np.tile(X, (2, 3)), attrs={"expand_times": [2, 3]}, batch=("X",))
add("expand", {"X": _INTEGERS}, lambda X: np.tile(X, (1, 2)), attrs={"expand_times": [1, 2]}, batch=("X",))
add(
    "expand",
    {"X": _X, "ExpandTimes": np.array([2, 1], np.int32)},
    lambda X, ExpandTimes: np.tile(X, (2, 1)),
    value_shapes=True,
)
add(
    "expand",
    {"X": _X, "expand_times_tensor": (np.array([1]), np.array([4], np.int32))},
    lambda X, expand_times_tensor: np.tile(X, (1, 4)),
    attrs={"expand_times": [1, -1]},
    value_shapes=True,
)

for _target in ((5, 6), (10, 9), (5, 3)):
    add(
        "expand_as",
        {"X": _X, "target_tensor": np.zeros(_target)},
        lambda X, target_tensor, t=_target: np.tile(X, (t[0] // 5, t[1] // 3)),
        constants=("target_tensor",),
    )
add(
    "expand_as",
    {"X": _X, "target_tensor": np.zeros((5, 6), np.int64)},
    lambda X, target_tensor: np.hstack((X, X)),
    batch=("X", "target_tensor"),
)

for _pairs, _value in (([(0, 0), (1, 2)], 0.0), ([(2, 1), (0, 3)], -1.5), ([(0, 0), (0, 0)], 1.0)):
    add(
        "pad",
        {"X": _X},
        lambda X, p=_pairs, v=_value: np.pad(X, p, constant_values=v),
        attrs={"paddings": [*_pairs[0], *_pairs[1]], **({"pad_value": _value} if _value else {})},
        batch=("X",) if not any(_pairs[0]) else (),
    )
add("pad", {"X": _INTEGERS}, lambda X: np.pad(X, [(0, 0), (1, 0)]), attrs={"paddings": [0, 0, 1, 0]}, batch=("X",))
