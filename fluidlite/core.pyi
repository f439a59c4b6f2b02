# Made by tools/make_stubs.py.
from fluidlite.dtypes import VarType as VarType
from fluidlite.errors import EOFException as EOFException
from fluidlite.errors import EnforceNotMet as EnforceNotMet
from fluidlite.inference.analysis import AnalysisConfig as AnalysisConfig
from fluidlite.inference.analysis import PaddleBuf as PaddleBuf
from fluidlite.inference.analysis import PaddleDType as PaddleDType
from fluidlite.inference.analysis import PaddleTensor as PaddleTensor
from fluidlite.inference.analysis import create_paddle_predictor as create_paddle_predictor
from fluidlite.lod_tensor import LoDTensor as LoDTensor
from fluidlite.lod_tensor import LoDTensorArray as LoDTensorArray
from fluidlite.places import CPUPlace as CPUPlace
from fluidlite.places import CUDAPinnedPlace as CUDAPinnedPlace
from fluidlite.places import CUDAPlace as CUDAPlace
from fluidlite.places import is_compiled_with_cuda as is_compiled_with_cuda
from fluidlite.scope import Scope as Scope
from fluidlite.selected_rows import SelectedRows as SelectedRows
from typing import Any

class VarDesc:
    VarType: Any
def get_cuda_device_count() -> Any: ...
