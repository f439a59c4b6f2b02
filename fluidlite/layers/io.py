"""Inputs of a program: variables that are fed, and readers that programs read themselves."""

from .. import unique_name
from ..data_feeder import batch_source, sample_list_source, sample_source
from ..dtypes import VarType, canonical_dtype, dtype_name
from ..errors import InvalidArgumentError, InvalidTypeError, format_site, here, warn_user
from ..framework import Program, default_main_program, default_startup_program
from ..layer_helper import LayerHelper
from ..prefetch import BatchReader
from ..variable import Variable


def data(
    name, shape, append_batch_size=True, dtype="float32", lod_level=0, type=VarType.LOD_TENSOR, stop_gradient=True
):
    """An input of the program, with a batch dimension put before `shape`.

    Args:
        name: the key in ``feed``.
        shape: dimensions of one sample; -1 is put before it unless it holds a -1 or None already.
        append_batch_size: False takes `shape` as it is.
        dtype: default 'float32'.
        lod_level: levels of sequence offsets that come with it, default 0.
        stop_gradient: default True.

    What is fed is not checked against the shape, as in Fluid; an op that cannot use it says so. `fluid.data` checks.

    >>> data('pixels', [784]).shape
    (-1, 784)
    """
    shape = [-1 if d is None else d for d in shape]
    if append_batch_size and not any(d < 0 for d in shape):
        shape = [-1, *shape]
    block = default_main_program().current_block()
    return declare_input(block, name, shape, dtype, type=type, lod_level=lod_level, stop_gradient=stop_gradient)


def declare_input(block, name, shape, dtype, **options):
    """The input variable of that name: a new one, or the one declared before (with a warning when that differs)."""
    existing = block.vars.get(name)
    variable = block.create_var(name=name, shape=shape, dtype=dtype, is_data=True, **options)
    if existing is not None:
        declared = tuple(-1 if d is None else int(d) for d in shape), canonical_dtype(dtype)
        if declared != (existing.shape, existing.dtype):
            warn_user(
                f"Input {name!r} was declared before as {existing.shape} {dtype_name(existing.dtype)} and stays so; "
                f"{declared[0]} {dtype_name(dtype)} has no effect."
            )
    return variable


class ReaderVariable(Variable):
    """A variable of kind READER: `py_reader` makes it, `read_file` takes its batches.

    A source is set once (the ``decorate_...`` methods), then every epoch is: `start`, runs until one raises
    ``fluid.core.EOFException``, `reset`. Sources are functions without arguments that return an iterable; they are
    called once in each epoch. A thread makes up to `capacity` batches ahead, and what a source raises is raised by the
    run that would have read the batch.
    """

    def __init__(self, block, name, reader):
        super().__init__(block, type=VarType.READER, name=name, holder=reader, persistable=True, stop_gradient=True)

    @property
    def queue(self):
        """What is made ahead: ``queue.size()`` of ``queue.capacity()`` batches."""
        return self.holder

    @property
    def shapes(self):
        """The shapes of the variables of a batch."""
        return [list(v.shape) for v in self.holder.variables]

    @property
    def dtypes(self):
        """The data types of the variables of a batch."""
        return [v.dtype for v in self.holder.variables]

    @property
    def lod_levels(self):
        """The LoD levels of the variables of a batch."""
        return [v.lod_level for v in self.holder.variables]

    def decorate_sample_generator(self, sample_generator, batch_size, drop_last=True, places=None):
        """Take samples (tuples of fields), `batch_size` for a batch. `places` is accepted for Fluid's sake."""
        self.holder.set_source(sample_source(self.holder.variables, sample_generator, batch_size, drop_last))

    def decorate_sample_list_generator(self, reader, places=None):
        """Take lists of samples, as `fluid.io.batch` makes them. Other name: decorate_paddle_reader."""
        self.holder.set_source(sample_list_source(self.holder.variables, reader))

    def decorate_batch_generator(self, reader, places=None):
        """Take tuples of arrays or LoDTensors, one for each variable. Other name: decorate_tensor_provider."""
        self.holder.set_source(batch_source(self.holder.variables, reader))

    decorate_paddle_reader = decorate_sample_list_generator
    decorate_tensor_provider = decorate_batch_generator

    def start(self):
        """Begin an epoch."""
        self.holder.start()

    def reset(self):
        """End the epoch, at its end or before."""
        self.holder.reset()


def py_reader(capacity, shapes, dtypes, lod_levels=None, name=None, use_double_buffer=True):
    """A reader that a program reads itself, so that its runs need no feed.

    Args:
        capacity: batches made ahead, at least 1.
        shapes: one shape for each variable of a batch, -1 for the batch dimension.
        dtypes, lod_levels: as many data types and LoD levels; lod_levels=None is 0 for all.
        name: first part of the names of what is made; needed when a program has several readers of the same names.
        use_double_buffer: appends an op that changes nothing: every reader here works ahead.

    Returns:
        ReaderVariable: see its methods; `read_file` gives the variables.

    >>> import fluidlite as fluid
    >>> reader = py_reader(capacity=4, shapes=[(-1, 2)], dtypes=['float32'])
    >>> y = fluid.layers.reduce_sum(read_file(reader))
    >>> reader.decorate_batch_generator(lambda: iter([(np.ones((3, 2)),), (np.ones((1, 2)),)]))
    >>> exe, sums = fluid.Executor(), []
    >>> reader.start()
    >>> try:
    ...     while True:
    ...         sums.append(float(exe.run(fetch_list=[y])[0][0]))
    ... except fluid.core.EOFException:
    ...     reader.reset()
    >>> sums
    [6.0, 2.0]
    """
    shapes, dtypes = list(shapes), list(dtypes)
    lod_levels = [0] * len(shapes) if lod_levels is None else list(lod_levels)
    if not len(shapes) == len(dtypes) == len(lod_levels):
        raise InvalidArgumentError(
            "shapes, dtypes and lod_levels of py_reader must be of one length.",
            actual=f"{len(shapes)}, {len(dtypes)} and {len(lod_levels)}",
            where=here(),
        )
    names = _reader_names(name)
    block = Program().global_block()
    variables = [
        Variable(block, name=f"{names[1]}[{k}]", shape=shape, dtype=dtype, lod_level=level)
        for k, (shape, dtype, level) in enumerate(zip(shapes, dtypes, lod_levels, strict=True))
    ]
    return _py_reader(variables, capacity, names, use_double_buffer)


