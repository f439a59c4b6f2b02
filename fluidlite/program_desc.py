"""Programs as Fluid keeps them in files: a Program to the bytes of a ProgramDesc message, and back.

The `feed` and `fetch` ops of a model saved for inference say what to feed and what to fetch, and compute nothing: a
Program keeps their names (`_feed_names`, `_fetch_names`), and they are ops in the file alone. Where the user made an op
is not written; what a file says about it is kept for error messages.
"""

import re

from .dtypes import VarType
from .errors import EnforceNotMet, InvalidArgumentError, InvalidTypeError, NotFoundError, warn_user
from .formats.attributes import complete_attrs, read_attr, write_attr
from .formats.files import COPY_AGAIN
from .formats.program_messages import FLUID_VERSION, NEXT_GENERATION, PROGRAM, compatible_map
from .formats.protobuf import MalformedMessage, decode, encode
from .framework import Block, Program
from .operator import Operator
from .ops.registry import EMPTY, check_slots
from .variable import Variable

_FEED, _FETCH = "feed", "fetch"
# Ops of ours that Fluid lacks. (What `fusion` makes is in plans alone.)
_NOT_IN_FLUID = ("sparse_adam",)
_HOLDERS = (VarType.FEED_MINIBATCH, VarType.FETCH_LIST)
# Attributes of Fluid's that say where an op was made.
_CALLSTACK = "op_callstack"
_SITE = re.compile(r'File "([^"\n]*)", line (\d+), in (\S+)')


class ProgramDesc:
    """What Fluid's ``program.desc`` offers to Python programs.

    >>> Program().desc.num_blocks()
    1
    """

    def __init__(self, program):
        self._program = program

    def serialize_to_string(self):
        """The bytes of the program, as in the file ``__model__``."""
        return program_to_bytes(self._program)

    def get_feed_target_names(self):
        return list(self._program._feed_names)

    def get_fetch_target_names(self):
        return list(self._program._fetch_names)

    def num_blocks(self):
        return self._program.num_blocks


# ------------------------------------------------------------------------------------------------------------- writing


def program_for_fluid(program, what):
    """The program, as far as Fluid has the ops for it: without its backward and optimizer part where it lacks one.

    what: what a warning calls the program, which is given in that case.
    """
    lacking = sorted({op.type for block in program.blocks for op in block.ops}.intersection(_NOT_IN_FLUID))
    if not lacking:
        return program
    warn_user(
        f"{what} is saved without its backward and optimizer part: Fluid has no op {', '.join(lacking)}. "
        "Values are saved all the same; build the program again to go on training."
    )
    return program.clone(for_test=True)


def program_to_bytes(program):
    """A Program as the bytes of Fluid's ProgramDesc.

    Raises:
        InvalidTypeError: an op has an attribute that the format cannot hold.
    """
    blocks = [_block_message(block) for block in program.blocks]
    _add_feeds_and_fetches(blocks[0], program._feed_names, program._fetch_names)
    message = {"blocks": blocks, "op_compatible_map": compatible_map(), "version": {"version": FLUID_VERSION}}
    return encode(PROGRAM, message)


def _block_message(block):
    return {
        "idx": block.idx,
        "parent_idx": block.parent_idx,
        "vars": [_var_message(v) for v in block.vars.values()],
        "ops": [_op_message(op) for op in block.ops],
    }


def _var_message(v):
    kind = {"type": int(v.type)}
    if v.dtype is not None or v.shape is not None:
        tensor = {"data_type": int(VarType.FP32 if v.dtype is None else v.dtype), "dims": list(v.shape or ())}
        if v.type == VarType.SELECTED_ROWS:
            kind["selected_rows"] = tensor
        elif v.type == VarType.LOD_TENSOR:
            kind["lod_tensor"] = {"tensor": tensor, "lod_level": v.lod_level}
        elif v.type == VarType.LOD_TENSOR_ARRAY:
            kind["tensor_array"] = {"tensor": tensor, "lod_level": v.lod_level}
    message = {"name": v.name, "type": kind, "persistable": v.persistable}
    return message | ({"need_check_feed": True} if v.need_check_feed else {})


def _op_message(op):
    given = complete_attrs(op.type, op.attrs)
    given = {name: value for name, value in given.items() if value is not None}
    attrs = [write_attr(op.type, name, given[name], _block_index) for name in sorted(given)]
    return {"inputs": _slots(op.inputs), "outputs": _slots(op.outputs), "type": op.type, "attrs": attrs}


