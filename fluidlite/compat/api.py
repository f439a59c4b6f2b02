"""``python -m fluidlite api``: the page docs/api.md, made from fluid_names.txt and from the docstrings.

A docstring says where a name means something else than in Fluid, in a paragraph that begins with "Differs from Fluid:".
"""

import inspect
import re
from pathlib import Path

from fluidlite.version import FLUID_VERSION

from . import names

_DIFFERS = re.compile(r"Differs from Fluid: (.*?)(?:\n\s*\n|$)", re.DOTALL)
_TIERS = {
    "1": "Names that most programs use",
    "2": "Names that some programs use",
    "3": "Names that few programs use",
}
# Where users find names; what is in modules such as framework or executor, they find in `fluid` itself.
_NAMESPACES = ("", "backward", "clip", "functional", "initializer", "io", "layers", "metrics", "nets", "optimizer")
_NAMESPACES += ("profiler", "regularizer")


def fluid_names():
    """{name: tier}: the public names of Fluid, '1' to '3' by how many published programs use them, '-' for the rest."""
    lines = Path(__file__).with_name("fluid_names.txt").read_text(encoding="utf-8").splitlines()
    return {name: tier for tier, name in map(str.split, lines)}


def find(name):
    """What a name such as ``fluid.layers.fc`` or ``paddle.batch`` means, or `names.MISSING`."""
    return names.find(f"paddle.{name}" if name.startswith("fluid.") else name)[0]


def summary(value):
    """The first sentence of a docstring."""
    text = inspect.getdoc(value) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s+(?=[A-Z`])", first)[0]


def difference(value):
    """What a docstring says after "Differs from Fluid:", or ''."""
    found = _DIFFERS.search(inspect.getdoc(value) or "")
    return " ".join(found.group(1).split()) if found else ""


def extensions():
    """The public names of fluidlite that Fluid has not."""
    known = fluid_names()
    for place in _NAMESPACES:
        module = names.module(f"paddle.fluid.{place}".rstrip("."))
        for name, value in sorted(vars(module).items()) if module is not None else ():
            full = f"fluid.{place}.{name}" if place else f"fluid.{name}"
            ours = callable(value) and getattr(value, "__module__", "").startswith("fluidlite")
            if ours and not name.startswith("_") and full not in known and _is_public(module, name, value):
                yield full


def _is_public(module, name, value):
    """Not what a module has only imported for its own use."""
    if hasattr(module, "__path__") or name in getattr(module, "__all__", ()):
        return True
    return not hasattr(module, "__all__") and value.__module__ == module.__name__


def page():
    """The page, as Markdown."""
    known = fluid_names()
    lines = [
        "# The names of Fluid",
        "",
        f"`import fluidlite as fluid` has these names of Fluid {FLUID_VERSION}. Programs that import `paddle.fluid`",
        "find them when they are run by `python -m fluidlite SCRIPT`; `python -m fluidlite check SCRIPT` says which",
        "names a program uses. This page is the output of `python -m fluidlite api`.",
        "",
    ]
    for tier, title in _TIERS.items():
        listed = [name for name in known if known[name] == tier]
        found = sum(find(name) is not names.MISSING for name in listed)
        lines += [f"## {title}", "", f"fluidlite has {found} of {len(listed)}.", ""]
        lines += [*_table(listed), ""]
    rest = [name for name in known if known[name] == "-" and find(name) is not names.MISSING]
    lines += ["## More names of Fluid that fluidlite has", "", *_table(rest, status=False), ""]
    lines += ["## What Fluid has not", "", *_table(extensions(), status=False)]
    return "\n".join(lines) + "\n"


def _table(listed, status=True):
    yield "| name | " + ("| " if status else "") + "what it is |"
    yield "|---|" + ("---|" if status else "") + "---|"
    for name in listed:
        value = find(name)
        has = value is not names.MISSING
        text = summary(value) if has else ""
        if has and difference(value):
            text += f" **Differs from Fluid:** {difference(value)}"
        cells = [f"`{name}`", *(["has" if has else "lacks"] if status else []), text.replace("|", "\\|")]
        yield f"| {' | '.join(cells)} |".replace("|  |", "| |")
