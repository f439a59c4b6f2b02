"""Checkpoints that the system or a wrong call prevents: what is there stays whole."""

import contextlib
import errno
import os
import resource
import shutil
import tempfile

import checkpoint_models
import pytest
from checkpoint_models import refuse, train, word_model

import fluidlite as fluid
from fluidlite.errors import InvalidArgumentError, InvalidTypeError, UnavailableError
from fluidlite.io import checkpoint_folder, load_checkpoint, save_checkpoint

folder = checkpoint_models.folder


@pytest.fixture
def one_saved(fresh, folder):
    _, loss = word_model(fresh)
    fresh.start()
    train(fresh, loss, 2)
    save_checkpoint(fresh.exe, folder, 2)
    fresh.saved, fresh.folder = fresh.snapshot(), folder
    train(fresh, loss, 3, 2)
    return fresh


def _check_intact(fresh):
    assert os.listdir(fresh.folder) == ["checkpoint-2"]
    load_checkpoint(fresh.exe, fresh.folder)
    assert fresh.snapshot() == fresh.saved


@pytest.mark.parametrize("function", ["fsync", "rename", "mkdir"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES])
def test_the_system_refuses(one_saved, monkeypatch, function, number):
    with monkeypatch.context() as patch:
        patch.setattr(os, function, refuse(number))
        with pytest.raises(UnavailableError, match=f"(?s)could not be saved.*{os.strerror(number)}.*is that of step 2"):
            save_checkpoint(one_saved.exe, one_saved.folder, 3)
    _check_intact(one_saved)


@pytest.mark.parametrize("limit", [0, 1, 1000, 3000])
def test_a_file_that_may_not_grow(one_saved, limit):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(UnavailableError, match="(?s)could not be saved.*File too large"):
            save_checkpoint(one_saved.exe, one_saved.folder, 3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    _check_intact(one_saved)


@contextlib.contextmanager
def _nobody(folder):
    """As a user who may read the folder alone."""
    os.chmod(folder, 0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(0)
        os.chmod(folder, 0o755)


def test_a_folder_that_may_not_be_written(one_saved):
    path = tempfile.mkdtemp()  # not below a folder that only this user may enter
    os.rename(os.path.join(one_saved.folder, "checkpoint-2"), os.path.join(path, "checkpoint-2"))
    one_saved.folder = path
    try:
        with _nobody(path), pytest.raises(UnavailableError, match="(?s)could not be saved.*Permission denied"):
            save_checkpoint(one_saved.exe, path, 3)
        _check_intact(one_saved)
    finally:
        shutil.rmtree(path)


def test_a_folder_that_is_none(one_saved, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UnavailableError, match="could not be saved"):
            save_checkpoint(one_saved.exe, path, 3)
    with pytest.raises(UnavailableError, match="embedded null"):
        save_checkpoint(one_saved.exe, "a\0b", 3)


def test_a_folder_that_somebody_saves_to(one_saved):
    with (
        checkpoint_folder.locked(one_saved.folder),
        pytest.raises(UnavailableError, match="Another process or thread is saving"),
    ):
        save_checkpoint(one_saved.exe, one_saved.folder, 3)
    _check_intact(one_saved)
    save_checkpoint(one_saved.exe, one_saved.folder, 3)


def test_what_killed_saves_left_is_removed(one_saved):
    os.mkdir(os.path.join(one_saved.folder, ".saving-0123"))
    with open(os.path.join(one_saved.folder, ".saving-0123", "values"), "wb") as file:
        file.write(b"x")
    with open(os.path.join(one_saved.folder, "notes.txt"), "wb") as file:
        file.write(b"mine")
    save_checkpoint(one_saved.exe, one_saved.folder, 3)
    assert sorted(os.listdir(one_saved.folder)) == ["checkpoint-2", "checkpoint-3", "notes.txt"]


@pytest.mark.parametrize(
    ("call", "error", "why"),
    [
        (lambda f: save_checkpoint(f.folder, f.exe, 3), InvalidTypeError, "executor comes first"),
        (lambda f: save_checkpoint(f.exe, f.folder, 2), InvalidArgumentError, "(?s)has one of step 2.*a step above 2"),
        (lambda f: save_checkpoint(f.exe, f.folder, 1), InvalidArgumentError, "folder of its own"),
        (lambda f: save_checkpoint(f.exe, f.folder, -1), InvalidArgumentError, "no step number"),
        (lambda f: save_checkpoint(f.exe, f.folder, True), InvalidArgumentError, "no step number"),
        (lambda f: save_checkpoint(f.exe, f.folder, "3"), InvalidArgumentError, "no step number"),
        (lambda f: save_checkpoint(f.exe, f.folder, 3, keep=0), InvalidArgumentError, "int >= 1"),
        (lambda f: save_checkpoint(f.exe, f.folder, 3, "main"), InvalidTypeError, "fluid.Program"),
        (lambda f: save_checkpoint(f.exe, f.folder, 3, scope="s"), InvalidTypeError, "not a Scope"),
        (lambda f: save_checkpoint(f.exe, f.folder, 3, readers=[3]), InvalidTypeError, "has no position"),
        (lambda f: save_checkpoint(f.exe, f.folder, 3, scope=fluid.Scope()), UnavailableError, "startup program first"),
        (lambda f: load_checkpoint(f.folder, f.exe), InvalidTypeError, "executor comes first"),
        (lambda f: load_checkpoint(f.exe, f.folder, step=-1), InvalidArgumentError, "no step number"),
        (
            lambda f: load_checkpoint(f.exe, f.folder, readers=[fluid.DatasetFactory().create_dataset()]),
            InvalidArgumentError,
            "(?s)does not fit the readers.*0 readers.*1 readers",
        ),
    ],
)
def test_wrong_calls(one_saved, call, error, why):
    before = one_saved.snapshot()
    with pytest.raises(error, match=why):
        call(one_saved)
    assert one_saved.snapshot() == before
    _check_intact(one_saved)
