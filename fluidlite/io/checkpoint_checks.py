"""Whether what a manifest says makes sense: each claim is compared with the others before anything is read by it."""

import re

from ..formats.sections import DTYPES, parts_bytes
from ..tables import TALLEST_STATE

MANIFEST = "manifest.json"
FORMAT = "fluidlite checkpoint"
# Versions: of all variables, and of what the parts of several ranks are.
ORDINARY, OF_RANKS = 1, 2
MOST_RANKS = 1 << 20
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
# Columns of a store: more moments than any optimizer has.
_MOST_STATES = 16


class Wrong(Exception):
    """Why a manifest cannot be used."""


def need(holds, why):
    if not holds:
        raise Wrong(why)


def is_count(value, most=1 << 62):
    return type(value) is int and 0 <= value <= most


def check_head(manifest, step, checksum):
    """What the manifest of a checkpoint, and of each of its parts, says of itself."""
    need(isinstance(manifest, dict) and manifest.get("format") == FORMAT, f"it does not say {FORMAT!r}")
    version = manifest.get("version")
    need(version in (ORDINARY, OF_RANKS), f"its version is {version!r}, not {ORDINARY} or {OF_RANKS}")
    need(manifest["checksum"] == checksum, "its checksum is not that of its text: it has been changed")
    need(manifest["step"] == step, f"it is that of step {manifest['step']!r}; was the folder renamed?")
    need(type(manifest["id"]) is str and type(manifest["program"]) is str, "it names no id or program")
    need(is_count(manifest["seed"], 1 << 64), "its seed is no number")
    base = manifest["base"]
    if base is not None:
        need(is_count(base["step"]) and base["step"] < step, "its base is not older than itself")
        need(type(base["id"]) is str, "its base has no id")
    need(type(manifest["tracked"]) is bool and type(manifest["library"]) is str, "it does not say who wrote it")
    if version == OF_RANKS or "rank" in manifest:
        n_ranks = manifest["ranks"]
        need(is_count(n_ranks, MOST_RANKS) and n_ranks > 1, "it does not say of how many ranks it is")


def check_entries(manifest):
    """What a manifest says of files, variables and readers."""
    for name, file in manifest["files"].items():
        need(_FILE.fullmatch(name) and name != MANIFEST, f"file {name!r} is not the name of a file inside its folder")
        need(is_count(file["size"]) and is_count(file["crc32"], (1 << 32) - 1), f"file {name!r} has no size or sum")
    for kind in ("variables", "stores"):
        for name, entry in manifest[kind].items():
            need((entry["kind"] == "store") == (kind == "stores"), f"{kind} has {name!r} of a wrong kind")
    entries = [*manifest["variables"].items(), *manifest["stores"].items()]
    entries += [(f"array {k}", entry) for k, entry in enumerate(manifest["arrays"])]
    for name, entry in entries:
        _check_entry(name, entry, manifest)
    _check_places(entries, manifest["files"])
    need(isinstance(manifest["readers"], list), "its readers are no list")
    _check_state(manifest["readers"], len(manifest["arrays"]))


def check_parts(manifest, parts):
    """The parts of a checkpoint of several ranks belong together."""
    for rank, part in enumerate(parts):
        for name in ("id", "base", "ranks"):
            need(part[name] == manifest[name], f"the part of rank {rank} is that of another checkpoint")
        need(_tables(part) == _tables(parts[0]), f"the part of rank {rank} has other tables than that of rank 0")


def _tables(manifest):
    found = {name: entry for name, entry in manifest["variables"].items() if entry["kind"] in ("table", "table_state")}
    return {name: (entry["kind"], entry["shape"], entry["dtype"]) for name, entry in found.items()}


def _check_state(state, n_arrays):
    if isinstance(state, dict) and set(state) == {"@array"}:
        need(is_count(state["@array"], n_arrays - 1), "a reader's state names an array that is not there")
    elif isinstance(state, dict | list):
        for value in state.values() if isinstance(state, dict) else state:
            _check_state(value, n_arrays)


