"""``python -m fluidlite SCRIPT``, in real processes."""

import os
import sys
import textwrap

import pytest

import fluidlite
from fluidlite.compat import run as runner

from .running import ROOT, run


def write(folder, name, text):
    (folder / name).write_text(textwrap.dedent(text))
    return name


def test_a_program_trains(tmp_path):
    write(
        tmp_path,
        "train.py",
        """
        import numpy as np
        import paddle
        import paddle.fluid as fluid

        def samples():
            for i in range(20):
                yield np.array([i % 5], "int64"), np.array([i % 5 / 5.0], "float32")

        x = fluid.layers.data("x", [1], dtype="int64")
        y = fluid.layers.data("y", [1])
        row = fluid.layers.embedding(x, size=[5, 3], is_sparse=True)
        loss = fluid.layers.mean(fluid.layers.square_error_cost(fluid.layers.fc(row, 1), y))
        fluid.optimizer.SGD(0.5).minimize(loss)
        exe = fluid.Executor(fluid.CPUPlace())
        exe.run(fluid.default_startup_program())
        losses = []
        for epoch in range(30):
            for batch in paddle.batch(paddle.reader.shuffle(samples, 20), 5)():
                feed = {"x": np.stack([s[0] for s in batch]), "y": np.stack([s[1] for s in batch])}
                losses.append(exe.run(feed=feed, fetch_list=[loss])[0][0])
        print(losses[0] > 10 * losses[-1])
        """,
    )
    done = run(["train.py"], tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("True\n", "", 0)


def test_batch_is_a_function_and_a_module(tmp_path):
    write(
        tmp_path,
        "batches.py",
        """
        import paddle.batch as by_name
        import paddle.batch
        from paddle.batch import batch

        assert by_name is batch is paddle.batch
        print(list(paddle.batch(lambda: iter(range(3)), 2)()))
        """,
    )
    assert run(["batches.py"], tmp_path).stdout == "[[0, 1], [2]]\n"


def test_the_program_is_main(tmp_path):
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", "helper.py", "here = __name__")
    write(
        tmp_path / "sub",
        "script.py",
        """
        import pickle, sys, helper
        class Thing: pass
        print(__name__, sys.argv, __file__, sys.path[0], helper.here, __spec__)
        print(sys.modules["__main__"].Thing is Thing, type(pickle.loads(pickle.dumps(Thing()))) is Thing)
        """,
    )
    done = run(["sub/script.py", "check", "-x"], tmp_path)
    plain = run(["sub/script.py", "check", "-x"], tmp_path, module=False)
    assert done.stdout == plain.stdout and "__main__ ['sub/script.py', 'check', '-x']" in done.stdout, done.stderr


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    raise ValueError('no')\nf()",
        "import sys\nsys.exit(3)",
        "raise SystemExit('bye')",
        "raise KeyboardInterrupt",
        "try:\n    1 / 0\nexcept Exception as e:\n    raise KeyError('x') from e",
        "x = (",
        "print('out')",
    ],
)
def test_ends_as_under_python(tmp_path, source):
    write(tmp_path, "script.py", source)
    done, plain = run(["script.py"], tmp_path), run(["script.py"], tmp_path, module=False)
    assert (done.stdout, done.stderr, done.returncode) == (plain.stdout, plain.stderr, plain.returncode)


def test_a_missing_script(tmp_path):
    done = run(["nothing.py"], tmp_path)
    assert done.returncode == 2 and "can't open file" in done.stderr and "nothing.py" in done.stderr


def test_a_program_for_python_2(tmp_path):
    write(tmp_path, "old.py", 'print "hello"')
    done = run(["old.py"], tmp_path)
    assert done.returncode == 1
    assert "SyntaxError: Missing parentheses" in done.stderr
    assert "old.py is written for Python 2: convert it first" in done.stderr.splitlines()[-1]


def test_a_module(tmp_path):
    (tmp_path / "package").mkdir()
    write(tmp_path / "package", "__init__.py", "")
    write(
        tmp_path / "package",
        "tool.py",
        """
        import sys
        import paddle.fluid
        from . import tool
        print(__name__, __package__, sys.argv[1:], sys.path[0])
        """,
    )
    done = run(["-m", "package.tool", "a"], tmp_path)
    assert done.stdout.splitlines()[-1] == f"__main__ package ['a'] {tmp_path}", done.stderr
    done = run(["-m", "package.nothing"], tmp_path)
    assert done.returncode == 1 and "No module named package.nothing" in done.stderr


