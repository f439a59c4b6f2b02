"""Writes the stubs (.pyi) of the compiled modules and of the public modules, from the modules themselves.

    python tools/make_stubs.py            # in a checkout whose kernels are built in place
    python tools/make_stubs.py --check    # says which stubs are out of date

Names, order, kinds of parameters and what has a default are read off the modules. Types come from stub_types.py, by the
name of a parameter, which means the same everywhere in Fluid, or from a default; where neither says, the type is Any.
"""

import argparse
import ast
import enum
import importlib
import inspect
import math
import re
import sys
import textwrap
import types
from pathlib import Path

from stub_types import ATTRIBUTES, C_TYPES, IMPORTS, INTEGERS, PARAMETERS, RETURNS, VARIABLE_MAKERS

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "fluidlite"
HEADER = "# Made by tools/make_stubs.py.\n"
# Where users begin; modules whose classes and functions these show are added.
PUBLIC = [
    "",
    *(
        "backward clip contrib core data_feeder dataset errors executor framework functional inference initializer io"
        " incubate layers metrics nets optimizer param_attr profiler reader regularizer transpiler unique_name"
    ).split(),
]
# A class shows these of its special methods.
SPECIAL = re.compile(
    r"__(init|call|enter|exit|iter|next|len|getitem|setitem|delitem|contains|eq|ne|lt|le|gt|ge|neg|bool|int|float|index"
    r"|r?(add|sub|mul|truediv|floordiv|mod|pow|matmul)|array|getattr)__"
)
SPECIAL_RETURNS = {
    "__init__": "None", "__len__": "int", "__contains__": "bool", "__bool__": "bool", "__int__": "int",
    "__float__": "float", "__index__": "int", "__exit__": "None", "__enter__": "Self", "__iter__": "Iterator[Any]",
    "__setitem__": "None", "__delitem__": "None",
}  # fmt: skip
EQUALITY = ("__eq__", "__ne__")


def our_module(thing):
    name = getattr(thing, "__module__", None) or ""
    return name if name == "fluidlite" or name.startswith("fluidlite.") else None


def public_names(module):
    """The names that a module shows, in order."""
    said = getattr(module, "__all__", None)
    if said is not None:
        return sorted(set(said))
    found = []
    for name, thing in vars(module).items():
        shows_module = isinstance(thing, types.ModuleType) and is_submodule(module, name, thing)
        if not name.startswith("_") and (shows_module or is_shown(module, thing) or is_constant(name, thing)):
            found.append(name)
    return found


def is_shown(module, thing):
    """Packages show what their files define; other modules what they define, and what the whole package shows."""
    root = sys.modules["fluidlite"]
    own = our_module(thing) == module.__name__ or hasattr(module, "__path__") and our_module(thing)
    return own or (our_module(thing) and inspect.isclass(thing) and vars(root).get(thing.__name__) is thing)


def is_submodule(module, name, thing):
    """Only packages show modules: those that lie in them, and that users know."""
    parts = thing.__name__.split(".")
    known = ".".join(parts[1:]) in PUBLIC or module.__name__ != "fluidlite"
    return hasattr(module, "__path__") and thing.__name__ == f"{module.__name__}.{name}" and known


def is_constant(name, thing):
    return name.isupper() and isinstance(thing, (int, float, str, tuple, frozenset))


# ---- signatures


def type_of_default(name, default):
    """The type of a default, where callers can be expected to keep to it; 1 is often short for [1, 1]."""
    if isinstance(default, enum.Enum) or (type(default) is int and not re.fullmatch(INTEGERS, name)):
        return "Any"
    return type(default).__name__ if isinstance(default, (bool, int, float, str)) else "Any"


def type_of_parameter(parameter, c_types):
    if parameter.name in c_types:
        return c_types[parameter.name]
    if parameter.annotation is not parameter.empty:
        return "Any"
    if parameter.name in PARAMETERS:
        said = PARAMETERS[parameter.name]
        return said + " | None" if parameter.default is None and not re.search(r"\bNone\b|^Any$", said) else said
    return type_of_default(parameter.name, parameter.default)


def parameters_of(signature, c_types):
    """The text between the parentheses."""
    words, kinds = [], inspect.Parameter
    last = None
    for parameter in signature.parameters.values():
        if last == kinds.POSITIONAL_ONLY != parameter.kind:
            words.append("/")
        if parameter.kind == kinds.KEYWORD_ONLY and last not in (kinds.KEYWORD_ONLY, kinds.VAR_POSITIONAL):
            words.append("*")
        last = parameter.kind
        if not words and parameter.name in ("self", "cls"):
            words.append(parameter.name)
            continue
        star = {kinds.VAR_POSITIONAL: "*", kinds.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        kind = "Any" if star else type_of_parameter(parameter, c_types)
        default = "" if parameter.default is parameter.empty else " = ..."
        words.append(f"{star}{parameter.name}: {kind}{default}")
    if last == kinds.POSITIONAL_ONLY:
        words.append("/")
    return ", ".join(words)


def tree_of(function):
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, TypeError, SyntaxError):
        return None


