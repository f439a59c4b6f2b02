"""Inputs of a program."""

from ..dtypes import VarType, canonical_dtype, dtype_name
from ..errors import warn_user
from ..framework import default_main_program


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
