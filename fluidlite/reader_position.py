"""Where a reader is in its data: epochs and batches counted, so that another process can go on at the same batch."""

import random

import numpy as np

from .errors import InvalidArgumentError


def global_random_state():
    """The state of Python's and NumPy's global generators, as a dict of numbers, texts and arrays."""
    version, words, gauss = random.getstate()
    python = {"version": version, "words": np.array(words, np.uint32), "gauss": gauss}
    return {"python": python, "numpy": np.random.get_state(legacy=False)}


def set_global_random_state(state):
    """Take over what `global_random_state` gave."""
    python = state["python"]
    random.setstate(_python_state(python))
    np.random.set_state(state["numpy"])


def _python_state(python):
    return python["version"], tuple(int(word) for word in python["words"]), python["gauss"]


def _check_random(state):
    """Raise whatever it is that makes a state of the global generators unusable."""
    random.Random().setstate(_python_state(state["python"]))
    kind = np.random.get_state(legacy=False)["bit_generator"]
    np.random.RandomState(getattr(np.random, kind)()).set_state(state["numpy"])


class Position:
    """Counts epochs and batches. It follows the pipe of a `Prefetch`, which knows what was taken."""

    def __init__(self):
        self.pipe = self.pending = self.random = None
        self.epoch = 0

    def begin(self):
        """An epoch begins: set what was loaded, and return how many of its batches were taken already."""
        skipped = 0
        if self.pending is not None:
            pending, self.pending = self.pending, None
            self.epoch, skipped = pending["epoch"], pending["batch"]
            set_global_random_state(pending["random"])
        elif self.pipe is not None:
            self.epoch += 1
        self.random = global_random_state()
        return skipped

    def follow(self, pipe):
        """`pipe` is that of the epoch that has begun."""
        self.pipe = pipe

    def is_going_on(self):
        """Whether an epoch has begun whose end nobody was told of."""
        return self.pipe is not None and not self.pipe.over and not self.pipe.stopped

    def state_dict(self):
        if self.pending is not None:
            return dict(self.pending)
        if self.is_going_on():
            return {"epoch": self.epoch, "batch": self.pipe.taken, "random": self.random}
        return {"epoch": self.epoch + (self.pipe is not None), "batch": 0, "random": global_random_state()}

    def check(self, state, what):
        """Refuse what is no state of a reader; `what` is the name of the reader."""
        problem = None
        if not isinstance(state, dict):
            problem = f"it is a {type(state).__name__}, not a dict"
        else:
            for name in ("epoch", "batch"):
                if type(state.get(name)) is not int or state[name] < 0:
                    problem = f"its {name!r} is no number >= 0"
        if problem is None:
            try:
                _check_random(state.get("random"))
            except (TypeError, ValueError, KeyError, OverflowError) as error:
                problem = f"its 'random' is no state of the global generators ({type(error).__name__}: {error})"
        if problem is not None:
            raise InvalidArgumentError(
                f"The saved state of {what} is not usable: {problem}.",
                hint="readers are given to load_checkpoint in the order in which save_checkpoint got them.",
            )

    def set_state_dict(self, state, what):
        self.check(state, what)
        self.pending = {name: state[name] for name in ("epoch", "batch", "random")}
