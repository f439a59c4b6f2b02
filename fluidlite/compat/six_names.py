"""The part of `six` that programs of Fluid's time use. Paddle brought the library along; an installed one wins."""

import builtins
import collections.abc
import functools
import importlib
import io
import itertools
import operator
import pickle
import queue
import sys
import types


def with_metaclass(meta, *bases):
    """A base class with a metaclass."""
    return meta("temporary_class", bases, {})


def add_metaclass(metaclass):
    """A class decorator that makes the class anew with a metaclass."""

    def made_anew(cls):
        body = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
        return metaclass(cls.__name__, cls.__bases__, body)

    return made_anew


def _module(name, **content):
    module = types.ModuleType(name, "Names of the library six for Python 3.")
    vars(module).update(content)
    return module


@functools.cache
def modules():
    """{name: module} of six and what is in it."""
    urllib = {part: importlib.import_module(f"urllib.{part}") for part in ("parse", "request", "error")}
    moves = _module(
        "six.moves",
        **{name: getattr(builtins, name) for name in ("range", "zip", "map", "filter", "input")},
        xrange=range,
        reduce=functools.reduce,
        cPickle=pickle,
        queue=queue,
        StringIO=io.StringIO,
        builtins=builtins,
        urllib=_module("six.moves.urllib", **urllib),
        zip_longest=itertools.zip_longest,
    )
    six = _module(
        "six",
        PY2=False,
        PY3=True,
        PY34=True,
        string_types=(str,),
        integer_types=(int,),
        class_types=(type,),
        text_type=str,
        binary_type=bytes,
        MAXSIZE=sys.maxsize,
        moves=moves,
        iterkeys=lambda d: iter(d.keys()),
        itervalues=lambda d: iter(d.values()),
        iteritems=lambda d: iter(d.items()),
        viewkeys=operator.methodcaller("keys"),
        viewvalues=operator.methodcaller("values"),
        viewitems=operator.methodcaller("items"),
        next=next,
        callable=callable,
        Iterator=collections.abc.Iterator,
        b=lambda text: text.encode("latin-1"),
        u=lambda text: text,
        ensure_str=lambda text, encoding="utf-8", errors="strict": (
            text.decode(encoding, errors) if isinstance(text, bytes) else text
        ),
        print_=print,
        StringIO=io.StringIO,
        BytesIO=io.BytesIO,
        with_metaclass=with_metaclass,
        add_metaclass=add_metaclass,
    )
    six.__path__ = moves.__path__ = moves.urllib.__path__ = []
    found = {"six": six, "six.moves": moves, "six.moves.urllib": moves.urllib}
    return found | {f"six.moves.urllib.{part}": module for part, module in urllib.items()}