def create_py_reader_by_data(capacity, feed_list, name=None, use_double_buffer=True):
    """A `py_reader` whose batches have the shapes, dtypes and LoD levels of the Variables in `feed_list`.

    >>> import fluidlite as fluid
    >>> create_py_reader_by_data(4, [fluid.data('x', [None, 3])]).shapes
    [[-1, 3]]
    """
    if not isinstance(feed_list, list):
        raise InvalidTypeError(f"feed_list should be a list of Variable instead of {type(feed_list)}")
    return _py_reader(feed_list, capacity, _reader_names(name), use_double_buffer)


def _reader_names(name):
    """The names of queue, reader and double buffer."""
    if name is not None:
        return tuple(f"{name}_{part}" for part in ("queue", "reader", "double_buffer"))
    return tuple(map(unique_name.generate, ("lod_tensor_blocking_queue", "create_py_reader", "double_buffer")))


def _py_reader(variables, capacity, names, use_double_buffer):
    reader = append_reader(default_startup_program().current_block(), variables, capacity, names)
    block = default_main_program().current_block()
    if block is not reader.block:
        reader = _add(ReaderVariable(block, reader.name, reader.holder))
    return double_buffer(reader, name=names[2]) if use_double_buffer else reader


def append_reader(block, variables, capacity, names):
    """The variable of a new reader of batches of `variables`, and the op that makes it, in a block."""
    if not isinstance(capacity, int) or capacity < 1:
        raise InvalidArgumentError("The capacity of a reader is no number of batches.", actual=repr(capacity))
    queue_name, reader_name = names[:2]
    for name in (queue_name, reader_name):
        if block.has_var(name):
            raise InvalidArgumentError(
                f"Reader {reader_name!r} cannot be created: the program has a variable {name!r}.",
                where=format_site(block.var(name).site),
                hint="give each reader of a program a name of its own: name='train'.",
            )
    held = BatchReader(reader_name, variables, capacity)
    queue = _add(Variable(block, type=VarType.RAW, name=queue_name, holder=held, stop_gradient=True))
    reader = _add(ReaderVariable(block, reader_name, held))
    attrs = {
        "shape_concat": [d for v in variables for d in v.shape],
        "ranks": [len(v.shape) for v in variables],
        "lod_levels": [v.lod_level for v in variables],
        "dtypes": [int(v.dtype) for v in variables],
        "need_check_feed": [int(v.need_check_feed) for v in variables],
    }
    block.append_op("create_py_reader", inputs={"blocking_queue": queue}, outputs={"Out": reader}, attrs=attrs)
    return reader


def _add(variable):
    variable.block.vars[variable.name] = variable
    variable.block.program._changed()
    return variable


def double_buffer(reader, place=None, name=None):
    """The same reader again, under another name: every reader here makes batches ahead on a thread.

    Args:
        reader: from `py_reader`.
        place: accepted for Fluid's sake.
        name: of the new variable.

    >>> reader = double_buffer(py_reader(4, [(-1, 3)], ['float32'], use_double_buffer=False), name='buffered')
    >>> reader.name
    'buffered'
    """
    _check_reader_variable(reader, "double_buffer")
    block = default_main_program().current_block()
    name = unique_name.generate("create_double_buffer_reader") if name is None else name
    if block.has_var(name):
        raise InvalidArgumentError(f"Reader {name!r} cannot be created: the program has a variable {name!r}.")
    out = _add(ReaderVariable(block, name, reader.holder))
    attrs = {} if place is None else {"place": str(place).upper()}
    block.append_op(
        "create_double_buffer_reader", inputs={"UnderlyingReader": reader}, outputs={"Out": out}, attrs=attrs
    )
    return out


def read_file(reader):
    """The variables of the next batch of a reader: a list of Variables, or the one Variable.

    Every run of the program takes one batch; at the end of the epoch it raises ``fluid.core.EOFException``.

    >>> image, label = read_file(py_reader(4, [(-1, 784), (-1, 1)], ['float32', 'int64']))
    >>> label.shape
    (-1, 1)
    """
    _check_reader_variable(reader, "read_file")
    helper = LayerHelper("read_file")
    outs = [helper.create_variable_for_type_inference(v.dtype, stop_gradient=True) for v in reader.holder.variables]
    for out, v in zip(outs, reader.holder.variables, strict=True):
        out.shape, out.lod_level = v.shape, v.lod_level
    helper.append_op("read", inputs={"Reader": reader}, outputs={"Out": outs})
    return outs[0] if len(outs) == 1 else outs


def _check_reader_variable(reader, layer):
    if not isinstance(reader, ReaderVariable):
        raise InvalidTypeError(
            f"{layer} needs a reader.", expected="what py_reader returned", actual=type(reader).__name__, where=here()
        )
