"""Checkpoints: everything that a training needs to go on, in folders that are complete or not there.

::

    dirname/
        checkpoint-1000/
            manifest.json       written last; see checkpoint_manifest.py
            values              small variables, one after the other
            table-0000          a large variable, or the state of one, each in a file of its own
            ...
        .saving-0123456789abcdef/   a save that goes on, or was killed: the next one removes it

A checkpoint is written to a new folder beside the others. Each file, the manifest and the folder are fsync'ed, then the
folder gets its name, then ``dirname`` is fsync'ed; only after that are older ones removed, and they lose their name
before their first file. So whatever is called ``checkpoint-<step>`` is whole, whenever the process was killed.
"""

import contextlib
import os
import shutil

from .. import row_tracker
from ..errors import (
    EnforceNotMet,
    InvalidArgumentError,
    InvalidTypeError,
    NotFoundError,
    warn_user,
)
from ..executor import global_scope
from ..formats.files import UNFINISHED
from ..formats.sections import array_part, write_entries
from ..scope import RANDOM_STEP, Scope
from . import checkpoint_manifest as manifests
from .checkpoint_folder import (
    check_is_newest,
    locked,
    naming_another,
    remove,
    remove_old,
    remove_unfinished,
    saving,
    sync_folder,
)
from .checkpoint_tables import attach_states
from .checkpoint_values import entries_of, read_values
from .variables import _cell_to_save, checked_executor, checked_program, chosen_variables, is_persistable

# A chain of increments ends, and a whole checkpoint is written, when its files have this share of the whole one's
# bytes, or when it has so many links: what loading reads stays within bounds.
_LARGEST_CHAIN = 1.0
_LONGEST_CHAIN = 100

_LARGEST_STEP = 10**18 - 1


def save_checkpoint(
    executor,
    dirname,
    step,
    main_program=None,
    keep=3,
    incremental=False,
    *,
    readers=(),
    scope=None,
):
    """Save everything that `load_checkpoint` needs to go on with the same bits as if training had never stopped.

    That is every persistable variable (parameters, moments, counters, learning rates), the count of random draws and
    the program's `drawn_seed`, and where `readers` are.

    Args:
        executor: an Executor. It runs nothing while the checkpoint is written.
        dirname: folder of the checkpoints, made if missing; this one will be ``dirname/checkpoint-<step>``.
        step: number of the step, 0 to 10^18 - 1, above that of every complete checkpoint in the folder.
        main_program: the program that is trained; the default main program if None.
        keep: how many of the newest complete checkpoints stay, at least 1 (default 3), or None for all. What an
            increment needs stays beside it.
        incremental: write only those rows of large tables and of their state that were written since the last
            checkpoint in this folder. The first one is whole, and from then on runs in this scope note which rows
            they write. Every now and then a checkpoint is whole: when the increments have grown as large as it.
            Rows are noted for sparse gradients of optimizers that touch their rows alone. A large variable that is
            changed from outside, through a writable view of its array, is not seen: save a whole checkpoint then.
        readers: loaders, readers of `py_reader` or datasets, whose position is saved (their ``state_dict()``).
        scope: where the variables are; the global scope if None.

    Returns:
        str: the folder of the checkpoint.

    Raises:
        InvalidArgumentError: the step is not new.
        UnavailableError: a variable has no value, another process saves to this folder, or the system refuses (disk
            full, no permission). Checkpoints that were there before are as they were.

    Rows of tables are written from where they lie: saving takes some MB of memory. A file of 1 GB is summed by CRC-32
    while it is written.

    >>> import fluidlite as fluid, tempfile
    >>> w = fluid.layers.create_parameter([2, 3], 'float32', name='w')
    >>> exe = fluid.Executor(); _ = exe.run(fluid.default_startup_program())
    >>> folder = tempfile.mkdtemp()
    >>> for step in (10, 20, 30, 40):
    ...     _ = fluid.io.save_checkpoint(exe, folder, step)
    >>> sorted(os.listdir(folder))
    ['checkpoint-20', 'checkpoint-30', 'checkpoint-40']
    >>> fluid.io.load_checkpoint(exe, folder)
    40
    """
    checked_executor(executor)
    program, scope, step = checked_program(main_program), _checked_scope(scope), _checked_step(step)
    if keep is not None and (type(keep) is not int or keep < 1):
        raise InvalidArgumentError("keep is no number of checkpoints.", expected="an int >= 1", actual=repr(keep))
    arrays = []
    states = [manifests.pack_state(_reader(reader).state_dict(), arrays) for reader in readers]
    dirname = os.path.normpath(os.fspath(dirname))
    with _lock_of(executor), saving(dirname, step):
        cells = {var.name: _cell_to_save(var, scope) for var in chosen_variables(program, None, is_persistable)}
        drawn = scope.find_var(RANDOM_STEP)
        if drawn is not None and drawn.cell.value is not None:
            cells[RANDOM_STEP] = drawn.cell
        if not os.path.isdir(dirname):
            os.makedirs(dirname)
            sync_folder(os.path.dirname(dirname) or ".")
        with locked(dirname):
            remove_unfinished(dirname)
            check_is_newest(dirname, step)
            tracker = scope._tracker if scope._tracker and scope._tracker.folder == os.path.realpath(dirname) else None
            base = _base_of(dirname, tracker) if incremental else None
            manifest = manifests.new_manifest(
                id=os.urandom(16).hex(),
                step=step,
                program=manifests.fingerprint(program),
                seed=program.drawn_seed,
                base=base and {"step": base["step"], "id": base["id"]},
                tracked=bool(incremental or tracker),
                readers=states,
            )
            _write(dirname, manifest, cells, arrays, tracker if base else None, base)
            if incremental or tracker:
                _track(scope, program, dirname, manifest, cells)
            if keep is not None:
                remove_old(dirname, keep)
    return manifests.folder_of(dirname, step)


