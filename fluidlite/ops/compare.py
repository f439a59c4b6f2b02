"""Comparisons, logic on what they say, and questions about whole tensors. Nothing here has a gradient."""

import numpy as np

from ..dtypes import VarType
from .broadcasting import Binary
from .registry import Meta, OpDef, Slot, register_op


class _Compare(Binary):
    inputs = (Slot("X"), Slot("Y"))
    attrs = {"axis": -1, "force_cpu": False}
    differentiable = False

    # The NumPy comparison of (x, y, out=).
    compute = None

    def infer_shape(self, x, y):
        self.check_dtypes(x, y)
        return Meta(self.layout(x.shape, y.shape)[2], VarType.BOOL)

    def run(self, x, y, out):
        x_shape, y_shape, shape = self.layout(x.shape, y.shape)
        return self.compute(x.reshape(x_shape), y.reshape(y_shape), out=out(shape))


@register_op
class Equal(_Compare):
    """Out = (X == Y), bool; shapes as in `elementwise_add`. Source: Fluid's layers.equal."""

    type = "equal"
    compute = np.equal


@register_op
class NotEqual(_Compare):
    """Out = (X != Y), bool; shapes as in `elementwise_add`. Source: Fluid's layers.not_equal."""

    type = "not_equal"
    compute = np.not_equal


@register_op
class LessThan(_Compare):
    """Out = (X < Y), bool; shapes as in `elementwise_add`. Source: Fluid's layers.less_than."""

    type = "less_than"
    compute = np.less


@register_op
class LessEqual(_Compare):
    """Out = (X <= Y), bool; shapes as in `elementwise_add`. Source: Fluid's layers.less_equal."""

    type = "less_equal"
    compute = np.less_equal


@register_op
class GreaterThan(_Compare):
    """Out = (X > Y), bool; shapes as in `elementwise_add`. Source: Fluid's layers.greater_than."""

    type = "greater_than"
    compute = np.greater


@register_op
class GreaterEqual(_Compare):
    """Out = (X >= Y), bool; shapes as in `elementwise_add`. Source: Fluid's layers.greater_equal."""

    type = "greater_equal"
    compute = np.greater_equal


class _Logical(OpDef):
    inputs = (Slot("X", dtypes=(VarType.BOOL,)), Slot("Y", dtypes=(VarType.BOOL,)))
    outputs = (Slot("Out"),)
    lod_from = "X"
    inplace = {"Out": "X"}
    differentiable = False

    # The NumPy function of (x, y, out=).
    compute = None

    def _check(self, x_shape, y_shape):
        same = len(x_shape) == len(y_shape) and all(
            a == b or -1 in (a, b) for a, b in zip(x_shape, y_shape, strict=True)
        )
        if not same:
            self.fail(
                f"{self.var('X')} and {self.var('Y')} have different shapes.",
                expected=f"Y of shape {list(x_shape)}, as X",
                actual=str(list(y_shape)),
            )

    def infer_shape(self, x, y):
        self._check(x.shape, y.shape)
        return Meta(x.shape, VarType.BOOL)

    def run(self, x, y, out):
        self._check(x.shape, y.shape)
        return self.compute(x, y, out=out(x.shape))


@register_op
class LogicalAnd(_Logical):
    """Out = X and Y, of equal shapes. Source: Fluid's layers.logical_and."""

    type = "logical_and"
    compute = np.logical_and


@register_op
class LogicalOr(_Logical):
    """Out = X or Y, of equal shapes. Source: Fluid's layers.logical_or."""

    type = "logical_or"
    compute = np.logical_or


@register_op
class LogicalXor(_Logical):
    """Out = (X or Y) and not both, of equal shapes. Source: Fluid's layers.logical_xor."""

    type = "logical_xor"
    compute = np.logical_xor


@register_op
class LogicalNot(OpDef):
    """Out = not X. Source: Fluid's layers.logical_not."""

    type = "logical_not"
    inputs = (Slot("X", dtypes=(VarType.BOOL,)),)
    outputs = (Slot("Out"),)
    lod_from = "X"
    inplace = {"Out": "X"}
    differentiable = False

    def infer_shape(self, x):
        return Meta(x.shape, VarType.BOOL)

    def run(self, x, out):
        return np.logical_not(x, out=out(x.shape))


class _Question(OpDef):
    inputs = (Slot("X"),)
    outputs = (Slot("Out"),)
    differentiable = False

    def answer(self, x):
        """Yes or no."""
        raise NotImplementedError

    def infer_shape(self, x):
        return Meta((1,), VarType.BOOL)

    def run(self, x, out):
        array = out((1,))
        array[0] = self.answer(x)
        return array


@register_op
class IsFinite(_Question):
    """Out = whether no element of X is NaN or infinite, bool (1,). Source: Fluid's layers.isfinite."""

    type = "isfinite"

    def answer(self, x):
        return np.isfinite(x).all()


@register_op
class IsNan(_Question):
    """Out = whether an element of X is NaN, bool (1,). Source: Fluid's layers.has_nan."""

    type = "isnan"

    def answer(self, x):
        return np.isnan(x).any()


@register_op
class IsInf(_Question):
    """Out = whether an element of X is infinite, bool (1,). Source: Fluid's layers.has_inf."""

    type = "isinf"

    def answer(self, x):
        return np.isinf(x).any()


@register_op
class IsEmpty(_Question):
    """Out = whether X has no elements, bool (1,). Source: Fluid's layers.is_empty."""

    type = "is_empty"

    def answer(self, x):
        return x.size == 0