def returned_values(function):
    """The expressions of the return statements of a function itself, not of those inside it; None if unknown."""
    tree, found = tree_of(function), []
    if not isinstance(tree, ast.FunctionDef):
        return None
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            return None
        if isinstance(node, ast.Return) and node.value is not None:
            found.append(node.value)
        waiting.extend(ast.iter_child_nodes(node))
    return found


def type_of_result(function, name, owner):
    """What a call gives, as far as it can be told."""
    for key in (f"{owner}.{name}", name):
        if key in RETURNS:
            return RETURNS[key]
    if name in SPECIAL_RETURNS:
        return SPECIAL_RETURNS[name]
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is not None and inspect.isgeneratorfunction(wrapped):
        return "AbstractContextManager[Any]"
    if inspect.isgeneratorfunction(function):
        return "Iterator[Any]"
    values = returned_values(function)
    if values == []:
        return "None"
    module = getattr(function, "__module__", "") or ""
    if re.match(VARIABLE_MAKERS, module) and name[:1] != "_":
        tuples = [value for value in values or () if isinstance(value, ast.Tuple)]
        if len(tuples) == len(values or ()) and tuples and len({len(one.elts) for one in tuples}) == 1:
            return f"tuple[{', '.join(['Variable'] * len(tuples[0].elts))}]"
        return "Any" if tuples else "Variable"
    return "Any"


def function_stub(function, name, owner="", indent="", c_types=None):
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return f"{indent}def {name}(*args: Any, **kwargs: Any) -> Any: ..."
    parameters = parameters_of(signature, c_types or {})
    if name in EQUALITY:
        parameters = re.sub(r"(\w+): .*", r"\1: object", parameters)
    result = type_of_result(function, name, owner)
    return f"{indent}def {name}({parameters}) -> {result}: ..."


# ---- classes


def attributes_set(cls):
    """Names x of ``self.x = ...`` in ``__init__``."""
    tree = tree_of(cls.__dict__.get("__init__"))
    if tree is None:
        return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id == "self" and not node.attr.startswith("_"):
                found.append(node.attr)
    return sorted(set(found))


def class_stub(cls, name, module):
    bases, lines = [base_name(base, module) for base in cls.__bases__ if base is not object], []
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        bases = ["NamedTuple"]
        lines += [f"    {field}: Any" for field in cls._fields]
    if issubclass(cls, enum.Enum):
        lines += [f"    {member} = {value.value!r}" for member, value in cls.__members__.items()]
    written = set(cls.__members__) if issubclass(cls, enum.Enum) else set(getattr(cls, "_fields", ()))
    for attribute, thing in vars(cls).items():
        if attribute in written or (attribute.startswith("_") and not SPECIAL.fullmatch(attribute)):
            continue
        written.add(attribute)
        lines += member_stub(cls, attribute, thing)
    missing = [one for one in attributes_set(cls) if one not in written and not hasattr(cls, one)]
    lines += [f"    {one}: {attribute_type(name, one)}" for one in missing]
    head = f"class {name}({', '.join(bases)}):" if bases else f"class {name}:"
    return "\n".join([head, *lines]) if lines else head + " ..."


def attribute_type(owner, name):
    return ATTRIBUTES.get(f"{owner}.{name}", ATTRIBUTES.get(name, "Any"))


def member_stub(cls, name, thing):
    owner, indent = cls.__name__, "    "
    if isinstance(thing, (staticmethod, classmethod)):
        kind = "staticmethod" if isinstance(thing, staticmethod) else "classmethod"
        function = thing.__func__
        return [f"{indent}@{kind}", function_stub(function, name, owner, indent)]
    if isinstance(thing, property):
        lines = [f"{indent}@property", f"{indent}def {name}(self) -> {attribute_type(owner, name)}: ..."]
        if thing.fset is not None:
            lines += [f"{indent}@{name}.setter", f"{indent}def {name}(self, value: Any) -> None: ..."]
        return lines
    if inspect.isroutine(thing):
        note = "  # type: ignore[override]" if overrides(cls, name, thing) else ""
        return [function_stub(thing, name, owner, indent) + note]
    return [f"{indent}{name}: {attribute_type(owner, name)}"]


def overrides(cls, name, function):
    """Whether a method takes other parameters than that of the base class, which type checkers object to."""
    base = next((vars(one)[name] for one in cls.__mro__[1:] if name in vars(one) and our_module(one)), None)
    if base is None or name == "__init__":
        return False
    taken, least = positional(base)[0], positional(function)[1]
    return positional(function)[0] < taken or least > positional(base)[1]


