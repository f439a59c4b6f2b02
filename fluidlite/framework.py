"""Program and Block: a computation written down as data, and the guards that say where it goes.

Building a program does no arithmetic. Ops are known here only through their registry.
"""

import contextlib
import os
from operator import index

from .dtypes import dtype_name
from .errors import EnforceNotMet, InvalidArgumentError, InvalidTypeError, NotFoundError, format_site, nearest
from .operator import Operator, OpRole, slot_names
from .ops.registry import check_slots
from .variable import Parameter, Variable


class Block:
    """A list of ops and the variables that they name. Block 0 is the program's global block."""

    def __init__(self, program, idx, parent_idx=-1):
        self.program, self.idx, self.parent_idx = program, idx, parent_idx
        self.vars, self.ops = {}, []

    def var(self, name):
        """The variable of that name in this block."""
        if name not in self.vars:
            raise NotFoundError(f"Block {self.idx} has no variable {name!r}.", hint=nearest(str(name), self.vars))
        return self.vars[name]

    def has_var(self, name):
        return name in self.vars

    def _find_var_recursive(self, name):
        block = self
        while name not in block.vars:
            if block.parent_idx < 0:
                raise NotFoundError(f"The program has no variable {name!r}.", hint=nearest(name, self.vars))
            block = block.program.blocks[block.parent_idx]
        return block.vars[name]

    def iter_parameters(self):
        """An iterator over `all_parameters`."""
        return iter(self.all_parameters())

    def all_parameters(self):
        """The Parameters of this block, in order of creation."""
        return [v for v in self.vars.values() if isinstance(v, Parameter)]

    def create_var(self, **kwargs):
        """A new Variable; the existing one when the name is taken."""
        name = kwargs.get("name")
        if name is not None and name in self.vars:
            return self.vars[name]
        variable = Variable(self, **kwargs)
        self.vars[variable.name] = variable
        self.program._changed()
        return variable

    def create_parameter(self, shape, dtype, initializer=None, **kwargs):
        """A new Parameter of the global block, with its init op if an initializer is given.

        Raises:
            InvalidArgumentError: a variable of that name exists with another shape or dtype.
        """
        block = self.program.global_block()
        parameter = Parameter(block, shape, dtype, **kwargs)
        existing = block.vars.get(parameter.name)
        if existing is not None:
            if not isinstance(existing, Parameter):
                raise InvalidArgumentError(
                    f"Parameter {parameter.name!r} cannot be created: a variable of that name is no parameter.",
                    where=format_site(existing.site),
                    hint="give one of the two another name.",
                )
            if (existing.shape, existing.dtype) != (parameter.shape, parameter.dtype):
                what, before, after = "shape", existing.shape, parameter.shape
                if before == after:
                    what, before, after = "dtype", dtype_name(existing.dtype), dtype_name(parameter.dtype)
                raise InvalidArgumentError(
                    f"Variable {parameter.name} has been created before. the previous {what} is {before}; "
                    f"the new {what} is {after}. They are not matched.",
                    expected=f"{existing.shape} {existing.dtype}",
                    actual=f"{parameter.shape} {parameter.dtype}",
                    where=format_site(existing.site),
                    hint="give the two parameters different names, or the same size and dtype.",
                )
            return existing
        block.vars[parameter.name] = parameter
        self.program._changed()
        if initializer is not None and not block._has_init_op(parameter.name):
            initializer(parameter, block)
        return parameter

    def _has_init_op(self, name):
        return any(name in op.output_arg_names for op in self.ops)

    def append_op(self, type, inputs=None, outputs=None, attrs=None):
        """Append an op; checks slots and dtypes and infers the outputs' shapes."""
        return self._insert_op(len(self.ops), type, inputs, outputs, attrs)

    def _prepend_op(self, type, inputs=None, outputs=None, attrs=None):
        return self._insert_op(0, type, inputs, outputs, attrs)

    def _insert_op(self, index, type, inputs=None, outputs=None, attrs=None):
        attrs = {k: v for k, v in (attrs or {}).items() if v is not None}
        attrs.setdefault("op_role", self.program._op_role)
        if self.program._op_role_var:
            attrs.setdefault("op_role_var", list(self.program._op_role_var))
        if _name_scopes:
            attrs.setdefault("op_namescope", "/" + "/".join(_name_scopes) + "/")
        op = Operator(self, type, slot_names(inputs), slot_names(outputs), attrs)
        try:
            check_slots(op.definition, "input", op.inputs)
            check_slots(op.definition, "output", op.outputs)
            op.infer()
        except EnforceNotMet as error:
            if error.where is None:
                error.where = format_site(op.site)
            raise
        self.ops.insert(index, op)
        self.program._changed()
        return op

    def to_string(self, throw_on_error=True, with_details=False):
        lines = [f"{{ // block {self.idx}"]
        lines += [f"    {v.to_string()}" for v in self.vars.values()]
        lines += [f"    {op.to_string()}" for op in self.ops]
        return "\n".join([*lines, "}"])

    __str__ = to_string