def test_processes_that_the_program_starts_find_fluid(tmp_path):
    write(
        tmp_path,
        "generator.py",
        """
        import os, sys
        import paddle.fluid as fluid
        import fluidlite
        assert fluid is fluidlite
        for line in sys.stdin:
            print(os.path.realpath(sys.executable), line.strip())
        """,
    )
    write(
        tmp_path,
        "script.py",
        """
        import multiprocessing, subprocess
        def ask(x):
            import paddle.fluid
            return paddle.fluid.__name__, x
        if __name__ == "__main__":
            for name in ("python", "python3"):
                print(subprocess.check_output(name + " generator.py", shell=True, input="x", text=True))
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.map(ask, [3]))
        """,
    )
    done = run(["script.py"], tmp_path)
    python = os.path.realpath(sys.executable)
    assert done.stdout.split("\n") == [f"{python} x", ""] * 2 + ["[('fluidlite', 3)]", ""], done.stderr


def test_a_dataset_with_a_pipe_command(tmp_path):
    """The generator is a process of its own, that imports paddle.fluid, too."""
    write(
        tmp_path,
        "reader.py",
        """
        import paddle.fluid.incubate.data_generator as dg

        class Reader(dg.MultiSlotDataGenerator):
            def generate_sample(self, line):
                def sample():
                    click, *ids = [int(x) for x in line.split()]
                    yield [("ids", ids), ("click", [click])]
                return sample

        Reader().run_from_stdin()
        """,
    )
    write(tmp_path, "lines", "".join(f"{i % 2} {i % 7} {i % 3}\n" for i in range(40)))
    write(
        tmp_path,
        "train.py",
        """
        import numpy as np
        import paddle.fluid as fluid

        ids = fluid.data("ids", [None, 1], "int64", lod_level=1)
        click = fluid.data("click", [None, 1], "int64")
        table = fluid.ParamAttr(name="table", initializer=fluid.initializer.TruncatedNormal(scale=0.1))
        rows = fluid.layers.sequence_pool(fluid.embedding(ids, [7, 3], is_sparse=True, param_attr=table), "sum")
        rows = fluid.layers.reshape(rows, [-1, 3])
        out = fluid.layers.fc(rows, 2, act="softmax")
        loss = fluid.layers.mean(fluid.layers.cross_entropy(out, click))
        fluid.optimizer.SGD(0.1).minimize(loss)
        dataset = fluid.DatasetFactory().create_dataset()
        dataset.set_use_var([ids, click])
        dataset.set_pipe_command("python reader.py")
        dataset.set_batch_size(10)
        dataset.set_filelist(["lines"])
        exe = fluid.Executor(fluid.CPUPlace())
        exe.run(fluid.default_startup_program())
        before = np.array(fluid.global_scope().find_var("table").get_tensor())
        exe.train_from_dataset(fluid.default_main_program(), dataset)
        after = np.array(fluid.global_scope().find_var("table").get_tensor())
        print((before != after).any(axis=1).all())
        """,
    )
    done = run(["train.py"], tmp_path)
    assert done.stdout == "True\n", done.stderr


def test_a_python_that_is_called_otherwise(tmp_path):
    """Where the folder of the interpreter has no `python`, one is made for the time of the run."""
    odd = tmp_path / "odd-python"
    odd.symlink_to(os.path.realpath(sys.executable))
    write(
        tmp_path,
        "script.py",
        """
        import shutil, subprocess, sys
        print(shutil.which("python"))
        print(subprocess.check_output(["python", "-c", "import sys; print(sys.executable)"], text=True))
        """,
    )
    path = [entry for entry in sys.path if entry]
    done = run(["script.py"], tmp_path, path=path, python=str(odd), env={"TMPDIR": str(tmp_path)})
    made, found = done.stdout.split()
    assert made.startswith(str(tmp_path)) and not os.path.exists(made)
    assert found == str(odd), done.stderr


def test_nothing_stays_outside_of_the_command(tmp_path):
    look = "import importlib.util, fluidlite, numpy; print(importlib.util.find_spec('paddle'), hasattr(numpy, 'int'))"
    before = run(["-c", look], tmp_path, module=False)
    write(tmp_path, "script.py", "import paddle.fluid, numpy; numpy.int")
    assert run(["script.py"], tmp_path).returncode == 0
    after = run(["-c", look], tmp_path, module=False)
    assert before.stdout == after.stdout and "shim" not in after.stdout and after.stdout.endswith("False\n")


def test_a_paddle_that_is_installed_is_not_used(tmp_path):
    (tmp_path / "site" / "paddle").mkdir(parents=True)
    (tmp_path / "site" / "paddle" / "__init__.py").write_text("")
    write(tmp_path, "script.py", "import paddle; print(paddle.__version__)")
    done = run(["script.py"], tmp_path, path=[str(tmp_path / "site")])
    assert done.stdout == "1.8.5\n", done.stderr
    plain = run(["-c", "import paddle; print(paddle.__file__)"], tmp_path, path=[str(tmp_path / "site")], module=False)
    assert str(tmp_path / "site") in plain.stdout


