"""The files of word2vec, text and binary, byte for byte as gensim writes them.

First line ``V D``. Text: a line for each word, the word and D numbers, separated by single spaces; numbers are the
shortest that give the same float32. Binary: for each word its UTF-8 bytes, a space, and D little-endian float32; the
original word2vec also writes a newline after each, which is skipped.
"""

import os
import re
from typing import NamedTuple

import numpy as np

from ..buffers import check_memory
from ..errors import InvalidArgumentError, InvalidTypeError, warn_user
from ..formats.files import COPY_AGAIN, atomic_files, open_source
from ..hash_table import HashTable
from ..lod_tensor import LoDTensor
from ..ownership import owned
from ..table_rows import require_whole
from .values import matrix, writable_view

_HEADER = re.compile(rb"([0-9]{1,18}) ([0-9]{1,18})\s*\n")
_LONGEST_HEADER = 64
_LONGEST_WORD = 1 << 16
_READ = 1 << 22
# Rows that are gathered at a time.
_ROWS = 4096
_SPACE = re.compile(r"[ \t\n\r\v\f\0]")


class WordVectors(NamedTuple):
    """Words and their vectors: what `load_word2vec` gives.

    words: a list of V texts; vectors: float32 (V, D), row i for word i.
    """

    words: list
    vectors: np.ndarray

    def fill(self, table, vocabulary):
        """Write the vectors of all words that a vocabulary has into their rows of a table.

        Args:
            table: a LoDTensor (``scope.find_var(name).get_tensor()``) or a writable array, (V', D). Or a table of any
                ids (``scope.find_var(name).get_table()``), where ids that have no row get one.
            vocabulary: {word: row or id}, or a list of the words of rows 0, 1, 2 ...

        Returns:
            bool array (V',): the rows that were written; of a table of any ids, the ids, where ranks share it those
            that this one owns. All others are as they were.

        >>> table = np.zeros((3, 2), np.float32)
        >>> WordVectors(['a', 'b'], np.ones((2, 2), np.float32)).fill(table, {'b': 2, 'c': 0}).tolist()
        [False, False, True]
        """
        table = _any_ids(table)
        if isinstance(table, HashTable):
            array, rows = table, _rows_of(vocabulary, None)
        else:
            array = table if isinstance(table, np.ndarray) else writable_view(table)
            rows = _rows_of(vocabulary, len(matrix(array, "The table that vectors are written to")))
        if array.shape[1] != self.vectors.shape[1]:
            raise InvalidArgumentError(
                "The vectors do not have the width of the table.",
                expected=f"(V, {array.shape[1]})",
                actual=str(self.vectors.shape),
            )
        pairs = [(rows[word], i) for i, word in enumerate(self.words) if word in rows]
        to, source = np.array(pairs, np.int64).reshape(-1, 2).T
        if isinstance(table, HashTable):
            mine = owned(to, table.share)
            table.set(to[mine], self.vectors[source[mine]])
            return to[mine]
        array[to] = self.vectors[source]
        found = np.zeros(len(array), bool)
        found[to] = True
        return found


def _any_ids(table):
    """The HashTable that is meant, or what was given."""
    return table.value if isinstance(table, LoDTensor) and isinstance(table.value, HashTable) else table


def _rows_of(vocabulary, height):
    """{word: row} from a dict or a list, with every row checked. height: None where any int64 is an id."""
    first, last = (-(1 << 63), (1 << 63) - 1) if height is None else (0, height - 1)
    rows = vocabulary if isinstance(vocabulary, dict) else {word: row for row, word in enumerate(vocabulary)}
    if len(rows) != len(vocabulary):
        seen = set()
        word = next(word for word in vocabulary if word in seen or seen.add(word))
        raise InvalidArgumentError(f"The vocabulary has the word {word!r} twice.")
    taken = {}
    for word, row in rows.items():
        if not isinstance(word, str):
            raise InvalidTypeError("A word of the vocabulary is no text.", expected="str", actual=repr(word))
        if not isinstance(row, int | np.integer) or not first <= row <= last:
            raise InvalidArgumentError(
                f"Word {word!r} of the vocabulary has no row in the table.",
                expected=f"{first} <= row <= {last}",
                actual=repr(row),
            )
        if taken.setdefault(int(row), word) is not word:
            raise InvalidArgumentError(f"Words {taken[row]!r} and {word!r} of the vocabulary have the same row {row}.")
    return rows


