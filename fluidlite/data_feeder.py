"""From samples to what a program is fed: DataFeeder, and the batches of readers.

A sample is a tuple with one field for each variable of a `feed_list`, a batch of samples a list of them.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

from .dtypes import VarType, numpy_dtype
from .errors import (
    EnforceNotMet,
    InvalidArgumentError,
    InvalidTypeError,
    PreconditionNotMetError,
    format_site,
    here,
)
from .feed import checked_feed
from .framework import Variable, default_main_program
from .lod_tensor import LoDTensor
from .places import cpu_places
from .reader import batch as batch_reader


class DataFeeder:
    """Makes a feed dict of a batch of samples.

    Args:
        feed_list: Variables, or names of variables of `program`: one for each field of a sample.
        place: accepted for Fluid's sake.
        program: where names are looked up; the default main program if None.

    A field of a variable without LoD is an array, list or number with as many elements as the variable's shape has
    behind the batch dimension. With lod_level 1 it is a sequence of such, with lod_level 2 a sequence of sequences.
    Numbers become the variable's dtype; floats for an integer variable must be whole.

    >>> import fluidlite as fluid
    >>> word, label = fluid.data('word', [None, 1], 'int64', lod_level=1), fluid.data('label', [None, 1], 'int64')
    >>> feed = DataFeeder([word, label], fluid.CPUPlace()).feed([([4, 2, 7], 0), ([], 1), ([5], 1)])
    >>> feed['word'].lod(), feed['label'].shape()
    ([[0, 3, 3, 4]], [3, 1])
    """

    def __init__(self, feed_list, place, program=None):
        block = (default_main_program() if program is None else program).global_block()
        variables = [block.var(v) if isinstance(v, str) else v for v in feed_list]
        for v in variables:
            if not isinstance(v, Variable):
                raise InvalidTypeError(
                    "Feed list should contain a list of variable.", expected="Variable or name", actual=repr(v)
                )
        # The size of a batch is checked when it is fed.
        self._fields = [_field(v)._replace(need_check_feed=False) for v in variables]
        self.feed_names = [f.name for f in self._fields]
        self.feed_dtypes = [f.dtype for f in self._fields]
        self.feed_shapes = [f.shape for f in self._fields]
        self.feed_lod_level = [f.lod_level for f in self._fields]
        self.place = place

    def feed(self, iterable):
        """``{name: LoDTensor}`` of a batch: of B samples, arrays of shape (B, ...), or LoD with B sequences.

        Raises:
            PreconditionNotMetError: a sample has too many or too few fields (also an AssertionError).
            InvalidArgumentError, InvalidTypeError: a field does not fit its variable; the sample's number is said.
        """
        return dict(zip(self.feed_names, self._tensors(iterable), strict=True))

    def feed_parallel(self, iterable, num_places=None):
        """One feed dict for each place.

        Args:
            iterable: as many batches as places.
            num_places: default is the environment variable CPU_NUM, or 1.
        """
        count, batches = _count_places(num_places), list(iterable)
        if len(batches) != count:
            raise InvalidArgumentError(
                "feed_parallel takes multiple mini-batches. Each mini-batch will be feed on each device. "
                "The number of devices and number of mini-batches must be same.",
                expected=str(count),
                actual=str(len(batches)),
            )
        for samples in batches:
            yield self.feed(samples)

    def decorate_reader(self, reader, multi_devices, num_places=None, drop_last=True):
        """A reader of feed dicts from a reader of batches of samples.

        Args:
            reader: function without arguments that returns an iterable of batches.
            multi_devices: True yields lists with one feed dict for each place.
            num_places: default is the environment variable CPU_NUM, or 1.
            drop_last: of multi_devices, leave out the last batches if there are not enough for all places; False makes
                them an error, as in Fluid.
        """

        def feeds():
            if not multi_devices:
                yield from map(self.feed, reader())
                return
            count, group = _count_places(num_places), []
            for samples in reader():
                group.append(samples)
                if len(group) == count:
                    yield list(self.feed_parallel(group, count))
                    group = []
            if group and not drop_last:
                raise InvalidArgumentError(
                    f"The last {len(group)} batches do not suffice for {count} places.", hint="use drop_last=True."
                )

        return feeds

    def _tensors(self, iterable):
        samples, count = list(iterable), len(self._fields)
        try:
            fits = all(n == count for n in map(len, samples))
        except TypeError:
            fits = False
        if not fits:
            _refuse_count(samples, count)
        columns = zip(*samples, strict=True) if samples else [()] * count
        return [_tensor(field, k, column) for k, (field, column) in enumerate(zip(self._fields, columns, strict=True))]


class _Field(NamedTuple):
    """What a field of a sample is to become; as far as `checked_feed` is concerned, a variable.

    A thread that makes batches must not hold variables: they lead to the program, and so to the reader that ends it.
    """

    name: str
    shape: tuple
    dtype: VarType
    lod_level: int
    site: tuple
    need_check_feed: bool


def _field(v):
    return _Field(v.name, v.shape, v.dtype, v.lod_level, v.site, v.need_check_feed)


def _count_places(num_places):
    return len(cpu_places()) if num_places is None else int(num_places)


def _refuse_count(samples, count):
    for n, sample in enumerate(samples):
        if not hasattr(sample, "__len__"):
            raise InvalidTypeError(
                f"Sample {n} of the batch is no tuple of fields.", expected=f"{count} fields", actual=repr(sample)
            )
        if len(sample) != count:
            raise PreconditionNotMetError(
                f"The number of fields in data ({len(sample)}) does not match len(feed_list) ({count}).",
                actual=f"sample {n} of the batch",
            )


def _tensor(field, position, column):
    """The LoDTensor of one field of all samples."""
    try:
        return _convert(field, column)
    except EnforceNotMet as error:
        number, error = _first_bad(field, column, error)
        raise type(error)(
            f"Sample {number} of the batch does not fit field {position} of feed_list, {field.name!r}: "
            + error.summary,
            expected=error.expected,
            actual=error.actual,
            where=format_site(field.site),
            hint=error.hint,
        ) from None


def _first_bad(field, column, error):
    """The number of the first sample that cannot stand alone or beside the first one, and its error."""
    for number, sample in enumerate(column):
        for samples in ((sample,), (column[0], sample)):
            try:
                _convert(field, samples)
            except EnforceNotMet as own:
                return number, own
    return 0, error


def _convert(field, column):
    items, lengths = column, []
    for _ in range(field.lod_level):
        try:
            lengths.append(list(map(len, items)))
        except TypeError:
            raise InvalidTypeError(
                "it is no sequence.", expected=f"nested lists or arrays, lod_level = {field.lod_level}"
            ) from None
        items = _joined(items)
    tensor = LoDTensor(_shaped(field, _numbers(field, items)))
    tensor.set_recursive_sequence_lengths(lengths)
    return tensor


def _joined(sequences):
    """The items of all sequences, one after the other."""
    filled = [s for s in sequences if len(s)]
    if filled and all(isinstance(s, np.ndarray) for s in filled):
        try:
            return np.concatenate(filled)
        except ValueError as error:
            raise InvalidArgumentError(f"its arrays cannot be joined: {error}.") from None
    return list(itertools.chain.from_iterable(filled))


def _numbers(field, items):
    """Items as an array of the field's dtype."""
    dtype = numpy_dtype(field.dtype)
    if not len(items):
        return np.empty(0, dtype)
    try:
        array = np.asarray(items)
        if array.dtype.kind in "US":
            array = array.astype(np.int64 if dtype.kind in "iu" else np.float64)
    except ValueError as error:
        raise InvalidArgumentError(f"it is no array: {error}.") from None
    if array.dtype.kind == "f" and dtype.kind in "iu":
        array = _whole(array, dtype)
    return checked_feed(field, dtype, array)


