"""``python -m fluidlite check``: the Fluid names that programs use, read from their source, and whether they exist."""

import ast
import builtins
import inspect
import sys
import tokenize
import types
from typing import NamedTuple

from fluidlite.missing import likely

from . import names


class Use(NamedTuple):
    """A name of Fluid that a program uses: its full name, the part that fluidlite lacks or None, and the line."""

    name: str
    lacks: str | None
    line: int


class Problem(NamedTuple):
    """A call whose arguments do not fit."""

    name: str
    text: str
    line: int


def check(paths):
    """Print a table for each file; 0 if all names exist and arguments fit, 1 if not, 2 if a file cannot be read."""
    status = 0
    for path in paths:
        try:
            with tokenize.open(path) as file:
                uses, problems = inspect_source(file.read(), path)
        except (OSError, SyntaxError, ValueError) as error:
            sys.stderr.write(f"{path}: cannot be read: {error}\n")
            status = 2
            continue
        sys.stdout.write(_table(path, uses, problems))
        if status == 0 and (problems or any(use.lacks for use in uses)):
            status = 1
    return status


def inspect_source(source, path="<source>"):
    """The uses of Fluid's names in a program, and the calls whose arguments do not fit, in the order of lines."""
    reader = _Reader()
    reader.read_module(ast.parse(source, path))
    return sorted(set(reader.uses), key=lambda use: (use.line, use.name)), sorted(reader.problems, key=lambda p: p.line)


def _table(path, uses, problems):
    lines = {}
    for use in uses:
        lines.setdefault((use.lacks is not None, use.name), (use.lacks, []))[1].append(use.line)
    n_lacking = sum(lacking for lacking, _ in lines)
    rows = [f"{path}: {len(lines)} names of Fluid, of which fluidlite lacks {n_lacking}"]
    width = max((len(name) for _, name in lines), default=0)
    for (lacking, name), (lacks, where) in sorted(lines.items()):
        places = f"{path}:{where[0]}" + "".join(f", {line}" for line in where[1:])
        rows.append(f"  {'lacks' if lacking else 'has'}  {'' if lacking else '  '}{name:<{width}}  {places}")
        if lacking:
            rows += [f"         {text}" for text in _explained(name, lacks)]
    rows += [f"  does not fit  {one.name}: {one.text}  {path}:{one.line}" for one in problems]
    return "\n".join(rows) + "\n"


def _explained(name, lacks):
    """Which part of a name is missing, and the nearest that exist."""
    if lacks != name:
        yield f"there is no {lacks}"
    owner, _, last = lacks.rpartition(".")
    meant = likely(last, names.names(owner) if names.is_fluid(owner) else ())
    if meant:
        yield meant


class _Scope:
    """What names mean in a module or function: a full name of Fluid, or None for anything else."""

    def __init__(self, outer=None):
        self.outer, self.known = outer, {}

    def get(self, name):
        scope = self
        while scope is not None:
            if name in scope.known:
                return scope.known[name]
            scope = scope.outer
        return None

    def knows(self, name):
        return name in self.known or (self.outer is not None and self.outer.knows(name))


class _Reader(ast.NodeVisitor):
    """Follows names through imports and plain assignments. Bodies of functions come last: they run last, too."""

    def __init__(self):
        self.uses, self.problems = [], []
        self.scope = _Scope()
        self.later, self.stars, self.unknown = [], [], []

    def read_module(self, tree):
        for statement in tree.body:
            self.visit(statement)
        while self.later:
            node, self.scope = self.later.pop(0)
            for statement in node.body if isinstance(node.body, list) else [node.body]:
                self.visit(statement)
        for name, line, scope in self.unknown:
            if not scope.knows(name):
                self._use_of_star(name, line)

    def _use_of_star(self, name, line):
        """A name that nobody binds: from a `from module import *`, if there is one that has it."""
        for module in self.stars:
            if names.find(f"{module}.{name}")[0] is not names.MISSING:
                self._record(f"{module}.{name}", line)
                return

    def _record(self, name, line):
        value, found = names.find(name)
        lacks = found if value is names.MISSING else None
        self.uses.append(Use(name if lacks else found, lacks, line))

    def full_name(self, node):
        """Fluid's full name of an expression, or None."""
        if isinstance(node, ast.Name):
            return self.scope.get(node.id)
        if isinstance(node, ast.Attribute):
            base = self.full_name(node.value)
            return base and f"{base}.{node.attr}"
        return None

    def visit_Import(self, node):
        for alias in node.names:
            fluid = alias.name.split(".")[0] == "paddle"
            if fluid and alias.name != "paddle":
                self._record(alias.name, node.lineno)
            bound = alias.asname or alias.name.split(".")[0]
            self.scope.known[bound] = (alias.name if alias.asname else "paddle") if fluid else None

    def visit_ImportFrom(self, node):
        fluid = not node.level and (node.module or "").split(".")[0] == "paddle"
        for alias in node.names:
            name = f"{node.module}.{alias.name}"
            if alias.name == "*":
                if fluid:
                    self._record(node.module, node.lineno)
                    self.stars.append(node.module)
                continue
            if fluid:
                self._record(name, node.lineno)
            self.scope.known[alias.asname or alias.name] = name if fluid else None

    def visit_Assign(self, node):
        self.visit(node.value)
        meaning = self.full_name(node.value)
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.scope.known[target.id] = meaning
            else:
                self.visit(target)

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Store):
            self.scope.known[node.id] = None
        elif self.scope.knows(node.id):
            name = self.scope.get(node.id)
            if name is not None and name != "paddle" and names.find(name)[0] is not names.MISSING:
                self._record(name, node.lineno)
        elif not hasattr(builtins, node.id):
            self.unknown.append((node.id, node.lineno, self.scope))

    def visit_Attribute(self, node):
        name = self.full_name(node)
        if name is not None:
            self._record(name, node.lineno)
        else:
            self.visit(node.value)

    def visit_Call(self, node):
        self.generic_visit(node)
        name = self.full_name(node.func)
        value, found = names.find(name) if name is not None else (names.MISSING, None)
        if value is not names.MISSING and found == name and callable(value) and not isinstance(value, types.ModuleType):
            text = _misfit(value, node)
            if text:
                self.problems.append(Problem(name, text, node.lineno))

    def _visit_function(self, node):
        for decorator in getattr(node, "decorator_list", ()):
            self.visit(decorator)
        arguments = node.args
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            if default is not None:
                self.visit(default)
        if hasattr(node, "name"):
            self.scope.known[node.name] = None
        inner = _Scope(self.scope)
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        inner.known.update((one.arg, None) for one in every if one is not None)
        self.later.append((node, inner))

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _visit_function

    def visit_ClassDef(self, node):
        self.scope.known[node.name] = None
        self.generic_visit(node)


def _misfit(function, call):
    """What Python would say about the arguments of a call, or None."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    keywords = {one.arg: None for one in call.keywords if one.arg is not None}
    starred = any(isinstance(one, ast.Starred) for one in call.args)
    open_ended = starred or any(one.arg is None for one in call.keywords)
    positional = [None for one in call.args if not isinstance(one, ast.Starred)]
    try:
        if open_ended:
            signature.bind_partial(*positional, **keywords)
        else:
            signature.bind(*positional, **keywords)
    except TypeError as error:
        return str(error)
    return None
