"""How the rows of a table of any ids get their first values: functions of (seed, stream, id) alone."""

from collections import namedtuple

import numpy as np

from ._kernels import random as random_kernels


class RowInitializer(namedtuple("RowInitializer", ["kind", "a", "b", "seed", "stream"], defaults=[0.0, 0.0, 0, 0])):
    """Initial rows: constant `a`; uniform in [a, b); normal with mean `a`, standard deviation `b`, plain or truncated.

    kind: constant, uniform, gaussian or truncated_gaussian.

    >>> rows = np.empty((2, 3), np.float32)
    >>> RowInitializer("constant", 0.5).fill(rows, np.array([7, -7]))
    >>> rows[1]
    array([0.5, 0.5, 0.5], dtype=float32)
    """

    __slots__ = ()

    @property
    def is_zero(self):
        """Whether rows begin as memory does."""
        return self.kind == "constant" and self.a == 0 and not np.signbit(self.a)

    def fill(self, out, ids, *, elements=False):
        """out[k] = the first values of the row of ids[k]; out (n, D), ids int64 (n,).

        elements: ids are rows of an ordinary table, which get what filling the whole of it would give them.
        """
        if self.kind != "constant":
            kernel = getattr(random_kernels, "fill_rows_" + self.kind)
            kernel(out, ids, self.a, self.b, seed=self.seed, stream=self.stream, elements=elements)
        else:
            out.fill(self.a)
