"""What a name of Fluid means here: ``paddle.fluid.layers.fc`` is `fluidlite.layers.fc`, the object itself.

Fluid's modules and fluidlite's have the same names as far as users meet them, so a name is translated by its beginning
alone. `HOMES` has the modules of Fluid whose content fluidlite keeps elsewhere.
"""

import functools
import importlib
import importlib.util
import types
from pathlib import Path

_ROOTS = {
    "paddle.fluid": "fluidlite",
    "paddle.reader": "fluidlite.reader",
    "paddle.dataset": "fluidlite.compat.dataset",
}

# Modules of Fluid that pass all their names on to the package around them (or to io): what such a module of fluidlite
# does not have itself, or all of it where there is no such module, is found there.
HOMES = {
    **{
        f"paddle.fluid.layers.{name}": "fluidlite.layers"
        for name in ("control_flow", "detection", "device", "io", "learning_rate_scheduler", "loss", "metric_op")
        + ("nn", "ops", "sequence_lod", "tensor", "utils")
    },
    **{
        f"paddle.fluid.{name}": "fluidlite"
        for name in ("backward", "compiler", "data_feed_desc", "data_feeder", "dataset", "executor", "framework")
        + ("input", "lod_tensor", "parallel_executor", "param_attr")
    },
    "paddle.fluid.core_avx": "fluidlite.core",
    "paddle.fluid.data_generator": "fluidlite.incubate.data_generator",
    "paddle.fluid.fleet": "fluidlite.incubate.fleet",
    "paddle.fluid.reader": "fluidlite.io",
    "paddle.reader.decorator": "fluidlite.reader",
}

MISSING = object()
_faces = {}


def is_fluid(name):
    """Whether a module of this name is answered by fluidlite."""
    return any(name == root or name.startswith(root + ".") for root in _ROOTS)


def target(name):
    """The module of fluidlite that stands where Fluid has the module `name`; it need not exist."""
    root = next(root for root in _ROOTS if name == root or name.startswith(root + "."))
    return _ROOTS[root] + name.removeprefix(root)


def _import(name):
    try:
        return importlib.import_module(name) if importlib.util.find_spec(name) else None
    except ModuleNotFoundError as error:
        # A missing parent is an answer; a module that fails to import something else is a defect, and shows.
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            return None
        raise


def module(name):
    """The module for Fluid's module `name`, or None if fluidlite has nothing there."""
    found = _import(target(name))
    if found is None and name in HOMES and _import(HOMES[name]) is not None:
        found = _faces.get(name)
        if found is None:
            found = _faces[name] = types.ModuleType(name, f"What Fluid has in {name}; see {HOMES[name]}.")
            found.__path__ = []
    return found


def attribute(owner, name):
    """``owner.name`` where `owner` is Fluid's name of a module: its own attribute, one of its home, or a submodule.

    Raises LookupError if there is none.
    """
    own = module(owner)
    home = _import(HOMES[owner]) if owner in HOMES else None
    for place in (own, home):
        if place is not None and name in vars(place):
            return vars(place)[name]
    found = module(f"{owner}.{name}")
    if found is None:
        raise LookupError(f"{owner}.{name}")
    return found


def names(owner):
    """The names of a module, for suggestions."""
    own, home = module(owner), _import(HOMES[owner]) if owner in HOMES else None
    return sorted({name for place in (own, home) if place is not None for name in vars(place)})


def _paddle():
    from fluidlite import reader, version

    return {"batch": reader.batch, "version": _version(), "__version__": version.FLUID_VERSION}


@functools.cache
def _version():
    """The module paddle.version by itself: to import the package around it would bring back names of old NumPy."""
    path = Path(__file__).resolve().parent / "shim" / "paddle" / "version.py"
    spec = importlib.util.spec_from_file_location("paddle.version", path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def find(name):
    """What Fluid's full name means: ``(object, its name)``, or ``(MISSING, the missing part)``.

    Attributes of classes are followed, those of other objects are not: then the name in the result is shorter.

    >>> find("paddle.fluid.layers.softmaks.shape") == (MISSING, 'paddle.fluid.layers.softmaks')
    True
    >>> find("paddle.fluid.core.VarDesc.VarType.FP32.name")[1]
    'paddle.fluid.core.VarDesc.VarType.FP32'
    """
    done, *rest = name.split(".")
    value = importlib.import_module("fluidlite")
    for part in rest:
        if not (done == "paddle" or isinstance(value, type | types.ModuleType)):
            break
        here = f"{done}.{part}"
        try:
            if done == "paddle":
                known = _paddle()
                value = known[part] if part in known else _known_root(here)
            elif isinstance(value, types.ModuleType) and is_fluid(done):
                value = attribute(done, part)
            else:
                value = getattr(value, part)
        except (LookupError, AttributeError):
            return MISSING, here
        done = here
    return value, done


def _known_root(name):
    if name not in _ROOTS:
        raise LookupError(name)
    return module(name)
