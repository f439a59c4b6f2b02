"""Samples of the ops that move data."""

import numpy as np

from fluidlite.dtypes import VarType

from .grid import add, rows, uniform

_X = uniform(5, 3)
_CUBE = uniform(2, 3, 5)
_INTEGERS = np.array([[3, -1, 0], [2, -7, 5]])

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

_ONES = uniform(2, 1, 3, 1)
add("squeeze2", {"X": _ONES}, lambda X: {"Out": X.reshape(len(X), 3)}, attrs={"axes": [1, 3]}, batch=("X",))
add("squeeze2", {"X": _ONES}, lambda X: {"Out": X[..., 0]}, attrs={"axes": [-1]}, batch=("X",))
add("squeeze2", {"X": _ONES}, lambda X: {"Out": X[:, 0, :, 0]})
add("squeeze2", {"X": _INTEGERS[:, None]}, lambda X: {"Out": X[:, 0]}, attrs={"axes": [1]}, batch=("X",))

for _axes, _index in (
    ([1], (slice(None), None)),
    ([0, -1], (None, ..., None)),
    ([2, 1], (slice(None), None, slice(None), None)),
    ([-1, -2], (..., None, None)),
):
    add("unsqueeze2", {"X": _X}, lambda X, i=_index: {"Out": X[i]}, attrs={"axes": _axes}, batch=("X",))
add("unsqueeze2", {"X": _INTEGERS}, lambda X: {"Out": X[..., None]}, attrs={"axes": [2]}, batch=("X",))
add(
    "unsqueeze2",
    {"X": _X, "AxesTensor": np.array([1, 3], np.int32)},
    lambda X, AxesTensor: {"Out": X[:, None, :, None]},
    value_shapes=True,
)
add(
    "unsqueeze2",
    {"X": _X, "AxesTensorList": (np.array([0]), np.array([1], np.int32))},
    lambda X, AxesTensorList: {"Out": X[None, None]},
    value_shapes=True,
)

add("flatten2", {"X": _CUBE}, lambda X: {"Out": X.reshape(len(X), 15)}, batch=("X",))
for _axis, _shape in ((0, (1, 30)), (2, (6, 5)), (3, (30, 1))):
    add("flatten2", {"X": _CUBE}, lambda X, s=_shape: {"Out": X.reshape(s)}, attrs={"axis": _axis})
add("flatten2", {"X": _INTEGERS}, lambda X: {"Out": X}, batch=("X",))

for _perm, _formula in (([0, 2, 1], "abc->acb"), ([2, 0, 1], "abc->cab"), ([0, 1, 2], "abc->abc")):
    add(
        "transpose2",
        {"X": _CUBE},
        lambda X, f=_formula: {"Out": np.einsum(f, X)},
        attrs={"axis": _perm},
        batch=("X",),
    )
add("transpose2", {"X": _INTEGERS}, lambda X: {"Out": X.T}, attrs={"axis": [1, 0]}, batch=("X",))
