# Made by tools/make_stubs.py.
from fluidlite.dataset_base import DatasetBase as _DatasetBase
from fluidlite.memory_dataset import InMemoryDataset as InMemoryDataset
from typing import Any

class DatasetFactory:
    def create_dataset(self, datafeed_class: str = ...) -> Any: ...
class QueueDataset(_DatasetBase):
    def local_shuffle(self) -> None: ...
    def global_shuffle(self, fleet: Any = ...) -> None: ...