def _slots(slots):
    return [{"parameter": slot, "arguments": list(names)} for slot, names in sorted(slots.items())]


def _block_index(value):
    return value.idx if isinstance(value, Block) else None


def _add_feeds_and_fetches(block, feeds, fetches):
    """Fluid's way to keep the names: each is an op, in column `col` of a variable that holds all of them."""

    def op(type, source, target, col):
        attrs = [write_attr(type, name, value, _block_index) for name, value in (("col", col), ("op_role", 0))]
        inputs, outputs = _slots({"X": [source]}), _slots({"Out": [target]})
        return {"inputs": inputs, "outputs": outputs, "type": type, "attrs": attrs}

    def holder(name, kind):
        return {"name": name, "type": {"type": int(kind)}, "persistable": True}

    if feeds:
        block["vars"].append(holder(_FEED, VarType.FEED_MINIBATCH))
        # Each is put before all others, so the last comes first.
        block["ops"] = [op(_FEED, _FEED, name, col) for col, name in enumerate(feeds)][::-1] + block["ops"]
    if fetches:
        block["vars"].append(holder(_FETCH, VarType.FETCH_LIST))
        block["ops"] += [op(_FETCH, name, _FETCH, col) for col, name in enumerate(fetches)]


# ------------------------------------------------------------------------------------------------------------- reading


