"""Training over a dataset: the same bits as by hand, what is printed, refusals, interrupts."""

import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from dataset_files import (
    LINES,
    ROOT,
    is_gone,
    make,
    no_threads_are_left,  # noqa: F401
    numbered,
    variables,
    write_fixture,  # noqa: F401
)

import fluidlite as fluid
from fluidlite.errors import InvalidArgumentError, InvalidTypeError
from fluidlite.lod_tensor import LoDTensor
from fluidlite.trainer import FetchHandler, format_tensor


def model():
    """A mean over fc(x), trained by SGD; everything starts at 0.5."""
    x = fluid.layers.data("x", [2])
    y = fluid.layers.data("y", [1], dtype="int64")
    half = fluid.initializer.Constant(0.5)
    hidden = fluid.layers.fc(x, 3, param_attr=fluid.ParamAttr(name="w", initializer=half))
    loss = fluid.layers.mean(hidden)
    fluid.optimizer.SGD(0.1).minimize(loss)
    return [x, y], loss


# What Fluid 1.8.5 prints for `model` and these lines.
MODEL_LINES = ["2 1 2 1 0", "2 3 4 1 1", "2 5 6 1 1"]
PRINTED = (
    "loss\tmean_0.tmp_0\t\tlod: {}\n\tdim: 1\n\tlayout: NCHW\n\tdtype: float\n\tdata: [2.5]\n\t\n"
    "loss\tmean_0.tmp_0\t\tlod: {}\n\tdim: 1\n\tlayout: NCHW\n\tdtype: float\n\tdata: [4.53333]\n\t\n"
)


