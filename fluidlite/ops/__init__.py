"""The ops, by family. Importing this package fills the table of `registry`."""

from . import (
    activation,
    compare,
    creation,
    elementwise,
    embedding,
    fused,
    loss,
    manipulation,
    matmul,
    metric,
    optimizer,
    reduction,
    slicing,
    unary,
)
