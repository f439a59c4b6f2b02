"""Variable and Parameter: names for values of a program, and the arithmetic that users write with them."""

from operator import index

import numpy as np

from . import unique_name
from .dtypes import VarType, canonical_dtype, dtype_name, is_float
from .errors import InvalidArgumentError, InvalidTypeError, here, user_site, warn_user


class Variable:
    """A named value in a block of a Program. It holds no data: values live in a Scope, or in a plan's buffers.

    Attributes: name, shape (tuple, -1 where a dimension is known at run time only), dtype (VarType), lod_level, type
    (VarType.LOD_TENSOR or SELECTED_ROWS), persistable (lives in the Scope between runs), stop_gradient, block, op (the
    operator that wrote it last).

    Arithmetic appends ops: ``+ - * / // % **``, unary minus, comparisons (``==`` included), ``[]`` with ints and
    slices. Of two variables with different dtypes the right one is cast to the left one's.
    """

    def __init__(
        self,
        block,
        type=VarType.LOD_TENSOR,
        name=None,
        shape=None,
        dtype=None,
        lod_level=None,
        capacity=None,
        persistable=None,
        error_clip=None,
        stop_gradient=False,
        is_data=False,
        need_check_feed=False,
        belong_to_optimizer=False,
        **kwargs,
    ):
        self.block = block
        self.name = name if name is not None else unique_name.generate("_generated_var")
        self.type = VarType(type)
        self.shape = None if shape is None else tuple(-1 if d is None else int(d) for d in shape)
        self.dtype = None if dtype is None else canonical_dtype(dtype)
        self.lod_level = lod_level or 0
        self._persistable = bool(persistable)
        self._stop_gradient = stop_gradient
        self.error_clip = error_clip
        self.is_data = is_data
        self.need_check_feed = need_check_feed
        self.belong_to_optimizer = belong_to_optimizer
        # An accumulator that row-wise updates may keep for the touched rows alone.
        self.row_state = kwargs.get("row_state", False)
        # Of a variable that is no tensor (VarType.READER, RAW): the object that ops get in its place.
        self.holder = kwargs.get("holder")
        self.op = None
        self.site = user_site()

    @property
    def persistable(self):
        return self._persistable

    @persistable.setter
    def persistable(self, value):
        self._persistable = bool(value)
        self.block.program._changed()

    @property
    def stop_gradient(self):
        return self._stop_gradient

    @stop_gradient.setter
    def stop_gradient(self, value):
        self._stop_gradient = bool(value)

    def to_string(self, throw_on_error=True, with_details=False):
        """One line: name, type, dtype, shape and what is special."""
        dtype = dtype_name(self.dtype) if self.dtype is not None else "?"
        marks = [m for m in ("persistable", "stop_gradient") if getattr(self, m)]
        if self.lod_level:
            marks.append(f"lod_level={self.lod_level}")
        shape = "?" if self.shape is None else list(self.shape)
        return f"var {self.name} : {self.type.name}.shape({shape}).dtype({dtype})" + "".join(f" {m}" for m in marks)

    __str__ = to_string

    def __repr__(self):
        return f"<{self.to_string()}>"

    def _set_error_clip(self, error_clip):
        """Fluid's way to set `error_clip`."""
        self.error_clip = error_clip

    def astype(self, dtype):
        """A new variable cast to another dtype."""
        return self._append("cast", {"X": self}, {"in_dtype": self.dtype, "out_dtype": canonical_dtype(dtype)}, dtype)

    # The temporaries of operators are called tmp_<n>, whichever layer they appear in.
    def _append(self, type, inputs, attrs, dtype=None, name="tmp"):
        out = self.block.program.current_block().create_var(
            name=unique_name.generate(name), dtype=self.dtype if dtype is None else dtype
        )
        self.block.program.current_block().append_op(type, inputs=inputs, outputs={"Out": out}, attrs=attrs)
        return out

    def _scale(self, scale, bias):
        return self._append("scale", {"X": self}, {"scale": float(scale), "bias": float(bias)})

    def _number(self, value, dtype="int32"):
        """An int as a variable of shape (1,)."""
        block = self.block.program.current_block()
        out = block.create_var(name=unique_name.generate(_MADE), dtype=dtype, stop_gradient=True)
        attrs = {"shape": [1], "dtype": out.dtype, "value": float(value), "force_cpu": True}
        block.append_op("fill_constant", outputs={"Out": out}, attrs=attrs)
        return out

    def _after(self):
        """The number after this one, where it is an index."""
        return self._append("elementwise_add", {"X": self, "Y": self._number(1, self.dtype)}, {"axis": -1}, name=_MADE)

    def _constant(self, value, shape):
        block = self.block.program.current_block()
        out = block.create_var(name=unique_name.generate("tmp"), dtype=self.dtype, stop_gradient=True)
        attrs = {"shape": shape, "dtype": self.dtype, "value": float(value)}
        block.append_op("fill_constant", outputs={"Out": out}, attrs=attrs)
        return out

    def _constant_like(self, value):
        """`value` as a variable of this one's dtype and shape."""
        if -1 not in self.shape:
            return self._constant(value, list(self.shape))
        block, batch_dim = self.block.program.current_block(), self.shape.index(-1)
        out = block.create_var(name=unique_name.generate("tmp"), dtype=self.dtype, stop_gradient=True)
        attrs = {
            "shape": [d if d > 0 or i == batch_dim else 1 for i, d in enumerate(self.shape)],
            "dtype": self.dtype,
            "value": float(value),
            "input_dim_idx": batch_dim,
            "output_dim_idx": batch_dim,
        }
        block.append_op("fill_constant_batch_size_like", {"Input": self}, {"Out": out}, attrs)
        return out

    def _binary(self, type, other, *, reverse=False, dtype=None):
        if not isinstance(other, Variable):
            if not _is_number(other):
                return NotImplemented
            other = self._constant_like(other) if reverse else self._constant(other, [1])
        elif other.dtype != self.dtype:
            self._warn_of_cast(other)
            other = other.astype(self.dtype)
        x, y = (other, self) if reverse else (self, other)
        return self._append(type, {"X": x, "Y": y}, {"axis": 0 if y.shape[:1] == (-1,) else -1}, dtype)

    def _warn_of_cast(self, other):
        if is_float(other.dtype) and not is_float(self.dtype):
            warn_user(
                f"{self.name!r} is {dtype_name(self.dtype)} and {other.name!r} is {dtype_name(other.dtype)}: the right "
                "operand is cast to the left one's dtype, which cuts off its fractions. Cast the left one instead "
                "(layers.cast) if that is not meant."
            )

    def _scaled(self, other, scale, bias):
        """The `scale` op that +, -, * and / with a number become, or None when `other` is no number for it."""
        if not _is_number(other):
            return None
        if is_float(self.dtype) or float(other).is_integer():
            return self._scale(scale(other), bias(other))
        return self.astype(VarType.FP32)._scale(scale(other), bias(other))

    def __add__(self, other):
        scaled = self._scaled(other, lambda v: 1.0, lambda v: v)
        return scaled if scaled is not None else self._binary("elementwise_add", other)

    __radd__ = __add__

    def __sub__(self, other):
        scaled = self._scaled(other, lambda v: 1.0, lambda v: -v)
        return scaled if scaled is not None else self._binary("elementwise_sub", other)

    def __rsub__(self, other):
        scaled = self._scaled(other, lambda v: -1.0, lambda v: v)
        return scaled if scaled is not None else self._binary("elementwise_sub", other, reverse=True)

    def __mul__(self, other):
        scaled = self._scaled(other, lambda v: v, lambda v: 0.0)
        return scaled if scaled is not None else self._binary("elementwise_mul", other)

    __rmul__ = __mul__

    def __truediv__(self, other):
        if _is_number(other):
            if other == 0:
                raise InvalidArgumentError(f"Variable {self.name!r} is divided by the number 0.")
            if is_float(self.dtype):
                return self._scale(1.0 / other, 0.0)
        return self._binary("elementwise_div", other)

    def __rtruediv__(self, other):
        return self._binary("elementwise_div", other, reverse=True)

    def __floordiv__(self, other):
        return self._binary("elementwise_floordiv", other)

    def __mod__(self, other):
        return self._binary("elementwise_mod", other)

    def __pow__(self, other):
        return self._binary("elementwise_pow", other)

    def __rpow__(self, other):
        return self._binary("elementwise_pow", other, reverse=True)

    def __neg__(self):
        return self._scale(-1.0, 0.0)

    def __eq__(self, other):
        return self._binary("equal", other, dtype=VarType.BOOL)

    def __ne__(self, other):
        return self._binary("not_equal", other, dtype=VarType.BOOL)

    def __lt__(self, other):
        return self._binary("less_than", other, dtype=VarType.BOOL)

    def __le__(self, other):
        return self._binary("less_equal", other, dtype=VarType.BOOL)

    def __gt__(self, other):
        return self._binary("greater_than", other, dtype=VarType.BOOL)

    def __ge__(self, other):
        return self._binary("greater_equal", other, dtype=VarType.BOOL)

    # An array beside a variable is an error, not an array of variables.
    __array_ufunc__ = None

    # == builds an op, so identity is what makes two variables the same key.
    __hash__ = object.__hash__

    def __iter__(self):
        raise InvalidTypeError(f"Variable {self.name!r} cannot be iterated over while the program is being built.")

    def __getitem__(self, item):
        return _slice(self, item if isinstance(item, tuple) else (item,))


