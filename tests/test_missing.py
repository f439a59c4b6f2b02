"""Names of Fluid that fluidlite lacks."""

import pytest

import fluidlite as fluid
from fluidlite import missing


def test_attribute():
    with pytest.raises(AttributeError) as caught:
        fluid.layers.crossentropy  # noqa: B018
    text = str(caught.value)
    assert text.startswith("fluidlite lacks `paddle.fluid.layers.crossentropy`.")
    assert "'cross_entropy'" in text and "docs/api.md" in text
    assert isinstance(caught.value, fluid.EnforceNotMet)


def test_import():
    with pytest.raises(ImportError, match="`paddle.fluid.layers.crossentropy`") as caught:
        from fluidlite.layers import crossentropy  # noqa: F401
    assert "'cross_entropy'" in str(caught.value)


def test_the_right_name_in_the_wrong_place():
    with pytest.raises(AttributeError, match="did you mean 'fluid.optimizer.SGD'"):
        fluid.layers.SGD  # noqa: B018
    with pytest.raises(AttributeError, match="did you mean 'fluid.layers.fc'"):
        fluid.fc  # noqa: B018


def test_asking_first_works():
    assert not hasattr(fluid, "crossentropy")
    assert getattr(fluid.layers, "crossentropy", 3) == 3
    with pytest.raises(AttributeError) as caught:
        fluid.__crossentropy__  # noqa: B018
    assert not isinstance(caught.value, fluid.EnforceNotMet)


def test_names_of_modules():
    assert missing.fluid_name("fluidlite") == "paddle.fluid"
    assert missing.fluid_name("fluidlite.layers.nn") == "paddle.fluid.layers.nn"
