"""paddle.dataset: what Fluid 1.8.5 gave for the same archives, and what is said of missing ones."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from fluidlite.compat import dataset
from fluidlite.compat.dataset import common, imikolov, movielens, uci_housing

from .archives import make
from .results import results
from .running import run

GOLDEN = json.loads((Path(__file__).parent / "data" / "datasets.json").read_text())


@pytest.fixture
def home(tmp_path, monkeypatch):
    make(tmp_path)
    monkeypatch.setattr(common, "DATA_HOME", str(tmp_path))
    return tmp_path


def test_results_are_those_of_fluid(home):
    found = json.loads(json.dumps(results(dataset)))
    assert sorted(found) == sorted(GOLDEN)
    for name, value in GOLDEN.items():
        assert found[name] == value, name


def test_readers_start_again(home):
    words = imikolov.build_dict(0)
    for reader in (imikolov.train(words, 2), movielens.test(test_ratio=0.5), uci_housing.train()):
        assert len(list(reader())) == len(list(reader())) > 0


def test_random_state_of_the_program_is_left_alone(home):
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    list(movielens.train()())
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_samples_of_houses_are_the_readers_own(home):
    features, price = next(uci_housing.train()())
    features[:], price[:] = 0, 0
    assert next(uci_housing.train()())[0].any()


def test_ties_between_words_and_marks_are_no_error(home):
    # '<s>' and b'the' may be equally frequent; Fluid on Python 3 cannot sort them then.
    words = imikolov.build_dict(-1)
    assert sorted(words.values()) == list(range(len(words)))


def test_files_are_found_by_their_plain_names(home):
    folder = home / "imikolov"
    (folder / "imikolov%2Fsimple-examples.tgz").rename(folder / "simple-examples.tgz")
    assert imikolov.build_dict(0)


@pytest.mark.parametrize("name", ["imikolov", "imdb", "movielens", "uci_housing", "conll05"])
def test_a_missing_file_is_named(tmp_path, monkeypatch, name):
    monkeypatch.setattr(common, "DATA_HOME", str(tmp_path))
    with pytest.raises(RuntimeError) as caught:
        getattr(dataset, name).fetch()
    text = str(caught.value)
    assert str(tmp_path) in text and "MD5" in text and "PADDLE_DATA_HOME" in text
    assert "%2F" not in text.split("expected: ")[1].split("\n")[0]
    assert not list(tmp_path.iterdir())


def test_fetch_all(home):
    common.fetch_all()
    (home / "imdb" / "imdb%2FaclImdb_v1.tar.gz").unlink()
    with pytest.raises(RuntimeError, match="imdb"):
        common.fetch_all()


def test_split_and_cluster_files_reader(tmp_path):
    common.split(lambda: range(10), 3, str(tmp_path / "part-%05d.pickle"))
    parts = sorted(tmp_path.iterdir())
    assert [pickle.loads(part.read_bytes()) for part in parts] == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]
    read = [list(common.cluster_files_reader(str(tmp_path / "*.pickle"), 2, i)()) for i in range(2)]
    assert read == [[0, 1, 2, 3, 7, 8, 9], [4, 5, 6]]
    with pytest.raises(TypeError):
        common.split(lambda: range(3), 3, dumper=None)


def test_md5file(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert common.md5file(tmp_path / "file") == "900150983cd24fb0d6963f7d28e17f72"


def test_programs_find_data_sets_in_the_folder_of_the_environment(tmp_path):
    (tmp_path / "home").mkdir()
    make(tmp_path / "home")
    (tmp_path / "script.py").write_text(
        "import paddle\n"
        "words = paddle.dataset.imikolov.build_dict(2)\n"
        "batches = paddle.batch(paddle.dataset.imikolov.train(words, 3), 5)\n"
        "print(len(words), next(batches())[0], paddle.dataset.common.DATA_HOME)\n"
    )
    for home in (str(tmp_path / "home"), str(tmp_path / "nothing")):
        done = run(["script.py"], tmp_path, env={"PADDLE_DATA_HOME": home})
        if home.endswith("home"):
            assert done.stdout.endswith(f"{home}\n") and done.returncode == 0, done.stderr
        else:
            assert "needs the file simple-examples.tgz" in done.stderr and home in done.stderr
            assert 'script.py", line 2' in done.stderr


def test_the_folder_is_that_of_fluid_unless_said_otherwise(tmp_path):
    where = "from fluidlite.compat.dataset import common; print(common.DATA_HOME)"
    done = run(["-c", where], tmp_path, module=False, env={"PADDLE_DATA_HOME": "", "HOME": str(tmp_path)})
    assert done.stdout == os.path.join(str(tmp_path), ".cache", "paddle", "dataset") + "\n"
