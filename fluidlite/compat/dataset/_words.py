"""What the data sets of texts share."""

UNKNOWN = "<unk>"


def number_words(counts, more_than):
    """{word: id} of the words that occur more than so often, the most frequent first, then '<unk>'.

    Words of equal frequency are in the order of their bytes.
    """
    kept = [(word, count) for word, count in counts.items() if count > more_than]
    kept.sort(key=lambda item: (-item[1], item[0] if isinstance(item[0], bytes) else item[0].encode()))
    ids = {word: number for number, (word, _) in enumerate(kept)}
    ids[UNKNOWN] = len(ids)
    return ids
