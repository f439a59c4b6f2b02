"""Values of variables to entries of a checkpoint, and back. Nothing here sets a variable."""

import os

import numpy as np

from .. import flags
from ..buffers import aligned_array, check_memory
from ..dtypes import VarType, numpy_dtype
from ..errors import EnforceNotMet, InvalidArgumentError, NotFoundError, nearest
from ..formats.sections import array_part, open_sections, part_bytes, parts_bytes, rows_part
from ..lod_tensor import LoDTensor, lod_misfit
from ..mapped import SMALLEST_FILE, Reserve
from ..selected_rows import SelectedRows
from ..tables import RowState, RowStore
from .checkpoint_manifest import files_of, folder_of
from .checkpoint_tables import is_table, read_state, read_table, table_entries

# Smaller values are always written whole.
BY_ROWS_FROM = 1 << 20
_STEP = 1 << 20  # rows of which the numbers are looked at together

# -------------------------------------------------------------------------------------------------------------- saving


def entries_of(cells, tracker=None, base=None):
    """Entries and parts of variables.

    Args:
        cells: {name: cell}.
        tracker, base: a RowTracker and the manifest of its checkpoint: entries may hold only the rows written since.

    Returns:
        ``(variables, stores, parts)``: entries by name, entries of the stores that RowStates share, and a list of
        (entry, parts) for `formats.sections.write_entries`.
    """
    variables, parts = table_entries(cells, tracker, base)
    cells = {name: cell for name, cell in cells.items() if not is_table(cell.value)}
    stores, by_store = {}, {}
    for name, cell in cells.items():
        value = cell.value
        if isinstance(value, RowState) and not value.is_empty:
            by_store.setdefault(id(value.store), []).append((name, value))
    keys = {}
    for shared in by_store.values():
        shared.sort(key=lambda item: item[1].column)
        # By the variable of its first column: the same store has the same key in the next checkpoint.
        keys[id(shared[0][1].store)] = key = shared[0][0]
        stores[key], store_parts = _store_entry(key, shared, tracker, base)
        parts.append((stores[key], store_parts))
    for name, cell in cells.items():
        value = cell.value
        if isinstance(value, RowState):
            entry = {"kind": "row_state", "shape": list(value.shape), "dtype": value.dtype.name}
            entry |= {"store": keys.get(id(value.store)), "column": value.column if id(value.store) in keys else 0}
        elif isinstance(value, SelectedRows):
            entry = {"kind": "selected_rows", "height": int(value.height)}
            parts.append((entry, [array_part(np.ascontiguousarray(value.rows)), array_part(value.value)]))
        else:
            entry, value_parts = _array_entry(name, np.asarray(value), tracker, base)
            parts.append((entry, value_parts + [array_part(level) for level in cell.lod_offsets]))
        variables[name] = entry
    return variables, stores, parts


def _array_entry(name, array, tracker, base):
    known = tracker is not None and base["variables"].get(name, {}).get("kind") in ("tensor", "rows")
    if known and array.ndim and array.nbytes >= BY_ROWS_FROM:
        rows = tracker.rows_written(name, array)
        if rows is not None and len(rows) * (array[:1].nbytes + 8) < array.nbytes:
            return {"kind": "rows", "shape": list(array.shape)}, [array_part(rows), rows_part(array, rows)]
    return {"kind": "tensor"}, [array_part(array)]


def _store_entry(key, shared, tracker, base):
    """Only the lines in use are written: what they cost follows the rows touched."""
    store = shared[0][1].store
    height, count = len(store.slots), int(store.count[0])
    entry = {"kind": "store", "height": height, "count": count, "added": False}
    lines = store.data[:count]
    known = tracker is not None and all(base["variables"].get(name, {}).get("store") == key for name, _ in shared)
    if known and lines.nbytes >= BY_ROWS_FROM:
        rows = _rows_written(shared, tracker)
        if rows is not None:
            numbers = store.slots[rows]
            rows, numbers = rows[numbers > 0], numbers[numbers > 0] - 1
            order = np.argsort(numbers)
            rows, numbers = rows[order].astype(np.int32), numbers[order]
            if len(rows) * (lines[:1].nbytes + 8) < lines.nbytes:
                return entry | {"added": True}, [array_part(rows), array_part(numbers), rows_part(lines, numbers)]
    return entry, [array_part(_rows_by_line(store.slots, count)), array_part(lines)]


def _rows_written(shared, tracker):
    rows = [tracker.rows_written(name, state) for name, state in shared]
    return None if any(r is None for r in rows) else np.unique(np.concatenate(rows))


def _rows_by_line(slots, count):
    rows = np.empty(count, np.int32)
    for start in range(0, len(slots), _STEP):
        some = slots[start : start + _STEP]
        touched = np.flatnonzero(some)
        rows[some[touched] - 1] = touched + start
    return rows


# ------------------------------------------------------------------------------------------------------------- loading


