"""A PyTorch ``nn.Embedding`` and the state of its SparseAdam, in and out. torch is never imported: its tensors are read
and written through the NumPy arrays that share their memory.

PyTorch's SparseAdam adds epsilon to the uncorrected root, ``p -= lr sqrt(1-b2^t)/(1-b1^t) m / (sqrt(v) + eps)``, the
formula of `Adam(lazy_mode=True)`; `SparseAdam` here adds it to the corrected one. Moments and step count are the
same numbers in all three. So training goes on equally in `Adam(lazy_mode=True)`, and in `SparseAdam` as far as
gradients are large against epsilon: the root of v against ``eps / sqrt(1-b2^t)``.
"""

import math

import numpy as np

from ..errors import InvalidArgumentError, InvalidTypeError, UnavailableError, nearest
from ..hash_table import HashTable
from ..io.variables import checked_program
from ..tables import RowState
from ..variable import Variable
from .values import tensor_of, writable_view

_MOMENTS = (("Moment1", "exp_avg"), ("Moment2", "exp_avg_sq"))
# The step of `adam` is kept as powers of its betas, in float32: nothing is left of them beyond so many steps.
_SMALLEST_POWER = 1e-30


def from_torch(parameter, embedding, optimizer=None, *, program=None, scope=None):
    """Set a table, and the state of its optimizer, from a PyTorch embedding.

    Args:
        parameter: the Parameter, or its name. The startup program has been run.
        embedding: an ``nn.Embedding``, its weight, or an array: (V, D) of the parameter's dtype.
        optimizer: the ``torch.optim.SparseAdam`` that trains it, or the ``state_dict()`` of one that trains nothing
            else, or the state of one weight, ``{'step', 'exp_avg', 'exp_avg_sq'}``. None: the table alone.
        program: with the op that trains the parameter, `SparseAdam` or `Adam(lazy_mode=True)`; the default main program
            if None.
        scope: the global scope if None.

    The learning rate is no state of the weight and stays as it is here; betas and epsilon must be those of the op.

    Raises:
        InvalidArgumentError: a shape, dtype, beta or epsilon differs, or nothing of the kind trains the parameter.
            Nothing has changed.

    >>> import fluidlite as fluid
    >>> ids = fluid.data('ids', [None], 'int64')
    >>> rows = fluid.embedding(ids, size=[5, 3], is_sparse=True, param_attr='table')
    >>> fluid.optimizer.SparseAdam(0.1).minimize(fluid.layers.mean(rows))  # doctest: +ELLIPSIS
    (...
    >>> exe = fluid.Executor(); _ = exe.run(fluid.default_startup_program())
    >>> moments = {'exp_avg': np.ones((5, 3), 'float32'), 'exp_avg_sq': np.ones((5, 3), 'float32')}
    >>> from_torch('table', np.ones((5, 3), 'float32'), {'step': 7, **moments})
    >>> exe.run(feed={'ids': [4]}, fetch_list=[rows])[0].tolist()
    [[1.0, 1.0, 1.0]]
    """
    name, tensor = _table(parameter, scope)
    weight = _weight_of(embedding)
    array = _fitting(weight, tensor.value.shape, tensor.value.dtype, f"The weight for {name!r}")
    changes = [(tensor, array)]
    if optimizer is not None:
        rule = _Rule(name, program, scope)
        rule.check_options(_options_of(optimizer, weight))
        state = _state_of(optimizer, weight, name)
        step = int(state.get("step", 0))
        for slot, key in _MOMENTS:
            moment = rule.tensor(slot)
            value = state[key] if key in state else np.zeros(moment.value.shape, moment.value.dtype)
            changes.append((moment, _fitting(value, moment.value.shape, moment.value.dtype, f"{key} for {name!r}")))
        changes += rule.step_values(step)
    for target, value in changes:
        _assign(target, value)


