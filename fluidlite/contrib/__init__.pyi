# Made by tools/make_stubs.py.
from . import layers as layers
from fluidlite.contrib.layers import ctr_metric_bundle as ctr_metric_bundle
from fluidlite.contrib.layers import shuffle_batch as shuffle_batch
from fluidlite.contrib.layers import sparse_embedding as sparse_embedding
from fluidlite.entry import CountFilterEntry as CountFilterEntry
from fluidlite.entry import ProbabilityEntry as ProbabilityEntry
from typing import Any

def memory_usage(program: Any, batch_size: int) -> Any: ...
