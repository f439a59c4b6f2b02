"""Samples of the ops that move data."""

import numpy as np

from fluidlite.dtypes import VarType

from .grid import add, rows, uniform

_X = uniform(5, 3)
_CUBE = uniform(2, 3, 5)
_INTEGERS = np.array([[3, -1, 0], [2, -7, 5]])

add("concat", {"X": (_X, uniform(2, 3))}, lambda X: np.vstack(X))
add("concat", {"X": (_X, uniform(5, 2))}, lambda X: np.hstack(X), attrs={"axis": 1}, batch=("X",))
add("concat", {"X": (_X, uniform(5, 2), uniform(5, 7))}, lambda X: np.hstack(X), attrs={"axis": -1}, batch=("X",))
add("concat", {"X": (_X,)}, lambda X: X[0], attrs={"axis": 1}, batch=("X",))
add("concat", {"X": (_INTEGERS, 2 * _INTEGERS)}, lambda X: np.vstack(X), batch=("X",))
add("concat", {"X": (_CUBE, uniform(2, 7, 5))}, lambda X: np.hstack(X), attrs={"axis": 1}, batch=("X",))

for _shape in ([6, 5], [0, -1], [-1, 3, 5], [2, 0, 0, 1], [5, 3, 2]):
    _result = [_CUBE.shape[i] if d == 0 else d for i, d in enumerate(_shape)]
    add("reshape2", {"X": _CUBE}, lambda X, s=_result: {"Out": X.reshape(s)}, attrs={"shape": _shape})
add("reshape2", {"X": _CUBE}, lambda X: {"Out": X.reshape(len(X), 15)}, attrs={"shape": [-1, 15]}, batch=("X",))
add("reshape2", {"X": _INTEGERS}, lambda X: {"Out": X.reshape(3, 2)}, attrs={"shape": [3, 2]})
add(
    "reshape2",
    {"X": _CUBE, "Shape": np.array([3, 10], np.int32)},
    lambda X, Shape: {"Out": X.reshape(3, 10)},
    attrs={"shape": [-1, 10]},
    value_shapes=True,
)
add(
    "reshape2",
    {"X": _CUBE, "ShapeTensor": (np.array([5], np.int32), np.array([6], np.int32))},
    lambda X, ShapeTensor: {"Out": X.reshape(5, 6)},
    value_shapes=True,
)

for _dtype, _function in (
    (VarType.FP32, lambda X: X.astype(np.float32)),
    (VarType.FP64, lambda X: X),
    (VarType.INT32, lambda X: np.trunc(X)),
    (VarType.INT64, lambda X: np.trunc(X)),
    (VarType.BOOL, lambda X: X != 0),
):
    add(
        "cast",
        {"X": 3 * _CUBE},
        _function,
        attrs={"in_dtype": VarType.FP64, "out_dtype": _dtype},
        batch=("X",),
        gradient=_dtype == VarType.FP64,
    )
add("cast", {"X": _INTEGERS}, lambda X: X, attrs={"in_dtype": VarType.INT64}, batch=("X",), gradient=False)

for _x in (_X, _INTEGERS, _INTEGERS > 0):
    add("assign", {"X": _x}, lambda X: X, batch=("X",))
add("assign", {"X": rows([4, 0, 4], 3, 5)}, lambda X: X.to_dense(), gradient=False)

add("shape", {"Input": _CUBE}, lambda Input: np.array(Input.shape), batch=("Input",))
add("shape", {"Input": _INTEGERS}, lambda Input: np.array(Input.shape), batch=("Input",))

add("reverse", {"X": _CUBE}, lambda X: X[::-1], attrs={"axis": [0]}, batch=("X",))
add("reverse", {"X": _CUBE}, lambda X: X[:, ::-1, ::-1], attrs={"axis": [1, -1]}, batch=("X",))
add("reverse", {"X": _X}, lambda X: X, batch=("X",))
