"""docs/api.md, and the names that must exist."""

import re
from pathlib import Path

import fluidlite as fluid
from fluidlite.compat import api, names

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_page_is_what_the_code_says():
    message = "docs/api.md is out of date: python -m fluidlite api > docs/api.md"
    assert (ROOT / "docs" / "api.md").read_text() == api.page(), message


def test_every_name_that_most_programs_use_exists():
    lacking = [name for name, tier in api.fluid_names().items() if tier == "1" and api.find(name) is names.MISSING]
    assert not lacking


def test_the_list():
    known = api.fluid_names()
    tiers = list(known.values())
    assert [tiers.count(tier) for tier in "123"] == [154, 70, 34]
    assert "fluid.layers.lrn" in known and "fluid.optimizer.SparseAdam" not in known


def test_what_fluid_has_not():
    found = set(api.extensions())
    assert {"fluid.optimizer.SparseAdam", "fluid.SelectedRows", "fluid.functional.sparse_adam_"} <= found
    assert not {"fluid.layers.fc", "fluid.Executor", "fluid.optimizer.Adam"} & found


def test_summaries_and_differences():
    def one():
        """First sentence, e.g. x. Second.

        Differs from Fluid: it is
        better. Much.

        More.
        """

    assert api.summary(one) == "First sentence, e.g. x."
    assert api.difference(one) == "it is better. Much."
    assert api.difference(test_the_list) == api.summary(test_the_list) == ""


def test_every_name_that_exists_says_what_it_is():
    silent = [
        name for name in api.fluid_names() if api.find(name) is not names.MISSING and not api.summary(api.find(name))
    ]
    assert not silent
    assert not re.search(r"\n\| `fluid[^|]*\| has \|\s*\|", api.page())
    assert fluid.layers.fc is api.find("fluid.layers.fc")
