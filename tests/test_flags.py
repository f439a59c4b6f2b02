"""FLAGS: read from the environment, changed by set_flags."""

import os
import subprocess
import sys

import numpy as np
import pytest

import fluidlite as fluid
from fluidlite.errors import NotFoundError

NAME = "FLAGS_check_nan_inf"


@pytest.fixture(autouse=True)
def restored():
    before = fluid.get_flags(NAME)
    yield
    fluid.set_flags(before)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, True), (False, False), (1, True), (0, False), ("1", True), ("true", True), ("0", False), ("False", False)]
    + [("off", False), ("", False), (" no ", False), ("on", True)],
)
def test_values_are_read_as_people_write_them(value, expected):
    fluid.set_flags({NAME: value})
    assert fluid.get_flags(NAME) == {NAME: expected}
    assert fluid.get_flags([NAME]) == {NAME: expected}


def test_an_unknown_flag_names_the_nearest_and_changes_none():
    fluid.set_flags({NAME: False})
    with pytest.raises(NotFoundError, match="'FLAGS_check_nan'") as caught:
        fluid.set_flags({NAME: True, "FLAGS_check_nan": True})
    assert NAME in caught.value.hint
    assert fluid.get_flags(NAME) == {NAME: False}
    with pytest.raises(NotFoundError):
        fluid.get_flags("FLAGS_nothing")


@pytest.mark.parametrize(("text", "expected"), [("1", True), ("0", False), (None, False)])
def test_the_environment_is_read_at_import(text, expected):
    env = {k: v for k, v in os.environ.items() if k != NAME} | ({NAME: text} if text is not None else {})
    package = os.path.dirname(os.path.dirname(fluid.__file__))
    env["PYTHONPATH"] = os.pathsep.join([package, *filter(None, [env.get("PYTHONPATH")])])
    code = f"import fluidlite; assert fluidlite.get_flags({NAME!r}) == {{{NAME!r}: {expected}}}"
    assert subprocess.run([sys.executable, "-c", code], env=env).returncode == 0


def test_a_flag_set_between_runs_is_seen(fresh):
    y = fluid.data("x", [None]) * 2.0
    fresh.run({"x": [np.inf]}, [y])
    fluid.set_flags({NAME: True})
    with pytest.raises(ArithmeticError, match="Op scale "):
        fresh.run({"x": [np.inf]}, [y])
    fluid.set_flags({NAME: False})
    fresh.run({"x": [np.inf]}, [y])
