"""Which rows of which variables were written since the last checkpoint: what an incremental checkpoint has to hold.

A tracker is switched on for a Scope, whose plans are then made anew with a note before each op that writes a
persistable variable. Without one, no step does anything for it. A note is one byte for each row of a table, set for the
rows of a sparse gradient; whatever else writes a variable makes the whole of it new.

What does not go through a plan is known by the array itself, which is another one after ``tensor.set(...)`` or a load.
Writing into an array from outside stays unseen. A table of any ids knows at which update each row was last looked up or
set; it is new as a whole after rules that move every row, and after rows were dropped.
"""

import weakref

import numpy as np

from .hash_table import HashTable, TableState
from .selected_rows import SelectedRows
from .tables import RowState


def identity(value):
    """A weak reference to the memory of a variable, or None when it has none of its own yet."""
    if isinstance(value, RowState):
        value = None if value.store is None else value.store.slots
    return weakref.ref(value) if isinstance(value, np.ndarray) else None


class RowTracker:
    """What was written since `restart`.

    Attributes:
        folder, step, id: the checkpoint that the scope was equal to at that time.
    """

    def __init__(self):
        self.folder = self.step = self.id = None
        self._marks, self._of_name, self._whole, self._known = {}, {}, set(), {}
        self._tables, self._states = {}, {}

    def watch(self, call, names, grad):
        """A step that notes what it writes, then does it.

        Args:
            call: the step.
            names: persistable variables that it writes.
            grad: the cell of its gradient if a SelectedRows there names all rows that change, else None.
        """

        def watched():
            value = None if grad is None else grad.value
            if isinstance(value, SelectedRows):
                self._mark(names, value)
            else:
                self._whole.update(names)
            call()

        return watched

    def _mark(self, names, grad):
        marks = self._marks.get((names, grad.height))
        if marks is None:
            marks = self._marks[names, grad.height] = np.zeros(grad.height, np.bool_)
            for name in names:
                self._of_name.setdefault(name, []).append(marks)
        for chunk in grad.chunks:
            try:
                marks[chunk.rows] = True
            except IndexError:  # the op says what is wrong, better
                self._whole.update(names)

    def restart(self, folder, step, id, values):
        """Forget all notes: the scope equals a checkpoint.

        Args:
            values: {name: value} of what the checkpoint holds.
        """
        self.folder, self.step, self.id = folder, step, id
        self._marks, self._of_name, self._whole = {}, {}, set()
        self._known = {name: identity(value) for name, value in values.items()}
        # A table that drops rows gets another index.
        self._tables = {
            name: (weakref.ref(v), v.index, v.steps) for name, v in values.items() if isinstance(v, HashTable)
        }
        self._states = {
            name: (weakref.ref(v), v.attached_to is v.table) for name, v in values.items() if isinstance(v, TableState)
        }

    def rows_written(self, name, value):
        """The rows of a variable written since `restart`, ascending, or None: maybe all of them.

        Args:
            value: what the variable holds.
        """
        known = self._known.get(name)
        memory = None if known is None else known()
        if name in self._whole or memory is None:
            return None
        now = identity(value)
        if now is None or now() is not memory:
            return None
        written = np.zeros(len(memory), np.bool_)
        for marks in self._of_name.get(name, ()):
            if len(marks) != len(written):
                return None
            written |= marks
        return np.flatnonzero(written)

    def table_rows_seen(self, name, table):
        """The row numbers of a table of any ids that may have changed, ascending, or None: maybe all of them."""
        known, index, steps = self._tables.get(name, (lambda: None, None, 0))
        if name in self._whole or known() is not table or index is not table.index:
            return None
        return np.flatnonzero(table.seen[1 : len(table) + 1] >= steps) + 1

    def is_state_of(self, name, state, table):
        """Whether a state belonged to this table at `restart`, as it does."""
        known, was_attached = self._states.get(name, (lambda: None, False))
        return name not in self._whole and known() is state and was_attached and state.attached_to is table
