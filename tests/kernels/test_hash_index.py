"""The hash index against a dict: any ids, any order, any batches, one and two threads."""

import os
import pickle

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from fluidlite._kernels.hash_index import HashIndex, IndexFull

LOW, HIGH = -(2**63), 2**63 - 1
EDGES = [LOW, LOW + 1, -1, 0, 1, 2**32, HIGH - 1, HIGH]


class Model:
    """What the index should be: a dict that numbers ids as they come."""

    def __init__(self):
        self.numbers = {}

    def find(self, ids, padding=None):
        return [0 if id == padding else self.numbers.get(id, 0) for id in ids]

    def insert(self, ids, padding=None):
        for id in ids:
            if id != padding:
                self.numbers.setdefault(id, len(self.numbers) + 1)
        return self.find(ids, padding)


class Both:
    """An index and its model, asked the same."""

    def __init__(self, limit=100_000, seed=7):
        self.index, self.model, self.limit = HashIndex(seed), Model(), limit
        self.names, self.seen = np.zeros(limit + 1, np.int64), np.full(limit + 1, -1, np.int32)
        self.step = 0

    def find(self, ids, padding=None):
        numbers = np.full(len(ids), -9)
        missing = self.index.find(np.array(ids, np.int64), numbers, padding_id=padding)
        assert numbers.tolist() == self.model.find(ids, padding)
        assert missing == sum(number == 0 and id != padding for number, id in zip(numbers, ids, strict=True))

    def insert(self, ids, padding=None):
        numbers, before = np.full(len(ids), -9), len(self.model.numbers)
        self.step += 1
        ids_array = np.array(ids, np.int64)
        options = {"limit": self.limit, "padding_id": padding, "seen": self.seen, "step": self.step}
        new = self.index.insert(ids_array, numbers, self.names, **options)
        assert numbers.tolist() == self.model.insert(ids, padding)
        assert new == len(self.model.numbers) - before and len(self.index) == len(self.model.numbers)
        assert self.names[1 : len(self.index) + 1].tolist() == list(self.model.numbers)
        assert (self.seen[numbers[numbers > 0]] == self.step).all() and self.seen[0] == -1


ids_strategy = st.lists(st.one_of(st.sampled_from(EDGES), st.integers(LOW, HIGH), st.integers(-20, 20)), max_size=60)


@hypothesis.given(
    st.lists(st.tuples(st.booleans(), ids_strategy, st.one_of(st.none(), st.sampled_from(EDGES))), max_size=12),
    st.integers(0, 2**64 - 1),
)
def test_is_a_dict(calls, seed):
    both = Both(limit=2000, seed=seed)
    for insert, ids, padding in calls:
        (both.insert if insert else both.find)(ids, padding)


@pytest.mark.parametrize("n", [0, 1, 7, 63, 64, 65, 4095, 4097, 20_000])
def test_batches_of_all_sizes(threads, n):
    rng = np.random.default_rng(n)
    both = Both()
    for _ in range(3):
        both.insert(rng.integers(LOW, HIGH, n, endpoint=True).tolist())
        both.insert(rng.integers(-n - 1, n + 1, n).tolist(), padding=-1)
        both.find(rng.integers(-n - 1, n + 1, n).tolist(), padding=0)


def adversarial(kind, n):
    return {
        "random": lambda: np.random.default_rng(3).integers(LOW, HIGH, n, endpoint=True),
        "sequential": lambda: np.arange(n),
        "multiples of 2^32": lambda: np.arange(n) << 32,
        "both halves equal": lambda: np.arange(n) * (2**32 + 1),
        "one low word": lambda: (np.arange(n) << 32) | 0x5BD1E995,
        "negative": lambda: -np.arange(n) - 1,
        "top bits": lambda: np.arange(n) << 47,
    }[kind]()


KINDS = ["random", "sequential", "multiples of 2^32", "both halves equal", "one low word", "negative", "top bits"]


@pytest.mark.parametrize("kind", KINDS)
def test_adversarial_ids_are_found_and_spread(threads, kind):
    ids = adversarial(kind, 60_000)
    index, names, numbers = HashIndex(11), np.zeros(60_001, np.int64), np.empty(60_000, np.int64)
    assert index.insert(ids, numbers, names, limit=60_000) == 60_000
    np.testing.assert_array_equal(numbers, np.arange(1, 60_001))
    # A part that got too many ids would have grown by itself.
    assert index.nbytes < 60_000 * 12 / 0.7 * 1.5 * 1.1
    again = np.empty_like(numbers)
    assert index.find(ids[::-1], again) == 0
    np.testing.assert_array_equal(again, numbers[::-1])


def test_memory_follows_the_ids():
    index, names = HashIndex(5), np.zeros(300_001, np.int64)
    numbers = np.empty(10_000, np.int64)
    for k in range(30):
        index.insert(np.arange(k * 10_000, (k + 1) * 10_000), numbers, names, limit=300_000)
        if k > 2:
            # 0.47 to 0.7 of the entries in use, never all parts at one end of it
            assert 18 < index.nbytes / len(index) < 23.5


