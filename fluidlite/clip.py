"""Gradient clipping, as ops on the gradients: by value, by norm, by the norm of all gradients together.

A sparse gradient stays sparse: duplicates are summed first, so that it is clipped as the dense gradient would be.
"""

import copy
import math

from . import unique_name
from .dtypes import VarType
from .errors import InvalidArgumentError, InvalidTypeError, here, warn_user
from .framework import OpRole, Parameter, default_main_program
from .ops.registry import GRAD_SUFFIX


class BaseErrorClipAttr:
    """Base of what ``variable.error_clip`` may hold."""

    def _append_clip_op(self, block, grad_name):
        raise NotImplementedError


class ErrorClipByValue(BaseErrorClipAttr):
    """Clips the gradient of one variable where it is made: ``hidden.error_clip = ErrorClipByValue(max=1.0)``.

    Args:
        max: upper bound. min: lower bound, default -max.

    Works in `minimize` and in `Optimizer.backward`.
    """

    def __init__(self, max, min=None):
        self.min, self.max = _bounds(self, max, min)

    def _append_clip_op(self, block, grad_name):
        attrs = {"min": self.min, "max": self.max}
        block.append_op("clip", inputs={"X": grad_name}, outputs={"Out": grad_name}, attrs=attrs)


def error_clip_callback(block, context):
    """Callback of `append_backward`: clip the gradients of variables that have an ``error_clip``."""
    for name in context["grad_op"].output_arg_names:
        variable = block.vars.get(name.split(GRAD_SUFFIX)[0].rpartition("grad/")[2])
        clip = variable.error_clip if variable is not None and name.endswith(GRAD_SUFFIX) else None
        if clip is None:
            continue
        if not isinstance(clip, BaseErrorClipAttr):
            raise InvalidTypeError(
                f"The error_clip of {variable.name!r} is no error clip.",
                expected="ErrorClipByValue",
                actual=type(clip).__name__,
            )
        clip._append_clip_op(block, name)


class GradientClipBase:
    """Base of the clips: called with ``[(parameter, gradient), ...]``, returns the same with clipped gradients."""

    def __init__(self, need_clip=None):
        if need_clip is not None and not callable(need_clip):
            raise InvalidTypeError(
                f"need_clip of {type(self).__name__} is not callable.",
                expected="a function of a Parameter that says whether it is clipped, or None",
                actual=type(need_clip).__name__,
                where=here(),
            )
        self._need_clip_func = need_clip

    def __call__(self, params_grads):
        clipped = [(p, g) for p, g in params_grads if g is not None and self._needs(p)]
        if not clipped:
            return list(params_grads)
        block = clipped[0][1].block
        start = len(block.ops)
        made = self._clip(clipped, self._prepare(clipped), clipped[-1])
        _name_new_grads(block.ops[start:], clipped, made)
        return [(p, made.get(p.name, g)) for p, g in params_grads]

    def _needs(self, parameter):
        return self._need_clip_func is None or self._need_clip_func(parameter)

    def _prepare(self, params_grads, limit_of=None):
        """What `_clip` needs to know of all gradients together."""

    def _clip(self, params_grads, prepared, of):
        """{parameter: its clipped gradient}. `of` is the (parameter, gradient) to which shared ops belong."""
        return {p.name: self._clip_one(p, g) for p, g in params_grads}

    def _clip_one(self, parameter, grad):
        raise NotImplementedError


class GradientClipByValue(GradientClipBase):
    """g = min(max(g, min), max), element by element.

    Args:
        max: upper bound. min: lower bound, default -max.
        need_clip: a function of a Parameter that says whether its gradient is clipped; all are by default.

    >>> import fluidlite as fluid
    >>> optimizer = fluid.optimizer.SGD(0.1, grad_clip=GradientClipByValue(1.0))
    """

    def __init__(self, max, min=None, need_clip=None):
        super().__init__(need_clip)
        self.min, self.max = _bounds(self, max, min)

    def __str__(self):
        return f"Gradient Clip By Value, min = {self.min:f}, max={self.max:f}"

    def _clip_one(self, parameter, grad):
        return _append(parameter, grad, "clip", {"X": grad}, {"min": self.min, "max": self.max})


