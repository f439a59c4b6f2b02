"""Exchange: word2vec byte for byte, .npz, safetensors, views; damaged files are errors and nothing else."""

import importlib.util
import io
import json
import struct
import sys
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fluidlite as fluid
from fluidlite import exchange
from fluidlite.errors import EnforceNotMet, InvalidArgumentError, InvalidTypeError, NotFoundError, UnavailableError

# There is no wheel of it for a Python without the GIL.
HAS_SAFETENSORS = importlib.util.find_spec("safetensors") is not None
WORDS = ["the", "naïve", "日本", "New_York", "</s>"]
VECTORS = np.array(
    [[0.1, -2, 3e-7], [1 / 3, 4096.5, -1e-10], [0, -0.0, 1e-45], [3.4028235e38, 5, 6], [7, 8.25, -9]], np.float32
)
# What gensim 4.4.0 (KeyedVectors.save_word2vec_format) writes for these.
TEXT = (
    "5 3\n"
    "the 0.1 -2.0 3e-07\n"
    "naïve 0.33333334 4096.5 -1e-10\n"
    "日本 0.0 -0.0 1e-45\n"
    "New_York 3.4028235e+38 5.0 6.0\n"
    "</s> 7.0 8.25 -9.0\n"
).encode()
BINARY = b"5 3\n" + b"".join(
    word.encode() + b" " + row.astype("<f4").tobytes() for word, row in zip(WORDS, VECTORS, strict=True)
)


def bounded(read, limit):
    """What `read` returns or raises, which takes no more than `limit` bytes on its way."""
    tracemalloc.start()
    try:
        return read()
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < limit


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


