"""The data, archives and first parameters of the programs. Runs under Python 3.7 too, where Fluid reads them."""

import io
import os
import pickle
import random
import struct
import tarfile
import zipfile
import zlib

import numpy as np

FP32 = 5  # VarType.FP32 in a tensor's description


def parameter(name, shape):
    """The values that a parameter begins with: they depend on its name and shape alone."""
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    return rng.uniform(-0.4, 0.4, shape).astype("float32")


def _stream(array):
    """An array in the form in which Fluid's save ops write it."""
    description = struct.pack("<BB", 8, FP32) + b"".join(b"\x10" + _varint(n) for n in array.shape)
    return struct.pack("<IQIi", 0, 0, 0, len(description)) + description + array.tobytes()


def _varint(number):
    out = b""
    while number > 127:
        out += struct.pack("B", number & 127 | 128)
        number >>= 7
    return out + struct.pack("B", number)


def write_folder(path, shapes):
    """One file for each parameter, as `save_params` makes them."""
    os.makedirs(path)
    for name, shape in shapes.items():
        with open(os.path.join(path, name), "wb") as file:
            file.write(_stream(parameter(name, shape)))


def write_file(path, shapes):
    """All parameters in one file, in the order of their names, as `save_params` with a filename makes it."""
    os.makedirs(os.path.dirname(path))
    with open(path, "wb") as file:
        for name in sorted(shapes):
            file.write(_stream(parameter(name, shapes[name])))


def write_pickle(path, shapes):
    """What `fluid.save` makes, without the values of the optimizer and the program."""
    with open(path + ".pdparams", "wb") as file:
        pickle.dump({name: parameter(name, shape) for name, shape in shapes.items()}, file, protocol=2)


def write_checkpoint(path, shapes):
    """The same with what SGD keeps between runs."""
    write_pickle(path, shapes)
    with open(path + ".pdopt", "wb") as file:
        pickle.dump({"learning_rate_0": np.array([0.05], "float32")}, file, protocol=2)


def _text(path, text):
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        os.makedirs(folder)
    with open(path, "w") as file:
        file.write(text)


def _tar(path, files):
    os.makedirs(os.path.dirname(path))
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files:
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))


def imikolov(home):
    """Sentences of 12 words that are frequent enough to get into the dictionary."""
    rng = random.Random(1)
    words = ["the", "a", "cat", "dog", "sees", "likes", "old", "young", "man", "child", "garden", "in"]

    def lines(count):
        return "".join(" ".join(rng.choice(words) for _ in range(rng.randint(2, 9))) + "\n" for _ in range(count))

    files = [(f"./simple-examples/data/ptb.{name}.txt", lines(n)) for name, n in (("train", 170), ("valid", 25))]
    _tar(os.path.join(home, "imikolov", "imikolov%2Fsimple-examples.tgz"), files)


def imdb(home):
    """Reviews of a dozen words, some of which occur more than 150 times."""
    rng = random.Random(2)
    common = ["the", "movie", "this", "is", "great", "bad", "book", "read"]
    good = common[:5] + ["very", "fine"]
    bad = common[:4] + ["bad", "very", "book"]
    files = []
    for part in ("train", "test"):
        for kind, words in (("neg", bad), ("pos", good)):
            for number in range(45 if part == "train" else 11):
                text = " ".join(rng.choice(words) for _ in range(rng.randint(4, 30)))
                files.append((f"aclImdb/{part}/{kind}/{number}_5.txt", text))
    _tar(os.path.join(home, "imdb", "imdb%2FaclImdb_v1.tar.gz"), files)


def movielens(home):
    """Seven users rate nine films."""
    rng = random.Random(3)
    kinds = ["Comedy", "Crime", "Drama"]
    movies = "".join(
        "{}::{} (19{})::{}\n".format(
            i, " ".join(f"title{j}" for j in range(i % 4 + 1)), 80 + i, "|".join(kinds[: i % 3 + 1])
        )
        for i in range(1, 10)
    )
    ages = [1, 18, 25, 35, 45, 50, 56]
    users = "".join(f"{i}::{'FM'[i % 2]}::{ages[i % 7]}::{i * 2}::12345\n" for i in range(1, 8))
    ratings = "".join(f"{rng.randint(1, 7)}::{rng.randint(1, 9)}::{rng.randint(1, 5)}::97830\n" for _ in range(480))
    os.makedirs(os.path.join(home, "movielens"))
    with zipfile.ZipFile(os.path.join(home, "movielens", "movielens%2Fml-1m.zip"), "w") as archive:
        for name, text in (("movies", movies), ("users", users), ("ratings", ratings)):
            archive.writestr(f"ml-1m/{name}.dat", text)


def uci_housing(home):
    """Prices that depend on the features."""
    rng = np.random.RandomState(4)
    features = rng.uniform(0, 10, (150, 13))
    price = (features - 5) @ np.linspace(-1, 1, 13) + 20
    rows = np.concatenate([features, price[:, None]], axis=1)
    _text(
        os.path.join(home, "uci_housing", "housing.data"),
        "\n".join(" ".join(f"{x:.4f}" for x in row) for row in rows) + "\n",
    )


def criteo(folder):
    """Lines of clicks: two files to train with, one to test."""
    rng = random.Random(5)

    def line():
        label = int(rng.random() < 0.4)
        numbers = [str(rng.randint(0, 20 + 30 * label)) if rng.random() < 0.9 else "" for _ in range(3)]
        kinds = [f"{rng.randint(0, 12 + 20 * label):x}" if rng.random() < 0.9 else "" for _ in range(5)]
        return "\t".join([str(label)] + numbers + kinds) + "\n"

    for name, count in (("train_data/part-0", 70), ("train_data/part-1", 50), ("test_data/part-0", 40)):
        _text(os.path.join(folder, name), "".join(line() for _ in range(count)))


def purchases(folder):
    """Histories of items and their categories, a target, and whether it was bought."""
    rng = random.Random(6)

    def line():
        hist = [rng.randint(0, 39) for _ in range(rng.randint(1, 7))]
        target = rng.randint(0, 39)
        parts = [hist, [i % 9 for i in hist], [target], [target % 9], [int(any((i - target) % 9 < 2 for i in hist))]]
        return ";".join(" ".join(map(str, part)) for part in parts) + "\n"

    _text(os.path.join(folder, "data/train.txt"), "".join(line() for _ in range(53)))


def sessions(folder):
    """Sessions whose next item is near the last one."""
    rng = random.Random(7)

    def line():
        item, out = rng.randint(0, 40), []
        for _ in range(rng.randint(2, 8)):
            out.append(item)
            item = (item + rng.randint(1, 3)) % 41
        return " ".join(map(str, out)) + "\n"

    for name, count in (("sessions.txt", 40), ("sessions_test.txt", 13)):
        _text(os.path.join(folder, name), "".join(line() for _ in range(count)))


def clicks(folder):
    """A label, three numbers, and four slots of one to three ids."""
    rng = random.Random(8)

    def line():
        label = int(rng.random() < 0.5)
        dense = ",".join(f"{rng.uniform(-1, 1 + label):.2f}" for _ in range(3))
        slots = [[rng.randint(0, 60 + 60 * label) for _ in range(rng.randint(1, 3))] for _ in range(4)]
        return f"{label}|{dense}|{' '.join(','.join(map(str, slot)) for slot in slots)}\n"

    _text(os.path.join(folder, "clicks.txt"), "".join(line() for _ in range(105)))
