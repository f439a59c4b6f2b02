"""Models for prediction: the part of a program that leads from feeds to targets, and the parameters that it needs."""

import os

from ..errors import InvalidArgumentError, InvalidTypeError, NotFoundError, nearest, warn_user
from ..formats.files import atomic_files, open_source
from ..framework import Block
from ..ops.registry import EMPTY
from ..program_desc import bytes_to_program, program_for_fluid, program_to_bytes
from ..variable import Variable
from .variables import checked_executor, checked_program, is_persistable, read_variables, save_persistables, set_cells

_MODEL = "__model__"


def save_inference_model(
    dirname,
    feeded_var_names,
    target_vars,
    executor,
    main_program=None,
    model_filename=None,
    params_filename=None,
    export_for_deployment=True,
    program_only=False,
):
    """Save what is needed to compute `target_vars` from `feeded_var_names`, in the files that Fluid 1.8.5 reads.

    The program is pruned, set to test mode, and each target passes through a `scale` op, so that the targets are called
    ``save_infer_model/scale_<i>.tmp_0``. The user's own program does not change.

    Args:
        dirname: folder, made if missing.
        feeded_var_names: names of the inputs. target_vars: Variables to be computed.
        model_filename: file of the program, ``__model__`` if None.
        params_filename: one file for all parameters; None: a file for each.
        export_for_deployment: False saves the whole program as ``<model_filename>.main_program`` instead; without its
            backward and optimizer part, and with a warning, if that has an op that Fluid lacks (`sparse_adam`).
        program_only: save no parameters.

    Returns:
        list of str: the names of the targets in the saved program.
    """
    options = model_filename, params_filename, export_for_deployment, program_only
    return write_model(dirname, feeded_var_names, target_vars, executor, main_program, *options, save_persistables)


def write_model(
    dirname,
    feeded_var_names,
    target_vars,
    executor,
    main_program,
    model_filename,
    params_filename,
    export_for_deployment,
    program_only,
    save,
):
    """`save_inference_model`, with the function that saves the parameters: `save_persistables` or one like it."""
    checked_executor(executor)
    feeds = [feeded_var_names] if isinstance(feeded_var_names, str) else list(feeded_var_names)
    targets = [target_vars] if isinstance(target_vars, Variable) else list(target_vars)
    if not all(isinstance(name, str) for name in feeds):
        raise InvalidArgumentError("'feed_var_names' should be a list of str.", actual=repr(feeds))
    if not targets or not all(isinstance(var, Variable) for var in targets):
        raise InvalidArgumentError("'target_vars' should be a list of Variable.", actual=repr(targets))
    program = checked_program(main_program)
    if any(op.type == "auc" for op in program.global_block().ops):
        warn_user("please ensure that you have set the auc states to zeros before saving inference model")
    model, names = program.clone(), None
    names = _append_scales(model.global_block(), targets)
    path = os.path.join(os.path.normpath(dirname), os.path.basename(model_filename or _MODEL))
    if export_for_deployment:
        model = _pruned(model, feeds, names)
    else:
        path += ".main_program"
        model = program_for_fluid(model, f"The program {path!r}")
    data = program_to_bytes(model)
    if program_only:
        warn_user(
            "save_inference_model specified the param `program_only` to True, It will not save params of Program."
        )
    elif any(is_persistable(var) for var in model.list_vars()):
        save(executor, dirname, model, params_filename and os.path.basename(params_filename))
    # After the parameters, so that a program that is there can be loaded.
    with atomic_files(f"The program {path!r}") as files, files.open(path) as file:
        file.write(data)
    return names


def _append_scales(block, targets):
    """Append a scale by 1 of every target and return the names of the results."""
    names = []
    for i, target in enumerate(targets):
        if not block.has_var(target.name):
            raise NotFoundError(f"Target {target.name!r} is not in the program.", hint=nearest(target.name, block.vars))
        k = 0
        while block.has_var(f"save_infer_model/scale_{i}.tmp_{k}"):
            k += 1
        source = block.var(target.name)
        out = block.create_var(name=f"save_infer_model/scale_{i}.tmp_{k}", dtype=source.dtype)
        attrs = {"scale": 1.0, "bias": 0.0, "bias_after_scale": True, "op_role": 0}
        block.append_op("scale", {"X": source}, {"Out": out}, attrs)
        names.append(out.name)
    return names


