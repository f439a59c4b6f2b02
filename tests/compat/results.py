"""What data sets give, in a form that JSON keeps; the same code asks Fluid and fluidlite. Runs under Python 3.7 too."""

import re


def _plain(value):
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    if isinstance(value, dict):
        return [[_plain(key), _plain(one)] for key, one in value.items()]
    if isinstance(value, (list, tuple)):
        return [type(value).__name__] + [_plain(one) for one in value]
    if hasattr(value, "tolist"):
        return ["array", str(value.dtype), value.tolist()]
    return value


def _unnumbered(samples, labels, *columns):
    """Samples in which ids that differ from run to run are the words that they stand for."""
    words = {number: word for word, number in labels.items()}
    return [
        [[words[i] for i in one] if place in columns else one for place, one in enumerate(sample)] for sample in samples
    ]


def results(dataset):
    """{name: value} from a package with the modules of paddle.dataset."""
    found = {}
    imikolov = dataset.imikolov
    for least in (0, 2):
        words = found[f"imikolov.build_dict {least}"] = imikolov.build_dict(least)
    seq = imikolov.DataType.SEQ
    for name in ("train", "test"):
        read = getattr(imikolov, name)
        for n in (1, 3, 5):
            found[f"imikolov.{name} {n}"] = list(read(words, n)())
        for n in (0, 5, 6):
            found[f"imikolov.{name} SEQ {n}"] = list(read(words, n, seq)())
    pattern = re.compile(r"aclImdb/((train)|(test))/((pos)|(neg))/.*\.txt$")
    for cutoff in (0, 1):
        words = found[f"imdb.build_dict {cutoff}"] = dataset.imdb.build_dict(pattern, cutoff)
    for name in ("train", "test"):
        found["imdb." + name] = list(getattr(dataset.imdb, name)(words)())
    films = dataset.movielens
    titles, categories = films.get_movie_title_dict(), films.movie_categories()
    found["movielens words"] = [
        sorted(titles),
        sorted(titles.values()),
        sorted(categories),
        sorted(categories.values()),
    ]
    found["movielens greatest"] = [films.max_movie_id(), films.max_user_id(), films.max_job_id()]
    found["movielens info"] = [sorted(films.user_info()), sorted(films.movie_info()), str(films.user_info()[3])]
    found["movielens info"] += [films.movie_info()[2].title, films.movie_info()[1].categories, films.age_table]
    for name in ("train", "test"):
        for options in ({}, {"rand_seed": 5, "test_ratio": 0.4}):
            samples = _unnumbered(getattr(films, name)(**options)(), titles, 6)
            found[f"movielens.{name} {len(options)}"] = _unnumbered(samples, categories, 5)
    houses = dataset.uci_housing
    found["uci_housing"] = [
        list(houses.train()()),
        list(houses.test()()),
        houses.predict_reader(),
        houses.feature_names,
    ]
    roles = dataset.conll05
    words, verbs, labels = roles.get_dict()
    found["conll05 dictionaries"] = [words, verbs, sorted(labels), labels["O"], labels["I-V"] - labels["B-V"]]
    found["conll05.test"] = _unnumbered(roles.test()(), labels, 8)
    return {name: _plain(value) for name, value in found.items()}
