"""`paddle.dataset`: readers of the original archives, from a local folder. Nothing is ever downloaded.

The folder is the environment variable PADDLE_DATA_HOME, by default ~/.cache/paddle/dataset; `common.download` says
which file belongs where. Results are those of Paddle 1.8.5 on Python 3, so words of archives are bytes there.
"""

from . import common, conll05, imdb, imikolov, movielens, uci_housing
