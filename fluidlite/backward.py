"""Gradients as ops: `append_backward` and `gradients` write the backward half of a program.

Each op's definition says how its gradient looks (`OpDef.make_grad`); this module decides which gradients are wanted,
in which order, and how several contributions to one variable are accumulated.
"""

from collections import defaultdict

from . import unique_name
from .dtypes import is_float
from .errors import InvalidArgumentError, InvalidTypeError, PreconditionNotMetError, format_site, here
from .framework import OpRole, Parameter, Variable
from .ops.registry import EMPTY, GRAD_SUFFIX, OpSpec, get_op, grad_name


def append_backward(loss, parameter_list=None, no_grad_set=None, callbacks=None, checkpoints=None):
    """Append the ops that compute the gradients of `loss`, and return ``[(parameter, gradient), ...]``.

    Parameters on which the loss does not depend are left out.

    Args:
        loss: Variable of shape (1,).
        parameter_list: Parameters or names whose gradients are returned; all trainable ones by default.
        no_grad_set: Variables or names that are constants here, beside those with ``stop_gradient``.
        callbacks: called as ``callback(block, {'grad_op': op})`` for every grad op appended.
        checkpoints: accepted for Fluid's sake; nothing is recomputed, the result is the same.

    Raises:
        PreconditionNotMetError: loss is not a scalar.

    >>> import fluidlite as fluid
    >>> with fluid.program_guard(fluid.Program(), fluid.Program()):
    ...     y = fluid.layers.fc(fluid.data('x', [None, 3]), 1)
    ...     [grad.name for _, grad in append_backward(fluid.layers.mean(y))]
    ['fc_0.w_0@GRAD', 'fc_0.b_0@GRAD']
    """
    if not isinstance(loss, Variable):
        raise InvalidTypeError("The loss is not a Variable.", expected="Variable", actual=type(loss).__name__)
    if loss.shape != (1,):
        raise PreconditionNotMetError(
            f"The loss {loss.name!r} is not a scalar. The loss.shape should be (1,), but the current loss.shape is "
            f"{loss.shape}. Maybe that you should call fluid.layers.mean to process the current loss.",
            expected="(1,)",
            actual=str(loss.shape),
            where=format_site(loss.site),
        )
    program, block = loss.block.program, loss.block
    if loss.op is not None:
        loss.op._set_attr("op_role", OpRole.FORWARD | OpRole.LOSS)
    no_grad = _no_grad_names(block, no_grad_set)
    path = _op_path(block, [loss.name], no_grad)
    with program._role_guard(OpRole.BACKWARD | OpRole.LOSS):
        start = {loss.name: _append_loss_grad(block, loss)}
    with program._role_guard(OpRole.BACKWARD):
        renamed = _append_grad_ops(block, path, start, no_grad, callbacks)
    params_grads = []
    for parameter in _parameters(program, parameter_list):
        name = renamed.get(grad_name(parameter.name), grad_name(parameter.name))
        if block.has_var(name) and name in renamed.values():
            grad = block.var(name)
            grad.op.attrs["op_role_var"] = [parameter.name, grad.name, *grad.op.attrs.get("op_role_var", ())]
            params_grads.append((parameter, grad))
    return params_grads