class TestWord2vec:
    @pytest.mark.parametrize(("binary", "expected"), [(False, TEXT), (True, BINARY)])
    def test_bytes_are_gensims(self, tmp_path, binary, expected):
        path = tmp_path / "vectors"
        exchange.save_word2vec(path, VECTORS, WORDS, binary=binary)
        assert path.read_bytes() == expected
        words, vectors = exchange.load_word2vec(path, binary=binary)
        assert words == WORDS and same_bits(vectors, VECTORS)

    @pytest.mark.parametrize("binary", [False, True])
    def test_files_of_the_original_word2vec(self, tmp_path, binary):
        # It ends lines of text with a space, and puts a newline behind every binary vector.
        path = tmp_path / "vectors"
        data = b"2 3\n</s> 1.0 2.0 3.0 \ncat 4 5e0 -6.5 \n"
        if binary:
            data = b"2 3\n</s> " + np.float32([1, 2, 3]).tobytes() + b"\ncat " + np.float32([4, 5, -6.5]).tobytes()
            data += b"\n"
        path.write_bytes(data)
        words, vectors = exchange.load_word2vec(str(path), binary=binary)
        assert words == ["</s>", "cat"] and vectors.tolist() == [[1, 2, 3], [4, 5, -6.5]]

    def test_a_vocabulary_chooses_rows(self, fresh, tmp_path):
        fresh.set("w", VECTORS.astype(np.float64))
        tensor = fresh.scope.find_var("w").get_tensor()
        exchange.save_word2vec(tmp_path / "v", tensor, {"c": 4, "a": np.int64(1)})
        words, vectors = exchange.load_word2vec(tmp_path / "v")
        assert words == ["a", "c"] and same_bits(vectors, VECTORS[[1, 4]])
        exchange.save_word2vec(tmp_path / "v", VECTORS[:, ::-1][:0], [])
        assert exchange.load_word2vec(tmp_path / "v").vectors.shape == (0, 3)

    def test_large_files_come_in_slabs(self, tmp_path):
        rng = np.random.default_rng(3)
        vectors = rng.normal(size=(9001, 130)).astype(np.float32)
        words = [f"w{i}" + "é" * (i % 7) for i in range(len(vectors))]
        exchange.save_word2vec(tmp_path / "v", vectors, words, binary=True)
        found = exchange.load_word2vec(tmp_path / "v", binary=True)
        assert found.words == words and same_bits(found.vectors, vectors)

    def test_fill(self, fresh):
        fresh.set("w", np.zeros((4, 3), np.float32))
        tensor = fresh.scope.find_var("w").get_tensor()
        view = np.asarray(tensor)
        vectors = exchange.WordVectors(WORDS, VECTORS)
        found = vectors.fill(tensor, {"</s>": 0, "cat": 1, "naïve": 3})
        assert found.tolist() == [True, False, False, True]
        assert same_bits(view, np.stack([VECTORS[4], np.zeros(3, np.float32), np.zeros(3, np.float32), VECTORS[1]]))
        assert not vectors.fill(np.zeros((2, 3)), ["x", "y"]).any()
        with pytest.raises(InvalidArgumentError, match="width of the table"):
            vectors.fill(np.zeros((2, 5)), ["the"])
        with pytest.raises(InvalidArgumentError, match="'the' of the vocabulary has no row"):
            vectors.fill(tensor, {"the": 4})

    def test_a_table_of_any_ids(self, fresh, tmp_path):
        ids = fluid.data("ids", [None], "int64")
        rows = fluid.embedding(ids, size=[100, 3], is_sparse=True, is_distributed=True, param_attr="table")
        fluid.optimizer.SGD(0.1).minimize(fluid.layers.mean(rows))
        fresh.start()
        fresh.run(feed={"ids": [-5, 1 << 60, 3]})
        table, tensor = fresh.scope.find_var("table").get_table(), fresh.scope.find_var("table").get_tensor()
        vocabulary = {"far": 1 << 60, "below": -5}
        for form in (table, tensor):
            exchange.save_word2vec(tmp_path / "v", form, vocabulary)
            words, vectors = exchange.load_word2vec(tmp_path / "v")
            assert words == ["below", "far"] and same_bits(vectors, table.lookup([-5, 1 << 60]))
        with pytest.raises(InvalidArgumentError, match="'new' of the vocabulary has no row in 'table'.* id 77"):
            exchange.save_word2vec(tmp_path / "v", table, vocabulary | {"new": 77})
        vectors = exchange.WordVectors(["new", "far", "other"], VECTORS[:3])
        assert vectors.fill(table, vocabulary | {"new": 77}).tolist() == [77, 1 << 60]
        assert same_bits(table.lookup([77, 1 << 60]), VECTORS[:2])
        with pytest.raises(InvalidArgumentError, match="width of the table"):
            exchange.WordVectors(["new"], VECTORS[:1, :2]).fill(tensor, {"new": 1})

    @pytest.mark.parametrize(
        ("vocabulary", "match"),
        [
            (["a b"], "'a b' cannot be written"),
            (["a\n"], "cannot be written"),
            ([""], "'' cannot be written"),
            (["a", "a"], "'a' twice"),
            ({"a": 0, "b": 0}, "'a' and 'b' of the vocabulary have the same row 0"),
            ({"a": 5}, "'a' of the vocabulary has no row"),
            ({"a": -1}, "no row"),
            ({"a": 1.0}, "no row"),
            (["\ud800"], "not valid Unicode"),
            ([b"a"], "is no text"),
            (list("abcdef"), "'f' of the vocabulary has no row"),
        ],
    )
    def test_words_that_cannot_be_saved(self, tmp_path, vocabulary, match):
        (tmp_path / "v").write_bytes(b"old")
        with pytest.raises((InvalidArgumentError, InvalidTypeError), match=match):
            exchange.save_word2vec(tmp_path / "v", VECTORS, vocabulary)
        assert (tmp_path / "v").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1

    def test_what_is_no_table(self, tmp_path):
        for bad in (VECTORS[0], np.eye(3, dtype=int), np.zeros((3, 0), np.float32)):
            with pytest.raises(InvalidTypeError, match="is not a table"):
                exchange.save_word2vec(tmp_path / "v", bad, [])
        with pytest.raises(UnavailableError, match="could not be saved"):
            exchange.save_word2vec(tmp_path / "v" / "\0", VECTORS, WORDS)

    @pytest.mark.parametrize(
        ("data", "match"),
        [
            (b"", "first line is not"),
            (b"the 0.1 0.2\n", "first line is not(.|\n)*GloVe"),
            (b"2 3 4\n", "first line is not"),
            (b"-2 3\n", "first line is not"),
            (b"9" * 100, "first line is not"),
            (b"2 0\na\nb\n", "without numbers"),
            (b"1000000000 1000000000\na 1\n", "too short for 1000000000 vectors"),
            (b"999999999999999999 1\na 1\n", "too short"),
            (b"2 2\na 1 2\nb 3\n", "line 3 is not right(.|\n)*a word and 2 numbers(.|\n)*1 numbers"),
            (b"1 2\na 1 2 3\n", "line 2(.|\n)*3 numbers"),
            (b"1 2\n  1 2\n", "line 2(.|\n)*no word"),
            (b"1 2\n 11 22\n", "line 2(.|\n)*no word"),
            (b"2 1\nlong_word 111111\n", "line 3(.|\n)*the end of the file"),
            (b"1 2\na 1 x\n", "line 2(.|\n)*could not convert"),
            (b"1 2\na 1 1_0\n", "line 2(.|\n)*underscores"),
            (b"1 2\na 1 1e39\n", "line 2(.|\n)*overflow"),
            (b"1 2\na 1 2\nb 3 4\n", "goes on behind the 1 vectors"),
            (b"1 2\n\xff 1 2\n", "word number 0.*not UTF-8"),
        ],
    )
    def test_damaged_text(self, tmp_path, data, match):
        path = tmp_path / "vectors"
        path.write_bytes(data)
        with pytest.raises(InvalidArgumentError, match=match) as caught:
            exchange.load_word2vec(path)
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize(
        ("data", "match"),
        [
            (b"1 2\na 1234567", "too short|ends inside the vector of word number 0"),
            (b"2 2\n" + b"x" * 200_000, "word number 0 at byte 4 has no end(.|\n)*65536"),
            (b"2 2\nlong 12345678b 1234567", "ends inside the vector of word number 1(.|\n)*from byte 17 on"),
            (b"1 2\na 12345678b", "goes on behind"),
            (b"1 2\na 12345678\n\n", "goes on behind"),
            (b"1 2\n\xff 12345678", "not UTF-8"),
            (b"99999999 1000\na " + bytes(4000), "too short"),
        ],
    )
    def test_damaged_binary(self, tmp_path, data, match):
        path = tmp_path / "vectors"
        path.write_bytes(data)
        with pytest.raises(InvalidArgumentError, match=match):
            exchange.load_word2vec(path, binary=True)

    def test_odd_words(self, tmp_path):
        path = tmp_path / "vectors"
        path.write_bytes(b"3 1\na\xc3 1\nb 2\nb 3\n\n")
        with pytest.warns(UserWarning, match="1 words come more than once"):
            words, vectors = exchange.load_word2vec(path, unicode_errors="replace")
        assert words == ["a\ufffd", "b"] and vectors.tolist() == [[1], [2]]
        with pytest.raises(InvalidArgumentError, match="unicode_errors='other' is not known"):
            exchange.load_word2vec(path, unicode_errors="other")

    def test_no_file(self, tmp_path):
        with pytest.raises(NotFoundError, match="does not exist"):
            exchange.load_word2vec(tmp_path / "nothing")
        with pytest.raises(UnavailableError, match="not an ordinary file"):
            exchange.load_word2vec(tmp_path)


