"""Samples of the op that shows what it passes on; blocks are run by programs only."""

from .grid import add, sequences, uniform

_X = uniform(5, 3)

add("print", {"In": _X}, lambda In: In, batch=("In",))
add(
    "print",
    {"In": sequences(_X, [0, 2, 5])},
    lambda In: In.view(type(_X)),
    attrs={
        "first_n": 1,
        "message": "seen",
        "summarize": -1,
        "print_tensor_name": False,
        "print_tensor_type": False,
        "print_tensor_shape": False,
        "print_tensor_lod": False,
        "print_phase": "BACKWARD",
        "is_forward": False,
    },
)
