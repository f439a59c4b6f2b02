"""One million ratings of films (MovieLens 1M), with what is known of the users and the films.

Differs from Fluid: ids of title words and categories go by first appearance in movies.dat; Fluid's differ from run to
run. The split into training and test set is Fluid's, but NumPy's global random state is left alone.
"""

import functools
import re
import zipfile

import numpy as np

from fluidlite.errors import InvalidArgumentError

from . import common

__all__ = ["age_table", "get_movie_title_dict", "max_job_id", "max_movie_id", "max_user_id", "movie_categories"]
__all__ += ["movie_info", "test", "train", "user_info"]

URL = "https://dataset.bj.bcebos.com/movielens%2Fml-1m.zip"
MD5 = "c4d9eecfca2ab87c1945afe126590906"
age_table = [1, 18, 25, 35, 45, 50, 56]

_TITLE = re.compile(r"^(.*)\((\d+)\)$")


class MovieInfo:
    """A film: index, categories, title (without the year)."""

    def __init__(self, index, categories, title):
        self.index, self.categories, self.title = int(index), categories, title

    def value(self):
        """[id, ids of the categories, ids of the words of the title]."""
        known = _load(_path())
        words = [known.title_words[word.lower()] for word in self.title.split()]
        return [self.index, [known.categories[name] for name in self.categories], words]

    def __repr__(self):
        return f"<MovieInfo id({self.index}), title({self.title}), categories({self.categories})>"


class UserInfo:
    """A user: index, is_male, age (the place in `age_table`), job_id."""

    def __init__(self, index, gender, age, job_id):
        self.index, self.is_male = int(index), gender == "M"
        self.age, self.job_id = age_table.index(int(age)), int(job_id)

    def value(self):
        """[id, 0 for men or 1, age, job]."""
        return [self.index, 0 if self.is_male else 1, self.age, self.job_id]

    def __repr__(self):
        gender = "M" if self.is_male else "F"
        return f"<UserInfo id({self.index}), gender({gender}), age({age_table[self.age]}), job({self.job_id})>"


class _Known:
    """What movies.dat and users.dat say."""

    def __init__(self, path):
        self.movies, self.users, self.title_words, self.categories = {}, {}, {}, {}
        for number, title, categories in _fields(path, "movies.dat"):
            match = _TITLE.match(title)
            if match is None:
                raise InvalidArgumentError(f"The film {number} of movies.dat has no year in its title {title!r}.")
            movie = self.movies[int(number)] = MovieInfo(number, categories.split("|"), match.group(1))
            for category in movie.categories:
                self.categories.setdefault(category, len(self.categories))
            for word in movie.title.split():
                self.title_words.setdefault(word.lower(), len(self.title_words))
        for number, gender, age, job, _ in _fields(path, "users.dat"):
            self.users[int(number)] = UserInfo(number, gender, age, job)


_load = functools.cache(_Known)


def _path():
    return common.download(URL, "movielens", MD5)


def _fields(path, name):
    with zipfile.ZipFile(path) as archive, archive.open(f"ml-1m/{name}") as file:
        for line in file:
            yield line.decode("latin-1").strip().split("::")


def _samples(rand_seed, test_ratio, is_test):
    path = _path()
    known, draws = _load(path), np.random.RandomState(rand_seed)
    for user, movie, rating, _ in _fields(path, "ratings.dat"):
        if (draws.random_sample() < test_ratio) == is_test:
            sample = known.users[int(user)].value() + known.movies[int(movie)].value()
            yield [*sample, [float(rating) * 2 - 5.0]]


def train(rand_seed=0, test_ratio=0.1):
    """A reader of [user, gender, age, job, film, categories, title, [rating from -3 to 5]].

    Args:
        rand_seed: decides which ratings are for training, default 0.
        test_ratio: share of the test set, default 0.1.
    """
    return functools.partial(_samples, rand_seed, test_ratio, is_test=False)


def test(rand_seed=0, test_ratio=0.1):
    """The same of the ratings that `train` leaves out."""
    return functools.partial(_samples, rand_seed, test_ratio, is_test=True)


def get_movie_title_dict():
    """{word: id} of the words of titles, in small letters."""
    return _load(_path()).title_words


def movie_categories():
    """{category: id}."""
    return _load(_path()).categories


def movie_info():
    """{id: MovieInfo}."""
    return _load(_path()).movies


def user_info():
    """{id: UserInfo}."""
    return _load(_path()).users


def max_movie_id():
    """The greatest id of a film."""
    return max(movie_info())


def max_user_id():
    """The greatest id of a user."""
    return max(user_info())


def max_job_id():
    """The greatest number of a job."""
    return max(user.job_id for user in user_info().values())


def fetch():
    """Look for the file."""
    common.download(URL, "movielens", MD5)
