"""The ids that every peer trains on: seeded, so that all peers see the same bits. Python 3.7 must be able to read this.

A workload is a dict: `kind` ("update", "step", "ngram", "deepfm" or "memory"), the sizes V (rows of the table), D (its
width), N (ids of a batch), and what a kind needs beside them.
"""

import zlib

import numpy as np

CYCLE = 8
FIELDS, DENSE_FEATURES = 26, 13


def id_batches(workload):
    """`batches` (default 8) arrays of N int64 ids in [0, V): uniform, or zipf(1.2), the long tail in the last row."""
    rng = np.random.RandomState(0)
    height, count = workload["V"], workload["N"]
    batches = []
    for _ in range(workload.get("batches", CYCLE)):
        if workload.get("ids", "uniform") == "zipf":
            ids = np.minimum(rng.zipf(1.2, count) - 1, height - 1)
        else:
            ids = rng.randint(0, height, count)
        batches.append(ids.astype(np.int64))
    return batches


def update_grad(workload):
    """The (N, D) float32 gradient of a row update; one array for all batches, as a plan reuses its buffer."""
    return np.random.RandomState(1).standard_normal((workload["N"], workload["D"])).astype(np.float32)


def ngram_batches(workload):
    """8 arrays (N, 5) int64, zipf(1.3): four words of context and the next word."""
    rng = np.random.RandomState(0)
    shape, last = (workload["N"], 5), workload["V"] - 1
    return [np.minimum(rng.zipf(1.3, shape) - 1, last).astype(np.int64) for _ in range(CYCLE)]


def deepfm_batches(workload):
    """8 triples in Criteo's shape: ids (N, 26) with a few hot rows in each field, (N, 13) float32, labels (N, 1)."""
    rng = np.random.RandomState(0)
    count, height = workload["N"], np.uint64(workload["V"])
    shift = np.arange(FIELDS, dtype=np.uint64) * np.uint64(97)
    batches = []
    for _ in range(CYCLE):
        # Knuth's multiplicative hash scatters the hot ids over the table; uint64 products wrap.
        ids = (rng.zipf(1.1, (count, FIELDS)).astype(np.uint64) * np.uint64(2654435761) + shift) % height
        dense = rng.rand(count, DENSE_FEATURES).astype(np.float32)
        labels = rng.randint(0, 2, (count, 1)).astype(np.float32)
        batches.append((ids.astype(np.int64), dense, labels))
    return batches


def make_batches(workload):
    """The batches of a workload of any kind."""
    makers = {"ngram": ngram_batches, "deepfm": deepfm_batches}
    return makers.get(workload["kind"], id_batches)(workload)


def describe(workload, batches):
    """What must be equal in all peers (`crc` of the batches), and the mean number of rows that a batch touches."""
    crc, touched = 0, 0
    for batch in batches:
        for array in batch if isinstance(batch, tuple) else (batch,):
            crc = zlib.crc32(np.ascontiguousarray(array).tobytes(), crc)
        ids = batch[0] if isinstance(batch, tuple) else batch
        touched += len(np.unique(ids[:, :4] if workload["kind"] == "ngram" else ids))
    return {"crc": crc, "touched": touched / float(len(batches))}
