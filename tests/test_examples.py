"""The examples, run as a user runs them, in short."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
SHORT = ["--dict-size", "40", "--embed-size", "6", "--batch-size", "64"]


@pytest.fixture
def load(monkeypatch):
    """Imports an example anew, with the packages named made impossible to import."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    # The processes that --compare starts inherit sys.path: both the examples and the package have to be on it.
    monkeypatch.syspath_prepend(str(ROOT))

    def load_example(name, blocked=()):
        for module in ("word_emb", "corpus", "sparse_adam", "hashed_ctr"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        for module in blocked:
            monkeypatch.setitem(sys.modules, module, None)
        return importlib.import_module(name)

    yield load_example
    for module in ("word_emb", "corpus", "sparse_adam", "hashed_ctr"):
        sys.modules.pop(module, None)


@pytest.fixture
def corpus_file(tmp_path):
    """Sentences whose next word is often certain, so that a model of four words beats one of none by far."""
    rng = np.random.default_rng(5)
    animals = ["cat", "dog", "horse", "sheep", "hen"]
    places = ["meadow", "kitchen", "garden", "forest", "village"]
    lines = [f"the {rng.choice(animals)} walks slowly through the old {rng.choice(places)} ." for _ in range(260)]
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def perplexities(output):
    """The test perplexity of every epoch, and the unigram model's."""
    found = re.findall(r"epoch \d+/\d+: test perplexity ([\d.]+) \(unigram ([\d.]+)\)", output)
    return [float(test) for test, _ in found], float(found[0][1])


def read_word2vec(path):
    """{word: vector} of a word2vec text file, strictly: header, one line for each word, no empty words."""
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    n_words, width = map(int, header.split())
    assert len(lines) == n_words
    vectors = {}
    for line in lines:
        word, *numbers = line.split(" ")
        assert word and len(numbers) == width
        vectors[word] = np.array(numbers, np.float32)
    assert len(vectors) == n_words
    return vectors


def test_sparse_adam(load, capsys):
    assert load("sparse_adam").main([]) == 0
    output = capsys.readouterr().out
    losses = [float(x) for x in re.findall(r"loss ([\d.]+)", output)]
    assert len(losses) >= 3 and losses == sorted(losses, reverse=True)
    assert "value (20, 50)" in output and "kept their bits" in output


def run_script(*arguments, cwd=None):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
    )


def test_sparse_adam_as_a_script(tmp_path):
    process = run_script(EXAMPLES / "sparse_adam.py", cwd=tmp_path)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert "kept their bits" in output


@pytest.mark.parametrize(
    "way",
    [
        ["--optimizer", "adam"],
        ["--optimizer", "adam", "--no-is-sparse"],
        ["--optimizer", "sgd"],
        ["--optimizer", "sgd", "--no-is-sparse"],
        ["--optimizer", "sparse_adam"],
    ],
    ids=" ".join,
)
def test_word_emb_learns(load, corpus_file, tmp_path, capsys, way):
    rate = "0.3" if "sgd" in way else "0.002"
    arguments = ["--corpus", str(corpus_file), "--output", str(tmp_path / "out"), "--learning-rate", rate]
    assert load("word_emb").main([*SHORT, *way, *arguments, "--epochs", "4"]) == 0
    captured = capsys.readouterr()
    test, unigram = perplexities(captured.out)
    assert len(test) == 4
    assert test[-1] < test[0]
    assert test[-1] < unigram / 3
    assert "words/s" in captured.err and "loss" in captured.err

    vectors = read_word2vec(tmp_path / "out" / "vectors.txt")
    assert {"<unk>", "cat", "meadow", "."} <= set(vectors)
    assert all(np.isfinite(v).all() for v in vectors.values())
    assert re.search(r"^  (walks|slowly|through) +\w+ -?\d\.\d\d", captured.out, re.MULTILINE)


def test_dense_and_sparse_sgd_agree(load, corpus_file, tmp_path, capsys):
    word_emb, results = load("word_emb"), []
    for way in ("--is-sparse", "--no-is-sparse"):
        out = tmp_path / way
        arguments = ["--corpus", str(corpus_file), "--optimizer", "sgd", "--epochs", "1", "--output", str(out)]
        assert word_emb.main([*SHORT, way, *arguments]) == 0
        results.append(np.array(list(read_word2vec(out / "vectors.txt").values())))
    np.testing.assert_allclose(results[0], results[1], atol=1e-5)
    capsys.readouterr()


