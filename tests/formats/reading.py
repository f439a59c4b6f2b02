"""What every reader of files has to do with damaged bytes."""

import tracemalloc

import pytest

from fluidlite.errors import EnforceNotMet


def outcome(read, *args):
    """The result of reading damaged bytes, or the error; errors of any other kind are raised."""
    try:
        return read(*args)
    except EnforceNotMet as error:
        assert str(error)
        return error


def refuses(read, *args, match):
    """Reading raises an error of ours that says `match`, and takes no memory worth speaking of."""
    tracemalloc.start()
    try:
        with pytest.raises(EnforceNotMet, match=match):
            read(*args)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