def _is_number(other):
    return isinstance(other, int | float | np.number) and not isinstance(other, bool)


def _slice(x, items):
    """``x[items]``: a `slice` op (`strided_slice` when a step is given) named <x>_slice_<n>."""
    if any(i is Ellipsis for i in items):
        at = next(k for k, i in enumerate(items) if i is Ellipsis)
        missing = len(x.shape) - (len(items) - 1)
        items = items[:at] + (slice(None),) * missing + items[at + 1 :]
    if len(items) > len(x.shape):
        raise InvalidArgumentError(
            f"Variable {x.name!r} is indexed with too many dimensions.",
            expected=f"at most {len(x.shape)}",
            actual=str(len(items)),
        )
    axes, starts, ends, steps, drop, reverse = [], [], [], [], [], []
    for axis, i in enumerate(items):
        if isinstance(i, slice):
            if _is_full(i):
                continue
            if _is_backwards(i):
                reverse.append(axis)
                continue
            if isinstance(i.step, Variable):
                raise InvalidTypeError(f"Variable {x.name!r} is sliced with a Variable as step.", expected="an int")
            step = 1 if i.step is None else int(i.step)
            if step == 0:
                raise InvalidArgumentError(f"Variable {x.name!r} is sliced with step 0.")
            start = i.start if i.start is not None else (0 if step > 0 else _FAR)
            end = i.stop if i.stop is not None else (_FAR if step > 0 else -_FAR)
        elif isinstance(i, Variable):
            start, end, step = i, i._after(), 1
            drop.append(axis)
        elif isinstance(i, int | np.integer) and not isinstance(i, bool):
            i = int(i)
            start, end, step = i, i + 1 if i != -1 else _FAR, 1
            drop.append(axis)
        else:
            raise InvalidTypeError(
                f"Variable {x.name!r} is indexed with {type(i).__name__}.",
                expected="int, int Variable of shape (1,), slice or ...",
            )
        axes.append(axis)
        starts.append(start)
        ends.append(end)
        steps.append(step)
    out = x
    if reverse:
        out = out._append("reverse", {"X": out}, {"axis": reverse}, name=x.name + "_slice_reverse")
    if any(step != 1 for step in steps):
        attrs = {"axes": axes, "starts": _ints(x, starts), "ends": _ints(x, ends), "decrease_axis": drop}
        attrs["strides"] = steps
        return out._append("strided_slice", {"Input": out}, attrs, name=x.name + "_strided_slice")
    if not axes and reverse:
        return out
    inputs, attrs = slice_bounds(axes, starts, ends, x._number)
    attrs["decrease_axis"] = drop
    return out._append("slice", {"Input": out, **inputs}, attrs, name=x.name + "_slice")