def test_numbers_depend_on_neither_seed_nor_threads_nor_batches(with_threads):
    ids = np.random.default_rng(1).integers(-5000, 5000, 30_000)
    results = []
    for threads, seed, size in ((1, 3, 30_000), (2, 3, 30_000), (2, 2**64 - 1, 977), (1, 0, 1024)):
        with_threads(threads)
        index, names, numbers = HashIndex(seed), np.zeros(10_001, np.int64), np.empty(len(ids), np.int64)
        for k in range(0, len(ids), size):
            index.insert(ids[k : k + size], numbers[k : k + size], names, limit=10_000)
        results.append((numbers.tobytes(), names.tobytes()))
    assert len(set(results)) == 1


@pytest.mark.parametrize("known", [0, 3])
def test_one_id_too_many_changes_nothing(threads, known):
    both = Both(limit=5)
    both.insert(list(range(known)))
    names, seen = both.names.copy(), both.seen.copy()
    with pytest.raises(IndexFull) as caught:
        ids = np.array([-1, -2, -1, -3, -4, -5, -6])
        both.index.insert(ids, np.empty(7, np.int64), both.names, limit=5, seen=both.seen, step=9)
    error = caught.value
    assert (error.count, error.wanted, error.limit) == (known, known + 6, 5)
    assert vars(pickle.loads(pickle.dumps(error))) == vars(error)
    assert (both.names == names).all() and len(both.index) == known
    assert (both.seen == seen).all()
    both.find([*range(known), -1, -6])
    both.insert(list(range(-5 + known, 0)))
    assert len(both.index) == 5


def test_a_failing_preparation_changes_nothing():
    both = Both()
    both.insert([1, 2])
    asked = []

    def refuse(count):
        asked.append(count)
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        both.index.insert(np.array([1, 8, 9, 8]), np.empty(4, np.int64), both.names, limit=100, prepare=refuse)
    assert asked == [4]
    both.index.insert(np.array([2, 1]), np.empty(2, np.int64), both.names, limit=100, prepare=refuse)
    both.find([1, 2, 8, 9])


def test_read_only_and_strided_ids():
    ids = np.arange(12).reshape(6, 2)
    ids.flags.writeable = False
    index, names, numbers = HashIndex(0), np.zeros(21, np.int64), np.empty(6, np.int64)
    index.insert(ids[::-1, 1], numbers, names, limit=20)
    assert numbers.tolist() == [1, 2, 3, 4, 5, 6] and names[1:7].tolist() == [11, 9, 7, 5, 3, 1]
    index.find(ids[:, 1], numbers)
    assert numbers.tolist() == [6, 5, 4, 3, 2, 1]


def test_wrong_arguments_are_refused_by_name():
    index, names, ids = HashIndex(0), np.zeros(11, np.int64), np.arange(3)
    out = np.empty(3, np.int64)
    for error, match, arguments, options in [
        (TypeError, "`ids`", (ids.astype(np.int32), out, names), {}),
        (ValueError, "`ids`", (ids.reshape(1, 3), out, names), {}),
        (ValueError, "`numbers`", (ids, out[:2], names), {}),
        (ValueError, "`numbers`", (ids, np.empty(6, np.int64)[::2], names), {}),
        (ValueError, "share memory", (out, out, names), {}),
        (ValueError, "`names`", (ids, out, names[:9]), {}),
        (ValueError, "`seen`", (ids, out, names), {"seen": np.zeros(4, np.int32)}),
        (TypeError, "`seen`", (ids, out, names), {"seen": np.zeros(11, np.int64)}),
        (ValueError, "`step`", (ids, out, names), {"seen": np.zeros(11, np.int32), "step": 2**31}),
        (ValueError, "`limit`", (ids, out, names), {"limit": 2**32 - 1}),
        (ValueError, "`limit`", (ids, out, names), {"limit": -1}),
        (TypeError, "float", (ids, out, names), {"padding_id": 0.5}),
    ]:
        with pytest.raises(error, match=match):
            index.insert(*arguments, **({"limit": 10} | options))
    assert len(index) == 0
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match="`seed`"):
            HashIndex(seed)
    # No int64 equals it, so it is no padding.
    index.insert(ids, out, names, limit=10, padding_id=2**63)
    assert out.tolist() == [1, 2, 3]


def test_a_forked_child_has_an_index_of_its_own(threads):
    both = Both()
    both.insert(list(range(20_000)))
    child = os.fork()
    if not child:
        try:
            both.insert(list(range(-20_000, 0)))
            both.find(list(range(-30_000, 30_000)))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(both.index) == 20_000
    both.find(list(range(-30_000, 30_000)))
