"""Samples in memory that the ranks of a job mix: what `InMemoryDataset.global_shuffle` does over several ranks."""

import itertools

import numpy as np

from .distributed import commands
from .errors import InvalidArgumentError, UnavailableError
from .samples import Samples, rows_of

# Bytes of one message.
_PIECE = 1 << 26


def exchange_samples(job, samples, seed):
    """Give each sample to a rank that `seed` draws, and take those that are drawn for this one; all ranks call it.

    Of n samples on all ranks, each rank gets n / size, rounded up or down. They come in the order of the ranks that had
    them, and of one rank in its own order.

    Args:
        samples: Samples of this rank; may be none, but with the slots of the others.
        seed: int, the same on all ranks.

    Returns:
        Samples.
    """
    local = [samples]
    job.command("exchange_samples", {"seed": seed}, local)
    return local[0]


def _exchange(job, comm, local, *, seed):
    samples = local[0] if local else None
    every = comm.all_gather(None if samples is None else (samples.slots, len(samples)))
    _check(every)
    owners = _drawn_owners(seed, comm.rank, comm.size, [n for _, n in every])
    # sizes[p][q]: how many samples rank p has for rank q, and how many values of each slot.
    sizes = comm.all_gather([_sizes(samples, np.flatnonzero(owners == rank)) for rank in range(comm.size)])
    mixed, places = _room(samples, [of_rank[comm.rank] for of_rank in sizes])
    _fill(places[comm.rank], _part(samples, owners == comm.rank))
    # In the order of all pairs, so that no two ranks wait for each other.
    for pair in itertools.combinations(range(comm.size), 2):
        for sender, receiver in (pair, pair[::-1]):
            if comm.rank == sender:
                _send(comm, _part(samples, owners == receiver), receiver)
            elif comm.rank == receiver:
                _receive(comm, places[sender], sender)
    for _, offsets in mixed.columns:
        if offsets is not None:  # lengths until now
            np.cumsum(offsets, out=offsets)
    local[0] = mixed


commands["exchange_samples"] = _exchange


def _check(every):
    """The same error on all ranks, or none."""
    if None in every:
        raise UnavailableError(
            f"Rank {every.index(None)} does not take part in global_shuffle.",
            hint="all ranks call dataset.global_shuffle(fleet) at the same place.",
        )
    for rank, (slots, _) in enumerate(every):
        if slots != every[0][0]:
            raise InvalidArgumentError(
                "global_shuffle cannot mix the samples of ranks that have different variables.",
                expected=", ".join(slot.name for slot in every[0][0]) + ", as on rank 0",
                actual=", ".join(slot.name for slot in slots) + f", of other shapes or dtypes, on rank {rank}",
            )


def _drawn_owners(seed, rank, size, counts):
    """The rank that each sample of this rank goes to: as many to each, over all ranks together."""
    start = sum(counts[:rank])
    owners = np.arange(start, start + counts[rank]) % size
    return np.random.Generator(np.random.PCG64([seed, rank])).permutation(owners)


def _sizes(samples, rows):
    """[number of samples, number of values of each slot]."""
    sizes = [rows.size]
    for values, offsets in samples.columns:
        n = rows.size * values.shape[1] if offsets is None else (offsets[rows + 1] - offsets[rows]).sum()
        sizes.append(int(n))
    return sizes


def _room(samples, sizes):
    """Samples to be filled, and where in their arrays those of each rank belong: [arrays] by rank.

    A slot with offsets has their differences in their place, after a 0.
    """
    ends = np.cumsum(sizes, axis=0)
    columns, places = [], [[] for _ in sizes]
    for i, (slot, (values, _)) in enumerate(zip(samples.slots, samples.columns, strict=True), 1):
        flat = np.empty(ends[-1, i], values.dtype)
        lengths = None if slot.width else np.zeros(1 + ends[-1, 0], np.int64)
        columns.append((flat.reshape(-1, slot.width), None) if slot.width else (flat, lengths))
        for rank, of_rank in enumerate(places):
            of_rank.append(flat[ends[rank, i] - sizes[rank][i] : ends[rank, i]])
            if lengths is not None:
                of_rank.append(lengths[1:][ends[rank, 0] - sizes[rank][0] : ends[rank, 0]])
    return Samples(samples.slots, int(ends[-1, 0]), columns), places


def _part(samples, chosen):
    """The arrays of the chosen samples, as `_room` has places for them."""
    rows = np.flatnonzero(chosen)
    for column in samples.columns:
        values, offsets = rows_of(*column, rows)
        yield values
        if offsets is not None:
            yield np.diff(offsets)


def _fill(places, arrays):
    for place, array in zip(places, arrays, strict=True):
        place[:] = array


def _send(comm, arrays, to):
    for array in arrays:
        for piece in _pieces(array):
            comm.send_array(piece, to)


def _receive(comm, places, from_):
    for place in places:
        for piece in _pieces(place):
            piece[:] = comm.receive_array(from_, piece.dtype, piece.shape)


def _pieces(array):
    step = _PIECE // array.itemsize
    return [array[begin : begin + step] for begin in range(0, array.size, step)]