def _check_entry(name, entry, manifest):
    kind, parts = entry["kind"], entry.get("parts", [])
    for dtype, shape in parts:
        need(dtype in DTYPES and len(shape) <= 32 and all(is_count(n) for n in shape), f"{name!r} has a wrong part")
    dtypes, shapes = [dtype for dtype, _ in parts], [list(shape) for _, shape in parts]
    lod = {"tensor": 1, "rows": 2}.get(kind, len(parts))
    fits = all(dtype == "int64" and len(shape) == 1 and shape[0] for dtype, shape in parts[lod:])
    if kind in ("tensor", "array"):
        fits &= len(parts) >= 1
    elif kind == "rows":
        shape = entry["shape"]
        fits &= len(parts) >= 2 and dtypes[0] == "int64" and shapes[1] == [*shapes[0], *shape[1:]]
        fits &= len(shape) >= 1 and all(is_count(n) for n in shape) and len(shapes[0]) == 1
    elif kind == "selected_rows":
        fits &= len(parts) == 2 and dtypes[0] == "int64" and is_count(entry["height"])
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
        fits &= shapes[-1][0] == shapes[0][0] and is_count(entry["height"], TALLEST_STATE)
        fits &= is_count(entry["count"], entry["height"]) and (added or entry["count"] == shapes[0][0])
    else:
        fits = False
    need(fits, f"what it says of {name!r} contradicts itself")


def _fits_table(entry, dtypes, shapes):
    kind, a, b, seed, stream = entry["initializer"]
    n, count = shapes[-1][0], entry["count"]
    return (
        kind in ("constant", "uniform", "gaussian", "truncated_gaussian")
        and type(a) is type(b) is float
        and all(is_count(number, (1 << 64) - 1) for number in (seed, stream))
        and all(is_count(entry[name]) for name in ("count", "steps", "places", "misses"))
        and type(entry["added"]) is bool
        and dtypes == ["int64", "int32", "int64"] + ["int64"] * entry["added"] + ["int64", "int32", entry["dtype"]]
        and entry["dtype"] in ("float32", "float64")
        and len(entry["shape"]) == 2
        and all(is_count(dim) for dim in entry["shape"])
        and count <= entry["shape"][0]
        and all(shape == shapes[0] and len(shape) == 1 for shape in shapes[:3])
        and all(shape == [n] for shape in shapes[3:-1])
        and shapes[-1][1:] == entry["shape"][1:]
        and (entry["added"] or n == count)
    )


def _fits_store(entry, stores):
    shape, key, column = entry["shape"], entry["store"], entry["column"]
    if len(shape) != 2 or not all(is_count(n) for n in shape) or entry["dtype"] not in ("float32", "float64"):
        return False
    if key is None:
        return column == 0
    (dtype, (_, width)), height = stores[key]["parts"][-1], stores[key]["height"]
    return (
        is_count(column, _MOST_STATES - 1)
        and (height, dtype) == (shape[0], entry["dtype"])
        and (column + 1) * shape[1] <= width <= _MOST_STATES * shape[1]
    )


def _check_places(entries, files):
    """The entries of a file follow one another from its first to its last byte."""
    ends = dict.fromkeys(files, 0)
    placed = [(entry["file"], entry["offset"], parts_bytes(entry["parts"])) for _, entry in entries if "parts" in entry]
    need(all(file in files and is_count(offset) for file, offset, _ in placed), "an entry names no file that it has")
    for file, offset, nbytes in sorted(placed):
        need(offset == ends[file], f"the entries of file {file!r} do not follow one another")
        ends[file] += nbytes
    for file, end in ends.items():
        size = files[file]["size"]
        need(end == size, f"the entries of file {file!r} have {end} bytes, and it has {size}")
