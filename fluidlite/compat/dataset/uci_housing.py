"""Prices of houses in Boston and 13 features of each."""

import functools
import tarfile
import tempfile

import numpy as np

from . import common

__all__ = ["test", "train"]

URL = "http://paddlemodels.bj.bcebos.com/uci_housing/housing.data"
MD5 = "d4accdce7a25600298819f8e28e8d593"
FLUID_URL_MODEL = "https://github.com/PaddlePaddle/book/raw/develop/01.fit_a_line/fluid/fit_a_line.fluid.tar"
FLUID_MD5_MODEL = "6e6dd637ccd5993961f68bfbde46090b"
feature_names = "CRIM ZN INDUS CHAS NOX RM AGE DIS RAD TAX PTRATIO B LSTAT".split()


@functools.cache
def load_data(filename, feature_num=14, ratio=0.8):
    """(training rows, test rows) of a file of numbers, `feature_num` to a row, the price last.

    Features are ``(x - mean) / (maximum - minimum)`` over all rows; the first `ratio` of the rows is for training.

    Differs from Fluid: no picture of the ranges of the features is written into the current folder.
    """
    with open(filename, encoding="ascii") as file:
        rows = np.array(file.read().split(), dtype=np.float64)
    rows = rows[: len(rows) // feature_num * feature_num].reshape(-1, feature_num)
    low, high, mean = rows.min(axis=0), rows.max(axis=0), rows.sum(axis=0) / len(rows)
    rows[:, :-1] = (rows[:, :-1] - mean[:-1]) / (high[:-1] - low[:-1])
    rows.flags.writeable = False
    border = int(len(rows) * ratio)
    return rows[:border], rows[border:]


def _rows(part):
    return load_data(common.download(URL, "uci_housing", MD5))[part]


def _reader(part):
    rows = _rows(part)
    return lambda: ((row[:-1].copy(), row[-1:].copy()) for row in rows)


def train():
    """A reader of (13 features, price), two float64 arrays: the first 80 % of the rows."""
    return _reader(0)


def test():
    """The same of the last 20 %."""
    return _reader(1)


def predict_reader():
    """A tuple with the features of the first row of the test set."""
    return (_rows(1)[0][:-1].copy(),)


def fluid_model():
    """A temporary folder with the model that the book has trained; needs its own file, fit_a_line.fluid.tar."""
    path = common.download(FLUID_URL_MODEL, "uci_housing", FLUID_MD5_MODEL, "fit_a_line.fluid.tar")
    folder = tempfile.mkdtemp()
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    return folder


def fetch():
    """Look for the file."""
    common.download(URL, "uci_housing", MD5)
