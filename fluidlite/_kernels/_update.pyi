# Made by tools/make_stubs.py.


class Update: ...