def _pruned(program, feeds, targets):
    """Keep what leads from feeds to targets, set it to test mode, and note the names of both."""
    block, needed = program.global_block(), set(targets)
    kept = []
    for op in reversed(block.ops):
        if needed.difference(feeds).intersection(op.output_arg_names) and op.type != "read":
            kept.append(op)
            needed.update(name for name in op.input_arg_names if name != EMPTY)
            needed.update(_read_inside(op))
    block.ops = kept[::-1]
    _drop_blocks(program)
    for inner in program.blocks:
        for op in inner.ops:
            if "is_test" in op.definition.attrs:
                op.attrs["is_test"] = True
    used = needed.union(name for op in block.ops for name in op.output_arg_names)
    for name in feeds:
        if name not in used:
            problem = "no target depends on it" if block.has_var(name) else "the program has no such variable"
            raise InvalidArgumentError(
                f"Feed {name!r} cannot be saved: {problem}.",
                hint=nearest(name, [v.name for v in block.vars.values() if v.is_data]) or "leave it out.",
            )
    for name in sorted(needed.difference(feeds) if feeds else ()):
        if block.has_var(name) and block.var(name).is_data:
            warn_user(f"the targets depend on {name!r}, which is not among the feeds of save_inference_model")
    block.vars = {name: v for name, v in block.vars.items() if name in used}
    program._feed_names, program._fetch_names = list(feeds), list(targets)
    program._changed()
    return program


def _blocks_of(op):
    values = [v for value in op.attrs.values() for v in (value if isinstance(value, list) else [value])]
    return [value for value in values if isinstance(value, Block)]


def _read_inside(op):
    """Names that the blocks inside an op read or write."""
    names = set()
    for block in _blocks_of(op):
        for inner in block.ops:
            names.update(n for n in inner.input_arg_names + inner.output_arg_names if n != EMPTY)
            names |= _read_inside(inner)
    return names


def _drop_blocks(program):
    """Drop the blocks that no op leads to (loops of the backward pass), and number the others anew."""
    found, ahead = {0}, [program.global_block()]
    while ahead:
        block = ahead.pop()
        inner = [b for op in block.ops for b in _blocks_of(op)]
        if block.idx:
            inner.append(program.blocks[block.parent_idx])
        ahead += [b for b in inner if b.idx not in found]
        found.update(b.idx for b in inner)
    numbers = {old: new for new, old in enumerate(sorted(found))}
    program.blocks = [program.blocks[old] for old in sorted(found)]
    for block in program.blocks:
        block.idx, block.parent_idx = numbers[block.idx], numbers.get(block.parent_idx, -1)


def load_inference_model(dirname, executor, model_filename=None, params_filename=None, pserver_endpoints=None):
    """Load a model that `save_inference_model`, ours or Fluid's, saved. Parameters go to the global scope.

    Tables of any ids (is_distributed=True) have the rows that were saved; other ids read as zeros, and get none.

    Args:
        dirname: the folder; None: `model_filename` and `params_filename` are the bytes of the two files.
        model_filename: file of the program, ``__model__`` if None.
        params_filename: the file of all parameters, if they are in one.
        pserver_endpoints: accepted for Fluid's sake.

    Returns:
        list: the Program, the names to feed, the Variables to fetch.

    Raises:
        NotFoundError: a file is missing, or the program has an op that fluidlite lacks.
        InvalidArgumentError: a file is damaged; nothing in the scope has changed.

    >>> import fluidlite as fluid, tempfile
    >>> x = fluid.data('x', [None, 3]); y = fluid.layers.fc(x, 2)
    >>> exe = fluid.Executor(); _ = exe.run(fluid.default_startup_program())
    >>> folder = tempfile.mkdtemp()
    >>> fluid.io.save_inference_model(folder, ['x'], [y], exe)
    ['save_infer_model/scale_0.tmp_0']
    >>> program, feeds, fetches = fluid.io.load_inference_model(folder, exe)
    >>> exe.run(program, feed={feeds[0]: np.zeros((5, 3), 'float32')}, fetch_list=fetches)[0].shape
    (5, 2)
    """
    checked_executor(executor)
    if dirname is None:
        if not isinstance(model_filename, bytes) or not isinstance(params_filename, bytes):
            raise InvalidTypeError(
                "The path of params cannot be None when the directory path is None.",
                expected="the bytes of program and parameters as model_filename and params_filename",
                actual=f"{type(model_filename).__name__}, {type(params_filename).__name__}",
            )
        program = bytes_to_program(model_filename, "The given program")
    else:
        dirname = os.path.normpath(dirname)
        params_filename = params_filename and os.path.basename(params_filename)
        program = read_program(dirname, model_filename)
    persistable = [var for var in program.list_vars() if is_persistable(var)]
    if persistable:
        set_cells(read_variables(persistable, dirname, params_filename))
    block = program.global_block()
    return [program, list(program._feed_names), [block.var(name) for name in program._fetch_names]]


def read_program(dirname, model_filename=None):
    """The Program in a folder that `save_inference_model` made."""
    if not os.path.isdir(dirname):
        raise NotFoundError(f"There is no directory named {dirname!r}.", hint="check the path.")
    with open_source(os.path.join(dirname, os.path.basename(model_filename or _MODEL))) as source:
        return bytes_to_program(source.take(source.size, "the program"), source.name)
