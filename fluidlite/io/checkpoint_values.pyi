# Made by tools/make_stubs.py.
from fluidlite.errors import EnforceNotMet as EnforceNotMet
from fluidlite.lod_tensor import LoDTensor as LoDTensor
from fluidlite.selected_rows import SelectedRows as SelectedRows
from typing import Any

SMALLEST_FILE: int
BY_ROWS_FROM: int
def entries_of(cells: Any, tracker: Any = ..., base: Any = ...) -> Any: ...
def read_values(dirname: Any, chain: Any, variables: Any, optional: Any = ...) -> Any: ...
