"""The folder of checkpoints: who may write to it, how a checkpoint leaves it, and what is said when that goes wrong."""

import contextlib
import os
import shutil

from ..errors import EnforceNotMet, InvalidArgumentError, UnavailableError, warn_user
from ..formats.files import UNFINISHED
from .checkpoint_manifest import folder_of, newest_complete, read_chain, steps_in


@contextlib.contextmanager
def saving(dirname, step):
    """What the system refuses is an error that says so."""
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, EnforceNotMet) or not (isinstance(error, OSError) or "embedded null" in str(error)):
            raise
        newest = None
        with contextlib.suppress(EnforceNotMet):
            newest = newest_complete(dirname)
        raise UnavailableError(
            f"Checkpoint {step} could not be saved in {dirname!r}: {error}.",
            hint="the checkpoints that were there before are unchanged"
            + ("." if newest is None else f", the newest is that of step {newest}."),
        ) from error


@contextlib.contextmanager
def locked(dirname):
    """Nobody else saves to this folder meanwhile: the lock ends with the process, however that ends."""
    folder = os.open(dirname, os.O_RDONLY)
    try:
        try:
            import fcntl  # here, since not every system has it

            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnavailableError(
                f"Another process or thread is saving a checkpoint in {dirname!r}.",
                hint="give each a folder of its own.",
            ) from None
        except (ImportError, OSError):  # a file system without locks
            pass
        yield
    finally:
        os.close(folder)


def check_is_newest(dirname, step):
    newest = newest_complete(dirname)
    if newest is not None and newest >= step:
        raise InvalidArgumentError(
            f"Checkpoint {step} cannot be saved in {dirname!r}: the folder has one of step {newest}.",
            expected=f"a step above {newest}",
            actual=str(step),
            hint="use a folder of its own for a training that goes on from an older step.",
        )


def sync_folder(path):
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove(dirname, path):
    """Take a folder's name away, then remove it: it is never half there."""
    beside = os.path.join(dirname, f"{UNFINISHED}{os.urandom(8).hex()}")
    os.rename(path, beside)
    if os.path.isdir(beside) and not os.path.islink(beside):
        shutil.rmtree(beside)
    else:
        os.remove(beside)


def remove_unfinished(dirname):
    """What killed saves have left."""
    for name in os.listdir(dirname):
        if name.startswith(UNFINISHED):
            path = os.path.join(dirname, name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.remove(path)


def remove_old(dirname, keep):
    """Remove checkpoints that are older than the newest `keep` complete ones, and not needed by them."""
    steps, needed, kept = steps_in(dirname), set(), 0
    for step in steps:
        try:
            chain = read_chain(dirname, step)
        except EnforceNotMet:
            continue
        needed.update(manifest["step"] for manifest in chain)
        kept += 1
        if kept == keep:
            break
    else:
        return
    for old in steps[steps.index(step) + 1 :]:
        if old not in needed:
            try:
                remove(dirname, folder_of(dirname, old))
            except OSError as error:
                warn_user(f"the old checkpoint {folder_of(dirname, old)!r} could not be removed: {error}")


@contextlib.contextmanager
def naming_another(dirname, step):
    """Errors name the newest other checkpoint that is complete."""
    try:
        yield
    except EnforceNotMet as error:
        newest = newest_complete(dirname, without=step)
        if newest is not None:
            error.hint = f"{(error.hint or '').rstrip('.')}{'; ' if error.hint else ''}step={newest} is complete."
        raise