# -------------------------------------------------------------------------------------------------------------- saving


def save_word2vec(path, table, vocabulary, *, binary=False):
    """Save the rows of a table with their words, as gensim's ``save_word2vec_format`` does.

    Args:
        path: the file; it appears when it is complete.
        table: (V, D) floats, an array or a LoDTensor (``scope.find_var(name).get_tensor()``), or a table of any ids
            (``scope.find_var(name).get_table()``); saved as float32.
        vocabulary: {word: row or id}, any of them, saved in their order; or a list of the words of rows 0, 1, 2 ...
            Words have no spaces or line ends in them.
        binary: the binary form. Default False, the text form.

    Raises:
        InvalidArgumentError: a word cannot be written, or has no row.
        UnavailableError: the system refuses; a file that was there is unchanged.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), 'vectors.txt')
    >>> save_word2vec(path, np.array([[0.1, 2], [3, 1e-7]], 'float32'), ['the', 'cat'])
    >>> path.read_text()
    '2 2\\nthe 0.1 2.0\\ncat 3.0 1e-07\\n'
    """
    table = _any_ids(table)
    by_id = isinstance(table, HashTable)
    require_whole(table, "The table to be saved")
    array = table if by_id else matrix(table, "The table to be saved")
    rows = _rows_of(vocabulary, None if by_id else len(array))
    words = sorted(rows, key=rows.get)
    if by_id:
        _check_live(table, rows)
    for word in words:
        if not word or _SPACE.search(word):
            raise InvalidArgumentError(
                f"The word {word!r} cannot be written in a file of word2vec.",
                expected="texts without spaces and line ends",
                actual=repr(word),
                hint="replace spaces, as in 'New_York'.",
            )
    try:
        encoded = [word.encode() for word in words]
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(f"The word {error.object!r} is not valid Unicode.") from None
    with atomic_files(f"The vectors {os.fspath(path)!r}") as files, files.open(path) as file:
        file.write(b"%d %d\n" % (len(words), array.shape[1]))
        for start in range(0, len(words), _ROWS):
            chosen = np.array([rows[word] for word in words[start : start + _ROWS]], np.int64)
            vectors = (array.lookup(chosen) if by_id else array[chosen]).astype("<f4", copy=False)
            for word, vector in zip(encoded[start : start + _ROWS], vectors, strict=True):
                numbers = vector.tobytes() if binary else " ".join(map(str, vector)).encode() + b"\n"
                file.write(word + b" " + numbers)


def _check_live(table, rows):
    live = np.isin(np.array(list(rows.values()), np.int64), table.ids)
    if not live.all():
        word, id = list(rows.items())[int(live.argmin())]
        raise InvalidArgumentError(
            f"Word {word!r} of the vocabulary has no row in {table.name!r}: the table has not seen its id {id}.",
            hint="save the words whose ids are in table.ids.",
        )


# ------------------------------------------------------------------------------------------------------------- loading


def load_word2vec(path, *, binary=False, unicode_errors="strict"):
    """Load what word2vec, gensim (``save_word2vec_format``) or `save_word2vec` saved, as `WordVectors`.

    Args:
        path: the file.
        binary: whether it has the binary form.
        unicode_errors: what to do with words that are not UTF-8: "strict", "replace" or "ignore", as in
            ``bytes.decode``. Old files of word2vec cut long words anywhere.

    A word that comes twice keeps its first vector, and a warning says so.

    Raises:
        NotFoundError: there is no such file.
        InvalidArgumentError: the file is damaged, or of the other form; file, line or byte, and what was expected are
            in the message. Memory is taken only for as many vectors as the file can hold.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), 'vectors.bin')
    >>> save_word2vec(path, np.eye(2, dtype='float32'), ['a', 'b'], binary=True)
    >>> load_word2vec(path, binary=True).words
    ['a', 'b']
    """
    with open_source(path) as source:
        count, width = _read_header(source)
        # Of text, a number and what separates it; of binary, the space behind a word; a word has a byte at least.
        least = 4 * width + 2 if binary else 2 * width + 1
        if count and count > source.left // least:
            raise source.damaged(
                f"it is too short for {count} vectors of {width} numbers",
                expected=f"{count * least} bytes at least behind the first line",
                actual=f"{source.left} bytes",
                hint=COPY_AGAIN if binary else f"{COPY_AGAIN} Is it the binary form? binary=True.",
            )
        if not width:
            raise source.damaged("its first line claims vectors without numbers")
        check_memory(4 * count * width, f"Loading the vectors of {os.fspath(path)!r}")
        vectors = np.empty((count, width), np.float32)
        words = (_read_binary if binary else _read_text)(source, vectors)
        if source.left:
            raise source.damaged(f"it goes on behind the {count} vectors that its first line claims")
    return _without_duplicates([_decoded(word, i, source, unicode_errors) for i, word in enumerate(words)], vectors)