class Program:
    """A computation: blocks of ops over named variables.

    ``random_seed`` (default 0) seeds every random op of the program that has no seed of its own. With 0 a fresh seed
    is drawn once, when it is first needed, and can be read as ``drawn_seed``.

    >>> program = Program()
    >>> program.num_blocks
    1
    """

    def __init__(self):
        self.blocks = [Block(self, 0)]
        self.current_block_idx = 0
        self._random_seed = 0
        self._drawn_seed = None
        self._op_role = OpRole.FORWARD
        self._op_role_var = []
        self._backward_passes = 0
        self._version = 0
        # Compiled plans by executor: they live as long as the program does.
        self._plans = {}
        # How the ranks of a job train it together; None where it is trained by one process.
        self._shared = None
        # What to feed and what to fetch, by a model saved for inference.
        self._feed_names, self._fetch_names = [], []

    def _changed(self):
        self._version += 1

    def __getstate__(self):
        """Of copies and pickles: without the plans, which hold what lives in a Scope."""
        return {**self.__dict__, "_plans": {}, "_shared": None}

    @property
    def random_seed(self):
        return self._random_seed

    @random_seed.setter
    def random_seed(self, seed):
        try:
            value = index(seed)
        except TypeError:
            value = -1
        if not 0 <= value < 1 << 64:
            raise InvalidArgumentError(
                "The random_seed of a Program is not usable.", expected="an int, 0 <= seed < 2**64", actual=repr(seed)
            )
        self._random_seed = value
        self._changed()

    def global_seed(self, seed=0):
        """Set `random_seed`, by the name that Fluid 1.8 has for it beside the property."""
        self.random_seed = seed

    @property
    def drawn_seed(self):
        """The seed that random ops use: `random_seed`, or a number drawn once when that is 0."""
        if self.random_seed:
            return self.random_seed
        if self._drawn_seed is None:
            self._drawn_seed = int.from_bytes(os.urandom(8), "little") >> 1 | 1
        return self._drawn_seed

    @property
    def num_blocks(self):
        return len(self.blocks)

    def global_block(self):
        return self.blocks[0]

    def current_block(self):
        return self.blocks[self.current_block_idx]

    def block(self, index):
        return self.blocks[index]

    def _create_block(self):
        """A new block inside the current one, which becomes the current one until `_rollback`."""
        self.blocks.append(Block(self, len(self.blocks), self.current_block_idx))
        self.current_block_idx = len(self.blocks) - 1
        self._changed()
        return self.current_block()

    def _rollback(self):
        """The current block's parent becomes the current block."""
        self.current_block_idx = self.current_block().parent_idx

    def list_vars(self):
        """All variables of all blocks."""
        return (v for block in self.blocks for v in block.vars.values())

    def all_parameters(self):
        """All Parameters, in order of creation."""
        return [p for block in self.blocks for p in block.all_parameters()]

    def clone(self, for_test=False):
        """A copy that shares nothing; parameters meet by name in the Scope.

        Args:
            for_test: leave out backward and optimizer ops, and set ``is_test`` on the ops that have it.
        """
        copy = Program()
        copy._random_seed, copy._drawn_seed = self.random_seed, None if self.random_seed else self.drawn_seed
        copy._backward_passes = self._backward_passes
        copy._feed_names, copy._fetch_names = list(self._feed_names), list(self._fetch_names)
        copy.blocks = [Block(copy, b.idx, b.parent_idx) for b in self.blocks]
        for source, block in zip(self.blocks, copy.blocks, strict=True):
            ops = [op for op in source.ops if not (for_test and _is_training_op(op))]
            used = {name for op in ops for name in op.input_arg_names + op.output_arg_names}
            for v in source.vars.values():
                if not for_test or v.name in used or v.is_data:
                    block.vars[v.name] = _copy_variable(v, block)
            for op in ops:
                block.ops.append(_copy_op(op, block, {"is_test": True} if for_test else {}))
        copy._drop_unused_blocks()
        return copy

    def _drop_unused_blocks(self):
        """Leave out the blocks that no op runs."""
        used, found = [self.blocks[0]], True
        while found:
            held = [v for block in used for op in block.ops for v in op.attrs.values() if isinstance(v, Block)]
            found = [block for block in held if block not in used]
            used += found
        parents = {block: self.blocks[block.parent_idx] if block.parent_idx >= 0 else None for block in used}
        self.blocks = [block for block in self.blocks if block in used]
        for idx, block in enumerate(self.blocks):
            block.idx = idx
        for block, parent in parents.items():
            block.parent_idx = parent.idx if parent is not None else -1

    @property
    def desc(self):
        """The program as Fluid's C++ class shows it: ``desc.serialize_to_string()``."""
        from .program_desc import ProgramDesc  # here, since that module imports this one

        return ProgramDesc(self)

    def serialize_to_string(self):
        """The program as bytes: Fluid's ProgramDesc, what its files ``__model__`` and ``*.pdmodel`` hold.

        >>> Program.parse_from_string(Program().serialize_to_string()).num_blocks
        1
        """
        return self.desc.serialize_to_string()

    @staticmethod
    def parse_from_string(binary_str):
        """The program of `serialize_to_string`, ours or Fluid's. As in Fluid, parameters come back as plain variables.

        Raises:
            NotFoundError: it has an op that fluidlite lacks.
            InvalidArgumentError: the bytes are damaged.
        """
        from .program_desc import bytes_to_program  # here, since that module imports this one

        return bytes_to_program(binary_str, "The string given to Program.parse_from_string")

    def to_string(self, throw_on_error=True, with_details=False):
        """The whole program, for reading."""
        return "\n".join(block.to_string() for block in self.blocks)

    __str__ = to_string

    @contextlib.contextmanager
    def _role_guard(self, role, role_var=()):
        """Ops appended inside carry this op_role; `role_var` names the (parameter, gradient) they work on."""
        before = self._op_role, self._op_role_var
        self._op_role = role
        self._op_role_var = [v.name if isinstance(v, Variable) else v for v in role_var if v is not None]
        try:
            yield
        finally:
            self._op_role, self._op_role_var = before

    def _lr_schedule_guard(self, is_with_opt=False):
        """Ops appended inside belong to a learning-rate schedule; language programs make theirs with this."""
        return self._role_guard(OpRole.LR_SCHEDULE | (OpRole.OPTIMIZE if is_with_opt else 0))

    def _optimized_guard(self, param_and_grads):
        """Ops appended inside belong to the optimizer, and work on this parameter and gradient."""
        return self._role_guard(OpRole.OPTIMIZE, param_and_grads)


