"""From a text to windows of word ids: what word_emb.py trains on."""

import re
from typing import NamedTuple

import numpy as np

CONTEXT = 4  # words that are given; the next one is to be predicted
UNKNOWN = "<unk>"
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|[.,;:!?]")


class UserError(Exception):
    """Something that whoever started the example can change; the message says what."""


class Corpus(NamedTuple):
    words: list  # the vocabulary, most frequent first after <unk>
    train: np.ndarray  # windows of CONTEXT + 1 word ids, (n, CONTEXT + 1)
    test: np.ndarray
    unigram_perplexity: float


def read_lines(path):
    if path is not None:
        with open(path, encoding="utf-8", errors="replace") as file:
            yield from file
        return
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise UserError("this Python comes without pydoc_data, the default text: give one with --corpus") from None
    # Topics quote each other; what stands in several of them counts once, or the test text would be known already.
    yield from dict.fromkeys(paragraph for topic in topics.values() for paragraph in topic.split("\n\n"))


def read_corpus(path=None, dict_size=10000):
    """The windows and the vocabulary of a text: every tenth block is for testing, all else for training.

    The vocabulary is the dict_size - 1 most frequent words of the training text and <unk>, which has id 0.
    """
    ids_of = {}
    ids = np.fromiter(
        (ids_of.setdefault(w, len(ids_of)) for line in read_lines(path) for w in WORD.findall(line.lower())),
        np.int32,
    )
    if len(ids) < 100:
        raise UserError(f"the corpus is too short: it has {len(ids)} words, and 100 are the least")
    block = min(200, max(10, len(ids) // 50))
    blocks = ids[: len(ids) // block * block].reshape(-1, block)
    is_test = np.arange(len(blocks)) % 10 == 9

    counts = np.bincount(blocks[~is_test].ravel(), minlength=len(ids_of))
    frequent = np.argsort(-counts, kind="stable")[: dict_size - 1]
    frequent = frequent[counts[frequent] > 1]  # words seen once teach the model what an unknown word looks like
    if not len(frequent):
        raise UserError("the corpus is of no use: none of its words occurs twice")
    new_id = np.zeros(len(ids_of), np.int32)
    new_id[frequent] = np.arange(1, len(frequent) + 1)
    spelling = list(ids_of)
    words = [UNKNOWN] + [spelling[k] for k in frequent]

    blocks = new_id[blocks]
    windows = np.lib.stride_tricks.sliding_window_view(blocks, CONTEXT + 1, axis=1)
    train, test = (windows[which].reshape(-1, CONTEXT + 1) for which in (~is_test, is_test))
    counts = np.bincount(blocks[~is_test].ravel(), minlength=len(words)) + 1  # add-one smoothing
    unigram = np.exp(-np.log(counts[test[:, -1]] / counts.sum()).mean())
    return Corpus(words, train, test, float(unigram))
