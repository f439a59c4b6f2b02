"""Files that are complete or not there, and names that stay in their folder."""

import os

import pytest

from fluidlite.errors import InvalidArgumentError, NotFoundError, UnavailableError
from fluidlite.formats.files import atomic_files, bytes_source, open_source, path_inside


def test_new_files_replace_old_ones_together(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with atomic_files("The model") as files:
        for name in ("a", "inner/b"):
            with files.open(str(tmp_path / name)) as file:
                file.write(name.encode())
        assert (tmp_path / "a").read_bytes() == b"old"
    assert (tmp_path / "a").read_bytes() == b"a"
    assert (tmp_path / "inner" / "b").read_bytes() == b"inner/b"
    assert sorted(os.listdir(tmp_path)) == ["a", "inner"]


def test_a_failure_leaves_what_was_there(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(KeyError):
        with atomic_files("The model") as files:
            with files.open(str(tmp_path / "a")) as file:
                file.write(b"new")
            raise KeyError
    assert (tmp_path / "a").read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


def test_a_full_disk(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(UnavailableError, match=r"(?s)The model could not be saved: .*No space.*unchanged"):
        with atomic_files("The model") as files, files.open(str(tmp_path / "a")):
            raise OSError(28, "No space left on device")
    assert (tmp_path / "a").read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


def test_a_folder_in_the_place_of_a_file(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(UnavailableError, match="is a folder"):
        with atomic_files("The model") as files:
            for name in ("a", "b"):
                with files.open(str(tmp_path / name)) as file:
                    file.write(b"new")
    assert (tmp_path / "a").read_bytes() == b"old" and sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_new_files_have_ordinary_permissions(tmp_path):
    (tmp_path / "ordinary").write_bytes(b"")
    with atomic_files("The model") as files, files.open(str(tmp_path / "a")):
        pass
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, error, why in (
        ("missing", NotFoundError, "does not exist"),
        ("pipe", UnavailableError, "not an ordinary file"),
        (".", UnavailableError, "not an ordinary file"),
        ("a\0b", UnavailableError, "null"),
    ):
        with pytest.raises(error, match=why), open_source(str(tmp_path / name)):
            pass


@pytest.mark.parametrize("name", ["w", "fc_0.w_0", "a/b", "..w", "save_infer_model/scale_0.tmp_0", "@STEP@", "w\\x"])
def test_names_inside(name):
    assert path_inside("folder", name, "Variable") == os.path.join("folder", name)


@pytest.mark.parametrize("name", ["", ".", "..", "../w", "a/../../w", "/w", "a/..", "w\0"])
def test_names_that_lead_out(name):
    with pytest.raises(InvalidArgumentError, match="not the name of a file inside 'folder'"):
        path_inside("folder", name, "Variable")


def test_a_source_knows_what_is_left():
    source = bytes_source(bytes(10), "File 'x'")
    assert source.unpack("I", "a number") == 0 and source.left == 6
    with pytest.raises(
        InvalidArgumentError, match=r"(?s)File 'x' .* ends inside a number.*6 bytes left of 10.*copy the file"
    ):
        source.unpack("Q", "a number")
    assert source.left == 6 and source.skip(6, "the rest") == 4
    source.finish()


def test_a_file_that_shrinks(tmp_path):
    path = tmp_path / "w"
    path.write_bytes(bytes(1 << 20))
    with open_source(path) as source:
        os.truncate(path, 10)
        with pytest.raises(InvalidArgumentError, match="became shorter"):
            source.take(1 << 20, "the elements")
