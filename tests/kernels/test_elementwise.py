"""Arithmetic on arrays of one shape: NumPy's own results, bit for bit."""

import numpy as np
import pytest

from fluidlite._kernels import elementwise as kernels

DTYPES = [np.float32, np.float64]
SHAPES = [(), (0,), (1,), (7,), (2, 3, 5), (32_769,), (131_071,), (200_003,), (300, 1001)]
FACTOR = 0.3


def both(name, x, y, out):
    """Runs the kernel, and returns what NumPy makes of the same."""
    factor = x.dtype.type(FACTOR)
    if name == "add_scaled":
        kernels.add_scaled(x, y, FACTOR, out)
    elif name == "scale":
        kernels.scale(x, FACTOR, out)
    else:
        getattr(kernels, name)(x, y, out)
    return {
        "add": lambda: x + y,
        "subtract": lambda: x - y,
        "multiply": lambda: x * y,
        "add_scaled": lambda: x + factor * y,
        "scale": lambda: factor * x,
    }[name]


NAMES = ["add", "subtract", "multiply", "add_scaled", "scale"]


def operands(shape, dtype):
    rng = np.random.default_rng(0)
    return [np.asarray(rng.standard_normal(shape).astype(dtype)) for _ in range(2)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_equals_numpy(name, shape, dtype, threads):
    x, y = operands(shape, dtype)
    x.flags.writeable = y.flags.writeable = False
    out = np.full(shape, 9, dtype)
    expected = both(name, x, y, out)()
    assert out.tobytes() == np.asarray(expected).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(7,), (300, 1001)])
@pytest.mark.parametrize("name", NAMES)
def test_in_place_of_either_input(name, shape, dtype, threads):
    x, y = operands(shape, dtype)
    expected = both(name, x, y, np.empty_like(x))()
    same = x.copy()
    both(name, same, y, same)
    assert same.tobytes() == expected.tobytes()
    if name != "scale":
        same = y.copy()
        both(name, x, same, same)
        assert same.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "add_scaled"])
def test_one_array_three_times(name):
    x = np.arange(7.0)
    expected = both(name, x.copy(), x.copy(), np.empty(7))()
    both(name, x, x, x)
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values(dtype):
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, np.finfo(dtype).max, np.finfo(dtype).tiny], dtype)
    x, y = (np.ascontiguousarray(a) for a in np.meshgrid(special, special))
    for name in NAMES:
        out = np.empty_like(x)
        with np.errstate(all="ignore"):
            expected = both(name, x, y, out)()
        np.testing.assert_array_equal(out, expected)
        np.testing.assert_array_equal(np.signbit(out[out == 0]), np.signbit(expected[out == 0]))


@pytest.mark.parametrize("name", ["add", "subtract", "multiply"])
@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (TypeError, "`x` must be an array of float32 or float64, but is int64", {"x": np.ones((3, 5), int)}),
        (TypeError, "`y` is float32, but `x` is float64", {"y": np.ones((3, 5), np.float32)}),
        (TypeError, "`y` must be a NumPy array of float32 or float64, but is NoneType", {"y": None}),
        (TypeError, "`out` is float32, but `x` is float64", {"out": np.ones((3, 5), np.float32)}),
        (ValueError, "`y` has shape \\(5,\\), but `x` has shape \\(3, 5\\)", {"y": np.ones(5)}),
        (ValueError, "`y` has shape \\(5, 3\\), but `x` has shape \\(3, 5\\)", {"y": np.ones((5, 3))}),
        (ValueError, "`out` has shape \\(15,\\), but `x` has shape \\(3, 5\\)", {"out": np.ones(15)}),
        (ValueError, "`x` must be C-contiguous", {"x": np.ones((5, 3)).T}),
        (ValueError, "`y` must be C-contiguous", {"y": np.ones((6, 5))[::2]}),
        (ValueError, "`out` must be C-contiguous", {"out": np.ones((5, 3)).T}),
    ],
)
def test_refuses(name, error, message, change):
    arguments = {"x": np.ones((3, 5)), "y": np.ones((3, 5)), "out": np.full((3, 5), 9.0), **change}
    before = arguments["out"].copy()
    with pytest.raises(error, match=message):
        getattr(kernels, name)(**arguments)
    np.testing.assert_array_equal(arguments["out"], before)


def test_refuses_what_it_may_not_write():
    memory = np.ones(20)
    x, shifted, frozen = memory[:15], memory[5:], np.ones(15)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="`out` and `x` share memory"):
        kernels.scale(x, 2.0, shifted)
    with pytest.raises(ValueError, match="`out` and `y` share memory"):
        kernels.add(np.ones(15), x, shifted)
    with pytest.raises(ValueError, match="`out` is read-only"):
        kernels.add(x, x, frozen)
    with pytest.raises(TypeError, match="must be real number"):
        kernels.scale(x, "2", x)
    assert (memory == 1).all()