def to_torch(parameter, embedding, optimizer=None, *, program=None, scope=None):
    """Write a table, and the state of its optimizer, into a PyTorch embedding.

    Args:
        parameter: the Parameter, or its name.
        embedding: an ``nn.Embedding`` or its weight, on the CPU: (V, D) of the parameter's dtype; written in place.
        optimizer: the ``torch.optim.SparseAdam`` that trains it, with the betas and epsilon of the op here. None:
            the table alone.
        program, scope: as for `from_torch`.

    Without a module of PyTorch's at hand, ``torch.from_numpy(fluid.exchange.writable_view(tensor))`` is a tensor that
    shares the table's memory, and ``torch.tensor(np.asarray(tensor))`` a copy.

    Raises:
        InvalidArgumentError: a shape, dtype, beta or epsilon differs, or the step of `Adam` is too large to be known.
            Nothing has changed.
    """
    name, tensor = _table(parameter, scope)
    weight = _weight_of(embedding)
    target = _fitting(weight, tensor.value.shape, tensor.value.dtype, f"The weight for {name!r}")
    if not target.flags.writeable:
        raise UnavailableError(f"The weight for {name!r} cannot be written.", expected="a tensor on the CPU")
    if optimizer is None:
        target[...] = np.asarray(tensor)
        return
    if not hasattr(optimizer, "state") or not hasattr(optimizer, "param_groups"):
        raise InvalidTypeError(
            "The optimizer that is to be written to is none.",
            expected="torch.optim.SparseAdam",
            actual=type(optimizer).__name__,
        )
    rule = _Rule(name, program, scope)
    rule.check_options(_options_of(optimizer, weight))
    step = rule.step()
    state = {"step": step}
    for slot, key in _MOMENTS:
        state[key] = weight.detach().clone()
        _array(state[key], key)[...] = np.asarray(rule.tensor(slot))
    target[...] = np.asarray(tensor)
    optimizer.state[weight] = state


# ------------------------------------------------------------------------------------------------------- PyTorch's side


def _weight_of(embedding):
    return getattr(embedding, "weight", embedding)


def _array(tensor, what):
    """The NumPy array of a tensor, sharing its memory."""
    if isinstance(tensor, np.ndarray):
        return tensor
    try:
        if hasattr(tensor, "detach"):
            return tensor.detach().numpy()
        return np.from_dlpack(tensor) if hasattr(tensor, "__dlpack__") else np.asarray(tensor)
    except (TypeError, RuntimeError, BufferError) as error:
        raise InvalidTypeError(
            f"{what} is no array in memory: {error}", expected="a dense tensor on the CPU", hint="use tensor.cpu()."
        ) from None


def _fitting(tensor, shape, dtype, what):
    array = _array(tensor, what)
    if array.shape != tuple(shape) or array.dtype != dtype:
        raise InvalidArgumentError(
            f"{what} does not fit.",
            expected=f"shape {tuple(shape)}, {np.dtype(dtype)}",
            actual=f"shape {array.shape}, {array.dtype}",
        )
    return array


def _groups(optimizer):
    return optimizer["param_groups"] if isinstance(optimizer, dict) else optimizer.param_groups


def _is_state_of_one(optimizer):
    return isinstance(optimizer, dict) and "param_groups" not in optimizer


def _options_of(optimizer, weight):
    """The options of the group in which the weight is, {} where the state of one weight is all there is."""
    if _is_state_of_one(optimizer):
        return {}
    for group in _groups(optimizer):
        if isinstance(optimizer, dict) or any(one is weight for one in group["params"]):
            return group
    raise InvalidArgumentError(
        "The optimizer does not train this weight.", hint="is it the optimizer of another model?"
    )


def _state_of(optimizer, weight, name):
    """{'step', 'exp_avg', 'exp_avg_sq'} of a weight, {} if it was never trained."""
    if _is_state_of_one(optimizer):
        state = optimizer
    elif isinstance(optimizer, dict):
        numbers = [number for group in optimizer["param_groups"] for number in group["params"]]
        if len(numbers) != 1:
            raise InvalidArgumentError(
                f"The state_dict does not say which state is that of {name!r}.",
                expected="the state_dict of an optimizer of one weight",
                actual=f"{len(numbers)} weights",
                hint="give the state of this weight: state_dict['state'][number].",
            )
        state = optimizer["state"].get(numbers[0], {})
    else:
        state = optimizer.state.get(weight, {})
    missing = {"step", "exp_avg", "exp_avg_sq"}.difference(state) if state else ()
    if missing:
        raise InvalidArgumentError(
            f"The state for {name!r} is not that of an Adam.",
            expected="step, exp_avg, exp_avg_sq",
            actual=", ".join(map(str, state)),
        )
    return state