def _is_full(i):
    return i.start is None and i.stop is None and i.step is None


def _is_backwards(i):
    return i.start is None and i.stop is None and isinstance(i.step, int) and i.step == -1


def _ints(x, bounds):
    """Bounds that have to be known."""
    if any(isinstance(bound, Variable) for bound in bounds):
        raise InvalidArgumentError(
            f"Variable {x.name!r} is sliced with a step between bounds that are Variables.", expected="ints"
        )
    return [int(bound) for bound in bounds]


def slice_bounds(axes, starts, ends, number):
    """(inputs, attributes) of a `slice` op with bounds that are ints or Variables; `number` makes one of the other."""
    flags = [
        -1 if isinstance(start, Variable) or isinstance(end, Variable) else 1
        for start, end in zip(starts, ends, strict=True)
    ]
    inputs, attrs = {}, {"axes": axes, "infer_flags": flags}
    for what, bounds in (("starts", starts), ("ends", ends)):
        if any(isinstance(bound, Variable) for bound in bounds):
            bounds_as_variables = [b if isinstance(b, Variable) else number(b) for b in bounds]
            inputs["StartsTensorList" if what == "starts" else "EndsTensorList"] = bounds_as_variables
        attrs[what] = [-1 if isinstance(bound, Variable) else int(bound) for bound in bounds]
    return inputs, attrs


# Beyond every dimension, and the number that Fluid writes for an open end.
_FAR = 10000000
# What variables are called that no layer names.
_MADE = "_generated_var"


class Parameter(Variable):
    """A persistable variable that optimizers train.

    Attributes beside Variable's: trainable, optimize_attr ({'learning_rate': factor}), regularizer,
    do_model_average, is_distributed.
    """

    def __init__(self, block, shape, dtype, **kwargs):
        name = kwargs.get("name")
        try:
            dims = tuple(index(d) for d in shape)
        except TypeError:
            dims = ()
        if not dims or any(d <= 0 for d in dims):
            raise InvalidArgumentError(
                f"Parameter {name!r} has a shape that no array can have.",
                expected="positive dimensions",
                actual=repr(shape),
                where=here(),
            )
        trainable = kwargs.pop("trainable", True)
        self.optimize_attr = kwargs.pop("optimize_attr", {"learning_rate": 1.0})
        self.regularizer = kwargs.pop("regularizer", None)
        self.do_model_average = kwargs.pop("do_model_average", None)
        self.is_distributed = kwargs.pop("is_distributed", False)
        super().__init__(block, shape=dims, dtype=dtype, persistable=True, **kwargs)
        self.trainable = trainable
