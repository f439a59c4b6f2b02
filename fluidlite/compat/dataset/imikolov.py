"""The Penn treebank as T. Mikolov prepared it: n-grams or sentences of word ids."""

import collections
import tarfile

from fluidlite.errors import InvalidArgumentError, here

from . import common
from ._words import UNKNOWN, number_words

__all__ = ["build_dict", "test", "train"]

URL = "https://dataset.bj.bcebos.com/imikolov%2Fsimple-examples.tgz"
MD5 = "30177ea32e27c525793142b6bf2c8e2d"

_TRAIN, _TEST = (f"./simple-examples/data/ptb.{part}.txt" for part in ("train", "valid"))


class DataType:
    """What a sample is: n ids in a row, or the ids of a sentence and the same moved on by one."""

    NGRAM = 1
    SEQ = 2


def _lines(member):
    with tarfile.open(common.download(URL, "imikolov", MD5)) as archive:
        for line in archive.extractfile(member):
            yield line.split()


def build_dict(min_word_freq=50):
    """{word: id} of words that occur more than `min_word_freq` times in the training and validation texts.

    Words are bytes; '<s>', '<e>' (begin and end of a sentence) and '<unk>' are str, as in Fluid on Python 3.
    """
    counts = collections.Counter()
    for member in (_TRAIN, _TEST):
        for words in _lines(member):
            counts.update(words)
            counts.update(("<s>", "<e>"))
    return number_words(counts, min_word_freq)


def _reader(member, word_idx, n, data_type):
    if data_type not in (DataType.NGRAM, DataType.SEQ):
        raise InvalidArgumentError("The data_type must be DataType.NGRAM or DataType.SEQ.", where=here())
    if data_type == DataType.NGRAM and n < 0:
        raise InvalidArgumentError(f"The length of n-grams must not be negative, but got n={n}.", where=here())
    unknown = word_idx[UNKNOWN]

    def ngrams():
        for words in _lines(member):
            ids = [word_idx.get(word, unknown) for word in ("<s>", *words, "<e>")]
            for end in range(n, len(ids) + 1):
                yield tuple(ids[end - n : end])

    def sentences():
        for words in _lines(member):
            ids = [word_idx.get(word, unknown) for word in words]
            if not 0 < n < len(ids) + 1:
                yield [word_idx["<s>"], *ids], [*ids, word_idx["<e>"]]

    return ngrams if data_type == DataType.NGRAM else sentences


def train(word_idx, n, data_type=DataType.NGRAM):
    """A reader of the training text.

    Args:
        word_idx: what `build_dict` returned.
        n: words of an n-gram; of sentences the greatest length, begin included, or 0 for no limit.
        data_type: DataType.NGRAM (default): tuples of n ids; DataType.SEQ: pairs of lists (source, target).
    """
    return _reader(_TRAIN, word_idx, n, data_type)


def test(word_idx, n, data_type=DataType.NGRAM):
    """A reader of the validation text; arguments as in `train`."""
    return _reader(_TEST, word_idx, n, data_type)


def fetch():
    """Look for the file."""
    common.download(URL, "imikolov", MD5)