def test_a_run_repeats_and_the_seed_matters(load, corpus_file, tmp_path, capsys):
    word_emb, files = load("word_emb"), []
    for name, seed in (("first", "3"), ("again", "3"), ("other", "4")):
        arguments = ["--corpus", str(corpus_file), "--epochs", "1", "--seed", seed, "--output", str(tmp_path / name)]
        assert word_emb.main([*SHORT, *arguments]) == 0
        files.append((tmp_path / name / "vectors.txt").read_bytes())
    assert files[0] == files[1]
    assert files[0] != files[2]
    capsys.readouterr()


def test_loss_curve(load, corpus_file, tmp_path, capsys):
    arguments = ["--corpus", str(corpus_file), "--epochs", "2", "--output", str(tmp_path)]
    assert load("word_emb").main([*SHORT, *arguments]) == 0
    output, picture = capsys.readouterr().out, tmp_path / "loss.png"
    if importlib.util.find_spec("matplotlib"):
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert str(picture) in output
    else:
        assert "pip install matplotlib" in output


def test_without_tqdm_and_matplotlib(load, corpus_file, tmp_path, capsys):
    word_emb = load("word_emb", blocked=["tqdm", "matplotlib"])
    assert word_emb.tqdm is None
    assert word_emb.main([*SHORT, "--corpus", str(corpus_file), "--epochs", "1", "--output", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert "matplotlib is not installed" in captured.out
    assert "\r" not in captured.err and "100%" in captured.err
    assert read_word2vec(tmp_path / "vectors.txt")
    assert not (tmp_path / "loss.png").exists()


@pytest.mark.parametrize("blocked", [[], ["tqdm"]], ids=["tqdm if present", "no tqdm"])
def test_progress_on_a_terminal(load, capsys, monkeypatch, blocked):
    word_emb = load("word_emb", blocked)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    progress = word_emb.Progress("epoch 1/1", 300)
    for _ in range(3):
        progress.update(100, 1.25)
    progress.close()
    shown = capsys.readouterr().err
    assert "\r" in shown and "epoch 1/1" in shown and "loss 1.25" in shown and shown.endswith("\n")


def test_the_default_text_is_english(load):
    corpus = load("corpus").read_corpus()
    assert len(corpus.train) > 20_000 and len(corpus.test) > 2_000
    assert corpus.words[0] == "<unk>" and {"the", "class", "function"} <= set(corpus.words)
    assert not any(re.search(r"\s", word) for word in corpus.words)
    assert 100 < corpus.unigram_perplexity < 1000
    for windows in (corpus.train, corpus.test):
        assert windows.min() == 0 and windows.max() < len(corpus.words)


def test_unigram_perplexity(load, tmp_path):
    # Blocks of ten words; of the last one, "b a b a b | a b a b a" makes six targets: b a b a b a.
    path = tmp_path / "ab.txt"
    path.write_text("a " * 90 + "b a b a b a b a b a", encoding="utf-8")
    corpus = load("corpus").read_corpus(path, dict_size=5)
    assert corpus.words == ["<unk>", "a"]
    # With add-one smoothing P(a) = 91/92 and P(<unk>) = 1/92.
    assert corpus.unigram_perplexity == pytest.approx((91 / 92 / 92) ** -0.5)


def test_interrupted_run_saves_what_is_there(corpus_file, tmp_path):
    arguments = ["--corpus", corpus_file, "--output", tmp_path / "out", "--epochs", "100000"]
    # Python leaves Ctrl-C alone where it was ignored by the parent, as a shell's background jobs do.
    listen = "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); del sys.argv[0]; "
    listen += "sys.path.insert(0, sys.argv[0].rpartition('/')[0]); runpy.run_path(sys.argv[0], run_name='__main__')"
    process = run_script("-c", listen, EXAMPLES / "word_emb.py", *SHORT, *arguments)
    for line in process.stdout:
        if "epoch 2/" in line:
            break
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted" in output and "Traceback" not in output + errors
    assert read_word2vec(tmp_path / "out" / "vectors.txt")


def test_compare(load, corpus_file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--corpus", str(corpus_file), "--dict-size", "5000", "--embed-size", "6", "--batch-size", "16"]
    assert load("word_emb").main(["--compare", "--steps", "5", *arguments]) == 0
    output = capsys.readouterr().out
    rows = {way: re.search(rf"^{way} .*$", output, re.MULTILINE).group() for way in ("True", "False")}
    # Four look-ups of 16 rows, each an int64 and six float32, against the whole table.
    assert f"{4 * 16 * (8 + 6 * 4):,} bytes" in rows["True"]
    assert f"{5000 * 6 * 4:,} bytes" in rows["False"]
    assert list(tmp_path.iterdir()) == [corpus_file]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--optimizer", "sparse_adam", "--no-is-sparse"], "needs sparse gradients and cannot go with --no-is-sparse"),
        (["--optimizer", "sparse_adam", "--compare"], "cannot go with --compare"),
        (["--dict-size", "1"], "--dict-size must be at least 2, not 1"),
        (["--epochs", "0"], "--epochs must be at least 1, not 0"),
        (["--seed", "0"], "--seed must be at least 1"),
        (["--learning-rate", "nan"], "--learning-rate must be a positive number, not nan"),
        (["--learning-rate", "-1"], "--learning-rate must be a positive number"),
        (["--optimizer", "adagrad"], "invalid choice: 'adagrad'"),
    ],
    ids=" ".join,
)
def test_bad_arguments(load, capsys, arguments, sentence):
    with pytest.raises(SystemExit) as caught:
        load("word_emb").main(arguments)
    assert caught.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "No such file or directory"),
        ("", "too short: it has 0 words"),
        ("one two three", "too short: it has 3 words"),
        (" ".join(f"w{'a' * k}" for k in range(200)), "none of its words occurs twice"),
    ],
    ids=["missing", "empty", "short", "all different"],
)
def test_bad_corpus(load, tmp_path, capsys, text, sentence):
    path, out = tmp_path / "text.txt", tmp_path / "out"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert load("word_emb").main(["--corpus", str(path), "--output", str(out)]) == 1
    errors = capsys.readouterr().err
    assert sentence in errors and errors.count("\n") == 1
    assert not out.exists()


