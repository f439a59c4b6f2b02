"""Models on disk, in the files of Fluid 1.x: ``fluid.io``."""

from ..batch_sampler import BatchSampler, Dataset, default_collate_fn
from ..data_loader import DataLoader, PyReader
from ..reader import (
    ComposeNotAligned,
    batch,
    buffered,
    cache,
    chain,
    compose,
    firstn,
    map_readers,
    multiprocess_reader,
    shuffle,
    xmap_readers,
)
from . import sharded
from .checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from .inference_model import load_inference_model, save_inference_model
from .state import load, load_program_state, save, set_program_state
from .variables import (
    get_parameter_value,
    get_parameter_value_by_name,
    get_program_parameter,
    get_program_persistable_vars,
    is_belong_to_optimizer,
    is_parameter,
    is_persistable,
    load_params,
    load_persistables,
    load_vars,
    save_params,
    save_persistables,
    save_vars,
)

# Readers and loaders of data, which Fluid keeps here too.
