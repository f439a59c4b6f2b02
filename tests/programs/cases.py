"""The programs, their arguments and their data. Runs under Python 3.7 too."""

import os
import shutil

from . import inputs

SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scripts")
DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")


class Case:
    """A program: its script, its arguments, functions that write its archives and data, its first parameters.

    `init` writes the parameters of `shapes` to the path `first`, relative to the folder of the run; `beside` are
    scripts that it imports or starts.
    """

    def __init__(self, script, arguments=(), archives=None, data=None, init=None, first=None, shapes=None, beside=()):
        self.script, self.arguments, self.archives, self.data = script, list(arguments), archives, data
        self.init, self.first, self.shapes, self.beside = init, first, shapes, beside

    def prepare(self, folder):
        """Lay out everything below `folder`, which is also the home folder of the run, and return the script."""
        if self.archives:
            self.archives(os.path.join(folder, ".cache", "paddle", "dataset"))
        if self.data:
            self.data(folder)
        if self.init:
            self.init(os.path.join(folder, self.first), self.shapes)
        for name in (self.script,) + tuple(self.beside):
            shutil.copy(os.path.join(SCRIPTS, name), folder)
        return self.script


def _fc(number, rows, columns, name="fc_%d"):
    name = name % number if "%" in name else name
    return {name + ".w_0": [rows, columns], name + ".b_0": [columns]}


def _merged(*parts):
    return {name: shape for part in parts for name, shape in part.items()}


CASES = {
    "word2vec": Case(
        "word2vec.py",
        ["--init_model", "first"],
        inputs.imikolov,
        init=inputs.write_folder,
        first="first",
        shapes=_merged({"shared_w": [15, 8]}, _fc(0, 32, 16), _fc(1, 16, 15)),
    ),
    "fit_a_line": Case("fit_a_line.py", ["--enable_ce", "--num_epochs", "4"], inputs.uci_housing),
    "recommender": Case(
        "recommender.py",
        ["--init_model", "first"],
        inputs.movielens,
        init=inputs.write_checkpoint,
        first="first",
        shapes=_merged(
            {"user_table": [8, 16], "gender_table": [2, 8], "age_table": [7, 8], "job_table": [15, 8]},
            {"movie_table": [10, 16], "embedding_5.w_0": [3, 16], "embedding_6.w_0": [4, 16]},
            {"sequence_conv_0.w_0": [48, 16], "sequence_conv_0.b_0": [16]},
            _fc(0, 16, 16),
            *[_fc(i, 8, 8) for i in (1, 2, 3)],
            _fc(4, 40, 20),
            _fc(5, 16, 16),
            _fc(6, 48, 20),
        ),
    ),
    "sentiment": Case(
        "sentiment.py",
        ["--pretrained_model", "first"],
        inputs.imdb,
        init=inputs.write_folder,
        first="first",
        shapes={
            "embedding_0.w_0": [7, 12],
            "sequence_conv_0.w_0": [36, 6],
            "sequence_conv_1.w_0": [48, 6],
            "fc_0.w_0": [6, 2],
            "fc_0.w_1": [6, 2],
            "fc_0.b_0": [2],
        },
    ),
    "deepfm": Case(
        "deepfm.py",
        ["--init_state", "first"],
        data=inputs.criteo,
        init=inputs.write_pickle,
        first="first",
        shapes=_merged(
            {"embedding_0.w_0": [61, 1], "embedding_1.w_0": [61, 6]}, _fc(0, 48, 12), _fc(1, 12, 10), _fc(2, 10, 1)
        ),
        beside=["criteo_reader.py"],
    ),
    "din": Case(
        "din.py",
        ["--init_model", "first"],
        data=inputs.purchases,
        init=inputs.write_file,
        first="first/params",
        shapes=_merged(
            {"item_emb": [40, 8], "cat_emb": [9, 8], "embedding_6.w_0": [40, 1]},
            *[
                _fc(0, rows, columns, name)
                for name, rows, columns in (
                    ("atten_fc1", 64, 20),
                    ("atten_fc2", 20, 10),
                    ("atten_fc3", 10, 1),
                    ("out_fc", 16, 16),
                    ("fc1", 32, 20),
                    ("fc2", 20, 10),
                    ("fc3", 10, 1),
                )
            ],
        ),
    ),
    "gru4rec": Case(
        "gru4rec.py",
        ["--pretrain_dir", "first"],
        data=inputs.sessions,
        init=inputs.write_folder,
        first="first",
        shapes=_merged({"emb": [41, 10], "gru_0.w_0": [10, 30], "gru_0.b_0": [1, 30]}, _fc(0, 10, 30), _fc(1, 10, 41)),
    ),
    "skipgram": Case("skipgram.py", ["--is_sparse", "--num_passes", "1"], data=inputs.sessions),
    "classifier": Case(
        "classifier.py",
        ["--init_pretraining_params", "first"],
        data=inputs.sessions,
        init=inputs.write_folder,
        first="first",
        shapes=_merged(
            {"word_embedding": [41, 8], "pos_embedding": [8, 8], "cls_out_w": [8, 3], "cls_out_b": [3]},
            *[_fc(0, 8, 8, name) for name in ("query_fc", "key_fc", "value_fc", "output_fc", "pooled_fc")],
            _fc(0, 8, 32, "ffn_fc_0"),
            _fc(0, 32, 8, "ffn_fc_1"),
        ),
    ),
    "fm": Case("fm.py", ["--init_seed", "3"], data=inputs.clicks),
}
