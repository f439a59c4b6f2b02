"""fluidlite: embedding models in Fluid style, at the speed of memory, on CPUs.

``import fluidlite as fluid`` and a Fluid 1.x program runs.
"""

from . import (
    backward,
    clip,
    compiler,
    contrib,
    core,
    data_feeder,
    data_loader,
    dataset,
    dtypes,
    entry,
    errors,
    exchange,
    executor,
    framework,
    functional,
    incubate,
    inference,
    initializer,
    io,
    layers,
    metrics,
    nets,
    ops,
    optimizer,
    param_attr,
    profiler,
    reader,
    regularizer,
    transpiler,
    unique_name,
)
from ._kernels._parallel import get_num_threads, set_num_threads
from .backward import append_backward, gradients
from .compiler import BuildStrategy, CompiledProgram, ExecutionStrategy
from .config import show_config
from .core import VarDesc
from .data_feeder import DataFeeder
from .dataset import DatasetFactory
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
from .input import data, embedding, one_hot
from .io import load, load_program_state, save, set_program_state
from .lod_tensor import LoDTensor, LoDTensorArray, create_lod_tensor, create_random_int_lodtensor
from .memory import memory_optimize, release_memory
from .missing import reporter as _reporter
from .parallel_executor import ParallelExecutor
from .param_attr import ParamAttr
from .places import (
    CPUPlace,
    CUDAPinnedPlace,
    CUDAPlace,
    cpu_places,
    cuda_places,
    device_guard,
    is_compiled_with_cuda,
)
from .scope import Scope
from .selected_rows import SelectedRows
from .transpiler import DistributeTranspiler, DistributeTranspilerConfig
from .variable import Parameter, Variable
from .version import in_dygraph_mode, require_version

Tensor = LoDTensor

__version__ = "0.1.0"

__getattr__ = _reporter(__name__)
