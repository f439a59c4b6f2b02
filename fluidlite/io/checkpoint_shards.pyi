# Made by tools/make_stubs.py.
from fluidlite.errors import EnforceNotMet as EnforceNotMet
from fluidlite.lod_tensor import LoDTensor as LoDTensor
from typing import Any

def read_shares(dirname: Any, chain: Any, variables: Any, optional: Any, share: Any) -> Any: ...
def set_readers(readers: Any, chain: Any, manifest: Any, arrays: Any, share: Any, folder: Any) -> None: ...