def _read_header(source):
    line = source.file.readline(_LONGEST_HEADER)
    found = _HEADER.fullmatch(line)
    if found is None:
        raise source.damaged(
            "its first line is not that of a file of word2vec",
            expected="'<number of words> <numbers for each>'",
            actual=repr(line),
            hint="files of GloVe lack this line: put it there.",
        )
    source.position = len(line)
    return int(found[1]), int(found[2])


def _read_text(source, vectors):
    words, width = [], vectors.shape[1]
    for i in range(len(vectors)):
        line = source.file.readline()
        source.position += len(line)
        parts = line.rstrip().split(b" ")
        if len(parts) != width + 1 or not parts[0]:
            found = f"{len(parts) - 1} numbers" if line else "the end of the file"
            raise _bad_line(source, i, f"a word and {width} numbers", found if parts[0] or not line else "no word")
        try:
            if b"_" in line and any(b"_" in part for part in parts[1:]):
                raise ValueError("underscores are no digits")
            with np.errstate(over="raise"):
                vectors[i] = list(map(float, parts[1:]))
        except (ValueError, FloatingPointError) as error:
            raise _bad_line(source, i, f"{width} float32 numbers behind the word", str(error)) from None
        words.append(parts[0])
    while line := source.file.readline(_READ):
        if line.strip():
            return words
        source.position += len(line)
    return words


def _bad_line(source, i, expected, actual):
    return source.damaged(f"line {i + 2} is not right", expected=expected, actual=actual)


def _read_binary(source, vectors):
    words, nbytes = [], vectors.shape[1] * 4
    data, at = b"", 0
    for i in range(len(vectors)):
        space = data.find(b" ", at)
        while space < 0 or len(data) - space - 1 < nbytes:
            where = source.position + at
            if space < 0 and len(data) - at > _LONGEST_WORD:
                raise source.damaged(
                    f"the word number {i} at byte {where} has no end",
                    expected=f"a space within {_LONGEST_WORD} bytes",
                    actual="none",
                    hint=f"{COPY_AGAIN} Is it the text form? binary=False.",
                )
            more = source.file.read(min(max(_READ, nbytes), source.size - source.file.tell()))
            if not more:
                raise source.damaged(
                    f"it ends inside the vector of word number {i}",
                    expected=f"a word, a space and {nbytes} bytes from byte {where} on",
                    actual=f"{len(data) - at} bytes",
                )
            source.position, data, at = where, data[at:] + more, 0
            space = data.find(b" ")
        words.append(data[at:space].lstrip(b"\n"))
        vectors[i] = np.frombuffer(data, "<f4", vectors.shape[1], space + 1)
        at = space + 1 + nbytes
    source.position += at
    if source.left == 1 and (data[at:] or source.file.read(1)) == b"\n":
        source.position += 1
    return words


def _decoded(word, i, source, errors):
    try:
        text = word.decode(errors=errors)
    except UnicodeDecodeError as error:
        raise source.damaged(
            f"word number {i}, {word[:50]!r}, is not UTF-8: {error.reason}",
            hint="unicode_errors='replace' reads such words all the same.",
        ) from None
    except LookupError:
        raise InvalidArgumentError(
            f"unicode_errors={errors!r} is not known.", expected="'strict', 'replace' or 'ignore'"
        ) from None
    return text


def _without_duplicates(words, vectors):
    first = {}
    for i, word in enumerate(words):
        first.setdefault(word, i)
    if len(first) == len(words):
        return WordVectors(words, vectors)
    warn_user(f"{len(words) - len(first)} words come more than once; each keeps its first vector")
    return WordVectors(list(first), vectors[list(first.values())])