def _whole(array, dtype):
    with np.errstate(invalid="ignore"):
        integers = array.astype(dtype)
    fractions = integers != array
    if fractions.any():
        raise InvalidTypeError(
            f"{array[fractions].flat[0]} is no {dtype.name}.", expected=dtype.name, actual=array.dtype.name
        )
    return integers


def _shaped(field, array):
    """The array with the dimensions that the field declares behind the first one."""
    inner, n = field.shape[1:], len(array)
    if n == 0:
        return array.reshape(0, *[max(d, 0) for d in inner])
    given = array.shape[1:]
    if len(given) == len(inner):
        fits = all(d < 0 or d == g for d, g in zip(inner, given, strict=True))
    else:
        known, unknown = math.prod(d for d in inner if d >= 0), sum(d < 0 for d in inner)
        size = math.prod(given)
        # Where several dimensions are open, only who feeds it can say what is meant.
        fits = unknown > 1 or size == known or (unknown == 1 and known > 0 and size % known == 0)
        if fits and unknown <= 1:
            array = array.reshape(n, *inner)
    if not fits:
        raise InvalidArgumentError("its shape is another one.", expected=str(tuple(inner)), actual=str(tuple(given)))
    return array


# ------------------------------------------------------------------------------------------------- sources of readers


def sample_source(variables, reader, batch_size, drop_last=True):
    """A function that returns a generator of batches (lists of LoDTensors) from a reader of samples."""
    if batch_size <= 0:
        raise PreconditionNotMetError("batch_size must be larger than 0.", actual=str(batch_size), where=here())
    _check_reader(reader)
    return sample_list_source(variables, batch_reader(reader, batch_size, drop_last=drop_last))


def sample_list_source(variables, reader):
    """A function that returns a generator of batches (lists of LoDTensors) from a reader of lists of samples."""
    _check_reader(reader)
    feeder = DataFeeder(variables, None)

    def batches():
        for samples in reader():
            yield feeder._tensors(samples)

    return batches


def batch_source(variables, reader):
    """A function that returns a generator of batches (lists of LoDTensors) from a reader of tuples of arrays."""
    _check_reader(reader)
    fields = [_field(v) for v in variables]

    def batches():
        for values in reader():
            values = list(values)
            if len(values) != len(fields):
                raise PreconditionNotMetError(
                    "The sample number of reader's input data and the input number of feed list are not equal.",
                    expected=f"{len(fields)} arrays in a batch",
                    actual=str(len(values)),
                    hint="a reader that yields lists of samples (fluid.io.batch) is for set_sample_list_generator.",
                )
            yield [_own_tensor(field, value) for field, value in zip(fields, values, strict=True)]

    return batches


def _check_reader(reader):
    if not callable(reader):
        raise InvalidTypeError(
            "The reader is not a function.",
            expected="a function without arguments that returns an iterable, called once in each epoch",
            actual=type(reader).__name__,
            where=here(),
            hint="pass the generator function itself, not what it returns.",
        )


def _own_tensor(field, value):
    """A LoDTensor of memory of its own: a generator may use its arrays again for the next batch."""
    given, offsets = value, ()
    if isinstance(value, LoDTensor):
        given, offsets = value.value, value.lod_offsets
    array = checked_feed(field, numpy_dtype(field.dtype), given)
    shared = array is given or array.base is not None
    return LoDTensor(array.copy() if shared else array, offsets)
