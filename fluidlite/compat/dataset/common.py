"""Where the files of data sets are, and readers of data that was split into files."""

import glob
import hashlib
import importlib
import os
import pickle
from urllib.parse import unquote

from fluidlite.errors import InvalidTypeError, UnavailableError, here

__all__ = ["DATA_HOME", "cluster_files_reader", "download", "md5file", "split"]

DATA_HOME = os.environ.get("PADDLE_DATA_HOME") or os.path.expanduser("~/.cache/paddle/dataset")


def md5file(fname):
    """The MD5 sum of a file, as hexadecimal digits."""
    with open(fname, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def download(url, module_name, md5sum, save_name=None):
    """The path of a file of a data set, in ``DATA_HOME/module_name``.

    Its name is `save_name`, or the last part of `url` as Fluid has it ('imikolov%2Fsimple-examples.tgz') or as it is
    meant ('simple-examples.tgz').

    Differs from Fluid: nothing is downloaded, and the MD5 sum is not enforced. A missing file is an UnavailableError
    that says which file belongs where.
    """
    last = url.split("/")[-1]
    names = [save_name] if save_name is not None else list(dict.fromkeys((last, unquote(last).split("/")[-1])))
    folder = os.path.join(DATA_HOME, module_name)
    for name in names:
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    raise UnavailableError(
        f"The data set {module_name!r} needs the file {names[-1]}, which is not there; nothing is downloaded.",
        expected=f"{os.path.join(folder, names[-1])} (MD5 {md5sum})",
        where=here(),
        hint=f"get it from {url}, or set PADDLE_DATA_HOME to the folder that has {module_name}/{names[-1]}.",
    )


def fetch_all():
    """Look for the files of every data set."""
    for name in ("conll05", "imdb", "imikolov", "movielens", "uci_housing"):
        importlib.import_module(f"{__package__}.{name}").fetch()


def split(reader, line_count, suffix="%05d.pickle", dumper=pickle.dump):
    """Write the samples of `reader` to files ``suffix % number`` of lists of `line_count` samples.

    As in Fluid the first list is longer by one. `dumper(samples, file)` writes a list to a binary file.
    """
    if not callable(dumper):
        raise InvalidTypeError("The dumper of split() must be callable.", actual=repr(dumper), where=here())
    samples, number = [], 0
    for place, sample in enumerate(reader()):
        samples.append(sample)
        if place >= line_count and place % line_count == 0:
            _dump(samples, suffix % number, dumper)
            samples, number = [], number + 1
    if samples:
        _dump(samples, suffix % number, dumper)


def _dump(samples, path, dumper):
    with open(path, "wb") as file:
        dumper(samples, file)


def cluster_files_reader(files_pattern, trainer_count, trainer_id, loader=pickle.load):
    """A reader of the files that match a pattern; of `trainer_count` readers, number `trainer_id` has every n-th file.

    `loader(file)` gives the list of samples that `split` has written.
    """

    def reader():
        if not callable(loader):
            raise InvalidTypeError("The loader of cluster_files_reader() must be callable.", actual=repr(loader))
        for path in sorted(glob.glob(files_pattern))[trainer_id::trainer_count]:
            with open(path, "rb") as file:
                yield from loader(file)

    return reader