def positional(function):
    """How many arguments without names a function takes at most and at least."""
    kinds = inspect.Parameter
    parameters = inspect.signature(function).parameters.values()
    ordinary = [one for one in parameters if one.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    any_number = any(one.kind == kinds.VAR_POSITIONAL for one in parameters)
    most = math.inf if any_number else len(ordinary)
    return most, sum(one.default is one.empty for one in ordinary)


def base_name(base, module):
    if base in (list, dict):
        return "list[Any]" if base is list else "dict[Any, Any]"
    if our_module(base) and base.__module__ != module.__name__:
        return f"_{base.__name__}"
    return base.__name__


# ---- modules


def module_stub(module):
    """(the text of a module's stub, the modules that it takes names from)."""
    imports, body, needed = set(), [], set()
    c_types = c_types_of(module)
    names = public_names(module)
    bases = [one for one in vars(module).values() if inspect.isclass(one) and one.__module__ == module.__name__]
    bases_here = {base for cls in bases for base in cls.__mro__[1:] if base.__module__ == module.__name__}
    names += [base.__name__ for base in bases_here if base.__name__ not in names]
    for name in ordered(module, names):
        thing = getattr(module, name)
        home = our_module(thing)
        if isinstance(thing, types.ModuleType):
            imports.add(f"from . import {name} as {name}")
            needed.add(thing.__name__)
        elif home and home != module.__name__ and hasattr(sys.modules[home], getattr(thing, "__name__", "?")):
            needed.add(home)
            # A name is passed on only if it is imported as itself.
            if vars(sys.modules[home]).get(name) is thing:
                imports.add(f"from {home} import {name} as {name}")
            else:
                imports.add(f"from {home} import {thing.__name__} as _{thing.__name__}")
                body.append(f"{name} = _{thing.__name__}")
        elif inspect.isclass(thing) and home:
            if thing.__name__ != name:
                body.append(f"{name} = {thing.__name__}")
                continue
            for base in thing.__bases__:
                if our_module(base) and base.__module__ != module.__name__:
                    imports.add(f"from {base.__module__} import {base.__name__} as _{base.__name__}")
                    needed.add(base.__module__)
            body.append(class_stub(thing, name, module))
        elif inspect.isroutine(thing) or hasattr(thing, "func_code"):
            body.append(function_stub(thing, name, c_types=c_types.get(name)))
        else:
            body.append(f"{name}: {type(thing).__name__ if is_constant(name, thing) else 'Any'}")
    text = "\n".join(body)
    for word, line in IMPORTS.items():
        home = re.match(r"from (fluidlite[.\w]*) import", line)
        if re.search(rf"\b{word}\b", text) and not re.search(rf"^(class {word}\b|{word} = )", text, re.MULTILINE):
            if not any(re.search(rf"\bas {word}$", one) for one in imports) and not (
                home and home[1] == module.__name__
            ):
                imports.add(line)
                needed |= {home[1]} if home else set()
    version = "\n__version__: str\n__all__: list[str]\n" if module.__name__ == "fluidlite" else ""
    return HEADER + "\n".join(sorted(imports)) + "\n" + version + "\n" + text + "\n", needed


def ordered(module, names):
    """Names in the order of the module, so that aliases follow what they stand for."""
    place = {name: i for i, name in enumerate(vars(module))}
    return sorted(names, key=lambda name: place.get(name, -1))


def c_types_of(module):
    """{function: {parameter: type}} of what a .pyx declares with C types."""
    path = PACKAGE.joinpath(*module.__name__.split(".")[1:]).with_suffix(".pyx")
    if not path.exists():
        return {}
    found = {}
    for name, text in re.findall(r"^def (\w+)\(([^)]*)\)", path.read_text(), re.MULTILINE):
        found[name] = {}
        for word in text.split(","):
            match = re.fullmatch(r"\s*(?:const )?(\w+)(\[[^\]]*\])? (\w+)(?:\s*=.*)?\s*", word, re.DOTALL)
            if match and (match[1] in C_TYPES or match[2]):
                found[name][match[3]] = "NDArray[Any]" if match[2] else C_TYPES[match[1]]
    return found


def kernel_modules():
    return [f"fluidlite._kernels.{path.stem}" for path in sorted((PACKAGE / "_kernels").glob("*.pyx"))]


def stub_path(module):
    path = PACKAGE.joinpath(*module.__name__.split(".")[1:])
    return path / "__init__.pyi" if hasattr(module, "__path__") else path.with_suffix(".pyi")


def all_stubs():
    """{path: text} of every stub."""
    waiting = [f"fluidlite.{name}".rstrip(".") for name in PUBLIC] + kernel_modules()
    done, found = set(), {}
    while waiting:
        name = waiting.pop()
        if name not in done:
            done.add(name)
            module = importlib.import_module(name)
            text, needed = module_stub(module)
            found[stub_path(module)] = text
            waiting += needed
    return found


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(argv)
    stubs = all_stubs()
    old = set(PACKAGE.rglob("*.pyi")) - set(stubs)
    changed = [path for path, text in stubs.items() if not path.exists() or path.read_text() != text]
    for path in sorted([*changed, *old]):
        print(path.relative_to(ROOT))
    if options.check:
        return 1 if changed or old else 0
    for path in changed:
        path.write_text(stubs[path])
    for path in old:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
