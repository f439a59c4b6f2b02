# Made by tools/make_stubs.py.
from typing import Any
from typing import NamedTuple

RANDOM_STEP: str
OF_RANKS: int
class Caller(NamedTuple):
    program: Any
    scope: Any
    states: Any
    arrays: Any
def save_parts(job: Any, caller: Any, number: Any, dirname: Any, step: Any, keep: Any, incremental: Any) -> None: ...
def save_together(job: Any, comm: Any, local: Any, *, number: Any, dirname: Any, step: Any, keep: Any, incremental: Any) -> None: ...
