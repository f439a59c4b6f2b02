"""The manifest of a checkpoint: what it holds, in which files, and whether all of it is there.

A folder ``checkpoint-<step>`` is complete when its ``manifest.json`` can be read and every file has the size that it
says. The manifest is one JSON object:

* ``format``, ``version`` (1), ``library`` (version of fluidlite), ``id`` (of this very checkpoint), ``step``;
* ``program`` (fingerprint), ``seed`` (`Program.drawn_seed`);
* ``base``: None, or {'step', 'id'} of the checkpoint to which this one adds rows; ``tracked``: whether others may
  add to this one;
* ``files``: {name: {'size', 'crc32'}};
* ``variables``: {name: entry}, ``stores``: {key: entry}, ``arrays``: [entry], see `formats.sections` for entries;
* ``readers``: their states, with arrays replaced by {'@array': number};
* ``checksum``: CRC-32 of all of this, as `encode` writes it.

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

import hashlib
import json
import os
import re
import zlib

import numpy as np

from ..errors import EnforceNotMet, InvalidArgumentError, InvalidTypeError, NotFoundError, UnavailableError
from ..formats.files import open_source
from ..formats.sections import DTYPES, parts_bytes
from ..framework import Block
from ..tables import TALLEST_STATE

MANIFEST = "manifest.json"
_FORMAT, _VERSION = "fluidlite checkpoint", 1
_FOLDER = re.compile(r"checkpoint-(0|[1-9][0-9]{0,17})")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
# Columns of a store: more moments than any optimizer has.
_MOST_STATES = 16

_HINT = "load another checkpoint (step=...), or copy this one again from where it came."


def folder_of(dirname, step):
    """The folder of the checkpoint of a step."""
    return os.path.join(dirname, f"checkpoint-{step}")


def steps_in(dirname):
    """The steps of all checkpoints in a folder, complete or not, newest first."""
    try:
        names = os.listdir(dirname)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        raise UnavailableError(f"Folder {os.fspath(dirname)!r} cannot be read: {error}.") from None
    return sorted((int(found[1]) for name in names if (found := _FOLDER.fullmatch(name))), reverse=True)


def fingerprint(program):
    """A text that is the same for programs with the same ops, attributes and persistable variables."""
    digest = hashlib.blake2b(digest_size=16)
    # Readers are numbered as they are made, whatever program they are for.
    readers = {name for block in program.blocks for name, var in block.vars.items() if var.holder is not None}

    def plain_slots(slots):
        return [(slot, ["" if name in readers else name for name in names]) for slot, names in slots.items()]

    for block in program.blocks:
        for op in block.ops:
            attrs = {k: _plain(v) for k, v in op.attrs.items() if not k.startswith("op_") and k != "seed"}
            digest.update(repr((block.idx, op.type, plain_slots(op.inputs), plain_slots(op.outputs))).encode())
            digest.update(repr(sorted(attrs.items())).encode())
        for name, var in sorted(block.vars.items()):
            if var.persistable and var.dtype is not None:
                digest.update(repr((name, tuple(var.shape or ()), int(var.dtype))).encode())
    return digest.hexdigest()


def _plain(value):
    if isinstance(value, Block):
        return value.idx
    if isinstance(value, np.ndarray):
        return value.dtype.name, value.shape, zlib.crc32(np.ascontiguousarray(value))
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    plain = value is None or isinstance(value, bool | int | float | str | bytes)
    return repr(value) if plain else type(value).__name__


def encode(manifest):
    """The bytes of a manifest, with its checksum."""
    return json.dumps(manifest | {"checksum": _checksum(manifest)}, sort_keys=True).encode()


def _checksum(manifest):
    return zlib.crc32(json.dumps({k: v for k, v in manifest.items() if k != "checksum"}, sort_keys=True).encode())


def new_manifest(**fields):
    """A manifest of the version that is written here."""
    from .. import __version__  # here, since it stands where this package is imported

    return {"format": _FORMAT, "version": _VERSION, "library": __version__, **fields}


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
    """The manifest of a complete checkpoint.

    Raises:
        NotFoundError: it, or one of its files, is missing.
        InvalidArgumentError: it is damaged, of another format, or does not fit its files.
    """
    folder = folder_of(dirname, step)
    path = os.path.join(folder, MANIFEST)
    if not os.path.isdir(folder):
        raise NotFoundError(
            f"There is no checkpoint of step {step} in {os.fspath(dirname)!r}.",
            actual=f"steps {', '.join(map(str, steps_in(dirname))) or 'none'}",
        )
    with open_source(path, "Manifest") as source:
        data, name = source.take(source.size, "the manifest"), source.name
    try:
        manifest = json.loads(data)
        _check(manifest, step)
    except _Wrong as error:
        raise InvalidArgumentError(f"{name} cannot be used: {error}.", hint=_HINT) from None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise InvalidArgumentError(
            f"{name} cannot be read: it is no manifest of a checkpoint ({type(error).__name__}: {error}).", hint=_HINT
        ) from None
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


class _Wrong(Exception):
    """Why a manifest cannot be used."""


def _need(holds, why):
    if not holds:
        raise _Wrong(why)


def _is_count(value, most=1 << 62):
    return type(value) is int and 0 <= value <= most


def _check(manifest, step):
    _need(isinstance(manifest, dict) and manifest.get("format") == _FORMAT, f"it does not say {_FORMAT!r}")
    _need(manifest.get("version") == _VERSION, f"its version is {manifest.get('version')!r}, not {_VERSION}")
    _need(manifest["checksum"] == _checksum(manifest), "its checksum is not that of its text: it has been changed")
    _need(manifest["step"] == step, f"it is that of step {manifest['step']!r}; was the folder renamed?")
    _need(type(manifest["id"]) is str and type(manifest["program"]) is str, "it names no id or program")
    _need(_is_count(manifest["seed"], 1 << 64), "its seed is no number")
    base = manifest["base"]
    if base is not None:
        _need(_is_count(base["step"]) and base["step"] < step, "its base is not older than itself")
        _need(type(base["id"]) is str, "its base has no id")
    _need(type(manifest["tracked"]) is bool and type(manifest["library"]) is str, "it does not say who wrote it")
    for name, file in manifest["files"].items():
        _need(_FILE.fullmatch(name) and name != MANIFEST, f"file {name!r} is not the name of a file inside its folder")
        _need(_is_count(file["size"]) and _is_count(file["crc32"], (1 << 32) - 1), f"file {name!r} has no size or sum")
    for kind in ("variables", "stores"):
        for name, entry in manifest[kind].items():
            _need((entry["kind"] == "store") == (kind == "stores"), f"{kind} has {name!r} of a wrong kind")
    entries = [*manifest["variables"].items(), *manifest["stores"].items()]
    entries += [(f"array {k}", entry) for k, entry in enumerate(manifest["arrays"])]
    for name, entry in entries:
        _check_entry(name, entry, manifest)
    _check_places(entries, manifest["files"])
    _need(isinstance(manifest["readers"], list), "its readers are no list")
    _check_state(manifest["readers"], len(manifest["arrays"]))


def _check_state(state, n_arrays):
    if isinstance(state, dict) and set(state) == {"@array"}:
        _need(_is_count(state["@array"], n_arrays - 1), "a reader's state names an array that is not there")
    elif isinstance(state, dict | list):
        for value in state.values() if isinstance(state, dict) else state:
            _check_state(value, n_arrays)


def _check_entry(name, entry, manifest):
    kind, parts = entry["kind"], entry.get("parts", [])
    for dtype, shape in parts:
        _need(dtype in DTYPES and len(shape) <= 32 and all(_is_count(n) for n in shape), f"{name!r} has a wrong part")
    dtypes, shapes = [dtype for dtype, _ in parts], [list(shape) for _, shape in parts]
    lod = {"tensor": 1, "rows": 2}.get(kind, len(parts))
    fits = all(dtype == "int64" and len(shape) == 1 and shape[0] for dtype, shape in parts[lod:])
    if kind in ("tensor", "array"):
        fits &= len(parts) >= 1
    elif kind == "rows":
        shape = entry["shape"]
        fits &= len(parts) >= 2 and dtypes[0] == "int64" and shapes[1] == [*shapes[0], *shape[1:]]
        fits &= len(shape) >= 1 and all(_is_count(n) for n in shape) and len(shapes[0]) == 1
    elif kind == "selected_rows":
        fits &= len(parts) == 2 and dtypes[0] == "int64" and _is_count(entry["height"])
        fits &= len(shapes[0]) == 1 and len(shapes[1]) == 2 and shapes[0][0] == shapes[1][0]
    elif kind == "row_state":
        fits &= not parts and _fits_store(entry, manifest["stores"])
    elif kind == "table":
        fits &= _fits_table(entry, dtypes, shapes)
    elif kind == "table_state":
        table = manifest["variables"][entry["table"]]
        fits &= dtypes == ["int64"] * entry["added"] + [entry["dtype"]] and table["kind"] == "table"
        fits &= entry["shape"] == table["shape"] and shapes[-1][1:] == entry["shape"][1:] and len(shapes[-1]) == 2
        fits &= len(shapes[0]) == 1 + (not entry["added"]) and shapes[0][0] == shapes[-1][0]
        fits &= type(entry["initial"]) is float and type(entry["added"]) is bool
    elif kind == "store":
        added = entry["added"]
        fits &= dtypes == ["int32"] * (2 if added else 1) + dtypes[-1:] and dtypes[-1] in ("float32", "float64")
        fits &= all(shape == shapes[0] for shape in shapes[:-1]) and len(shapes[0]) == 1 and len(shapes[-1]) == 2
        fits &= shapes[-1][0] == shapes[0][0] and _is_count(entry["height"], TALLEST_STATE)
        fits &= _is_count(entry["count"], entry["height"]) and (added or entry["count"] == shapes[0][0])
    else:
        fits = False
    _need(fits, f"what it says of {name!r} contradicts itself")


def _fits_table(entry, dtypes, shapes):
    kind, a, b, seed, stream = entry["initializer"]
    n, count = shapes[-1][0], entry["count"]
    return (
        kind in ("constant", "uniform", "gaussian", "truncated_gaussian")
        and type(a) is type(b) is float
        and all(_is_count(number, (1 << 64) - 1) for number in (seed, stream))
        and all(_is_count(entry[name]) for name in ("count", "steps", "places", "misses"))
        and type(entry["added"]) is bool
        and dtypes == ["int64", "int32", "int64"] + ["int64"] * entry["added"] + ["int64", "int32", entry["dtype"]]
        and entry["dtype"] in ("float32", "float64")
        and len(entry["shape"]) == 2
        and all(_is_count(dim) for dim in entry["shape"])
        and count <= entry["shape"][0]
        and all(shape == shapes[0] and len(shape) == 1 for shape in shapes[:3])
        and all(shape == [n] for shape in shapes[3:-1])
        and shapes[-1][1:] == entry["shape"][1:]
        and (entry["added"] or n == count)
    )


def _fits_store(entry, stores):
    shape, key, column = entry["shape"], entry["store"], entry["column"]
    if len(shape) != 2 or not all(_is_count(n) for n in shape) or entry["dtype"] not in ("float32", "float64"):
        return False
    if key is None:
        return column == 0
    (dtype, (_, width)), height = stores[key]["parts"][-1], stores[key]["height"]
    return (
        _is_count(column, _MOST_STATES - 1)
        and (height, dtype) == (shape[0], entry["dtype"])
        and (column + 1) * shape[1] <= width <= _MOST_STATES * shape[1]
    )


def _check_places(entries, files):
    """The entries of a file follow one another from its first to its last byte."""
    ends = dict.fromkeys(files, 0)
    placed = [(entry["file"], entry["offset"], parts_bytes(entry["parts"])) for _, entry in entries if "parts" in entry]
    _need(all(file in files and _is_count(offset) for file, offset, _ in placed), "an entry names no file that it has")
    for file, offset, nbytes in sorted(placed):
        _need(offset == ends[file], f"the entries of file {file!r} do not follow one another")
        ends[file] += nbytes
    for file, end in ends.items():
        size = files[file]["size"]
        _need(end == size, f"the entries of file {file!r} have {end} bytes, and it has {size}")


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
        chain.insert(0, manifest)
    return chain


def chain_bytes(manifest):
    """The bytes of all files of a checkpoint."""
    return sum(file["size"] for file in manifest["files"].values())


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
