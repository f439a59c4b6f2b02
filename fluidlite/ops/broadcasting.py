"""Fluid's broadcasting: one operand's shape is a run of the other's dimensions."""

from ..dtypes import VarType, dtype_name
from ..errors import InvalidTypeError
from .registry import OpDef, Slot

NUMBERS = (VarType.FP32, VarType.FP64, VarType.INT32, VarType.INT64)


def _place(shape, rank, axis):
    """`shape` in an array of `rank` dimensions, from `axis` on (-1: at the end), with ones around; None if too long."""
    axis = rank - len(shape) if axis == -1 else axis
    # Fluid's programs end Y with ones to say that it has a column: X (2, 3), Y (3, 1), axis = 1.
    while shape and shape[-1] == 1 and axis + len(shape) > rank:
        shape = shape[:-1]
    after = rank - axis - len(shape)
    return (1,) * axis + tuple(shape) + (1,) * after if after >= 0 else None


def _clash(x, y):
    """The first dimension in which two shapes of one rank cannot be broadcast, or None."""
    for i, (a, b) in enumerate(zip(x, y, strict=True)):
        if a != b and a not in (1, -1) and b not in (1, -1):
            return i
    return None


class Binary(OpDef):
    """Base of the ops on X and Y that broadcast."""

    inputs = (Slot("X", dtypes=NUMBERS), Slot("Y", dtypes=NUMBERS))
    outputs = (Slot("Out"),)
    attrs = {"axis": -1}
    lod_from = "X"

    _last = ((), (), ((), (), ()))

    def layout(self, x_shape, y_shape):
        """(X's shape, Y's shape, Out's shape), all of one rank. A dimension of -1 is unknown."""
        if self._last[0] == x_shape and self._last[1] == y_shape:
            return self._last[2]
        rank, axis = max(len(x_shape), len(y_shape)), self.attr["axis"]
        if axis < -1:
            self.fail("there is no such axis.", expected="axis >= -1", actual=f"axis = {axis}")
        longer_x = len(x_shape) >= len(y_shape)
        x = tuple(x_shape) if longer_x else _place(x_shape, rank, axis)
        y = _place(y_shape, rank, axis) if longer_x else tuple(y_shape)
        if x is None or y is None or _clash(x, y) is not None:
            self._refuse(x_shape, y_shape, x, y)
        out = tuple([b if a == 1 or a == -1 and b > 1 else a for a, b in zip(x, y, strict=True)])
        self._last = (x_shape, y_shape, (x, y, out))
        return x, y, out

    def _refuse(self, x_shape, y_shape, x, y):
        i = None if x is None or y is None else _clash(x, y)
        at = "" if i is None else f" Received [{x[i]}] in X is not equal to [{y[i]}] in Y at i:{i}."
        self.fail(
            "Broadcast dimension mismatch. Operands could not be broadcast together with the shape of X = "
            f"{list(x_shape)} and the shape of Y = {list(y_shape)}.{at}",
            expected="Y's shape is a run of X's dimensions that begins at axis (-1: the last ones)",
            actual=f"X is {self.var('X')}, Y is {self.var('Y')}, axis = {self.attr['axis']}",
            hint="set axis, or reshape one of them.",
        )

    def check_dtypes(self, x, y):
        if x.dtype != y.dtype:
            self.fail(
                f"{self.var('X')} and {self.var('Y')} have different data types.",
                expected="equal data types",
                actual=f"{dtype_name(x.dtype)} and {dtype_name(y.dtype)}",
                hint="use layers.cast.",
                error=InvalidTypeError,
            )
