# Made by tools/make_stubs.py.
from fluidlite.errors import EnforceNotMet as EnforceNotMet
from fluidlite.framework import Program
from fluidlite.scope import Scope as Scope
from typing import Any

RANDOM_STEP: str
def save_checkpoint(executor: Any, dirname: Any, step: Any, main_program: Program | None = ..., keep: Any = ..., incremental: bool = ..., *, readers: Any = ..., scope: Scope | None = ...) -> Any: ...
def latest_checkpoint(dirname: Any) -> Any: ...
def load_checkpoint(executor: Any, dirname: Any, main_program: Program | None = ..., step: Any = ..., *, readers: Any = ..., scope: Scope | None = ...) -> Any: ...