ARRAYS = {
    "float": np.arange(6, dtype=np.float32).reshape(2, 3),
    "float64": np.array([1 / 3]),
    "half": np.ones((1, 2), np.float16),
    "long": np.array([-(2**63), 2**63 - 1]),
    "flag": np.array([[True], [False]]),
    "empty": np.zeros((0, 5), np.int32),
    "scalar": np.array(3.5, np.float32),
    "a/b@GRAD": np.arange(12, dtype=np.float64).reshape(3, 4)[:, ::2],
}


def assert_same_arrays(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert same_bits(np.ascontiguousarray(found[name]), np.ascontiguousarray(array)), name
        assert found[name].shape == array.shape


class TestNpz:
    def test_there_and_back(self, tmp_path):
        path = tmp_path / "x.npz"
        arrays = ARRAYS | {"words": np.array(WORDS), "file": np.ones(3), "tensor": fluid.LoDTensor(np.ones((2, 5)))}
        exchange.save_npz(path, arrays)
        assert_same_arrays(exchange.load_npz(path), {n: np.asarray(a) for n, a in arrays.items()})
        with np.load(path) as found:
            assert_same_arrays({n: found[n] for n in found.files}, {n: np.asarray(a) for n, a in arrays.items()})

    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_numpys_own_files(self, tmp_path, save):
        arrays = ARRAYS | {"fortran": np.asfortranarray(np.arange(15.0).reshape(3, 5)), "zeros": np.zeros((700, 900))}
        path = tmp_path / "x.npz"
        save(path, **arrays)
        assert_same_arrays(exchange.load_npz(path), arrays)

    def test_objects_and_other_things_are_refused(self, tmp_path):
        path = tmp_path / "x.npz"
        with pytest.raises(InvalidTypeError, match="'o' cannot be saved"):
            exchange.save_npz(path, {"o": np.array([None])})
        with pytest.raises(InvalidTypeError, match="neither a dict nor a Program"):
            exchange.save_npz(path, [1])
        with pytest.raises(InvalidTypeError, match="no text"):
            exchange.save_npz(path, {3: np.ones(2)})
        assert not path.exists()
        np.savez(path, o=np.array([{"a": 1}], object))
        with pytest.raises(InvalidArgumentError, match="'o' holds neither numbers nor texts(.|\n)*pickled"):
            exchange.load_npz(path)
        np.savez(path, o=np.zeros(2, [("a", "i4"), ("b", "f8")]))
        with pytest.raises(InvalidArgumentError, match="neither numbers"):
            exchange.load_npz(path)

    @staticmethod
    def write(path, header, data=b"", compress=zipfile.ZIP_STORED, name="w.npy"):
        with zipfile.ZipFile(path, "w", compress) as archive:
            archive.writestr(name, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data)

    @pytest.mark.parametrize("compress", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    @pytest.mark.parametrize(
        "shape", ["(1152921504606846976,)", "(4611686018427387904, 4)", "(3,)", "(-2, -1)", "(0,)"]
    )
    def test_sizes_that_lie(self, tmp_path, shape, compress):
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        self.write(tmp_path / "x", header, bytes(8), compress)
        with pytest.raises(InvalidArgumentError, match="'w' (has another size|has a shape|makes no sense)"):
            bounded(lambda: exchange.load_npz(tmp_path / "x"), 200_000)

    @pytest.mark.parametrize(
        ("header", "match"),
        [
            (b"{'descr': '<f4', 'fortran_order': False}\n", "makes no sense"),
            (b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n", "neither numbers nor texts"),
            (b"{'descr': '<f4', 'fortran_order': 3, 'shape': (1,)}\n", "makes no sense"),
            (b"__import__('os').abort()\n", "makes no sense"),
            (b"(" * 5000, "makes no sense"),
            (b"", "makes no sense"),
        ],
    )
    def test_headers(self, tmp_path, header, match):
        self.write(tmp_path / "x", header, bytes(4))
        with pytest.raises(InvalidArgumentError, match=match):
            exchange.load_npz(tmp_path / "x")

    def test_members(self, tmp_path):
        path = tmp_path / "x"
        self.write(path, b"", name="w.txt")
        with pytest.raises(InvalidArgumentError, match="'w.txt' is not what an .npz file holds"):
            exchange.load_npz(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("a.npy", b"1")
                archive.writestr("a.npy", b"2")
        with pytest.raises(InvalidArgumentError, match="two arrays of one name"):
            exchange.load_npz(path)
        self.write(path, b"", compress=zipfile.ZIP_LZMA)
        with pytest.raises(InvalidArgumentError, match="compressed in a way"):
            exchange.load_npz(path)
        path.write_bytes(b"no zip")
        with pytest.raises(InvalidArgumentError, match="no .npz file"):
            exchange.load_npz(path)

    def test_a_claimed_size_that_no_compression_reaches(self, tmp_path):
        path = tmp_path / "x"
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (250000000,), }\n"
        self.write(path, header, bytes(100), zipfile.ZIP_DEFLATED)
        data = bytearray(path.read_bytes())
        at = data.rindex(b"PK\x01\x02")
        data[at + 24 : at + 28] = struct.pack("<I", 10 + len(header) + 1_000_000_000)
        path.write_bytes(data)
        with pytest.raises(InvalidArgumentError, match="not what an .npz file holds"):
            bounded(lambda: exchange.load_npz(path), 200_000)


@pytest.mark.skipif(not HAS_SAFETENSORS, reason="needs safetensors")
class TestSafetensors:
    def test_there_and_back(self, tmp_path):
        path = tmp_path / "x.safetensors"
        exchange.save_safetensors(path, ARRAYS, {"words": json.dumps(WORDS)})
        found = exchange.load_safetensors(path)
        assert_same_arrays({name: found[name] for name in ARRAYS}, ARRAYS)
        assert len(found) == len(ARRAYS) and [one.name for one in tmp_path.iterdir()] == [path.name]
        size = struct.unpack("<Q", path.read_bytes()[:8])[0]
        header = json.loads(path.read_bytes()[8 : 8 + size])
        assert json.loads(header["__metadata__"]["words"]) == WORDS and header["float"]["shape"] == [2, 3]

    def test_a_program(self, fresh, tmp_path):
        fluid.layers.fc(fluid.data("x", [None, 3]), 2, name="fc")
        fresh.start()
        exchange.save_safetensors(tmp_path / "x", fresh.main)
        arrays = exchange.load_safetensors(tmp_path / "x")
        assert sorted(arrays) == ["fc.b_0", "fc.w_0"] and same_bits(arrays["fc.w_0"], fresh.value("fc.w_0"))
        fresh.set("fc.w_0", np.zeros((3, 2), np.float32))
        fluid.set_program_state(fresh.main, arrays)
        assert same_bits(arrays["fc.w_0"], fresh.value("fc.w_0"))

    def test_without_the_library(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
        for use in (lambda p: exchange.save_safetensors(p, ARRAYS), exchange.load_safetensors):
            with pytest.raises(UnavailableError, match=r"not installed(.|\n)*pip install fluidlite\[exchange\]"):
                use(tmp_path / "x")

    def test_what_cannot_be_saved(self, tmp_path):
        with pytest.raises(UnavailableError, match="'w' cannot be saved: safetensors has no <U"):
            exchange.save_safetensors(tmp_path / "x", {"w": np.array(WORDS)})
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("header", "data", "match"),
        [
            ({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, bytes(4), "no array like 'w'(.|\n)*BF16"),
            ({"w": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 4]}}, bytes(4), "no file of safetensors"),
            ({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]}}, bytes(8), "no file of safetensors"),
            ({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"", "no file of safetensors"),
            ([1], b"", "its header is no list of arrays"),
        ],
    )
    def test_damaged(self, tmp_path, header, data, match):
        encoded = json.dumps(header).encode()
        (tmp_path / "x").write_bytes(struct.pack("<Q", len(encoded)) + encoded + data)
        with pytest.raises(InvalidArgumentError, match=match):
            bounded(lambda: exchange.load_safetensors(tmp_path / "x"), 200_000)

    @pytest.mark.parametrize(
        ("data", "match"),
        [(b"", "ends inside the size"), (b"\xff" * 8, "header is longer"), (struct.pack("<Q", 3) + b"{,}", "no JSON")],
    )
    def test_damaged_header(self, tmp_path, data, match):
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(InvalidArgumentError, match=match):
            exchange.load_safetensors(tmp_path / "x")


def _valid_files():
    text, binary = TEXT, BINARY
    npz, deflated = io.BytesIO(), io.BytesIO()
    np.savez(npz, a=VECTORS, b=np.arange(5))
    np.savez_compressed(deflated, a=VECTORS, b=np.arange(500))
    files = {"text": text, "binary": binary, "npz": npz.getvalue(), "deflated": deflated.getvalue()}
    if HAS_SAFETENSORS:
        header = json.dumps({"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).encode()
        files["safe"] = struct.pack("<Q", len(header)) + header + VECTORS[:2].tobytes()
    return files


FILES = _valid_files()
READERS = {
    "text": exchange.load_word2vec,
    "binary": lambda path: exchange.load_word2vec(path, binary=True),
    "npz": exchange.load_npz,
    "deflated": exchange.load_npz,
    "safe": exchange.load_safetensors,
}


@st.composite
def damaged(draw):
    kind = draw(st.sampled_from(sorted(FILES)))
    data = bytearray(FILES[kind])
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data) - 1))
        change = draw(st.sampled_from(["flip", "cut", "insert", "number"]))
        if change == "flip":
            data[at] = draw(st.integers(0, 255))
        elif change == "cut":
            del data[at:]
        elif change == "insert":
            data[at:at] = draw(st.binary(max_size=9))
        else:
            data[at : at + 8] = draw(st.sampled_from([b"\xff" * 8, struct.pack("<Q", 1 << 60), b"99999999"]))
        if not data:
            break
    return kind, bytes(data)