class TestTraining:
    def test_prints_what_fluid_prints_and_learns_what_fluid_learns(self, fresh, write, capsys):
        use, loss = model()
        fresh.start()
        dataset = make(use, [write("a", MODEL_LINES)])
        result = fresh.exe.train_from_dataset(fresh.main, dataset, None, 0, False, [loss], ["loss"], 1)
        assert result is None
        assert capsys.readouterr().out == PRINTED
        np.testing.assert_allclose(fresh.value("w"), [[0.26666665] * 3, [0.2] * 3], rtol=1e-6)

    @pytest.mark.parametrize("kind", ["QueueDataset", "InMemoryDataset"])
    @pytest.mark.parametrize("fetch", [True, False])
    def test_equals_exe_run_bit_for_bit(self, make_fresh, write, threads, kind, fetch):
        """A model with sequences, trained through the dataset and by hand."""
        files = [write("a", numbered(23)), write("b", numbered(20, 50))]

        def train(by_hand):
            with make_fresh() as one:
                one.main.random_seed = one.startup.random_seed = 3
                ids, dense, label = variables()
                rows = fluid.layers.embedding(ids, [11, 5], is_sparse=True)
                first = fluid.layers.fc(rows, 1, bias_attr=False)
                score = fluid.layers.fc(dense, 1, act="sigmoid")
                loss = fluid.layers.mean(fluid.layers.square(first))
                target = fluid.layers.scale(label.astype("float32"), 0.01)
                loss = loss + fluid.layers.mean(fluid.layers.square(score - target))
                fluid.optimizer.Adam(0.01, lazy_mode=True).minimize(loss)
                one.start()
                dataset = make([ids, dense, label], files, 7, kind)
                if kind == "InMemoryDataset":
                    dataset.load_into_memory()
                    dataset.local_shuffle()
                if by_hand:
                    for feed in dataset.batches():
                        one.run(feed, [loss])
                else:
                    fetched = {"fetch_list": [loss], "print_period": 2} if fetch else {}
                    one.exe.train_from_dataset(one.main, dataset, scope=one.scope, **fetched)
                return one.snapshot()

        assert train(False) == train(True)

    def test_the_period_counts_batches(self, fresh, write, capsys):
        label = variables()[2]
        dataset = make([label], [write("a", [f"1 {i}" for i in range(7)])], 1)
        fresh.exe.train_from_dataset(fresh.main, dataset, fetch_list=["label"], print_period=3)
        printed = [line.strip() for line in capsys.readouterr().out.splitlines() if "data" in line]
        assert printed == ["data: [2]", "data: [5]"]

    def test_without_info_the_names_are_printed(self, fresh, write, capsys):
        label = variables()[2]
        dataset = make([label], [write("a", ["1 5"])])
        fresh.exe.train_from_dataset(fresh.main, dataset, fetch_list=[label], print_period=1)
        assert capsys.readouterr().out.startswith("label\tlabel\t\tlod: {}\n")

    def test_the_default_program_and_a_scope(self, fresh, write):
        use, _ = model()
        other = fluid.Scope()
        fresh.exe.run(fresh.startup, scope=other)
        fresh.exe.train_from_dataset(dataset=make(use, [write("a", MODEL_LINES)]), scope=other)
        assert other.find_var("w").get_tensor().value[0, 0] != 0.5
        assert fresh.scope.find_var("w") is None

    def test_infer_warns_of_a_program_that_trains(self, fresh, write, capsys):
        """Fluid runs the program as it is, optimizer and all."""
        use, loss = model()
        test = fresh.main.clone(for_test=True)
        fresh.start()
        dataset = make(use, [write("a", MODEL_LINES)])
        fresh.exe.infer_from_dataset(test, dataset, fetch_list=[loss], print_period=1)
        assert (fresh.value("w") == 0.5).all()
        assert "data: [2.5]" in capsys.readouterr().out
        with pytest.warns(UserWarning, match=r"updates parameters \(sgd\); pass program.clone") as caught:
            fresh.exe.infer_from_dataset(fresh.main, dataset)
        assert caught[0].filename == __file__
        assert (fresh.value("w") != 0.5).all()

    def test_a_bad_line_stops_the_training_behind_the_batches_before_it(self, make_fresh, write):
        def train(lines):
            with make_fresh() as one:
                use, _ = model()
                one.start()
                dataset = make(use, [write(f"{len(lines)}", lines)])
                if lines[-1] == "bad":
                    with pytest.raises(InvalidArgumentError, match="line 5"):
                        one.exe.train_from_dataset(one.main, dataset)
                else:
                    one.exe.train_from_dataset(one.main, dataset)
                return one.snapshot()

        good = MODEL_LINES + MODEL_LINES[:1]
        assert train([*good, "bad"]) == train(good)

    def test_an_error_in_the_program_ends_the_readers(self, fresh, write, tmp_path):
        ids, dense, label = variables()
        fluid.layers.mean(fluid.layers.embedding(ids, [3, 2], param_attr="table")).persistable = True
        fresh.start()
        mark = tmp_path / "pid"
        command = f"echo $$ > {mark}; while true; do echo 1 4 2 1 2 1 7; done"
        dataset = make([ids, dense, label], [write("a", LINES)], pipe_command=command)
        with pytest.raises(fluid.core.EnforceNotMet, match="4"):
            fresh.exe.train_from_dataset(fresh.main, dataset)
        assert is_gone(int(mark.read_text()))

    def test_refusals_before_the_first_batch(self, fresh, write):
        use, loss = model()
        fresh.start()
        dataset, train = make(use, [write("a", MODEL_LINES)]), fresh.exe.train_from_dataset
        with pytest.raises(RuntimeError, match="dataset is need and should be initialized"):
            train(fresh.main)
        with pytest.raises(InvalidTypeError, match="no Dataset"):
            train(fresh.main, "dataset")
        with pytest.raises(InvalidTypeError, match="requires Program"):
            train("program", dataset)
        with pytest.raises(InvalidArgumentError, match="fetch_info"):
            train(fresh.main, dataset, fetch_list=[loss], fetch_info=["a", "b"])
        with pytest.raises(InvalidTypeError, match="fetch_list"):
            train(fresh.main, dataset, fetch_list=[3])
        for period in (0, -1, 1.5):
            with pytest.raises(InvalidArgumentError, match="print_period"):
                train(fresh.main, dataset, print_period=period)
        assert (fresh.value("w") == 0.5).all()

    def test_fetch_handler(self, fresh, write):
        use, loss = model()
        fresh.start()
        seen = []

        class Watch(fluid.executor.FetchHandler):
            def handler(self, res_dict):
                seen.append({key: value.copy() for key, value in res_dict.items()})

        w = fresh.main.global_block().var("w")
        dataset = make(use, [write("a", MODEL_LINES)])
        fresh.exe.train_from_dataset(fresh.main, dataset, fetch_handler=Watch({"cost": loss, "weight": w}, 0))
        assert [d["cost"].shape for d in seen] == [(1,), (1,)]
        np.testing.assert_allclose(seen[0]["cost"], [2.5])
        np.testing.assert_array_equal(seen[-1]["weight"], fresh.value("w"))
        seen.clear()
        fresh.exe.train_from_dataset(fresh.main, dataset, fetch_handler=Watch({"cost": loss}))
        assert seen == [], "60 seconds have not passed"
        with pytest.raises(InvalidArgumentError, match="needs variables"):
            FetchHandler(None)

    def test_the_handler_of_fluid_prints_first_rows(self, capsys):
        FetchHandler({"x": "x"}).handler({"x": np.float32([2.5, 3]), "empty": np.float32([])})
        assert capsys.readouterr().out == "x[0]: 2.5 \n"


