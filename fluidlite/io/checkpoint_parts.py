"""Checkpoints of a job of several ranks: each rank writes its part, at the same time.

::

    dirname/
        checkpoint-1000/
            manifest.json       written last, by rank 0; see checkpoint_manifest.py
            rank-0000/          as an ordinary checkpoint: manifest.json, values, table-0000 ...
            rank-0001/
            ...

Rank 0 makes a folder beside the others, every rank writes its part there and waits until the disk has it, and when all
of them have, rank 0 writes the manifest and gives the folder its name. So all ranks must see the same folder.
"""

import contextlib
import os
import shutil
import weakref
from collections import namedtuple

from ..distributed import commands
from ..distributed.own_values import written_forward
from ..errors import PreconditionNotMetError, UnavailableError
from ..fingerprint import fingerprint
from ..scope import RANDOM_STEP
from ..table_rows import share_of
from . import checkpoint_manifest as manifests
from .checkpoint_checks import OF_RANKS
from .checkpoint_folder import check_is_newest, locked, remove_old, remove_unfinished, saving, sync_folder
from .checkpoint_tables import is_table
from .checkpoint_write import (
    base_of,
    begin_tracking,
    cells_to_save,
    make_folder,
    name_folder,
    new_folder,
    track,
    tracker_of,
    write_manifest,
    write_part,
)
from .shares import together
from .variables import cell_with_value

# What a rank that calls `save_checkpoint` adds: where its variables are, the states of its readers and their arrays.
Caller = namedtuple("Caller", ["program", "scope", "states", "arrays"])

# {job: {folder: (step, ranks)}}: the newest checkpoint that a job has saved in a folder, and who asked for it.
_saved = weakref.WeakKeyDictionary()


def save_parts(job, caller, number, dirname, step, keep, incremental):
    """Let all ranks of a job save a checkpoint of the program of that number together."""
    if incremental and not job.programs[number].sync:
        raise UnavailableError(
            "Increments cannot be saved: ranks that are not in step change rows while others write theirs.",
            hint="save whole checkpoints (incremental=False), or train with sync_mode=True.",
        )
    arguments = {"number": number, "dirname": os.path.abspath(dirname), "step": step}
    job.command("save_checkpoint", arguments | {"keep": keep, "incremental": bool(incremental)}, caller)


def save_together(job, comm, local, *, number, dirname, step, keep, incremental):
    """What every rank does when one or all of them save a checkpoint. local: a `Caller`; None on ranks that do not."""

    def all_do(function, *arguments, rank=None):
        def call():
            with saving(dirname, step):
                return function(*arguments)

        return together(comm, call, rank)

    job.note_checkpoints(dirname, manifests.newest_complete)
    callers = {rank for rank, asks in enumerate(comm.all_gather(local is not None)) if asks}
    last = _saved.setdefault(job, {}).get(dirname)
    if last is not None and last[0] == step and not callers & last[1]:
        # Ranks that are not in step come one after the other.
        if all_do(manifests.is_complete, dirname, step, rank=0)[0]:
            last[1].update(callers)
            return
    job.settle(comm)
    caller = local or Caller(job.programs[number].program, job.scope, [], [])
    tracker = tracker_of(caller.scope, dirname)
    cells = {}
    all_do(lambda: cells.update(_cells_of_part(caller, comm)))
    with contextlib.ExitStack() as held:
        all_do(lambda: held.enter_context(_begun(dirname, step)), rank=0)
        base = None
        if incremental:
            tracked = comm.all_gather(tracker and (tracker.step, tracker.id))
            base = all_do(_base, dirname, tracker, tracked, rank=0)[0]
        head = {"id": os.urandom(16).hex(), "step": step, "base": base, "ranks": comm.size}
        head["tracked"] = any(comm.all_gather(incremental or tracker is not None))
        head = comm.broadcast(head, 0)
        beside = all_do(new_folder, dirname, rank=0)[0]
        try:
            all_do(_write, beside, dirname, comm.rank, head, caller, cells, tracker if base else None)
            all_do(_finish, beside, dirname, head, caller.program, rank=0)
        except BaseException:
            if comm.rank == 0:
                shutil.rmtree(beside, ignore_errors=True)
            raise
        if keep is not None:
            all_do(remove_old, dirname, keep, rank=0)
    _saved[job][dirname] = step, callers
    if head["tracked"]:
        if local is None and caller.scope._tracker is None:
            # This rank may be within a step, whose plan notes nothing: the next checkpoint is whole, too.
            begin_tracking(caller.scope, caller.program)
        else:
            track(caller.scope, caller.program, dirname, head, cells)


commands["save_checkpoint"] = save_together


@contextlib.contextmanager
def _begun(dirname, step):
    """Nobody else saves there meanwhile."""
    make_folder(dirname)
    with locked(dirname):
        remove_unfinished(dirname)
        check_is_newest(dirname, step)
        yield


def _base(dirname, tracker, tracked):
    """Which checkpoint all ranks may add to: {'step', 'id'}, or None."""
    if tracked[0] is None or any(other != tracked[0] for other in tracked):
        return None
    base = base_of(dirname, tracker, len(tracked))
    return base and {"step": base["step"], "id": base["id"]}


def _cells_of_part(caller, comm):
    """{name: cell} of what a rank writes: its rows, what may differ from rank to rank, and on rank 0 everything."""
    own = {RANDOM_STEP, *written_forward(caller.program)}
    chosen = {}
    for name, cell in cells_to_save(caller.program, caller.scope, cell_with_value).items():
        if is_table(cell.value) and share_of(cell.value) != (comm.rank, comm.size):
            raise PreconditionNotMetError(
                f"Variable {name!r} cannot be saved: its rows have not been divided among the ranks.",
                hint="train a step before, or call attach() of the job on all ranks.",
            )
        if comm.rank == 0 or is_table(cell.value) or name in own:
            chosen[name] = cell
    return chosen


def _write(beside, dirname, rank, head, caller, cells, tracker):
    if not os.path.isdir(beside):
        raise UnavailableError(
            f"The folder {dirname!r} is not the one that rank 0 sees: what rank 0 has just made there is missing.",
            expected="one folder that all ranks see, on a file system that their machines share",
        )
    folder = os.path.join(beside, manifests.part_name(rank))
    os.mkdir(folder)
    base = tracker and manifests.read_manifest(dirname, head["base"]["step"])["parts"][rank]
    manifest = manifests.new_manifest(
        **head, rank=rank, program=fingerprint(caller.program), seed=caller.program.drawn_seed, readers=caller.states
    )
    write_part(folder, manifest, cells, caller.arrays, tracker, base)
    sync_folder(folder)


def _finish(beside, dirname, head, program):
    manifest = manifests.new_manifest(OF_RANKS, **head, program=fingerprint(program), seed=program.drawn_seed)
    write_manifest(beside, manifest)
    name_folder(dirname, beside, head["step"])
