"""Scope: names to values that outlive a run. Parameters, accumulators and counters live here."""

import itertools
import weakref

from .errors import InvalidTypeError
from .hash_table import HashTable, TableState
from .lazy_rows import LazyRows
from .lod_tensor import LoDTensor
from .selected_rows import SelectedRows
from .tables import DenseTable

# Counts the runs that drew random numbers, so that each draws others; kept where the parameters are.
RANDOM_STEP = "@RANDOM_STEP@"

_uids = itertools.count()


class ScopeVariable:
    """A named place in a Scope that holds a tensor, or a SelectedRows."""

    __slots__ = ("name", "bare_cell")

    def __init__(self, name):
        self.name = name
        self.bare_cell = LoDTensor()

    @property
    def cell(self):
        """The LoDTensor that is kept here. Rows that are made lazily are all made now; plans take the `bare_cell`."""
        cell = self.bare_cell
        if cell.value.__class__ is LazyRows:
            cell.value = cell.value.whole()
        return cell

    @cell.setter
    def cell(self, cell):
        self.bare_cell = cell

    def get_tensor(self):
        """The LoDTensor that is kept here; changing it changes the variable."""
        if isinstance(self.cell.value, SelectedRows):
            raise InvalidTypeError(
                f"Variable {self.name!r} holds a SelectedRows, not a tensor.", hint="use get_selected_rows()."
            )
        return self.cell

    def get_table(self):
        """The table that is kept here, to be read and changed by id: a HashTable where a program has a table of any ids
        (is_distributed=True), its TableState where it has a moment of one, a `DenseTable` for any other matrix.

        All of them have ``len(table)``, ``ids``, ``lookup(ids)``, ``slabs()``, ``set(ids, values)``.
        """
        value = self.cell.value
        if isinstance(value, HashTable | TableState):
            return value
        return DenseTable(value, self.name)

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
        # `_kids` are kept alive until they are dropped; these are all that somebody still has.
        self._family = weakref.WeakSet()
        self._tracker = None
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
        self._family.add(kid)
        return kid

    def drop_kids(self):
        """Forget all kid scopes."""
        self._kids.clear()

    def _track(self, tracker):
        """Tell `tracker` (a RowTracker, or None) from the next run on what is written here."""
        self._tracker = tracker
        self._renew()

    def _renew(self):
        """Be another Scope for the plans that were made, which know nothing of the tracker."""
        self._uid = next(_uids)
        for kid in self._family:
            kid._renew()

    def _trackers(self):
        """The trackers of this scope and of those whose variables it finds."""
        scope, found = self, []
        while scope is not None:
            if scope._tracker is not None:
                found.append(scope._tracker)
            scope = scope._parent
        return found

    def local_var_names(self):
        """The names held by this scope itself."""
        return list(self._vars)
