"""Parts of a program that run under a condition, counters of its runs, and what shows a variable while it runs."""

from contextlib import contextmanager

from ..dtypes import VarType
from ..errors import InvalidArgumentError, InvalidTypeError, here
from ..initializer import Constant
from ..layer_helper import LayerHelper, check_variable
from .logical import logical_and, logical_not


@contextmanager
def _conditional_block(condition):
    """Ops appended inside the ``with`` go to a block that runs when `condition`, bool (1,), holds."""
    helper = LayerHelper("conditional_block")
    check_variable(condition, "condition", "Switch.case", (VarType.BOOL,))
    program = helper.main_program
    parent = program.current_block()
    block = program._create_block()
    try:
        yield
    finally:
        program._rollback()
    made, read = {}, {}
    for op in block.ops:
        read |= {name: None for name in op.input_arg_names if name not in made}
        made |= dict.fromkeys(op.output_arg_names)
    outer = [name for name in made if name not in block.vars]
    parent.append_op(
        "conditional_block",
        inputs={"Cond": condition, "Input": [name for name in read if name not in block.vars]},
        outputs={"Out": outer, "Scope": parent.create_var(type=VarType.STEP_SCOPES)},
        attrs={"sub_block": block, "is_scalar_condition": True},
    )


class Switch:
    """The first of several cases whose condition holds runs, or the default.

    What a case is to leave behind it writes to variables made before: ``layers.assign(value, output=variable)``.
    Source: Fluid's layers.Switch.

    >>> import fluidlite as fluid
    >>> layers = fluid.layers
    >>> x = layers.fill_constant([1], 'float32', 3.0)
    >>> small = layers.fill_constant([1], 'float32', 1.0)
    >>> out = layers.create_global_var([1], 0.0, 'float32', persistable=True)
    >>> with Switch() as switch:
    ...     with switch.case(layers.less_than(x, small)):
    ...         _ = layers.assign(small, out)
    ...     with switch.default():
    ...         _ = layers.assign(x, out)
    >>> exe = fluid.Executor()
    >>> _ = exe.run(fluid.default_startup_program())
    >>> exe.run(fetch_list=[out])
    [array([3.], dtype=float32)]
    """

    def __init__(self, name=None):
        self.helper = LayerHelper("switch", name=name)
        self._inside = False
        # After each case: that none of the conditions so far held.
        self._none_held = []

    def __enter__(self):
        self._inside = True
        return self

    def __exit__(self, kind, error, trace):
        self._inside = False
        return False

    def case(self, condition):
        """Runs if `condition`, a bool Variable of shape (1,), holds and no condition before it did."""
        self._check_inside("case")
        if not self._none_held:
            self._none_held.append(logical_not(condition))
            return _conditional_block(condition)
        before = self._none_held[-1]
        self._none_held.append(logical_and(before, logical_not(condition)))
        return _conditional_block(logical_and(before, condition))

    def default(self):
        """Runs if no condition held."""
        self._check_inside("default")
        if not self._none_held:
            raise InvalidArgumentError("The default of a Switch comes before its first case.", where=here())
        return _conditional_block(self._none_held[-1])

    def _check_inside(self, what):
        if not self._inside:
            raise InvalidArgumentError(
                f"{what} is called outside of its Switch.",
                where=here(),
                hint="with layers.Switch() as switch: with switch.case(condition): ...",
            )


def autoincreased_step_counter(counter_name=None, begin=1, step=1):
    """A counter of the program's runs: int64 (1,), `begin` in the first run, then `step` more each time.

    Args:
        counter_name: name of the persistable variable, default '@STEP_COUNTER@'. One name is one counter.

    >>> import fluidlite as fluid
    >>> autoincreased_step_counter(begin=0).shape
    (1,)
    """
    for name, value in (("begin", begin), ("step", step)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidTypeError(f"{name} of a step counter is not an int.", actual=repr(value), where=here())
    helper = LayerHelper("global_step_counter")
    name = counter_name or "@STEP_COUNTER@"
    block = helper.main_program.global_block()
    if block.has_var(name):
        return block.var(name)
    counter = helper.create_global_variable(
        name=name, dtype="int64", shape=[1], persistable=True, belong_to_optimizer=True
    )
    helper.set_variable_initializer(counter, Constant(begin - 1, force_cpu=True))
    block._prepend_op("increment", {"X": counter}, {"Out": counter}, {"step": float(step)})
    counter.stop_gradient = True
    return counter


def Print(  # noqa: N802 - Fluid's name
    input,
    first_n=-1,
    message=None,
    summarize=20,
    print_tensor_name=True,
    print_tensor_type=True,
    print_tensor_shape=True,
    print_tensor_lod=True,
    print_phase="both",
):
    """`input` itself, whose values are written to stdout in every run; use what this returns.

    Args:
        first_n: how many times something is written, default -1: always.
        message: a text before it.
        summarize: how many numbers are written, default 20; -1 for all.
        print_tensor_name, print_tensor_type, print_tensor_shape, print_tensor_lod: whether these are written.
        print_phase: 'forward' (the values), 'backward' (their gradient) or 'both'.

    >>> import fluidlite as fluid
    >>> Print(fluid.data('x', [None, 3]), message='x is', print_phase='forward').shape
    (-1, 3)
    """
    check_variable(input, "input", "Print")
    if print_phase not in ("forward", "backward", "both"):
        raise InvalidArgumentError(
            "The print_phase of Print is not known.",
            expected="'forward', 'backward' or 'both'",
            actual=repr(print_phase),
            where=here(),
        )
    helper = LayerHelper(f"print_{input.name}")
    out = helper.create_variable_for_type_inference(input.dtype)
    attrs = {
        "first_n": first_n,
        "message": message or "",
        "summarize": summarize,
        "print_tensor_name": print_tensor_name,
        "print_tensor_type": print_tensor_type,
        "print_tensor_shape": print_tensor_shape,
        "print_tensor_lod": print_tensor_lod,
        "print_phase": print_phase.upper(),
        "is_forward": True,
    }
    helper.append_op("print", {"In": input}, {"Out": out}, attrs)
    return out