@given(damaged())
@settings(max_examples=600)
def test_damaged_files_are_errors_and_nothing_else(tmp_path_factory, case):
    kind, data = case
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            bounded(lambda: READERS[kind](path), 60 * len(data) + 400_000)
        except EnforceNotMet as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("kind", sorted(FILES))
def test_truncated_anywhere(tmp_path, kind):
    path = tmp_path / "x"
    for n in range(len(FILES[kind])):
        path.write_bytes(FILES[kind][:n])
        if kind == "text" and n == len(TEXT) - 1:
            continue  # the last newline says nothing
        try:
            found = READERS[kind](path)
        except InvalidArgumentError as error:
            assert str(path) in str(error)
        else:
            # Digits cut off the last number of a text leave another number.
            assert kind == "text" and found.vectors[:-1].tobytes() == VECTORS[:-1].tobytes()


class TestViews:
    def test_views_share_memory(self, fresh):
        x = fluid.data("x", [None, 3])
        y = fluid.layers.fc(x, 2, param_attr="w", bias_attr=False)
        fluid.optimizer.SGD(0.5).minimize(fluid.layers.mean(y))
        fresh.start()
        tensor = fresh.scope.find_var("w").get_tensor()
        view, named, writable = np.asarray(tensor), exchange.parameters()["w"], exchange.writable_view(tensor)
        assert not view.flags.writeable and not named.flags.writeable
        assert np.shares_memory(view, writable) and np.shares_memory(named, writable)
        writable[...] = 1
        (out,) = fresh.run(feed={"x": np.ones((5, 3), np.float32)}, fetch_list=[y])
        assert out.tolist() == [[3, 3]] * 5
        assert same_bits(view, fresh.value("w")) and view[0, 0] == 0.75

    def test_refusals(self, fresh):
        with pytest.raises(InvalidTypeError, match="needs a LoDTensor"):
            exchange.writable_view(np.ones(3))
        with pytest.raises(UnavailableError, match="not initialized"):
            exchange.writable_view(fluid.LoDTensor())
        fixed = np.ones(3)
        fixed.flags.writeable = False
        with pytest.raises(UnavailableError, match="view of a file"):
            exchange.writable_view(fluid.LoDTensor(fixed))
        state = fluid.tables.RowState((7, 3), np.float32)
        with pytest.raises(InvalidTypeError, match="rows touched alone"):
            exchange.writable_view(fluid.LoDTensor(state))
        fluid.layers.create_parameter([2, 3], "float32", name="w")
        with pytest.raises(UnavailableError, match="'w' has no value"):
            exchange.parameters()
