"""How a checkpoint is written: what goes into it, its files beside the others, its name at the end."""

import contextlib
import os
import shutil

from .. import row_tracker
from ..errors import EnforceNotMet
from ..formats.files import UNFINISHED
from ..formats.sections import array_part, write_entries
from ..scope import RANDOM_STEP
from . import checkpoint_manifest as manifests
from .checkpoint_folder import remove, sync_folder
from .checkpoint_values import entries_of
from .variables import _cell_to_save, chosen_variables, is_persistable

# A chain of increments ends, and a whole checkpoint is written, when its files have this share of the whole one's
# bytes, or when it has so many links: what loading reads stays within bounds.
_LARGEST_CHAIN = 1.0
_LONGEST_CHAIN = 100


def cells_to_save(program, scope, cell_of=_cell_to_save):
    """{name: cell} of everything that a training needs to go on. cell_of: gives the cell of a Variable in a scope."""
    cells = {var.name: cell_of(var, scope) for var in chosen_variables(program, None, is_persistable)}
    drawn = scope.find_var(RANDOM_STEP)
    if drawn is not None and drawn.cell.value is not None:
        cells[RANDOM_STEP] = drawn.cell
    return cells


def make_folder(dirname):
    """Make the folder of checkpoints if it is missing."""
    if not os.path.isdir(dirname):
        os.makedirs(dirname)
        sync_folder(os.path.dirname(dirname) or ".")


def tracker_of(scope, dirname):
    """What notes the rows that were written since the last checkpoint in this folder, or None."""
    tracker = scope._tracker
    return tracker if tracker and tracker.folder == os.path.realpath(dirname) else None


def base_of(dirname, tracker, n_ranks=1):
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
    return chain[-1] if manifests.ranks_of(chain[-1]) == n_ranks else None


@contextlib.contextmanager
def new_checkpoint(dirname, step):
    """A new folder, which gets the name of the checkpoint when all of it has been written, and is removed on errors."""
    beside = new_folder(dirname)
    try:
        yield beside
        name_folder(dirname, beside, step)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def new_folder(dirname):
    """Make a folder beside the checkpoints, for one to be written."""
    beside = os.path.join(dirname, f"{UNFINISHED}{os.urandom(8).hex()}")
    os.mkdir(beside)
    return beside


def name_folder(dirname, beside, step):
    """All has been written to a new folder: it is the checkpoint of a step."""
    sync_folder(beside)
    final = manifests.folder_of(dirname, step)
    if os.path.lexists(final):  # and not complete
        remove(dirname, final)
    os.rename(beside, final)
    sync_folder(dirname)


def write_part(folder, manifest, cells, arrays, tracker, base):
    """Write variables and the arrays of readers, then their manifest, and wait until the disk has them.

    Args:
        folder: it is there, and empty. manifest: is completed. cells: {name: cell}. arrays: of the readers' states.
        tracker, base: a RowTracker and the manifest of its checkpoint, or None: entries may hold only the rows written
            since.
    """
    variables, stores, parts = entries_of(cells, tracker, base)
    entries = [{"kind": "array"} for _ in arrays]
    parts += [(entry, [array_part(array)]) for entry, array in zip(entries, arrays, strict=True)]
    files = write_entries(folder, parts, own=("table",))
    manifest.update(variables=variables, stores=stores, arrays=entries, files=files)
    write_manifest(folder, manifest)


def write_manifest(folder, manifest):
    """Write a manifest and wait until the disk has it."""
    with open(os.path.join(folder, manifests.MANIFEST), "xb") as file:
        file.write(manifests.encode(manifest))
        file.flush()
        os.fsync(file.fileno())


def track(scope, program, dirname, manifest, cells):
    """From now on, note which rows are written."""
    values = {name: cell.value for name, cell in cells.items()}
    begin_tracking(scope, program).restart(os.path.realpath(dirname), manifest["step"], manifest["id"], values)


def begin_tracking(scope, program):
    """The tracker of a scope, which gets one if it has none."""
    if scope._tracker is None:
        uid = scope._uid
        scope._track(row_tracker.RowTracker())
        for key in [key for key in program._plans if key[2] == uid]:
            program._plans.pop(key, None)
    return scope._tracker