class GradientClipByNorm(GradientClipBase):
    """g = g clip_norm / max(|g|, clip_norm), |g| the Euclidean norm of each gradient by itself.

    Args:
        clip_norm: the largest norm allowed.
        need_clip: a function of a Parameter that says whether its gradient is clipped; all are by default.

    >>> import fluidlite as fluid
    >>> optimizer = fluid.optimizer.SGD(0.1, grad_clip=GradientClipByNorm(1.0))
    """

    def __init__(self, clip_norm, need_clip=None):
        super().__init__(need_clip)
        self.clip_norm = _norm(self, clip_norm)

    def __str__(self):
        return f"Gradient Clip By Norm, clip_norm={self.clip_norm:f}"

    def _clip_one(self, parameter, grad):
        return _append(parameter, grad, "clip_by_norm", {"X": grad}, {"max_norm": self.clip_norm})


class GradientClipByGlobalNorm(GradientClipBase):
    """g = g clip_norm / max(|G|, clip_norm), |G| the Euclidean norm of all gradients together.

    Args:
        clip_norm: the largest norm allowed.
        group_name: with `set_gradient_clip`, parameters of one group share a norm.
        need_clip: a function of a Parameter that says whether its gradient is clipped; all are by default.

    Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks" (2013).

    >>> import fluidlite as fluid
    >>> optimizer = fluid.optimizer.SGD(0.1, grad_clip=GradientClipByGlobalNorm(5.0))
    """

    def __init__(self, clip_norm, group_name="default_group", need_clip=None):
        super().__init__(need_clip)
        self.clip_norm, self.group_name = _norm(self, clip_norm), group_name

    def __str__(self):
        return f"Gradient Clip By GlobalNorm, global_norm={self.clip_norm:f}"

    def _prepare(self, params_grads, limit_of=None):
        limit = self._limit(limit_of) if limit_of else None
        return limit, [self._sum_of_squares(p, g) for p, g in params_grads]

    def _clip(self, params_grads, prepared, of):
        limit, sums = prepared
        norm = _append(*of, "sqrt", {"X": _append(*of, "sum", {"X": sums})})
        limit = limit or self._limit(of)
        larger = _append(*of, "elementwise_max", {"X": limit, "Y": norm}, {"axis": -1})
        scale = _append(*of, "elementwise_div", {"X": limit, "Y": larger}, {"axis": -1})
        return {p.name: _append(p, g, "elementwise_mul", {"X": g, "Y": scale}, {"axis": -1}) for p, g in params_grads}

    def _sum_of_squares(self, parameter, grad):
        values = grad
        if grad.type == VarType.SELECTED_ROWS:
            merged = _append(parameter, grad, "merge_selected_rows", {"X": grad})
            values = _append(parameter, grad, "get_tensor_from_selected_rows", {"X": merged})
        squares = _append(parameter, grad, "square", {"X": values})
        attrs = {"dim": [0], "keep_dim": False, "reduce_all": True}
        return _append(parameter, grad, "reduce_sum", {"X": squares}, attrs)

    def _limit(self, of):
        attrs = {"shape": [1], "dtype": of[1].dtype, "value": self.clip_norm, "force_cpu": False}
        return _append(*of, "fill_constant", {}, attrs, dtype=of[1].dtype, stop_gradient=True)


