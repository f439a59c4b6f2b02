# Made by tools/make_stubs.py.
from . import fleet_base as fleet_base
from . import mode as mode
from . import role_maker as role_maker