class Loaded:
    """What a chain of checkpoints holds for some variables."""

    def __init__(self, dirname, chain):
        self.dirname, self.chain, self.newest = dirname, chain, chain[-1]
        self.values, self.lods, self.stores = {}, {}, {}
        # By (step, file): what is read from where. Entries without bytes share their place with the next one.
        self.wanted = {}

    def want(self, kind, name, read):
        """Plan to call ``read(source, entry)`` for a variable or store, in its last whole entry and those after it."""
        links = []
        for manifest in reversed(self.chain):
            entry = manifest[kind].get(name)
            if entry is None:
                break
            links.append((manifest["step"], entry))
            if entry["kind"] != "rows" and not entry.get("added"):
                for step, found in links:
                    self.wanted.setdefault((step, found["file"]), []).append((found["offset"], found, read))
                return
        raise self._broken(f"{name!r} has no beginning in the checkpoints that it adds to")

    def _broken(self, why):
        return InvalidArgumentError(
            f"Checkpoint {folder_of(self.dirname, self.newest['step'])!r} cannot be loaded: {why}.",
            hint="load another checkpoint (step=...).",
        )

    def read(self):
        """Read every file of which something is wanted, oldest checkpoint first."""
        # What is planned holds this object: without the cycle, tables are freed as soon as nobody has them.
        planned, self.wanted = self.wanted, {}
        for manifest in self.chain:
            # Tables of any ids come before their states.
            tables = {entry["file"] for entry in manifest["variables"].values() if entry["kind"] == "table"}
            for file, described in sorted(manifest["files"].items(), key=lambda item: item[0] not in tables):
                wanted = planned.get((manifest["step"], file))
                if wanted is None:
                    continue
                path = os.path.join(files_of(self.dirname, manifest), file)
                with open_sections(path, described, "Checkpoint file") as source:
                    for offset, entry, read in sorted(wanted, key=lambda one: (one[0], parts_bytes(one[1]["parts"]))):
                        source.pass_over(offset - source.position, "what nobody needs")
                        read(source, entry)

    def read_value(self, name, source, entry):
        """Read a variable that is no `row_state`."""
        what, kind, parts = f"variable {name!r}", entry["kind"], entry["parts"]
        if kind in ("table", "table_state"):
            (read_table if kind == "table" else read_state)(self, name, source, entry)
            return
        if kind == "selected_rows":
            rows, value = (source.read(part, what) for part in parts)
            try:
                self.values[name] = SelectedRows(rows, value, entry["height"])
            except EnforceNotMet as error:
                raise source.damaged(f"{what} is no SelectedRows: {error.summary}") from None
            return
        if kind == "rows":
            self._read_rows(name, source, parts)
        else:
            value = _new_array(parts[0], what)
            source.fill(value, what)
            self.values[name] = value
        levels = [source.read(part, f"the LoD of {what}") for part in parts[1 + (kind == "rows") :]]
        value = self.values[name]
        problem = lod_misfit(levels, len(value)) if levels and value.ndim else "it has no rows" if levels else None
        if problem:
            raise source.damaged(f"the LoD of {what} does not fit: {problem}")
        self.lods[name] = levels

    def _read_rows(self, name, source, parts):
        what, array = f"variable {name!r}", self.values[name]
        if (array.dtype.name, list(array.shape[1:])) != (parts[1][0], parts[1][1][1:]):
            raise source.damaged(f"the rows of {what} do not fit those of the checkpoint that they are added to")
        rows = source.read(parts[0], what)
        _check_numbers(source, rows, len(array), f"rows of {what}")
        for start, some in source.slabs(parts[1], what):
            array[rows[start : start + len(some)]] = some

    def read_store(self, key, source, entry):
        """Read a `store`, or add to it what a later checkpoint has."""
        what, parts = f"the state of {key!r}", entry["parts"]
        dtype, (_, width) = parts[-1]
        store = self.stores.get(key)
        if not entry["added"]:
            store = self.stores[key] = RowStore(entry["height"], width, dtype)
        elif (len(store.slots), store.data.shape[1], store.data.dtype) != (entry["height"], width, np.dtype(dtype)):
            raise source.damaged(f"{what} does not fit that of the checkpoint that it is added to")
        store.count[0] = entry["count"]
        rows = source.read(parts[0], what)
        _check_numbers(source, rows, entry["height"], f"rows of {what}")
        if entry["added"]:
            lines = source.read(parts[1], what)
            _check_numbers(source, lines, entry["count"], f"lines of {what}")
            for start, some in source.slabs(parts[2], what):
                store.data[lines[start : start + len(some)]] = some
        else:
            source.fill(store.data[: len(rows)], what)
            lines = np.arange(len(rows), dtype=np.int32)
        store.slots[rows] = lines + np.int32(1)

    def check_stores(self):
        """Kernels write to lines on several threads: each line must belong to one row."""
        for key, store in self.stores.items():
            seen, total, count = np.zeros(int(store.count[0]) + 1, np.bool_), 0, int(store.count[0])
            for start in range(0, len(store.slots), _STEP):
                some = store.slots[start : start + _STEP]
                total += np.count_nonzero(some)
                # Lines beyond the count would be another checkpoint's.
                if some.size and some.max() > count:
                    total = -len(store.slots) - 1
                    break
                seen[some] = True
            if total != count or not seen[1:].all():
                raise self._broken(f"the rows and lines of the state of {key!r} do not belong together")


