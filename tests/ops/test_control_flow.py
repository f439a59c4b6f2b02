"""The op that shows what it passes on: the grid, and what it writes. Blocks: see tests/test_control_flow.py."""

import numpy as np
import pytest

from fluidlite.lod_tensor import LoDTensor

from .checks import OpGrid
from .running import make_op


class TestControlFlow(OpGrid):
    family = "control_flow"


X = LoDTensor(np.array([[0.5, 1.0], [-2.0, 1e9], [3.0, 4.0]], np.float32), [[0, 1, 3]])


def written(capsys, runs=1, **attrs):
    op = make_op("print", attrs)
    op.names = {"In": ["x"]}
    for _ in range(runs):
        assert op.run(X, None) is X.value
    return capsys.readouterr().out


def test_everything(capsys):
    stamp, _, rest = written(capsys, message="hello").partition("\t")
    assert stamp.isdigit()
    assert rest == (
        "hello\tThe place is:CPUPlace\nTensor[x]\n\tshape: [3,2,]\n\tdtype: f\n\tLoD: [[ 0,1,3, ]]\n"
        "\tdata: 0.5,1,-2,1e+09,3,4,\n"
    )


@pytest.mark.parametrize(("summarize", "data"), [(0, ""), (2, "0.5,1,"), (-1, "0.5,1,-2,1e+09,3,4,"), (9, None)])
def test_how_many_numbers(capsys, summarize, data):
    data = "0.5,1,-2,1e+09,3,4," if data is None else data
    assert written(capsys, summarize=summarize).endswith(f"\tdata: {data}\n")


@pytest.mark.parametrize("name", ["name", "type", "shape", "lod"])
def test_parts_are_left_out(capsys, name):
    word = {"name": "Tensor[", "type": "dtype", "shape": "shape", "lod": "LoD"}[name]
    assert word in written(capsys) and word not in written(capsys, **{f"print_tensor_{name}": False})


@pytest.mark.parametrize("first_n", [0, 1, 2])
def test_the_first_times(capsys, first_n):
    assert written(capsys, runs=4, first_n=first_n).count("The place is") == first_n


@pytest.mark.parametrize(("phase", "times"), [("FORWARD", 1), ("BACKWARD", 1), ("BOTH", 2)])
def test_the_phase(capsys, phase, times):
    text = written(capsys, print_phase=phase) + written(capsys, print_phase=phase, is_forward=False)
    assert text.count("The place is") == times
