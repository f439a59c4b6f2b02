# Made by tools/make_stubs.py.
from . import base as base
from . import collective as collective
from . import parameter_server as parameter_server
from . import utils as utils


