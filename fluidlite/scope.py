"""Scope: names to values that outlive a run. Parameters, accumulators and counters live here."""

import itertools

from .errors import InvalidTypeError
from .lod_tensor import LoDTensor
from .selected_rows import SelectedRows

# Counts the runs that drew random numbers, so that each draws others; kept where the parameters are.
RANDOM_STEP = "@RANDOM_STEP@"

_uids = itertools.count()


class ScopeVariable:
    """A named place in a Scope that holds a tensor, or a SelectedRows."""

    __slots__ = ("name", "cell")

    def __init__(self, name):
        self.name = name
        self.cell = LoDTensor()

    def get_tensor(self):
        """The LoDTensor that is kept here; changing it changes the variable."""
        if isinstance(self.cell.value, SelectedRows):
            raise InvalidTypeError(
                f"Variable {self.name!r} holds a SelectedRows, not a tensor.", hint="use get_selected_rows()."
            )
        return self.cell

    def get_selected_rows(self):
        """The SelectedRows that is kept here, with Fluid's methods ``rows() height() get_tensor()``."""
        if not isinstance(self.cell.value, SelectedRows):
            raise InvalidTypeError(f"Variable {self.name!r} does not hold a SelectedRows.", hint="use get_tensor().")
        return FluidSelectedRows(self.cell.value)


class FluidSelectedRows:
    """A SelectedRows as Fluid's C++ class shows it: methods where `fluidlite.SelectedRows` has properties."""

    def __init__(self, selected_rows):
        self.selected_rows = selected_rows

    def rows(self):
        """The row numbers, as a list."""
        return self.selected_rows.rows.tolist()

    def height(self):
        return self.selected_rows.height

    def get_tensor(self):
        """The values, one row for each of `rows()`, as a LoDTensor."""
        return LoDTensor(self.selected_rows.value)

    def numel(self):
        return self.selected_rows.value.size


class Scope:
    """Variables by name. A kid scope also finds what its parents hold.

    >>> scope = Scope()
    >>> scope.var('w').get_tensor().set([[1.0]])
    >>> scope.find_var('w').get_tensor().shape()
    [1, 1]
    """

    def __init__(self, parent=None):
        self._parent = parent
        self._vars = {}
        self._kids = []
        self._uid = next(_uids)

    def var(self, name):
        """The variable of that name in this scope; made if it is not there."""
        if name not in self._vars:
            self._vars[name] = ScopeVariable(name)
        return self._vars[name]

    def find_var(self, name):
        """The variable of that name here or in a parent, or None."""
        scope = self
        while scope is not None:
            if name in scope._vars:
                return scope._vars[name]
            scope = scope._parent
        return None

    def new_scope(self):
        """A kid scope."""
        kid = Scope(self)
        self._kids.append(kid)
        return kid

    def drop_kids(self):
        """Forget all kid scopes."""
        self._kids.clear()

    def local_var_names(self):
        """The names held by this scope itself."""
        return list(self._vars)
