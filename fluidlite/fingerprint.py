"""A text by which programs that compute the same are known: in checkpoints, and among the ranks of a job."""

import hashlib
import zlib

import numpy as np

from .framework import Block


def fingerprint(program):
    """A text that is the same for programs with the same ops, attributes and persistable variables."""
    digest = hashlib.blake2b(digest_size=16)
    # Readers are numbered as they are made, whatever program they are for.
    readers = {name for block in program.blocks for name, var in block.vars.items() if var.holder is not None}

    def plain_slots(slots):
        return [(slot, ["" if name in readers else name for name in names]) for slot, names in slots.items()]

    for block in program.blocks:
        for op in block.ops:
            attrs = {k: _plain(v) for k, v in op.attrs.items() if not k.startswith("op_") and k != "seed"}
            digest.update(repr((block.idx, op.type, plain_slots(op.inputs), plain_slots(op.outputs))).encode())
            digest.update(repr(sorted(attrs.items())).encode())
        for name, var in sorted(block.vars.items()):
            if var.persistable and var.dtype is not None:
                digest.update(repr((name, tuple(var.shape or ()), int(var.dtype))).encode())
    return digest.hexdigest()


def _plain(value):
    if isinstance(value, Block):
        return value.idx
    if isinstance(value, np.ndarray):
        return value.dtype.name, value.shape, zlib.crc32(np.ascontiguousarray(value))
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    plain = value is None or isinstance(value, bool | int | float | str | bytes)
    return repr(value) if plain else type(value).__name__
