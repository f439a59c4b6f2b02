"""Models that Fluid 1.8.5 trained and saved (golden/data/models): they load, predict and go on training here.

That models saved here do the same there is what ``golden/record_models.py check`` looks at; it needs Fluid.
"""

import filecmp
import os

import numpy as np
import pytest
from golden.models import BEFORE, MODELS
from golden.record_models import Built, predict, unpack

import fluidlite as fluid

models = pytest.mark.parametrize("name", MODELS)
pytestmark = pytest.mark.filterwarnings("ignore:please ensure that you have set the auc states:UserWarning")


@pytest.fixture
def recorded(name, tmp_path):
    """The folder of a recorded model; what is expected of it is in `expected`."""
    return tmp_path / "recorded"


@pytest.fixture
def expected(name, recorded):
    return unpack(name, recorded)


@models
@pytest.mark.parametrize(("kind", "files"), [("inference", ()), ("inference_combined", ("m", "p"))])
def test_predictions(name, recorded, expected, kind, files):
    feed = Built(fluid, name).model.prediction_feed()
    found = predict(fluid, str(recorded / kind), feed, *files)
    np.testing.assert_allclose(found, expected["prediction"], rtol=0, atol=1e-5)


def load(built, kind, recorded):
    if kind == "state":
        fluid.load(built.main, str(recorded / "state" / "model"))
    elif kind == "program_state":
        fluid.set_program_state(built.main, fluid.load_program_state(str(recorded / "state" / "model")))
    elif kind == "files":
        fluid.load(built.main, str(recorded / "persistables"), built.exe)
    else:
        filename = "all" if kind == "combined" else None
        fluid.io.load_persistables(built.exe, str(recorded / kind), built.main, filename)


@models
@pytest.mark.parametrize("kind", ["persistables", "combined", "state", "program_state", "files"])
def test_training_goes_on(name, recorded, expected, kind):
    built = Built(fluid, name)
    built.start()
    with fluid.scope_guard(built.scope):
        load(built, kind, recorded)
    losses = built.train(built.model.feeds[BEFORE:])
    np.testing.assert_allclose(losses, expected["losses"], rtol=0, atol=1e-6)


@models
def test_the_program_of_fluid_goes_on(name, recorded, expected):
    """The program itself comes from the file too."""
    built = Built(fluid, name)
    built.main = fluid.Program.parse_from_string((recorded / "state" / "model.pdmodel").read_bytes())
    with fluid.scope_guard(built.scope):
        fluid.io.load_persistables(built.exe, str(recorded / "persistables"), built.main)
    built.model.loss = built.model.loss.name
    losses = built.train(built.model.feeds[BEFORE:])
    np.testing.assert_allclose(losses, expected["losses"], rtol=0, atol=1e-6)


@models
def test_saved_again_the_files_are_the_same(name, recorded, expected, tmp_path):
    """All but the programs, in which Fluid writes where the user's code is."""
    built = Built(fluid, name)
    with fluid.scope_guard(built.scope):
        fluid.io.load_persistables(built.exe, str(recorded / "persistables"), built.main)
    built.save(str(tmp_path / "again"))
    files = {
        os.path.relpath(os.path.join(root, file), recorded) for root, _, found in os.walk(recorded) for file in found
    }
    again = {
        os.path.relpath(os.path.join(root, file), tmp_path / "again")
        for root, _, found in os.walk(tmp_path / "again")
        for file in found
    }
    assert again == files - {"expected.json"}
    programs = {"inference/__model__", "inference_combined/m", "state/model.pdmodel"}
    _, differ, errors = filecmp.cmpfiles(recorded, tmp_path / "again", sorted(again - programs), shallow=False)
    assert not differ and not errors


@models
def test_the_part_that_predicts_is_fluids(name, recorded, expected, tmp_path):
    """Ops, slots, names and variables of the pruned program."""
    built = Built(fluid, name)
    with fluid.scope_guard(built.scope):
        fluid.io.load_persistables(built.exe, str(recorded / "persistables"), built.main)
    built.save(str(tmp_path))
    ours, theirs = (
        fluid.Program.parse_from_string((folder / "inference" / "__model__").read_bytes())
        for folder in (tmp_path, recorded)
    )
    ops = [[(op.type, op.inputs, op.outputs) for op in program.global_block().ops] for program in (ours, theirs)]
    assert ops[0] == ops[1]
    assert set(ours.global_block().vars) == set(theirs.global_block().vars)
    assert ours.desc.get_feed_target_names() == theirs.desc.get_feed_target_names()
    assert ours.desc.get_fetch_target_names() == theirs.desc.get_fetch_target_names()
