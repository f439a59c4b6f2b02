"""``python -m fluidlite check``."""

import pytest

from fluidlite.compat.check import check, inspect_source

from .running import run


def used(source):
    """{name: what is lacking or None} of a program."""
    return {use.name: use.lacks for use in inspect_source(source)[0]}


@pytest.mark.parametrize(
    "source",
    [
        "import paddle.fluid as fluid\nfluid.layers.fc",
        "import paddle\npaddle.fluid.layers.fc",
        "from paddle import fluid\nfluid.layers.fc",
        "import paddle.fluid\npaddle.fluid.layers.fc",
        "import paddle.fluid.layers as L\nL.fc",
        "from paddle.fluid import layers\nlayers.fc",
        "from paddle.fluid.layers import fc",
        "from paddle.fluid.layers import fc as dense",
        "import paddle.fluid as fluid\nlayers = fluid.layers\nlayers.fc",
        "import paddle.fluid as fluid\ndef f():\n    return layers.fc\nlayers = fluid.layers",
        "import paddle.fluid as fluid\nclass A:\n    def f(self, x=fluid.layers.fc):\n        pass",
        "import paddle.fluid as fluid\nf = lambda x: fluid.layers.fc(x, 3)",
        "def f():\n    import paddle.fluid as fluid\n    fluid.layers.fc",
        "from paddle.fluid.layers import *\nfc",
        "from paddle.fluid.layers import *\ndef f():\n    return fc",
    ],
)
def test_a_name_is_found_through(source):
    assert used(source)["paddle.fluid.layers.fc"] is None


@pytest.mark.parametrize(
    "source",
    [
        "import fluid\nfluid.layers.nothing",
        "import paddle.fluid as fluid\ndef f(fluid):\n    fluid.layers.nothing",
        "import paddle.fluid as fluid\nfluid = other()\nfluid.layers.nothing",
        "import paddle.fluid as fluid\nfor fluid in range(3):\n    fluid.nothing",
        "from .paddle.fluid import nothing",
        "import paddle.fluid as fluid\nfluid.default_main_program().nothing",
        "from paddle.fluid.layers import *\nnothing",
    ],
)
def test_other_names_are_not_fluids(source):
    assert not [lacks for lacks in used(source).values() if lacks]


def test_names_that_are_missing():
    found = used("import paddle.fluid as fluid\nfluid.dygraph.nn.Linear\nfluid.layers.crossentropy")
    assert found["paddle.fluid.dygraph.nn.Linear"] == "paddle.fluid.dygraph"
    assert found["paddle.fluid.layers.crossentropy"] == "paddle.fluid.layers.crossentropy"
    assert used("from paddle.fluid.nothing import x") == {"paddle.fluid.nothing.x": "paddle.fluid.nothing"}
    assert used("import paddle.nn as nn\nnn.Layer")["paddle.nn.Layer"] == "paddle.nn"


def problems(call):
    _, found = inspect_source(f"import paddle.fluid as fluid\n{call}")
    return [problem.text for problem in found]


def test_arguments():
    assert problems("fluid.layers.fc(x, 3)") == []
    assert problems("fluid.layers.fc(x, size=3, act='relu')") == []
    assert problems("fluid.layers.fc(*x)") == problems("fluid.layers.fc(**x)") == []
    assert problems("fluid.layers.fc(x, 3, actt='relu')") == ["got an unexpected keyword argument 'actt'"]
    assert problems("fluid.layers.fc(**x, actt='relu')") == ["got an unexpected keyword argument 'actt'"]
    assert problems("fluid.layers.fc(x)") == ["missing a required argument: 'size'"]
    assert problems("fluid.optimizer.SGD(0.1, momentum=1)") == ["got an unexpected keyword argument 'momentum'"]
    assert problems("fluid.layers.mean(1, 2, 3, 4)") == ["too many positional arguments"]
    assert problems("fluid.layers.nothing(1)") == []


def test_the_table(tmp_path, capsys):
    path = tmp_path / "program.py"
    path.write_text("import paddle.fluid as fluid\nfluid.layers.fc\nfluid.layers.fc\nfluid.layers.crossentropy\n")
    assert check([str(path)]) == 1
    out = capsys.readouterr().out
    assert f"{path}: 3 names of Fluid, of which fluidlite lacks 1" in out
    assert f"{path}:2, 3" in out and f"{path}:4" in out and "did you mean 'cross_entropy'" in out


def test_exit_codes(tmp_path):
    (tmp_path / "good.py").write_text("import paddle.fluid as fluid\nfluid.layers.fc(x, 3)\n")
    (tmp_path / "lacks.py").write_text("import paddle.fluid as fluid\nfluid.layers.nothing(x)\n")
    (tmp_path / "misfit.py").write_text("import paddle.fluid as fluid\nfluid.layers.fc(x, nothing=3)\n")
    (tmp_path / "old.py").write_text("print 'x'\n")
    for files, status in [
        (["good.py"], 0),
        (["good.py", "lacks.py"], 1),
        (["misfit.py"], 1),
        (["old.py", "lacks.py"], 2),
        (["none.py"], 2),
    ]:
        done = run(["check", *files], tmp_path)
        assert done.returncode == status, done.stdout + done.stderr
        assert ("cannot be read" in done.stderr) == (status == 2)
    assert "Fluid" in done.stdout or "none.py" in done.stderr


def test_programs_are_not_run(tmp_path):
    (tmp_path / "program.py").write_text("open('written', 'w')\n")
    assert run(["check", "program.py"], tmp_path).returncode == 0
    assert not (tmp_path / "written").exists()