def _new_array(part, what):
    """An array to be filled; large ones are in a file where FLAGS_table_mmap_dir says so."""
    shape, dtype, nbytes = tuple(part[1]), np.dtype(part[0]), part_bytes(part)
    if flags.table_mmap_dir() and nbytes >= SMALLEST_FILE:
        reserve = Reserve(shape, dtype, f"Loading {what}")
        reserve.commit(shape[0], f"Loading {what}")
        return reserve.array
    check_memory(nbytes, f"Loading {what}")
    return aligned_array(shape, dtype)


def _check_numbers(source, numbers, n, what):
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < n):
        raise source.damaged(f"the {what} are out of range", expected=f"0 to {n - 1}")


def read_values(dirname, chain, variables, optional=()):
    """What the newest checkpoint of a chain says of some variables.

    Args:
        dirname: where the checkpoints are.
        chain: manifests, oldest first, as `read_chain` gives them.
        variables: Variables; the checkpoint must have all of them, with their shapes and dtypes.
        optional: names of others, which may be missing.

    Returns:
        ``({name: LoDTensor}, arrays)``: new values, and the arrays of readers' states.
    """
    loaded, newest = Loaded(dirname, chain), chain[-1]
    folder = folder_of(dirname, newest["step"])
    names = [name for name in optional if name in newest["variables"]]
    dense = set()
    for var in variables:
        check_fits(var, newest, folder)
        names.append(var.name)
        if not var.row_state:
            dense.add(var.name)
    # A state needs its table, also where the program has the state alone.
    tables = {newest["variables"][name].get("table") for name in names} - {None, *names}
    for name in (*names, *sorted(tables)):
        entry = newest["variables"][name]
        if entry["kind"] != "row_state":
            loaded.want("variables", name, lambda *read, name=name: loaded.read_value(name, *read))
    keys = {newest["variables"][name].get("store") for name in names} - {None}
    for key in sorted(keys):
        loaded.want("stores", key, lambda *read, key=key: loaded.read_store(key, *read))
    arrays = [None] * len(newest["arrays"])
    for k, entry in enumerate(newest["arrays"]):

        def read(source, entry, k=k):
            arrays[k] = source.read(entry["parts"][0], "the state of a reader")

        loaded.wanted.setdefault((newest["step"], entry["file"]), []).append((entry["offset"], entry, read))
    loaded.read()
    loaded.check_stores()
    tensors = {}
    for name in names:
        entry = newest["variables"][name]
        if entry["kind"] == "row_state":
            state = RowState(tuple(entry["shape"]), entry["dtype"])
            state.store, state.column = loaded.stores.get(entry["store"]), entry["column"]
            loaded.values[name] = state.to_dense() if name in dense else state
        tensors[name] = LoDTensor(loaded.values[name], loaded.lods.get(name, ()))
    return tensors, arrays


def check_fits(var, manifest, folder):
    """Before anything is read: the checkpoint has the variable in the shape and dtype that the program says."""
    entry = manifest["variables"].get(var.name)
    if entry is None:
        raise NotFoundError(
            f"Variable {var.name!r} is not in checkpoint {folder!r}.",
            hint=nearest(var.name, manifest["variables"]) or "was it saved by another program?",
        )
    kind = entry["kind"]
    if kind in ("row_state", "table", "table_state"):
        shape, dtype = entry["shape"], entry["dtype"]
    elif kind == "selected_rows":
        shape, dtype = [entry["height"], *entry["parts"][1][1][1:]], entry["parts"][1][0]
    else:
        shape, dtype = entry.get("shape", entry["parts"][0][1]), entry["parts"][1 if kind == "rows" else 0][0]
    fits = (kind == "selected_rows") == (var.type == VarType.SELECTED_ROWS)
    if var.shape is not None:
        fits &= len(shape) == len(var.shape) and all(
            # Nothing in the file has the size of a row state: that of the program is trusted alone.
            want == n or (want == -1 and kind in ("tensor", "rows", "selected_rows"))
            for want, n in zip(var.shape, shape, strict=True)
        )
    if var.dtype is not None:
        fits &= np.dtype(dtype) == numpy_dtype(var.dtype)
    if not fits:
        raise InvalidArgumentError(
            f"Variable {var.name!r} does not fit: checkpoint {folder!r} holds another shape or dtype than the program "
            "says.",
            expected=f"shape {None if var.shape is None else tuple(var.shape)}, {numpy_dtype(var.dtype)}",
            actual=f"shape {tuple(shape)}, {dtype}",
            hint="was it saved by another program, or by this one with other sizes?",
        )
