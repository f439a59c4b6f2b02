"""Which rank owns the row of an id: a function of the id and the number of ranks alone."""

import numpy as np


def owner_of(ids, n_ranks):
    """The rank, 0 to n_ranks - 1, that owns the row of each id.

    The high half of a product with an odd constant, after the high bits were folded in (Steele, Lea, Flood, OOPSLA
    2014), scaled to the number of ranks: neighbouring ids, multiples of 2^k and hashed ids spread alike.

    Args:
        ids: int64 (n,). n_ranks: int.

    Returns:
        int64 (n,).

    >>> np.bincount(owner_of(np.arange(0, 1 << 20, 64), 4)).tolist()
    [4101, 4137, 4067, 4079]
    """
    mixed = np.ascontiguousarray(ids, np.int64).view(np.uint64).copy()
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed >>= np.uint64(32)
    mixed *= np.uint64(n_ranks)
    mixed >>= np.uint64(32)
    return mixed.view(np.int64)


def owned(ids, share):
    """Which of some ids belong to a share, (rank, number of ranks), or to None, which has all: bools (n,)."""
    if share is None:
        return np.ones(len(ids), np.bool_)
    rank, n_ranks = share
    return owner_of(ids, n_ranks) == rank
