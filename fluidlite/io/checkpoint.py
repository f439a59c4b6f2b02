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

from .. import distributed
from ..errors import (
    EnforceNotMet,
    InvalidArgumentError,
    InvalidTypeError,
    NotFoundError,
    warn_user,
)
from ..executor import global_scope
from ..fingerprint import fingerprint
from ..scope import RANDOM_STEP, Scope
from . import checkpoint_manifest as manifests
from .checkpoint_folder import (
    check_is_newest,
    locked,
    naming_another,
    remove_old,
    remove_unfinished,
    saving,
)
from .checkpoint_parts import Caller, save_parts
from .checkpoint_shards import read_shares, set_readers
from .checkpoint_tables import attach_states
from .checkpoint_write import base_of, cells_to_save, make_folder, new_checkpoint, track, tracker_of, write_part
from .shares import job_of, number_in, share_of_program
from .variables import checked_executor, checked_program, chosen_variables, is_persistable

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

    In a job of several ranks (``fleet``), one rank or all of them may call; each writes its part of the checkpoint, the
    rows that it owns and what it has of its own, into a folder that all of them must see. Positions of readers are
    those of the ranks that call. What fails on one rank fails on all that call. Increments need ranks that are in step.

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
    job = job_of(scope)
    number = None if job is None else number_in(job, program)
    with _lock_of(executor), saving(dirname, step):
        if number is not None:
            save_parts(job, Caller(program, scope, states, arrays), number, dirname, step, keep, incremental)
            return manifests.folder_of(dirname, step)
        cells = cells_to_save(program, scope)
        make_folder(dirname)
        with locked(dirname):
            remove_unfinished(dirname)
            check_is_newest(dirname, step)
            tracker = tracker_of(scope, dirname)
            base = base_of(dirname, tracker) if incremental else None
            manifest = manifests.new_manifest(
                id=os.urandom(16).hex(),
                step=step,
                program=fingerprint(program),
                seed=program.drawn_seed,
                base=base and {"step": base["step"], "id": base["id"]},
                tracked=bool(incremental or tracker),
                readers=states,
            )
            with new_checkpoint(dirname, step) as beside:
                write_part(beside, manifest, cells, arrays, tracker if base else None, base)
            if incremental or tracker:
                track(scope, program, dirname, manifest, cells)
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

    It does not matter how many ranks have saved, and how many load: each calls this, reads the files itself, and keeps
    the rows that it owns; one process gets whole tables. As many ranks as saved go on with the same bits. With another
    number, each has the counters and statistics that rank 0 had, and readers begin at the start of their epoch, with a
    warning.

    Raises:
        NotFoundError: there is no (complete) checkpoint, or it lacks a variable.
        InvalidArgumentError: a file is damaged, a checkpoint that this one adds to is broken, or a variable does not
            fit. Nothing in the scope has changed; the message names another checkpoint that is complete.
    """
    checked_executor(executor)
    program, scope = checked_program(main_program), _checked_scope(scope)
    readers = [_reader(reader) for reader in readers]
    dirname = os.path.normpath(os.fspath(dirname))
    if distributed.current() is not None:
        distributed.current().note_checkpoints(dirname, manifests.newest_complete)
    if step is None:
        chain = _newest_chain(dirname)
    else:
        step = _checked_step(step)
        with naming_another(dirname, step):
            chain = manifests.read_chain(dirname, step)
    manifest = chain[-1]
    step = manifest["step"]
    variables, share = chosen_variables(program, None, is_persistable), share_of_program(scope, program)
    with naming_another(dirname, step):
        tensors, arrays, part = read_shares(dirname, chain, variables, (RANDOM_STEP,), share)
    _check_program(program, manifest, dirname)
    if readers:
        set_readers(readers, chain, part, arrays, share, manifests.folder_of(dirname, step))
    with _lock_of(executor):
        _set(scope, program, part, tensors)
        # What other ranks have written is no beginning for increments.
        if manifest["tracked"] and manifests.ranks_of(manifest) == (1 if share is None else share[1]):
            cells = {name: scope.find_var(name).cell for name in tensors}
            track(scope, program, dirname, manifest, cells)
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
    if manifest["program"] != fingerprint(program):
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