def bytes_to_program(data, name="The program"):
    """A Program from the bytes of Fluid's ProgramDesc, checked as if it were being built.

    Args:
        data: what `program_to_bytes`, Fluid's ``serialize_to_string`` or a ``__model__`` file gave.
        name: what messages call it, e.g. "File 'model/__model__'".

    Raises:
        NotFoundError: it has an op that fluidlite lacks.
        InvalidArgumentError: it is damaged, or of an unknown version.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidTypeError(f"{name} cannot be read: it is not bytes.", expected="bytes", actual=type(data).__name__)
    try:
        return _read_program(data)
    except MalformedMessage as error:
        problem, hint = f"it is not a Fluid program, or damaged ({error})", COPY_AGAIN
        raise InvalidArgumentError(f"{name} cannot be read: {problem}.", hint=hint) from None
    except NotFoundError as error:
        raise NotFoundError(f"{name} cannot be read: {error.summary}", where=error.where, hint=error.hint) from None
    except EnforceNotMet as error:
        raise InvalidArgumentError(
            f"{name} cannot be read: {error.summary}",
            expected=error.expected,
            actual=error.actual,
            where=error.where,
            hint=error.hint or COPY_AGAIN,
        ) from None


def _damaged(why, **parts):
    return InvalidArgumentError(why, **parts)


def _read_program(data):
    message = decode(PROGRAM, data)
    version = message.get("version", {}).get("version", 0)
    if not 0 <= version < NEXT_GENERATION:
        raise _damaged(
            f"it has the unknown version {version}.",
            expected=f"a program of Fluid 1.x: 0 <= version < {NEXT_GENERATION}",
            actual=str(version),
            hint="save the model again with Fluid 1.8.",
        )
    blocks = message.get("blocks", [])
    if not blocks:
        raise _damaged("it has no blocks.")
    program = Program()
    program.blocks = [_read_block(program, index, block) for index, block in enumerate(blocks)]
    for block, read in zip(program.blocks, blocks, strict=True):
        block.ops = [_read_op(block, op) for op in read.get("ops", ())]
    _take_feeds_and_fetches(program)
    # Inner blocks first: this is how they came to be.
    for block in reversed(program.blocks):
        for op in block.ops:
            _check_op(op)
    program._changed()
    return program


def _read_block(program, index, message):
    parent = message["parent_idx"]
    if message["idx"] != index or (parent != -1 if index == 0 else not 0 <= parent < index):
        raise _damaged(f"block {index} says that it is block {message['idx']} inside block {parent}.")
    block = Block(program, index, parent)
    for var in message.get("vars", ()):
        if not var["name"] or var["name"] in block.vars:
            raise _damaged(f"block {index} has two variables {var['name']!r}, or one without a name.")
        block.vars[var["name"]] = _read_var(block, var)
    return block


def _read_var(block, message):
    name, kind = message["name"], message["type"]
    try:
        type = VarType(kind["type"])
        lod = kind.get("lod_tensor") or kind.get("tensor_array") or {}
        tensor = lod.get("tensor") or kind.get("selected_rows") or {}
        dtype = VarType(tensor["data_type"]) if tensor else None
        dims = tuple(tensor.get("dims", ())) if tensor else None
        if dims is not None and any(dim < -1 for dim in dims):
            raise ValueError(f"shape {dims}")
        variable = Variable(block, type=type, name=name, shape=dims, dtype=dtype, lod_level=lod.get("lod_level", 0))
    except (ValueError, EnforceNotMet) as error:
        raise _damaged(f"variable {name!r} makes no sense: {getattr(error, 'summary', error)}.") from None
    variable._persistable = message.get("persistable", False)
    variable.need_check_feed = message.get("need_check_feed", False)
    return variable


def _read_op(block, message):
    type, attrs = message["type"], {}

    def find_block(index):
        blocks = block.program.blocks
        if not 0 < index < len(blocks):
            raise ValueError(f"there is no block {index} in it")
        return blocks[index]

    site = None
    for attr in message.get("attrs", ()):
        try:
            value = read_attr(attr, find_block)
        except ValueError as error:
            raise _damaged(f"op {type} makes no sense: {error}.") from None
        if attr["name"] == _CALLSTACK:
            site = _last_site(value)
        else:
            attrs[attr["name"]] = value
    inputs, outputs = _read_slots(type, message.get("inputs", ())), _read_slots(type, message.get("outputs", ()))
    if type in (_FEED, _FETCH):
        return _Column(type, inputs, outputs, attrs)
    op = Operator(block, type, inputs, outputs, attrs)
    if site is not None:
        op.site = site
    return op


def _read_slots(type, slots):
    found = {}
    for slot in slots:
        if slot["parameter"] in found:
            raise _damaged(f"op {type} has two slots {slot['parameter']!r}.")
        if slot.get("arguments"):
            found[slot["parameter"]] = list(slot["arguments"])
    return found


def _last_site(callstack):
    """(file, line, function) of the innermost line outside of Fluid, which is the last of a callstack."""
    text = callstack if isinstance(callstack, str) else "".join(map(str, callstack))
    found = _SITE.findall(text)
    return (found[-1][0], int(found[-1][1][:9]), found[-1][2]) if found else None


class _Column:
    """A feed or fetch op: the variable in its column."""

    def __init__(self, type, inputs, outputs, attrs):
        names = (outputs.get("Out") if type == _FEED else inputs.get("X")) or []
        self.type, self.col = type, attrs.get("col")
        if len(names) != 1 or not isinstance(self.col, int) or isinstance(self.col, bool):
            raise _damaged(f"a {type} op does not say which variable, or which column.")
        self.name = names[0]


def _take_feeds_and_fetches(program):
    found = {_FEED: {}, _FETCH: {}}
    for block in program.blocks:
        for op in block.ops:
            if isinstance(op, _Column):
                if op.col in found[op.type] or not block.has_var(op.name):
                    raise _damaged(f"{op.type} of {op.name!r}: column {op.col} is taken, or there is no such variable.")
                found[op.type][op.col] = op.name
        block.ops = [op for op in block.ops if not isinstance(op, _Column)]
        block.vars = {name: v for name, v in block.vars.items() if v.type not in _HOLDERS}
    feeds, fetches = ([names[col] for col in sorted(names)] for names in found.values())
    if any(name not in program.blocks[0].vars for name in feeds + fetches):
        raise _damaged("its feeds and fetches are not variables of block 0.")
    for name in feeds:
        program.blocks[0].vars[name].is_data = True
    program._feed_names, program._fetch_names = feeds, fetches


def _check_op(op):
    """What appending the op would check, with whatever damage can do to attributes and shapes."""
    for name, default in op.definition.attrs.items():
        if not _same_kind(default, op.attrs[name]):
            raise _damaged(
                f"attribute {name!r} of op {op.type} has the wrong type.",
                expected=type(default).__name__,
                actual=type(op.attrs[name]).__name__,
            )
    for name in op.input_arg_names + op.output_arg_names:
        if name != EMPTY:
            op.block._find_var_recursive(name)
    check_slots(op.definition, "input", op.inputs)
    check_slots(op.definition, "output", op.outputs)
    try:
        op.infer()
    except EnforceNotMet:
        raise
    except Exception as error:
        raise _damaged(f"op {op.type} makes no sense: {error!r}.") from None


def _same_kind(default, value):
    if default is None:
        return True
    for kinds in ((bool, int), (float, int), (str,), (list, tuple)):
        if isinstance(default, kinds[0]) or (isinstance(default, int) and kinds[0] is bool):
            return isinstance(value, kinds)
    return True