def _checked_scope(scope):
    if scope is None:
        return global_scope()
    if not isinstance(scope, Scope):
        raise InvalidTypeError("The scope of a checkpoint is not a Scope.", actual=type(scope).__name__)
    return scope


def _checked_step(step):
    number = step.__index__() if hasattr(step, "__index__") and not isinstance(step, bool) else -1
    if not 0 <= number <= _LARGEST_STEP:
        raise InvalidArgumentError(
            "The step of a checkpoint is no step number.", expected="an int from 0 to 10**18 - 1", actual=repr(step)
        )
    return number


def _reader(reader):
    """What knows the position of a reader: itself, or what a variable of `py_reader` holds."""
    for one in (reader, getattr(reader, "holder", None)):
        if callable(getattr(one, "state_dict", None)) and callable(getattr(one, "set_state_dict", None)):
            return one
    raise InvalidTypeError(
        "A reader of a checkpoint has no position.",
        expected="a DataLoader, a PyReader, a reader of py_reader, or a dataset",
        actual=type(reader).__name__,
    )


def _lock_of(executor):
    return getattr(executor, "_lock", contextlib.nullcontext())


def _base_of(dirname, tracker):
    """The manifest that an increment may add to, or None: then the checkpoint is whole."""
    if tracker is None:
        return None
    try:
        chain = manifests.read_chain(dirname, tracker.step)
    except EnforceNotMet:
        return None
    sizes = [manifests.chain_bytes(manifest) for manifest in chain]
    if chain[-1]["id"] != tracker.id or len(chain) > _LONGEST_CHAIN or sum(sizes[1:]) > _LARGEST_CHAIN * sizes[0]:
        return None
    return chain[-1]


def _write(dirname, manifest, cells, arrays, tracker, base):
    """Write a checkpoint beside the others and give it its name."""
    beside = os.path.join(dirname, f"{UNFINISHED}{os.urandom(8).hex()}")
    os.mkdir(beside)
    try:
        variables, stores, parts = entries_of(cells, tracker, base)
        entries = [{"kind": "array"} for _ in arrays]
        parts += [(entry, [array_part(array)]) for entry, array in zip(entries, arrays, strict=True)]
        files = write_entries(beside, parts, own=("table",))
        manifest.update(variables=variables, stores=stores, arrays=entries, files=files)
        with open(os.path.join(beside, manifests.MANIFEST), "xb") as file:
            file.write(manifests.encode(manifest))
            file.flush()
            os.fsync(file.fileno())
        sync_folder(beside)
        final = manifests.folder_of(dirname, manifest["step"])
        if os.path.lexists(final):  # and not complete
            remove(dirname, final)
        os.rename(beside, final)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    sync_folder(dirname)


def _track(scope, program, dirname, manifest, cells):
    """From now on, note which rows are written."""
    tracker = scope._tracker
    if tracker is None:
        tracker, uid = row_tracker.RowTracker(), scope._uid
        scope._track(tracker)
        for key in [key for key in program._plans if key[2] == uid]:
            program._plans.pop(key, None)
    values = {name: cell.value for name, cell in cells.items()}
    tracker.restart(os.path.realpath(dirname), manifest["step"], manifest["id"], values)


# ------------------------------------------------------------------------------------------------------------- loading