# ------------------------------------------------------------------------------------------------------- our own side


def _table(parameter, scope):
    name = parameter.name if isinstance(parameter, Variable) else parameter
    tensor = tensor_of(name, scope)
    if isinstance(tensor.value, HashTable):
        raise InvalidTypeError(
            f"Parameter {name!r} is a table of any ids (is_distributed=True), which has no row for each number.",
            hint="use scope.find_var(name).get_table().set(ids, values).",
        )
    writable_view(tensor)
    return name, tensor


class _Rule:
    """The op that trains a parameter, and its state in a scope."""

    def __init__(self, name, program, scope):
        self.name, self.scope = name, scope
        ops = [op for op in checked_program(program).global_block().ops if name in op.inputs.get("Param", ())]
        trained = [op for op in ops if op.type == "sparse_adam" or (op.type == "adam" and op.attrs.get("lazy_mode"))]
        if not trained:
            raise InvalidArgumentError(
                f"No op of the program trains parameter {name!r} as PyTorch's SparseAdam does.",
                expected="fluid.optimizer.SparseAdam, or Adam(lazy_mode=True)",
                actual=", ".join(op.type for op in ops) or "none",
                hint=None if ops else nearest(name, [v.name for v in checked_program(program).list_vars()]),
            )
        self.op = trained[0]

    def tensor(self, slot):
        return tensor_of(self.op.inputs[slot][0], self.scope)

    def check_options(self, group):
        """Refuse an optimizer whose steps are others."""
        attrs = self.op.attrs
        for option, ours in (("betas", (attrs["beta1"], attrs["beta2"])), ("eps", attrs["epsilon"])):
            if option in group and not np.allclose(group[option], ours, rtol=1e-6, atol=0):
                raise InvalidArgumentError(
                    f"The optimizers of {self.name!r} differ in {option}.",
                    expected=f"{option}={ours}, as in op {self.op.type}",
                    actual=f"{option}={group[option]}",
                    hint="build one of them with the options of the other.",
                )
        if "betas" not in group and group:
            raise InvalidArgumentError(f"The optimizer of {self.name!r} is no Adam.", expected="torch.optim.SparseAdam")
        if group.get("maximize"):
            raise InvalidArgumentError(f"The optimizer of {self.name!r} maximizes, which no op here does.")

    def step(self):
        """How many steps the parameter has been trained."""
        if self.op.type == "sparse_adam":
            return int(np.asarray(self.tensor("Step")).reshape(-1)[0])
        # The powers hold beta^(t+1) before step t+1.
        beta = self.op.attrs["beta2"]
        power = float(np.asarray(self.tensor("Beta2Pow")).reshape(-1)[0])
        if not (_SMALLEST_POWER < power <= beta * (1 + 1e-6) and 0 < beta < 1):
            raise InvalidArgumentError(
                f"How many steps {self.name!r} was trained cannot be told from its Beta2Pow.",
                expected=f"beta2^(t+1), {beta} at most",
                actual=str(power),
            )
        return round(math.log(power) / math.log(beta)) - 1

    def step_values(self, step):
        """(tensor, array) of the variables that keep the number of steps."""
        if self.op.type == "sparse_adam":
            return [(self.tensor("Step"), np.array([step], np.int64))]
        found = []
        for slot, option in (("Beta1Pow", "beta1"), ("Beta2Pow", "beta2")):
            tensor = self.tensor(slot)
            power = self.op.attrs[option] ** (step + 1)
            found.append((tensor, np.full(tensor.value.shape, power, tensor.value.dtype)))
        return found


def _assign(tensor, array):
    """Give a variable new elements, where they lie if it has an array, so that views stay views of it."""
    if isinstance(tensor.value, RowState) or not tensor.value.flags.writeable:
        tensor.set(array)
    else:
        tensor.value[...] = array
