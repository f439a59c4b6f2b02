"""Datasets with numbered samples: Dataset, the order of samples (BatchSampler), and how samples become a batch."""

import numpy as np

from .errors import InvalidArgumentError, InvalidTypeError, PreconditionNotMetError, here


class Dataset:
    """Base of datasets whose samples have numbers: subclasses define ``__getitem__(i)`` and ``__len__()``.

    A sample is a tuple of arrays, one for each variable that is fed.
    """

    def __getitem__(self, idx):
        raise NotImplementedError(f"'__getitem__' not implement in class {type(self).__name__}")

    def __len__(self):
        raise NotImplementedError(f"'__len__' not implement in class {type(self).__name__}")


class BatchSampler:
    """Lists of sample numbers, one for each batch.

    Args:
        dataset: whose ``len`` samples are numbered from 0.
        indices: the numbers themselves, instead of `dataset`.
        shuffle: put the numbers in a new random order (NumPy's global one) in each epoch.
        batch_size: numbers in a list.
        drop_last: leave out a last list that is shorter.

    >>> list(BatchSampler(indices=[4, 5, 6], batch_size=2))
    [[4, 5], [6]]
    """

    def __init__(self, dataset=None, indices=None, shuffle=False, batch_size=1, drop_last=False):
        if (dataset is None) == (indices is None):
            raise PreconditionNotMetError("Either dataset or indices should be set, and not both.", where=here())
        if indices is not None and not isinstance(indices, list | tuple):
            raise PreconditionNotMetError(f"indices should be a list or tuple, but got {type(indices)}", where=here())
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size <= 0:
            raise PreconditionNotMetError(
                f"batch_size should be a positive integer, but got {batch_size}", where=here()
            )
        for name, value in (("shuffle", shuffle), ("drop_last", drop_last)):
            if not isinstance(value, bool):
                raise PreconditionNotMetError(f"{name} should be a boolean value, but got {type(value)}", where=here())
        self.indices = list(range(len(dataset)) if indices is None else indices)
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last

    def __iter__(self):
        if self.shuffle:
            np.random.shuffle(self.indices)
        indices, size = list(self.indices), self.batch_size
        for start in range(0, len(self) * size, size):
            yield indices[start : start + size]

    def state_dict(self):
        """The order that the next shuffle starts from: {} without a shuffle, else {'indices': int64 array}."""
        return {"indices": np.array(self.indices, np.int64)} if self.shuffle else {}

    def set_state_dict(self, state):
        """Take over what `state_dict` gave; the numbers must be those of this sampler, in whatever order."""
        if not self.shuffle:
            return
        indices = np.asarray(state.get("indices", ()))
        if indices.shape != (len(self.indices),) or not np.array_equal(np.sort(indices), np.sort(self.indices)):
            raise InvalidArgumentError(
                "The saved order of a BatchSampler is that of other samples.",
                expected=f"the {len(self.indices)} numbers of this sampler",
                actual=f"an array of shape {indices.shape}",
                hint="has the dataset changed? Begin a new epoch: leave the loader out of `readers`.",
            )
        self.indices = indices.tolist()

    def __len__(self):
        count, size = len(self.indices), self.batch_size
        return count // size if self.drop_last else -(-count // size)


def default_collate_fn(batch):
    """A list of arrays, one for each field, from a list of samples: the fields of all samples stacked.

    >>> [array.tolist() for array in default_collate_fn([(np.array([1, 2]), 0), (np.array([3, 4]), 1)])]
    [[[1, 2], [3, 4]], [0, 1]]
    """
    if isinstance(batch[0], np.ndarray):
        return [np.stack(batch)]
    if not isinstance(batch[0], list | tuple):
        raise InvalidTypeError(
            "A sample of the dataset is no tuple of fields.", actual=type(batch[0]).__name__, hint="return (field,)."
        )
    return [np.stack(field) for field in zip(*batch, strict=True)]