def test_old_names(tmp_path):
    write(
        tmp_path,
        "script.py",
        """
        from collections import Iterable, Mapping
        from distutils.util import strtobool
        import fractions, inspect, time
        import numpy as np
        assert isinstance([], Iterable) and time.clock() >= 0 and strtobool("yes") == 1 and fractions.gcd(4, 6) == 2
        assert (np.int, np.float, np.object, np.str, np.long(3)) == (int, float, object, str, 3)
        assert np.zeros(3, np.bool).dtype == bool and np.unicode is str
        assert np.product([2, 3]) == 6 and np.sometrue([0, 1]) and not np.alltrue([0, 1])
        assert np.float_ is np.float64 and np.Inf == np.infty == -np.NINF and np.isnan(np.NaN)
        assert np.in1d([[1, 2], [3, 4]], [2, 3]).tolist() == [False, True, True, False]
        assert np.row_stack([[1, 2], [3, 4]]).shape == (2, 2) and np.asscalar(np.float32([2])) == 2
        assert np.cast[np.int32]([1.5]).dtype == np.int32 and np.asfarray([1]).dtype == np.float64
        assert np.trapz([1, 1, 1]) == 2 and np.cumproduct([2, 3]).tolist() == [2, 6]
        assert inspect.getargspec(lambda a, *b, c=1: 0)[0] == ["a"]
        print("all")
        """,
    )
    done = run(["-W", "ignore", "script.py"], tmp_path)
    assert done.returncode == 2
    done = run(["script.py"], tmp_path, env={"PYTHONWARNINGS": "ignore"})
    assert done.stdout == "all\n", done.stderr


def test_six_is_there_as_paddle_brought_it(tmp_path):
    write(
        tmp_path,
        "script.py",
        """
        import six
        from six.moves import cPickle as pickle, range, reduce, xrange, zip
        from six.moves.urllib.parse import urlparse
        assert six.PY3 and not six.PY2 and isinstance("", six.string_types) and isinstance(2, six.integer_types)
        assert list(six.iteritems({1: 2})) == [(1, 2)] and list(six.itervalues({1: 2})) == [2]
        assert pickle.loads(pickle.dumps(list(xrange(3)))) == [0, 1, 2] and urlparse("http://a/b").netloc == "a"
        assert reduce(lambda a, b: a + b, zip(range(2), range(2))) == (0, 0, 1, 1)
        class Meta(type): pass
        @six.add_metaclass(Meta)
        class A(object): pass
        assert type(A) is Meta and type(six.with_metaclass(Meta, dict)) is Meta
        print("all")
        """,
    )
    done = run(["script.py"], tmp_path)
    assert done.stdout == "all\n", done.stderr


def test_an_installed_six_wins(tmp_path):
    (tmp_path / "site").mkdir()
    write(tmp_path / "site", "six.py", "here = 1\n")
    write(tmp_path, "script.py", "import six\nprint(six.here)\n")
    assert run(["script.py"], tmp_path, path=[str(tmp_path / "site")]).stdout == "1\n"


def test_a_missing_name_fails_where_it_is_used(tmp_path):
    write(
        tmp_path,
        "script.py",
        """
        import paddle.fluid as fluid
        print(fluid.layers.fc.__name__)
        fluid.layers.crossentropy(1)
        """,
    )
    done = run(["script.py"], tmp_path)
    assert done.stdout == "fc\n" and done.returncode == 1
    assert 'script.py", line 4, in <module>\n    fluid.layers.crossentropy(1)' in done.stderr
    assert "`paddle.fluid.layers.crossentropy`" in done.stderr and "'cross_entropy'" in done.stderr
    assert "runpy" not in done.stderr and "run.py" not in done.stderr


def test_help_and_wrong_commands(tmp_path):
    assert run(["--help"], tmp_path).stdout.startswith("usage: python -m fluidlite SCRIPT")
    assert run([], tmp_path).returncode == 2
    assert run(["--version"], tmp_path).stdout.startswith(f"fluidlite {fluidlite.__version__}")
    for wrong in (["-c", "1"], ["--nothing"], ["check"], ["api", "x"], ["-m"]):
        done = run(wrong, tmp_path)
        assert done.returncode == 2 and "usage:" in done.stderr, wrong


def test_a_command_before_a_file_of_its_name(tmp_path):
    write(tmp_path, "check", "print('the file')")
    assert "usage:" in run(["check"], tmp_path).stderr
    assert run(["./check"], tmp_path).stdout == "the file\n"


def test_a_run_inside_a_run_changes_the_environment_once(tmp_path):
    write(tmp_path, "inner.py", "import os; print(os.environ['PYTHONPATH'].count('shim'))")
    write(
        tmp_path,
        "outer.py",
        "import subprocess, sys; subprocess.run(['python', '-m', 'fluidlite', 'inner.py'], check=True)",
    )
    done = run(["outer.py"], tmp_path)
    assert done.stdout == "1\n", done.stderr


def test_the_shim_is_part_of_every_distribution():
    manifest = (ROOT / "MANIFEST.in").read_text() if (ROOT / "MANIFEST.in").exists() else "*.py fluid_names.txt"
    assert "*.py" in manifest and "fluid_names.txt" in manifest
    assert (runner.SHIM / "paddle" / "__init__.py").exists()
