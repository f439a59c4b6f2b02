"""Damage to checkpoints: it is found and named, nothing is changed, and the newest complete one is loaded."""

import json
import os
import shutil
import zlib

import checkpoint_models
import numpy as np
import pytest
from checkpoint_models import D, V, manifest_of, train, word_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fluidlite as fluid
from fluidlite.errors import EnforceNotMet, InvalidArgumentError, NotFoundError
from fluidlite.io import latest_checkpoint, load_checkpoint, save_checkpoint

small = checkpoint_models.small
folder = checkpoint_models.folder


@pytest.fixture
def chain(fresh, small, folder):
    """Checkpoints 0 (whole), 1 and 2 (rows), 3 (whole), and a scope that has gone on."""
    _, loss = word_model(fresh)
    fresh.start()
    fresh.saved = {}
    for step in range(4):
        train(fresh, loss, step + 1, step)
        save_checkpoint(fresh.exe, folder, step, incremental=step < 3, keep=None)
        fresh.saved[step] = fresh.snapshot()
    train(fresh, loss, 5, 4)
    fresh.folder = folder
    return fresh


def _refused(chain, step=None, error=EnforceNotMet, match=None):
    before, version = chain.snapshot(), chain.main._version
    with pytest.raises(error, match=match) as caught:
        load_checkpoint(chain.exe, chain.folder, step=step)
    assert chain.snapshot() == before and chain.main._version == version
    return str(caught.value)


def _change_manifest(folder, step, change):
    path = os.path.join(folder, f"checkpoint-{step}", "manifest.json")
    manifest = manifest_of(folder, step)
    change(manifest)
    del manifest["checksum"]
    manifest["checksum"] = zlib.crc32(json.dumps(manifest, sort_keys=True).encode())
    with open(path, "w") as file:
        json.dump(manifest, file)


def test_every_truncation(chain):
    path = os.path.join(chain.folder, "checkpoint-3")
    for name in os.listdir(path):
        file = os.path.join(path, name)
        with open(file, "rb") as f:
            data = f.read()
        for n in range(0, len(data), max(1, len(data) // 200)):
            with open(file, "wb") as f:
                f.write(data[:n])
            text = _refused(chain, 3, match=name.replace(".", r"\."))
            assert "step=2 is complete" in text
        with open(file, "wb") as f:
            f.write(data + b"\0")
        _refused(chain, 3)
        os.remove(file)
        _refused(chain, 3, NotFoundError, name)
        with open(file, "wb") as f:
            f.write(data)
    load_checkpoint(chain.exe, chain.folder, step=3)
    assert chain.snapshot() == chain.saved[3]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    step=st.sampled_from([0, 1, 2, 3]),
    name=st.sampled_from(["values", "manifest.json"]),
    place=st.floats(0, 1),
    change=st.integers(1, 255),
)
def test_flipped_bytes(chain, step, name, place, change):
    path = os.path.join(chain.folder, f"checkpoint-{step}", name)
    with open(path, "rb") as file:
        data = bytearray(file.read())
    good = bytes(data)
    data[int(place * (len(data) - 1))] ^= change
    with open(path, "wb") as file:
        file.write(data)
    try:
        before = chain.snapshot()
        for above in range(step, 3 if step < 3 else 4):
            try:
                load_checkpoint(chain.exe, chain.folder, step=above)
            except EnforceNotMet:
                assert chain.snapshot() == before
            else:
                # Spaces between the words of a manifest, or a link that does not read this file.
                assert chain.snapshot() == chain.saved[above]
                before = chain.snapshot()
    finally:
        with open(path, "wb") as file:
            file.write(good)


def _first(manifest, kind="tensor"):
    return next(entry for entry in manifest["variables"].values() if entry["kind"] == kind)


LIES = {
    "a path that escapes": lambda m: m["files"].update({"../values": m["files"].pop("values")}),
    "an absolute path": lambda m: m["files"].update({"/etc/passwd": m["files"].pop("values")}),
    "the manifest itself": lambda m: m["files"].update({"manifest.json": m["files"].pop("values")}),
    "a size": lambda m: m["files"]["values"].update(size=m["files"]["values"]["size"] + 1),
    "a negative size": lambda m: m["files"]["values"].update(size=-1),
    "a sum": lambda m: m["files"]["values"].update(crc32=m["files"]["values"]["crc32"] ^ 1),
    "2^60 elements": lambda m: _first(m)["parts"][0].__setitem__(1, [1 << 60]),
    "2^60 rows of nothing": lambda m: _first(m)["parts"][0].__setitem__(1, [1 << 60, 0]),
    "a negative dimension": lambda m: _first(m)["parts"][0].__setitem__(1, [-1]),
    "33 dimensions": lambda m: _first(m)["parts"][0].__setitem__(1, [1] * 33),
    "an unknown dtype": lambda m: _first(m)["parts"][0].__setitem__(0, "object"),
    "an offset": lambda m: _first(m).update(offset=_first(m)["offset"] + 1),
    "no parts": lambda m: _first(m).update(parts=[]),
    "an unknown kind": lambda m: _first(m).update(kind="pickle"),
    "no variable": lambda m: m["variables"].pop("table"),
    "a tall state": lambda m: _first(m, "row_state").update(shape=[1 << 40, D]),
    "a tall store": lambda m: m["stores"]["table_moment1_0"].update(height=1 << 40),
    "a store of more lines": lambda m: m["stores"]["table_moment1_0"].update(count=V),
    "a store that is not there": lambda m: _first(m, "row_state").update(store="w"),
    "a column": lambda m: _first(m, "row_state").update(column=7),
    "a column of a name": lambda m: _first(m, "row_state").update(column="1"),
    "an added store without a base": lambda m: m["stores"]["table_moment1_0"].update(added=True),
    "rows without a base": lambda m: m["variables"]["table"].update(kind="rows", shape=[V, D]),
    "another step": lambda m: m.update(step=1),
    "a step that is a list": lambda m: m.update(step=[]),
    "a base above": lambda m: m.update(base={"step": 9, "id": ""}),
    "a base that is itself": lambda m: m.update(base={"step": 3, "id": m["id"]}),
    "a base without an id": lambda m: m.update(base={"step": 2}),
    "another format": lambda m: m.update(format="zip"),
    "another version": lambda m: m.update(version=2),
    "no seed": lambda m: m.pop("seed"),
    "no files": lambda m: m.update(files=[]),
    "variables that are a list": lambda m: m.update(variables=[]),
    "readers with an array": lambda m: m.update(readers=[{"@array": 0}]),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_lies(chain, lie):
    _change_manifest(chain.folder, 3, LIES[lie])
    text = _refused(chain, 3)
    assert "checkpoint-3" in text and "step=2 is complete" in text


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"null", b"[" * 100_000, b"\xff", b"9" * 10_000, b'{"format": NaN}']
)
def test_no_manifest(chain, text):
    with open(os.path.join(chain.folder, "checkpoint-3", "manifest.json"), "wb") as file:
        file.write(text)
    _refused(chain, 3, InvalidArgumentError, "manifest.json")