def gradients(targets, inputs, target_gradients=None, no_grad_set=None):
    """Append the ops that compute the gradients of (the sum of) `targets` with respect to `inputs`.

    Args:
        targets: Variable or list of Variables, of any shape.
        inputs: Variable or list of Variables.
        target_gradients: for each target its given gradient, or None for ones.
        no_grad_set: Variables or names that are constants here.

    Returns:
        list: for each input its gradient Variable, or None where no target depends on it.
    """
    targets, inputs = _as_list(targets), _as_list(inputs)
    for what, given in (("targets", targets), ("inputs", inputs)):
        for item in given:
            if not isinstance(item, Variable):
                raise InvalidTypeError(
                    f"The {what} of gradients are not Variables.",
                    expected="Variable or list of Variables",
                    actual=type(item).__name__,
                    where=here(),
                )
    given = _as_list(target_gradients) if target_gradients is not None else [None] * len(targets)
    if len(given) != len(targets):
        raise InvalidArgumentError(
            "target_gradients must have one entry for each target.", expected=str(len(targets)), actual=str(len(given))
        )
    block = targets[0].block
    no_grad = _no_grad_names(block, no_grad_set) - {v.name for v in inputs}
    path = _op_path(block, [t.name for t in targets], no_grad, {v.name for v in inputs})
    with block.program._role_guard(OpRole.BACKWARD):
        start = {}
        for target, grad in zip(targets, given, strict=True):
            if grad is not None and grad.shape != target.shape:
                raise InvalidArgumentError(
                    f"The given gradient of target {target.name!r} has another shape.",
                    expected=str(target.shape),
                    actual=str(grad.shape),
                )
            start[target.name] = grad.name if grad is not None else _append_ones_grad(block, target)
        renamed = _append_grad_ops(block, path, start, no_grad, None)
    names = [renamed.get(grad_name(v.name)) or start.get(v.name) for v in inputs]
    return [block.var(name) if name is not None else None for name in names]


def _as_list(given):
    return list(given) if isinstance(given, list | tuple) else [given]


def _parameters(program, given):
    """The Parameters asked for; of a program's own, those that can be trained."""
    if given is None:
        return [p for p in program.all_parameters() if p.trainable]
    found = []
    for item in given:
        variable = program.global_block().var(item) if isinstance(item, str) else item
        if not isinstance(variable, Parameter):
            raise InvalidTypeError(f"parameter_list holds {item!r}, which is not a Parameter.")
        found.append(variable)
    return found


def _no_grad_names(block, given):
    """Names of variables that get no gradient."""
    names = {v.name for v in block.vars.values() if v.stop_gradient or (v.dtype is not None and not is_float(v.dtype))}
    for item in given or ():
        if not isinstance(item, Variable | str):
            raise InvalidTypeError("no_grad_set holds something that is no variable.", actual=type(item).__name__)
        names.add(item.name if isinstance(item, Variable) else item)
    return names


def _op_path(block, targets, no_grad, inputs=None):
    """The ops through which `targets` depend on anything (on `inputs`, if given), in order."""
    ops = block.ops
    if inputs is not None:
        reached = set(inputs)
        downstream = []
        for op in ops:
            if reached.intersection(op.input_arg_names):
                reached.update(name for name in op.output_arg_names if name not in no_grad)
                downstream.append(op)
        ops = downstream
    wanted, path = set(targets), []
    for op in reversed(ops):
        if op.definition.differentiable and wanted.intersection(op.output_arg_names):
            path.append(op)
            wanted.update(name for name in op.input_arg_names if name not in no_grad)
    return path[::-1]


def _first_grad_name(block, target):
    """The name of a target's own gradient; numbered when an earlier backward pass has taken it."""
    name = grad_name(target.name)
    return unique_name.generate(name) if block.has_var(name) else name


def _append_loss_grad(block, loss):
    grad = block.create_var(name=_first_grad_name(block, loss), dtype=loss.dtype)
    attrs = {"shape": [1], "value": 1.0, "dtype": loss.dtype}
    block.append_op("fill_constant", outputs={"Out": grad}, attrs=attrs)
    return grad.name


def _append_ones_grad(block, target):
    """Ones of the target's shape at run time."""
    name = _first_grad_name(block, target)
    shape = block.create_var(name=target.name + "_shape", dtype="int32", stop_gradient=True)
    block.append_op("shape", inputs={"Input": target}, outputs={"Out": shape})
    ones = block.create_var(name=name, dtype=target.dtype)
    attrs = {"shape": list(target.shape), "value": 1.0, "dtype": target.dtype}
    block.append_op("fill_constant", inputs={"ShapeTensor": shape}, outputs={"Out": ones}, attrs=attrs)
    return name