class TestProgress:
    def train(self, fresh, write, **options):
        use, _ = model()
        fresh.start()
        fresh.exe.train_from_dataset(fresh.main, make(use, [write("a", MODEL_LINES)]), **options)

    def test_silent_where_nobody_watches(self, fresh, write, capsys):
        self.train(fresh, write)
        assert capsys.readouterr() == ("", "")

    def test_debug(self, fresh, write, capsys):
        self.train(fresh, write, debug=True)
        err = capsys.readouterr().err
        assert err.startswith("2 batches, 3 samples, ") and err.endswith(" samples/s\n")

    def test_a_terminal_gets_a_line_in_one_place_once_a_second(self, fresh, write, monkeypatch):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

        clock = iter(np.arange(0, 1000, 0.3))
        monkeypatch.setattr("fluidlite.trainer.time.monotonic", lambda: float(next(clock)))
        monkeypatch.setattr(sys, "stderr", Terminal())
        label = variables()[2]
        dataset = make([label], [write("a", [f"1 {i}" for i in range(40)])], 1)
        fresh.exe.train_from_dataset(fresh.main, dataset)
        pieces = sys.stderr.getvalue().split("\r\x1b[K")[1:]
        assert 3 <= len(pieces) <= 20
        assert all("\n" not in piece for piece in pieces[:-1])
        assert pieces[-1].startswith("40 batches, 40 samples, ") and pieces[-1].endswith("\n")

    def test_no_stderr(self, fresh, write, monkeypatch):
        monkeypatch.setattr(sys, "stderr", None)
        self.train(fresh, write, debug=True)


def test_the_benchmark_runs():
    script = os.path.join(ROOT, "benchmarks", "dataset.py")
    done = subprocess.run(
        [sys.executable, script, "--lines", "50", "--rounds", "1", "--batch-size", "7"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    rows = [line.split()[:2] for line in done.stdout.splitlines()]
    assert rows == [["fluidlite", "cat"], ["fluidlite", "pipe"], ["fluidlite", "pipe"]]


def test_format_of_numbers():
    """As C++ streams write them, six digits (recorded from Fluid 1.8.5)."""
    value = np.array([1e-7, 1e20, 0.1, 123456789, 1 / 3, -0.0, np.inf, np.nan], np.float32)
    text = format_tensor("x", LoDTensor(value.reshape(-1, 1), [[0, 2, 8]]))
    assert text == (
        "x\t\tlod: {{0, 2, 8}}\n\tdim: 8, 1\n\tlayout: NCHW\n\tdtype: float\n"
        "\tdata: [1e-07 1e+20 0.1 1.23457e+08 0.333333 -0 inf nan]\n\t"
    )


def test_ctrl_c(tmp_path):
    """An interrupt ends the training at once, and the pipe command with it."""
    mark = tmp_path / "pid"
    (tmp_path / "a").write_text("1 0\n")
    script = tmp_path / "train.py"
    script.write_text(
        "import fluidlite as fluid\n"
        "label = fluid.layers.data('label', [1], dtype='int64')\n"
        "d = fluid.DatasetFactory().create_dataset()\n"
        "d.set_use_var([label]); d.set_batch_size(2)\n"
        f"d.set_filelist([{str(tmp_path / 'a')!r}])\n"
        f"d.set_pipe_command('echo $$ > {mark}; sleep 1000')\n"
        "try:\n"
        "    fluid.Executor().train_from_dataset(dataset=d)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    env = {**os.environ, "PYTHONPATH": ROOT}
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=env)
    for _ in range(600):
        if mark.exists() and mark.read_text().strip():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "interrupted\n"
    assert process.returncode == 0
    assert is_gone(int(mark.read_text()))
