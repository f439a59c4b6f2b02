"""Small archives in the layouts of the original data sets; runs under Python 3.7 too, where Fluid reads them."""

import gzip
import io
import os
import tarfile
import zipfile

_TRAIN = "the cat <unk> sat\nthe dog sat on the mat\n\na cat on a mat the end\nno <unk>\n"
_VALID = "the cat sat\na dog on the moon\nthe\n"
_REVIEWS = {
    "train/pos/0_9.txt": "A fine film, really fine!\n",
    "train/neg/0_2.txt": "Not a film; not fine.\r\n",
    "train/pos/1_8.txt": "The film of the year...",
    "train/unsup/0_0.txt": "film film film",
    "test/neg/0_1.txt": "boring film (the worst)",
    "test/pos/0_10.txt": "",
    "test/pos/1_7.txt": "It's the\nbest year",
}
_MOVIES = (
    "1::Toy Story (1995)::Animation|Children's|Comedy\n2::The Toy of \xe9t\xe9 (1996)::Comedy\n7::Se7en (1995)::Crime\n"
)
_USERS = "1::F::1::10::48067\n3::M::56::16::70072\n5::M::25::2::00231-1\n"
_WORDS = "The\ncat\nsees\na\ndog\nrun\n.\n\nDogs\nrun\n\nNo\nverb\n\n"
_PROPS = (
    "-   (A0*   *\n-   *)   *\nsee (V*)   *\n-   (A1*   (A0*\n-   *   *)\nrun   *)   (V*)\n-   *   *\n\n"
    "-   (A0*)\nrun   (V*)\n\n-\n-\n\n"
)


def _tar(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def _text(path, text):
    with open(path, "w") as file:
        file.write(text)


def make(home):
    """Write all archives below the folder `home`."""
    for name in ("imikolov", "imdb", "movielens", "uci_housing", "conll05st"):
        os.makedirs(os.path.join(home, name))
    data = "./simple-examples/data/ptb.{}.txt"
    _tar(
        os.path.join(home, "imikolov", "imikolov%2Fsimple-examples.tgz"),
        {data.format("train"): _TRAIN.encode(), data.format("valid"): _VALID.encode()},
    )
    _tar(
        os.path.join(home, "imdb", "imdb%2FaclImdb_v1.tar.gz"),
        {"aclImdb/" + name: text.encode() for name, text in _REVIEWS.items()},
    )
    ratings = "".join(f"{(1, 3, 5)[i % 3]}::{(1, 2, 7)[i * 5 % 7 % 3]}::{i % 5 + 1}::97830\n" for i in range(40))
    with zipfile.ZipFile(os.path.join(home, "movielens", "movielens%2Fml-1m.zip"), "w") as archive:
        for name, text in (("movies", _MOVIES), ("users", _USERS), ("ratings", ratings)):
            archive.writestr(f"ml-1m/{name}.dat", text.encode("latin-1"))
    numbers = [[((r * 37 + c * 11) % 23 + c) / 7.0 for c in range(14)] for r in range(11)]
    _text(
        os.path.join(home, "uci_housing", "housing.data"),
        "\n".join("  ".join(f"{x:.4f}" for x in row) for row in numbers) + "\n",
    )
    folder = os.path.join(home, "conll05st")
    parts = {"words": _WORDS, "props": _PROPS}
    _tar(
        os.path.join(folder, "conll05st-tests.tar.gz"),
        {
            f"conll05st-release/test.wsj/{name}/test.wsj.{name}.gz": gzip.compress(text.encode())
            for name, text in parts.items()
        },
    )
    _text(os.path.join(folder, "conll05st%2FwordDict.txt"), "<unk>\nThe\ncat\nsees\ndog\nrun\nbos\neos\n.\n")
    _text(os.path.join(folder, "conll05st%2FverbDict.txt"), "see\nrun\n")
    _text(os.path.join(folder, "conll05st%2FtargetDict.txt"), "B-A0\nB-A1\nB-V\nI-A0\nI-A1\nO\n")
    _text(os.path.join(folder, "conll05st%2Femb"), "vectors")
