"""Samples of slices: bounds inside, negative, beyond the ends, and steps of both signs."""

import numpy as np

from .grid import add, uniform

_X = uniform(7, 3)
_CUBE = uniform(2, 3, 5)
_INTEGERS = np.array([[3, -1, 0], [2, -7, 5]])


def _slice(axes, starts, ends, **more):
    return {"axes": axes, "starts": starts, "ends": ends, **more}


for _x, _function, _attrs, _batch in (
    (_X, lambda x: x, {}, True),
    (_X, lambda x: x[2:5], _slice([0], [2], [5]), False),
    (_X, lambda x: x[2:], _slice([0], [-5], [1000]), False),
    (_X, lambda x: x[:6], _slice([0], [-1000], [-1]), False),
    (_X, lambda x: x[:0], _slice([0], [5], [2]), False),
    (_CUBE, lambda x: x[:, 1:, :-2], _slice([1, 2], [1, 0], [3, -2]), True),
    (_CUBE, lambda x: x[:, 2], _slice([1], [2], [3], decrease_axis=[1]), True),
    (_CUBE, lambda x: x[:, -1], _slice([1], [-1], [1000], decrease_axis=[1]), True),
    (_CUBE, lambda x: x[1, :, 1:3], _slice([0, 2], [1, 1], [2, 3], decrease_axis=[0]), False),
    (_CUBE[0, 0], lambda x: x[3:4], _slice([0], [3], [4], decrease_axis=[0]), False),
    (_INTEGERS, lambda x: x[:, 1:], _slice([1], [1], [3]), True),
):
    add("slice", {"Input": _x}, lambda Input, f=_function: f(Input), attrs=_attrs, batch=("Input",) if _batch else ())

for _x, _function, _attrs, _batch in (
    (_X, lambda x: x, {}, True),
    (_X, lambda x: x[::2], _slice([0], [0], [7], strides=[2]), False),
    (_X, lambda x: x[5:1:-2], _slice([0], [5], [1], strides=[-2]), False),
    (_X, lambda x: x[::-1], _slice([0], [1000], [-1000], strides=[-1]), False),
    (_X, lambda x: x[:, -2:], _slice([1], [-2], [1000], strides=[1]), True),
    (_CUBE, lambda x: x[:, ::2, 3:0:-1], _slice([1, 2], [0, 3], [3, 0], strides=[2, -1]), True),
    (_CUBE, lambda x: x[:, 1, ::3], _slice([1, 2], [1, 0], [2, 5], strides=[1, 3], decrease_axis=[1]), True),
):
    add(
        "strided_slice",
        {"Input": _x},
        lambda Input, f=_function: f(Input),
        attrs=_attrs,
        batch=("Input",) if _batch else (),
    )

# Bounds that are known at run time only; the attributes hold -1 in their places.
_FLAGS = {"axes": [0, 2], "infer_flags": [-1, -1]}
add(
    "slice",
    {"Input": uniform(5, 3, 7), "StartsTensor": np.array([1, -3]), "EndsTensor": np.array([3, 100], np.int32)},
    lambda Input, StartsTensor, EndsTensor: Input[1:3, :, -3:],
    attrs=_FLAGS,
    value_shapes=True,
)
add(
    "slice",
    {
        "Input": uniform(5, 3, 7),
        "StartsTensorList": (np.array([2]), np.array([-1])),
        "EndsTensorList": (np.array([3]), np.array([0])),
    },
    lambda Input, StartsTensorList, EndsTensorList: Input[2, :, -1],
    attrs={**_FLAGS, "starts": [-1, -1], "ends": [-1, -1], "decrease_axis": [0, 2]},
    value_shapes=True,
)
add(
    "slice",
    {"Input": uniform(5, 3), "EndsTensorList": (np.array([2]),)},
    lambda Input, EndsTensorList: Input[:, 1:2],
    attrs={"axes": [1], "starts": [1], "ends": [-1], "infer_flags": [-1]},
    value_shapes=True,
)
