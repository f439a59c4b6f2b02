"""The package `paddle` of programs run by ``python -m fluidlite``, and of the processes they start."""

import importlib
import sys

from fluidlite.compat import bridge
from fluidlite.missing import missing
from fluidlite.reader import batch

from . import version
from .version import full_version as __version__

bridge.install()
fluid = importlib.import_module("paddle.fluid")
reader = importlib.import_module("paddle.reader")
dataset = importlib.import_module("paddle.dataset")
# `paddle.reader` is no package here, so Python would not look for modules in it. `paddle.batch` is a function that is
# in a module of the same name: `import paddle.batch` must find the one and leave the other.
sys.modules["paddle.reader.decorator"] = sys.modules["paddle.batch"] = reader.decorator = reader


def __getattr__(name):
    raise missing("paddle", name, lambda: globals(), sys._getframe(1))