def test_output_that_is_a_file(load, corpus_file, capsys):
    assert load("word_emb").main([*SHORT, "--corpus", str(corpus_file), "--output", str(corpus_file)]) == 1
    assert f"cannot use {corpus_file}" in capsys.readouterr().err


def test_a_table_larger_than_memory(load, corpus_file, tmp_path, capsys):
    arguments = ["--dict-size", str(10**12), "--corpus", str(corpus_file), "--output", str(tmp_path)]
    assert load("word_emb").main(arguments) == 1
    assert "word_table" in capsys.readouterr().err


def reports(output):
    """The lines of hashed_ctr: {name: number}."""
    pattern = r"examples +([\d,]+)  loss ([\d.]+)  auc ([\d.]+)  live rows +([\d,]+)  memory +([\d.]+) MB"
    names = ("examples", "loss", "auc", "rows", "memory")
    lines = re.findall(pattern, output)
    return [dict(zip(names, (float(x.replace(",", "")) for x in line), strict=True)) for line in lines]


def test_hashed_ctr_learns(load, capsys):
    arguments = "--examples 30000 --batch-size 500 --width 4 --reports 6 --learning-rate 0.01"
    assert load("hashed_ctr").main(arguments.split()) == 0
    first, *_, last = reports(capsys.readouterr().out)
    assert last["examples"] == 30_000 and last["auc"] > 0.7 and last["loss"] < first["loss"]
    assert 10_000 < first["rows"] < last["rows"] and first["memory"] < last["memory"] < 60


def test_hashed_ctr_with_entry_and_eviction(load, capsys):
    arguments = ["--examples", "8000", "--batch-size", "500", "--width", "4", "--reports", "2"]
    rows = []
    for more in ([], ["--count-filter", "3"], ["--shrink", "4"]):
        assert load("hashed_ctr").main(arguments + more) == 0
        output = capsys.readouterr().out
        rows.append(reports(output)[-1]["rows"])
    assert rows[1] < 0.5 * rows[0] and rows[2] < rows[0]
    assert re.search(r"dropped [\d,]+ rows not seen for 4 steps", output)


def test_hashed_ctr_reads_lines_of_criteo(load, tmp_path, capsys):
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(3000):
        label = rng.integers(2)
        counts = [str(rng.integers(-1, 50)) if rng.random() < 0.8 else "" for _ in range(13)]
        values = [f"{rng.integers(20):08x}" if rng.random() < 0.9 else "" for _ in range(25)]
        lines.append("\t".join([str(label), *counts, *values, f"{label * 7:x}"]))
    path = tmp_path / "train.txt"
    path.write_text("\n".join(lines) + "\n")
    arguments = ["--data", str(path), "--batch-size", "100", "--width", "3", "--learning-rate", "0.02"]
    assert load("hashed_ctr").main([*arguments, "--examples", "2950", "--reports", "3"]) == 0
    last = reports(capsys.readouterr().out)[-1]
    assert last["examples"] == 2950 and last["auc"] > 0.99
    path.write_text("\n".join([*lines[:4], lines[4] + "\t1"]))
    with pytest.raises(SystemExit, match="line 5 is not of Criteo's format"):
        load("hashed_ctr").main(arguments)