def set_gradient_clip(clip, param_list=None, program=None):
    """Clip the gradients of a program's parameters in every `minimize` that follows and has no ``grad_clip``.

    The form of Fluid 1.5; ``grad_clip=`` of an optimizer is the newer one, and wins.

    Args:
        clip: a GradientClipByValue, GradientClipByNorm or GradientClipByGlobalNorm.
        param_list: Parameters or names; all parameters of the program by default.
        program: the default main program if None.

    Differs from Fluid: parameters outside `param_list` are left alone; Fluid clips nothing at all then.
    """
    if not isinstance(clip, GradientClipBase):
        raise InvalidTypeError(
            "'clip' should be an instance of GradientClipBase's derived class",
            expected="GradientClipByValue, GradientClipByNorm or GradientClipByGlobalNorm",
            actual=type(clip).__name__,
            where=here(),
        )
    block = (program if program is not None else default_main_program()).global_block()
    if any(op.attrs["op_role"] & OpRole.OPTIMIZE for op in block.ops):
        warn_user("set_gradient_clip has no effect on the minimize that came before it.")
    parameters = block.all_parameters() if param_list is None else param_list
    parameters = [block.var(p) if isinstance(p, str) else p for p in parameters]
    for parameter in parameters:
        if not isinstance(parameter, Parameter):
            raise InvalidTypeError(
                "'param_list' should be a list of Parameter or parameter's names.",
                actual=repr(parameter),
                where=here(),
            )
    for parameter in parameters:
        parameter.gradient_clip_attr = copy.deepcopy(clip)


def append_gradient_clip_ops(param_grads):
    """Clip the gradients of parameters to which `set_gradient_clip` gave a clip; returns all (parameter, gradient)."""
    groups = {}
    for p, g in param_grads:
        clip = getattr(p, "gradient_clip_attr", None)
        if clip is not None and g is not None and clip._needs(p):
            groups.setdefault(_group(p, clip), []).append((p, g))
    if not groups:
        return list(param_grads)
    clipped = [pair for members in groups.values() for pair in members]
    block, made = clipped[0][1].block, {}
    start = len(block.ops)
    prepared = [m[0][0].gradient_clip_attr._prepare(m, m[0]) for m in groups.values()]
    shared = block.ops[start:]
    for members, context in zip(groups.values(), prepared, strict=True):
        made |= members[0][0].gradient_clip_attr._clip(members, context, members[0])
    _name_new_grads(shared, clipped, made)
    return [(p, made.get(p.name, g)) for p, g in param_grads]


def _group(parameter, clip):
    """Parameters of one key are clipped together."""
    if isinstance(clip, GradientClipByGlobalNorm):
        return clip.group_name, clip.clip_norm
    return (parameter.name,)


def _append(parameter, grad, type, inputs, attrs=None, **variable):
    """Append an op that belongs to (parameter, grad), with an output called like a layer's; returns the output."""
    block = grad.block
    out = block.create_var(name=unique_name.generate(unique_name.generate(type) + ".tmp"), **variable)
    with block.program._role_guard(OpRole.OPTIMIZE, (parameter, grad)):
        block.append_op(type, inputs=inputs, outputs={"Out": out}, attrs=attrs)
    return out


def _name_new_grads(ops, params_grads, made):
    """The ops of a clip name the parameter's new gradient, as Fluid's do."""
    new = {(p.name, g.name): [p.name, made[p.name].name] for p, g in params_grads}
    for op in ops:
        op._set_attr("op_role_var", new[tuple(op.attrs["op_role_var"])])


def _bounds(clip, max, min):
    low, high = (-max if min is None else min), max
    if not float(low) <= float(high):
        raise InvalidArgumentError(
            f"min of {type(clip).__name__} is larger than max.", actual=f"min={low}, max={high}", where=here()
        )
    return float(low), float(high)


def _norm(clip, clip_norm):
    if not (math.isfinite(clip_norm) and clip_norm > 0):
        raise InvalidArgumentError(
            f"clip_norm of {type(clip).__name__} is not usable.",
            expected="a positive number",
            actual=str(clip_norm),
            where=here(),
        )
    return float(clip_norm)


ClipByValue = GradientClipByValue
ClipByNorm = GradientClipByNorm
ClipByGlobalNorm = GradientClipByGlobalNorm
