"""The version of Fluid that programs ask for, and calls that only have to exist."""

import pytest

import fluidlite as fluid


@pytest.mark.parametrize(
    "versions", [("0.1.0",), ("1.8.5",), ("1.8.5.0",), ("1",), ("1.6", "1.8.5"), ("1.5.0", "2"), ("1.8", "1.9.0")]
)
def test_versions_that_fit(versions):
    assert fluid.require_version(*versions) is None


@pytest.mark.parametrize(
    "versions", [("1.8.6",), ("2.0.0",), ("1.8.5.1",), ("1.5", "1.8.4"), ("1.0", "1"), ("1.9", "1.7")]
)
def test_versions_that_do_not_fit(versions):
    with pytest.raises(Exception, match="VersionError: PaddlePaddle version .* required"):
        fluid.require_version(*versions)


@pytest.mark.parametrize("versions", [(1.6,), (None,), ("1.6", 2), (b"1.6",)])
def test_versions_are_str(versions):
    with pytest.raises(TypeError, match="in require_version must be str"):
        fluid.require_version(*versions)


@pytest.mark.parametrize("versions", [("1.6.x",), ("",), ("1.2.3.4.5",), ("1.6", "v2"), ("1.",), ("1.6\n",)])
def test_versions_have_a_form(versions):
    with pytest.raises(ValueError, match="is not a version"):
        fluid.require_version(*versions)


def test_there_is_no_dygraph_mode():
    assert fluid.in_dygraph_mode() is False


@pytest.mark.parametrize("call", [fluid.memory_optimize, fluid.release_memory])
def test_memory_is_saved_without_asking(call):
    with pytest.warns(UserWarning, match=f"{call.__name__}.* has no effect") as caught:
        call(fluid.Program())
    assert caught[0].filename == __file__
