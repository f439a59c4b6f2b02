"""The manifest of a checkpoint: what it holds, in which files, and whether all of it is there.

A folder ``checkpoint-<step>`` is complete when its ``manifest.json`` can be read and every file has the size that it
says. One that several ranks have written is complete when its own manifest and those of all its parts, in the folders
``rank-0000`` and so on, are. A manifest is one JSON object:

* ``format``, ``version`` (1), ``library`` (version of fluidlite), ``id`` (of this very checkpoint), ``step``;
* ``rank``, ``ranks``: in the manifest of a part, which rank of how many has written it. The first part has all that
  the ranks have in common, every part the rows of the tables that its rank owned, and what differed from rank to rank;
* ``program`` (fingerprint), ``seed`` (`Program.drawn_seed`);
* ``base``: None, or {'step', 'id'} of the checkpoint to which this one adds rows; ``tracked``: whether others may
  add to this one;
* ``files``: {name: {'size', 'crc32'}};
* ``variables``: {name: entry}, ``stores``: {key: entry}, ``arrays``: [entry], see `formats.sections` for entries;
* ``readers``: their states, with arrays replaced by {'@array': number};
* ``checksum``: CRC-32 of all of this, as `encode` writes it.

The manifest beside parts has ``version`` 2, ``ranks``, and nothing from ``files`` to ``readers``.

Kinds of entries, with their parts:

* ``tensor``: the array, then the offsets of each LoD level;
* ``rows`` (of a ``shape``): row numbers, those rows, offsets of LoD levels; all other rows are the base's;
* ``selected_rows`` (of a ``height``): row numbers, values;
* ``row_state`` (``shape``, ``dtype``): no parts; column ``column`` of store ``store``, or None where all is zero;
* ``store`` (of a ``height`` and ``count`` lines): row of each line, the lines; with ``added``: rows, numbers of lines,
  lines, to be added to the base's;
* ``table``: a table of any ids with ``count`` rows: ids, updates at which they were last seen and counts of ids that
  wait for entry; ids, updates at which they were last seen, and rows. With ``added``, numbers of rows come before;
* ``table_state``: rows of a state of ``table``, or none: all of them are ``initial``; with ``added``, their numbers
  come before;
* ``array``: an array of a reader's state.
"""

import contextlib
import json
import os
import re
import zlib

import numpy as np

from ..errors import EnforceNotMet, InvalidArgumentError, InvalidTypeError, NotFoundError, UnavailableError
from ..fingerprint import fingerprint as fingerprint
from ..formats.files import open_source
from ..formats.sections import DTYPES
from .checkpoint_checks import FORMAT, MANIFEST, OF_RANKS, ORDINARY, Wrong, check_entries, check_head, check_parts, need

_FOLDER = re.compile(r"checkpoint-(0|[1-9][0-9]{0,17})")

_HINT = "load another checkpoint (step=...), or copy this one again from where it came."


def folder_of(dirname, step):
    """The folder of the checkpoint of a step."""
    return os.path.join(dirname, f"checkpoint-{step}")


def part_name(rank):
    """The folder, in that of a checkpoint of several ranks, of what a rank has written."""
    return f"rank-{rank:04}"


def files_of(dirname, manifest):
    """The folder where the files of a manifest are."""
    folder = folder_of(dirname, manifest["step"])
    return os.path.join(folder, part_name(manifest["rank"])) if "rank" in manifest else folder


def steps_in(dirname):
    """The steps of all checkpoints in a folder, complete or not, newest first."""
    try:
        names = os.listdir(dirname)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        raise UnavailableError(f"Folder {os.fspath(dirname)!r} cannot be read: {error}.") from None
    return sorted((int(found[1]) for name in names if (found := _FOLDER.fullmatch(name))), reverse=True)


def encode(manifest):
    """The bytes of a manifest, with its checksum."""
    return json.dumps(manifest | {"checksum": _checksum(manifest)}, sort_keys=True).encode()


def _checksum(manifest):
    return zlib.crc32(json.dumps({k: v for k, v in manifest.items() if k != "checksum"}, sort_keys=True).encode())


def new_manifest(version=ORDINARY, **fields):
    """A manifest as it is written here."""
    from .. import __version__  # here, since it stands where this package is imported

    return {"format": FORMAT, "version": version, "library": __version__, **fields}


