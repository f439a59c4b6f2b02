"""Fluid's `fluid.core` by name: what its C++ module showed to Python programs."""

from .dtypes import VarType
from .errors import EnforceNotMet, EOFException
from .inference.analysis import AnalysisConfig, PaddleBuf, PaddleDType, PaddleTensor, create_paddle_predictor
from .lod_tensor import LoDTensor, LoDTensorArray
from .places import CPUPlace, CUDAPinnedPlace, CUDAPlace, is_compiled_with_cuda
from .scope import Scope
from .selected_rows import SelectedRows


class VarDesc:
    """Holder of `VarType`, as in ``fluid.core.VarDesc.VarType.FP32``."""

    VarType = VarType


def get_cuda_device_count():
    """0: there are no GPUs to use."""
    return 0


__all__ = [
    "AnalysisConfig",
    "CPUPlace",
    "CUDAPinnedPlace",
    "CUDAPlace",
    "EOFException",
    "EnforceNotMet",
    "LoDTensor",
    "LoDTensorArray",
    "PaddleBuf",
    "PaddleDType",
    "PaddleTensor",
    "Scope",
    "SelectedRows",
    "VarDesc",
    "VarType",
    "create_paddle_predictor",
    "get_cuda_device_count",
    "is_compiled_with_cuda",
]