def latest_checkpoint(dirname):
    """The step of the newest complete checkpoint in a folder, or None.

    >>> latest_checkpoint('a folder that is not there') is None
    True
    """
    return manifests.newest_complete(os.path.normpath(os.fspath(dirname)))


def load_checkpoint(executor, dirname, main_program=None, step=None, *, readers=(), scope=None):
    """Set all persistable variables, random state and readers as `save_checkpoint` found them.

    The startup program need not have run; where it has, its values take memory until the new ones are set.

    Args:
        executor: an Executor. dirname: folder of the checkpoints.
        main_program: the program that is trained; the default main program if None. It may use fewer variables than
            the checkpoint has.
        step: which checkpoint; None: the newest complete one. Others are passed over with a warning that says why.
        readers: as many as were saved, in the same order, with their sources set. Their next epoch passes over the
            batches that were used; see ``DataLoader.set_state_dict``. () leaves readers alone.
        scope: where the variables are; the global scope if None.

    Returns:
        int: the step.

    Raises:
        NotFoundError: there is no (complete) checkpoint, or it lacks a variable.
        InvalidArgumentError: a file is damaged, a checkpoint that this one adds to is broken, or a variable does not
            fit. Nothing in the scope has changed; the message names another checkpoint that is complete.
    """
    checked_executor(executor)
    program, scope = checked_program(main_program), _checked_scope(scope)
    readers = [_reader(reader) for reader in readers]
    dirname = os.path.normpath(os.fspath(dirname))
    if step is None:
        chain = _newest_chain(dirname)
    else:
        step = _checked_step(step)
        with naming_another(dirname, step):
            chain = manifests.read_chain(dirname, step)
    manifest = chain[-1]
    step = manifest["step"]
    variables = chosen_variables(program, None, is_persistable)
    with naming_another(dirname, step):
        tensors, arrays = read_values(dirname, chain, variables, optional=(RANDOM_STEP,))
    _check_program(program, manifest, dirname)
    if readers:
        states = manifests.unpack_state(manifest["readers"], arrays)
        if len(states) != len(readers):
            raise InvalidArgumentError(
                f"Checkpoint {manifests.folder_of(dirname, step)!r} does not fit the readers.",
                expected=f"{len(states)} readers, as were saved",
                actual=f"{len(readers)} readers",
            )
        for reader, state in zip(readers, states, strict=True):
            reader.set_state_dict(state)
    with _lock_of(executor):
        _set(scope, program, manifest, tensors)
        if manifest["tracked"]:
            cells = {name: scope.find_var(name).cell for name in tensors}
            _track(scope, program, dirname, manifest, cells)
    return step


def _newest_chain(dirname):
    skipped = []
    for step in manifests.steps_in(dirname):
        try:
            chain = manifests.read_chain(dirname, step)
        except EnforceNotMet as error:
            skipped.append(f"checkpoint {step} in {dirname!r} is passed over: {error.summary}")
            continue
        for text in skipped:
            warn_user(text)
        return chain
    there = "" if os.path.isdir(dirname) else " no such folder."
    raise NotFoundError(
        f"There is no complete checkpoint in {dirname!r}.",
        actual="; ".join(skipped) or f"no folder checkpoint-<step>.{there}",
        hint="check the path; fluid.io.latest_checkpoint(dirname) is None where training has to begin.",
    )


def _check_program(program, manifest, dirname):
    folder = manifests.folder_of(dirname, manifest["step"])
    if program.random_seed and program.random_seed != manifest["seed"]:
        warn_user(
            f"checkpoint {folder!r} was saved by a program with the random seed {manifest['seed']}; this one has "
            f"random_seed={program.random_seed} and draws other numbers."
        )
    if manifest["program"] != manifests.fingerprint(program):
        warn_user(
            f"checkpoint {folder!r} was saved by a program with other ops, attributes or variables (fluidlite "
            f"{manifest['library']}): training goes on from its values, but not as that one would have gone on."
        )


def _set(scope, program, manifest, tensors):
    for name, tensor in tensors.items():
        cell = (scope.find_var(name) or scope.var(name)).cell
        cell.value, cell.lod_offsets = tensor.value, tensor.lod_offsets
    attach_states({name: scope.find_var(name).cell for name in tensors})
    drawn = scope.find_var(RANDOM_STEP)
    if RANDOM_STEP not in tensors and drawn is not None:
        drawn.cell.value = None
    if not program.random_seed and program.drawn_seed != manifest["seed"]:
        program._drawn_seed = manifest["seed"]
        # Plans have taken the other seed.
        program._changed()