def pack_state(state, arrays):
    """A reader's state for JSON; arrays are appended to the list `arrays`."""
    if isinstance(state, dict):
        if not all(isinstance(key, str) and not key.startswith("@") for key in state):
            raise InvalidTypeError("A key in a reader's state is no name.", actual=repr(list(state))[:200])
        return {key: pack_state(value, arrays) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [pack_state(value, arrays) for value in state]
    if isinstance(state, np.ndarray) and state.dtype.name in DTYPES:
        arrays.append(state)
        return {"@array": len(arrays) - 1}
    if isinstance(state, np.generic):
        return state.item()
    if state is None or isinstance(state, bool | int | float | str):
        return state
    raise InvalidTypeError(
        "A reader's state cannot be saved.",
        expected="numbers, texts, None, arrays, lists and dicts of them",
        actual=type(state).__name__,
    )


def unpack_state(state, arrays):
    """What `pack_state` was given, but for tuples, which are lists."""
    if isinstance(state, dict):
        if set(state) == {"@array"}:
            return arrays[state["@array"]]
        return {key: unpack_state(value, arrays) for key, value in state.items()}
    return [unpack_state(value, arrays) for value in state] if isinstance(state, list) else state


# ------------------------------------------------------------------------------------------------------------- reading


def read_manifest(dirname, step):
    """The manifest of a complete checkpoint. One of several ranks has those of its ``parts``, by rank.

    Raises:
        NotFoundError: it, or one of its files, is missing.
        InvalidArgumentError: it is damaged, of another format, or does not fit its files.
    """
    folder = folder_of(dirname, step)
    if not os.path.isdir(folder):
        raise NotFoundError(
            f"There is no checkpoint of step {step} in {os.fspath(dirname)!r}.",
            actual=f"steps {', '.join(map(str, steps_in(dirname))) or 'none'}",
        )
    manifest = _read(folder, step, None)
    if manifest["version"] == OF_RANKS:
        ranks = range(manifest["ranks"])
        parts = [_read(os.path.join(folder, part_name(rank)), step, rank) for rank in ranks]
        with _explained(f"Checkpoint {folder!r}"):
            check_parts(manifest, parts)
        manifest["parts"] = parts
    return manifest


def _read(folder, step, rank):
    """The manifest of a checkpoint, or of the part of a rank; its files are there."""
    with open_source(os.path.join(folder, MANIFEST), "Manifest") as source:
        data, name = source.take(source.size, "the manifest"), source.name
    with _explained(name):
        manifest = json.loads(data)
        check_head(manifest, step, _checksum(manifest))
        need(manifest.get("rank") == rank, f"it is that of rank {manifest.get('rank')!r}; was the folder renamed?")
        if manifest["version"] == OF_RANKS:
            need(rank is None, "it is that of several ranks, and stands where the part of one should be")
            return manifest
        check_entries(manifest)
    for file, described in manifest["files"].items():
        with open_source(os.path.join(folder, file), "Checkpoint file") as source:
            if source.size != described["size"]:
                raise source.damaged(
                    "it has another size than its manifest says",
                    expected=f"{described['size']} bytes",
                    actual=f"{source.size} bytes",
                    hint=_HINT,
                )
    return manifest


@contextlib.contextmanager
def _explained(name):
    try:
        yield
    except Wrong as error:
        raise InvalidArgumentError(f"{name} cannot be used: {error}.", hint=_HINT) from None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise InvalidArgumentError(
            f"{name} cannot be read: it is no manifest of a checkpoint ({type(error).__name__}: {error}).", hint=_HINT
        ) from None


def read_chain(dirname, step):
    """The manifests of a checkpoint and of those it adds to, oldest first; all of them complete."""
    chain = [read_manifest(dirname, step)]
    while chain[0]["base"] is not None:
        base, above = chain[0]["base"], chain[0]["step"]
        needs = f"Checkpoint {above} in {os.fspath(dirname)!r} holds only the rows written since step {base['step']}"
        try:
            manifest = read_manifest(dirname, base["step"])
        except EnforceNotMet as error:
            raise type(error)(
                f"{needs}, and that one is broken: {error.summary}",
                expected=error.expected,
                actual=error.actual,
                hint=error.hint or _HINT,
            ) from None
        if manifest["id"] != base["id"]:
            raise InvalidArgumentError(
                f"{needs}, and {folder_of(dirname, base['step'])!r} is another checkpoint of that step.",
                expected=f"id {base['id']}",
                actual=f"id {manifest['id']}",
                hint=_HINT,
            )
        if ranks_of(manifest) != ranks_of(chain[0]):
            raise InvalidArgumentError(
                f"{needs}, and that one is of another number of ranks.",
                expected=f"{ranks_of(chain[0])}",
                actual=f"{ranks_of(manifest)}",
                hint=_HINT,
            )
        chain.insert(0, manifest)
    return chain


def parts_of(manifest):
    """The manifests of the parts of a checkpoint, by rank; an ordinary one is its only part."""
    return manifest.get("parts", [manifest])


def ranks_of(manifest):
    """How many ranks have written a checkpoint."""
    return len(parts_of(manifest))


def chain_bytes(manifest):
    """The bytes of all files of a checkpoint."""
    return sum(file["size"] for part in parts_of(manifest) for file in part["files"].values())


def newest_complete(dirname, without=None):
    """The step of the newest checkpoint that is complete with all that it needs, or None."""
    for step in steps_in(dirname):
        if step != without and is_complete(dirname, step):
            return step
    return None


def is_complete(dirname, step):
    """Whether a checkpoint and all that it needs are there."""
    try:
        read_chain(dirname, step)
    except EnforceNotMet:
        return False
    return True