def _append_grad_ops(block, path, start, no_grad, callbacks):
    """Append the grad ops of `path`; returns {usual name of a gradient: its name in the block}.

    start: {variable: its gradient} where gradients exist already.
    """
    renamed = {grad_name(name): given for name, given in start.items()}
    # The second pass over a program calls its gradients grad/grad/x@GRAD, the third grad/grad/grad/x@GRAD.
    block.program._backward_passes += 1
    prefix = "grad/" * block.program._backward_passes if block.program._backward_passes > 1 else ""

    def place(name):
        if name != EMPTY:
            renamed[name] = prefix + name
        return renamed.get(name, name)

    for spec in _accumulate(_grad_specs(path, start, no_grad), block.idx):
        inputs = {slot: [renamed.get(name, name) for name in names] for slot, names in spec.inputs.items()}
        outputs = {slot: [place(name) for name in names] for slot, names in spec.outputs.items()}
        for names in outputs.values():
            for name in names:
                if name != EMPTY:
                    block.create_var(name=name)
        op = block.append_op(spec.type, inputs=inputs, outputs=outputs, attrs=spec.attrs)
        for callback in callbacks or ():
            callback(block, {"grad_op": op})
    return renamed


def _grad_specs(path, start, no_grad):
    """Grad ops of `path` in reverse, with only the gradients that are wanted and can be computed."""
    available = {grad_name(name) for name in start}
    specs = []
    for op in reversed(path):
        if not any(grad_name(name) in available for name in op.output_arg_names):
            continue
        of_outputs = {grad_name(name) for name in op.output_arg_names}
        for spec in op.bound().make_grad(op.spec):
            outputs = _wanted(spec, no_grad)
            if not outputs:
                continue
            inputs = {}
            for slot, names in spec.inputs.items():
                # The gradient of split is a concat, whose slot X takes gradients.
                is_grad = slot.endswith(GRAD_SUFFIX) or not of_outputs.isdisjoint(names)
                if not is_grad or all(name in available for name in names):
                    inputs[slot] = names
                elif not _is_optional(spec.type, slot):
                    inputs[slot] = names
                    specs += [_zero_grad(name) for name in names if name not in available]
                    available.update(names)
            attrs = {k: v for k, v in spec.attrs.items() if k not in ("op_role", "op_role_var")}
            specs.append(OpSpec(spec.type, inputs, outputs, attrs))
            available.update(name for names in outputs.values() for name in names)
    return specs


def _wanted(spec, no_grad):
    """The outputs of a grad op without gradients that nobody may have. Lists keep their places."""
    wanted = {}
    for slot, names in spec.outputs.items():
        kept = [EMPTY if name.removesuffix(GRAD_SUFFIX) in no_grad else name for name in names]
        if any(name != EMPTY for name in kept):
            wanted[slot] = kept
    return wanted


def _is_optional(type, slot):
    return any(s.name == slot and s.optional for s in get_op(type).inputs)


def _zero_grad(name):
    return OpSpec("fill_zeros_like", {"X": [name.removesuffix(GRAD_SUFFIX)]}, {"Out": [name]}, {})


def _accumulate(specs, block_idx):
    """Give every contribution to one gradient a name of its own, and sum them before the first op that reads it.

    This is the one place that knows of accumulation; dense and sparse contributions meet in the `sum` op.
    """
    result, contributions, counts = [], defaultdict(list), defaultdict(int)

    def fresh(name):
        counts[name] += 1
        return f"{name}@RENAME@block{block_idx}@{counts[name] - 1}"

    def close(name):
        places = contributions.pop(name)
        if len(places) > 1:
            names = [names[k] for names, k in places]
            result.append(OpSpec("sum", {"X": names}, {"Out": [name]}, {}))

    for spec in specs:
        for names in list(spec.inputs.values()):
            for name in names:
                if name in contributions:
                    close(name)
        for names in spec.outputs.values():
            for k, name in enumerate(names):
                if name == EMPTY:
                    continue
                places = contributions[name]
                places.append((names, k))
                if len(places) == 2:
                    first, at = places[0]
                    first[at] = fresh(name)
                if len(places) > 1:
                    names[k] = fresh(name)
        result.append(spec)
    for name in list(contributions):
        close(name)
    return result