def _is_training_op(op):
    return bool(op.attrs.get("op_role", 0) & (OpRole.BACKWARD | OpRole.OPTIMIZE | OpRole.LR_SCHEDULE))


def _copy_variable(v, block):
    copy = v.__class__.__new__(v.__class__)
    copy.__dict__.update(v.__dict__, block=block, op=None)
    if isinstance(v, Parameter):
        copy.optimize_attr = dict(v.optimize_attr)
    return copy


def _copy_op(op, block, attrs):
    copy = Operator.__new__(Operator)
    changed = {k: v for k, v in attrs.items() if k in op.definition.attrs}
    copy.__dict__.update(
        op.__dict__,
        block=block,
        inputs={slot: list(names) for slot, names in op.inputs.items()},
        outputs={slot: list(names) for slot, names in op.outputs.items()},
        attrs={k: _copy_attr(v, block.program) for k, v in (op.attrs | changed).items()},
    )
    for name in copy.output_arg_names:
        if name in block.vars:
            block.vars[name].op = copy
    return copy


def _copy_attr(value, program):
    if isinstance(value, Block):
        return program.blocks[value.idx]
    return list(value) if isinstance(value, list) else value


_main_program, _startup_program = Program(), Program()
_name_scopes = []


def default_main_program():
    """The program to which layers append."""
    return _main_program


def default_startup_program():
    """The program to which parameters append their init ops."""
    return _startup_program


def switch_main_program(program):
    """Make `program` the default main program and return the one before."""
    global _main_program
    before, _main_program = _main_program, program
    return before


def switch_startup_program(program):
    """Make `program` the default startup program and return the one before."""
    global _startup_program
    before, _startup_program = _startup_program, program
    return before


def _expect_program(program, what):
    if not isinstance(program, Program):
        raise InvalidTypeError(f"The {what} is not a Program.", expected="Program", actual=type(program).__name__)


@contextlib.contextmanager
def program_guard(main_program, startup_program=None):
    """Layers inside the ``with`` go to `main_program`, and init ops to `startup_program` if given."""
    _expect_program(main_program, "main program of program_guard")
    if startup_program is not None:
        _expect_program(startup_program, "startup program of program_guard")
    main_before = switch_main_program(main_program)
    startup_before = switch_startup_program(startup_program) if startup_program is not None else None
    try:
        yield
    finally:
        switch_main_program(main_before)
        if startup_before is not None:
            switch_startup_program(startup_before)


@contextlib.contextmanager
def name_scope(prefix=None):
    """Ops inside carry ``/prefix/`` as their op_namescope, for reading; variable names do not change."""
    if not prefix or not isinstance(prefix, str):
        raise InvalidArgumentError("name_scope needs a prefix.", expected="a non-empty str", actual=repr(prefix))
    _name_scopes.append(prefix)
    try:
        yield
    finally:
        _name_scopes.pop()
