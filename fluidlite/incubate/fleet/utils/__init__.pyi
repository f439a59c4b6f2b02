# Made by tools/make_stubs.py.
from . import fleet_util as fleet_util


