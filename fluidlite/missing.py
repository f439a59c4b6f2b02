"""The error for a Fluid name that fluidlite lacks: raised where the name is used, with the nearest ones that exist."""

import opcode
import sys

from .errors import EnforceNotMet, nearest

__all__ = ["MissingImportError", "MissingModuleError", "MissingNameError", "fluid_name", "hint", "likely", "missing"]
__all__ += ["reporter"]

_PACKAGE = __package__
_IMPORT_FROM = opcode.opmap["IMPORT_FROM"]
# Where a name that was looked for in the wrong place is likely to be.
_NAMESPACES = ("layers", "optimizer", "io", "nets", "initializer", "clip", "regularizer", "metrics", "core", "backward")


class _Missing(EnforceNotMet):
    """Finds its hint when it is shown, since `hasattr` and `getattr` with a default throw most of these away."""

    def __init__(self, owner, attribute, names):
        super().__init__(f"fluidlite lacks `{owner}.{attribute}`.")
        self.name = f"{owner}.{attribute}"
        self._names, self._attribute = names, attribute

    def __str__(self):
        self.hint = self.hint or hint(self._attribute, self._names())
        return super().__str__()


class MissingNameError(_Missing, AttributeError):
    """An attribute that no module of fluidlite has."""


class MissingImportError(_Missing, ImportError):
    """The same where it is met by ``from module import name``."""


class MissingModuleError(_Missing, ModuleNotFoundError):
    """A module of Fluid that fluidlite lacks."""


def fluid_name(module_name):
    """What Fluid calls a module of fluidlite: 'paddle.fluid.layers' for 'fluidlite.layers'."""
    return "paddle.fluid" + module_name.removeprefix(_PACKAGE)


def reporter(module_name):
    """A module's ``__getattr__`` that raises these errors.

    >>> import fluidlite as fluid
    >>> fluid.layers.SparseAdam  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    fluidlite.missing.MissingNameError: fluidlite lacks `paddle.fluid.layers.SparseAdam`.
      hint: did you mean 'fluid.optimizer.SparseAdam'? docs/api.md lists ...
    """

    def __getattr__(name):
        raise missing(fluid_name(module_name), name, lambda: dir(sys.modules[module_name]), sys._getframe(1))

    return __getattr__


def missing(owner, name, names, frame):
    """The error for ``owner.name``, used by the code of `frame`, of the class that Python raises for such a use.

    Args:
        owner: Fluid's name of a module.
        names: a function that gives the names that the module has.
    """
    if name.startswith("__"):
        return AttributeError(f"module {owner!r} has no attribute {name!r}")
    # An AttributeError would not get out of `from module import name`: Python puts a text of its own in its place.
    code, place = frame.f_code.co_code, frame.f_lasti
    kind = MissingImportError if 0 <= place < len(code) and code[place] == _IMPORT_FROM else MissingNameError
    return kind(owner, name, names)


def hint(name, names):
    """What may be meant by `name` where only `names` exist, as far as that can be told, and where the list is."""
    meant = likely(name, names)
    listed = "docs/api.md lists the supported names (`python -m fluidlite api` prints it)."
    return f"{meant} {listed}" if meant else listed


def likely(name, names):
    """ "did you mean ...?" with names that exist: `name` itself in another namespace, or the nearest; or None."""
    root = sys.modules[_PACKAGE]
    places = {"fluid": root} | {f"fluid.{place}": vars(root).get(place) for place in _NAMESPACES}
    found = next((place for place, module in places.items() if callable(vars(module or object).get(name))), None)
    if found:
        return f"did you mean {f'{found}.{name}'!r}?"
    return nearest(name, [one for one in names if not one.startswith("_")])
