"""Makes ``import paddle.fluid`` give fluidlite's own modules, in this process.

`install` is called by the package `paddle` of the folder shim, so whoever finds that package gets all of it; and it is
found where ``python -m fluidlite`` has put its folder on the path.
"""

import importlib.machinery
import sys
import types

from fluidlite.missing import MissingModuleError, missing

from . import names, old_names, six_names


class _Alias:
    """A loader that hands out a module that is already there."""

    def __init__(self, module):
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec):
        return self.module

    def exec_module(self, module):
        module.__spec__ = self.spec  # the import system has put the alias there


class _Finder:
    """Finds paddle.fluid, paddle.reader, paddle.dataset and everything in them."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if not names.is_fluid(name):
            return None
        module = names.module(name)
        if module is None:
            owner, _, attribute = name.rpartition(".")
            raise MissingModuleError(owner, attribute, lambda: names.names(owner))
        report_missing(name, module)
        return importlib.machinery.ModuleSpec(name, _Alias(module))


class _SixFinder:
    """Stands behind all other finders: finds `six` where it is not installed."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        module = six_names.modules().get(name) if name.partition(".")[0] == "six" else None
        return module and importlib.machinery.ModuleSpec(name, _Alias(module), is_package=True)


def report_missing(name, module):
    """Let `module`, which programs know as `name`, look where Fluid's would have more, and say what is missing."""
    own = vars(module).get("__getattr__")
    if own is not None and own.__module__ != "fluidlite.missing":
        return

    def __getattr__(attribute):
        if not attribute.startswith("__"):
            try:
                found = names.attribute(name, attribute)
            except LookupError:
                pass
            else:
                if isinstance(found, types.ModuleType):
                    report_missing(f"{name}.{attribute}", found)
                return found
        raise missing(name, attribute, lambda: names.names(name), sys._getframe(1))

    module.__getattr__ = __getattr__


def install():
    """Answer imports of paddle.fluid from here on, and bring old names of NumPy and Python back. Once is enough."""
    if any(finder is _Finder for finder in sys.meta_path):
        return
    import fluidlite  # all of it: its modules are told whom to ask for what they lack

    old_names.restore()
    sys.meta_path.insert(0, _Finder)
    sys.meta_path.append(_SixFinder)
    for name, module in list(sys.modules.items()):
        parts = name.split(".")
        if parts[0] == fluidlite.__name__ and not {"compat", "ops"} & set(parts) and "._" not in name:
            report_missing("paddle.fluid" + name.removeprefix(fluidlite.__name__), module)
