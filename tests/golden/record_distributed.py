"""Record the signatures of Fluid 1.8.5's fleet and transpiler: run this with a Python that has it.

{module: {name: signature}}, where a name is a function, a class (the signature of its constructor) or a public method.
A signature is [[parameter, default as text or None]].
"""

import importlib
import inspect
import json
import os

MODULES = [
    "incubate.fleet.base.role_maker",
    "incubate.fleet.base.fleet_base",
    "incubate.fleet.base.mode",
    "incubate.fleet.parameter_server.distribute_transpiler",
    "incubate.fleet.parameter_server.distribute_transpiler.distributed_strategy",
    "incubate.fleet.parameter_server.pslib",
    "incubate.fleet.parameter_server.version",
    "incubate.fleet.collective",
    "incubate.fleet.utils.fleet_util",
    "transpiler",
    "transpiler.distribute_transpiler",
    "transpiler.ps_dispatcher",
]


def text_of(default):
    if default is inspect.Parameter.empty:
        return None
    plain = default is None or isinstance(default, (bool, int, float, str, list, dict))
    return repr(default) if plain else "object"


def signature(function, is_method):
    parameters = list(inspect.signature(function).parameters.values())[1 if is_method else 0 :]
    names = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return [[names.get(one.kind, "") + one.name, text_of(one.default)] for one in parameters]


def members(cls):
    """(name, function, whether it has a self) of the constructor and the public methods."""
    for name in sorted(dir(cls)):
        thing = inspect.getattr_static(cls, name)
        if name == "__init__" and inspect.isfunction(thing):
            yield name, thing, True
        elif not name.startswith("_") and inspect.isfunction(thing):
            yield name, thing, True
        elif not name.startswith("_") and isinstance(thing, staticmethod):
            yield name, thing.__func__, False


def signatures(module):
    found = {}
    for name, thing in sorted(vars(module).items()):
        if name.startswith("_") or getattr(thing, "__module__", "") != module.__name__:
            continue
        if inspect.isclass(thing):
            for method, function, is_method in members(thing):
                found[name + "." + method] = signature(function, is_method)
        elif inspect.isfunction(thing):
            found[name] = signature(thing, False)
        else:
            found[name] = type(thing).__name__ + "()"
    return found


def defaults(cls):
    """The attributes of a settings class, with their defaults."""
    plain = (bool, int, float, str, type(None))
    one = cls()
    return {n: getattr(one, n) for n in dir(one) if not n.startswith("_") and isinstance(getattr(one, n), plain)}


def main():
    """Write distributed.json."""
    import paddle.fluid as fluid
    from paddle.fluid.incubate.fleet.collective import DistributedStrategy

    found = {name: signatures(importlib.import_module("paddle.fluid." + name)) for name in MODULES}
    own = {n: v for n, v in defaults(DistributedStrategy).items() if n not in dir(fluid.BuildStrategy)}
    found["defaults"] = {
        "transpiler.DistributeTranspilerConfig": defaults(fluid.DistributeTranspilerConfig),
        "incubate.fleet.collective.DistributedStrategy": own,
    }
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "distributed.json")
    with open(path, "w") as file:
        parts = []
        for module, names in sorted(found.items()):
            lines = [json.dumps(n) + ": " + json.dumps(v, sort_keys=True) for n, v in sorted(names.items())]
            parts.append(json.dumps(module) + ": {\n" + ",\n".join(lines) + "\n}")
        file.write("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
