"""Semantic role labels: the test set of CoNLL 2005, which is the free part of it.

Differs from Fluid: ids of labels go by first appearance in targetDict.txt; Fluid's differ from run to run.
"""

import gzip
import tarfile

from fluidlite.errors import InvalidArgumentError

from . import common

__all__ = ["get_dict", "get_embedding", "test"]

_HOST = "http://paddlemodels.bj.bcebos.com/conll05st"
DATA_URL, DATA_MD5 = f"{_HOST}/conll05st-tests.tar.gz", "387719152ae52d60422c016e92a742fc"
WORDDICT_URL, WORDDICT_MD5 = f"{_HOST}%2FwordDict.txt", "ea7fb7d4c75cc6254716f0177a506baa"
VERBDICT_URL, VERBDICT_MD5 = f"{_HOST}%2FverbDict.txt", "0d2977293bbb6cbefab5b0f97db1e77c"
TRGDICT_URL, TRGDICT_MD5 = f"{_HOST}%2FtargetDict.txt", "d8c7f03ceb5fc2e5a0fa7503a4353751"
EMB_URL, EMB_MD5 = f"{_HOST}%2Femb", "bf436eb0faa1f6f9103017f8be57cdb7"
UNK_IDX = 0


def load_dict(filename):
    """{line: its number} of a file."""
    with open(filename, encoding="utf-8") as file:
        return {line.strip(): number for number, line in enumerate(file)}


def load_label_dict(filename):
    """{label: id}: B- and I- of each role in turn, then 'O'."""
    roles = dict.fromkeys(line[2:] for line in load_dict(filename) if line.startswith(("B-", "I-")))
    labels = [f"{kind}-{role}" for role in roles for kind in "BI"]
    return {label: number for number, label in enumerate([*labels, "O"])}


def _sentences(data_path, words_name, props_name):
    """(words, rows of properties) of each sentence that is followed by an empty line."""
    with tarfile.open(data_path) as archive:
        files = [gzip.GzipFile(fileobj=archive.extractfile(name)) for name in (words_name, props_name)]
        words, rows = [], []
        for word, row in zip(*files, strict=False):
            row = row.decode().split()
            if row:
                words.append(word.strip().decode())
                rows.append(row)
            else:
                if rows:
                    yield words, rows
                words, rows = [], []


def _labels(spans):
    """B-I-O labels of a column of spans such as '(A0*', '*', '*)'."""
    role, inside, labels = "O", False, []
    for span in spans:
        opens, closes = "(" in span, ")" in span
        if opens:
            role, inside = span[1 : span.find("*")], not closes
            labels.append(f"B-{role}")
        elif span == "*":
            labels.append(f"I-{role}" if inside else "O")
        elif span == "*)":
            inside = False
            labels.append(f"I-{role}")
        else:
            raise InvalidArgumentError(f"Unexpected label: {span}")
    return labels


def corpus_reader(data_path, words_name, props_name):
    """A reader of (words, verb, labels), one for each verb of each sentence."""

    def reader():
        for words, rows in _sentences(data_path, words_name, props_name):
            verbs, *columns = zip(*rows, strict=True)
            verbs = [verb for verb in verbs if verb != "-"]
            for verb, spans in zip(verbs, columns, strict=False):
                yield words, verb, _labels(spans)

    return reader


def reader_creator(corpus_reader, word_dict=None, predicate_dict=None, label_dict=None):
    """A reader of nine lists as long as the sentence.

    They are: word ids; the word two before the verb, one before, the verb, one after, two after (each repeated); the
    verb's id in its own dictionary (repeated); 1 for these five words, else 0; label ids.
    """

    def reader():
        for words, predicate, labels in corpus_reader():
            length, verb = len(words), labels.index("B-V")
            near = range(verb - 2, verb + 3)
            mark = [int(place in near) for place in range(len(labels))]
            context = [_word(words, place, len(labels)) for place in near]
            repeated = [[word_dict.get(word, UNK_IDX)] * length for word in context]
            ids = [word_dict.get(word, UNK_IDX) for word in words]
            yield (
                ids,
                *repeated,
                [predicate_dict.get(predicate)] * length,
                mark,
                [label_dict.get(label) for label in labels],
            )

    return reader


def _word(words, place, length):
    return "bos" if place < 0 else "eos" if place >= length else words[place]


def get_dict():
    """({word: id}, {verb: id}, {label: id})."""
    return (
        load_dict(common.download(WORDDICT_URL, "conll05st", WORDDICT_MD5)),
        load_dict(common.download(VERBDICT_URL, "conll05st", VERBDICT_MD5)),
        load_label_dict(common.download(TRGDICT_URL, "conll05st", TRGDICT_MD5)),
    )


def get_embedding():
    """The path of the file with trained word vectors."""
    return common.download(EMB_URL, "conll05st", EMB_MD5)


def test():
    """A reader of the test set; see `reader_creator`."""
    release = "conll05st-release/test.wsj"
    corpus = corpus_reader(
        common.download(DATA_URL, "conll05st", DATA_MD5),
        words_name=f"{release}/words/test.wsj.words.gz",
        props_name=f"{release}/props/test.wsj.props.gz",
    )
    return reader_creator(corpus, *get_dict())


def fetch():
    """Look for the files."""
    get_dict()
    get_embedding()
    common.download(DATA_URL, "conll05st", DATA_MD5)