def _rewrite(folder, step, name, part, change):
    """Change the numbers of a part of an entry, and the sum of the file."""
    manifest = manifest_of(folder, step)
    entry = manifest["variables"].get(name) if name == "table" else manifest["stores"][name]
    start = entry["offset"] + sum(
        int(np.prod(shape)) * np.dtype(dtype).itemsize for dtype, shape in entry["parts"][:part]
    )
    path = os.path.join(folder, f"checkpoint-{step}", entry["file"])
    data = np.fromfile(path, np.uint8)
    dtype, shape = entry["parts"][part]
    numbers = data[start : start + int(np.prod(shape)) * np.dtype(dtype).itemsize].view(dtype)
    change(numbers)
    data.tofile(path)
    _change_manifest(folder, step, lambda m: m["files"][entry["file"]].update(crc32=zlib.crc32(data)))


@pytest.mark.parametrize("value", [-1, V, 1 << 30])
@pytest.mark.parametrize(("name", "part"), [("table", 0), ("table_moment1_0", 0), ("table_moment1_0", 1)])
def test_numbers_out_of_range(chain, name, part, value):
    def change(numbers):
        numbers[0] = value

    _rewrite(chain.folder, 1, name, part, change)
    _refused(chain, 1, InvalidArgumentError, "out of range")


def test_two_rows_of_one_line(chain):
    """Threads would write to the same memory."""

    def change(numbers):
        numbers[0] = numbers[1]

    _rewrite(chain.folder, 1, "table_moment1_0", 1, change)
    _refused(chain, 1, InvalidArgumentError, "do not belong together")


def test_a_broken_link_names_the_file_and_what_is_complete(chain):
    file = os.path.join(chain.folder, "checkpoint-0", "values")
    os.rename(file, file + "-away")
    text = _refused(chain, 2, NotFoundError, r"(?s)Checkpoint 1 .*since step 0.*checkpoint-0/values'")
    assert "step=3 is complete" in text
    os.rename(file + "-away", file)
    os.rename(os.path.join(chain.folder, "checkpoint-1"), os.path.join(chain.folder, "away"))
    _refused(chain, 2, NotFoundError, "Checkpoint 2 .*since step 1.*is broken: There is no checkpoint of step 1")
    shutil.copytree(os.path.join(chain.folder, "away"), os.path.join(chain.folder, "checkpoint-1"))
    _change_manifest(chain.folder, 1, lambda m: m.update(id="other"))
    _refused(chain, 2, InvalidArgumentError, "another checkpoint of that step")


def test_the_newest_complete_one_is_loaded(chain):
    os.remove(os.path.join(chain.folder, "checkpoint-3", "values"))
    assert latest_checkpoint(chain.folder) == 2
    with pytest.warns(UserWarning, match="checkpoint 3 .*passed over: .*values' does not exist"):
        assert load_checkpoint(chain.exe, chain.folder) == 2
    assert chain.snapshot() == chain.saved[2]
    os.remove(os.path.join(chain.folder, "checkpoint-0", "manifest.json"))
    assert latest_checkpoint(chain.folder) is None
    text = _refused(chain, None, NotFoundError, "no complete checkpoint")
    assert all(f"checkpoint {step}" in text for step in range(4))


def test_an_incomplete_one_makes_room(chain):
    os.remove(os.path.join(chain.folder, "checkpoint-3", "values"))
    save_checkpoint(chain.exe, chain.folder, 3)
    saved = chain.snapshot()
    chain.start()
    load_checkpoint(chain.exe, chain.folder)
    assert chain.snapshot() == saved


def test_nothing_there(fresh, folder):
    fluid.layers.create_parameter([2, 3], "float32", name="w")
    assert latest_checkpoint(folder) is None
    for path in (folder, os.path.dirname(folder)):
        with pytest.raises(NotFoundError, match="(?s)no complete checkpoint.*latest_checkpoint"):
            load_checkpoint(fresh.exe, path)
    with pytest.raises(NotFoundError, match="There is no checkpoint of step 4"):
        load_checkpoint(fresh.exe, folder, step=4)
    assert not fresh.scope.local_var_names()
