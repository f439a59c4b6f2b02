"""fluidlite: embedding models in Fluid style, at the speed of memory, on CPUs.

``import fluidlite as fluid`` and a Fluid 1.x program runs.
"""

from . import (
    backward,
    core,
    dtypes,
    errors,
    executor,
    framework,
    functional,
    initializer,
    layers,
    ops,
    optimizer,
    param_attr,
    profiler,
    regularizer,
    unique_name,
)
from ._kernels._parallel import get_num_threads, set_num_threads
from .backward import append_backward, gradients
from .config import show_config
from .core import VarDesc
from .errors import EnforceNotMet
from .executor import Executor, global_scope, scope_guard
from .flags import get_flags, set_flags
from .framework import (
    Program,
    default_main_program,
    default_startup_program,
    name_scope,
    program_guard,
)
from .input import data, embedding
from .lod_tensor import LoDTensor, create_lod_tensor
from .param_attr import ParamAttr
from .places import CPUPlace, CUDAPinnedPlace, CUDAPlace, cpu_places, is_compiled_with_cuda
from .scope import Scope
from .selected_rows import SelectedRows
from .variable import Parameter, Variable

Tensor = LoDTensor

__version__ = "0.1.0"
