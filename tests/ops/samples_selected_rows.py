"""Samples of the ops on sparse gradients: duplicates, the first and the last row, no rows."""

import numpy as np

from fluidlite.selected_rows import SelectedRows

from .grid import add, rows

_V, _D = 7, 3
_GRADS = (
    rows([4, 0, _V - 1, 4, 0, 4], _D, _V),
    rows([5], _D, _V, seed=1),
    SelectedRows(np.zeros(0, np.int64), np.zeros((0, _D)), _V),
)

for _grad in _GRADS:
    add("merge_selected_rows", {"X": _grad}, lambda X: X.merge())
    add("get_tensor_from_selected_rows", {"X": _grad}, lambda X: X.value, value_shapes=True)
