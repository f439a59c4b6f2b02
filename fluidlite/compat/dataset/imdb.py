"""Reviews of films, and whether they are good (0) or bad (1)."""

import collections
import re
import string
import tarfile

from . import common
from ._words import UNKNOWN, number_words

__all__ = ["build_dict", "test", "train"]

URL = "https://dataset.bj.bcebos.com/imdb%2FaclImdb_v1.tar.gz"
MD5 = "7c2ac02c03563afcf9b574c7e56c153a"

_PUNCTUATION = string.punctuation.encode()


def tokenize(pattern):
    """The words, as bytes, of each file of the archive whose name matches a compiled pattern, in its order."""
    with tarfile.open(common.download(URL, "imdb", MD5)) as archive:
        for member in archive:  # in order: looking files up by name would go through the archive each time
            if pattern.match(member.name):
                text = archive.extractfile(member).read().rstrip(b"\n\r")
                yield text.translate(None, _PUNCTUATION).lower().split()


def build_dict(pattern, cutoff):
    """{word: id} of the words that occur more than `cutoff` times in the files that match; '<unk>' is the last."""
    counts = collections.Counter()
    for words in tokenize(pattern):
        counts.update(words)
    return number_words(counts, cutoff)


def word_dict():
    """`build_dict` of all labelled reviews with a cutoff of 150."""
    return build_dict(re.compile(r"aclImdb/((train)|(test))/((pos)|(neg))/.*\.txt$"), 150)


def _reader(part, word_idx):
    unknown = word_idx[UNKNOWN]
    samples = [
        ([word_idx.get(word, unknown) for word in words], label)
        for label, kind in enumerate(("pos", "neg"))
        for words in tokenize(re.compile(rf"aclImdb/{part}/{kind}/.*\.txt$"))
    ]
    return lambda: iter(samples)


def train(word_idx):
    """A reader of (word ids, 0 for a good review or 1 for a bad one): the training reviews, first the good ones.

    The archive is read at this call, and its ids are kept in memory.
    """
    return _reader("train", word_idx)


def test(word_idx):
    """The same of the test reviews."""
    return _reader("test", word_idx)


def fetch():
    """Look for the file."""
    common.download(URL, "imdb", MD5)
