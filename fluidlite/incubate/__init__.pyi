# Made by tools/make_stubs.py.
from . import data_generator as data_generator
from . import fleet as fleet


