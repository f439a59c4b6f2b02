"""Dataset: training data in files of MultiSlot text, for `Executor.train_from_dataset`.

A line is one sample: for every variable of `set_use_var`, in order, ``count v1 ... vn``. A pipe command may make such
lines from whatever the files hold (see `fluidlite.incubate.data_generator`).
"""

from .dataset_base import DatasetBase, NotSupportedError
from .errors import InvalidArgumentError
from .memory_dataset import InMemoryDataset
from .multislot import read_batches

__all__ = ["DatasetFactory", "InMemoryDataset", "QueueDataset"]


class DatasetFactory:
    """Makes datasets by the name of their class.

    >>> DatasetFactory().create_dataset('InMemoryDataset').get_memory_data_size()
    0
    """

    def create_dataset(self, datafeed_class="QueueDataset"):
        """A new dataset.

        Args:
            datafeed_class: 'QueueDataset' (default), which streams its files, or 'InMemoryDataset', which can shuffle.

        Raises:
            InvalidArgumentError: any other name.
        """
        kinds = {"QueueDataset": QueueDataset, "InMemoryDataset": InMemoryDataset}
        if not isinstance(datafeed_class, str) or datafeed_class not in kinds:
            raise InvalidArgumentError(
                f"datafeed class {datafeed_class} does not exist", expected=" or ".join(map(repr, kinds))
            )
        return kinds[datafeed_class]()


class QueueDataset(DatasetBase):
    """Streams its files while the training runs; nothing is kept.

    Differs from Fluid: a line that is no sample is an error that names file, line and slot, where Fluid ends the
    process or, for a wrong number of dense values, reads on; dense slots have no LoD; threads only read.

    >>> import fluidlite as fluid
    >>> ids = fluid.data('ids', [None, 1], 'int64', lod_level=1)
    >>> label = fluid.data('label', [None, 1], 'float32')
    >>> dataset = fluid.DatasetFactory().create_dataset('QueueDataset')
    >>> dataset.set_use_var([ids, label]); dataset.set_batch_size(2); dataset.set_filelist(['day1.txt'])
    """

    def _parsed_batches(self, slots, thread):
        self._check_files()
        return read_batches(self.filelist, slots, self.batch_size, self.pipe_command, thread)

    def local_shuffle(self):
        """Not possible: the samples are not in memory."""
        self._refuse_shuffle("local")

    def global_shuffle(self, fleet=None):
        """Not possible: the samples are not in memory."""
        self._refuse_shuffle("global")

    def _refuse_shuffle(self, which):
        raise NotSupportedError(
            f"QueueDataset does not support {which} shuffle, please use InMemoryDataset for {which}_shuffle",
            hint="fluid.DatasetFactory().create_dataset('InMemoryDataset')",
        )
